//! Canaries: every secret of an installation is driven through every path, and then looked for wherever it must not be.
//!
//! The log is the process's own, as the shipped program writes it at its most talkative: what the journeys beside this
//! one log is searched too.

use std::{
    collections::BTreeSet,
    io,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use latchkey::{
    audit::{AuditFilter, Line, csv_record},
    telemetry::{self, LogFormat, LogLevel},
};
use latchkey_contract::Clock as _;
use latchkey_simulators::{
    fault::{Act, Fault},
    graph::UserSeed,
};
use serde_json::json;

use crate::harness::*;

/// Everything that was logged since the beginning of the test.
#[derive(Debug, Clone, Default)]
struct Log {
    lines: Arc<Mutex<Vec<u8>>>,
    is_closed: Arc<AtomicBool>,
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.is_closed.load(Ordering::Relaxed) {
            self.lines.lock().unwrap().extend_from_slice(bytes);
        }
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The forms in which a secret could slip out.
fn forms(secret: &[u8]) -> BTreeSet<Vec<u8>> {
    let text = String::from_utf8_lossy(secret).into_owned();
    let mut forms: BTreeSet<Vec<u8>> = BTreeSet::from([secret.to_vec()]);
    forms.insert(BASE64_STANDARD.encode(secret).trim_end_matches('=').as_bytes().to_vec());
    forms.insert(secret.iter().map(|b| format!("{b:02x}")).collect::<String>().into_bytes());
    forms.insert(json!(text).to_string().trim_matches('"').as_bytes().to_vec());
    let form: Vec<u8> = url::form_urlencoded::byte_serialize(secret).collect::<String>().into_bytes();
    forms.insert(form);
    forms.insert(html(&text).into_bytes());
    forms
}

fn html(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c.to_string() } else { format!("&#{};", u32::from(c)) })
        .collect()
}

/// What is looked for, in one pass over each place.
struct Needles {
    starts: Vec<bool>,
    all: Vec<(&'static str, Vec<u8>)>,
}

impl Needles {
    fn new(secrets: &[(&'static str, Vec<u8>)]) -> Self {
        let of = |(what, secret): &(&'static str, Vec<u8>)| {
            assert!(secret.len() >= 8, "{what} is too short to be looked for");
            forms(secret).into_iter().map(|form| (*what, form)).collect::<Vec<_>>()
        };
        let all: Vec<_> = secrets.iter().flat_map(of).collect();
        let mut starts = vec![false; 1 << 16];
        for (_, form) in &all {
            starts[start(form)] = true;
        }
        Self { starts, all }
    }

    /// What is found, with its surroundings.
    fn find(&self, place: &[u8]) -> Option<(&'static str, String)> {
        (0..place.len().saturating_sub(1)).filter(|at| self.starts[start(&place[*at..])]).find_map(|at| {
            let (what, form) = self.all.iter().find(|(_, form)| place[at..].starts_with(form))?;
            let around = &place[at.saturating_sub(120)..(at + form.len() + 40).min(place.len())];
            Some((*what, String::from_utf8_lossy(around).into_owned()))
        })
    }
}

fn start(bytes: &[u8]) -> usize {
    usize::from(bytes[0]) << 8 | usize::from(bytes[1])
}

/// Every password that was ever sent to the tenant.
fn passwords(app: &TestApp) -> BTreeSet<String> {
    let calls = app.entra.sim.faults().calls();
    let sent = calls.iter().filter_map(|c| c.body_json.as_ref()?["passwordProfile"]["password"].as_str());
    sent.map(str::to_owned).collect()
}

fn files(dir: &Path) -> Vec<(String, Vec<u8>)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_file() {
            found.push((path.display().to_string(), std::fs::read(&path).unwrap()));
        }
    }
    found
}

/// One reveal, refused ones before and after it; answers the pages that must not hold the password, and the one that does.
async fn claim(app: &TestApp, ticket: i64, cookies: &mut Vec<String>) -> (Vec<String>, String) {
    let grant = app.grant(ticket).await;
    let path = format!("/claim/{}", grant.id);
    let mut stranger = app.browser();
    let mut pages = vec![stranger.get(&path).await.text];
    pages.push(
        stranger.post("/sign-in", &[("person", "jane"), ("password", "x"), ("code", "1"), ("next", "/")]).await.text,
    );
    stranger.sign_in("mark", &app.mark, app.clock.now()).await;
    pages.push(stranger.get(&path).await.text);
    let mut browser = app.signed_in().await;
    let page = browser.get(&path).await;
    let token = page.input("form_token").unwrap();
    pages.push(page.text);
    let reveal = format!("{path}/reveal");
    pages.push(browser.post(&reveal, &[("form_token", &token), ("code", "000000")]).await.text);
    app.pass(Duration::from_secs(31)).await;
    let code = app.jane.code(app.clock.now());
    let revealed = browser.post(&reveal, &[("form_token", &token), ("code", &code)]).await;
    assert_eq!(revealed.status, 200, "{}", revealed.text);
    pages.push(browser.get(&path).await.text);
    pages.push(browser.post(&reveal, &[("form_token", &token), ("code", &code)]).await.text);
    pages.push(browser.get("/").await.text);
    cookies.extend(browser.cookie().map(|c| c.split_once('=').unwrap().1.to_owned()));
    cookies.extend(stranger.cookie().map(|c| c.split_once('=').unwrap().1.to_owned()));
    (pages, revealed.text)
}

/// A tenant and a PSA that quote our own secrets back at us, and every other kind of trouble.
async fn trouble(app: &TestApp) {
    let quote = |text: &str| json!({"error": "invalid_client", "error_description": text, "error_codes": [7_000_215], "code": "Quoting", "message": text});
    let answer = |status, text: &str| Act::Answer { status, retry_after: None, body: quote(text) };
    let graph = app.entra.sim.faults();
    graph.add(Fault::on("POST /{tenant}/oauth2/v2.0/token", answer(400, CLIENT_SECRET)).once());
    let bad = "The specified password does not comply with password complexity requirements. Please provide a different password.";
    let refused = json!({"error": {"code": "Request_BadRequest", "message": bad}});
    graph.add(Fault::on("PATCH /users/{id}", Act::Answer { status: 400, retry_after: None, body: refused }).once());
    for act in [Act::ResetAfter, Act::Garbage, Act::Huge] {
        graph.add(Fault::on("PATCH /users/{id}", act).once());
    }
    let psa = app.psa.sim.faults();
    psa.add(Fault::on("POST /service/tickets/{id}/notes", answer(500, &app.psa.keys.1)).times(2));
    psa.add(Fault::on("POST /service/tickets/{id}/notes", Act::ResetAfter).times(2));
    psa.add(Fault::on("GET /service/tickets/{id}", answer(401, &app.psa.keys.1)).once());
    for (person, minutes) in [("jdoe", 5), ("msmith", 10), ("gone", 5)] {
        let ticket = app.psa.ticket_on(app.psa.projects);
        app.psa.ask_as(person, ticket);
        app.minutes(minutes).await;
    }
    app.psa.sim.faults().clear();
    app.entra.sim.faults().clear();
}

async fn hooks(app: &TestApp) -> Vec<String> {
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let mut said = Vec::new();
    for path in [format!("/hooks/cw/{HOOK_SECRET}"), format!("/hooks/other/{HOOK_SECRET}"), format!("/{HOOK_SECRET}")] {
        for body in ["{}", "not json", HOOK_SECRET] {
            let answer =
                client.post(app.url(&path)).header("x-content-signature", "AAAA").body(body).send().await.unwrap();
            said.push(answer.text().await.unwrap());
        }
        said.push(client.get(app.url(&path)).send().await.unwrap().text().await.unwrap());
    }
    said
}

/// F22, F94, F106, F107, F140: no secret is anywhere but where it belongs: a password on the one reveal, and in the one note of
/// a policy that delivers there while that access lives; every other one nowhere.
#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_where_it_does_not_belong() {
    let log = Log::default();
    let writer = log.clone();
    tracing::subscriber::set_global_default(telemetry::subscriber(LogFormat::Json, LogLevel::Debug, move || {
        writer.clone()
    }))
    .expect("the log is this journey's: LATCHKEY_TEST_LOG must not be set");
    let metrics = telemetry::metrics().unwrap();
    let mut app = TestApp::start().await;
    app.down().await;
    app.up_with_metrics(metrics).await;
    app.entra.sim.add_user(TENANT, UserSeed::new("somebody@contoso.onmicrosoft.com"));

    let mut cookies = Vec::new();
    let claimed = app.active().await;
    let (mut pages, revealed) = claim(&app, claimed, &mut cookies).await;
    let in_ticket = app.active_on(app.psa.projects).await;
    let (_, password) = app.credentials(in_ticket);
    let with_it = app.psa.notes(in_ticket).into_iter().filter(|note| note.contains(&password));
    assert!(with_it.eq([app.psa.notes(in_ticket).into_iter().find(|n| n.contains("access granted")).unwrap()]));
    assert!(passwords(&app).iter().any(|shown| revealed.contains(shown)), "the reveal reveals");
    app.minutes(65).await;
    trouble(&app).await;
    app.minutes(70).await;
    pages.extend(hooks(&app).await);
    pages.push(app.browser().get("/readyz").await.text);

    let mut secrets: Vec<(&str, Vec<u8>)> = vec![
        ("the client secret", CLIENT_SECRET.into()),
        ("the PSA's private key", app.psa.keys.1.clone().into()),
        ("the path secret", HOOK_SECRET.into()),
        ("Jane's one-time secret", app.jane.bytes().expose().clone()),
        ("Jane's one-time secret", app.jane.base32().expose().clone().into_bytes()),
        ("Mark's one-time secret", app.mark.bytes().expose().clone()),
        ("a person's password", PASSWORD.into()),
    ];
    secrets.extend(cookies.iter().map(|c| ("a session token", c.clone().into_bytes())));
    let sent = passwords(&app);
    assert!(sent.len() >= 6 && cookies.len() == 2, "{} passwords, {} sessions", sent.len(), cookies.len());
    secrets.extend(sent.into_iter().map(|p| ("an account's password", p.into_bytes())));

    let mut places: Vec<(String, Vec<u8>)> = files(app.data_dir());
    match app.on_server() {
        Some(database) => {
            let log = database.log_of_writes();
            assert!(log.len() > 1 << 20, "the write-ahead log is searched too");
            places.push(("the server's write-ahead log".to_owned(), log));
        }
        None => assert!(places.iter().any(|(name, _)| name.ends_with("-wal")), "the write-ahead log is searched too"),
    }
    places.extend(pages.into_iter().map(|text| ("a page".to_owned(), text.into_bytes())));
    for ticket in app.psa.tenant.ticket_ids() {
        places.extend(app.psa.tenant.notes(ticket).iter().map(|n| ("a note".to_owned(), n.to_string().into_bytes())));
        places.extend(
            app.psa.tenant.audit(ticket).iter().map(|n| ("the PSA's audit".to_owned(), n.to_string().into_bytes())),
        );
    }
    for entry in app.store().audit(0, 100_000).await.unwrap() {
        places.push(("the audit".to_owned(), format!("{entry:?} {}", entry.detail).into_bytes()));
    }
    for row in app.store().audit_rows(&AuditFilter::default(), 0, 100_000).await.unwrap() {
        places.push(("the CSV export".to_owned(), csv_record(&row.entry().unwrap()).join(",").into_bytes()));
        places.push(("the JSON export".to_owned(), Line::Row(row).write().into_bytes()));
    }
    let address = app.app().metrics_address().unwrap();
    let said = reqwest::get(format!("http://{address}/metrics")).await.unwrap().text().await.unwrap();
    assert!(said.contains("provider_calls_total"), "{said}");
    places.push(("the metrics".to_owned(), said.into_bytes()));
    log.is_closed.store(true, Ordering::Relaxed);
    let lines = std::mem::take(&mut *log.lines.lock().unwrap());
    assert!(String::from_utf8_lossy(&lines).contains("outside call"), "the log is talkative");
    places.push(("the log".to_owned(), lines));

    let needles = Needles::new(&secrets);
    for (place, bytes) in &places {
        if let Some((what, around)) = needles.find(bytes) {
            panic!("{what} is in {place}: …{around}…");
        }
    }
    app.end().await;
}
