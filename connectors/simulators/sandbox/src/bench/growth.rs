//! The same measurements with ever more stored grants: what grows, and what does not.

use std::time::Duration;

use latchkey_contract::Clock as _;
use latchkey_simulators::fault::{Act, Fault};

use super::{
    BenchOptions, arrive, ends,
    engine::Engine,
    fill::Sample,
    forged, intake,
    load::{self, Proof, Sent, percentile},
    place::Place,
    rest, restart,
    table::Table,
};
use crate::child::Between;

/// Tenfold each time, as far as was asked for.
const STORED: [usize; 4] = [1_000, 10_000, 100_000, 1_000_000];

const CONNECTIONS: usize = 64;

/// What is measured with each number of them.
const LINES: [&str; 15] = [
    "start to the first answer, ms",
    "first overdue removal after kill -9, ms",
    "memory, idle, MiB",
    "lateness, p50, ms",
    "lateness, p99, ms",
    "click to credentials, own share, p50, ms",
    "click to credentials, own share, p99, ms",
    "ends in one second under Graph's quota, of the optimum",
    "intake at 64 connections, deliveries/s",
    "intake at 64 connections, p99, ms",
    "forged, µs of CPU each",
    "memory, most under these deliveries, MiB",
    "idle, percent of a core",
    "idle, the store is asked, times in 10 s",
    "the database's files, MiB",
];

/// How long the PSA sits on every question while the door is measured.
const SITS_ON_IT: u64 = 30_000;

/// Ends whose lateness is measured, and over how long they are spread.
const ENDS: usize = 100;
const SPREAD: Duration = Duration::from_secs(5);

/// Deliveries at the door, no more than these: all are worked off before the next level, which would measure them otherwise.
const DELIVERIES: usize = 5_000;

/// Ends in one second, no more than these: at a million stored grants the quota is to be measured, and not for how long it lasts.
const BURST: usize = 1_000;

const CLICKS: usize = 20;
const IDLE_SECONDS: u64 = 10;

pub(super) async fn measure(engine: Engine, options: &BenchOptions, table: &Table) -> anyhow::Result<()> {
    let place = Place::up_among(engine, options.grown).await?;
    let sample = Sample::make(&place).await?;
    let (mut stored, mut sent) = (0, 1);
    let mut levels = Vec::new();
    for many in STORED.into_iter().filter(|many| *many <= options.grown) {
        let opened = place.open().await?;
        sample.wait((&place, opened.store().as_ref()), place.sandbox.clock.now(), stored, many - stored).await?;
        opened.close().await;
        stored = many;
        levels.push((many, level(&place, &sample, options, sent).await?));
        sent += options.deliveries.min(DELIVERIES);
        table.fact(&format!("{many} stored grants"), "measured")?;
    }
    let header: Vec<String> = levels.iter().map(|(many, _)| format!("{many:>10}")).collect();
    table.fact("with so many stored grants", &header.join(" "))?;
    for (n, name) in LINES.into_iter().enumerate() {
        let figures: Vec<f64> = levels.iter().map(|(_, level)| level[n]).collect();
        let shown: Vec<String> = figures.iter().map(|figure| format!("{figure:>10.*}", digits(*figure))).collect();
        let factor = figures.first().zip(figures.last()).filter(|(first, _)| **first > 0.0);
        let factor = factor.map_or_else(String::new, |(first, last)| format!("   x {:.1}", last / first));
        table.fact(name, &format!("{}{factor}", shown.join(" ")))?;
    }
    Ok(())
}

/// Of a small figure, more of them.
fn digits(figure: f64) -> usize {
    if figure < 10.0 { 2 } else { 1 }
}

/// Everything once. The service is down before and afterwards.
async fn level(
    place: &Place,
    sample: &Sample,
    options: &BenchOptions,
    sent: usize,
) -> anyhow::Result<[f64; LINES.len()]> {
    let ms = |time: Duration| time.as_secs_f64() * 1000.0;
    let service = &place.sandbox.service;
    let removal = restart::first_removal(place, sample).await?;
    let start = restart::started(place).await?;
    let memory = rest::idle_memory(place).await?;
    service.stop().await?;
    let late = ends::late(place, sample, ENDS, SPREAD).await?;
    let own = arrive::clicks(place, &place.sandbox.vendors.connectwise, CLICKS).await?.own;
    service.stop().await?;
    let burst = ends::burst_of(place, sample, options.burst.min(BURST)).await?;
    service.stop().await?;
    place.start(Between::Counting).await?;
    // A thousand tickets are told first.
    rest::until_nothing_happens(place).await?;
    let rest::Nothing { share, calls, .. } = rest::nothing_happens(place, IDLE_SECONDS).await?;
    let Door { recorded, forged, most } = door(place, options.deliveries.min(DELIVERIES), sent).await?;
    rest::until_nothing_happens(place).await?;
    service.kill().await?;
    Ok([
        ms(start),
        ms(removal),
        memory,
        ms(percentile(&late, 50)),
        ms(percentile(&late, 99)),
        ms(percentile(&own, 50)),
        ms(percentile(&own, 99)),
        burst.took / burst.optimum,
        recorded.per_second(),
        ms(recorded.percentile(99)),
        forged,
        most,
        share,
        rest::whole(calls.values().sum()),
        rest::whole(place.stored()? / 1_048_576),
    ])
}

/// What was seen at the door.
struct Door {
    recorded: Sent,
    /// Microseconds of processor time for a delivery that proves nothing.
    forged: f64,
    /// The most memory the service ever had by then, in MiB.
    most: f64,
}

/// Deliveries while the PSA answers nothing.
async fn door(place: &Place, many: usize, sent: usize) -> anyhow::Result<Door> {
    let like = intake::a_delivery(place).await?;
    let psa = &place.sandbox.vendors.connectwise;
    let faults = psa.sim.faults();
    faults.add(Fault::always(Act::Delay(SITS_ON_IT)));
    let requests = load::make(psa, &like, sent, many, Proof::Signed)?;
    let recorded = load::send(place.sandbox.service.address(), requests, CONNECTIONS).await?.only(202)?;
    let (forged, _) = forged::storm(place, load::make(psa, &like, sent, many, Proof::Forged)?).await?;
    let most = rest::most_memory(place).await?;
    faults.clear();
    Ok(Door { recorded, forged, most })
}
