//! The terminal that this process itself runs at.

use std::{
    ffi::OsString,
    fs::{File, OpenOptions},
    io::{self, BufRead, IsTerminal, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use anyhow::{Context, bail};
use latchkey_contract::Secret;
use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};
use zeroize::Zeroizing;

use super::{Ends, LONGEST_VALUE, NobodyReads, Overwrite, Piece, size};

pub(crate) struct Local {
    input: Box<dyn BufRead + Send>,
    output: Box<dyn Write + Send>,
    hints: Box<dyn Write + Send>,
    is_interactive: bool,
    begun: Option<Begun>,
}

/// A file that comes in pieces: it lies beside its place until it is whole, and goes when it does not come to that.
struct Begun {
    path: PathBuf,
    aside: PathBuf,
    file: File,
}

impl Local {
    pub(crate) fn standard() -> Self {
        Self {
            is_interactive: io::stdin().is_terminal(),
            input: Box::new(io::BufReader::new(io::stdin())),
            output: Box::new(io::stdout()),
            hints: Box::new(io::stderr()),
            begun: None,
        }
    }

    pub(crate) fn piped(
        input: Box<dyn BufRead + Send>,
        output: Box<dyn Write + Send>,
        hints: Box<dyn Write + Send>,
    ) -> Self {
        Self { input, output, hints, is_interactive: false, begun: None }
    }
}

impl Ends for Local {
    fn is_interactive(&self) -> bool {
        self.is_interactive
    }

    fn say(&mut self, line: &str) -> anyhow::Result<()> {
        match writeln!(self.output, "{line}").and_then(|()| self.output.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(NobodyReads.into()),
            said => Ok(said?),
        }
    }

    fn hint(&mut self, line: &str) -> anyhow::Result<()> {
        Ok(writeln!(self.hints, "{line}")?)
    }

    fn ask(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        if self.is_interactive {
            write!(self.hints, "{prompt}: ")?;
            self.hints.flush()?;
        }
        let mut line = Zeroizing::new(String::new());
        let read =
            (&mut self.input).take(LONGEST_VALUE).read_line(&mut line).context("standard input cannot be read")?;
        if read == 0 {
            bail!("standard input ended where this was expected: {prompt}");
        }
        Ok(Secret::new(line.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn ask_hidden(&mut self, prompt: &str) -> anyhow::Result<Secret<String>> {
        let _shown_again =
            if self.is_interactive { Some(Echo::off().context("the terminal cannot hide")?) } else { None };
        let line = self.ask(prompt);
        if self.is_interactive {
            writeln!(self.hints)?;
        }
        line
    }

    fn rest(&mut self) -> anyhow::Result<Secret<String>> {
        let mut text = Zeroizing::new(String::new());
        let mut bounded = (&mut self.input).take(LONGEST_VALUE + 1);
        let read = bounded.read_to_string(&mut text).context("standard input is not text that can be read")?;
        if read as u64 > LONGEST_VALUE {
            bail!("the value is longer than {}: that is not a key or a certificate", size(LONGEST_VALUE));
        }
        Ok(Secret::new(text.trim_end_matches(['\r', '\n']).to_owned()))
    }

    fn read_file(&mut self, path: &Path, limit: u64) -> anyhow::Result<Vec<u8>> {
        let unreadable = || format!("{} cannot be read", path.display());
        let file = File::open(path).with_context(unreadable)?;
        let mut bytes = Vec::new();
        let read = file.take(limit + 1).read_to_end(&mut bytes).with_context(unreadable)?;
        if read as u64 > limit {
            bail!("{} is larger than {}: that is not what is meant here", path.display(), size(limit));
        }
        Ok(bytes)
    }

    fn write_file(&mut self, path: &Path, bytes: &[u8], overwrite: Overwrite) -> anyhow::Result<()> {
        let unwritable = || format!("{} cannot be written", path.display());
        match overwrite {
            Overwrite::Never => match fresh(path, bytes) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    bail!(there(path))
                }
                written => written.with_context(unwritable),
            },
            Overwrite::Asked => replace(path, bytes).with_context(unwritable),
        }
    }

    fn append_file(&mut self, path: &Path, bytes: &[u8], piece: Piece) -> anyhow::Result<()> {
        if piece == Piece::First {
            self.begun = None;
            self.begun = Some(Begun::at(path)?);
        }
        let begun = self.begun.take().filter(|begun| begun.path == path);
        let mut begun = begun.with_context(|| format!("{} was not begun", path.display()))?;
        begun.file.write_all(bytes).with_context(|| format!("{} cannot be written", path.display()))?;
        if piece == Piece::Last {
            return begun.publish();
        }
        self.begun = Some(begun);
        Ok(())
    }
}

impl Begun {
    fn at(path: &Path) -> anyhow::Result<Self> {
        if path.symlink_metadata().is_ok() {
            bail!(there(path));
        }
        let aside = beside(path);
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside);
        let file = file.with_context(|| format!("{} cannot be written", path.display()))?;
        Ok(Self { path: path.to_owned(), aside, file })
    }

    /// The name is taken first, so that what somebody put there meanwhile is not replaced.
    fn publish(self) -> anyhow::Result<()> {
        match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => bail!(there(&self.path)),
            taken => drop(taken.with_context(|| format!("{} cannot be written", self.path.display()))?),
        }
        let moved = self.file.sync_all().and_then(|()| std::fs::rename(&self.aside, &self.path));
        moved
            .inspect_err(|_| drop(std::fs::remove_file(&self.path)))
            .with_context(|| format!("{} cannot be written", self.path.display()))
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        // Where it was moved to its place, nothing is here any more.
        let _ = std::fs::remove_file(&self.aside);
    }
}

fn there(path: &Path) -> String {
    format!("{} is there already and was left as it is; name another file", path.display())
}

/// A file that was not there before, whole or not at all.
fn fresh(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    let written = file.write_all(bytes).and_then(|()| file.sync_all());
    if written.is_err() {
        // What lies there is ours and of no use; that it could not be written is what is told.
        let _ = std::fs::remove_file(path);
    }
    written
}

/// The old file stays until the new one is whole.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let aside = beside(path);
    fresh(&aside, bytes)?;
    std::fs::rename(&aside, path).inspect_err(|_| {
        let _ = std::fs::remove_file(&aside);
    })
}

fn beside(path: &Path) -> PathBuf {
    let mut name = path.file_name().map_or_else(OsString::new, OsString::from);
    name.push(format!(".new-{}", std::process::id()));
    path.with_file_name(name)
}

/// Echo is off while this lives.
struct Echo(Termios);

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
