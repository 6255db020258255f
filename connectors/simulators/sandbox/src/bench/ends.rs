//! Ends in great number: how late they begin while many grants wait, and how long many at once take under Graph's quotas.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use latchkey_contract::{Clock as _, Timestamp};
use latchkey_simulators::{
    Call,
    fault::{Act, Fault},
    graph::Throttle,
};

use super::{
    BenchOptions,
    engine::Engine,
    fill::{End, Sample},
    load::{count, percentile},
    place::Place,
    table::{Figure, Table},
};
use crate::{child::Between, tenant::TENANT};

/// The ends are spread over this.
const SPREAD: Duration = Duration::from_secs(30);

/// The first comes so long after everything was stored: longer than storing it takes.
const FIRST: Duration = Duration::from_secs(3 * 3600);

/// Once the service is up, time moves to this before the first.
const QUIET: Duration = Duration::from_secs(5);

/// After the first has fallen due: all have, and what was begun until then is written.
const ALL_DUE: Duration = Duration::from_secs(3);

/// Graph's quota of an application in a large tenant.
const QUOTA: Throttle = Throttle { units: 8_000, window_ms: 10_000, sends_retry_after: true };

/// The same, for a second.
const PER_SECOND: f64 = 800.0;
const _: () = assert!(QUOTA.units == 8_000 && QUOTA.window_ms == 10_000);

/// No measurement may take longer.
const WITHIN: Duration = Duration::from_secs(1200);

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Looking at so many accounts takes time from who is measured.
const LOOK_AT_ALL: Duration = Duration::from_millis(500);

pub(super) async fn lateness(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up_among(engine, options.grants).await?;
    let sample = Sample::make(&place).await?;
    let opened = place.open().await?;
    sample.wait((&place, opened.store().as_ref()), place.sandbox.clock.now(), 0, options.grants).await?;
    opened.close().await;
    let late = late(&place, &sample, options.ends, SPREAD).await?;
    let (p50, p99) = (percentile(&late, 50), percentile(&late, 99));
    let what = format!("lateness of {} ends, {} grants wait", late.len(), options.grants);
    table.at_most(&format!("{what}: p50"), Figure::ms(p50), 15.0)?;
    table.at_most(&format!("{what}: p99"), Figure::ms(p99), 1000.0)?;
    place.sandbox.service.kill().await
}

/// How late so many removals begin, sorted: from their time to the first question about them. The service is down before,
/// and up afterwards.
pub(super) async fn late(
    place: &Place,
    sample: &Sample,
    many: usize,
    spread: Duration,
) -> anyhow::Result<Vec<Duration>> {
    let opened = place.open().await?;
    let (first, many) = (place.sandbox.clock.now() + FIRST, u32::try_from(many)?);
    let dues = (0..many).map(|n| (first + spread * n / many, true));
    let ends = sample.ends(place, opened.store().as_ref(), dues).await?;
    opened.close().await;
    let seen = Seen::listen(place);
    shortly_before(place, first).await?;
    until_seen(place, &ends, &seen).await?;
    let first = seen.lock();
    let mut late: Vec<Duration> =
        ends.iter().filter_map(|end| Some(first.asked.get(&end.object)?.since(end.due))).collect();
    late.sort();
    Ok(late)
}

pub(super) async fn burst(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up_among(engine, options.burst).await?;
    let sample = Sample::make(&place).await?;
    let Burst { took, units, optimum, roles_first } = burst_of(&place, &sample, options.burst).await?;
    let what = format!("{} ends in one second under Graph's quota", options.burst);
    let seen = format!("{took:.1} s; {units} units at {PER_SECOND:.0}/s make an optimum of {optimum:.1} s");
    table.fact(&what, &seen)?;
    table.at_most(&format!("{what}: of the optimum"), Figure::new(took / optimum, "", 2), 1.1)?;
    table.at_least(&format!("{what}: privileged first"), Figure::new(roles_first, "%", 0), 100.0)?;
    place.sandbox.service.kill().await
}

/// What came of ends that fell due within one second.
#[derive(Debug)]
pub(super) struct Burst {
    /// Seconds until the last account was off.
    pub(super) took: f64,
    /// What it cost of Graph's quota.
    units: u32,
    /// Seconds in which that quota lets so many units pass.
    pub(super) optimum: f64,
    /// Percent of those with a role that were written to before anybody without.
    roles_first: f64,
}

/// So many at once, under Graph's quota. The service is down before, and up afterwards.
pub(super) async fn burst_of(place: &Place, sample: &Sample, many: usize) -> anyhow::Result<Burst> {
    let opened = place.open().await?;
    let due = place.sandbox.clock.now() + FIRST;
    let many = u32::try_from(many)?;
    // Every second one holds a role; they fall due in turn, all within one second.
    let dues = (0..many).map(|n| (due + Duration::from_secs(1) * n / many, n % 2 == 0));
    let ends = sample.ends(place, opened.store().as_ref(), dues).await?;
    opened.close().await;
    let graph = &place.sandbox.vendors.directory.sim;
    graph.knobs(|knobs| knobs.throttle = Some(QUOTA));
    let seen = Seen::listen(place);
    let units = graph.units_spent();
    shortly_before(place, due).await?;
    place.sandbox.clock.sleep_until(due).await;
    let started = Instant::now();
    while !are_off(place, &ends) {
        if started.elapsed() > WITHIN {
            bail!(
                "after {} s not every account is off; see {}",
                WITHIN.as_secs(),
                place.sandbox.service.log().display()
            );
        }
        tokio::time::sleep(LOOK_AT_ALL).await;
    }
    let took = started.elapsed().as_secs_f64();
    let units = u32::try_from(graph.units_spent() - units)?;
    graph.knobs(|knobs| knobs.throttle = None);
    graph.faults().clear();
    // A full bucket's units are there at once.
    let optimum = (f64::from(units.saturating_sub(QUOTA.units)) / PER_SECOND).max(1.0);
    Ok(Burst { took, units, optimum, roles_first: first_roles(&ends, &seen, started + ALL_DUE) })
}

/// The service is up and has nothing to do until then.
async fn shortly_before(place: &Place, due: Timestamp) -> anyhow::Result<()> {
    place.start(Between::Nothing).await?;
    tokio::time::sleep(QUIET).await;
    place.sandbox.service.advance(due.since(place.sandbox.clock.now()).saturating_sub(QUIET)).await
}

/// Whether every account is gone or opens nothing.
fn are_off(place: &Place, ends: &[End]) -> bool {
    let open = place.sandbox.vendors.directory.sim.open_principals(TENANT);
    ends.iter().all(|end| !open.contains(&end.object))
}

/// How many of those with a role were written to before the first without one: in percent, from the moment on when all are due
/// and what had been begun till then is done. Before it, whoever falls due while a hand is free is not kept waiting.
fn first_roles(ends: &[End], seen: &Seen, all_due: Instant) -> f64 {
    let seen = seen.lock();
    let written = |has_role: bool| {
        let of_it = ends.iter().filter(move |end| end.has_role == has_role);
        of_it.filter_map(|end| seen.wrote_at.get(&end.object)).copied().filter(|at| *at > all_due)
    };
    let first_without = written(false).min();
    let first = written(true).filter(|at| first_without.is_none_or(|without| *at < without)).count();
    match written(true).count() {
        // So few that all were begun as they fell due: nobody had to wait for anybody.
        0 => 100.0,
        waited => 100.0 * count(first) / count(waited),
    }
}

/// When the tenant was first asked about which object, and first written to.
#[derive(Debug, Clone, Default)]
pub(super) struct Seen(Arc<Mutex<First>>);

#[derive(Debug, Default)]
pub(super) struct First {
    pub(super) asked: HashMap<String, Timestamp>,
    pub(super) wrote_at: HashMap<String, Instant>,
}

impl Seen {
    pub(super) fn listen(place: &Place) -> Self {
        let (seen, clock) = (Self::default(), place.sandbox.clock.clone());
        let notes = seen.clone();
        let note = move |call: &Call| {
            let Some(object) = object_of(call) else { return };
            let mut first = notes.lock();
            first.asked.entry(object.clone()).or_insert_with(|| clock.now());
            if call.method != "GET" {
                first.wrote_at.entry(object).or_insert_with(Instant::now);
            }
        };
        place.sandbox.vendors.directory.sim.faults().add(Fault::always(Act::before(note)));
        seen
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, First> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The account that a call is about: `/v1.0/users/{id}/…`.
fn object_of(call: &Call) -> Option<String> {
    let mut parts = call.path.split('/').skip_while(|part| *part != "users");
    parts.nth(1).map(str::to_owned)
}

async fn until_seen(place: &Place, ends: &[End], seen: &Seen) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let all = {
            let first = seen.lock();
            ends.iter().all(|end| first.asked.contains_key(&end.object))
        };
        if all {
            return Ok(());
        }
        if started.elapsed() > WITHIN {
            bail!("not every removal has begun; see {}", place.sandbox.service.log().display());
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
