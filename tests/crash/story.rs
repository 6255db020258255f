//! What people do, and what they see, whatever happens to the service meanwhile: they try again.

use std::time::Duration;

use latchkey_contract::Clock as _;
use latchkey_simulators::{
    fault::{Act, Fault},
    graph::{Refused, UserSeed},
};
use serde_json::json;

use crate::{
    bench::{Bench, OTHER_CLIENT_SECRET},
    harness::{Browser, EXCHANGE_ROLE, HELPDESK_ROLE, PASSWORD, TENANT, TestApp},
};

const MINUTE: Duration = Duration::from_secs(60);

/// One period of access, as it is asked for, used and ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Story {
    /// Credentials by the claim page; a role and a group; ended by time.
    ClaimLink,
    /// Credentials in the ticket, overwritten at the end.
    InTheTicket,
    /// An account for one time only.
    Burner,
    /// Ended by the person.
    EndNow,
    /// Asked by somebody who may not.
    Refused,
    /// The standing account once more, which somebody has meddled with.
    Again,
    /// The directory is down for a moment, then refuses the role.
    Trouble,
    /// An operator changes a secret, then all goes on, through the night.
    Command,
}

impl Story {
    pub(crate) const ALL: [Self; 8] = [
        Self::ClaimLink,
        Self::InTheTicket,
        Self::Burner,
        Self::EndNow,
        Self::Refused,
        Self::Again,
        Self::Trouble,
        Self::Command,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::ClaimLink => "claim link",
            Self::InTheTicket => "in the ticket",
            Self::Burner => "burner",
            Self::EndNow => "end now",
            Self::Refused => "refused",
            Self::Again => "again",
            Self::Trouble => "trouble",
            Self::Command => "command",
        }
    }

    /// Replacements in the installation's documents.
    pub(crate) const fn edits(self) -> &'static [(&'static str, &'static str)] {
        match self {
            Self::Burner => &[("mode = \"standard\"", "mode = \"burner\"")],
            _ => &[],
        }
    }

    /// Plays it to its end. What people rely on is asserted here, for every run alike.
    pub(crate) async fn play(self, bench: &mut Bench) {
        if self == Self::Command {
            bench.set_client_secret(OTHER_CLIENT_SECRET).await;
        }
        if self == Self::Burner {
            bench.app.entra.sim.knobs(|knobs| knobs.permanent_delete_app_allowed = true);
        }
        bench.up().await;
        match self {
            Self::ClaimLink => claim_link(bench).await,
            Self::InTheTicket => in_the_ticket(bench).await,
            Self::Burner => burner(bench).await,
            Self::EndNow => end_now(bench).await,
            Self::Refused => refused(bench).await,
            Self::Again => again(bench).await,
            Self::Trouble => trouble(bench).await,
            Self::Command => command(bench).await,
        }
    }
}

async fn claim_link(bench: &mut Bench) {
    let ticket = bench.app.psa.ticket();
    granted(bench, ticket).await;
    let (user, password) = reveal(bench, ticket).await;
    let roles = bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap().roles;
    assert_eq!(roles, [(HELPDESK_ROLE.to_owned(), "/".to_owned())]);
    assert_eq!(bench.app.entra.groups(), std::slice::from_ref(&bench.app.entra.group));
    ended(bench, ticket, 70 * MINUTE).await;
    off(bench, &user, &password);
}

async fn in_the_ticket(bench: &mut Bench) {
    let ticket = bench.app.psa.ticket_on(bench.app.psa.projects);
    granted(bench, ticket).await;
    let (user, password) = credentials_note(&bench.app, ticket);
    bench.secrets.push(password.clone());
    let roles = bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap().roles;
    assert_eq!(roles, [(EXCHANGE_ROLE.to_owned(), "/".to_owned())]);
    ended(bench, ticket, 70 * MINUTE).await;
    off(bench, &user, &password);
}

async fn burner(bench: &mut Bench) {
    let ticket = bench.app.psa.ticket();
    granted(bench, ticket).await;
    let (user, password) = reveal(bench, ticket).await;
    bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap();
    ended(bench, ticket, 70 * MINUTE).await;
    assert_eq!(bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap_err(), Refused::NoUser);
    assert!(bench.app.entra.accounts().is_empty());
}

async fn end_now(bench: &mut Bench) {
    let ticket = bench.app.psa.ticket();
    granted(bench, ticket).await;
    let (user, password) = reveal(bench, ticket).await;
    // Whoever gets no answer looks into the ticket, and tries again while the link still stands there.
    for _ in 0..3 {
        if !has_link(&bench.app, ticket) || try_end(bench, ticket).await.is_some() {
            break;
        }
        bench.rest().await;
    }
    ended(bench, ticket, 5 * MINUTE).await;
    off(bench, &user, &password);
}

async fn refused(bench: &mut Bench) {
    let ticket = bench.app.psa.ticket();
    bench.rest().await;
    ask(bench, "unbound", ticket, "Latchkey: access was not granted.").await;
    bench.pass(11 * MINUTE).await;
    assert!(bench.app.entra.accounts().is_empty(), "nothing was given");
    assert_eq!(bench.app.psa.status(ticket), bench.app.psa.desk.refused);
}

async fn again(bench: &mut Bench) {
    let first = bench.app.psa.ticket();
    granted(bench, first).await;
    ended(bench, first, 70 * MINUTE).await;
    let second = bench.app.psa.ticket();
    granted(bench, second).await;
    let (user, password) = reveal(bench, second).await;
    bench.app.entra.sim.sign_in(TENANT, &user, &password).unwrap();
    let (sim, group) = (&bench.app.entra.sim, &bench.app.entra.group);
    let owner = "owner@contoso.onmicrosoft.com";
    sim.add_user(TENANT, UserSeed::new(owner));
    let hand = sim.by_hand(TENANT);
    hand.own_group(owner, group);
    hand.own_group(&user, group);
    hand.add_method(&user, "phoneAuthenticationMethod");
    ended(bench, second, 70 * MINUTE).await;
    off(bench, &user, &password);
    assert!(bench.app.entra.sim.methods_of(TENANT, &user).iter().all(|m| !m.contains("phone")));
}

async fn trouble(bench: &mut Bench) {
    let down = Act::Answer { status: 503, retry_after: None, body: json!({"error": {"code": "serviceUnavailable"}}) };
    bench.app.entra.sim.faults().add(Fault::on("GET /users/{id}", down).once());
    let no = json!({"error": {"code": "Request_BadRequest", "message": "The role cannot be assigned."}});
    let refuse = Act::Answer { status: 400, retry_after: None, body: no };
    bench.app.entra.fail(|call| call.op == "POST /roleManagement/directory/roleAssignments", refuse);
    let ticket = bench.app.psa.ticket();
    bench.rest().await;
    ask(bench, "jdoe", ticket, "Latchkey: access could not be given.").await;
    ended(bench, ticket, 20 * MINUTE).await;
    assert!(!bench.app.entra.is_enabled() && bench.app.entra.roles().is_empty());
}

/// The vendor takes both secrets, the old one and the new one: whichever is in force, the service works.
async fn command(bench: &mut Bench) {
    let ticket = bench.app.psa.ticket();
    granted(bench, ticket).await;
    ended(bench, ticket, 70 * MINUTE).await;
    bench.pass(8 * 60 * MINUTE).await;
}

/// Jane asks for access and is given it.
async fn granted(bench: &mut Bench, ticket: i64) {
    bench.rest().await;
    ask(bench, "jdoe", ticket, "Latchkey: access granted.").await;
}

/// Somebody asks, and asks once more if for two minutes nothing happens in the ticket: the PSA does not send again what
/// nobody took.
async fn ask(bench: &mut Bench, who: &str, ticket: i64, answer: &str) {
    bench.app.psa.ask_as(who, ticket);
    if !bench.is_within(2 * MINUTE, |app| !app.psa.told(ticket).is_empty()).await {
        let psa = &bench.app.psa;
        let board = psa.tenant.ticket(ticket).unwrap()["board"]["id"].as_i64().unwrap();
        let new = if board == psa.desk.board { psa.desk.new } else { psa.projects.new };
        psa.tenant.acting(who).set_status(ticket, new).unwrap();
        bench.rest().await;
        bench.app.psa.ask_as(who, ticket);
    }
    let is_told = |app: &TestApp| app.psa.told(ticket).iter().any(|line| line == answer);
    bench.until(10 * MINUTE, answer, is_told).await;
}

/// The ticket says with proof that access has ended, and some time later nothing has come back.
async fn ended(bench: &mut Bench, ticket: i64, within: Duration) {
    let is_ended = |app: &TestApp| app.psa.told(ticket).iter().any(|l| l == "Latchkey: access has ended, proven off.");
    bench.until(within, "access has ended", is_ended).await;
    bench.pass(11 * MINUTE).await;
}

/// The account is off and stripped, and its password opens nothing, not even when somebody enables the account.
fn off(bench: &Bench, user: &str, password: &str) {
    let entra = &bench.app.entra;
    assert_eq!(entra.sim.sign_in(TENANT, user, password).unwrap_err(), Refused::Disabled);
    assert!(entra.roles().is_empty() && entra.groups().is_empty(), "{:?} {:?}", entra.roles(), entra.groups());
}

fn credentials_note(app: &TestApp, ticket: i64) -> (String, String) {
    let notes = app.psa.notes(ticket);
    let granted = notes.iter().find(|note| note.contains("access granted")).expect("the note stands");
    let value = |name: &str| granted.lines().find_map(|l| l.strip_prefix(name)).expect("a line").trim().to_owned();
    (value("User name:"), value("Password:"))
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
        [("&#38;", "&"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'")]
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    });
    Some((shown.next()?, shown.next()?))
}

async fn try_end(bench: &mut Bench, ticket: i64) -> Option<()> {
    let path = claim_path(&bench.app, ticket);
    let mut browser = sign_in(bench).await?;
    let form_token = browser.try_get(&path).await?.input("form_token")?;
    browser.try_post(&format!("{path}/end"), &[("form_token", &form_token)]).await.map(drop)
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

fn has_link(app: &TestApp, ticket: i64) -> bool {
    app.psa.notes(ticket).iter().any(|note| note.contains("/claim/"))
}

fn claim_path(app: &TestApp, ticket: i64) -> String {
    let notes = app.psa.notes(ticket);
    let at = notes.iter().find_map(|note| note.find("/claim/").map(|at| &note[at..])).expect("a note has the link");
    at.split_whitespace().next().unwrap_or_default().to_owned()
}
