//! Durable intake: deliveries that are proven, recorded and answered 202, against the same door without the database.

use anyhow::{Context as _, ensure};
use latchkey_simulators::{
    connectwise::Delivery,
    fault::{Act, Fault},
};

use super::{
    BenchOptions,
    engine::Engine,
    load::{self, Proof, Sent, count, ms},
    place::Place,
    table::{Figure, Table},
};
use crate::child::Between;

/// Connections at once.
const CONNECTIONS: [usize; 3] = [8, 64, 256];

/// The share of the door's own speed that is to be left with the database.
const SHARE: f64 = 0.6;
const P99_MS: f64 = 100.0;

/// How long the PSA sits on every question meanwhile: longer than the service waits. Only the door is measured.
const SITS_ON_IT: u64 = 30_000;

pub(super) async fn measure(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up(engine).await?;
    table.fact("the database as the service opened it", &place.engine.settings(&place.log()?)?)?;
    let like = a_delivery(&place).await?;
    let mut recorded = Vec::new();
    let mut from = 1;
    for connections in CONNECTIONS {
        // What came before is worked off or waits; each measurement begins with a service that has just started.
        restart(&place, Between::Counting).await?;
        let commits = place.metric("db_commit_seconds_count").await?;
        let sent = storm(&place, &like, from, options.deliveries, connections).await?;
        let commits = place.metric("db_commit_seconds_count").await? - commits;
        from += options.deliveries;
        recorded.push((connections, sent, commits));
    }
    for (connections, sent, commits) in recorded {
        restart(&place, Between::Forgetting).await?;
        let bare = storm(&place, &like, from, options.deliveries, connections).await?;
        from += options.deliveries;
        show(table, engine, connections, &sent, commits, &bare)?;
    }
    place.sandbox.service.kill().await
}

fn show(
    table: &mut Table,
    engine: Engine,
    connections: usize,
    sent: &Sent,
    commits: f64,
    bare: &Sent,
) -> anyhow::Result<()> {
    let share = sent.per_second() / bare.per_second();
    let what = format!("intake, {connections} connections");
    table.fact(
        &format!("{what}: without the database"),
        &format!("{:.0}/s, p99 {}", bare.per_second(), ms(bare.percentile(99))),
    )?;
    let each = count(sent.waits.len()) / commits.max(1.0);
    let figure = format!("{:.0}/s, {commits:.0} commits, {each:.1} each", sent.per_second());
    table.fact(&format!("{what}: recorded"), &figure)?;
    let of_it = format!("{what}: recorded, as a share of without");
    if connections == 64 && engine == Engine::Sqlite {
        table.at_least(&of_it, Figure::new(share, "", 2), SHARE)?;
    } else {
        table.fact(&of_it, &format!("{share:.2}"))?;
    }
    table.at_most(&format!("{what}: p99"), Figure::ms(sent.percentile(99)), P99_MS)
}

/// A delivery of the PSA's own that the service has recorded and worked off.
pub(super) async fn a_delivery(place: &Place) -> anyhow::Result<Delivery> {
    let psa = &place.sandbox.vendors.connectwise;
    let ticket = psa.open_ticket("Something to talk about", psa.help_desk, psa.acme, psa.jane)?;
    psa.msp.acting(psa.jane.identifier).touch(ticket)?;
    psa.sim.settled().await;
    let sent = psa.sim.deliveries().pop().context("the PSA sent nothing")?;
    ensure!(sent.status == Some(202), "the service answered the PSA {:?}", sent.status);
    Ok(sent)
}

async fn restart(place: &Place, between: Between) -> anyhow::Result<()> {
    let faults = place.sandbox.vendors.connectwise.sim.faults();
    faults.clear();
    place.sandbox.service.kill().await?;
    place.start(between).await?;
    // The service asks for the PSA's key with the first delivery.
    a_delivery(place).await?;
    faults.add(Fault::always(Act::Delay(SITS_ON_IT)));
    Ok(())
}

async fn storm(place: &Place, like: &Delivery, from: usize, many: usize, connections: usize) -> anyhow::Result<Sent> {
    let requests = load::make(&place.sandbox.vendors.connectwise, like, from, many, Proof::Signed)?;
    load::send(place.sandbox.service.address(), requests, connections).await?.only(202)
}
