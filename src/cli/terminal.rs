//! Where a command reads and writes: the real terminal, or whatever a test puts in its place.

use std::{
    fmt,
    io::{self, BufRead, IsTerminal, Read, Write},
};

use anyhow::{Context, bail};
use latchkey_contract::Secret;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

/// The longest value that is read: certificates and keys are far shorter.
const LONGEST: u64 = 64 * 1024;

/// Input, results, and hints.
pub struct Terminal {
    input: Box<dyn BufRead + Send>,
    output: Box<dyn Write + Send>,
    hints: Box<dyn Write + Send>,
    is_interactive: bool,
    agreed: bool,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("is_interactive", &self.is_interactive).finish_non_exhaustive()
    }
}

impl Terminal {
    /// The process's own.
    #[must_use]
    pub fn standard() -> Self {
        Self {
            is_interactive: io::stdin().is_terminal(),
            input: Box::new(io::BufReader::new(io::stdin())),
            output: Box::new(io::stdout()),
            hints: Box::new(io::stderr()),
            agreed: false,
        }
    }

    /// One that is no terminal: nothing is asked twice, nothing is hidden.
    #[must_use]
    pub fn piped(input: Box<dyn BufRead + Send>, output: Box<dyn Write + Send>, hints: Box<dyn Write + Send>) -> Self {
        Self { input, output, hints, is_interactive: false, agreed: false }
    }

    /// The operator typed `--yes`: what would be confirmed is confirmed.
    pub(super) fn agree(&mut self) {
        self.agreed = true;
    }

    /// Goes on only if the operator types `yes`, or typed `--yes` before. Ask before anything is changed.
    pub(super) fn confirm(&mut self, question: impl fmt::Display) -> anyhow::Result<()> {
        if self.agreed {
            return Ok(());
        }
        self.hint(&question)?;
        if !self.is_interactive {
            bail!("nobody is there to answer, so nothing was changed; to agree beforehand, run it again with --yes");
        }
        let answer = self.ask("Type yes to go on")?;
        if answer.expose().trim() != "yes" {
            bail!("that was no yes; nothing was changed");
        }
        Ok(())
    }

    /// A line of the result.
    pub(super) fn say(&mut self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(self.output, "{line}")?;
        self.output.flush()
    }

    /// A line for the person, not for the pipe.
    pub(super) fn hint(&mut self, line: impl fmt::Display) -> io::Result<()> {
        writeln!(self.hints, "{line}")
    }

    /// One line.
    pub(super) fn ask(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        if self.is_interactive {
            write!(self.hints, "{prompt}: ")?;
            self.hints.flush()?;
        }
        let mut line = Zeroizing::new(String::new());
        let read = (&mut self.input).take(LONGEST).read_line(&mut line).context("standard input cannot be read")?;
        if read == 0 {
            bail!("standard input ended where this was expected: {prompt}");
        }
        Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    /// One line that is not shown while it is typed, and typed twice when `is_new`.
    pub(super) fn ask_hidden(&mut self, prompt: &str, is_new: bool) -> anyhow::Result<Secret<String>> {
        let first = self.hidden(prompt)?;
        if is_new && self.is_interactive {
            let again = self.hidden("The same once more")?;
            if !first.matches(again.expose().as_bytes()) {
                bail!("the two differ; nothing was changed, run the command again");
            }
        }
        Ok(first)
    }

    /// A value of any number of lines: the rest of the input, or one hidden line from a person.
    pub(super) fn value(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        if self.is_interactive {
            return self.hidden(prompt);
        }
        let mut text = Zeroizing::new(String::new());
        let mut bounded = (&mut self.input).take(LONGEST + 1);
        let read = bounded.read_to_string(&mut text).context("standard input is not text that can be read")?;
        if read as u64 > LONGEST {
            bail!("the value is longer than 64 KiB: that is not a key or a certificate");
        }
        Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn hidden(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        let _shown_again =
            if self.is_interactive { Some(Echo::off().context("the terminal cannot hide")?) } else { None };
        let line = self.ask(prompt);
        if self.is_interactive {
            writeln!(self.hints)?;
        }
        line
    }
}

/// Echo is off while this lives.
struct Echo(rustix::termios::Termios);

impl Echo {
    fn off() -> rustix::io::Result<Self> {
        let before = tcgetattr(io::stdin())?;
        let mut quiet = before.clone();
        quiet.local_modes.remove(LocalModes::ECHO);
        tcsetattr(io::stdin(), OptionalActions::Flush, &quiet)?;
        Ok(Self(before))
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        // Nothing can be done about a terminal that is gone.
        let _ = tcsetattr(io::stdin(), OptionalActions::Now, &self.0);
    }
}
