//! From the click in the PSA to the credentials in the ticket, one request after the other: the service's own share.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use anyhow::bail;
use latchkey_simulators::fault::{Act, Call, Fault};

use super::{
    BenchOptions,
    engine::Engine,
    load::{ms, percentile},
    place::Place,
    table::{Figure, Table},
    vendor_time::VendorTime,
};
use crate::psas::Psa;

const GOAL_MS: f64 = 100.0;

/// No request may take longer.
const WITHIN: Duration = Duration::from_secs(60);

const LOOK_AGAIN: Duration = Duration::from_millis(1);

pub(super) async fn measure(engine: Engine, options: &BenchOptions, table: &mut Table) -> anyhow::Result<()> {
    let place = Place::up(engine).await?;
    let Waited { whole, own } = clicks(&place, &place.sandbox.vendors.connectwise, options.clicks).await?;
    let spread = |of: &[Duration]| format!("p50 {}, p99 {}", ms(percentile(of, 50)), ms(percentile(of, 99)));
    table.fact("click to credentials, as the technician waits", &spread(&whole))?;
    table.fact("click to credentials, own share", &spread(&own))?;
    table.at_most("click to credentials, own share: p99", Figure::ms(percentile(&own, 99)), GOAL_MS)?;
    place.sandbox.service.kill().await
}

/// How long it took, sorted: as the technician waits, and without the vendors' time.
#[derive(Debug, Default)]
pub(super) struct Waited {
    pub(super) whole: Vec<Duration>,
    pub(super) own: Vec<Duration>,
}

/// So many requests at a PSA, one after the other, to a service that is up.
pub(super) async fn clicks(place: &Place, psa: &dyn Psa, many: usize) -> anyhow::Result<Waited> {
    let directory = &place.sandbox.vendors.directory;
    let told = Told::default();
    let tells = told.clone();
    psa.faults().add(Fault::when(is_credentials, Act::after(move |_| tells.now())));
    let time = VendorTime::default();
    time.listen(psa.faults());
    time.listen(directory.sim.faults());
    let Waited { mut whole, mut own } = Waited::default();
    for n in 0..many {
        let (_, clicked, arrived) = click(psa, &told, n).await?;
        whole.push(arrived - clicked);
        own.push((arrived - clicked).saturating_sub(time.within(clicked, arrived)));
    }
    whole.sort();
    own.sort();
    psa.faults().clear();
    directory.sim.faults().clear();
    Ok(Waited { whole, own })
}

/// When the ticket was told the credentials last.
#[derive(Debug, Clone, Default)]
struct Told(Arc<Mutex<Option<Instant>>>);

impl Told {
    fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    fn take(&self) -> Option<Instant> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

fn is_credentials(call: &Call) -> bool {
    let body = call.body_json.as_ref().map(ToString::to_string);
    call.method == "POST" && body.is_some_and(|body| body.contains("Password: "))
}

/// A ticket whose technician has the credentials.
pub(super) async fn granted(place: &Place) -> anyhow::Result<i64> {
    let faults = place.sandbox.vendors.connectwise.sim.faults();
    let told = Told::default();
    let tells = told.clone();
    faults.add(Fault::when(is_credentials, Act::after(move |_| tells.now())));
    let psa = &place.sandbox.vendors.connectwise;
    let (ticket, ..) = click(psa, &told, 0).await?;
    // Its status is set once the note has been read back.
    while psa.status_of(ticket) != Some(psa.projects.active) {
        tokio::time::sleep(LOOK_AGAIN).await;
    }
    Ok(ticket)
}

/// The `n`th technician in turn asks in a new ticket; answers when they did, and when they could read the password.
async fn click(psa: &dyn Psa, told: &Told, n: usize) -> anyhow::Result<(i64, Instant, Instant)> {
    let ticket = psa.open_for_acme("A mailbox has vanished")?;
    // That the ticket was opened is told too, and worked off first: the click is what is measured.
    psa.settled().await;
    tokio::time::sleep(Duration::from_millis(20)).await;
    // What another ticket was told meanwhile is not this one's.
    told.take();
    let clicked = Instant::now();
    psa.ask(ticket, n)?;
    loop {
        if let Some(arrived) = told.take() {
            return Ok((ticket, clicked, arrived));
        }
        if clicked.elapsed() > WITHIN {
            bail!("ticket {ticket} has no credentials after {} s; see {}", WITHIN.as_secs(), psa_notes(psa, ticket));
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn psa_notes(psa: &dyn Psa, ticket: i64) -> String {
    psa.told(ticket).into_iter().map(|note| note.text).collect::<Vec<_>>().join(" | ")
}
