//! The seeded simulation: the product's own decisions, steps and jobs over a model directory, a model PSA, a model store
//! and a virtual clock, while everything breaks that can; I1 to I14 are asked from outside, all the time and at the end.
//!
//! ```text
//! cargo test --test simulation                              a short run
//! cargo test --test simulation -- --grants 1000000          a long one
//! cargo test --test simulation -- --seed 4711               one world again, with its history
//! cargo test --test simulation -- --seed 4 --plant not-synced
//! ```
//!
//! Each world has its own seed; two runs of one seed are the same to the last hash of the audit chain. What is not in it:
//! the queue's threads and apalis, HTTP and wire formats, SQL, mail, pages. Those have tests of their own.

#![allow(clippy::print_stdout, reason = "a program whose output is what it is for")]

mod accounts;
mod call;
mod check;
mod directory;
mod disk;
mod ledger;
#[path = "../../src/store/model/mod.rs"]
mod model;
mod operator;
mod plant;
mod process;
mod psa;
mod rules;
mod run;
mod story;
mod world;

use std::{
    collections::BTreeMap,
    process::ExitCode,
    time::{Duration, Instant},
};

use latchkey::{access, audit, clock, clock_guard, http, jobs, random, registry, rulebook, seal, store};

use crate::{
    plant::Plant,
    run::{Outcome, run},
};

/// In a run of which nothing is asked.
const SHORT: u64 = 1_000;

/// Tickets of one world.
const TICKETS: u64 = 120;

/// So many worlds are looked at for a planted bug before it counts as not found.
const WORLDS_PER_PLANT: u64 = 40;

/// Lines of a history that are shown.
const LINES: usize = 80;

/// What is asked of this run.
#[derive(Debug, Default)]
struct Asked {
    grants: Option<u64>,
    seed: Option<u64>,
    plant: Option<Plant>,
}

impl Asked {
    /// `None` when somebody looks for tests of another name.
    fn of(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut asked = Self::default();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            let number = |text: String| text.replace('_', "").parse().map_err(|_| format!("{text:?} is no number"));
            match word.as_str() {
                "--grants" => asked.grants = Some(number(value()?)?),
                "--seed" => asked.seed = Some(number(value()?)?),
                "--plant" => asked.plant = Some(value()?.parse()?),
                "simulation" => {}
                // Words of the test harness, which this is none of.
                word if word.starts_with("--") => {}
                _ => return Ok(None),
            }
        }
        Ok(Some(asked))
    }
}

fn main() -> ExitCode {
    let asked = match Asked::of(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => return ExitCode::SUCCESS,
        Err(why) => {
            println!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let _ = rustls::crypto::ring::default_provider().install_default();
    quiet_about_planned_panics();
    let is_well = match asked.seed {
        Some(seed) => again(seed, asked.plant),
        None => twice_the_same() && planted() && ordinary(asked.grants.unwrap_or(SHORT)),
    };
    if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn quiet_about_planned_panics() {
    let loud = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.payload().downcast_ref::<String>().is_none_or(|text| text != call::PLANNED) {
            loud(panic);
        }
    }));
}

/// One world once more, with what happened in it.
fn again(seed: u64, plant: Option<Plant>) -> bool {
    let outcome = run(seed, TICKETS, plant, true);
    println!("seed {seed}: {} grants, {} steps, head {}", outcome.grants, outcome.steps, outcome.head);
    show(&outcome);
    outcome.broken.is_none()
}

fn show(outcome: &Outcome) {
    let Some(broken) = &outcome.broken else { return };
    println!(
        "{} is broken in seed {}, at step {}, {} ms: {}",
        broken.invariant, outcome.seed, broken.step, broken.at, broken.what
    );
    let lines = &outcome.history;
    let left = lines.len().saturating_sub(LINES);
    if left > 0 {
        println!("  ({left} earlier lines about it are left out)");
    }
    lines.iter().skip(left).for_each(|line| println!("  {line}"));
}

fn twice_the_same() -> bool {
    let [one, other] = [1, 1].map(|seed| run(seed, TICKETS, None, false));
    let is_same = (one.steps, &one.head, one.grants) == (other.steps, &other.head, other.grants);
    println!("one seed, two runs: {}", if is_same { "the same" } else { "NOT the same" });
    is_same
}

/// Each planted bug is found, or this is no simulation.
fn planted() -> bool {
    let mut is_well = true;
    for plant in Plant::ALL {
        let found =
            (1..=WORLDS_PER_PLANT).map(|seed| run(seed, TICKETS, Some(plant), false)).find(|o| o.broken.is_some());
        match found.as_ref().and_then(|outcome| Some((outcome.seed, outcome.broken.as_ref()?))) {
            Some((seed, broken)) => {
                println!(
                    "planted {plant}: found in seed {seed} at step {}: {} {}",
                    broken.step, broken.invariant, broken.what
                );
            }
            None => {
                println!("planted {plant}: NOT found in {WORLDS_PER_PLANT} worlds");
                is_well = false;
            }
        }
    }
    is_well
}

fn ordinary(grants: u64) -> bool {
    let (begun, mut given, mut worlds, mut steps) = (Instant::now(), 0, 0, 0);
    let (mut faults, mut checks): (BTreeMap<_, u64>, BTreeMap<_, u64>) = Default::default();
    let mut overhangs = Vec::new();
    while given < grants {
        worlds += 1;
        let outcome = run(worlds, TICKETS, None, false);
        if outcome.broken.is_some() {
            show(&run(worlds, TICKETS, None, true));
            println!("again: cargo test --test simulation -- --seed {worlds}");
            return false;
        }
        given += outcome.grants;
        steps += outcome.steps;
        outcome.faults.into_iter().for_each(|(kind, n)| *faults.entry(kind).or_default() += n);
        outcome.checks.into_iter().for_each(|(kind, n)| *checks.entry(kind).or_default() += n);
        overhangs.extend(outcome.overhangs);
    }
    overhangs.sort_unstable();
    let at = |n: usize| {
        Duration::from_millis(
            overhangs
                .get((overhangs.len() * n / 1000).min(overhangs.len().saturating_sub(1)))
                .copied()
                .and_then(|ms| u64::try_from(ms).ok())
                .unwrap_or(0),
        )
    };
    println!("{given} grants in {worlds} worlds, {steps} steps, {:.1} s", begun.elapsed().as_secs_f64());
    println!("faults: {}", list(&faults));
    println!("asked: {}", list(&checks));
    println!(
        "power that stood after its end, of {} times it was given: p50 {:?}, p99 {:?}, worst {:?}",
        overhangs.len(),
        at(500),
        at(990),
        at(1000)
    );
    true
}

fn list(counts: &BTreeMap<&'static str, u64>) -> String {
    counts.iter().map(|(kind, n)| format!("{kind} {n}")).collect::<Vec<_>>().join(", ")
}
