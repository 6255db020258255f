//! A ticket that closes while it has access: by Latchkey's own hand when other access of it ended, or by somebody's.

use latchkey::rulebook::{FieldTrigger, Mapping};
use latchkey_simulators::fault::Act;

use crate::harness::*;

/// By the ticket, not by its time.
const SOON: &str = "Latchkey: access ends soon.\n\nAccess ends at";

fn told(desk: &dyn Desk, ticket: i64, first: &str) -> usize {
    desk.notes(ticket).iter().filter(|note| note.text.starts_with(first)).count()
}

/// Tickets can ask in two ways, and the end of what the first one asked for closes the ticket.
pub(crate) async fn closes_at_the_end(app: &TestApp, desk: &dyn Desk) -> Way {
    let mapping = desk.mapping();
    let way = desk.other_ways().into_iter().find(|way| matches!(way, Way::Field(..))).unwrap();
    let Way::Field(field, text) = way else { panic!("no field asks") };
    app.change_rules(|rules| {
        let first = rules.rulebook.mappings.iter_mut().find(|m| m.id.as_str() == mapping).unwrap();
        first.statuses.ended = Some(desk.closing().to_string().parse().unwrap());
        let trigger = FieldTrigger { field: field.to_string().parse().unwrap(), values: vec![text.to_owned()] };
        let mut second = Mapping {
            id: format!("{mapping}-by-field").parse().unwrap(),
            trigger_statuses: vec![],
            trigger_field: Some(trigger),
            ..first.clone()
        };
        second.statuses.ended = None;
        rules.rulebook.mappings.push(second);
    })
    .await;
    app.type_in(&["webhook", "sync", desk.connection()], "").await.unwrap();
    way
}

/// F11: the status for an end closes the ticket, and what else the ticket asked for goes on; once it was opened again, the
/// same status is somebody's.
#[tokio::test(flavor = "multi_thread")]
async fn the_status_that_latchkey_sets_at_an_end_ends_nothing_else() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let way = closes_at_the_end(&app, desk).await;
        let ticket = app.active_at(desk).await;
        app.minutes(30).await;
        desk.click_by(&way, Who::Jane, ticket);
        app.minutes(33).await;
        let states =
            async || app.grants_at(desk, ticket).await.iter().map(|grant| grant.state.name()).collect::<Vec<_>>();
        assert_eq!(states().await, ["active", "ended"], "{at}: {:?}", desk.notes(ticket));
        assert_eq!(desk.stands(ticket), Standing::Else, "{at}: the end closed it");
        app.minutes(12).await;
        assert_eq!((states().await[0], told(desk, ticket, SOON)), ("active", 0), "{at}");
        desk.leaves(Leaves::Reopened, ticket);
        app.minutes(1).await;
        desk.leaves(Leaves::Closed, ticket);
        app.minutes(1).await;
        assert_eq!(told(desk, ticket, SOON), 1, "{at}: somebody else closed it: {:?}", desk.notes(ticket));
        app.minutes(7).await;
        assert_eq!(states().await, ["ended", "ended"], "{at}");
    }
    app.end().await;
}

/// F11: opened and closed again before anybody looks, the ticket stands as Latchkey left it, and somebody has closed it.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_closing_that_nobody_saw_coming_is_somebodys() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let way = closes_at_the_end(&app, desk).await;
        let ticket = app.active_at(desk).await;
        app.minutes(30).await;
        desk.click_by(&way, Who::Jane, ticket);
        app.minutes(33).await;
        let states =
            async || app.grants_at(desk, ticket).await.iter().map(|grant| grant.state.name()).collect::<Vec<_>>();
        assert_eq!(states().await, ["active", "ended"], "{at}: {:?}", desk.notes(ticket));
        assert_eq!(desk.stands(ticket), Standing::Else, "{at}: the end closed it");
        desk.goes_wrong(Wrong::Lost);
        desk.leaves(Leaves::Reopened, ticket);
        desk.leaves(Leaves::Closed, ticket);
        app.minutes(7).await;
        assert_eq!(told(desk, ticket, SOON), 1, "{at}: somebody else closed it: {:?}", desk.notes(ticket));
        app.minutes(7).await;
        assert_eq!(states().await, ["ended", "ended"], "{at}");
        let state = serde_json::to_value(&app.grants_at(desk, ticket).await[0].state).unwrap();
        assert_eq!(state["cause"]["cause"], "ticket-left", "{at}: {state}");
        desk.is_honest();
    }
    app.end().await;
}

/// F11: a person closes the ticket with the very status that Latchkey is still trying to set.
#[tokio::test(flavor = "multi_thread")]
async fn a_closing_that_was_only_meant_is_somebodys_when_it_comes() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let way = closes_at_the_end(&app, desk).await;
        let ticket = app.active_at(desk).await;
        app.minutes(30).await;
        desk.click_by(&way, Who::Jane, ticket);
        app.minutes(20).await;
        let away = Act::Answer { status: 503, retry_after: None, body: serde_json::Value::Null };
        let fired = desk.sets_no_status(away);
        app.minutes(13).await;
        let states =
            async || app.grants_at(desk, ticket).await.iter().map(|grant| grant.state.name()).collect::<Vec<_>>();
        assert_eq!(states().await, ["active", "ended"], "{at}: {:?}", desk.notes(ticket));
        assert!(
            fired.count() > 0 && desk.stands(ticket) == Standing::Active,
            "{at}: it was tried, and came to nothing"
        );
        desk.leaves(Leaves::Closed, ticket);
        app.minutes(14).await;
        assert_eq!(states().await, ["ended", "ended"], "{at}: {:?}", desk.notes(ticket));
        let state = serde_json::to_value(&app.grants_at(desk, ticket).await[0].state).unwrap();
        assert_eq!(state["cause"]["cause"], "ticket-left", "{at}: {state}");
        desk.recovers();
        app.minutes(10).await;
    }
    app.end().await;
}

/// F11: the status was set, and the PSA's answer was lost: that it stands already does not make it somebody's.
#[tokio::test(flavor = "multi_thread")]
async fn a_closing_whose_answer_was_lost_is_still_latchkeys() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let way = closes_at_the_end(&app, desk).await;
        let ticket = app.active_at(desk).await;
        app.minutes(30).await;
        desk.click_by(&way, Who::Jane, ticket);
        app.minutes(20).await;
        let fired = desk.sets_no_status(Act::ResetAfter);
        app.minutes(25).await;
        assert_eq!(fired.count(), 1, "{at}: it was set, and is not set again");
        let grants = app.grants_at(desk, ticket).await;
        assert_eq!([grants[0].state.name(), grants[1].state.name()], ["active", "ended"], "{at}");
        assert_eq!((desk.stands(ticket), told(desk, ticket, SOON)), (Standing::Else, 0), "{at}");
        desk.recovers();
        app.minutes(20).await;
        let state = serde_json::to_value(&app.grants_at(desk, ticket).await[0].state).unwrap();
        assert_eq!(state["cause"]["cause"], "expired", "{at}: {state}");
    }
    app.end().await;
}

/// F11, F10: access is looked after though no mapping watches its PSA any more, and no longer than there is any.
#[tokio::test(flavor = "multi_thread")]
async fn access_follows_its_ticket_though_its_mapping_went() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        app.change_rules(|rules| rules.rulebook.mappings.retain(|m| m.connection.as_str() != at)).await;
        desk.goes_wrong(Wrong::Lost);
        app.minutes(6).await;
        desk.leaves(Leaves::Deleted, ticket);
        app.minutes(7).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}");
        app.minutes(12).await;
        let slot = format!("poll:{at}");
        let tasks = app.store().tasks(500).await.unwrap();
        assert!(tasks.iter().all(|task| task.slot != slot), "{at}: there is nothing left to look after");
        desk.is_honest();
    }
    app.end().await;
}
