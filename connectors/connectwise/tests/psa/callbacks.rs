//! Our webhooks at the PSA: made, kept, repaired, cleared away.

use std::time::Duration;

use latchkey_contract::{TicketSystem, ticket::WebhookChanges};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;

use crate::world::{World, board_id, hook_url};

const CREATE: &str = "POST /system/callbacks";

/// F9
#[tokio::test]
async fn one_webhook_per_board_is_made_once() {
    let w = World::start().await;
    let boards = [board_id(w.board), board_id(w.other_board), board_id(w.board)];
    let made = w.cw.sync_webhooks(&hook_url("s3cret"), &boards).await.unwrap();
    assert_eq!(made, WebhookChanges { created: 2, ..Default::default() });
    let again = w.cw.sync_webhooks(&hook_url("s3cret"), &boards).await.unwrap();
    assert_eq!(again, WebhookChanges { kept: 2, ..Default::default() });
    let entry = &w.msp.callbacks()[0];
    assert_eq!(entry["url"], "https://localhost:1/hooks/cw/s3cret?recordId=");
    assert_eq!(
        (&entry["type"], &entry["level"], &entry["objectId"]),
        (&json!("ticket"), &json!("board"), &json!(w.board))
    );
    assert_eq!((&entry["payloadVersion"], &entry["isSelfSuppressedFlag"]), (&json!("3.0.0"), &json!(true)));
    assert!(!entry["description"].as_str().unwrap().contains("s3cret"));
}

/// F9
#[tokio::test]
async fn a_webhook_that_was_switched_off_or_deleted_comes_back() {
    let w = World::start().await;
    let boards = [board_id(w.board), board_id(w.other_board)];
    w.cw.sync_webhooks(&hook_url("s3cret"), &boards).await.unwrap();
    let ids: Vec<i64> = w.msp.callbacks().iter().map(|c| c["id"].as_i64().unwrap()).collect();
    w.msp.set_callback_inactive(ids[0], true);
    w.msp.remove_callback(ids[1]);
    assert!(!w.cw.webhooks().await.unwrap()[0].is_active);
    let mended = w.cw.sync_webhooks(&hook_url("s3cret"), &boards).await.unwrap();
    assert_eq!(mended, WebhookChanges { created: 1, repaired: 1, ..Default::default() });
    assert!(w.cw.webhooks().await.unwrap().iter().all(|hook| hook.is_active));
}

#[tokio::test]
async fn a_new_secret_and_fewer_boards_leave_no_strays() {
    let w = World::start().await;
    w.cw.sync_webhooks(&hook_url("older"), &[board_id(w.board), board_id(w.other_board)]).await.unwrap();
    let moved = w.cw.sync_webhooks(&hook_url("newer"), &[board_id(w.board)]).await.unwrap();
    assert_eq!(moved, WebhookChanges { repaired: 1, removed: 1, ..Default::default() });
    assert_eq!(w.msp.callbacks().len(), 1);
}

/// While the path secret is rotated both are taken, so each delivery finds an open door only if no callback is ever
/// missing.
#[tokio::test]
async fn a_new_secret_moves_each_callback_as_it_is() {
    let w = World::start().await;
    let boards = [board_id(w.board), board_id(w.other_board)];
    w.cw.sync_webhooks(&hook_url("older"), &boards).await.unwrap();
    let ids = |w: &World| w.msp.callbacks().iter().map(|c| c["id"].clone()).collect::<Vec<_>>();
    let before = ids(&w);
    w.msp.set_callback_inactive(before[0].as_i64().unwrap(), true);
    let moved = w.cw.sync_webhooks(&hook_url("newer"), &boards).await.unwrap();
    assert_eq!(moved, WebhookChanges { repaired: 2, ..Default::default() });
    assert_eq!(ids(&w), before);
    for entry in w.msp.callbacks() {
        assert_eq!(entry["url"], "https://localhost:1/hooks/cw/newer?recordId=");
        assert_eq!(entry["inactiveFlag"], false);
    }
    assert_eq!((w.calls(CREATE), w.calls("DELETE /system/callbacks/{id}")), (2, 0));
}

#[tokio::test]
async fn a_callback_that_cannot_be_moved_goes_only_after_its_successor_came() {
    let w = World::start().await;
    w.cw.sync_webhooks(&hook_url("older"), &[board_id(w.board)]).await.unwrap();
    let body = json!({"code": "InvalidObject", "message": "callbackEntry object is invalid", "errors": [
        {"code": "InvalidField", "message": "url cannot be changed", "resource": "callbackEntry", "field": "url"}]});
    let refused = Act::Answer { status: 400, retry_after: None, body };
    w.sim.faults().add(Fault::on("PATCH /system/callbacks/{id}", refused));
    let msp = w.msp.clone();
    let both = Act::before(move |_| assert_eq!(msp.callbacks().len(), 2));
    let deleted = w.sim.faults().add(Fault::on("DELETE /system/callbacks/{id}", both));
    let moved = w.cw.sync_webhooks(&hook_url("newer"), &[board_id(w.board)]).await.unwrap();
    assert_eq!(moved, WebhookChanges { created: 1, removed: 1, ..Default::default() });
    assert_eq!(deleted.count(), 1);
    assert_eq!(w.msp.callbacks()[0]["url"], "https://localhost:1/hooks/cw/newer?recordId=");
}

#[tokio::test]
async fn of_two_callbacks_for_one_board_the_right_one_stays() {
    let w = World::start().await;
    w.cw.sync_webhooks(&hook_url("older"), &[board_id(w.board)]).await.unwrap();
    let second = w.with(|_| {});
    second.sync_webhooks(&"https://localhost:1/hooks/other/x".parse().unwrap(), &[board_id(w.board)]).await.unwrap();
    let id = w.msp.callbacks()[1]["id"].as_i64().unwrap();
    w.msp.set_callback_url(id, "https://localhost:1/hooks/cw/newer?recordId=");
    let synced = w.cw.sync_webhooks(&hook_url("newer"), &[board_id(w.board)]).await.unwrap();
    assert_eq!(synced, WebhookChanges { kept: 1, removed: 1, ..Default::default() });
    assert_eq!(w.msp.callbacks()[0]["id"], id);
}

/// F9
#[tokio::test]
async fn other_products_webhooks_are_left_alone() {
    let w = World::start().await;
    let foreign = w.with(|_| {});
    foreign.sync_webhooks(&"https://other.example/hooks/cw/x".parse().unwrap(), &[board_id(w.board)]).await.unwrap();
    foreign.sync_webhooks(&"https://localhost:1/hooks/cw-two/x".parse().unwrap(), &[board_id(w.board)]).await.unwrap();
    // Holds our host and path as text, so that a search by the PSA finds it.
    let lookalike = "https://other.example/localhost:1/hooks/cw/x".parse().unwrap();
    foreign.sync_webhooks(&lookalike, &[board_id(w.board)]).await.unwrap();
    w.cw.sync_webhooks(&hook_url("s3cret"), &[board_id(w.board)]).await.unwrap();
    assert_eq!(w.cw.sync_webhooks(&hook_url("s3cret"), &[]).await.unwrap().removed, 1);
    assert_eq!(w.msp.callbacks().len(), 3);
}

#[tokio::test]
async fn the_list_shows_everything_but_the_secret() {
    let w = World::start().await;
    w.hooked().await;
    let hooks = w.cw.webhooks().await.unwrap();
    assert_eq!(hooks.len(), 1);
    assert_eq!((hooks[0].target.as_str(), hooks[0].is_active), ("localhost:1/hooks/cw/", true));
    assert_eq!(hooks[0].watches, format!("board {}", w.board));
    assert!(!format!("{hooks:?}").contains("s3cret"));
}

#[tokio::test]
async fn an_entry_that_is_still_seen_after_its_deletion_is_waited_for() {
    let w = World::start().await;
    let body = json!({"code": "InvalidObject", "message": "callbackEntry object is invalid", "errors": [
        {"code": "ObjectExists", "message": "A matching callback entry already exists",
         "resource": "callbackEntry", "field": "objectId"}]});
    let exists = Act::Answer { status: 400, retry_after: None, body };
    w.sim.faults().add(Fault::on(CREATE, exists).once());
    let later = w.cw.sync_webhooks(&hook_url("s3cret"), &[board_id(w.board)]).await.unwrap_err();
    assert_eq!((later.is_transient(), later.retry_after()), (true, Some(Duration::from_secs(15))));
    assert!(!format!("{later:?}").contains("s3cret"));
    assert_eq!(w.cw.sync_webhooks(&hook_url("s3cret"), &[board_id(w.board)]).await.unwrap().created, 1);
}

#[tokio::test]
async fn a_lost_answer_makes_no_second_webhook() {
    let w = World::start().await;
    w.sim.faults().add(Fault::on(CREATE, Act::ResetAfter).once());
    assert!(w.cw.sync_webhooks(&hook_url("s3cret"), &[board_id(w.board)]).await.unwrap_err().is_transient());
    assert_eq!(w.cw.sync_webhooks(&hook_url("s3cret"), &[board_id(w.board)]).await.unwrap().kept, 1);
    assert_eq!(w.msp.callbacks().len(), 1);
}

/// F9
#[tokio::test]
async fn removal_takes_all_of_ours() {
    let w = World::start().await;
    w.cw.sync_webhooks(&hook_url("s3cret"), &[board_id(w.board), board_id(w.other_board)]).await.unwrap();
    assert_eq!(w.cw.remove_webhooks(&hook_url("another")).await.unwrap(), 2);
    assert_eq!(w.cw.remove_webhooks(&hook_url("another")).await.unwrap(), 0);
    assert!(w.msp.callbacks().is_empty());
}

#[tokio::test]
async fn our_own_writes_do_not_come_back_as_deliveries() {
    let w = World::start().await;
    w.hooked().await;
    let (_, id) = w.ticket();
    w.sim.settled().await;
    let before = w.sim.deliveries().len();
    let text = latchkey_contract::ticket::NoteText::plain("x");
    w.cw.post(&id, &text, &latchkey_contract::ticket::NoteKey("k".into())).await.unwrap();
    w.sim.settled().await;
    assert_eq!(w.sim.deliveries().len(), before);
}
