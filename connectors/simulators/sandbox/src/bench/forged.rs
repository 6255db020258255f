//! Deliveries that prove nothing: what each costs, and that it leaves nothing in the database, by its bytes and by the
//! engine's own count of what was written.

use anyhow::ensure;
use latchkey_simulators::connectwise::Delivery;

use super::{
    BenchOptions,
    engine::Engine,
    intake,
    load::{self, Proof, Sent, count},
    place::Place,
    process, rest,
    table::{Figure, Table},
};
use crate::child::Between;

const GOAL_US: f64 = 20.0;
const CONNECTIONS: usize = 64;

pub(super) async fn measure(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::new(engine).await?;
    place.start(Between::Counting).await?;
    let like = intake::a_delivery(&place).await?;
    // What comes after a start, and after that one, writes too.
    rest::until_nothing_happens(&place).await?;
    // Whoever is refused is hung up on: so the door alone is measured with a connection for each request, too.
    let knock = b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".to_vec();
    let (bare, knocked) = storm(&place, vec![knock; options.deliveries]).await?;
    knocked.only(200)?;
    table.fact("the door alone, a connection for each request", &format!("{bare:.1} µs of CPU each"))?;
    for (what, proof) in
        [("forged, from ever new addresses", Proof::Forged), ("forged, all from one address", Proof::ForgedFromOne)]
    {
        forged(&place, &like, options.deliveries, (what, proof), bare, table).await?;
    }
    place.sandbox.service.kill().await
}

async fn forged(
    place: &Place,
    like: &Delivery,
    many: usize,
    (what, proof): (&str, Proof),
    bare: f64,
    table: &mut Table,
) -> anyhow::Result<()> {
    let requests = load::make(&place.sandbox.vendors.connectwise, like, 1, many, proof)?;
    let (log, stored, calls) = (place.log()?.len(), place.written()?, place.sandbox.service.calls().await?);
    let transactions = place.transactions()?;
    let (each, sent) = storm(place, requests).await?;
    ensure!(!sent.statuses.contains_key(&202), "a forged delivery was accepted: {:?}", sent.statuses);
    table.fact(what, &format!("{:.0}/s, answered {:?}", sent.per_second(), sent.statuses))?;
    table.at_most(what, Figure::new(each, "µs of CPU each", 1), GOAL_US)?;
    table.fact(&format!("{what}: beyond the door"), &format!("{:.1} µs of CPU each", each - bare))?;
    let written = rest::whole(place.written()? - stored);
    table.at_most(&format!("{what}: written to the database"), Figure::new(written, "bytes", 0), 0.0)?;
    let transactions = place.transactions()? - transactions;
    let asked = rest::more(&place.sandbox.service.calls().await?, &calls);
    if place.engine == Engine::Sqlite {
        // What is written in the place of something else makes no file longer. The server counts its log's bytes.
        let others = transactions.saturating_sub(asked.get("heartbeat").copied().unwrap_or_default());
        let what = format!("{what}: transactions but heartbeats");
        table.at_most(&what, Figure::new(rest::whole(others), "", 0), 0.0)?;
    }
    let asked: Vec<String> = asked.iter().map(|(verb, times)| format!("{verb} {times}")).collect();
    let log = count(place.log()?.len() - log) / count(sent.waits.len());
    table.fact(&format!("{what}: the store was asked; log"), &format!("{}; {log:.1} bytes each", asked.join(", ")))
}

/// Sends them; answers how many microseconds of processor time each took.
pub(super) async fn storm(place: &Place, requests: Vec<Vec<u8>>) -> anyhow::Result<(f64, Sent)> {
    let pid = place.sandbox.service.pid().await?;
    let cpu = process::cpu(pid)?;
    let sent = load::send(place.sandbox.service.address(), requests, CONNECTIONS).await?;
    Ok(((process::cpu(pid)? - cpu).as_secs_f64() * 1e6 / count(sent.waits.len()), sent))
}
