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

/// F18, F120: the vendor's calls are spent, and what a technician ends by a note ends all the same.
#[tokio::test(flavor = "multi_thread")]
async fn a_note_ends_access_though_the_vendors_calls_are_spent() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        desk.spends();
        app.minutes(6).await;
        desk.writes(Who::Jane, Writes::Internal, ticket, "/jit end");
        app.minutes(11).await;
        assert_eq!(app.state_at(desk, ticket).await, "ended", "{at}: {:?}", desk.notes(ticket));
        assert!(!app.entra.is_enabled() && app.entra.roles().is_empty(), "{at}");
        desk.recovers();
        app.minutes(30).await;
        let notes = desk.notes(ticket);
        assert!(notes.iter().any(|note| note.text.starts_with("Latchkey: access ends now")), "{at}: {notes:?}");
    }
    app.end().await;
}

/// F11, F106: what the ticket should be told waits for the vendor's calls, and its password does not stand there meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn the_password_leaves_the_ticket_before_anything_is_told() {
    let app = TestApp::with_three_psas().await;
    for desk in &app.desks {
        let (desk, at) = (&**desk, desk.connection());
        let ticket = app.active_at(desk).await;
        let holds_password = || desk.notes(ticket).iter().any(|note| note.text.contains("Password:"));
        assert!(holds_password(), "{at}: {:?}", desk.notes(ticket));
        desk.spends();
        app.minutes(6).await;
        let told = desk.notes(ticket).len();
        desk.leaves(Leaves::Closed, ticket);
        app.minutes(8).await;
        assert_left(&app, desk, ticket, "closed").await;
        assert_eq!(desk.notes(ticket).len(), told, "{at}: nothing could be told: {:?}", desk.notes(ticket));
        assert!(!holds_password(), "{at}: {:?}", desk.notes(ticket));
        desk.recovers();
        app.minutes(30).await;
        let last = desk.notes(ticket).pop().unwrap();
        assert!(last.text.starts_with("Latchkey: access has ended, proven off."), "{at}: {last:?}");
    }
    app.end().await;
}
