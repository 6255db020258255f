//! Deliveries that prove nothing: what each costs, and that it leaves nothing in the database.

use std::time::Duration;

use anyhow::ensure;
use latchkey_simulators::connectwise::Delivery;

use super::{
    BenchOptions, intake,
    load::{self, Proof, count},
    place::Place,
    process,
    table::Table,
};

const GOAL: Duration = Duration::from_micros(20);
const CONNECTIONS: usize = 64;

pub(super) async fn measure(options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up(options.engine).await?;
    let like = intake::a_delivery(&place).await?;
    let bare = idle_door(&place, options.deliveries).await?;
    table.fact("the door alone: /livez", &format!("{bare:.1} µs of CPU each"))?;
    for (what, proof) in
        [("forged, from ever new addresses", Proof::Forged), ("forged, all from one address", Proof::ForgedFromOne)]
    {
        storm(&place, &like, options.deliveries, what, proof, table).await?;
    }
    place.sandbox.service.kill().await
}

async fn storm(
    place: &Place,
    like: &Delivery,
    many: usize,
    what: &str,
    proof: Proof,
    table: &mut Table,
) -> anyhow::Result<()> {
    let requests = load::make(&place.sandbox.vendors.psa, like, 1, many, proof)?;
    let pid = place.sandbox.service.pid().await?;
    let deliveries = "webhook_deliveries_total{outcome=\"recorded\"}";
    let (cpu, log, recorded) = (process::cpu(pid)?, place.log()?.len(), place.metric(deliveries).await?);
    let sent = load::send(place.sandbox.service.address(), requests, CONNECTIONS).await?;
    let each = (process::cpu(pid)? - cpu).as_secs_f64() * 1e6 / count(sent.waits.len());
    ensure!(!sent.statuses.contains_key(&202), "a forged delivery was accepted: {:?}", sent.statuses);
    table.goal(what, &format!("{each:.1} µs of CPU each, {:.0}/s", sent.per_second()), "20 µs", {
        each <= GOAL.as_secs_f64() * 1e6
    })?;
    let recorded = place.metric(deliveries).await? - recorded;
    table.goal(&format!("{what}: recorded"), &format!("{recorded:.0}"), "0", recorded < 1.0)?;
    let log = count(place.log()?.len() - log) / count(sent.waits.len());
    table.fact(&format!("{what}: log"), &format!("{log:.0} bytes each; answered {:?}", sent.statuses))
}

/// What a request costs that asks for nothing.
async fn idle_door(place: &Place, many: usize) -> anyhow::Result<f64> {
    let pid = place.sandbox.service.pid().await?;
    let requests = vec![b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n".to_vec(); many];
    let cpu = process::cpu(pid)?;
    let sent = load::send(place.sandbox.service.address(), requests, CONNECTIONS).await?.only(200)?;
    Ok((process::cpu(pid)? - cpu).as_secs_f64() * 1e6 / count(sent.waits.len()))
}
