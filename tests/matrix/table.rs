//! The table of all cells and what came of them: printed, and kept beside what was built.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    path::Path,
    time::Duration,
};

use crate::join;

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
        let (name, wanted) = (self.name(), std::env::var("LATCHKEY_MATRIX_CELLS").unwrap_or_default());
        wanted.split(';').any(|part| name.contains(part)) && self.is_in(share())
    }

    /// Which share a cell is in depends on its name alone, so that all shares are the whole, and each has something of every
    /// part.
    fn is_in(&self, (share, of): (u64, u64)) -> bool {
        (join::hash(self.name().as_bytes()) >> 32) % of == share - 1
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

    fn line(&self) -> Line {
        let cells = self.cells();
        let [mark, engine, phase, place, fault, ..] = cells.clone();
        let ms = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        let text = format!("| {} |", cells.join(" | "));
        Line { part: self.part.to_owned(), place, fault, engine, phase, mark, ms, text }
    }
}

/// A cell as it stands in a table, in this order.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Line {
    pub(crate) part: String,
    pub(crate) place: String,
    pub(crate) fault: String,
    pub(crate) engine: String,
    pub(crate) phase: String,
    pub(crate) mark: String,
    pub(crate) ms: u64,
    /// The whole of it.
    pub(crate) text: String,
}

/// `LATCHKEY_MATRIX_SHARE=2/8`: the second of eight. Without it, all.
fn share() -> (u64, u64) {
    let Ok(text) = std::env::var("LATCHKEY_MATRIX_SHARE") else { return (1, 1) };
    let parts = text.split_once('/').and_then(|(share, of)| Some((share.parse().ok()?, of.parse().ok()?)));
    parts.filter(|(share, of)| (1..=*of).contains(share)).expect("LATCHKEY_MATRIX_SHARE is written like 2/8")
}

/// Prints it, keeps it beside what was built, and answers what failed. `build` is of which build the cells are.
pub(crate) fn report(rows: &[Row], build: &str, time: Duration) -> Vec<String> {
    let mut lines: Vec<Line> = rows.iter().map(Row::line).collect();
    lines.sort();
    let (share, of) = share();
    let head = format!("{}{build}; {} cells in {} s, share {share} of {of}.", join::BUILD, lines.len(), time.as_secs());
    let table = compose(&head, &lines);
    let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().expect("it lies in what was built");
    let is_chosen = std::env::var_os("LATCHKEY_MATRIX_CELLS").is_some();
    let path = target.join(if is_chosen { "fault-matrix-some.md".to_owned() } else { file_name(share, of) });
    std::fs::write(&path, &table).unwrap();
    say(&format!("{table}\n{head}\n\n{}\nThe table lies in {}\n", sums(&lines), path.display()));
    if of > 1 && !is_chosen {
        match join::join(target, of, build) {
            Ok(whole) => say(&format!("\nAll {of} shares are there, and joined:\n{whole}")),
            Err(why) => say(&format!("The shares are not joined: {why}\n")),
        }
    }
    let failed = rows.iter().filter_map(|row| match &row.outcome {
        Outcome::Failed(why) => Some(format!("{}\n    {why}", row.name())),
        _ => None,
    });
    failed.collect()
}

/// One for each share, and another for cells that somebody chose: none takes the place of the whole.
pub(crate) fn file_name(share: u64, of: u64) -> String {
    if of == 1 { join::WHOLE.to_owned() } else { format!("fault-matrix-{share}-of-{of}.md") }
}

/// A whole table of lines that are in order.
pub(crate) fn compose(head: &str, lines: &[Line]) -> String {
    let mut table = format!("# The fault matrix\n\n{head}\n\n{}", sums(lines));
    let mut part = "";
    for line in lines {
        if line.part != part {
            part = &line.part;
            let _ = write!(
                table,
                "\n## {part}\n\n| result | engine | during | where | fault | seen | ms |\n|---|---|---|---|---|---|---:|\n"
            );
        }
        table.push_str(&line.text);
        table.push('\n');
    }
    table
}

/// What failed is said at once as well: whoever breaks off a long run knows it then.
pub(crate) fn say_if_failed(row: &Row) {
    if let Outcome::Failed(why) = &row.outcome {
        say(&format!("FAILED {} {why}\n", row.name()));
    }
}

/// How many cells of each part came out in which way on each engine, and how long they took.
pub(crate) fn sums(lines: &[Line]) -> String {
    let mut text =
        String::from("| part | engine | ok | FAILED | n/a | test | s |\n|---|---|---:|---:|---:|---:|---:|\n");
    let kinds: BTreeSet<(&str, &str)> = lines.iter().map(|line| (line.part.as_str(), line.engine.as_str())).collect();
    for (part, engine) in kinds {
        let own = lines.iter().filter(|line| line.part == part && line.engine == engine);
        let (mut counts, mut ms) = (BTreeMap::new(), 0);
        for line in own {
            *counts.entry(line.mark.as_str()).or_insert(0) += 1;
            ms += line.ms;
        }
        let counts = ["ok", "FAILED", "n/a", "test"].map(|mark| counts.get(mark).copied().unwrap_or(0).to_string());
        let _ = writeln!(text, "| {part} | {engine} | {} | {} |", counts.join(" | "), ms / 1000);
    }
    text
}

pub(crate) fn say(text: &str) {
    use std::io::Write as _;
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
}
