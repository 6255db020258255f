//! Commands in notes, at each PSA: who is heard, what it comes to, and what is not heard.

use std::time::Duration;

use latchkey::access::Length;
use latchkey::rulebook::{Rulebook, Technicians};
use latchkey_contract::Timestamp;
use latchkey_simulators::{
    fault::{Act, Call},
    graph::{Licence, PimPolicy},
};

use crate::{closing::closes_at_the_end, harness::*};

const STANDS: &str = "Latchkey: access of this ticket.";
const ENDS: &str = "Latchkey: access ends now";
const OVER: &str = "Latchkey: nothing is given here any more.";
const UNKNOWN: &str = "Latchkey: this is no command.";
const EXTENDING: &str = "Latchkey: access is being extended.";
const EXTENDED: &str = "Latchkey: access was extended.";
const NOT_EXTENDED: &str = "Latchkey: access was not extended.";
const NOTHING_EXTENDED: &str = "Latchkey: nothing was extended.";
const SOON: &str = "Latchkey: access ends soon.";
const ENDED: &str = "Latchkey: access has ended, proven off.";

fn ours(desk: &dyn Desk, ticket: i64) -> Vec<String> {
    let notes = desk.notes(ticket).into_iter().map(|note| note.text);
    notes.filter(|text| text.starts_with("Latchkey: ")).collect()
}

fn count(desk: &dyn Desk, ticket: i64, first: &str) -> usize {
    ours(desk, ticket).iter().filter(|note| note.starts_with(first)).count()
}

/// F18, F120: asked in a note, answered in a note, once; and what was ended stays ended, though the words still stand there
/// when the ticket asks again.
#[tokio::test(flavor = "multi_thread")]
async fn a_technician_asks_and_ends_by_a_note() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let says = |text: &str| desk.writes(Who::Jane, Writes::Internal, ticket, text);
        says("/jit status");
        app.minutes(6).await;
        let said = ours(desk, ticket).into_iter().find(|note| note.starts_with(STANDS)).unwrap_or_default();
        assert!(said.contains("is active, and ends at "), "{at}: {:?}", desk.notes(ticket));
        says("/jit give me everything");
        app.minutes(12).await;
        assert_eq!((count(desk, ticket, STANDS), count(desk, ticket, UNKNOWN)), (1, 1), "{at}: each is answered once");
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}");
        says("\n/JIT end\n\nThanks, I am done.");
        app.minutes(6).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: {:?}", desk.notes(ticket));
        let state = serde_json::to_value(&app.grants_at(desk, ticket).await[0].state).unwrap();
        assert_eq!(state["cause"]["cause"], "ended-by-person", "{at}");
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
        assert_eq!((count(desk, ticket, ENDS), count(desk, ticket, ENDED)), (1, 1), "{at}: {:?}", desk.notes(ticket));
        let notes: Vec<_> = desk.notes(ticket).into_iter().filter(|note| note.text.starts_with("Latchkey: ")).collect();
        assert!(notes.iter().all(|note| note.is_internal), "{at}: {notes:?}");
        desk.click(Who::Jane, ticket);
        app.minutes(12).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        assert_eq!(count(desk, ticket, ENDS), 1, "{at}");
        app.minutes(60).await;
    }
    app.end().await;
}

/// F18: a contact, somebody nobody bound or who has left, a program, we ourselves; where a customer reads it, by mail, in
/// another's name; quoted, not at the beginning, or before access was asked for. Nothing ends, and nothing is said.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_is_not_verified_and_whatever_is_not_plainly_said_is_not_heard() {
    let app = TestApp::with_three_psas().await;
    app.change_rules(|rules| {
        for policy in &mut rules.rulebook.policies {
            let long = || Length::parse("2h").unwrap();
            (policy.lengths, policy.default_length) = (vec![long()], long());
        }
    })
    .await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = desk.ticket(Whose::Acme);
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit end");
        app.minutes(1).await;
        desk.click(Who::Jane, ticket);
        app.run().await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        let before = ours(desk, ticket).len();
        let quoted = "On Monday Ann Example wrote:\n/jit end";
        for (who, how, text) in [
            (Who::Contact, Writes::Internal, "/jit end"),
            (Who::Unbound, Writes::Internal, "/jit end"),
            (Who::Gone, Writes::Internal, "/jit end"),
            (Who::Program, Writes::Internal, "/jit end"),
            (Who::Us, Writes::Internal, "/jit end"),
            (Who::Jane, Writes::Shown, "/jit end"),
            (Who::Jane, Writes::Mailed, "/jit end"),
            (Who::Jane, Writes::Internal, "> /jit end"),
            (Who::Jane, Writes::Internal, quoted),
            (Who::Jane, Writes::Internal, "please /jit end"),
        ] {
            desk.writes(who, how, ticket, text);
            // Longer than from one poll to the next, so that each is judged by a look of its own.
            app.minutes(6).await;
            assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {who:?} {how:?} {text:?}");
            assert_eq!(ours(desk, ticket).len(), before, "{at}: {who:?} {how:?} {text:?}: {:?}", ours(desk, ticket));
        }
        // Where the PSA lets a trusted program act as a member, and says that it did, it may ask; elsewhere nothing is heard.
        desk.writes(Who::Program, Writes::AsJane, ticket, "/jit status");
        app.minutes(6).await;
        let by_program = usize::from(desk.hears_in_anothers_name());
        assert_eq!(count(desk, ticket, STANDS), by_program, "{at}: {:?}", ours(desk, ticket));
        // And whoever is verified was heard in all that time.
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit status");
        app.minutes(6).await;
        assert_eq!(count(desk, ticket, STANDS), by_program + 1, "{at}: {:?}", ours(desk, ticket));
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}");
        app.minutes(50).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    app.end().await;
}

/// F122: ten minutes before the end, in the ticket and to whoever asked, once, though the service was away meanwhile; not where
/// the policy wants none, nor for what lasts no longer than that.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_is_told_before_it_comes() {
    let mut app = TestApp::with_three_psas().await;
    app.change_rules(|rules| {
        let jane = rules.records.people.iter_mut().find(|person| person.id.as_str() == "jane").unwrap();
        jane.mail = Some("jane@msp.example".parse().unwrap());
        rules.rulebook.policies.iter_mut().for_each(|policy| policy.warn_minutes = 10);
    })
    .await;
    let mails = async |app: &TestApp| {
        let mails = app.store().mails(1000).await.unwrap();
        mails.iter().filter(|mail| mail.words.write().subject.contains("ends soon")).count()
    };
    let desks = app.desks.clone();
    for (n, desk) in desks.iter().enumerate() {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        app.minutes(49).await;
        assert_eq!((count(desk, ticket, SOON), mails(&app).await), (0, n), "{at}");
        app.down().await;
        app.up().await;
        app.minutes(1).await;
        let told = ours(desk, ticket);
        let soon = told.last().filter(|note| note.starts_with(SOON)).unwrap_or_else(|| panic!("{at}: {told:?}"));
        let end = app.grants_at(desk, ticket).await[0].state.end().unwrap().rfc3339();
        assert!(soon.contains(&end[11..19]) && soon.contains("/jit end"), "{at}: {soon}");
        assert_eq!(mails(&app).await, n + 1, "{at}");
        app.minutes(9).await;
        assert_eq!((count(desk, ticket, SOON), mails(&app).await), (1, n + 1), "{at}: once");
        app.minutes(2).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
    }
    for (warn_minutes, told) in [(0, false), (60, false), (59, true)] {
        app.change_rules(|rules| rules.rulebook.policies.iter_mut().for_each(|p| p.warn_minutes = warn_minutes)).await;
        let ticket = app.active_at(&*desks[0]).await;
        app.minutes(61).await;
        assert_eq!(app.state_at(&*desks[0], ticket).await, "ended");
        assert_eq!(count(&*desks[0], ticket, SOON), usize::from(told), "{warn_minutes}");
    }
    app.end().await;
}

/// F18: whoever asks after access that has ended is told so, once for each note and for a day; somebody who is not verified is
/// not, and where nothing was ever given nobody is.
#[tokio::test(flavor = "multi_thread")]
async fn whoever_asks_when_all_is_over_is_told_for_a_day() {
    let app = TestApp::with_three_psas().await;
    let mut over = Vec::new();
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let refused = desk.ticket(Whose::Acme);
        desk.click(Who::Unbound, refused);
        let ticket = app.active_at(desk).await;
        app.minutes(70).await;
        assert_eq!((app.state_at(desk, ticket).await, count(desk, ticket, OVER)), ("ended", 0), "{at}");
        desk.writes(Who::Unbound, Writes::Internal, ticket, "/jit status");
        desk.writes(Who::Jane, Writes::Internal, refused, "/jit status");
        app.minutes(6).await;
        assert_eq!((count(desk, ticket, OVER), count(desk, refused, OVER)), (0, 0), "{at}");
        for (n, text) in ["/jit status", "/jit end"].into_iter().enumerate() {
            desk.writes(Who::Jane, Writes::Internal, ticket, text);
            app.minutes(12).await;
            assert_eq!(count(desk, ticket, OVER), n + 1, "{at}: {text}: {:?}", ours(desk, ticket));
        }
        let told = ours(desk, ticket).into_iter().find(|note| note.starts_with(OVER)).unwrap_or_default();
        assert!(told.contains("off was seen at "), "{at}: {told}");
        assert_eq!((count(desk, ticket, ENDS), app.grants_at(desk, ticket).await.len()), (0, 1), "{at}");
        over.push((desk, ticket));
    }
    app.minutes(24 * 60).await;
    for (desk, ticket) in &over {
        desk.writes(Who::Jane, Writes::Internal, *ticket, "/jit status");
    }
    app.minutes(6).await;
    for (desk, ticket) in over {
        assert_eq!(count(desk, ticket, OVER), 2, "{}: {:?}", desk.connection(), ours(desk, ticket));
    }
    app.end().await;
}

/// F18, F120: one word ends all that its author has by this ticket, and is answered once.
#[tokio::test(flavor = "multi_thread")]
async fn one_note_ends_all_that_the_ticket_asked_for() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let way = closes_at_the_end(&app, desk).await;
        let ticket = app.active_at(desk).await;
        desk.click_by(&way, Who::Jane, ticket);
        app.minutes(1).await;
        let states =
            async || app.grants_at(desk, ticket).await.iter().map(|grant| grant.state.name()).collect::<Vec<_>>();
        assert_eq!(states().await, ["active", "active"], "{at}: {:?}", desk.notes(ticket));
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit end");
        app.minutes(12).await;
        assert_eq!(states().await, ["ended", "ended"], "{at}: {:?}", desk.notes(ticket));
        assert_eq!((count(desk, ticket, ENDS), count(desk, ticket, OVER)), (1, 0), "{at}: {:?}", ours(desk, ticket));
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
    }
    app.end().await;
}

/// F18, F120: notes that could not be listed, or whose author could not be looked up, are read again half a minute later, not
/// at the next poll, and so on while there is something left to end.
#[tokio::test(flavor = "multi_thread")]
async fn what_could_not_be_heard_is_heard_soon() {
    let app = TestApp::with_three_psas().await;
    let seconds = async |n| app.pass(Duration::from_secs(n)).await;
    let is_owed = async || {
        let tasks = app.store().tasks(u32::MAX).await.unwrap();
        tasks.iter().any(|task| task.slot.starts_with("unheard:"))
    };
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let asked = desk.lists_no_notes(Act::ResetBefore);
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit end");
        desk.touch(ticket);
        // Not every vendor sends a message for this: then it is the poll that looks.
        for _ in 0..301 {
            if asked.count() == 0 {
                seconds(1).await;
            }
        }
        let first = asked.count();
        assert!(first > 0 && is_owed().await, "{at}: asked {first} times");
        seconds(29).await;
        // The poll may have looked meanwhile.
        assert!(asked.count() - first <= 2, "{at}: nobody is hammered");
        seconds(36).await;
        assert!((2..=8).contains(&(asked.count() - first)), "{at}: {} in a minute", asked.count() - first);
        assert_eq!((app.state_at(desk, ticket).await, is_owed().await), ("active", true), "{at}");
        desk.recovers();
        seconds(31).await;
        assert!(["ending", "ended"].contains(&app.state_at(desk, ticket).await), "{at}: {:?}", desk.notes(ticket));
        assert!(!is_owed().await, "{at}");
        app.minutes(9).await;
        assert_eq!((app.state_at(desk, ticket).await, count(desk, ticket, ENDS)), ("ended", 1), "{at}");
        let asked = desk.lists_no_notes(Act::ResetBefore);
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit status");
        app.minutes(7).await;
        assert!(asked.count() > 0 && !is_owed().await, "{at}: there is nothing left to end");
        desk.recovers();
    }
    let desk = &*app.desks[0];
    let ticket = app.active_at(desk).await;
    let asked = app.psa.fail(|call| call.op == "GET /system/members/{id}", Act::ResetBefore);
    desk.writes(Who::Jane, Writes::Internal, ticket, "/jit end");
    app.run().await;
    assert!(asked.count() > 0 && is_owed().await);
    assert_eq!(app.state_at(desk, ticket).await, "active");
    desk.recovers();
    seconds(31).await;
    assert!(["ending", "ended"].contains(&app.state_at(desk, ticket).await), "{:?}", desk.notes(ticket));
    app.minutes(6).await;
    app.end().await;
}

async fn end_of(app: &TestApp, desk: &dyn Desk, ticket: i64) -> Timestamp {
    app.grants_at(desk, ticket).await[0].state.end().expect("it lives")
}

/// When the tenant takes the first of the account's roles by its own clock, as the tenant tells.
fn tenants_end(app: &TestApp) -> Timestamp {
    let held = app.entra.sim.assignments(TENANT, &app.entra.object());
    let ends =
        held.iter().filter(|role| role["is_active"] == true).map(|role| role["end_ms"].as_i64().expect("an end"));
    Timestamp::from_millis(ends.min().expect("a role is held"))
}

const fn minutes(n: u64) -> Duration {
    Duration::from_secs(n * 60)
}

/// F121, F18, F7, F130: more time without a gap. The tenant's own end is later before ours is; the ticket is told of the new one,
/// and warned of that one too; and at the old one nothing is taken.
#[tokio::test(flavor = "multi_thread")]
async fn a_technician_gets_more_time_by_a_note() {
    let app = TestApp::with_three_psas().await;
    app.entra.sim.set_licence(TENANT, Licence::P2);
    app.change_rules(|rules| rules.rulebook.policies.iter_mut().for_each(|p| p.warn_minutes = 10)).await;
    for (n, desk) in app.desks.iter().enumerate() {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let (end, tenants) = (end_of(&app, desk, ticket).await, tenants_end(&app));
        assert!(tenants > end, "{at}: ours comes first");
        app.minutes(51).await;
        assert_eq!(count(desk, ticket, SOON), 1, "{at}");
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit extend 30m\n\nOne more mailbox.");
        app.minutes(6).await;
        let later = end_of(&app, desk, ticket).await;
        assert_eq!(later, end + minutes(30), "{at}: {:?}", ours(desk, ticket));
        assert!(tenants_end(&app) > later + minutes(9), "{at}: the tenant lets it");
        assert_eq!((count(desk, ticket, EXTENDING), count(desk, ticket, EXTENDED)), (1, 1), "{at}");
        let told = ours(desk, ticket).into_iter().find(|note| note.starts_with(EXTENDED)).unwrap_or_default();
        assert!(told.contains(&later.rfc3339()[11..19]), "{at}: {told}");
        assert_eq!((app.audited("grant.extending").await, app.audited("grant.extended").await), (n + 1, n + 1), "{at}");
        app.minutes(12).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: past the old end");
        assert!(app.entra.is_enabled() && !app.entra.roles().is_empty(), "{at}");
        assert_eq!((count(desk, ticket, SOON), count(desk, ticket, EXTENDED)), (1, 1), "{at}: each was told once");
        app.minutes(12).await;
        assert_eq!(count(desk, ticket, SOON), 2, "{at}: of the new end too");
        app.minutes(11).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
        let state = serde_json::to_value(&app.grants_at(desk, ticket).await[0].state).unwrap();
        assert_eq!(state["due"], serde_json::to_value(later).unwrap(), "{at}: at the new end");
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit extend 30m");
        app.minutes(60).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: what is over stays over");
    }
    app.end().await;
}

/// F121, F18: decided like a request, by the rules that are in force; never for longer in all than they let it be; and never on
/// the strength of a note that a program may have written in a technician's name. The end stands.
#[tokio::test(flavor = "multi_thread")]
async fn more_time_that_the_rules_do_not_give_is_refused_and_the_end_stands() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let end = end_of(&app, desk, ticket).await;
        let mut refused = 0;
        let asks = async |text: &str| {
            desk.writes(Who::Jane, Writes::Internal, ticket, text);
            app.minutes(6).await;
            assert_eq!(end_of(&app, desk, ticket).await, end, "{at}: {text}");
        };
        let mut says = |why: &str| {
            refused += 1;
            let told: Vec<_> = ours(desk, ticket).into_iter().filter(|n| n.starts_with(NOTHING_EXTENDED)).collect();
            assert_eq!(told.len(), refused, "{at}: {told:?}");
            assert!(told.last().is_some_and(|note| note.contains(why)), "{at}: {told:?}");
        };
        asks("/jit extend 421m").await;
        says("it can last until ");
        let rules = app.store().rules().await.unwrap();
        app.change_rules(|rules| {
            rules.rulebook.policies.iter_mut().for_each(|policy| policy.technicians = Technicians::default());
        })
        .await;
        asks("/jit extend 30m").await;
        says("this access is not open to you");
        let brake = "[[brake]]\nid = \"busy\"\nper = \"technician\"\ngrants = 1\nwithin = \"8h\"\n";
        let brakes = Rulebook::parse(brake).unwrap().brakes;
        app.change_rules(|now| {
            now.rulebook = rules.rulebook.clone();
            now.rulebook.brakes = brakes;
        })
        .await;
        asks("/jit extend 30m").await;
        says("approvers would have to let it pass");
        app.change_rules(|now| now.rulebook = rules.rulebook.clone()).await;
        desk.writes(Who::Program, Writes::AsJane, ticket, "/jit extend 30m");
        desk.writes(Who::Program, Writes::Internal, ticket, "/jit extend 30m");
        desk.writes(Who::Jane, Writes::Shown, ticket, "/jit extend 30m");
        app.minutes(6).await;
        assert_eq!(end_of(&app, desk, ticket).await, end, "{at}");
        if at == "at" {
            says("does not tell for certain who wrote this note");
        }
        assert_eq!(count(desk, ticket, NOTHING_EXTENDED), refused, "{at}: and nothing else was heard");
        app.minutes(37).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
        assert_eq!(count(desk, ticket, EXTENDED), 0, "{at}");
        app.minutes(8 * 60).await;
    }
    assert_eq!((app.audited("grant.not-extended").await, app.audited("grant.extended").await), (9, 0));
    app.end().await;
}

/// F121, F11: a ticket that was closed, moved or given to somebody else gets no more time, by a note or on the page, though
/// nothing was told since access ends before the grace would. The end stands.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_has_left_gets_no_more_time() {
    const LEFT: &str = "the ticket is not as it was when it asked";
    let app = TestApp::with_three_psas().await;
    app.change_rules(|rules| rules.rulebook.mappings.iter_mut().for_each(|m| m.ends_with.grace_minutes = 120)).await;
    for desk in &app.desks {
        for how in [Leaves::Closed, Leaves::Board, Leaves::Reassigned] {
            let (desk, at) = (&**desk, format!("{}, {how:?}", desk.connection()));
            let ticket = app.active_at(desk).await;
            let end = end_of(&app, desk, ticket).await;
            desk.leaves(how, ticket);
            desk.writes(Who::Jane, Writes::Internal, ticket, "/jit extend 30m");
            app.minutes(6).await;
            let told: Vec<_> = ours(desk, ticket).into_iter().filter(|n| n.starts_with(NOTHING_EXTENDED)).collect();
            assert!(told.len() == 1 && told[0].contains(LEFT), "{at}: {:?}", ours(desk, ticket));
            let mut jane = app.signed_in().await;
            let grant = app.grants_at(desk, ticket).await.remove(0);
            let token = jane.get("/").await.input("form_token").expect("the page has a form");
            let asks = [("form_token", token.as_str()), ("length", "30m")];
            let page = jane.post(&format!("/claim/{}/extend", grant.id), &asks).await;
            assert!(page.status == 409 && page.text.contains(LEFT), "{at}: {} {}", page.status, page.text);
            let grant = app.grants_at(desk, ticket).await.remove(0);
            assert_eq!((grant.state.end(), grant.leaving, grant.extending), (Some(end), None, None), "{at}");
            app.minutes(57).await;
            assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
        }
    }
    app.end().await;
}

/// F121, F18: where the PSA tells that a note was changed after its author wrote it, nothing is given on its strength; what it
/// asks to know or to end is obeyed all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_that_somebody_changed_gives_no_more_time() {
    let app = TestApp::with_three_psas().await;
    for desk in app.desks.iter().filter(|desk| desk.tells_of_an_edit()) {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let end = end_of(&app, desk, ticket).await;
        let becomes = async |text: &str| {
            desk.writes(Who::Jane, Writes::Internal, ticket, "Looking into it.");
            app.minutes(1).await;
            desk.edits(Who::Unbound, ticket, text);
            app.minutes(6).await;
        };
        becomes("/jit extend 30m").await;
        let told: Vec<_> = ours(desk, ticket).into_iter().filter(|n| n.starts_with(NOTHING_EXTENDED)).collect();
        assert!(told.len() == 1 && told[0].contains("it was changed afterwards"), "{at}: {:?}", ours(desk, ticket));
        assert_eq!(end_of(&app, desk, ticket).await, end, "{at}");
        becomes("/jit status").await;
        assert_eq!(count(desk, ticket, STANDS), 1, "{at}: {:?}", ours(desk, ticket));
        becomes("/jit end").await;
        app.minutes(3).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: {:?}", ours(desk, ticket));
        assert_eq!((count(desk, ticket, ENDS), count(desk, ticket, EXTENDING)), (1, 0), "{at}");
    }
    app.end().await;
}

/// F121, F126: until the tenant has taken the later end the old one stands: access ends by it while the tenant is away; what the
/// tenant refuses comes to nothing, and is told; what it takes at last, after a death of the service too, is had.
#[tokio::test(flavor = "multi_thread")]
async fn the_new_end_is_believed_when_the_tenant_has_it() {
    let mut app = TestApp::with_three_psas().await;
    app.entra.sim.set_licence(TENANT, Licence::P2);
    let desks = app.desks.clone();
    let desk = &*desks[0];
    let gives = |call: &Call| call.op.starts_with("POST /roleManagement/directory/roleAssignment");
    let extend = |ticket: i64, text: &str| desk.writes(Who::Jane, Writes::Internal, ticket, text);

    let ticket = app.active_at(desk).await;
    let end = end_of(&app, desk, ticket).await;
    app.entra.fail(gives, Act::ResetBefore);
    extend(ticket, "/jit extend 30m");
    app.minutes(6).await;
    assert_eq!((end_of(&app, desk, ticket).await, count(desk, ticket, EXTENDING)), (end, 1));
    app.down().await;
    app.entra.sim.faults().clear();
    app.up().await;
    app.minutes(6).await;
    assert_eq!(end_of(&app, desk, ticket).await, end + minutes(30), "{:?}", ours(desk, ticket));

    app.entra.fail(gives, Act::ResetBefore);
    extend(ticket, "/jit extend 1h");
    app.minutes(85).await;
    assert_eq!(
        app.state_at(desk, ticket).await,
        "ending",
        "the tenant is away for every role: {:?}",
        ours(desk, ticket)
    );
    app.entra.sim.faults().clear();
    app.minutes(10).await;
    let state = serde_json::to_value(&app.grants_at(desk, ticket).await[0].state).unwrap();
    assert_eq!(
        (state["state"].clone(), state["due"].clone()),
        ("ended".into(), serde_json::to_value(end + minutes(30)).unwrap())
    );

    let within = PimPolicy { is_expiration_required: true, maximum_duration: "PT2H".into(), ..PimPolicy::default() };
    app.entra.sim.set_pim_policy(TENANT, EXCHANGE_ROLE, within);
    let ticket = app.active_at(desk).await;
    let end = end_of(&app, desk, ticket).await;
    extend(ticket, "/jit extend 2h");
    app.minutes(6).await;
    assert_eq!(end_of(&app, desk, ticket).await, end, "{:?}", ours(desk, ticket));
    assert_eq!((count(desk, ticket, NOT_EXTENDED), app.state_at(desk, ticket).await), (1, "active"));
    extend(ticket, "/jit extend 30m");
    app.minutes(6).await;
    assert_eq!(
        end_of(&app, desk, ticket).await,
        end + minutes(30),
        "a shorter time is asked for anew: {:?}",
        ours(desk, ticket)
    );
    assert!(tenants_end(&app) > end + minutes(39));
    app.minutes(90).await;
    assert_eq!(app.state_at(desk, ticket).await, "ended");
    app.end().await;
}
