//! What people do, and what they see, whatever happens to the service meanwhile: they try again.

use std::time::Duration;

use latchkey_contract::Clock as _;
use latchkey_simulators::graph::Refused;

use crate::{
    bench::Bench,
    harness::{Browser, HELPDESK_ROLE, PASSWORD, TENANT, TestApp},
};

const MINUTE: Duration = Duration::from_secs(60);

/// One period of access, as it is asked for, used and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Story {
    /// Credentials by the claim page; a role and a group; ended by time.
    ClaimLink,
}

impl Story {
    pub(crate) const ALL: [Self; 1] = [Self::ClaimLink];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ClaimLink => "claim link",
        }
    }

    pub(crate) const fn edits(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::ClaimLink => &[],
        }
    }

    /// Plays it to its end. What people rely on is asserted here, for every run alike.
    pub(crate) async fn play(self, bench: &mut Bench) {
        match self {
            Self::ClaimLink => claim_link(bench).await,
        }
    }
}

async fn claim_link(bench: &mut Bench) {
    let ticket = bench.app.psa.ticket();
    granted(bench, ticket).await;
    let (user, password) = reveal(bench, ticket).await;
    let roles = bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap().roles;
    assert_eq!(roles, [(HELPDESK_ROLE.to_owned(), "/".to_owned())]);
    assert_eq!(bench.app.entra.groups(), [bench.app.entra.group.clone()]);
    ended(bench, ticket, 70 * MINUTE).await;
    off(bench, &user, &password);
}

/// Jane asks, and asks again if after a while nothing stands in the ticket.
async fn granted(bench: &mut Bench, ticket: i64) {
    bench.app.psa.ask(ticket);
    let is_granted = |app: &TestApp| app.psa.told(ticket).iter().any(|l| l == "Latchkey: access granted.");
    bench.rest().await;
    if bench.app.deliveries().0.is_empty() {
        bench.app.psa.tenant.acting("jdoe").set_status(ticket, bench.app.psa.desk.new).unwrap();
        bench.rest().await;
        bench.app.psa.ask(ticket);
    }
    bench.until(10 * MINUTE, "access is granted", is_granted).await;
}

/// The time runs out; the ticket says so with proof; and some time later nothing has come back.
async fn ended(bench: &mut Bench, ticket: i64, within: Duration) {
    let is_ended = |app: &TestApp| app.psa.told(ticket).iter().any(|l| l.starts_with("Latchkey: access has ended"));
    bench.until(within, "access has ended", is_ended).await;
    bench.pass(11 * MINUTE).await;
}

/// The account is off, and its password works no longer even if somebody enables it.
fn off(bench: &Bench, user: &str, password: &str) {
    let entra = &bench.app.entra;
    assert_eq!(entra.sim.sign_in(TENANT, user, password).unwrap_err(), Refused::Disabled);
    assert!(entra.roles().is_empty() && entra.groups().is_empty(), "{:?} {:?}", entra.roles(), entra.groups());
}

/// Jane opens the link in the ticket and shows the credentials; if the service dies under her, she begins anew.
async fn reveal(bench: &mut Bench, ticket: i64) -> (String, String) {
    for _ in 0..3 {
        if let Some((user, password)) = try_reveal(bench, ticket).await {
            bench.secrets.push(password.clone());
            return (user, password);
        }
        bench.rest().await;
    }
    panic!("the credentials were not shown");
}

async fn try_reveal(bench: &mut Bench, ticket: i64) -> Option<(String, String)> {
    let path = claim_path(&bench.app, ticket);
    let mut browser = sign_in(bench).await?;
    let form_token = browser.try_get(&path).await?.input("form_token")?;
    let code = fresh_code(bench).await;
    let page = browser.try_post(&format!("{path}/reveal"), &[("form_token", &form_token), ("code", &code)]).await?;
    let mut shown = page.text.split("<output class=\"secret\">").skip(1).map(|rest| {
        let text = &rest[..rest.find('<').expect("an element ends")];
        text.replace("&#38;", "&").replace("&#60;", "<").replace("&#62;", ">").replace("&#34;", "\"").replace("&#39;", "'")
    });
    Some((shown.next()?, shown.next()?))
}

async fn sign_in(bench: &mut Bench) -> Option<Browser> {
    let code = fresh_code(bench).await;
    let mut browser = bench.app.browser();
    let form = [("person", "jane"), ("password", PASSWORD), ("code", &code), ("next", "/")];
    browser.try_post("/sign-in", &form).await?;
    Some(browser)
}

/// A code is taken once: the next one comes half a minute later.
async fn fresh_code(bench: &mut Bench) -> String {
    bench.pass(Duration::from_secs(31)).await;
    bench.app.jane.code(bench.app.clock.now())
}

fn claim_path(app: &TestApp, ticket: i64) -> String {
    let notes = app.psa.notes(ticket);
    let at = notes.iter().find_map(|note| note.find("/claim/").map(|at| &note[at..])).expect("a note has the link");
    at.split_whitespace().next().unwrap_or_default().to_owned()
}
