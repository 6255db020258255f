//! How fast the service is there again: from its start to its first answer, and to the first removal that is overdue.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use anyhow::bail;
use latchkey_contract::Clock as _;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{
    BenchOptions,
    ends::Seen,
    engine::Engine,
    fill::Sample,
    load::percentile,
    place::Place,
    table::{Figure, Table},
};
use crate::child::Between;

const COLD_MS: f64 = 300.0;
const FIRST_REMOVAL_MS: f64 = 1000.0;

/// Starts measured; the middle one counts.
const TIMES: usize = 5;

const WITHIN: Duration = Duration::from_secs(120);

/// The grants that are overdue after the kill.
const OVERDUE: u32 = 20;

pub(super) async fn cold(engine: Engine, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::new(engine).await?;
    let first = started(&place).await?;
    table.at_most("start to the first answer", Figure::ms(first), COLD_MS)?;
    place.sandbox.service.kill().await
}

/// The middle one of several starts.
pub(super) async fn started(place: &Place) -> anyhow::Result<Duration> {
    let mut took = Vec::new();
    for _ in 0..TIMES {
        place.sandbox.service.kill().await?;
        let begun = Instant::now();
        place.sandbox.service.start().await?;
        until_it_answers(place.sandbox.service.address(), begun).await?;
        took.push(begun.elapsed());
    }
    took.sort();
    Ok(percentile(&took, 50))
}

async fn until_it_answers(to: SocketAddr, since: Instant) -> anyhow::Result<()> {
    loop {
        if answers(to).await.is_ok_and(|is_well| is_well) {
            return Ok(());
        }
        if since.elapsed() > WITHIN {
            bail!("the service does not answer at {to}");
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

async fn answers(to: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(to).await?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut status = [0; 12];
    stream.read_exact(&mut status).await?;
    Ok(status == *b"HTTP/1.1 200")
}

pub(super) async fn overdue(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up_among(engine, options.grants).await?;
    let sample = Sample::make(&place).await?;
    let opened = place.open().await?;
    sample.wait((&place, opened.store().as_ref()), place.sandbox.clock.now(), 0, options.grants).await?;
    opened.close().await;
    let took = first_removal(&place, &sample).await?;
    let what = format!("first overdue removal after kill -9, {} grants", options.grants);
    table.at_most(&what, Figure::ms(took), FIRST_REMOVAL_MS)?;
    place.sandbox.service.kill().await
}

/// Kills a service whose grants fall due while it is dead; answers how long after its start the first account is written to.
pub(super) async fn first_removal(place: &Place, sample: &Sample) -> anyhow::Result<Duration> {
    let opened = place.open().await?;
    let due = place.sandbox.clock.now() + Duration::from_secs(600);
    let dues = (0..OVERDUE).map(|n| (due + Duration::from_millis(u64::from(n)), true));
    let ends = sample.ends(place, opened.store().as_ref(), dues).await?;
    opened.close().await;
    place.start(Between::Nothing).await?;
    place.sandbox.service.kill().await?;
    place.sandbox.service.advance(Duration::from_secs(660)).await?;
    let seen = Seen::listen(place);
    let begun = Instant::now();
    place.sandbox.service.start().await?;
    loop {
        let first = ends.iter().filter_map(|end| seen.lock().wrote_at.get(&end.object).copied()).min();
        if let Some(first) = first {
            return Ok(first - begun);
        }
        if begun.elapsed() > WITHIN {
            bail!("no removal has begun; see {}", place.sandbox.service.log().display());
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
