//! The service at rest: its memory, and what it does in a minute in which nothing happens.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use anyhow::ensure;

use super::{
    BenchOptions,
    engine::Engine,
    intake,
    load::{self, Proof},
    place::Place,
    process,
    table::{Figure, Table},
};
use crate::child::Between;

/// What comes after a start is over by then.
const SETTLED: Duration = Duration::from_secs(15);

/// Nothing for so long is at rest: what failed is tried again sooner.
const SILENCE: Duration = Duration::from_secs(5);

/// No backlog may take longer.
const WITHIN: Duration = Duration::from_secs(900);

const MEMORY_MIB: f64 = 40.0;

/// Percent of one core.
const SHARE: f64 = 0.2;

const CONNECTIONS: usize = 64;

pub(super) async fn memory(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up(engine).await?;
    let now = idle_memory(&place).await?;
    table.at_most("memory, idle", Figure::new(now, "MiB", 1), MEMORY_MIB)?;
    let like = intake::a_delivery(&place).await?;
    let requests = load::make(&place.sandbox.vendors.connectwise, &like, 1, options.deliveries, Proof::Signed)?;
    load::send(place.sandbox.service.address(), requests, CONNECTIONS).await?.only(202)?;
    let most = most_memory(&place).await?;
    table.fact(&format!("memory, most under {} deliveries", options.deliveries), &format!("{most:.1} MiB"))?;
    place.sandbox.service.kill().await
}

/// In MiB, once what comes after a start is over.
pub(super) async fn idle_memory(place: &Place) -> anyhow::Result<f64> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(mib(process::memory(place.sandbox.service.pid().await?)?.0))
}

/// In MiB, the most since the service was started.
pub(super) async fn most_memory(place: &Place) -> anyhow::Result<f64> {
    Ok(mib(process::memory(place.sandbox.service.pid().await?)?.1))
}

fn mib(kib: u64) -> f64 {
    whole(kib) / 1024.0
}

pub(super) fn whole(number: u64) -> f64 {
    f64::from(u32::try_from(number).unwrap_or(u32::MAX))
}

pub(super) async fn idle(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::new(engine).await?;
    place.start(Between::Counting).await?;
    let stored = place.written()?;
    engine.looks_after_itself(false)?;
    let Nothing { share, calls, transactions } = nothing_happens(&place, options.idle).await?;
    engine.looks_after_itself(true)?;
    let what = format!("{} idle seconds", options.idle);
    table.at_most(&format!("{what}: CPU"), Figure::new(share, "% of a core", 2), SHARE)?;
    let times = |is_beat: bool| calls.iter().filter(move |(verb, _)| (*verb == "heartbeat") == is_beat);
    let (beats, others) = (times(true).map(|(_, n)| *n).sum(), times(false).map(|(_, n)| *n).sum());
    let minutes = f64::from(u32::try_from(options.idle.div_ceil(60))?);
    table.at_most(&format!("{what}: heartbeats"), Figure::new(whole(beats), "", 0), minutes)?;
    table.at_most(&format!("{what}: the store is asked anything else"), Figure::new(whole(others), "times", 0), 0.0)?;
    if others > 0 {
        let named: Vec<String> = times(false).map(|(verb, times)| format!("{verb} {times}")).collect();
        table.fact(&format!("{what}: for"), &named.join(", "))?;
    }
    let counted = match engine {
        Engine::Sqlite => "that wrote, by the log's index",
        Engine::Postgres => "that wrote or read, by pg_stat_database",
    };
    table.fact(&format!("{what}: transactions at the engine itself"), &format!("{transactions} {counted}"))?;
    table.fact(&format!("{what}: database's files"), &format!("{} bytes more", place.written()? - stored))?;
    place.sandbox.service.kill().await
}

/// What was done in seconds in which nothing happens.
#[derive(Debug)]
pub(super) struct Nothing {
    /// Percent of a core.
    pub(super) share: f64,
    /// What the store was asked.
    pub(super) calls: BTreeMap<String, u64>,
    /// What the engine itself counted: a server's sessions tell it up to ten seconds later, before and after alike.
    pub(super) transactions: u64,
}

/// Seconds in which nothing happens.
pub(super) async fn nothing_happens(place: &Place, seconds: u64) -> anyhow::Result<Nothing> {
    let time = Duration::from_secs(seconds);
    tokio::time::sleep(SETTLED.min(time)).await;
    let transactions = place.transactions()?;
    let pid = place.sandbox.service.pid().await?;
    let (cpu, calls) = (process::cpu(pid)?, place.sandbox.service.calls().await?);
    tokio::time::sleep(time).await;
    let cpu = process::cpu(pid)? - cpu;
    let calls = more(&place.sandbox.service.calls().await?, &calls);
    let transactions = place.transactions()? - transactions;
    Ok(Nothing { share: 100.0 * cpu.as_secs_f64() / time.as_secs_f64(), calls, transactions })
}

/// Until what was left to do is done: seconds in which the store is asked nothing.
pub(super) async fn until_nothing_happens(place: &Place) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut before = place.sandbox.service.calls().await?;
    loop {
        tokio::time::sleep(SILENCE).await;
        let now = place.sandbox.service.calls().await?;
        if more(&now, &before).is_empty() {
            return Ok(());
        }
        ensure!(
            started.elapsed() < WITHIN,
            "the service does not come to rest; see {}",
            place.sandbox.service.log().display()
        );
        before = now;
    }
}

/// What was counted since.
pub(super) fn more(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let since = |(verb, times): (&String, &u64)| (verb.clone(), times - before.get(verb).unwrap_or(&0));
    now.iter().map(since).filter(|(_, times)| *times > 0).collect()
}
