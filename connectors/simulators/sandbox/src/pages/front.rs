//! The front page: where everything is, who to sign in as, whether the service lives, what time it is.

use std::time::Duration;

use askama::Template;
use latchkey_contract::Clock as _;
use latchkey_simulators::server::{Request, Response};

use super::{field, page, see_other, show, trouble};
use crate::{
    psas::{Names, Psa},
    sandbox::{DemoPerson, Psas, Sandbox},
    tenant::TENANT,
    vendors::Vendors,
};

/// What one press of a button may move the clock by.
const LARGEST_MOVE_MIN: u64 = 7 * 24 * 60;

/// A move is made in steps of so much of the sandbox's time, or in so many larger ones.
const STEP: Duration = Duration::from_secs(10);
const LARGEST_STEPS: u32 = 200;

/// After each step the service has so much real time for what fell due.
const BREATH: Duration = Duration::from_millis(30);

#[derive(Debug, Template)]
#[template(path = "front.html")]
struct Front<'a> {
    now: String,
    ahead: Option<String>,
    is_running: bool,
    service: String,
    log: String,
    data: String,
    people: Vec<Person<'a>>,
    psas: Vec<Desk>,
    accounts: usize,
}

/// A PSA, and how many tickets it has.
#[derive(Debug)]
pub(super) struct Desk {
    pub(super) names: &'static Names,
    pub(super) tickets: usize,
}

/// All of them.
pub(super) fn desks(vendors: &Vendors) -> Vec<Desk> {
    let desk = |psa: &dyn Psa| Desk { names: psa.names(), tickets: psa.ticket_ids().len() };
    vendors.psas(Psas::All).into_iter().map(desk).collect()
}

#[derive(Debug)]
struct Person<'a> {
    who: &'a DemoPerson,
    code: String,
}

pub(super) async fn show(sandbox: &Sandbox) -> Response {
    let offset = sandbox.clock.offset();
    let now = sandbox.clock.now();
    page(
        200,
        &Front {
            now: show::moment(now),
            ahead: (!offset.is_zero()).then(|| show::ahead(offset)),
            is_running: sandbox.service.is_running().await,
            service: sandbox.service.url(),
            log: sandbox.service.log().display().to_string(),
            data: sandbox.data().display().to_string(),
            people: sandbox.people().into_iter().map(|who| Person { code: who.code(now), who }).collect(),
            psas: desks(&sandbox.vendors),
            accounts: sandbox.vendors.directory.sim.users(TENANT).len(),
        },
    )
}

pub(super) async fn move_clock(sandbox: &Sandbox, request: &Request) -> Response {
    let minutes = field(request, "minutes").and_then(|text| text.parse().ok());
    let Some(minutes) = minutes.filter(|m| (1..=LARGEST_MOVE_MIN).contains(m)) else {
        return trouble(400, "Say by how many minutes, 1 to 10080.");
    };
    match pass(sandbox, Duration::from_secs(minutes * 60)).await {
        Ok(()) => see_other("/"),
        Err(error) => trouble(500, &format!("{error:#}")),
    }
}

/// In steps, so that what falls due on the way is done on the way, and not an hour late.
async fn pass(sandbox: &Sandbox, time: Duration) -> anyhow::Result<()> {
    let step = STEP.max(time / LARGEST_STEPS);
    let mut left = time;
    while !left.is_zero() {
        let now = step.min(left);
        sandbox.service.advance(now).await?;
        left -= now;
        tokio::time::sleep(BREATH).await;
    }
    Ok(())
}

pub(super) async fn kill(sandbox: &Sandbox) -> Response {
    match sandbox.service.kill().await {
        Ok(()) => see_other("/"),
        Err(error) => trouble(500, &format!("{error:#}")),
    }
}

pub(super) async fn start(sandbox: &Sandbox) -> Response {
    match sandbox.service.start().await {
        Ok(()) => see_other("/"),
        Err(error) => trouble(500, &format!("{error:#}")),
    }
}
