//! What is printed: a line for each figure, as soon as it is known.

use std::io::{self, Write as _};

use super::engine::Engine;

/// Counts what was met while it prints.
#[derive(Debug, Default)]
pub(super) struct Table {
    met: usize,
    missed: Vec<String>,
}

/// A figure, and how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) struct Figure {
    pub(super) is: f64,
    pub(super) unit: &'static str,
    /// Digits after the point.
    pub(super) digits: usize,
}

impl Figure {
    pub(super) const fn new(is: f64, unit: &'static str, digits: usize) -> Self {
        Self { is, unit, digits }
    }

    pub(super) fn ms(time: std::time::Duration) -> Self {
        Self::new(time.as_secs_f64() * 1000.0, "ms", 1)
    }

    fn written(self) -> String {
        let Self { is, unit, digits } = self;
        format!("{is:.digits$} {unit}").trim_end().to_owned()
    }
}

impl Table {
    pub(super) fn begin() -> anyhow::Result<Self> {
        let cores = std::thread::available_parallelism()?;
        let build =
            if cfg!(debug_assertions) { "a debug build: the figures are worth nothing" } else { "a release build" };
        writeln!(io::stdout(), "\n  {cores} cores, {build}. Load of the machine: {}.", load()?)?;
        writeln!(io::stdout(), "\n  {:<62} {:<30} {:<18} {:>6}         load", "what", "figure", "goal", "ratio")?;
        Ok(Self::default())
    }

    /// What follows is measured on this engine.
    pub(super) fn on(&self, engine: Engine) -> anyhow::Result<()> {
        Ok(writeln!(io::stdout(), "\n  {engine:?}")?)
    }

    /// A figure that may be no larger than this; where it should be nothing at all, there is no ratio.
    pub(super) fn at_most(&mut self, what: &str, figure: Figure, goal: f64) -> anyhow::Result<()> {
        let ratio = (goal > 0.0).then(|| figure.is / goal);
        self.goal(what, figure, &Figure { is: goal, ..figure }.written(), ratio, figure.is <= goal)
    }

    /// A figure that may be no smaller than this.
    pub(super) fn at_least(&mut self, what: &str, figure: Figure, goal: f64) -> anyhow::Result<()> {
        let least = format!("{} or more", Figure { is: goal, ..figure }.written());
        self.goal(what, figure, &least, Some(figure.is / goal), figure.is >= goal)
    }

    fn goal(&mut self, what: &str, figure: Figure, goal: &str, ratio: Option<f64>, is_met: bool) -> anyhow::Result<()> {
        if is_met {
            self.met += 1;
        } else {
            self.missed.push(what.to_owned());
        }
        let verdict = if is_met { "met" } else { "MISSED" };
        let ratio = ratio.map_or_else(|| "-".to_owned(), |ratio| format!("{ratio:.2}"));
        let figure = figure.written();
        Ok(writeln!(io::stdout(), "  {what:<62} {figure:<30} {goal:<18} {ratio:>6} {verdict:<7} {}", load()?)?)
    }

    /// A figure that is only to be known.
    pub(super) fn fact(&self, what: &str, figure: &str) -> anyhow::Result<()> {
        Ok(writeln!(io::stdout(), "  {what:<62} {figure}")?)
    }

    pub(super) fn end(&self) -> anyhow::Result<()> {
        let missed = if self.missed.is_empty() { "none".to_owned() } else { self.missed.join("; ") };
        Ok(writeln!(io::stdout(), "\n  Goals met: {}. Missed: {missed}.\n", self.met)?)
    }
}

/// The machine's load of the last minute: what else it does.
fn load() -> anyhow::Result<String> {
    let text = std::fs::read_to_string("/proc/loadavg")?;
    Ok(text.split_whitespace().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_beyond_its_goal_is_missed_by_name() {
        let mut table = Table::default();
        let ms = |is| Figure::new(is, "ms", 0);
        table.at_most("one", ms(100.0), 100.0).unwrap();
        table.at_most("two", ms(101.0), 100.0).unwrap();
        table.at_least("three", ms(0.6), 0.6).unwrap();
        table.at_least("four", ms(0.59), 0.6).unwrap();
        table.at_most("five", ms(1.0), 0.0).unwrap();
        assert_eq!((table.met, table.missed), (2, ["two", "four", "five"].map(str::to_owned).to_vec()));
    }
}
