//! The audit log: who did what is in it, nothing is given without it, removal goes on without it, and nobody can change
//! it unseen.

use std::{
    collections::BTreeMap,
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use latchkey::{
    access::Grant,
    audit::{AuditEntry, By, Code, Head},
    cli::{self, Cli, Terminal},
};
use latchkey_contract::Clock as _;
use latchkey_simulators::fault::{Act, Call, Fault};
use sha2::{Digest as _, Sha256};

use crate::harness::{stranger::Stranger, *};

/// How somebody breaks the chain, on each engine, and how they mend it.
const BREAK: [&str; 2] = [
    "CREATE TRIGGER stranger BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END",
    "CREATE FUNCTION stranger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'no'; END $$;
     CREATE TRIGGER stranger BEFORE INSERT ON audit FOR EACH ROW EXECUTE FUNCTION stranger()",
];
const MEND: [&str; 2] = ["DROP TRIGGER stranger", "DROP TRIGGER stranger ON audit; DROP FUNCTION stranger()"];

async fn execute(app: &TestApp, [sqlite, postgres]: [&'static str; 2]) {
    app.stranger().await.execute(sqlite, postgres).await;
}

async fn log(app: &TestApp) -> Vec<AuditEntry> {
    app.store().audit(0, 100_000).await.unwrap()
}

/// F139: every act has a person, a ticket and a grant where there is one, and says who acted.
#[tokio::test(flavor = "multi_thread")]
async fn every_act_is_tied_to_a_person_a_ticket_and_a_grant() {
    let app = TestApp::start().await;
    let shown = app.active().await;
    let grant = app.grant(shown).await;
    app.pass(Duration::from_secs(31)).await;
    let mut browser = app.signed_in().await;
    let token = browser.get(&format!("/claim/{}", grant.id)).await.input("form_token").unwrap();
    app.pass(Duration::from_secs(31)).await;
    let form = [("form_token", token.as_str()), ("code", &app.jane.code(app.clock.now()))];
    assert_eq!(browser.post(&format!("/claim/{}/reveal", grant.id), &form).await.status, 200);
    app.pass(Duration::from_secs(31)).await;
    app.end_now(&grant).await;
    app.minutes(2).await;
    let written = app.active_on(app.psa.projects).await;
    let refused = app.psa.ticket();
    app.psa.ask_as("unbound", refused);
    app.minutes(70).await;

    let jane = || By::Person("jane".parse().unwrap());
    let entries = log(&app).await;
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for entry in &entries {
        *codes.entry(entry.code.to_string()).or_default() += 1;
        let by = entry.by.as_ref().expect("somebody acted");
        let about_access =
            !matches!(entry.code, Code::PersonEnrolled | Code::SecretSet | Code::RulesSaved | Code::BindingAdded);
        assert_eq!(about_access, entry.ticket.is_some() && entry.grant.is_some(), "{entry:?}");
        let is_unknown = entry.ticket.as_ref().is_some_and(|t| t.ticket.as_str() == refused.to_string());
        assert_eq!(
            entry.person.is_none(),
            is_unknown || matches!(entry.code, Code::SecretSet | Code::RulesSaved),
            "{entry:?}"
        );
        let wanted = match entry.code {
            Code::RequestGranted | Code::SecretRevealed => jane(),
            Code::PersonEnrolled | Code::SecretSet | Code::RulesSaved | Code::BindingAdded => By::operator("test"),
            Code::GrantEnding if entry.ticket.as_ref() == Some(&grant.ticket) => jane(),
            _ => By::Service,
        };
        assert_eq!(*by, wanted, "{entry:?}");
    }
    for (code, at_least) in [
        ("person.enrolled", 2),
        ("secret.set", 1),
        ("request.granted", 2),
        ("request.refused", 1),
        ("grant.granting", 2),
        ("grant.delivering", 2),
        ("grant.active", 2),
        ("grant.ending", 2),
        ("grant.ended", 2),
        ("step.intent", 10),
        ("step.done", 10),
        ("ticket.told", 8),
        ("secret.revealed", 1),
        ("secret.handing-over", 1),
    ] {
        let found = codes.get(code).copied().unwrap_or_default();
        assert!(found >= at_least, "{code}: {found} of at least {at_least}");
    }
    let intents = || entries.iter().filter(|e| e.code == Code::StepIntent);
    let steps = |grant: &Grant| intents().filter(|e| e.grant.as_ref() == Some(&grant.id)).count();
    assert!(steps(&grant) > 3 && steps(&app.grant(written).await) > 3, "steps are filed under their own grant");
    app.end().await;
}

/// F139: where two of one person's grants overlap on one account, what is given is filed under the one that it is given
/// for, and what is taken under the one that ends.
#[tokio::test(flavor = "multi_thread")]
async fn each_step_is_filed_under_the_grant_that_it_is_taken_for() {
    let app = TestApp::start().await;
    let first = app.active().await;
    app.minutes(30).await;
    let second = app.active_on(app.psa.projects).await;
    let between = log(&app).await.len();
    app.minutes(35).await;
    assert_eq!([app.state(first).await.name(), app.state(second).await.name()], ["ended", "active"]);
    let entries = log(&app).await;
    let done = |part: &[AuditEntry], step: &str| {
        let is_it = |e: &&AuditEntry| e.code == Code::StepDone && e.detail["step"] == step;
        part.iter().filter(is_it).map(|e| e.ticket.as_ref().unwrap().ticket.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(done(&entries[..between], "give"), [first, first, second].map(|t| t.to_string()));
    assert_eq!(done(&entries[between..], "take"), [first, first].map(|t| t.to_string()));
    app.minutes(70).await;
    app.end().await;
}

/// F143: the log breaks while access stands: it ends on time, proven; nothing new is given; mended, all of it is in the
/// log, in its order.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_broken_log_access_ends_on_time_and_none_is_given() {
    let app = TestApp::start().await;
    let living = app.active().await;
    execute(&app, BREAK).await;
    let wanted = app.psa.ticket_on(app.psa.projects);
    app.psa.ask_as("msmith", wanted);
    app.minutes(61).await;
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty() && app.entra.groups().is_empty());
    assert_eq!(app.state(living).await.name(), "ended");
    assert!(app.grants(wanted).await.is_empty(), "no entry, no access");
    assert_eq!(app.audited("grant.ended").await, 0);
    let owed = app.store().audit_owed().await.unwrap();
    assert!(owed > 10, "{owed}");
    let before = log(&app).await.len();

    execute(&app, MEND).await;
    app.minutes(6).await;
    assert_eq!(app.store().audit_owed().await.unwrap(), 0);
    let entries = log(&app).await;
    let codes: Vec<&str> = entries[before..].iter().map(|entry| entry.code.as_str()).collect();
    let at = |code: &str| codes.iter().position(|c| *c == code).unwrap_or_else(|| panic!("no {code} in {codes:?}"));
    assert!(at("grant.ending") < at("step.intent") && at("step.intent") < at("step.done"));
    assert!(at("step.done") < at("grant.ended") && at("grant.ended") < at("request.granted"));
    let intents = codes.iter().filter(|code| **code == "step.intent").count();
    assert!(intents > 3 && at("grant.ended") >= owed as usize - 1, "the removal's own entries came first, all of them");
    assert_eq!(app.state(wanted).await.name(), "active", "and the request is granted at last");
    let told = app.psa.told(living);
    let ended = told.iter().filter(|line| *line == "Latchkey: access has ended, proven off.").count();
    assert_eq!(ended, 1, "{told:?}");
    app.minutes(70).await;
    app.end().await;
}

/// F107, F143: the log breaks when the account is ready: neither a note nor the page hands over what lets somebody in.
#[tokio::test(flavor = "multi_thread")]
async fn with_a_broken_log_no_credentials_are_handed_over() {
    let app = TestApp::start().await;
    let linked = app.active().await;
    // From the first note on the PSA does not tell the ticket: the second one, which hands over, cannot be posted yet.
    let is_noted = Arc::new(AtomicBool::new(false));
    let (set, get) = (Arc::clone(&is_noted), is_noted);
    let noted = Act::after(move |_| set.store(true, Ordering::SeqCst));
    app.psa.sim.faults().add(Fault::on("POST /service/tickets/{id}/notes", noted).once());
    let is_read = move |call: &Call| call.op == "GET /service/tickets/{id}" && get.load(Ordering::SeqCst);
    app.psa.sim.faults().add(Fault::when(is_read, Act::ResetBefore));
    let written = app.psa.ticket_on(app.psa.projects);
    app.psa.ask_as("msmith", written);
    app.run().await;
    assert_eq!(app.state(written).await.name(), "delivering");
    assert_eq!(app.psa.told(written), ["Latchkey: request received."]);
    execute(&app, BREAK).await;
    app.psa.sim.faults().clear();
    app.minutes(8).await;
    assert!(app.psa.notes(written).iter().all(|note| !note.contains("Password:")), "no entry, no credentials");

    let grant = app.grant(linked).await;
    let mut browser = app.signed_in().await;
    let token = browser.get(&format!("/claim/{}", grant.id)).await.input("form_token").unwrap();
    app.pass(Duration::from_secs(31)).await;
    let form = [("form_token", token.as_str()), ("code", &app.jane.code(app.clock.now()))];
    let page = browser.post(&format!("/claim/{}/reveal", grant.id), &form).await;
    assert!(page.status.is_server_error() && !page.text.contains("class=\"secret\""), "{}: {}", page.status, page.text);

    app.minutes(4).await;
    assert_eq!(app.state(written).await.name(), "ended", "taken back, for it was not handed over in time");
    execute(&app, MEND).await;
    app.minutes(70).await;
    assert_eq!(app.audited("secret.handing-over").await, 0);
    app.end().await;
}

/// What a command prints; it is run while no service is.
async fn command(app: &mut TestApp, words: &[&str]) -> (Result<(), String>, String) {
    let (dir, port) = app.place();
    let config = dir.join("latchkey.toml");
    std::fs::write(&config, config_text(dir, port)).unwrap();
    app.down().await;
    let screen = Screen::default();
    let mut terminal = Terminal::piped(Box::new(io::empty()), Box::new(screen.clone()), Box::new(io::sink()));
    let cli =
        Cli::read([&["latchkey", "--config", config.to_str().unwrap()], words].concat().into_iter().map(Into::into))
            .unwrap();
    let result = cli::run(cli, &mut terminal).await.map_err(|error| format!("{error:#}"));
    let said = String::from_utf8(screen.0.lock().unwrap().clone()).unwrap();
    (result, said)
}

#[derive(Clone, Default)]
struct Screen(Arc<Mutex<Vec<u8>>>);

impl io::Write for Screen {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(bytes)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same on either engine's connection.
macro_rules! rewrite {
    ($conn:expr, $seq:expr) => {{
        sqlx::query("DELETE FROM audit WHERE seq = $1").bind($seq).execute($conn).await.unwrap();
        let rows: Vec<(i64, String)> =
            sqlx::query_as("SELECT seq, doc FROM audit ORDER BY seq").fetch_all($conn).await.unwrap();
        let mut hash = String::new();
        for (new, (old, doc)) in (1_i64..).zip(rows) {
            let doc = doc.replace(&format!("\"seq\":{old},"), &format!("\"seq\":{new},"));
            let digest = Sha256::new().chain_update(&hash).chain_update(&doc).finalize();
            hash = digest.iter().map(|byte| format!("{byte:02x}")).collect();
            let sql = "UPDATE audit SET seq = $2, doc = $3, hash = $4 WHERE seq = $1";
            sqlx::query(sql).bind(old).bind(new).bind(doc).bind(&hash).execute($conn).await.unwrap();
        }
    }};
}

/// Makes a log that never held an entry, and that follows from beginning to end: without a trace, but for what left the
/// house before.
async fn rewrite_without(app: &TestApp, seq: i64) {
    let mut stranger = app.stranger().await;
    stranger.execute("DROP TRIGGER audit_no_update", "DROP TRIGGER audit_stays ON audit").await;
    stranger.execute("DROP TRIGGER audit_no_delete", "").await;
    match stranger {
        Stranger::Sqlite(mut conn) => rewrite!(&mut conn, seq),
        Stranger::Postgres(mut conn) => rewrite!(&mut conn, seq),
    }
}

/// F140, F144: the note about an end carries a head; a whole export verifies by it without the installation, and a log
/// that was rewritten without a trace does not.
#[tokio::test(flavor = "multi_thread")]
async fn the_head_in_the_note_tells_a_rewritten_log() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.minutes(61).await;
    let notes = app.psa.notes(ticket);
    let note = notes.iter().find(|note| note.contains("proven off")).unwrap();
    let head = note.lines().find_map(|line| line.strip_prefix("Audit ")).expect("the note carries the head").to_owned();
    let ended = log(&app).await.into_iter().find(|entry| entry.code == Code::GrantEnded).unwrap();
    let named: Head = head.parse().unwrap();
    assert!(named.seq >= ended.seq, "the proof is below the head");

    let export = app.place().0.join("audit.jsonl").to_str().unwrap().to_owned();
    let (done, said) = command(&mut app, &["audit", "export", "--out", &export]).await;
    assert_eq!((done, said.as_str()), (Ok(()), ""));
    let elsewhere = tempfile::tempdir().unwrap();
    let copy = elsewhere.path().join("copy.jsonl").to_str().unwrap().to_owned();
    std::fs::copy(&export, &copy).unwrap();
    let (done, said) = command(&mut app, &["audit", "verify", &copy, "--head", &head]).await;
    assert_eq!(done, Ok(()));
    assert!(said.contains("Whole: entries 1 to ") && said.contains("Heads that it bears out: 1."), "{said}");
    let (done, _) = command(&mut app, &["audit", "verify", "--head", &head]).await;
    assert_eq!(done, Ok(()));

    rewrite_without(&app, ended.seq).await;
    let (done, said) = command(&mut app, &["audit", "verify"]).await;
    assert_eq!(done, Ok(()), "the chain itself is whole: {said}");
    let (done, _) = command(&mut app, &["audit", "verify", "--head", &head]).await;
    assert!(done.unwrap_err().contains("is not the one that the head names"));
}

/// F144: every day at its hour the head leaves the house, whether or not anything else happens.
#[tokio::test(flavor = "multi_thread")]
async fn the_head_leaves_the_house_every_day() {
    let mut app = TestApp::start().await;
    app.minutes(8 * 60 - 1).await;
    assert_eq!(app.audited("audit.head").await, 0, "at five in the morning");
    app.minutes(2).await;
    assert_eq!(app.audited("audit.head").await, 1);
    app.down().await;
    app.clock.pass(Duration::from_secs(3 * 24 * 3600));
    app.up().await;
    app.minutes(1).await;
    assert_eq!(app.audited("audit.head").await, 2, "a day that was missed is made up for once");
    app.minutes(24 * 60).await;
    let entries = log(&app).await;
    let said: Vec<&AuditEntry> = entries.iter().filter(|entry| entry.code == Code::AuditHead).collect();
    assert_eq!(said.len(), 3);
    for entry in said {
        let head: Head = entry.detail["head"].as_str().unwrap().parse().unwrap();
        assert_eq!(head.seq, entry.seq - 1);
        assert!(head.is_of(&entries[usize::try_from(head.seq - 1).unwrap()].hash) && head.signature.is_some());
    }
    app.end().await;
}
