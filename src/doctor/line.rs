//! One line, and all of them as they are printed.

use std::fmt;

use latchkey_contract::{Check, Verdict, text::one_line};

/// The longest sentence of a line, in characters.
const LONGEST: usize = 500;

/// Columns of a terminal that nobody made wider.
const COLUMNS: usize = 80;

/// Where the thing begins: behind the word.
const THING: usize = 9;

/// Longer names of things stand apart from the column of the sentences, which the id of a role or group fits into.
const WIDEST: usize = 26;

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Where it belongs: `database`, `key`, `connection cw`.
    pub area: String,
    /// The thing, and what came of it. Its sentence is harmless for a terminal.
    pub check: Check,
}

impl Line {
    /// As it should be.
    pub fn ok(area: &str, what: &str, found: impl AsRef<str>) -> Self {
        Self::of(area, Check::ok(what, found.as_ref()))
    }

    /// It works, but.
    pub fn note(area: &str, what: &str, know: impl AsRef<str>) -> Self {
        Self::of(area, Check::note(what, know.as_ref()))
    }

    /// It must be mended: what is wrong and what to do.
    pub fn red(area: &str, what: &str, to_do: impl AsRef<str>) -> Self {
        Self::of(area, Check::red(what, to_do.as_ref()))
    }

    /// A check of a connector's: what a vendor calls a thing is free text of somebody else.
    #[must_use]
    pub fn of(area: &str, Check { what, verdict }: Check) -> Self {
        let clean = |text: String| one_line(&text, LONGEST).split_whitespace().collect::<Vec<_>>().join(" ");
        let verdict = match verdict {
            Verdict::Ok(text) => Verdict::Ok(clean(text)),
            Verdict::Note(text) => Verdict::Note(clean(text)),
            Verdict::Red(text) => Verdict::Red(clean(text)),
        };
        Self { area: area.to_owned(), check: Check { what: clean(what), verdict } }
    }

    /// `ok`, `note` or `fault`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.check.verdict {
            Verdict::Ok(_) => "ok",
            Verdict::Note(_) => "note",
            Verdict::Red(_) => "fault",
        }
    }

    /// With the sentence in a column of its own, from `at` on; a name that does not fit stands before it.
    fn print(&self, at: usize) -> Vec<String> {
        let text = self.check.verdict.text();
        let head = format!("  {:<5}  {}", self.word(), self.check.what);
        let width = head.chars().count();
        if width + 2 > at && width + 2 + text.chars().count() <= COLUMNS {
            return vec![format!("{head}  {text}")];
        }
        let mut folded = fold(text, COLUMNS.saturating_sub(at)).into_iter();
        let first = if width + 2 > at { head } else { format!("{head:<at$}{}", folded.next().unwrap_or_default()) };
        let more = folded.map(|line| format!("{:at$}{line}", ""));
        std::iter::once(first.trim_end().to_owned()).chain(more).collect()
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}: {}: {}", self.word(), self.area, self.check.what, self.check.verdict.text())
    }
}

/// Breaks between words; a word that is too long for a line has one for itself.
fn fold(text: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= width => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines
}

/// Every line, in an order that does not change.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The lines.
    pub lines: Vec<Line>,
}

impl Report {
    /// How many must be mended.
    #[must_use]
    pub fn red(&self) -> usize {
        self.lines.iter().filter(|line| line.check.is_red()).count()
    }

    /// For a terminal: each area under its name, in columns.
    #[must_use]
    pub fn print(&self) -> Vec<String> {
        let mut printed = Vec::new();
        for area in self.lines.chunk_by(|a, b| a.area == b.area) {
            let widest = area.iter().map(|line| line.check.what.chars().count()).filter(|width| *width <= WIDEST).max();
            printed.extend(area.first().map(|line| line.area.clone()));
            printed.extend(area.iter().flat_map(|line| line.print(THING + widest.unwrap_or(0).max(4) + 2)));
        }
        printed
    }

    /// How it stands with all of it.
    #[must_use]
    pub fn summary(&self) -> String {
        let count = |word: &str| self.lines.iter().filter(|line| line.word() == word).count();
        let counted = |many: usize, word: &str| format!("{many} {word}{}", if many == 1 { "" } else { "s" });
        format!("{}, {}, {} ok", counted(count("fault"), "fault"), counted(count("note"), "note"), count("ok"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_words_are_harmless_on_a_line() {
        let line = Line::of("connection cw", Check::red("board\t7\n", "\u{1b}[2Jgone\n  ok     database"));
        let printed = Report { lines: vec![line] }.print();
        assert_eq!(printed, ["connection cw", "  fault  board 7  [2Jgone ok database"]);
    }

    #[test]
    fn a_report_is_read_in_columns_of_eighty() {
        let long = "permission UserAuthenticationMethod.ReadWrite.All";
        let to_do = "without it nothing that was added can be seen, and so it stays there for as long as nobody looks";
        let lines = vec![
            Line::ok("database", "writing", "a row was written, durably"),
            Line::red("database", "disk", format!("12 MiB are free: {to_do}")),
            Line::ok("connection contoso", "token", "the tenant issues tokens to the app"),
            Line::ok("connection contoso", long, "granted"),
            Line::note("connection contoso", long, to_do),
        ];
        let report = Report { lines };
        let expected = "\
database
  ok     writing  a row was written, durably
  fault  disk     12 MiB are free: without it nothing that was added can be
                  seen, and so it stays there for as long as nobody looks
connection contoso
  ok     token  the tenant issues tokens to the app
  ok     permission UserAuthenticationMethod.ReadWrite.All  granted
  note   permission UserAuthenticationMethod.ReadWrite.All
                without it nothing that was added can be seen, and so it stays
                there for as long as nobody looks";
        assert_eq!(report.print().join("\n"), expected);
        assert_eq!((report.red(), report.summary().as_str()), (1, "1 fault, 1 note, 3 ok"));
    }
}
