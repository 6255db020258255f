//! A vendor that lists nothing, or lets nobody do more: what ends access goes first, at each PSA.

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
