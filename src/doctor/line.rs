//! One line, and all of them.

use std::fmt;

use latchkey_contract::{Check, Verdict, text::one_line};

/// The longest sentence of a line, in characters.
const LONGEST: usize = 500;

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
        let clean = |text: String| one_line(&text, LONGEST);
        let verdict = match verdict {
            Verdict::Ok(text) => Verdict::Ok(clean(text)),
            Verdict::Note(text) => Verdict::Note(clean(text)),
            Verdict::Red(text) => Verdict::Red(clean(text)),
        };
        Self { area: area.to_owned(), check: Check { what: clean(what), verdict } }
    }

    /// Where it is found again in another run: area and thing.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}: {}", self.area, self.check.what)
    }

    /// `ok`, `note` or `FAILED`.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self.check.verdict {
            Verdict::Ok(_) => "ok",
            Verdict::Note(_) => "note",
            Verdict::Red(_) => "FAILED",
        }
    }
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\t{}\t{}\t{}", self.word(), self.area, self.check.what, self.check.verdict.text())
    }
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendors_words_are_harmless_on_a_line() {
        let line = Line::of("connection cw", Check::red("board\t7\n", "\u{1b}[2Jgone\nok\tdatabase"));
        let text = line.to_string();
        assert!(text.starts_with("FAILED\tconnection cw\t") && line.check.is_red(), "{text:?}");
        assert_eq!(text.matches('\t').count(), 3, "{text:?}");
        assert!(!text.contains('\n') && !text.contains('\u{1b}'), "{text:?}");
    }
}
