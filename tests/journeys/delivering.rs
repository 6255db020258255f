//! How the credentials reach their person and nobody else, and what becomes of access that cannot be handed over.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use latchkey::{
    people::OneTime,
    store::{NoticeKind, NoticeState},
};
use latchkey_contract::Clock;
use latchkey_simulators::{
    connectwise::{NewTicket, Tab},
    fault::{Act, Call, Fault},
    graph::Refused,
};
use reqwest::StatusCode;
use serde_json::json;

use crate::harness::*;

const POST_NOTE: &str = "POST /service/tickets/{id}/notes";

/// The path of the claim link in the ticket.
fn claim_path(app: &TestApp, ticket: i64) -> String {
    claim_path_in(app, &app.psa.notes(ticket))
}

/// The path of the claim link in these notes.
pub(crate) fn claim_path_in(app: &TestApp, notes: &[String]) -> String {
    let link = notes.iter().flat_map(|n| n.lines()).find_map(|l| l.strip_prefix(app.url("").as_str()));
    link.filter(|path| path.starts_with("/claim/")).expect("the ticket holds a claim link").to_owned()
}

/// A fresh code: the one before is used.
pub(crate) async fn fresh(app: &TestApp, one_time: &OneTime) -> String {
    app.pass(Duration::from_secs(31)).await;
    one_time.code(app.clock.now())
}

/// Signed in, in a browser of their own.
pub(crate) async fn signed_in(app: &TestApp, person: &str, one_time: &OneTime) -> Browser {
    app.pass(Duration::from_secs(31)).await;
    let mut browser = app.browser();
    let page = browser.sign_in(person, one_time, app.clock.now()).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    browser
}

/// What stands in the page's two secret outputs.
pub(crate) fn shown(text: &str) -> Vec<String> {
    let parts = text.split("<output class=\"secret\">").skip(1);
    parts.map(|part| part.split("</output>").next().unwrap_or_default().replace("&#38;", "&").to_owned()).collect()
}

/// The account's name.
fn user(app: &TestApp) -> String {
    app.entra.account().unwrap()["userPrincipalName"].as_str().unwrap().to_owned()
}

/// F22, F94, F106: the link is worth nothing without signing in as the requester; the secret is shown by a POST with a fresh code.
#[tokio::test(flavor = "multi_thread")]
async fn the_claim_link_works_for_its_requester_and_nobody_else() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let path = claim_path(&app, ticket);
    let mut stranger = app.browser();
    let page = stranger.get(&path).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    assert!(page.location.unwrap().starts_with("/sign-in"));
    let mut jane = signed_in(&app, "jane", &app.jane).await;
    let page = jane.get(&path).await;
    assert_eq!(page.status, StatusCode::OK);
    assert!(shown(&page.text).is_empty(), "looking shows no secret");
    let token = page.input("form_token").unwrap();
    let mut mark = signed_in(&app, "mark", &app.mark).await;
    assert_eq!(mark.get(&path).await.status, StatusCode::NOT_FOUND);
    let marks = mark.get("/").await.input("form_token").unwrap();
    let reveal = format!("{path}/reveal");
    let code = fresh(&app, &app.mark).await;
    for form_token in [&marks, &token] {
        let page = mark.post(&reveal, &[("form_token", form_token), ("code", &code)]).await;
        assert!([StatusCode::NOT_FOUND, StatusCode::BAD_REQUEST].contains(&page.status), "{}", page.status);
        assert!(shown(&page.text).is_empty());
    }
    let used = app.jane.code(app.clock.now() - Duration::from_secs(90));
    for bad in ["", "000000", used.as_str()] {
        let page = jane.post(&reveal, &[("form_token", &token), ("code", bad)]).await;
        assert!(page.status.is_client_error() && shown(&page.text).is_empty(), "{bad:?}: {}", page.status);
    }
    assert_eq!(app.audited("secret.revealed").await, 0);
    let code = fresh(&app, &app.jane).await;
    let page = jane.post(&reveal, &[("form_token", &token), ("code", &code)]).await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    let secrets = shown(&page.text);
    assert_eq!(secrets[0], user(&app));
    app.entra.sim.sign_in(TENANT, &secrets[0], &secrets[1]).expect("what is shown works");
    assert_eq!(app.audited("secret.revealed").await, 1);
    let page = jane.post(&reveal, &[("form_token", &token), ("code", &code)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN, "a code counts once");
    assert!(shown(&page.text).is_empty());
    assert!(app.psa.notes(ticket).iter().all(|n| !n.contains(&secrets[1])), "the ticket holds the link alone");
    app.minutes(61).await;
    let code = fresh(&app, &app.jane).await;
    let mut jane = app.browser();
    jane.post("/sign-in", &[("person", "jane"), ("password", PASSWORD), ("code", &code), ("next", "/")]).await;
    let page = jane.get(&path).await;
    assert!(page.text.contains("Proof that it is off"), "{}", page.text);
    let token = page.input("form_token").unwrap();
    let code = fresh(&app, &app.jane).await;
    let page = jane.post(&reveal, &[("form_token", &token), ("code", &code)]).await;
    assert_eq!(page.status, StatusCode::CONFLICT);
    assert!(shown(&page.text).is_empty() && page.text.contains("has ended"), "{}", page.text);
    app.end().await;
}

/// F117, F120, F127: *End now* on the claim page.
#[tokio::test(flavor = "multi_thread")]
async fn the_person_ends_their_access_by_the_page() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let path = claim_path(&app, ticket);
    let mut mark = signed_in(&app, "mark", &app.mark).await;
    let marks = mark.get("/").await.input("form_token").unwrap();
    assert_eq!(mark.post(&format!("{path}/end"), &[("form_token", &marks)]).await.status, StatusCode::NOT_FOUND);
    let mut jane = signed_in(&app, "jane", &app.jane).await;
    let token = jane.get(&path).await.input("form_token").unwrap();
    assert_eq!(jane.get(&format!("{path}/end")).await.status, StatusCode::METHOD_NOT_ALLOWED, "never by a link");
    assert_eq!(app.state(ticket).await.name(), "active");
    let page = jane.post(&format!("{path}/end"), &[("form_token", &token)]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER);
    app.pass(Duration::from_secs(30)).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty() && app.entra.groups().is_empty());
    let notes = app.psa.notes(ticket);
    assert!(notes.last().unwrap().contains("Why: ended by the technician."), "{notes:?}");
    assert_eq!(app.psa.status(ticket), app.psa.desk.done);
    let page = jane.get(&path).await;
    assert!(page.text.contains("Proof that it is off") && page.text.contains("ended by the technician"));
    app.end().await;
}

/// F121: by the page, too, as often as the rules let it; nobody else does, and what is too long is refused with a sentence.
#[tokio::test(flavor = "multi_thread")]
async fn the_person_gets_more_time_by_the_page() {
    let app = TestApp::start_with(&[("max_length = \"8h\"", "max_length = \"2h\"")]).await;
    let ticket = app.active().await;
    let path = claim_path(&app, ticket);
    let end = app.state(ticket).await.end().unwrap();
    let mut mark = signed_in(&app, "mark", &app.mark).await;
    let marks = mark.get("/").await.input("form_token").unwrap();
    let extend = format!("{path}/extend");
    assert_eq!(
        mark.post(&extend, &[("form_token", &marks), ("length", "1h")]).await.status,
        StatusCode::NOT_FOUND,
        "somebody else's"
    );
    let mut jane = signed_in(&app, "jane", &app.jane).await;
    let page = jane.get(&path).await;
    assert!(page.text.contains("<option>1h</option>"), "{}", page.text);
    let token = page.input("form_token").unwrap();
    assert_eq!(jane.get(&extend).await.status, StatusCode::METHOD_NOT_ALLOWED, "never by a link");
    assert_eq!(app.state(ticket).await.end().unwrap(), end);
    let too_long = jane.post(&extend, &[("form_token", &token), ("length", "61m")]).await;
    assert_eq!(too_long.status, StatusCode::CONFLICT);
    assert!(
        too_long.text.contains("Not extended: 61m more would be longer in all than policy helpdesk"),
        "{}",
        too_long.text
    );
    let page = jane.post(&extend, &[("form_token", &token), ("length", "1h")]).await;
    assert_eq!(page.status, StatusCode::SEE_OTHER, "{}", page.text);
    app.pass(Duration::from_secs(30)).await;
    assert_eq!(app.state(ticket).await.end().unwrap(), end + Duration::from_secs(3600), "{:?}", app.psa.notes(ticket));
    assert!(app.psa.told(ticket).contains(&"Latchkey: access was extended.".to_owned()));
    let page = jane.get(&path).await;
    assert!(!page.text.contains("/extend"), "there is no room for more");
    app.minutes(65).await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(55).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}

/// F106, F107: a workflow of the PSA shows the internal note to the customer: taken back, and the password is dead.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_the_psa_shows_to_the_customer_are_taken_back() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket_on(app.psa.projects);
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (tenant, kept) = (app.psa.tenant.clone(), Arc::clone(&seen));
    let show = Act::after(move |call| {
        let text = call.body_json.as_ref().and_then(|b| b["text"].as_str()).unwrap_or_default();
        let Some(password) = text.lines().find_map(|l| l.strip_prefix("Password:")) else { return };
        kept.lock().unwrap().push(password.trim().to_owned());
        let note = tenant.notes(ticket).last().unwrap()["id"].as_i64().unwrap();
        tenant.acting("workflow").move_note(note, Tab::Discussion).unwrap();
    });
    app.psa.sim.faults().add(Fault::on(POST_NOTE, show));
    app.psa.ask(ticket);
    app.pass(Duration::from_secs(60)).await;
    let password = seen.lock().unwrap().first().cloned().expect("the credentials were posted");
    assert_eq!(seen.lock().unwrap().len(), 1, "and not a second time");
    assert_eq!(app.state(ticket).await.name(), "ended");
    let all = app.psa.tenant.notes(ticket);
    assert!(
        all.iter().all(|n| n["detailDescriptionFlag"] == false),
        "nothing is left where the customer looks: {all:?}"
    );
    assert!(all.iter().all(|n| !n["text"].as_str().unwrap().contains(&password)));
    app.entra.sim.by_hand(TENANT).enable(&user(&app));
    assert_eq!(app.entra.sim.sign_in(TENANT, &user(&app), &password).unwrap_err(), Refused::WrongPassword);
    app.entra.sim.by_hand(TENANT).disable(&user(&app));
    let told = app.psa.told(ticket);
    assert_eq!(
        told,
        [
            "Latchkey: request received.",
            "Latchkey: access could not be given.",
            "Latchkey: access has ended, proven off."
        ]
    );
    let failed = &app.psa.notes(ticket)[1];
    assert!(failed.contains("the PSA showed the internal note to the customer; it was taken back"), "{failed}");
    app.end().await;
}

/// F106: the PSA is away when such a note is to be taken back: the access ends all the same, and the note goes when the PSA
/// is there again, also after a restart; it is never posted a second time.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_customer_sees_is_taken_back_as_soon_as_the_psa_lets_us() {
    const DELETE_NOTE: &str = "DELETE /service/tickets/{id}/notes/{noteId}";
    let mut app = TestApp::start().await;
    let ticket = app.psa.ticket_on(app.psa.projects);
    let tenant = app.psa.tenant.clone();
    let show = Act::after(move |call| {
        let text = call.body_json.as_ref().and_then(|b| b["text"].as_str()).unwrap_or_default();
        if text.contains("Password:") {
            let note = tenant.notes(ticket).last().unwrap()["id"].as_i64().unwrap();
            tenant.acting("workflow").move_note(note, Tab::Discussion).unwrap();
        }
    });
    app.psa.sim.faults().add(Fault::on(POST_NOTE, show));
    let away = Act::Answer { status: 503, retry_after: None, body: serde_json::Value::Null };
    let fired = app.psa.sim.faults().add(Fault::on(DELETE_NOTE, away));
    app.psa.ask(ticket);
    app.pass(Duration::from_secs(60)).await;
    assert!(fired.count() > 0, "the PSA was asked and did not");
    assert_eq!(app.state(ticket).await.name(), "ended", "without waiting for the PSA");
    let shown = |app: &TestApp| {
        let all = app.psa.tenant.notes(ticket);
        all.iter().filter(|n| n["detailDescriptionFlag"] == true).count()
    };
    assert_eq!(shown(&app), 1);
    app.down().await;
    app.psa.sim.faults().clear();
    app.up().await;
    app.minutes(10).await;
    assert_eq!(shown(&app), 0);
    let posted = app.psa.sim.faults().calls().into_iter().filter(|call| call.op == POST_NOTE);
    let handed = posted
        .filter(|call| {
            call.body_json.as_ref().is_some_and(|b| b["text"].as_str().is_some_and(|t| t.contains("Password:")))
        })
        .count();
    assert_eq!(handed, 1, "and not a second time");
    app.end().await;
}

/// F107: the ticket is closed, deleted or moved to another company while the account is being made.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_changes_while_granting_gets_nothing_handed_over() {
    type Change = fn(&TestApp, i64);
    let changes: [(Change, &str); 4] = [
        (|app, ticket| app.psa.tenant.acting("msmith").close(ticket).unwrap(), "the ticket was closed or is gone"),
        (|app, ticket| app.psa.tenant.acting("msmith").delete(ticket).unwrap(), "the ticket was closed or is gone"),
        (
            |app, ticket| app.psa.tenant.acting("msmith").move_company(ticket, app.psa.stranger).unwrap(),
            "the ticket was moved to another company",
        ),
        (
            |app, ticket| {
                app.psa.sim.set_delivery(|rules| rules.lose = usize::MAX);
                app.psa.tenant.acting("msmith").close(ticket).unwrap();
            },
            "the ticket was closed or is gone",
        ),
    ];
    for (n, (change, why)) in changes.into_iter().enumerate() {
        let app = TestApp::start().await;
        app.entra.sim.faults().add(Fault::on("POST /users", Act::throttled(120)).once());
        let ticket = app.psa.ticket_on(app.psa.projects);
        app.psa.ask(ticket);
        app.run().await;
        assert_eq!(app.state(ticket).await.name(), "granting");
        change(&app, ticket);
        app.minutes(5).await;
        let grant = app.grant(ticket).await;
        assert_eq!(grant.state.name(), "ended", "change {n}: {:?}", app.psa.notes(ticket));
        assert!(format!("{:?}", grant.state).contains("TicketEnded") || why.contains("company"), "{:?}", grant.state);
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
        let notes = app.psa.notes(ticket);
        assert!(notes.iter().all(|note| !note.contains("Password:")), "change {n}: {notes:?}");
        if n != 1 {
            assert!(notes.last().unwrap().contains(why), "change {n}: {notes:?}");
        }
        if n == 0 || n == 3 {
            assert_eq!(
                app.psa.tenant.ticket(ticket).unwrap()["closedFlag"],
                true,
                "a closed ticket is not opened again"
            );
        }
        app.end().await;
    }
}

/// F107: the PSA refuses the note for good, or for want of rights: taken back at once, or after ten minutes.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_the_ticket_refuses_to_be_told_of_is_taken_back() {
    for (status, minutes, why) in [
        (400, 1, "the PSA refused the note (InvalidObject"),
        (403, 11, "the credentials could not be delivered in time"),
    ] {
        let app = TestApp::start().await;
        let body = json!({"code": "InvalidObject", "message": "no", "errors": [{"code": "x", "field": "text"}]});
        let holds_password = |call: &Call| call.body_json.as_ref().is_some_and(|b| b.to_string().contains("Password:"));
        app.psa.fail(
            move |call| call.op == POST_NOTE && holds_password(call),
            Act::Answer { status, retry_after: None, body },
        );
        let ticket = app.psa.ticket_on(app.psa.projects);
        app.psa.ask(ticket);
        app.minutes(minutes).await;
        assert_eq!(app.state(ticket).await.name(), "ended", "{status}");
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
        let notes = app.psa.notes(ticket);
        assert_eq!(notes.len(), 3, "{notes:?}");
        assert!(notes[1].contains(why), "{notes:?}");
        assert!(notes[2].starts_with("Latchkey: access has ended, proven off."), "{notes:?}");
        assert_eq!(app.psa.status(ticket), app.psa.projects.done);
        app.end().await;
    }
}

/// F106: merging copies notes; the credentials are overwritten wherever they stand.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_were_copied_by_a_merge_are_overwritten_in_both_tickets() {
    let app = TestApp::start().await;
    let (child, survivor) = (app.psa.ticket_on(app.psa.projects), app.psa.ticket_on(app.psa.projects));
    app.psa.ask(child);
    app.run().await;
    let password = app.password_in(child);
    app.psa.tenant.acting("jdoe").merge(survivor, &[child]).unwrap();
    let notes = app.psa.tenant.notes(child);
    let text = notes.iter().map(|n| n["text"].as_str().unwrap()).find(|t| t.contains(&password)).unwrap();
    app.psa.tenant.acting("JitApi").add_note(survivor, text, Tab::Internal).unwrap();
    app.minutes(61).await;
    assert_eq!(app.state(child).await.name(), "ended");
    for ticket in [child, survivor] {
        let notes = app.psa.notes(ticket);
        assert!(notes.iter().all(|n| !n.contains(&password)), "{ticket}: {notes:?}");
        assert!(
            notes.iter().any(|n| n.contains("the credentials that stood here were removed")),
            "{ticket}: {notes:?}"
        );
    }
    app.end().await;
}

/// F106: at the end the PSA says once that there is no such note, as where a right is missing for a moment: that is believed
/// when it is still so a minute later, and not before.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_are_missed_once_are_looked_for_again() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.run().await;
    let password = app.password_in(ticket);
    let holds = || app.psa.notes(ticket).iter().any(|note| note.contains(&password));
    app.minutes(59).await;
    let body = json!({ "code": "NotFound", "message": "Note not found" });
    let act = Act::Answer { status: 404, retry_after: None, body };
    let fired = app.psa.sim.faults().add(Fault::on("GET /service/tickets/{id}/notes/{noteId}", act).once());
    app.pass(Duration::from_secs(80)).await;
    assert!(fired.count() == 1 && holds(), "{:?}", app.psa.notes(ticket));
    app.minutes(2).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(!holds(), "{:?}", app.psa.notes(ticket));
    app.minutes(10).await;
    app.end().await;
}

/// F106, F131: the PSA took the note with the credentials, and then lists no notes any more: nobody knows where it stands, and
/// whoever subscribes to the connection's trouble is told.
#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_cannot_be_looked_for_are_told_to_an_admin() {
    let app = TestApp::start().await;
    let alerts = "[alerts]\nconnector_trouble = { on = true, to = [\"noc@msp.example\"] }\n";
    let alerts = latchkey::rulebook::Rulebook::parse(alerts).unwrap().alerts;
    app.change_rules(|rules| rules.rulebook.alerts = alerts).await;
    let posted = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&posted);
    let is_handing_over = move |call: &Call| {
        let text = call.body_json.as_ref().map(ToString::to_string).unwrap_or_default();
        let is_it = call.op == POST_NOTE && text.contains("Password:");
        seen.fetch_or(is_it, Ordering::SeqCst);
        is_it
    };
    app.psa.fail(is_handing_over, Act::ResetAfter);
    let body = json!({ "code": "InvalidObject", "message": "no", "errors": [] });
    let refused = Act::Answer { status: 400, retry_after: None, body };
    app.psa.fail(move |call| call.op == "GET /service/tickets/{id}/notes" && posted.load(Ordering::SeqCst), refused);
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.minutes(15).await;
    let grant = app.grant(ticket).await;
    assert_eq!(grant.state.name(), "ended");
    let notices = app.store().notices_of(&grant.id).await.unwrap();
    let tidying: Vec<_> =
        notices.iter().filter(|n| matches!(n.kind, NoticeKind::Tidy { .. })).map(|n| &n.state).collect();
    assert!(matches!(tidying[..], [NoticeState::GivenUp { .. }]), "{tidying:?}");
    let mails = app.store().mails(100).await.unwrap();
    let texts = mails.iter().map(|mail| mail.words.write().text.split_whitespace().collect::<Vec<_>>().join(" "));
    assert_eq!(texts.filter(|text| text.contains("could not be looked through")).count(), 1);
    app.psa.sim.faults().clear();
    app.minutes(10).await;
    app.end().await;
}

/// F3: free text of a ticket is hostile: it breaks no note, no page, no header and no directory entry.
#[tokio::test(flavor = "multi_thread")]
async fn hostile_text_in_a_ticket_stays_text() {
    let app = TestApp::start().await;
    let hostile = "\"><svg onload=alert(1)>{{7*7}}\r\nBcc: x@evil.example\u{202e}gpj.exe\u{0}'; drop table grants;--";
    let new = NewTicket::new(hostile, app.psa.desk.board, app.psa.acme).status(app.psa.desk.new);
    let ticket = app.psa.tenant.add_ticket(new).unwrap();
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.notes(ticket));
    let mut jane = signed_in(&app, "jane", &app.jane).await;
    for path in ["/".to_owned(), claim_path(&app, ticket)] {
        let page = jane.get(&path).await;
        assert_eq!(page.status, StatusCode::OK);
        for bad in ["<svg", "\u{202e}", "\u{0}"] {
            assert!(!page.text.contains(bad), "{bad:?} in {path}: {}", page.text);
        }
    }
    let page = jane.get(&claim_path(&app, ticket)).await;
    assert!(page.text.contains("svg onload=alert(1)&#62;{{7*7}}"), "the reason is shown, as text: {}", page.text);
    for note in app.psa.notes(ticket) {
        assert!(!note.contains("svg") && !note.contains('\u{202e}'), "notes repeat no free text: {note}");
    }
    let sent = format!("{:?}", app.entra.sim.faults().calls());
    assert!(!sent.contains("svg"), "the directory is told nothing of it");
    app.minutes(61).await;
    app.end().await;
}

/// F7, F106: a note longer than the PSA holds is split, found again part by part, and overwritten whole.
#[tokio::test(flavor = "multi_thread")]
async fn a_long_note_is_split_and_overwritten_in_all_its_parts() {
    let app = TestApp::start().await;
    // As a rulebook may say that was saved before names had a longest.
    app.change_rules(|rules| rules.rulebook.policies[1].name = "Exchange administrator ".repeat(500).trim().to_owned())
        .await;
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.told(ticket));
    let all = app.psa.tenant.notes(ticket);
    assert!(all.len() >= 4, "two notes, each in parts");
    assert!(all.iter().all(|n| n["text"].as_str().unwrap().chars().count() <= 8000));
    let password = app.password_in(ticket);
    app.minutes(61).await;
    assert!(app.psa.notes(ticket).iter().all(|n| !n.contains(&password)));
    let removed = app.psa.notes(ticket).iter().filter(|n| n.contains("were removed")).count();
    assert!(removed >= 2, "every part is overwritten");
    app.end().await;
}
