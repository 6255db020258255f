//! Where a command reads and writes: the operator's terminal, near or at the other end of the socket, or whatever a
//! test puts in its place. A command touches no file, no standard input and no standard output but through this.

mod local;

use std::{
    ffi::OsString,
    fmt,
    io::{BufRead, Write},
    os::unix::ffi::OsStrExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use latchkey_contract::Secret;
use serde::{Deserialize, Serialize};

use local::Local;

/// The longest line or value that is read: certificates and keys are far shorter.
pub(crate) const LONGEST_VALUE: u64 = 64 * 1024;

/// The largest file that is read or written.
pub(crate) const LARGEST_FILE: u64 = 64 * 1024 * 1024;

/// What a terminal can do. Every error is a sentence for the operator.
pub(crate) trait Ends: Send {
    /// Whether a person sits there, who can be asked twice.
    fn is_interactive(&self) -> bool;
    /// A line of the result.
    fn say(&mut self, line: &str) -> anyhow::Result<()>;
    /// A line for the person, not for the pipe.
    fn hint(&mut self, line: &str) -> anyhow::Result<()>;
    /// One line.
    fn ask(&mut self, prompt: &str) -> anyhow::Result<Secret<String>>;
    /// One line that is not shown while it is typed.
    fn ask_hidden(&mut self, prompt: &str) -> anyhow::Result<Secret<String>>;
    /// The rest of the input.
    fn rest(&mut self) -> anyhow::Result<Secret<String>>;
    /// A file where the operator is, of at most `limit` bytes.
    fn read_file(&mut self, path: &Path, limit: u64) -> anyhow::Result<Vec<u8>>;
    /// A file where the operator is, for them alone.
    fn write_file(&mut self, path: &Path, bytes: &[u8], overwrite: Overwrite) -> anyhow::Result<()>;
    /// The next bytes of a new file where the operator is, for them alone. It appears there with the last ones, whole.
    fn append_file(&mut self, path: &Path, bytes: &[u8], piece: Piece) -> anyhow::Result<()>;
}

/// Whoever the result was piped to has read enough and gone, as `head` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("nobody reads the result any more")]
pub struct NobodyReads;

/// Where in a file that comes in pieces some bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Piece {
    /// They begin it. What was begun before and not ended is given up.
    First,
    /// They follow.
    Next,
    /// They end it.
    Last,
}

/// What is said while it goes into a file.
#[derive(Debug)]
struct Saving {
    path: PathBuf,
    kept: Vec<u8>,
}

/// How much is kept before it is written.
const KEPT: usize = 1024 * 1024;

/// Whether a file that is there already may be replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overwrite {
    /// It stays as it is, and writing is refused.
    Never,
    /// The operator asked for it.
    Asked,
}

/// What a command talks to.
pub struct Terminal {
    ends: Box<dyn Ends>,
    agreed: bool,
    /// What is said goes into this file.
    saving: Option<Saving>,
    words: Option<Vec<OsString>>,
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("is_interactive", &self.is_interactive())
            .field("agreed", &self.agreed)
            .finish_non_exhaustive()
    }
}

impl Terminal {
    /// The process's own.
    #[must_use]
    pub fn standard() -> Self {
        Self::over(Box::new(Local::standard()))
    }

    /// One that is no terminal: nothing is asked twice, nothing is hidden.
    #[must_use]
    pub fn piped(input: Box<dyn BufRead + Send>, output: Box<dyn Write + Send>, hints: Box<dyn Write + Send>) -> Self {
        Self::over(Box::new(Local::piped(input, output, hints)))
    }

    pub(crate) fn over(ends: Box<dyn Ends>) -> Self {
        Self { ends, agreed: false, saving: None, words: None }
    }

    /// What the operator typed. From now on no file is touched but those that stand there, and `--yes` confirms what
    /// would be confirmed.
    pub(crate) fn obey(&mut self, words: &[OsString], yes: bool) {
        self.words = Some(words.to_vec());
        self.agreed = yes;
    }

    /// The command means what it says: nothing is asked.
    pub(crate) fn agree(&mut self) {
        self.agreed = true;
    }

    /// Whether a person sits there.
    pub fn is_interactive(&self) -> bool {
        self.ends.is_interactive()
    }

    /// A line of the result.
    pub fn say(&mut self, line: impl fmt::Display) -> anyhow::Result<()> {
        let Some(Saving { path, kept }) = &mut self.saving else { return self.ends.say(&line.to_string()) };
        writeln!(kept, "{line}")?;
        if kept.len() >= KEPT {
            self.ends.append_file(path, kept, Piece::Next)?;
            kept.clear();
        }
        Ok(())
    }

    /// From now on the result goes into this file, which must be new and is for its owner alone. However long it becomes,
    /// little of it is kept; it appears with [`Terminal::save`].
    pub fn save_to(&mut self, path: &Path) -> anyhow::Result<()> {
        self.append_file(path, &[], Piece::First)?;
        self.saving = Some(Saving { path: path.to_owned(), kept: Vec::new() });
        Ok(())
    }

    /// Ends the file of [`Terminal::save_to`]; nothing where that was not asked for.
    pub fn save(&mut self) -> anyhow::Result<()> {
        match self.saving.take() {
            Some(Saving { path, kept }) => self.append_file(&path, &kept, Piece::Last),
            None => Ok(()),
        }
    }

    /// A line for the person, not for the pipe.
    pub fn hint(&mut self, line: impl fmt::Display) -> anyhow::Result<()> {
        self.ends.hint(&line.to_string())
    }

    /// One line.
    pub fn ask(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        self.ends.ask(prompt)
    }

    /// One line that is not shown while it is typed, and typed twice when `is_new`.
    pub fn ask_hidden(&mut self, prompt: &str, is_new: bool) -> anyhow::Result<Secret<String>> {
        let first = self.ends.ask_hidden(prompt)?;
        if is_new && self.is_interactive() {
            let again = self.ends.ask_hidden("The same once more")?;
            if !first.matches(again.expose().as_bytes()) {
                bail!("the two differ; nothing was changed, run the command again");
            }
        }
        Ok(first)
    }

    /// A value of any number of lines: the rest of the input, or one hidden line from a person.
    pub fn value(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        if self.is_interactive() { self.ends.ask_hidden(prompt) } else { self.ends.rest() }
    }

    /// Goes on only if the operator types `yes`, or typed `--yes` before. Ask before anything is changed.
    pub fn confirm(&mut self, question: impl fmt::Display) -> anyhow::Result<()> {
        if self.agreed {
            return Ok(());
        }
        self.hint(&question)?;
        if !self.is_interactive() {
            bail!("nobody is there to answer, so nothing was changed; to agree beforehand, run it again with --yes");
        }
        let answer = self.ask("Type yes to go on")?;
        if answer.expose().trim() != "yes" {
            bail!("that was no yes; nothing was changed");
        }
        Ok(())
    }

    /// A file where the operator is, named by them, of at most `limit` bytes.
    pub fn read_file(&mut self, path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
        self.was_named(path)?;
        self.ends.read_file(path, limit.min(LARGEST_FILE))
    }

    /// As [`Terminal::read_file`], of text.
    pub fn read_text(&mut self, path: &Path, limit: u64) -> anyhow::Result<String> {
        let bytes = self.read_file(path, limit)?;
        String::from_utf8(bytes).ok().with_context(|| format!("{} is not text in UTF-8", path.display()))
    }

    /// A file where the operator is, named by them, readable and writable by them alone.
    pub fn write_file(&mut self, path: &Path, bytes: &[u8], overwrite: Overwrite) -> anyhow::Result<()> {
        self.was_named(path)?;
        if bytes.len() as u64 > LARGEST_FILE {
            bail!("{} would be larger than {}", path.display(), size(LARGEST_FILE));
        }
        self.ends.write_file(path, bytes, overwrite)
    }

    /// The next bytes of a new file where the operator is, named by them, for them alone.
    pub(crate) fn append_file(&mut self, path: &Path, bytes: &[u8], piece: Piece) -> anyhow::Result<()> {
        self.was_named(path)?;
        self.ends.append_file(path, bytes, piece)
    }

    /// The rest of the input, where nobody sits.
    pub(crate) fn rest(&mut self) -> anyhow::Result<Secret<String>> {
        self.ends.rest()
    }

    /// The operator may be root, and whoever asks for the file a service that has been taken over.
    fn was_named(&self, path: &Path) -> anyhow::Result<()> {
        let is_it = |word: &OsString| {
            let (word, path) = (word.as_bytes(), path.as_os_str().as_bytes());
            word == path || word.strip_suffix(path).is_some_and(|option| option.ends_with(b"="))
        };
        match &self.words {
            Some(words) if !words.iter().any(is_it) => {
                bail!("{} was not named on the command line, so it is not touched", path.display())
            }
            _ => Ok(()),
        }
    }
}

/// How an operator would say a number of bytes.
pub(crate) fn size(bytes: u64) -> String {
    const KIB: u64 = 1024;
    const MIB: u64 = 1024 * KIB;
    match bytes {
        many if many >= MIB && many % MIB == 0 => format!("{} MiB", many / MIB),
        some if some >= KIB && some % KIB == 0 => format!("{} KiB", some / KIB),
        few => format!("{few} bytes"),
    }
}

#[cfg(test)]
mod tests;
