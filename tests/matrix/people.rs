//! What people do, and what they see, whatever happens to the service meanwhile: they try again.

use std::time::Duration;

use latchkey::people::OneTime;
use latchkey_contract::Clock as _;
use latchkey_simulators::graph::Refused;

use crate::{
    bench::Bench,
    harness::{Browser, Leaves, PASSWORD, TENANT, TestApp, Who},
    story::{Fate, MINUTE},
};

/// The lines by which a ticket says what became of a request.
const ANSWERS: [(&str, Fate); 3] = [
    ("Latchkey: access granted.", Fate::Given),
    ("Latchkey: access could not be given.", Fate::Undone),
    ("Latchkey: access was not granted.", Fate::Refused),
];

const ENDED: &str = "Latchkey: access has ended, proven off.";

/// What a technician reads in a ticket at the PSA that is asked at: our notes, oldest first.
pub(crate) fn notes(app: &TestApp, ticket: i64) -> Vec<String> {
    match app.beside() {
        Some(desk) => desk.notes(ticket).into_iter().map(|note| note.text).collect(),
        None => app.psa.notes(ticket),
    }
}

pub(crate) fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

pub(crate) fn is_told(app: &TestApp, ticket: i64, line: &str) -> bool {
    notes(app, ticket).iter().any(|note| first_line(note) == line)
}

/// The click that asks.
fn click(app: &TestApp, who: &str, ticket: i64) {
    match app.beside() {
        Some(desk) if who == "jdoe" => desk.click(Who::Jane, ticket),
        Some(desk) => desk.click(Who::Unbound, ticket),
        None => app.psa.ask_as(who, ticket),
    }
}

/// The ticket stands again where it stood before somebody asked.
fn set_back(app: &TestApp, who: &str, ticket: i64) {
    if let Some(desk) = app.beside() {
        return desk.leaves(Leaves::Reopened, ticket);
    }
    let psa = &app.psa;
    let board = psa.tenant.ticket(ticket).unwrap()["board"]["id"].as_i64().unwrap();
    let new = if board == psa.desk.board { psa.desk.new } else { psa.projects.new };
    psa.tenant.acting(who).set_status(ticket, new).unwrap();
}

/// Jane asks for access; where it is not given, nothing is left of it.
pub(crate) async fn granted(bench: &mut Bench, ticket: i64) -> Fate {
    bench.rest().await;
    let fate = ask(bench, "jdoe", ticket).await;
    match fate {
        Fate::Given => {}
        Fate::Undone => ended(bench, ticket, 20 * MINUTE).await,
        Fate::Refused => bench.pass(11 * MINUTE).await,
    }
    if fate != Fate::Given {
        let entra = &bench.app.entra;
        assert!(!entra.is_enabled() && entra.roles().is_empty() && entra.groups().is_empty(), "it was taken back");
    }
    fate
}

/// Somebody asks, and asks once more if for two minutes nothing happens in the ticket: the PSA does not send again what
/// nobody took.
pub(crate) async fn ask(bench: &mut Bench, who: &str, ticket: i64) -> Fate {
    click(&bench.app, who, ticket);
    if !bench.is_within(2 * MINUTE, |app| !notes(app, ticket).is_empty()).await {
        set_back(&bench.app, who, ticket);
        bench.rest().await;
        bench.asked_again().await;
        click(&bench.app, who, ticket);
    }
    answered(bench, ticket).await
}

/// What the ticket says in the end.
pub(crate) async fn answered(bench: &mut Bench, ticket: i64) -> Fate {
    let answer = |app: &TestApp| ANSWERS.iter().find(|(line, _)| is_told(app, ticket, line)).map(|(_, fate)| *fate);
    bench.until(20 * MINUTE, "an answer", |app| answer(app).is_some()).await;
    answer(&bench.app).expect("it was told")
}

/// The ticket says with proof that access has ended, and some time later nothing has come back.
pub(crate) async fn ended(bench: &mut Bench, ticket: i64, within: Duration) {
    bench.ending().await;
    bench.until(within, "access has ended", |app| is_told(app, ticket, ENDED)).await;
    bench.pass(11 * MINUTE).await;
}

/// The account is off and stripped, and its password opens nothing, not even when somebody enables the account.
pub(crate) fn off(bench: &Bench, user: &str, password: &str) {
    let entra = &bench.app.entra;
    assert_eq!(entra.sim.sign_in(TENANT, user, password).unwrap_err(), Refused::Disabled);
    assert!(entra.roles().is_empty() && entra.groups().is_empty(), "{:?} {:?}", entra.roles(), entra.groups());
}

pub(crate) fn credentials_note(app: &TestApp, ticket: i64) -> (String, String) {
    let notes = notes(app, ticket);
    let granted = notes.iter().find(|note| note.contains("access granted")).expect("the note stands");
    let value = |name: &str| granted.lines().find_map(|l| l.strip_prefix(name)).expect("a line").trim().to_owned();
    (value("User name:"), value("Password:"))
}

/// Jane opens the link in the ticket and shows the credentials; if the service fails her, she begins anew.
pub(crate) async fn reveal(bench: &mut Bench, ticket: i64) -> (String, String) {
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
    let code = fresh_code(bench, &bench.app.jane.clone()).await;
    let page = browser.try_post(&format!("{path}/reveal"), &[("form_token", &form_token), ("code", &code)]).await?;
    let mut shown = page.text.split("<output class=\"secret\">").skip(1).map(|rest| {
        let text = &rest[..rest.find('<').expect("an element ends")];
        [("&#38;", "&"), ("&#60;", "<"), ("&#62;", ">"), ("&#34;", "\""), ("&#39;", "'")]
            .iter()
            .fold(text.to_owned(), |text, (from, to)| text.replace(from, to))
    });
    Some((shown.next()?, shown.next()?))
}

pub(crate) async fn try_end(bench: &mut Bench, ticket: i64) -> Option<()> {
    let path = claim_path(&bench.app, ticket);
    let mut browser = sign_in(bench).await?;
    let form_token = browser.try_get(&path).await?.input("form_token")?;
    let page = browser.try_post(&format!("{path}/end"), &[("form_token", &form_token)]).await?;
    page.status.is_redirection().then_some(())
}

async fn sign_in(bench: &mut Bench) -> Option<Browser> {
    let code = fresh_code(bench, &bench.app.jane.clone()).await;
    let mut browser = bench.app.browser();
    let form = [("person", "jane"), ("password", PASSWORD), ("code", &code), ("next", "/")];
    browser.try_post("/sign-in", &form).await?;
    Some(browser)
}

/// Jane mistypes her code, signs in with the next one, and signs out; where that fails she tries again.
pub(crate) async fn sign_in_and_out(bench: &mut Bench) {
    let form = [("person", "jane"), ("password", PASSWORD), ("code", "000000"), ("next", "/")];
    drop(bench.app.browser().try_post("/sign-in", &form).await);
    bench.rest().await;
    let mut browser = sign_in(bench).await.expect("Jane signs in");
    for _ in 0..3 {
        let page = browser.try_get("/").await.expect("the service is there");
        let Some(form_token) = page.input("form_token") else { return };
        drop(browser.try_post("/sign-out", &[("form_token", &form_token)]).await);
        bench.rest().await;
    }
    panic!("Jane is still signed in");
}

/// An approver lets a request pass at the command line, and looks whether it did if the service fails them.
pub(crate) async fn approve(bench: &mut Bench, ticket: i64, person: &str, codes: &OneTime) {
    for _ in 0..4 {
        let code = fresh_code(bench, codes).await;
        let open = bench.app.type_in(&["grants", "--open"], "").await;
        let open = open.unwrap_or_else(|_| "\theld\t".to_owned());
        let Some(id) = open.split_once("\theld\t").map(|(id, _)| id.to_owned()) else { return };
        match bench.app.type_in(&["approve", &id, "--as", person], &code).await {
            Ok(_) => return,
            Err(why) if why.contains("you have approved it already") => return,
            Err(_) => drop(bench.rest().await),
        }
    }
    panic!("{person} could not approve what {ticket} asks for");
}

/// A code is taken once: the next one comes half a minute later.
async fn fresh_code(bench: &mut Bench, codes: &OneTime) -> String {
    bench.pass(Duration::from_secs(31)).await;
    codes.code(bench.app.clock.now())
}

pub(crate) fn has_link(app: &TestApp, ticket: i64) -> bool {
    notes(app, ticket).iter().any(|note| note.contains("/claim/"))
}

fn claim_path(app: &TestApp, ticket: i64) -> String {
    let notes = notes(app, ticket);
    let at = notes.iter().find_map(|note| note.find("/claim/").map(|at| &note[at..])).expect("a note has the link");
    at.split_whitespace().next().unwrap_or_default().to_owned()
}
