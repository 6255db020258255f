//! `bench`: what the service costs and how fast it is, measured from outside on this machine, each figure beside its goal.
//!
//! The load, the pretend vendors and the service share the machine's cores: what is compared is measured in one run, and
//! the ratio says more than the figure. What else the machine does meanwhile is printed beside it.

mod arrive;
mod beside;
mod ends;
pub(crate) mod engine;
mod fill;
mod forged;
mod growth;
mod intake;
mod load;
mod place;
mod process;
mod rest;
mod restart;
mod table;
mod vendor_time;

use clap::{Args, ValueEnum};

use engine::Engine;
use table::Table;

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Line {
    /// Durable intake, against the same door without the database
    Intake,
    /// Deliveries that prove nothing
    Forged,
    /// From the click in the PSA to the credentials, without the vendors' time
    Click,
    /// The three PSAs beside each other: what a proof costs, and what a request does
    Beside,
    /// How late removals begin while many grants wait
    Lateness,
    /// Many ends in one second under Graph's quotas
    Burst,
    /// The first overdue removal after kill -9
    Overdue,
    /// Memory, idle and under load
    Memory,
    /// From start to the first answer
    Start,
    /// A minute in which nothing happens
    Idle,
    /// The same with ever more stored grants
    Growth,
}

#[derive(Debug, Args)]
pub(crate) struct BenchOptions {
    /// Only this line; may be repeated [default: every line]
    #[arg(long = "line", value_enum)]
    lines: Vec<Line>,
    /// Grants that are stored and wait
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    grants: usize,
    /// Deliveries for each measurement at the door
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = at_least_one)]
    deliveries: usize,
    /// Requests from click to credentials
    #[arg(long, value_name = "N", default_value_t = 200, value_parser = at_least_one)]
    clicks: usize,
    /// Ends spread over half a minute
    #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = at_least_one)]
    ends: usize,
    /// Ends in one second; 10,000 take four minutes, as long as Graph's quota makes them
    #[arg(long, value_name = "N", default_value_t = 3_000, value_parser = at_least_one)]
    burst: usize,
    /// How far stored grants grow, tenfold from 1,000; 1,000,000 take twenty minutes
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    grown: usize,
    /// Seconds in which nothing happens
    #[arg(long, value_name = "S", default_value_t = 60)]
    idle: u64,
    /// Only on this engine; may be repeated [default: intake on each that is here, every other line on sqlite]
    #[arg(long = "engine", value_enum)]
    engines: Vec<Engine>,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("is not a whole number".to_owned()),
    }
}

/// Measures what was asked for. A goal that is missed is no error: figures depend on the machine.
pub(crate) async fn run(options: &BenchOptions) -> anyhow::Result<()> {
    let lines = match options.lines.as_slice() {
        [] => Line::value_variants(),
        some => some,
    };
    let mut table = Table::begin()?;
    let mut last = None;
    for line in lines {
        for engine in options.engines_of(*line) {
            if last.replace(engine) != Some(engine) {
                table.on(engine)?;
            }
            if !engine.is_here() {
                table.fact("not measured", "it is not on this machine")?;
                continue;
            }
            // Boxed: each is large, and they run one after the other.
            match line {
                Line::Intake => Box::pin(intake::measure(engine, options, &mut table)).await?,
                Line::Forged => Box::pin(forged::measure(engine, options, &mut table)).await?,
                Line::Click => Box::pin(arrive::measure(engine, options, &mut table)).await?,
                Line::Beside => Box::pin(beside::measure(engine, options, &mut table)).await?,
                Line::Lateness => Box::pin(ends::lateness(engine, options, &mut table)).await?,
                Line::Burst => Box::pin(ends::burst(engine, options, &mut table)).await?,
                Line::Overdue => Box::pin(restart::overdue(engine, options, &mut table)).await?,
                Line::Memory => Box::pin(rest::memory(engine, options, &mut table)).await?,
                Line::Start => Box::pin(restart::cold(engine, &mut table)).await?,
                Line::Idle => Box::pin(rest::idle(engine, options, &mut table)).await?,
                Line::Growth => Box::pin(growth::measure(engine, options, &table)).await?,
            }
        }
    }
    table.end()
}

impl BenchOptions {
    fn engines_of(&self, line: Line) -> Vec<Engine> {
        match self.engines.as_slice() {
            [] if line == Line::Intake => Engine::value_variants().to_vec(),
            [] => vec![Engine::Sqlite],
            some => some.to_vec(),
        }
    }
}
