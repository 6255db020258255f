//! The PSA's bad days: nothing is given without the ticket, nothing is left because of it, and no note is lost or doubled.

use std::time::Duration;

use latchkey_simulators::fault::{Act, Call, CallRecord, Fault};
use serde_json::{Value, json};

use crate::harness::*;

const POST_NOTE: &str = "POST /service/tickets/{id}/notes";
const RECEIVED: &str = "Latchkey: request received.";
const GRANTED: &str = "Latchkey: access granted.";
const FAILED: &str = "Latchkey: access could not be given.";
const ENDED: &str = "Latchkey: access has ended, proven off.";
const SOON: &str = "Latchkey: access ends soon.";

fn unavailable() -> Act {
    Act::Answer { status: 503, retry_after: None, body: Value::Null }
}

fn calls(app: &TestApp, op: &str) -> Vec<CallRecord> {
    app.psa.sim.faults().calls().into_iter().filter(|call| call.op == op).collect()
}

/// F107, F126, F127, F7: the PSA is down when the access falls due: removal goes on and is proven without it, and the
/// ticket is told later, in order, once.
#[tokio::test(flavor = "multi_thread")]
async fn removal_does_not_wait_for_the_psa() {
    for down in [unavailable(), Act::ResetBefore] {
        let app = TestApp::start().await;
        let ticket = app.active().await;
        app.minutes(30).await;
        app.psa.fail(|_| true, down);
        app.minutes(31).await;
        let grant = app.grant(ticket).await;
        assert_eq!(grant.state.name(), "ended", "proven while nobody could be told");
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
        app.minutes(29).await;
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED]);
        app.psa.sim.faults().clear();
        app.minutes(6).await;
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
        assert_eq!(app.psa.status(ticket), app.psa.desk.done);
        app.end().await;
    }
}

/// F107: what could not be handed over within ten minutes is taken back, and the ticket is told both when it can be.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_nobody_was_told_of_is_taken_back_after_ten_minutes() {
    let app = TestApp::start().await;
    app.psa.fail(|call| call.op == POST_NOTE, unavailable());
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "delivering");
    assert!(app.entra.is_enabled());
    app.minutes(9).await;
    assert_eq!(app.state(ticket).await.name(), "delivering");
    app.minutes(2).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    app.minutes(49).await;
    assert!(app.psa.told(ticket).is_empty());
    app.psa.sim.faults().clear();
    app.minutes(6).await;
    let notes = app.psa.notes(ticket);
    assert_eq!(app.psa.told(ticket), [RECEIVED, FAILED, ENDED], "in order, each once");
    assert!(notes[1].contains("the credentials could not be delivered in time"), "{notes:?}");
    assert!(notes.iter().all(|n| !n.contains("Password:")), "no credentials of an access that is over");
    app.end().await;
}

/// F4, F8: the PSA cannot be read for an hour after the request came: it waits, and is decided by the ticket as it is then.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_waits_for_the_ticket_to_be_readable() {
    let app = TestApp::start().await;
    let (kept, closed) = (app.psa.ticket(), app.psa.ticket());
    app.run().await;
    app.psa.fail(|_| true, unavailable());
    for ticket in [kept, closed] {
        app.psa.ask(ticket);
    }
    app.minutes(60).await;
    for ticket in [kept, closed] {
        app.assert_nothing_given(ticket).await;
    }
    app.psa.sim.set_delivery(|rules| rules.lose = 1);
    app.psa.tenant.acting("jdoe").close(closed).unwrap();
    app.psa.sim.faults().clear();
    app.minutes(6).await;
    assert_eq!(app.state(kept).await.name(), "active");
    assert!(app.grants(closed).await.is_empty(), "what was closed meanwhile asks for nothing");
    assert_eq!(app.psa.told(kept), [RECEIVED, GRANTED]);
    app.minutes(61).await;
    app.end().await;
}

/// F7: throttled for three minutes: nobody is hammered, and everything arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_429_is_waited_out() {
    let app = TestApp::start().await;
    let ticket = app.psa.ticket();
    app.run().await;
    app.psa.fail(|_| true, Act::throttled(30));
    app.psa.sim.faults().clear_calls();
    app.psa.ask(ticket);
    app.minutes(3).await;
    let seen = app.psa.sim.faults().calls().len();
    assert!((1..=8).contains(&seen), "{seen} calls in three minutes, asked to wait thirty seconds each time");
    app.psa.sim.faults().clear();
    app.minutes(2).await;
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED]);
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(61).await;
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
    app.end().await;
}

/// F7: each kind of call fails once, each in its own way, and nothing shows.
#[tokio::test(flavor = "multi_thread")]
async fn one_failure_of_each_call_shows_nowhere() {
    let acts: [fn() -> Act; 5] = [
        || Act::Answer { status: 500, retry_after: None, body: json!("Timeout expired.") },
        || Act::ResetBefore,
        || Act::ResetAfter,
        || Act::Garbage,
        || Act::Answer { status: 502, retry_after: None, body: json!("<html>Bad Gateway</html>") },
    ];
    for act in acts {
        let app = TestApp::start().await;
        let ticket = app.psa.ticket();
        app.run().await;
        for op in [
            "GET /service/tickets/{id}",
            "GET /system/audittrail",
            "GET /system/members",
            "GET /service/tickets/{id}/notes",
            "GET /service/tickets/{id}/allNotes",
            POST_NOTE,
            "GET /service/tickets/{id}/notes/{noteId}",
            "PATCH /service/tickets/{id}",
        ] {
            app.psa.sim.faults().add(Fault::on(op, act()).once());
        }
        app.psa.ask(ticket);
        app.minutes(5).await;
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED], "{:?}", act());
        assert_eq!(app.state(ticket).await.name(), "active", "{:?}", act());
        assert_eq!(app.psa.status(ticket), app.psa.desk.active, "{:?}", act());
        app.minutes(61).await;
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED], "{:?}", act());
        app.end().await;
    }
}

/// F7, F106: the answer to every posted note is lost: each note is looked for by its marker, and stands once.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_whose_answer_was_lost_is_found_again() {
    let app = TestApp::start().await;
    let is_first = |call: &Call| call.op == POST_NOTE;
    let fired = app.psa.fail(is_first, Act::ResetAfter);
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.minutes(5).await;
    assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.told(ticket));
    app.minutes(61).await;
    assert_eq!(fired.count(), 4, "one POST a note, and each answer lost");
    assert_eq!(calls(&app, POST_NOTE).len(), 4);
    let told = app.psa.told(ticket);
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!((told[0].as_str(), told[2].as_str(), told[3].as_str()), (RECEIVED, SOON, ENDED));
    assert!(told[1].contains("were removed"), "the found note is overwritten too: {told:?}");
    app.end().await;
}

/// F7: statuses that an administrator removed are not set; the notes say everything.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_was_removed_at_the_psa_is_left_alone() {
    let app = TestApp::start().await;
    let desk = app.psa.desk;
    for status in [desk.active, desk.done, desk.refused] {
        app.psa.tenant.remove_status(status);
    }
    let ticket = app.active().await;
    assert_eq!(app.psa.status(ticket), desk.requested);
    app.minutes(61).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
    assert_eq!(app.grants(ticket).await.len(), 1, "the ticket stands in the trigger, and that is no new request");
    let refused = app.psa.ticket();
    app.psa.ask_as("unbound", refused);
    app.run().await;
    assert!(app.psa.notes(refused)[0].contains("not bound to a person"), "{:?}", app.psa.notes(refused));
    app.end().await;
}

/// F7, F127: our API member may write notes but no statuses: the ticket stays where it is, and every note arrives.
#[tokio::test(flavor = "multi_thread")]
async fn a_status_that_may_not_be_set_holds_up_no_note() {
    let app = TestApp::start().await;
    let refusal = Act::Answer { status: 403, retry_after: None, body: json!({"code": "Forbidden", "message": "no"}) };
    app.psa.sim.faults().add(Fault::on("PATCH /service/tickets/{id}", refusal));
    let ticket = app.active().await;
    app.minutes(61).await;
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
    assert_eq!(app.psa.status(ticket), app.psa.desk.requested);
    assert_eq!(app.grants(ticket).await.len(), 1);
    app.end().await;
}

/// F4, F7, F107: the cloud is upgraded under a grant: the old release's paths answer 404, and that is no missing ticket,
/// no refused note and no lost request, even while the PSA does not tell its new release yet.
#[tokio::test(flavor = "multi_thread")]
async fn an_upgrade_of_the_psa_is_followed() {
    let app = TestApp::start().await;
    let before = app.active().await;
    let during = app.psa.ticket_on(app.psa.projects);
    app.run().await;
    let release = {
        let sim = app.psa.sim.clone();
        Act::after(move |_| sim.set_codebase("v2025_2/"))
    };
    app.psa.sim.faults().add(Fault::on("GET /system/audittrail", release).once());
    app.psa.ask(during);
    app.pass(Duration::from_secs(30)).await;
    assert!(app.psa.told(during).is_empty(), "the new release is not known yet");
    let after = app.psa.ticket();
    app.psa.ask_as("msmith", after);
    app.minutes(5).await;
    for ticket in [during, after] {
        assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.told(ticket));
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED]);
    }
    app.minutes(61).await;
    for ticket in [before, after] {
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
    }
    app.end().await;
}

/// F4, F107, F126: our API member is refused for an hour: nothing is given, what was given ends on time, and what waited
/// is decided when the rights are back.
#[tokio::test(flavor = "multi_thread")]
async fn without_rights_at_the_psa_nothing_is_given_and_everything_ends() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.psa.fail(|_| true, Act::Answer { status: 401, retry_after: None, body: json!({"code": "Unauthorized"}) });
    let other = app.psa.ticket();
    app.psa.ask_as("msmith", other);
    app.minutes(61).await;
    assert!(app.grants(other).await.is_empty());
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    app.psa.sim.faults().clear();
    app.minutes(6).await;
    assert_eq!(app.state(other).await.name(), "active");
    app.minutes(61).await;
    for ticket in [ticket, other] {
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
    }
    app.end().await;
}
