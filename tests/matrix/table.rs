//! The table of all cells and what came of them: printed, and kept beside what was built.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
    time::Duration,
};

/// What came of a cell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Everything came out as it should: what was seen.
    Held(String),
    /// It did not.
    Failed(String),
    /// It cannot happen, and why.
    Never(String),
    /// It is a test of its own: which. Whether that test is there is looked up in its source.
    Elsewhere(String),
}

/// One cell.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Which part of the matrix it belongs to.
    pub(crate) part: &'static str,
    pub(crate) engine: &'static str,
    /// The story, or what the service is doing meanwhile.
    pub(crate) phase: String,
    /// The commit or the call.
    pub(crate) place: String,
    pub(crate) fault: String,
    pub(crate) outcome: Outcome,
    pub(crate) time: Duration,
}

impl Row {
    /// A cell that is still to be run.
    pub(crate) fn new(part: &'static str, engine: &'static str, phase: &str, place: &str, fault: &str) -> Self {
        Self {
            part,
            engine,
            phase: phase.to_owned(),
            place: place.to_owned(),
            fault: fault.to_owned(),
            outcome: Outcome::Failed("it was not run".to_owned()),
            time: Duration::ZERO,
        }
    }

    pub(crate) fn never(self, why: &str) -> Self {
        Self { outcome: Outcome::Never(why.to_owned()), ..self }
    }

    /// By what it is chosen where only some are run.
    pub(crate) fn name(&self) -> String {
        format!("{} | {} | {} | {} | {} |", self.part, self.engine, self.phase, self.place, self.fault)
    }

    /// Whether it is among those that are to be run: all, unless the environment names some, or a share.
    pub(crate) fn is_wanted(&self) -> bool {
        self.name().contains(&std::env::var("LATCHKEY_MATRIX_CELLS").unwrap_or_default()) && self.is_in(share())
    }

    /// Which share a cell is in depends on its name alone, so that all shares are the whole, and each has something of every
    /// part.
    fn is_in(&self, (share, of): (u64, u64)) -> bool {
        // FNV-1a.
        let hash = self
            .name()
            .bytes()
            .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3));
        (hash >> 32) % of == share - 1
    }

    fn cells(&self) -> [String; 7] {
        let (mark, said) = match &self.outcome {
            Outcome::Held(said) => ("ok", said.as_str()),
            Outcome::Failed(why) => ("FAILED", why.lines().next().unwrap_or_default()),
            Outcome::Never(why) => ("n/a", why.as_str()),
            Outcome::Elsewhere(test) => ("test", test.as_str()),
        };
        let time = if self.time.is_zero() { "-".to_owned() } else { self.time.as_millis().to_string() };
        [
            mark.to_owned(),
            self.engine.to_owned(),
            self.phase.clone(),
            self.place.clone(),
            self.fault.clone(),
            said.replace('|', "\\|"),
            time,
        ]
    }
}

/// `LATCHKEY_MATRIX_SHARE=2/8`: the second of eight. Without it, all.
fn share() -> (u64, u64) {
    let Ok(text) = std::env::var("LATCHKEY_MATRIX_SHARE") else { return (1, 1) };
    let parts = text.split_once('/').and_then(|(share, of)| Some((share.parse().ok()?, of.parse().ok()?)));
    parts.filter(|(share, of)| (1..=*of).contains(share)).expect("LATCHKEY_MATRIX_SHARE is written like 2/8")
}

/// Prints it, and answers what failed.
pub(crate) fn report(mut rows: Vec<Row>, time: Duration) -> Vec<String> {
    rows.sort_by(|a, b| {
        (a.part, &a.place, &a.fault, a.engine, &a.phase).cmp(&(b.part, &b.place, &b.fault, b.engine, &b.phase))
    });
    let mut parts: BTreeMap<&str, Vec<&Row>> = BTreeMap::new();
    for row in &rows {
        parts.entry(row.part).or_default().push(row);
    }
    let sums = sums(&parts, time);
    let mut table = format!("# The fault matrix\n\n{sums}");
    for (part, rows) in &parts {
        let _ = write!(
            table,
            "\n## {part}\n\n| result | engine | during | where | fault | seen | ms |\n|---|---|---|---|---|---|---:|\n"
        );
        for row in rows {
            let _ = writeln!(table, "| {} |", row.cells().join(" | "));
        }
    }
    let path = path();
    std::fs::write(&path, &table).unwrap();
    say(&format!("{table}\n{sums}\nThe table lies in {}\n", path.display()));
    let failed = rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Failed(why) => Some(format!("{}\n    {why}", row.name())),
        _ => None,
    });
    failed.collect()
}

/// What failed is said at once as well: whoever breaks off a long run knows it then.
pub(crate) fn say_if_failed(row: &Row) {
    if let Outcome::Failed(why) = &row.outcome {
        say(&format!("FAILED {} {why}\n", row.name()));
    }
}

fn sums(parts: &BTreeMap<&str, Vec<&Row>>, time: Duration) -> String {
    let mut text =
        String::from("| part | engine | ok | FAILED | n/a | test | s |\n|---|---|---:|---:|---:|---:|---:|\n");
    let mut all = 0;
    for (part, rows) in parts {
        let mut engines: Vec<&str> = rows.iter().map(|row| row.engine).collect();
        engines.sort_unstable();
        engines.dedup();
        for engine in engines {
            let own: Vec<&&Row> = rows.iter().filter(|row| row.engine == engine).collect();
            let count = |is: fn(&Outcome) -> bool| own.iter().filter(|row| is(&row.outcome)).count();
            let spent: Duration = own.iter().map(|row| row.time).sum();
            let _ = writeln!(
                text,
                "| {part} | {engine} | {} | {} | {} | {} | {} |",
                count(|o| matches!(o, Outcome::Held(_))),
                count(|o| matches!(o, Outcome::Failed(_))),
                count(|o| matches!(o, Outcome::Never(_))),
                count(|o| matches!(o, Outcome::Elsewhere(_))),
                spent.as_secs()
            );
            all += own.len();
        }
    }
    let (share, of) = share();
    let _ = writeln!(text, "\n{all} cells in {} s, share {share} of {of}.", time.as_secs());
    text
}

/// One for each share, and another for cells that somebody chose: none takes the place of the whole.
fn path() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in what was built");
    let name = match (std::env::var_os("LATCHKEY_MATRIX_CELLS"), share()) {
        (Some(_), _) => "fault-matrix-some.md".to_owned(),
        (None, (1, 1)) => "fault-matrix.md".to_owned(),
        (None, (share, of)) => format!("fault-matrix-{share}-of-{of}.md"),
    };
    target.join(name)
}

pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
}
