//! A vendor that lists nothing, or lets nobody do more: what ends access goes first, at each PSA.

use latchkey::rulebook::Rules;
use latchkey_simulators::fault::Act;

use crate::{following::assert_left, harness::*};

/// F11, F10: the list of saves cannot be read, or be asked for, and no message came: a ticket with access is looked after all
/// the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_ticket_is_looked_after_though_no_saves_are_listed() {
    let app = TestApp::with_three_psas().await;
    let unavailable = || Act::Answer { status: 503, retry_after: None, body: serde_json::Value::Null };
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        for how in [Some(Act::Garbage), Some(unavailable()), None] {
            let ticket = app.active_at(desk).await;
            let failed = match &how {
                Some(act) => Some(desk.lists_no_saves(act.clone())),
                None => {
                    desk.spends();
                    None
                }
            };
            desk.goes_wrong(Wrong::Lost);
            desk.leaves(Leaves::Deleted, ticket);
            app.minutes(13).await;
            assert_left(&app, desk, ticket, "deleted").await;
            assert!(failed.is_none_or(|failed| failed.count() > 0), "{at}, {how:?}: it was not even asked");
            desk.is_honest();
            desk.recovers();
            app.minutes(30).await;
        }
    }
    app.end().await;
}

/// F11: the vendor's calls are spent when its message says that the ticket was closed: what giving alone needs, such as the
/// name of whom the message names, is not asked for before access ends.
#[tokio::test(flavor = "multi_thread")]
async fn a_closed_ticket_ends_its_access_though_the_vendors_calls_are_spent() {
    let app = TestApp::with_three_psas().await;
    let mappings = |rules: &mut Rules| rules.rulebook.mappings.iter_mut().for_each(|m| m.ends_with.grace_minutes = 0);
    app.change_rules(mappings).await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        desk.spends();
        app.minutes(6).await;
        assert_eq!(app.state_at(desk, ticket).await, "active", "{at}");
        desk.leaves(Leaves::Closed, ticket);
        app.run().await;
        assert!(["ending", "ended"].contains(&app.state_at(desk, ticket).await), "{at}: no poll is waited for");
        app.minutes(3).await;
        assert_left(&app, desk, ticket, "closed").await;
        desk.recovers();
        app.minutes(30).await;
    }
    app.end().await;
}
