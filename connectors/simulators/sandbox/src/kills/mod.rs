//! `--kills`: the real service under load, killed again and again at moments that dice choose, and started again each
//! time: the sandbox's own program, whose time is moved, or the shipped one in real time. At the end everything comes to
//! rest, and what became of every request is counted at the vendors: none may be lost, no access may be left behind,
//! nothing may have happened twice.

mod count;
mod crowd;
mod doubles;
mod show;

use std::{
    io::{self, Write as _},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail, ensure};
use latchkey_contract::Clock as _;
use latchkey_simulators::graph::Licence;
use rand::{RngExt as _, SeedableRng as _, rngs::StdRng};

use crate::{
    Options,
    bench::engine::Engine,
    sandbox::{Plan, Psas, Sandbox},
};
use crowd::Crowd;
use show::Table;

/// Technicians who ask.
const TECHNICIANS: usize = 8;

/// How long a service lives, in real time, once it answers.
const LIVES: Duration = Duration::from_millis(700);

/// How long one is given, in real time, that is killed while it starts.
const STARTS: Duration = Duration::from_millis(400);

/// So many of a hundred are killed while they start.
const WHILE_STARTING: u32 = 15;

/// And so many of a hundred are left dead for a while, in which people go on.
const LEFT_DEAD: u32 = 10;

/// At the end, time moves on by this at each look.
const STEP: Duration = Duration::from_secs(4);

/// The vendors and the service work in real time: they are given this for each step.
const LOOK_AGAIN: Duration = Duration::from_millis(60);

/// Everything has to be over within this, in the sandbox's time: the longest access, and PIM's first minutes.
const REST_WITHIN: Duration = Duration::from_secs(2 * 3600);

/// An account is looked at once more ten minutes after its end. Nothing may come of it.
const AND_THEN: Duration = Duration::from_secs(12 * 60);

/// The same in real time, where everything is taken away at once and lost callbacks are found within two minutes.
const REALLY_WITHIN: Duration = Duration::from_secs(8 * 60);

/// And until an account is looked at for the first time again.
const AND_REALLY: Duration = Duration::from_secs(75);

/// In real time nobody waits for the usual poll.
const POLLED_OFTEN: &str = "\n[settings]\npoll_minutes = 1\n";

/// What happened, beside what is counted.
#[derive(Debug, Default)]
struct Happened {
    kills: u32,
    while_starting: u32,
    starts: Vec<Duration>,
    to_rest: Duration,
}

/// Runs it; the error names what was wrong.
pub(crate) async fn run(options: &Options, kills: u32) -> anyhow::Result<()> {
    let seed = options.seed.unwrap_or_else(|| rand::rng().random_range(0..1_000_000));
    let plan = plan(options)?;
    let of = plan.binary.as_ref().map_or("the sandbox's own program".to_owned(), |path| path.display().to_string());
    writeln!(io::stdout(), "\n  {kills} times kill -9 of {of}, under load. The dice begin at --seed {seed}.")?;
    let sandbox = Sandbox::set_up(options.data.as_deref(), &plan).await?;
    // The tenant lets an application delete for good, so that what a burner leaves behind can be counted.
    sandbox.vendors.directory.sim.knobs(|knobs| knobs.permanent_delete_app_allowed = true);
    let started = Instant::now();
    let mut happened = Happened::default();
    let mut crowd = Crowd::new(&sandbox, StdRng::seed_from_u64(seed));
    sandbox.service.start().await?;
    sandbox.service.ready().await?;
    // The PSA's audit trail counts whole seconds: nothing is asked in the second in which the mappings came into force.
    sandbox.service.advance(Duration::from_secs(2)).await?;
    let mut dice = StdRng::seed_from_u64(seed.wrapping_add(1));
    for cycle in 1..=kills {
        live_and_die(&sandbox, &mut crowd, &mut dice, &mut happened).await.with_context(|| format!("kill {cycle}"))?;
        if cycle.is_multiple_of(50) {
            writeln!(
                io::stdout(),
                "  {cycle} kills, {} requests, {} s",
                crowd.asked.len(),
                started.elapsed().as_secs()
            )?;
        }
    }
    let resting = Instant::now();
    come_to_rest(&sandbox, &mut crowd).await?;
    happened.to_rest = resting.elapsed();
    let end = sandbox.clock.now();
    sandbox.service.stop().await?;
    let counted = count::count(&sandbox, &crowd.asked, end).await?;
    let table = Table { happened: &happened, crowd: &crowd, counted: &counted, seed, took: started.elapsed() };
    writeln!(io::stdout(), "{table}")?;
    match counted.wrong.as_slice() {
        [] => Ok(()),
        wrong => bail!("{} things are wrong (--seed {seed}):\n  {}", wrong.len(), wrong.join("\n  ")),
    }
}

fn plan(options: &Options) -> anyhow::Result<Plan> {
    let engine = options.engine.unwrap_or(Engine::Sqlite);
    ensure!(engine.is_here(), "there is no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)");
    let (crowd, mode, psas, settings) = (TECHNICIANS, "burner", Psas::ConnectWise, engine.fresh()?);
    let plan = Plan { crowd, mode, psas, settings, ..Plan::default() };
    let Some(binary) = &options.binary else { return Ok(plan) };
    let binary = binary.canonicalize().with_context(|| format!("there is no program {}", binary.display()))?;
    // PIM takes no role in its first five minutes.
    Ok(Plan { binary: Some(binary), licence: Licence::Free, rules: POLLED_OFTEN.to_owned(), ..plan })
}

/// One life of the service, from its start to its kill.
async fn live_and_die(
    sandbox: &Sandbox,
    crowd: &mut Crowd<'_>,
    dice: &mut StdRng,
    happened: &mut Happened,
) -> anyhow::Result<()> {
    let started = Instant::now();
    sandbox.service.start().await?;
    if dice.random_range(0..100) < WHILE_STARTING {
        tokio::time::sleep(dice.random_range(Duration::ZERO..STARTS)).await;
        happened.while_starting += 1;
    } else {
        sandbox.service.ready().await?;
        happened.starts.push(started.elapsed());
        let end = Instant::now() + dice.random_range(Duration::ZERO..LIVES);
        while Instant::now() < end {
            crowd.act().await?;
            tokio::time::sleep(dice.random_range(Duration::ZERO..Duration::from_millis(40))).await;
        }
    }
    sandbox.service.kill().await?;
    happened.kills += 1;
    if dice.random_range(0..100) < LEFT_DEAD {
        crowd.act().await?;
        sandbox.service.skip(dice.random_range(Duration::ZERO..Duration::from_secs(60))).await?;
    }
    crowd.hang_up().await;
    Ok(())
}

/// Nobody asks any more; time moves on until nothing is left to do, and a while longer.
async fn come_to_rest(sandbox: &Sandbox, crowd: &mut Crowd<'_>) -> anyhow::Result<()> {
    sandbox.service.start().await?;
    sandbox.service.ready().await?;
    crowd.go_home().await?;
    let (within, and_then) = match sandbox.service.is_shipped() {
        true => (REALLY_WITHIN, AND_REALLY),
        false => (REST_WITHIN, AND_THEN),
    };
    if sandbox.service.is_shipped() {
        crowd.end_all().await;
    }
    let mut passed = Duration::ZERO;
    while !count::is_over(sandbox, &crowd.asked) && passed < within {
        passed += pass(sandbox).await?;
    }
    let end = passed + and_then;
    while passed < end {
        passed += pass(sandbox).await?;
    }
    sandbox.vendors.connectwise.sim.settled().await;
    Ok(())
}

async fn pass(sandbox: &Sandbox) -> anyhow::Result<Duration> {
    sandbox.service.advance(STEP).await?;
    tokio::time::sleep(LOOK_AGAIN).await;
    Ok(STEP)
}
