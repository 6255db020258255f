//! What is printed: a line for each figure, as soon as it is known.

use std::io::{self, Write as _};

use super::engine::Engine;

/// Counts what was met while it prints.
#[derive(Debug)]
pub(super) struct Table {
    met: usize,
    missed: Vec<String>,
}

impl Table {
    pub(super) fn begin(engine: Engine) -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism()?;
        let build =
            if cfg!(debug_assertions) { "a debug build: the figures are worth nothing" } else { "a release build" };
        writeln!(io::stdout(), "\n  Engine {engine:?}, {cores} cores, {build}. Load of the machine: {}.", load()?)?;
        writeln!(io::stdout(), "\n  {:<52} {:<46} {:<18} load", "what", "figure", "goal")?;
        Ok(Self { met: 0, missed: Vec::new() })
    }

    /// A figure with a goal.
    pub(super) fn goal(&mut self, what: &str, figure: &str, goal: &str, is_met: bool) -> anyhow::Result<()> {
        if is_met {
            self.met += 1;
        } else {
            self.missed.push(what.to_owned());
        }
        let verdict = if is_met { "met" } else { "MISSED" };
        writeln!(io::stdout(), "  {what:<52} {figure:<46} {:<18} {}", format!("{goal} {verdict}"), load()?)?;
        Ok(())
    }

    /// A figure that is only to be known.
    pub(super) fn fact(&self, what: &str, figure: &str) -> anyhow::Result<()> {
        writeln!(io::stdout(), "  {what:<52} {figure:<46} {:<18} {}", "", load()?)?;
        Ok(())
    }

    pub(super) fn end(&self) -> anyhow::Result<()> {
        let missed = if self.missed.is_empty() { "none".to_owned() } else { self.missed.join("; ") };
        writeln!(io::stdout(), "\n  Goals met: {}. Missed: {missed}.\n", self.met)?;
        Ok(())
    }
}

/// The machine's load of the last minute: what else it does.
fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}
