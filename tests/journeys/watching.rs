//! What the service looks at by itself: tickets whose webhook was lost, the webhooks' own health, and whether those who
//! have access are still there.

use std::time::Duration;

use latchkey::{
    audit::By,
    registry::SecretKind,
    rulebook::{Bound, ConnectionKind, Hold, HoldCause, HoldOn, Members},
    store::{Enrolled, TroubleKind},
};
use latchkey_contract::{Clock, ConnectionId, Timestamp, ticket::WantedHooks};
use latchkey_simulators::{
    connectwise::Tenant,
    fault::{Act, CallRecord},
};
use serde_json::{Value, json};

use crate::harness::*;

const RECEIVED: &str = "Latchkey: request received.";
const GRANTED: &str = "Latchkey: access granted.";
const ENDED: &str = "Latchkey: access has ended, proven off.";
const LIST: &str = "GET /service/tickets";
const READ: &str = "GET /service/tickets/{id}";
const MEMBERS: &str = "GET /system/members";

fn unavailable() -> Act {
    Act::Answer { status: 503, retry_after: None, body: Value::Null }
}

fn calls(app: &TestApp, op: &str) -> Vec<CallRecord> {
    app.psa.sim.faults().calls().into_iter().filter(|call| call.op == op).collect()
}

/// A service whose polls have begun, and a ticket that it knows.
async fn polled() -> (TestApp, i64) {
    let app = TestApp::start().await;
    app.minutes(1).await;
    let ticket = app.psa.ticket();
    app.run().await;
    (app, ticket)
}

/// Jane asks, and so many of the PSA's messages are lost.
fn ask_unheard(app: &TestApp, ticket: i64, lost: usize) {
    app.psa.sim.set_delivery(|rules| rules.lose = lost);
    app.psa.ask(ticket);
}

async fn in_trouble(app: &TestApp, kind: TroubleKind) -> bool {
    let cw: ConnectionId = "cw".parse().unwrap();
    app.store().trouble(&cw, kind).await.unwrap().is_some()
}

async fn is_held(app: &TestApp, person: &str) -> Option<HoldCause> {
    let on = HoldOn::Person(person.parse().unwrap());
    app.store().rules().await.unwrap().hold(&on).map(|hold| hold.cause)
}

fn blocked(person: &str, now: Timestamp) -> Hold {
    let on = HoldOn::Person(person.parse().unwrap());
    Hold { on, cause: HoldCause::Blocked, since: now, by: "an admin".to_owned(), reason: "left".to_owned() }
}

/// F10, F9: the poll finds it, and says so once; when an hour has passed without another loss, that is said too.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_whose_webhook_was_lost_is_found_by_the_poll() {
    let (app, ticket) = polled().await;
    ask_unheard(&app, ticket, 1);
    app.run().await;
    assert!(app.grants(ticket).await.is_empty(), "nobody told of it");
    app.minutes(6).await;
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED]);
    assert_eq!((app.audited("delivery.lost").await, app.audited("webhook.trouble").await), (1, 1));
    let other = app.psa.ticket_on(app.psa.projects);
    app.run().await;
    ask_unheard(&app, other, 1);
    app.minutes(6).await;
    assert_eq!(app.state(other).await.name(), "active");
    assert_eq!((app.audited("delivery.lost").await, app.audited("webhook.trouble").await), (2, 1), "told once");
    assert_eq!(app.audited("webhook.well").await, 0);
    app.minutes(70).await;
    assert_eq!((app.audited("webhook.trouble").await, app.audited("webhook.well").await), (1, 1));
    assert!(!in_trouble(&app, TroubleKind::Webhooks).await);
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
    app.end().await;
}

/// F10, F4: it was only late: found by the poll, then told of as well; asked once, given once.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_comes_after_the_poll_asks_no_second_time() {
    let (app, ticket) = polled().await;
    app.psa.sim.set_delivery(|rules| rules.hold = true);
    app.psa.ask(ticket);
    app.minutes(6).await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.psa.sim.release();
    app.minutes(6).await;
    assert_eq!(app.grants(ticket).await.len(), 1);
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED]);
    assert_eq!(app.audited("request.granted").await, 1);
    app.minutes(61).await;
    assert_eq!(app.grants(ticket).await.len(), 1);
    app.end().await;
}

/// F10, F9, F11: what the webhooks told of is no loss, and costs the PSA no more than one read each; and the ticket of access
/// that is out is looked at with each poll.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_told_of_is_no_loss() {
    let (app, ticket) = polled().await;
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active");
    app.minutes(16).await;
    app.psa.sim.faults().clear_calls();
    app.minutes(30).await;
    assert_eq!(calls(&app, LIST).len(), 6, "a poll every five minutes");
    assert_eq!(calls(&app, READ).len(), 6, "nothing was saved: what is out is followed, and nothing else is read");
    assert_eq!((app.audited("delivery.lost").await, app.audited("webhook.trouble").await), (0, 0));
    app.minutes(30).await;
    app.end().await;
}

/// F10: the trigger is what stands when it is looked at: what was taken back asks for nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_taken_back_between_two_polls_asks_for_nothing() {
    let (app, ticket) = polled().await;
    ask_unheard(&app, ticket, 2);
    app.psa.tenant.acting("jdoe").set_status(ticket, app.psa.desk.new).unwrap();
    app.minutes(12).await;
    assert!(app.psa.notes(ticket).is_empty());
    app.assert_nothing_given(ticket).await;
    assert_eq!((app.audited("delivery.lost").await, app.audited("webhook.trouble").await), (0, 0));
    app.psa.ask(ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active", "set again, and heard");
    app.minutes(61).await;
    app.end().await;
}

/// F10: after a stop the poll goes on where it was: what nobody heard meanwhile is found.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_while_the_service_was_down_is_found() {
    let (mut app, ticket) = polled().await;
    app.down().await;
    app.psa.ask(ticket);
    app.psa.sim.settled().await;
    app.clock.pass(Duration::from_secs(20 * 3600));
    app.up().await;
    app.minutes(7).await;
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED]);
    app.minutes(61).await;
    app.end().await;
}

/// F10: only what a mapping watches is asked for; where none does nobody is asked, and when one does again it begins then.
#[tokio::test(flavor = "multi_thread")]
async fn the_poll_follows_the_mappings() {
    let (app, ticket) = polled().await;
    let mappings = app.store().rules().await.unwrap().rulebook.mappings;
    app.change_rules(|rules| rules.rulebook.mappings.retain(|m| m.id.as_str() == "projects")).await;
    ask_unheard(&app, ticket, 1);
    app.minutes(6).await;
    let (desk, projects) = (app.psa.desk.board, app.psa.projects.board);
    let asked = calls(&app, LIST).pop().expect("it was polled");
    let conditions = &asked.query.iter().find(|(name, _)| name == "conditions").unwrap().1;
    assert!(conditions.contains(&projects.to_string()) && !conditions.contains(&format!("({desk}")), "{conditions}");
    app.change_rules(|rules| rules.rulebook.mappings.clear()).await;
    app.minutes(6).await;
    app.psa.sim.faults().clear_calls();
    app.minutes(20).await;
    assert!(app.psa.sim.faults().calls().is_empty(), "{:?}", app.psa.sim.faults().calls());
    app.change_rules(|rules| rules.rulebook.mappings = mappings).await;
    app.minutes(12).await;
    assert!(!calls(&app, LIST).is_empty(), "it is polled again");
    assert!(app.psa.notes(ticket).is_empty(), "what was saved while nobody watched is nobody's request");
    app.assert_nothing_given(ticket).await;
    app.end().await;
}

/// F10, F175: many saves are worked off page by page, each read once, and a request meanwhile does not wait for them.
#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_saved_tickets_are_looked_at_a_page_at_a_time() {
    const MANY: usize = 2000;
    let (app, _) = polled().await;
    app.psa.sim.set_delivery(|rules| rules.lose = usize::MAX);
    let mut last = 0;
    for n in 0..MANY {
        last = app.psa.ticket();
        if n % 20 == 19 {
            app.clock.pass(Duration::from_secs(1));
        }
    }
    app.psa.ask(last);
    app.psa.sim.set_delivery(|rules| rules.lose = 0);
    app.psa.sim.faults().clear_calls();
    let (cw, mut most) = ("cw".parse().unwrap(), 0);
    let heard = app.psa.ticket_on(app.psa.projects);
    for n in 0..60 {
        app.pass(Duration::from_secs(20)).await;
        most = most.max(app.store().looks_ahead(&cw).await.unwrap());
        if n == 15 {
            app.psa.ask(heard);
            app.run().await;
            assert_eq!(app.state(heard).await.name(), "active", "it did not wait");
        }
    }
    assert!((1..=230).contains(&most), "{most} at a time");
    assert_eq!(app.state(last).await.name(), "active");
    let reads = calls(&app, READ).len();
    assert!((MANY..MANY + 100).contains(&reads), "{reads} reads of {MANY} tickets");
    app.minutes(61).await;
    app.end().await;
}

/// F10: what a waiting delivery tells of was saved before the request, whose own message was lost. Polls that went by
/// meanwhile, with few saves or with a page full of them, have not gone past it. Where that message waits, too, none is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_behind_a_delivery_that_waits_is_not_passed_over() {
    for (others, wait, is_lost) in [(0, 360, true), (250, 20, true), (0, 360, false)] {
        let (app, ticket) = polled().await;
        let polls = || calls(&app, LIST).len();
        let before = polls();
        while polls() == before {
            app.pass(Duration::from_secs(1)).await;
        }
        app.pass(Duration::from_secs(290)).await;
        let before = polls();
        let fired = app.psa.fail(|call| call.op == READ, unavailable());
        app.psa.tenant.acting("jdoe").set_summary(ticket, "Also the printer").unwrap();
        app.psa.sim.settled().await;
        if is_lost {
            app.psa.sim.set_delivery(|rules| rules.lose = usize::MAX);
        }
        for _ in 0..others {
            app.psa.ticket();
        }
        app.psa.ask(ticket);
        app.psa.sim.settled().await;
        app.psa.sim.set_delivery(|rules| rules.lose = 0);
        app.pass(Duration::from_secs(wait)).await;
        assert!(fired.count() > 0 && polls() > before, "a poll went by while it waited");
        assert!(app.grants(ticket).await.is_empty());
        app.psa.sim.faults().clear();
        app.minutes(12).await;
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED], "among {others} others");
        assert_eq!(app.audited("delivery.lost").await, usize::from(is_lost), "among {others} others");
        app.minutes(61).await;
        app.end().await;
    }
}

/// F10: a list that cannot be read, or has no end, is no list: nobody asked for anything by it, and what was lost is found when
/// the PSA is itself again.
#[tokio::test(flavor = "multi_thread")]
async fn a_poll_that_is_answered_with_rubbish_finds_later_what_was_lost() {
    for act in [Act::Garbage, Act::Huge] {
        let (app, ticket) = polled().await;
        ask_unheard(&app, ticket, 1);
        let fired = app.psa.fail(|call| call.op == LIST, act.clone());
        app.minutes(12).await;
        assert!(fired.count() > 1, "{act:?}: it is tried again");
        assert!(app.grants(ticket).await.is_empty(), "{act:?}");
        app.psa.sim.faults().clear();
        app.minutes(6).await;
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED], "{act:?}");
        app.minutes(61).await;
        assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED], "{act:?}");
        app.end().await;
    }
}

/// F175, F10: the vendor's wait is kept, and what was lost is found after it.
#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_poll_waits_as_long_as_it_is_told_to() {
    let (app, ticket) = polled().await;
    ask_unheard(&app, ticket, 1);
    app.psa.fail(|call| call.op == LIST, Act::throttled(120));
    app.minutes(20).await;
    let tries: Vec<i64> = calls(&app, LIST).iter().filter(|c| c.status == Some(429)).map(|c| c.at_ms).collect();
    assert!((3..=9).contains(&tries.len()), "{} calls in twenty minutes, asked to wait for two each time", tries.len());
    assert!(tries.windows(2).all(|two| two[1] - two[0] >= 120_000), "{tries:?}");
    assert!(app.grants(ticket).await.is_empty());
    app.psa.sim.faults().clear();
    app.minutes(6).await;
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED]);
    app.minutes(61).await;
    app.end().await;
}

/// F9: the vendor has switched a webhook off, or somebody has removed one: told once, and its repair too.
#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_that_was_switched_off_or_removed_is_told_of_once() {
    let (app, _) = polled().await;
    let id = app.psa.tenant.callbacks()[0]["id"].as_i64().unwrap();
    app.psa.tenant.set_callback_inactive(id, true);
    app.minutes(70).await;
    assert_eq!((app.audited("webhook.trouble").await, app.audited("webhook.well").await), (1, 0));
    app.psa.tenant.remove_callback(id);
    app.minutes(120).await;
    assert_eq!(app.audited("webhook.trouble").await, 1, "not at every poll");
    let trouble = app.store().troubles().await.unwrap().pop().unwrap();
    assert!(trouble.what.starts_with("no webhook watches board "), "what is wrong now: {}", trouble.what);
    let boards = [app.psa.desk.board, app.psa.projects.board].map(|b| b.to_string().parse().unwrap()).into();
    let want = WantedHooks { url: app.hook().parse().unwrap(), boards, fields: Default::default() };
    app.connector().await.sync_webhooks(&want).await.unwrap();
    app.minutes(6).await;
    assert_eq!((app.audited("webhook.trouble").await, app.audited("webhook.well").await), (1, 1));
    app.end().await;
}

/// F31: inactive in the PSA: access, session and link are gone within a minute, with proof; and stay so.
#[tokio::test(flavor = "multi_thread")]
async fn who_left_the_psa_loses_everything_within_a_minute() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    let grant = app.grant(ticket).await;
    let mut browser = app.signed_in().await;
    app.minutes(5).await;
    assert_eq!(browser.get(&format!("/claim/{}", grant.id)).await.status, 200);
    app.psa.tenant.set_member_inactive("jdoe", true);
    app.minutes(1).await;
    assert_eq!(app.state(ticket).await.name(), "ended", "{:?}", app.psa.told(ticket));
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    let notes = app.psa.notes(ticket);
    assert!(notes.last().is_some_and(|n| n.contains("Why: jane may no longer sign in to the PSA.")), "{notes:?}");
    assert_eq!(is_held(&app, "jane").await, Some(HoldCause::Left));
    assert_eq!(browser.get(&format!("/claim/{}", grant.id)).await.status, 303, "signed out");
    assert!(app.store().people_here(app.clock.now()).await.unwrap().is_empty(), "no session is left");
    app.psa.tenant.set_member_inactive("jdoe", false);
    app.minutes(5).await;
    assert_eq!(is_held(&app, "jane").await, Some(HoldCause::Left), "an admin lifts it, nobody else");
    let again = app.psa.ticket();
    app.psa.ask(again);
    app.run().await;
    assert!(app.psa.notes(again)[0].contains("may no longer sign in"), "{:?}", app.psa.notes(again));
    assert_eq!(is_held(&app, "mark").await, None);
    app.end().await;
}

/// F31: while nobody has access and nobody is signed in, nobody is asked about.
#[tokio::test(flavor = "multi_thread")]
async fn an_idle_service_asks_after_nobody() {
    let app = TestApp::start().await;
    app.minutes(10).await;
    assert_eq!(calls(&app, MEMBERS).len(), 0);
    let mut browser = app.signed_in().await;
    app.minutes(2).await;
    let asked = calls(&app, MEMBERS).len();
    assert!((4..=6).contains(&asked), "twice a minute while somebody is signed in: {asked}");
    let page = browser.get("/").await;
    let token = page.input("form_token").expect("a form");
    browser.post("/sign-out", &[("form_token", &token)]).await;
    app.minutes(1).await;
    app.psa.sim.faults().clear_calls();
    app.minutes(10).await;
    assert_eq!(calls(&app, MEMBERS).len(), 0);
    app.end().await;
}

/// F31: an outage is nobody's leaving. It is told after ten minutes, once, and its end too; and who left meanwhile loses
/// everything as soon as it can be known.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_held_for_an_outage() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.psa.fail(|_| true, unavailable());
    app.minutes(9).await;
    assert_eq!(app.audited("connector.trouble").await, 0, "it may pass");
    app.psa.tenant.set_member_inactive("jdoe", true);
    app.minutes(11).await;
    assert_eq!((app.state(ticket).await.name(), is_held(&app, "jane").await), ("active", None));
    assert_eq!((app.audited("connector.trouble").await, app.audited("connector.well").await), (1, 0));
    app.psa.sim.faults().clear();
    app.minutes(1).await;
    assert_eq!((app.state(ticket).await.name(), is_held(&app, "jane").await), ("ended", Some(HoldCause::Left)));
    assert_eq!((app.audited("connector.trouble").await, app.audited("connector.well").await), (1, 1));
    app.minutes(6).await;
    app.end().await;
}

/// F31: bound in two PSAs, she has left when both say so; one that cannot be asked is no answer.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_bound_in_two_psas_has_left_when_both_say_so() {
    let app = TestApp::start().await;
    let other = second_psa(&app, "jane", 900).await;
    let ticket = app.active().await;
    app.psa.tenant.set_member_inactive("jdoe", true);
    app.minutes(3).await;
    assert_eq!((app.state(ticket).await.name(), is_held(&app, "jane").await), ("active", None));
    let asks_other = |call: &latchkey_simulators::fault::Call| {
        call.op == MEMBERS && call.query.iter().any(|(_, value)| value.contains("900"))
    };
    app.psa.fail(asks_other, unavailable());
    other.set_member_inactive("jane.doe", true);
    app.minutes(3).await;
    assert_eq!((app.state(ticket).await.name(), is_held(&app, "jane").await), ("active", None), "not asked, not gone");
    app.psa.sim.faults().clear();
    app.minutes(1).await;
    assert_eq!((app.state(ticket).await.name(), is_held(&app, "jane").await), ("ended", Some(HoldCause::Left)));
    app.end().await;
}

/// A second company at the PSA, where this person is a member too.
async fn second_psa(app: &TestApp, person: &str, member: i64) -> Tenant {
    let tenant = app.psa.sim.add_tenant("othermsp", "Other MSP");
    let api = tenant.add_api_member(243, "JitApi");
    tenant.add_member(member, "jane.doe", "F", false);
    let id: ConnectionId = "cw-two".parse().unwrap();
    app.set_secret(&id, SecretKind::PrivateKey, &api.private_key).await;
    app.change_rules(|rules| {
        let mut connection = rules.records.connections[1].clone();
        for known in &rules.records.connections {
            if let ConnectionKind::ConnectWise(_) = known.kind {
                connection = known.clone();
            }
        }
        if let ConnectionKind::ConnectWise(settings) = &mut connection.kind {
            settings.company = "othermsp".to_owned();
            settings.public_key = api.public_key.clone();
        }
        connection.id = id.clone();
        rules.records.connections.push(connection);
        let bound = Bound { since: Timestamp::from_millis(0), is_confirmed: true };
        let member: latchkey_contract::MemberId = member.to_string().parse().unwrap();
        let members = Members { connection: id, ids: vec![member.clone()], bound: [(member, bound)].into() };
        rules
            .records
            .people
            .iter_mut()
            .filter(|p| p.id.as_str() == person)
            .for_each(|p| p.members.push(members.clone()));
    })
    .await;
    tenant
}

/// F31: blocked here, also while the PSA is down: what stands, what waits, the session and the link are gone within a
/// minute, and nobody enrols them.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_takes_everything_within_a_minute_even_without_the_psa() {
    let brake = "[[brake]]\nid = \"one\"\nper = \"technician\"\ngrants = 1\nwithin = \"1h\"\n\n[[technician_group]]";
    let app = TestApp::start_with(&[("[[technician_group]]", brake)]).await;
    let ticket = app.active().await;
    let waiting = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(waiting);
    app.run().await;
    assert_eq!(app.state(waiting).await.name(), "held");
    let grant = app.grant(ticket).await;
    let mut browser = app.signed_in().await;
    app.psa.fail(|_| true, unavailable());
    app.store().set_hold(&blocked("jane", app.clock.now())).await.unwrap();
    app.minutes(1).await;
    assert_eq!(app.state(ticket).await.name(), "ended", "proven while nobody could be told");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty());
    assert!(!matches!(app.state(waiting).await.name(), "held" | "granting"), "{}", app.state(waiting).await.name());
    assert_eq!(browser.get(&format!("/claim/{}", grant.id)).await.status, 303);
    assert!(app.store().people_here(app.clock.now()).await.unwrap().is_empty());
    let mut anew = app.browser();
    let page = anew.sign_in("jane", &app.jane, app.clock.now()).await;
    assert!(page.status != 303 && anew.cookie().is_none(), "{}", page.status);
    let factors = app.store().factors(&"jane".parse().unwrap()).await.unwrap().unwrap();
    let enrolled = Enrolled { factors, sealed: None, step: 1, invitation: None, by: By::operator("test") };
    app.store().enroll(&enrolled).await.unwrap_err();
    app.psa.sim.faults().clear();
    app.minutes(6).await;
    assert_eq!(app.psa.told(ticket), [RECEIVED, GRANTED, ENDED]);
    app.end().await;
}

/// F9, F31: the connection's own credentials are refused: told once, with what to do; and once when they are taken again.
#[tokio::test(flavor = "multi_thread")]
async fn refused_credentials_are_told_of_once_and_so_is_their_end() {
    let app = TestApp::start().await;
    let ticket = app.active().await;
    app.psa.fail(|_| true, Act::Answer { status: 401, retry_after: None, body: json!({"code": "Unauthorized"}) });
    app.minutes(30).await;
    assert_eq!((app.audited("connector.trouble").await, app.audited("connector.well").await), (1, 0));
    assert_eq!((app.state(ticket).await.name(), is_held(&app, "jane").await), ("active", None));
    let trouble = app.store().troubles().await.unwrap().pop().unwrap();
    assert!(trouble.remedy.ends_with("latchkey connection test cw"), "{trouble:?}");
    app.psa.sim.faults().clear();
    app.minutes(6).await;
    assert_eq!((app.audited("connector.trouble").await, app.audited("connector.well").await), (1, 1));
    app.minutes(61).await;
    app.end().await;
}

/// F9: the directory refuses our credentials, whoever notices: told once, and its end too.
#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_refuses_us_is_told_of_once_and_so_is_its_end() {
    let app = TestApp::start().await;
    app.set_client_secret("not-the-secret").await;
    for _ in 0..2 {
        let ticket = app.psa.ticket();
        app.psa.ask(ticket);
        app.minutes(3).await;
        assert_ne!(app.state_or_none(ticket).await, Some("active"));
    }
    assert_eq!((app.audited("connector.trouble").await, app.audited("connector.well").await), (1, 0));
    app.set_client_secret(CLIENT_SECRET).await;
    app.minutes(6).await;
    assert_eq!((app.audited("connector.trouble").await, app.audited("connector.well").await), (1, 1));
    app.end().await;
}

/// F9: a connection that cannot be built is told of by the next poll, whether or not somebody needs it now.
#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_cannot_be_built_is_told_of() {
    let (app, _) = polled().await;
    let mut right = None;
    app.change_rules(|rules| {
        for connection in &mut rules.records.connections {
            if let ConnectionKind::Entra(settings) = &mut connection.kind {
                right = settings.ca_file.replace("/nowhere/ca.pem".into());
            }
        }
    })
    .await;
    app.minutes(12).await;
    assert_eq!(app.audited("connector.trouble").await, 1);
    let trouble = app.store().troubles().await.unwrap().pop().unwrap();
    assert!(trouble.remedy.contains("/nowhere/ca.pem"), "{trouble:?}");
    app.change_rules(|rules| {
        for connection in &mut rules.records.connections {
            if let ConnectionKind::Entra(settings) = &mut connection.kind {
                settings.ca_file.clone_from(&right);
            }
        }
    })
    .await;
    app.minutes(6).await;
    assert_eq!((app.audited("connector.trouble").await, app.audited("connector.well").await), (1, 1));
    app.end().await;
}
