//! Access follows its ticket, at each PSA: what ends it, what is told before, what calls that off, and what brings it back
//! no more.

use latchkey::rulebook::{EndsWith, Rules};
use latchkey_simulators::fault::Act;
use serde_json::json;

use crate::harness::*;

/// Every way in which a ticket leaves, and its name.
const WAYS: [(Leaves, &str); 6] = [
    (Leaves::Closed, "closed"),
    (Leaves::Merged, "merged"),
    (Leaves::Deleted, "deleted"),
    (Leaves::Company, "company"),
    (Leaves::Board, "board"),
    (Leaves::Reassigned, "reassigned"),
];

const SOON: &str = "Latchkey: access ends soon.";
const GOES_ON: &str = "Latchkey: access goes on.";
const ENDED: &str = "Latchkey: access has ended, proven off.";

fn told(desk: &dyn Desk, ticket: i64) -> Vec<String> {
    desk.notes(ticket).into_iter().map(|note| note.text).collect()
}

fn count(desk: &dyn Desk, ticket: i64, first: &str) -> usize {
    told(desk, ticket).iter().filter(|note| note.starts_with(first)).count()
}

fn every(rules: &mut Rules, change: impl Fn(&mut EndsWith)) {
    rules.rulebook.mappings.iter_mut().for_each(|mapping| change(&mut mapping.ends_with));
}

fn switch<'e>(ends_with: &'e mut EndsWith, how: &str) -> &'e mut bool {
    match how {
        "closed" => &mut ends_with.closed,
        "merged" => &mut ends_with.merged,
        "deleted" => &mut ends_with.deleted,
        "company" => &mut ends_with.company,
        "board" => &mut ends_with.board,
        _ => &mut ends_with.reassigned,
    }
}

/// It is over, for this reason, and off.
pub(crate) async fn assert_left(app: &TestApp, desk: &dyn Desk, ticket: i64, how: &str) {
    let at = format!("{}, {how}", desk.connection());
    let grants = app.grants_at(desk, ticket).await;
    assert_eq!((grants.len(), grants[0].state.name()), (1, "ended"), "{at}: {:?}", desk.notes(ticket));
    let why = serde_json::to_value(&grants[0].state).unwrap();
    assert_eq!((&why["cause"]["cause"], &why["cause"]["how"]), (&"ticket-left".into(), &how.into()), "{at}: {why}");
    assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
}

/// F11, F126: closed, the ticket is told when access ends and why; then it ends, proven, and reopening brings nothing back.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket_ends_its_access_after_the_grace_that_was_told() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        desk.leaves(Leaves::Closed, ticket);
        app.run().await;
        let said = told(desk, ticket).into_iter().filter(|n| n.starts_with(SOON)).collect::<Vec<_>>();
        assert!(said.len() == 1 && said[0].contains("because the ticket was closed."), "{at}: {said:?}");
        app.minutes(4).await;
        assert!(app.entra.is_enabled(), "{at}: the grace holds");
        app.minutes(3).await;
        assert_left(&app, desk, ticket, "closed").await;
        assert_eq!((count(desk, ticket, SOON), count(desk, ticket, ENDED)), (1, 1), "{at}: told once each");
        let end = told(desk, ticket).into_iter().find(|n| n.starts_with(ENDED)).unwrap();
        assert!(end.contains("Why: the ticket was closed."), "{at}: {end}");
        desk.leaves(Leaves::Reopened, ticket);
        app.minutes(12).await;
        assert_left(&app, desk, ticket, "closed").await;
        assert_eq!(count(desk, ticket, GOES_ON), 0, "{at}");
    }
    app.end().await;
}

/// F11: a slip that is put right within the grace costs nothing, and prolongs nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_opened_again_in_time_keeps_its_access() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        desk.leaves(Leaves::Closed, ticket);
        app.minutes(2).await;
        desk.leaves(Leaves::Reopened, ticket);
        app.run().await;
        assert_eq!((count(desk, ticket, SOON), count(desk, ticket, GOES_ON)), (1, 1), "{at}: {:?}", told(desk, ticket));
        app.minutes(50).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}");
        app.minutes(15).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: on time");
    }
    app.end().await;
}

/// F11, F10: deleted while no message came; another customer's now; somebody else's now. Each by the next poll at the latest.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_gone_or_anothers_ends_its_access_though_nobody_told() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let desk = &**desk;
        for (leaves, how) in
            [(Leaves::Deleted, "deleted"), (Leaves::Company, "company"), (Leaves::Reassigned, "reassigned")]
        {
            let ticket = app.active_at(desk).await;
            desk.goes_wrong(Wrong::Lost);
            desk.leaves(leaves, ticket);
            app.minutes(13).await;
            desk.is_honest();
            assert_left(&app, desk, ticket, how).await;
        }
    }
    app.end().await;
}

/// F11: with no grace, access ends as soon as the PSA tells, and nobody waits for a poll or is told before.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_grace_access_ends_as_soon_as_the_psa_tells() {
    let app = TestApp::with_three_psas().await;
    app.change_rules(|rules| every(rules, |ends_with| ends_with.grace_minutes = 0)).await;
    for desk in &app.desks {
        let desk = &**desk;
        for (leaves, how) in WAYS {
            let (ticket, at) = (app.active_at(desk).await, format!("{}, {how}", desk.connection()));
            desk.leaves(leaves, ticket);
            app.run().await;
            // That it is gone is believed at a second look, a minute later.
            if leaves == Leaves::Deleted {
                app.minutes(2).await;
            }
            if leaves == Leaves::Merged && !desk.tells_of_a_merge() {
                assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: nobody told");
                app.minutes(13).await;
            }
            assert!(["ending", "ended"].contains(&app.state_at(desk, ticket).await), "{at}: {:?}", told(desk, ticket));
            app.minutes(3).await;
            assert_left(&app, desk, ticket, how).await;
            assert_eq!(count(desk, ticket, SOON), 0, "{at}");
        }
    }
    app.end().await;
}

/// F11: each is switched off by itself: the ticket leaves, and access goes on. Switched on, the same ticket ends it.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_ends_nothing() {
    let app = TestApp::with_three_psas().await;
    for (leaves, how) in WAYS {
        app.change_rules(|rules| every(rules, |e| (e.grace_minutes, *switch(e, how)) = (0, false))).await;
        let mut tickets = Vec::new();
        for desk in &app.desks {
            tickets.push(app.active_at(&**desk).await);
        }
        for (desk, ticket) in app.desks.iter().zip(&tickets) {
            desk.leaves(leaves, *ticket);
        }
        app.minutes(13).await;
        for (desk, ticket) in app.desks.iter().zip(&tickets) {
            let (desk, at) = (&**desk, format!("{}, {how}", desk.connection()));
            assert_eq!(app.state_at(desk, *ticket).await, "active", "{at}: {:?}", told(desk, *ticket));
            assert_eq!(count(desk, *ticket, SOON), 0, "{at}");
        }
        app.change_rules(|rules| every(rules, |e| *switch(e, how) = true)).await;
        app.minutes(13).await;
        for (desk, ticket) in app.desks.iter().zip(&tickets) {
            assert_left(&app, &**desk, *ticket, how).await;
        }
    }
    app.end().await;
}

/// F11: what does not answer, or answers for somebody else, says nothing about a ticket.
#[tokio::test(flavor = "multi_thread")]
async fn a_psa_that_does_not_answer_ends_nothing() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let answers = |status, body| Act::Answer { status, retry_after: None, body };
        for how in [
            Act::ResetBefore,
            answers(503, json!(null)),
            answers(401, json!(null)),
            answers(404, json!("<html>not found")),
            // Another ticket's record, in the envelope of either vendor.
            answers(200, json!({"id": 1, "item": {"id": 1}})),
        ] {
            let asked = desk.fails(how.clone());
            desk.touch(ticket);
            // A poll, and the second look that would believe it.
            app.minutes(7).await;
            assert!(asked.count() > 0, "{at}: it was not even asked");
            assert_eq!(app.state_at(desk, ticket).await, "active", "{at}, {how:?}: {:?}", told(desk, ticket));
            desk.recovers();
        }
        app.minutes(13).await;
        assert_eq!((app.state_at(desk, ticket).await, count(desk, ticket, SOON)), ("active", 0), "{at}");
        app.minutes(22).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: on time");
    }
    app.end().await;
}

/// F11: a look that does not find the ticket ends nothing by itself; what a second one finds a minute later is believed.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_that_is_missed_once_keeps_its_access() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let missed = desk.misses_once();
        desk.touch(ticket);
        // Not every vendor sends a message for this: then it is the poll that looks.
        app.run().await;
        for _ in 0..13 {
            if missed.count() == 0 {
                app.minutes(1).await;
            }
        }
        assert_eq!(missed.count(), 1, "{at}");
        app.minutes(3).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}: {:?}", told(desk, ticket));
        assert!(app.entra.is_enabled(), "{at}");
        desk.leaves(Leaves::Deleted, ticket);
        app.minutes(13).await;
        assert_left(&app, desk, ticket, "deleted").await;
    }
    app.end().await;
}
