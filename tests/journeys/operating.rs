//! What operators do at the command line while access is out: look, end, revoke, lock, approve.

use std::time::Duration;

use latchkey_contract::Clock;
use latchkey_simulators::fault::Act;
use serde_json::Value;

use crate::harness::*;

const MARK_OWNS: (&str, &str) = ("name = \"Mark Smith\"", "name = \"Mark Smith\"\nrole = \"owner\"");
const JANE_APPROVES: (&str, &str) = ("name = \"Jane Doe\"", "name = \"Jane Doe\"\nrole = \"approver\"");
const LEE_APPROVES: (&str, &str) = (
    "[[person]]\nid = \"mark\"",
    "[[person]]\nid = \"lee\"\nname = \"Lee Park\"\nrole = \"approver\"\ncustomers = []\n\n[[person]]\nid = \"mark\"",
);
const TIGHT: (&str, &str) = (
    "[[technician_group]]",
    "[[brake]]\nid = \"busy\"\nper = \"msp\"\ngrants = 1\nwithin = \"8h\"\n[[technician_group]]",
);

fn unavailable() -> Act {
    Act::Answer { status: 503, retry_after: None, body: Value::Null }
}

fn code(app: &TestApp, of: &latchkey::people::OneTime) -> String {
    of.code(app.clock.now())
}

/// F180: what is listed can be filtered, and each grant says by which rule it was decided.
#[tokio::test(flavor = "multi_thread")]
async fn grants_are_listed_and_explained() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let refused = app.psa.ticket();
    app.psa.ask_as("gone", refused);
    app.run().await;
    let id = app.grant(ticket).await.id;
    let all = app.type_in(&["grants"], "").await.unwrap();
    assert_eq!(all.lines().count(), 1, "{all}");
    assert!(all.starts_with(&format!("{id}\tactive\tuntil ")), "{all}");
    for (words, found) in [
        (vec!["--open", "--person", "jane"], true),
        (vec!["--person", "mark"], false),
        (vec!["--customer", "acme"], true),
        (vec!["--ticket", "cw/1"], false),
    ] {
        let said = app.type_in(&[&["grants"], words.as_slice()].concat(), "").await.unwrap();
        assert_eq!(said.contains(id.as_str()), found, "{words:?}: {said}");
    }
    let why = app.type_in(&["why", id.as_str()], "").await.unwrap();
    for part in
        ["policy helpdesk by mapping desk, at revision ", "customer: acme", "is active", "the person has access"]
    {
        assert!(why.contains(part), "{part}: {why}");
    }
    let unknown = app.type_in(&["why", "01JZ5GQ2ZP3M8T0V6WXYZ12345"], "").await.unwrap_err();
    assert!(unknown.contains("latchkey grants lists them"), "{unknown}");
    app.minutes(61).await;
    let open = app.type_in(&["grants", "--open"], "").await.unwrap();
    assert_eq!(open, "");
    let deliveries = app.type_in(&["deliveries", "--limit", "5"], "").await.unwrap();
    assert!(deliveries.contains("\tcw\t"), "{deliveries}");
    app.end().await;
}

/// F124, F180: an operator ends one grant; who and why stand in the ticket's note and in the log.
#[tokio::test(flavor = "multi_thread")]
async fn one_grant_is_ended() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let id = app.grant(ticket).await.id;
    let said = app.type_in(&["end", id.as_str(), "--reason", "the wrong customer"], "").await.unwrap();
    assert!(said.contains("is being taken away"), "{said}");
    app.minutes(2).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    assert!(!app.entra.is_enabled());
    let notes = app.psa.notes(ticket);
    assert!(notes.iter().any(|note| note.contains("the wrong customer")), "{notes:?}");
    let again = app.type_in(&["end", id.as_str()], "").await.unwrap_err();
    assert!(again.contains("was not ended"), "{again}");
    app.end().await;
}

/// F128: everything goes at one word, with the PSA down; nothing new is given until an owner lifts the lock.
#[tokio::test(flavor = "multi_thread")]
async fn everything_is_revoked_with_the_psa_down_and_stays_locked() {
    let app = TestApp::start_with(&[MARK_OWNS]).await;
    let (first, second) = (app.active().await, app.active_on(app.psa.projects).await);
    let held_back = app.type_in(&["revoke", "--all"], "").await.unwrap_err();
    assert!(held_back.contains("run it again with --yes"), "{held_back}");
    assert_eq!(app.state(first).await.name(), "active", "nothing without an answer");
    app.psa.fail(|_| true, Act::Answer { status: 503, retry_after: None, body: Value::Null });
    let said = app.type_and_wait(&["revoke", "--all", "--yes", "--reason", "breach"]).await.unwrap();
    assert!(
        said.contains("Locked: all.") && said.contains("2 to take away.") && said.contains("Nothing is left."),
        "{said}"
    );
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    for ticket in [first, second] {
        assert_eq!(app.state(ticket).await.name(), "ended");
    }
    app.psa.sim.faults().clear();
    app.minutes(10).await;
    let refused = app.psa.ticket();
    app.psa.ask(refused);
    app.run().await;
    assert_eq!(app.state_or_none(refused).await, None);
    let notes = app.psa.notes(refused);
    assert!(notes.iter().any(|note| note.contains("all access is locked")), "{notes:?}");

    let list = app.type_in(&["lock", "list"], "").await.unwrap();
    assert!(list.starts_with("all\tall access is locked\tsince ") && list.contains("breach"), "{list}");
    let not_hers = app.type_in(&["lock", "lift", "all", "--as", "jane"], &code(&app, &app.jane)).await.unwrap_err();
    assert!(not_hers.contains("jane is no owner"), "{not_hers}");
    let wrong = app.type_in(&["lock", "lift", "all", "--as", "mark"], "000000").await.unwrap_err();
    assert!(wrong.contains("nothing was changed"), "{wrong}");
    app.type_in(&["lock", "lift", "all", "--as", "mark"], &code(&app, &app.mark)).await.unwrap();
    let again = app.psa.ticket();
    app.psa.ask(again);
    app.run().await;
    assert_eq!(app.state(again).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F128: one customer, one person; and a name that is nobody's changes nothing.
#[tokio::test(flavor = "multi_thread")]
async fn one_person_is_revoked_and_the_others_stay() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.type_and_wait(&["revoke", "--person", "mark", "--yes"]).await.unwrap();
    assert_eq!(app.state(ticket).await.name(), "active");
    let unknown = app.type_and_wait(&["revoke", "--customer", "acmee", "--yes"]).await.unwrap_err();
    assert!(unknown.contains("neither in the records nor has it any grant"), "{unknown}");
    let two = app.type_and_wait(&["revoke", "--customer", "acme", "--yes"]).await.unwrap();
    assert!(two.contains("1 to take away.") && two.contains("\tended\toff "), "{two}");
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}

/// F128: a directory that does not answer: the list says what is left, and the work goes on after the command.
#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_away_yet_is_listed_and_goes_on() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.entra.fail(|_| true, Act::ResetBefore);
    let id = app.grant(ticket).await.id;
    let left = app.type_and_wait(&["revoke", "--grant", id.as_str(), "--wait", "0", "--yes"]).await;
    let left = left.unwrap_err();
    for part in ["1 to take away.", "Still to be seen off: 1", "1 of them are not off yet; the service goes on"] {
        assert!(left.contains(part), "{left}");
    }
    app.entra.sim.faults().clear();
    app.minutes(20).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}

/// F128: where no service runs, the command does the work itself.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_the_command_takes_away_by_itself() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.down().await;
    let said = app.type_and_wait(&["revoke", "--all", "--yes"]).await.unwrap();
    assert!(said.contains("Nothing is left."), "{said}");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    app.up().await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}

/// F128: a command that takes away without a service does nothing else: what waits to be decided or told goes on waiting.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_the_command_decides_nothing_and_tells_nobody() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    let told = app.psa.told(ticket);
    app.psa.fail(
        |call| call.op.contains("/service/tickets"),
        Act::Answer { status: 503, retry_after: None, body: Value::Null },
    );
    let asked = app.psa.ticket_on(app.psa.projects);
    app.psa.ask_as("msmith", asked);
    app.run().await;
    app.down().await;
    app.psa.sim.faults().clear();
    app.clock.pass(Duration::from_secs(600));
    let said = app.type_and_wait(&["revoke", "--person", "jane", "--yes"]).await.unwrap();
    assert!(said.contains("1 taken away"), "{said}");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    assert_eq!((app.psa.told(ticket), app.psa.told(asked)), (told, vec![]), "that is the service's business");
    let tasks = app.type_in(&["tasks"], "").await.unwrap();
    assert!(tasks.contains(&format!("tell:cw/{ticket}\tpending")) && tasks.contains("intake:"), "{tasks}");
    app.up().await;
    app.minutes(5).await;
    assert_eq!(app.state(asked).await.name(), "active");
    app.minutes(61).await;
    app.end().await;
}

/// F31, F128: whoever is held approves nothing and lifts nothing, the last owner neither; and nobody is shut out by that.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_held_lets_nothing_pass_and_lifts_nothing() {
    let app = TestApp::start_with(&[MARK_OWNS, TIGHT]).await;
    app.active().await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.run().await;
    let id = app.grant(ticket).await.id;
    let blocked = app.type_in(&["person", "block", "mark", "--reason", "lost his telephone"], "").await.unwrap();
    assert!(blocked.contains("mark is the last owner"), "{blocked}");
    let approve = app.type_in(&["approve", id.as_str(), "--as", "mark"], &code(&app, &app.mark)).await.unwrap_err();
    assert!(approve.contains("mark is blocked") && approve.contains("person unblock mark"), "{approve}");
    app.type_and_wait(&["revoke", "--all", "--yes"]).await.unwrap();
    let lift = ["lock", "lift", "all", "--as", "mark"];
    let refused = app.type_in(&lift, &code(&app, &app.mark)).await.unwrap_err();
    assert!(refused.contains("mark is blocked"), "{refused}");
    app.type_and_wait(&["revoke", "--person", "mark", "--yes"]).await.unwrap();
    let refused = app.type_in(&lift, &code(&app, &app.mark)).await.unwrap_err();
    assert!(refused.contains("no owner is free; name another one"), "{refused}");
    assert!(app.type_in(&["lock", "list"], "").await.unwrap().contains("all\tall access is locked"));

    app.type_in(&["person", "set", "jane", "--role", "owner"], "").await.unwrap();
    let other = app.type_in(&lift, &code(&app, &app.mark)).await.unwrap_err();
    assert!(other.contains("owner jane is free to"), "{other}");
    app.type_in(&["lock", "lift", "person/mark", "--as", "jane"], &code(&app, &app.jane)).await.unwrap();
    app.minutes(1).await;
    app.type_in(&lift, &code(&app, &app.mark)).await.unwrap();
    app.end().await;
}

/// F31: who has left the PSA lets nothing pass with codes either, though nobody asked after them; a code is not used up for
/// what cannot be; and a PSA that is silent stops a yes, not a no.
#[tokio::test(flavor = "multi_thread")]
async fn who_has_left_lets_nothing_pass() {
    let app = TestApp::start_with(&[MARK_OWNS, TIGHT]).await;
    app.active().await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.run().await;
    let id = app.grant(ticket).await.id;
    let once = code(&app, &app.mark);
    for words in [["approve", "nope"], ["deny", "nope"]] {
        let refused = app.type_in(&[&words[..], &["--as", "mark"]].concat(), &once).await.unwrap_err();
        assert!(refused.contains("there is no grant nope"), "{refused}");
    }
    let refused = app.type_in(&["lock", "lift", "all", "--as", "mark"], &once).await.unwrap_err();
    assert!(refused.contains("nothing is locked by all"), "{refused}");

    let (approve, deny) = (["approve", id.as_str(), "--as", "mark"], ["deny", id.as_str(), "--as", "mark"]);
    app.psa.fail(|call| call.op.contains("/system/members"), unavailable());
    let silent = app.type_in(&approve, &once).await.unwrap_err();
    assert!(silent.contains("whether mark has left the PSA is not known"), "{silent}");
    app.psa.sim.faults().clear();
    app.minutes(2).await;
    let once = code(&app, &app.mark);
    app.psa.tenant.set_member_inactive("msmith", true);
    let gone = app.type_in(&approve, &once).await.unwrap_err();
    assert!(gone.contains("mark may no longer sign in to the PSA"), "{gone}");
    assert_eq!(app.state(ticket).await.name(), "held");
    app.type_in(&["person", "unblock", "mark"], "").await.unwrap();
    app.psa.fail(|call| call.op.contains("/system/members"), unavailable());
    app.type_in(&deny, &once).await.unwrap();
    app.psa.sim.faults().clear();
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "denied");
    app.minutes(61).await;
    app.end().await;
}

/// F58: a brake holds the second request until two people, none of them who asked, let it pass.
#[tokio::test(flavor = "multi_thread")]
async fn a_brake_is_answered_by_two_people() {
    let app = TestApp::start_with(&[MARK_OWNS, JANE_APPROVES, TIGHT]).await;
    app.active().await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.run().await;
    let id = app.grant(ticket).await.id;
    assert_eq!(app.state(ticket).await.name(), "held");
    let own = app.type_in(&["approve", id.as_str(), "--as", "jane"], &code(&app, &app.jane)).await.unwrap_err();
    assert!(!own.is_empty(), "nobody approves what they asked for");
    let one = app.type_in(&["approve", id.as_str(), "--as", "mark"], &code(&app, &app.mark)).await.unwrap();
    assert!(one.contains("1 more must approve"), "{one}");
    app.minutes(1).await;
    let twice = app.type_in(&["approve", id.as_str(), "--as", "mark"], &code(&app, &app.mark)).await;
    assert!(twice.is_err(), "{twice:?}");
    app.minutes(1).await;
    app.type_in(&["deny", id.as_str(), "--as", "mark", "--reason", "not today"], &code(&app, &app.mark)).await.unwrap();
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "denied");
    let notes = app.psa.notes(ticket);
    assert!(notes.iter().any(|note| note.contains("not today")), "{notes:?}");
    app.minutes(61).await;
    app.end().await;
}

/// F58: when the second person has approved it is given, as if it had been asked for then.
#[tokio::test(flavor = "multi_thread")]
async fn a_held_request_is_given_when_two_people_have_approved() {
    let app = TestApp::start_with(&[MARK_OWNS, LEE_APPROVES, TIGHT]).await;
    let lee = app.enroll("lee").await;
    app.active().await;
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.run().await;
    let id = app.grant(ticket).await.id;
    app.minutes(90).await;
    app.type_in(&["approve", id.as_str(), "--as", "mark"], &code(&app, &app.mark)).await.unwrap();
    app.run().await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("held", false), "nobody alone");
    app.type_in(&["approve", id.as_str(), "--as", "lee"], &code(&app, &lee)).await.unwrap();
    app.run().await;
    assert_eq!((app.state(ticket).await.name(), app.entra.roles()), ("active", vec![EXCHANGE_ROLE.to_owned()]));
    app.minutes(55).await;
    assert_eq!(app.state(ticket).await.name(), "active", "the hour begins with the approval");
    app.minutes(6).await;
    assert_eq!(app.state(ticket).await.name(), "ended");
    app.end().await;
}

/// F9: webhooks are made, listed, repaired and removed by command, and what points elsewhere is left alone.
#[tokio::test(flavor = "multi_thread")]
async fn webhooks_are_made_listed_repaired_and_removed_by_command() {
    let app = TestApp::start().await;
    let ours = app.psa.tenant.callbacks()[0]["id"].as_i64().unwrap();
    app.psa.tenant.add_callback_for_all("https://other.example/hook");
    let (sync, list) = (["webhook", "sync", "cw"], ["webhook", "list", "cw"]);
    let said = app.type_in(&sync, "").await.unwrap();
    assert!(said.contains("0 created, 0 repaired, 0 removed, 2 right as they were."), "{said}");
    app.psa.tenant.set_callback_inactive(ours, true);
    let listed = app.type_in(&list, "").await.unwrap();
    // A copy of ours that points elsewhere is shown as well.
    assert_eq!((listed.lines().count(), listed.matches("\tswitched off at the PSA").count()), (3, 1), "{listed}");
    assert!(!listed.contains(HOOK_SECRET), "{listed}");
    let said = app.type_in(&sync, "").await.unwrap();
    assert!(said.contains("0 created, 1 repaired,"), "{said}");
    app.psa.tenant.remove_callback(ours);
    let said = app.type_in(&sync, "").await.unwrap();
    assert!(said.contains("1 created, 0 repaired,"), "{said}");
    assert_eq!(app.type_in(&list, "").await.unwrap().matches("/hooks/cw/\tactive\n").count(), 2);

    assert!(app.type_in(&["webhook", "remove", "cw"], "").await.unwrap_err().contains("--yes"));
    let said = app.type_in(&["webhook", "remove", "cw", "--yes"], "").await.unwrap();
    assert!(said.contains("2 removed."), "{said}");
    let left = app.psa.tenant.callbacks();
    assert!(left.len() == 1 && left[0]["url"].as_str().is_some_and(|url| url.contains("other.example")), "{left:?}");
    app.type_in(&sync, "").await.unwrap();
    app.active().await;
    app.minutes(61).await;
    app.end().await;
}
