//! The seeded simulation: the product's own decisions, steps and jobs over a model directory, a model PSA, a model store
//! and a virtual clock, while everything breaks that can; I1 to I14 are asked from outside, all the time and at the end.
//!
//! ```text
//! cargo test --test simulation                              300 grants, whenever anything is tested
//! cargo --config tests/optimised.toml test --test simulation -- --grants 1000000
//! cargo test --test simulation -- --seed 4711               one world again, with what happened before something broke
//! cargo test --test simulation -- --seed 4 --plant not-synced
//! ```
//!
//! A world is three hours in which some 120 tickets ask, and the days until the last of them is settled. Each has its own
//! seed: all that happens in it is drawn from that, by one thread, so two runs of one seed are the same to the last draw
//! and the last hash of the audit chain. Every run plays one seed twice and compares; plays five bugs that are planted
//! around the product, and fails where one of them is not found; then plays the product as it is. From 10,000 grants on it
//! fails, too, where one kind of fault was never put in, or one invariant never asked.
//!
//! What is the product's own here: reading a ticket, deciding, each step of a grant, convergence, notes, deliveries, polls,
//! presence, looks, sweeps, holds, changed rules, approvals, ends by hand, the guarded clock, sealed secrets, the registry,
//! and what the Entra connector wants done next.
//!
//! What breaks: processes die at any commit and in any call; commits fail, or are made and the answer is lost; reads fail;
//! calls fail, are throttled, time out with and without their effect, take effect after whoever made them has died, answer
//! what cannot be read, panic; vendors are down or refuse our rights for minutes; directories show accounts and roles late,
//! lose roles, keep a time-bound role for its first five minutes; webhooks come late, twice, never; people save tickets
//! beside each other, move, close and delete them; accounts are enabled by hand; the audit chain takes nothing; our wall
//! clock jumps forward, or is set back and right again, also across restarts.
//!
//! What is not in it and has tests of its own: the queue's threads and apalis (its promises are kept by `process`), a second
//! process at the same time, SQL and a full disk, HTTP, signatures and wire formats, tokens and their expiry, mail, pages and
//! sign-in, restored copies, starts that are scheduled, accounts that people had before. No fault
//! lasts longer than an hour: a vendor that is gone for days is not in it either.

#![allow(clippy::print_stdout, reason = "a program whose output is what it is for")]

mod accounts;
mod call;
mod check;
mod directory;
mod disk;
mod ledger;
mod met;
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
    num::NonZeroUsize,
    panic::AssertUnwindSafe,
    process::ExitCode,
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc,
    },
    time::{Duration, Instant},
};

use latchkey::{access, audit, clock, clock_guard, http, jobs, random, registry, rulebook, seal, store};

use crate::{
    plant::Plant,
    run::{Outcome, run},
};

/// In a run of which nothing is asked: cheap enough to be there whenever anything is tested, unoptimised too.
const SHORT: u64 = 300;

/// Tickets of one world.
const TICKETS: u64 = 120;

/// So many worlds are looked at for a planted bug before it counts as not found.
const WORLDS_PER_PLANT: u64 = 40;

/// Lines of a history that are shown.
const LINES: usize = 80;

/// Words without a value that cargo and people give to every test program alike.
const OF_THE_HARNESS: [&str; 8] =
    ["--quiet", "-q", "--nocapture", "--no-capture", "--show-output", "--include-ignored", "--ignored", "--exact"];

/// What is asked of this run.
#[derive(Debug, Default)]
struct Asked {
    grants: Option<u64>,
    seed: Option<u64>,
    plant: Option<Plant>,
}

impl Asked {
    /// `None` when somebody looks for tests of another name.
    fn of(words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let (mut asked, mut is_another) = (Self::default(), false);
        // `--grants=N` is `--grants N`.
        let mut words = words.flat_map(|word| match word.split_once('=') {
            Some((name, value)) if word.starts_with("--") => vec![name.to_owned(), value.to_owned()],
            _ => vec![word],
        });
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} wants a value"));
            let number = |text: String| text.replace('_', "").parse().map_err(|_| format!("{text:?} is no number"));
            match word.as_str() {
                "--grants" => asked.grants = Some(number(value()?)?),
                "--seed" => asked.seed = Some(number(value()?)?),
                "--plant" => asked.plant = Some(value()?.parse()?),
                "simulation" => {}
                // Words of the test harness, which this is none of.
                "--test-threads" | "--skip" | "--color" | "--format" => drop(value()?),
                word if OF_THE_HARNESS.contains(&word) => {}
                word if word.starts_with('-') => return Err(format!("{word} is no option of the simulation")),
                _ => is_another = true,
            }
        }
        Ok((!is_another).then_some(asked))
    }
}

fn main() -> ExitCode {
    let asked = match Asked::of(std::env::args().skip(1)) {
        Ok(Some(asked)) => asked,
        Ok(None) => {
            println!("the simulation was not run: a test of another name was asked for");
            return ExitCode::SUCCESS;
        }
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
    println!("seed {seed}: {} grants, {}", outcome.grants, trace(&outcome));
    show(&outcome);
    outcome.broken.is_none()
}

fn trace(outcome: &Outcome) -> String {
    format!("{} steps, trace {:016x}, audit head {}", outcome.steps, outcome.trace, outcome.head)
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

/// One seed is one run, whoever runs it beside what, and whether or not its history is written down.
fn twice_the_same() -> bool {
    let [one, other] = std::thread::scope(|scope| {
        [false, true]
            .map(|is_told| scope.spawn(move || run(1, TICKETS, None, is_told)))
            .map(|running| running.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    let is_same = one.is_as(&other);
    println!("seed 1, twice at once: {}: {}", if is_same { "the same" } else { "NOT the same" }, trace(&one));
    if !is_same {
        println!("  and {}", trace(&other));
    }
    is_same
}

/// Each planted bug is found, or this is no simulation.
fn planted() -> bool {
    // Each is looked for, also after one that was not found.
    let found: Vec<bool> = Plant::ALL.into_iter().map(is_found).collect();
    found.into_iter().all(|is_found| is_found)
}

fn is_found(plant: Plant) -> bool {
    let (mut is_well, mut looked_at) = (false, 0);
    in_parallel(
        |seed| (seed <= WORLDS_PER_PLANT).then(|| run(seed, TICKETS, Some(plant), false)),
        |outcome| {
            looked_at += 1;
            let Some(broken) = &outcome.broken else { return true };
            println!(
                "planted {plant}: found in seed {} at step {}, after {looked_at} worlds: {} {}\n  \
                 again: cargo test --test simulation -- --seed {} --plant {plant}",
                outcome.seed, broken.step, broken.invariant, broken.what, outcome.seed
            );
            is_well = true;
            false
        },
    );
    if !is_well {
        println!("planted {plant}: NOT found in {looked_at} worlds");
    }
    is_well
}

/// Plays worlds by seeds from 1 on, one on each core at a time, until there is none or nobody wants another. What they came
/// to is handed over in the order of the seeds, so that two runs say the same.
fn in_parallel(play: impl Fn(u64) -> Option<Outcome> + Sync, mut wants_more: impl FnMut(Outcome) -> bool) {
    let (next, is_over) = (AtomicU64::new(1), AtomicBool::new(false));
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    std::thread::scope(|scope| {
        let (hand, handed) = mpsc::channel();
        for _ in 0..cores {
            let (hand, play, next, is_over) = (hand.clone(), &play, &next, &is_over);
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    let played = std::panic::catch_unwind(AssertUnwindSafe(|| play(seed)));
                    let is_last = !matches!(played, Ok(Some(_)));
                    if hand.send((seed, played)).is_err() || is_last {
                        return;
                    }
                }
            });
        }
        drop(hand);
        let mut waiting = BTreeMap::new();
        for wanted in 1_u64.. {
            while !waiting.contains_key(&wanted) {
                let Ok((seed, played)) = handed.recv() else { return };
                waiting.insert(seed, played);
            }
            let is_wanted = match waiting.remove(&wanted) {
                Some(Ok(Some(outcome))) => wants_more(outcome),
                Some(Err(panic)) => {
                    println!("seed {wanted} panicked");
                    std::panic::resume_unwind(panic)
                }
                _ => false,
            };
            if !is_wanted {
                is_over.store(true, Ordering::Relaxed);
                return;
            }
        }
    });
}

fn ordinary(grants: u64) -> bool {
    let begun = Instant::now();
    let (mut sum, mut broken) = (Sum::default(), None);
    in_parallel(
        |seed| Some(run(seed, TICKETS, None, false)),
        |outcome| {
            if outcome.broken.is_some() {
                broken = Some(outcome);
                return false;
            }
            sum.add(outcome);
            sum.grants < grants
        },
    );
    let Some(broken) = broken else { return sum.print(begun.elapsed(), grants >= met::LONG) };
    let told = run(broken.seed, TICKETS, None, true);
    show(&told);
    println!("run once more: {}", if told.is_as(&broken) { "exactly the same" } else { "NOT the same" });
    println!("again: cargo test --test simulation -- --seed {}", broken.seed);
    false
}

/// What the worlds came to.
#[derive(Default)]
struct Sum {
    grants: u64,
    worlds: u64,
    steps: u64,
    faults: BTreeMap<&'static str, u64>,
    checks: BTreeMap<&'static str, u64>,
    overhangs: Vec<i64>,
}

impl Sum {
    fn add(&mut self, outcome: Outcome) {
        self.grants += outcome.grants;
        self.worlds += 1;
        self.steps += outcome.steps;
        outcome.faults.into_iter().for_each(|(kind, n)| *self.faults.entry(kind).or_default() += n);
        outcome.checks.into_iter().for_each(|(kind, n)| *self.checks.entry(kind).or_default() += n);
        self.overhangs.extend(outcome.overhangs);
    }

    /// Answers whether it met what it had to.
    fn print(mut self, took: Duration, is_long: bool) -> bool {
        let (grants, seconds) = (self.grants, took.as_secs_f64());
        println!(
            "{grants} grants in {} worlds, {} steps, {seconds:.1} s: {:.0} grants a second, nothing broken",
            self.worlds,
            self.steps,
            grants as f64 / seconds
        );
        println!("faults: {}", list(&self.faults));
        println!("asked: {}", list(&self.checks));
        self.overhangs.sort_unstable();
        let all = &self.overhangs;
        let at = |n: usize| {
            let ms = all.get((all.len() * n / 1000).min(all.len().saturating_sub(1))).copied();
            Duration::from_millis(ms.and_then(|ms| u64::try_from(ms).ok()).unwrap_or(0))
        };
        println!(
            "power that stood after its end, of {} times it was given: p50 {:?}, p99 {:?}, worst {:?}",
            all.len(),
            at(500),
            at(990),
            at(1000)
        );
        self.has_met_all(is_long)
    }

    /// A short run need not meet everything. What is met and in no list is wrong in any.
    fn has_met_all(&self, is_long: bool) -> bool {
        let (missing, unlisted) = (met::missing(&self.faults, &self.checks), met::unlisted(&self.faults, &self.checks));
        if !missing.is_empty() {
            let asks = if is_long { "a run of so many grants has to meet it" } else { "so short a run need not" };
            println!("NOT met: {}; {asks}", missing.join(", "));
        }
        if !unlisted.is_empty() {
            println!("met, and in no list: {}", unlisted.join(", "));
        }
        unlisted.is_empty() && (missing.is_empty() || !is_long)
    }
}

fn list(counts: &BTreeMap<&'static str, u64>) -> String {
    counts.iter().map(|(kind, n)| format!("{kind} {n}")).collect::<Vec<_>>().join(", ")
}
