//! The service at rest: its memory, and what it does in a minute in which nothing happens.

use std::{collections::BTreeMap, time::Duration};

use super::{
    BenchOptions, intake,
    load::{self, Proof},
    place::Place,
    process,
    table::Table,
};
use crate::child::Between;

/// What comes after a start is over by then.
const SETTLED: Duration = Duration::from_secs(15);

const MEMORY_MIB: f64 = 40.0;

/// Percent of one core.
const SHARE: f64 = 0.2;

const CONNECTIONS: usize = 64;

pub(super) async fn memory(options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up(options.engine).await?;
    let now = idle_memory(&place).await?;
    table.goal("memory, idle", &format!("{now:.1} MiB"), "40 MiB", now <= MEMORY_MIB)?;
    let like = intake::a_delivery(&place).await?;
    let requests = load::make(&place.sandbox.vendors.psa, &like, 1, options.deliveries, Proof::Signed)?;
    load::send(place.sandbox.service.address(), requests, CONNECTIONS).await?.only(202)?;
    let (_, most) = process::memory(place.sandbox.service.pid().await?)?;
    table.fact(&format!("memory, most under {} deliveries", options.deliveries), &format!("{:.1} MiB", mib(most)))?;
    place.sandbox.service.kill().await
}

/// In MiB, once what comes after a start is over.
pub(super) async fn idle_memory(place: &Place) -> anyhow::Result<f64> {
    tokio::time::sleep(Duration::from_secs(3)).await;
    Ok(mib(process::memory(place.sandbox.service.pid().await?)?.0))
}

fn mib(kib: u64) -> f64 {
    f64::from(u32::try_from(kib).unwrap_or(u32::MAX)) / 1024.0
}

pub(super) async fn idle(options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::new(options.engine).await?;
    place.start(Between::Counting).await?;
    tokio::time::sleep(SETTLED.min(Duration::from_secs(options.idle))).await;
    let pid = place.sandbox.service.pid().await?;
    let (cpu, calls, stored) = (process::cpu(pid)?, place.sandbox.service.calls().await?, place.stored());
    tokio::time::sleep(Duration::from_secs(options.idle)).await;
    let cpu = process::cpu(pid)? - cpu;
    let calls = more(&place.sandbox.service.calls().await?, &calls);
    let share = 100.0 * cpu.as_secs_f64() / Duration::from_secs(options.idle).as_secs_f64();
    let what = format!("{} idle seconds", options.idle);
    table.goal(&format!("{what}: CPU"), &format!("{share:.2} % of a core"), "0.2 %", share <= SHARE)?;
    let beats: u64 = calls.iter().filter(|(verb, _)| *verb == "heartbeat").map(|(_, times)| times).sum();
    let asked: u64 = calls.values().sum();
    let only_beats = asked == beats && beats <= options.idle.div_ceil(60);
    table.goal(&format!("{what}: the store is asked"), &format!("{asked} times"), "1 heartbeat", only_beats)?;
    let named: Vec<String> = calls.iter().map(|(verb, times)| format!("{verb} {times}")).collect();
    table.fact(&format!("{what}: for"), &named.join(", "))?;
    table
        .fact(&format!("{what}: database's files"), &format!("{} bytes more", place.stored().saturating_sub(stored)))?;
    place.sandbox.service.kill().await
}

/// What was counted since.
fn more(now: &BTreeMap<String, u64>, before: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let since = |(verb, times): (&String, &u64)| (verb.clone(), times - before.get(verb).unwrap_or(&0));
    now.iter().map(since).filter(|(_, times)| *times > 0).collect()
}
