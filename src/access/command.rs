//! What a member may say to Latchkey in a note. Closed grammar: nothing else in a note means anything, and nothing in it asks
//! for access: more time is for what was asked for already.

use latchkey_contract::note::addressed;

use super::Length;

/// What the first line of a note says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Command {
    /// How things stand.
    Status,
    /// What its author has goes on for longer.
    Extend(Length),
    /// Whatever the ticket has ends now.
    End,
    /// Something else: answered with what there is.
    Unknown,
}

impl Command {
    /// Reads a note, `None` where it does not speak to Latchkey. Letter case does not count; a word more makes it another
    /// command.
    #[must_use]
    pub fn read(text: &str) -> Option<Self> {
        let words: Vec<String> = addressed(text)?.split_whitespace().skip(1).map(str::to_ascii_lowercase).collect();
        Some(match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
            ["status"] => Self::Status,
            ["extend", by] => Length::parse(by).map_or(Self::Unknown, Self::Extend),
            ["end"] => Self::End,
            _ => Self::Unknown,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// F18: the first line that is not empty, and nothing but the command in it.
    #[test]
    fn only_the_first_line_speaks_and_only_in_these_words() {
        let read = Command::read;
        for text in
            ["/jit end", "\n\n  /JIT  End \n", "/jit end\nthanks", "/jit end\n\n> On Monday Ann wrote:\n> /jit status"]
        {
            assert_eq!(read(text), Some(Command::End), "{text:?}");
        }
        assert_eq!(read("/jit status"), Some(Command::Status));
        for (text, minutes) in [("/jit extend 30m", 30), (" /JIT Extend 2H\n\nNot done yet.", 120)] {
            assert_eq!(read(text), Some(Command::Extend(Length::minutes(minutes).unwrap())), "{text:?}");
        }
        for text in [
            "/jit",
            "/jit end now",
            "/jit end please, Ann",
            "/jit give me access",
            "/jit /jit end",
            "/jit end.",
            "/jit extend",
            "/jit extend 30",
            "/jit extend 1m",
            "/jit extend 31d",
            "/jit extend 30 m",
            "/jit extend -30m",
            "/jit extend 30m please",
        ] {
            assert_eq!(read(text), Some(Command::Unknown), "{text:?}");
        }
        for text in [
            "",
            "> /jit end",
            "On Monday Ann wrote:\n/jit end",
            "please /jit end",
            "/jitend",
            "/jit-end",
            "jit end",
            "done\n/jit end",
            "\u{200b}/jit end",
        ] {
            assert_eq!(read(text), None, "{text:?}");
        }
    }
}
