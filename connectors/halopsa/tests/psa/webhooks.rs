//! Our webhook: made, bound, mended, moved, revived, removed; others' are left alone.

use latchkey_contract::{TicketSystem, ticket::Scope};
use serde_json::{Value, json};

use crate::world::{PASSWORD, World, board_id, hook_url, hooks};

fn events(w: &World) -> Vec<i64> {
    let mut events: Vec<i64> = w.sim.notifications().iter().map(|n| n["eventno"].as_i64().unwrap()).collect();
    events.sort_unstable();
    events
}

fn made(w: &World) -> Value {
    w.sim.webhooks().remove(0)
}

/// F9
#[tokio::test]
async fn one_webhook_is_made_with_credentials_and_bound_by_the_instances_own_numbers() {
    let w = World::start().await;
    let done = w.halo.sync_webhooks(&hooks("s3cret", &[w.team, w.other_team])).await.unwrap();
    assert_eq!((done.created, done.repaired, done.removed, done.kept), (1, 0, 0, 0));
    let row = made(&w);
    assert_eq!(
        (&row["url"], &row["authentication_type"], &row["active"]),
        (&json!(hook_url("s3cret").as_str()), &json!(1), &json!(true))
    );
    assert_eq!(row["basic_username"], "latchkey");
    assert_eq!(events(&w), [9, 18, 39, 76, 1072], "the rows for all, as this instance numbers them");
    assert!(
        w.sim.notifications().iter().all(|n| n["type"] == -2 && n["delivery_method"] == 6 && n["guid"].is_string())
    );
    let again = w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    assert_eq!((again.created, again.repaired, again.removed, again.kept), (0, 0, 0, 1));
    let shown = w.halo.webhooks().await.unwrap();
    assert_eq!((shown.len(), shown[0].target.as_str(), shown[0].is_active), (1, "127.0.0.1:1/hooks/halo/", true));
    assert!(shown[0].scope.covers(&board_id(w.team)));
    assert!(!format!("{shown:?}").contains("s3cret") && !row.to_string().contains(PASSWORD));
}

#[tokio::test]
async fn a_new_path_or_password_moves_the_webhook_as_it_is() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("older", &[w.team])).await.unwrap();
    let id = made(&w)["id"].clone();
    // What an admin set by hand stays.
    w.sim.put_webhook(json!({"id": id, "payload_type": 3, "batch_method": 0}));
    let done = w.halo.sync_webhooks(&hooks("newer", &[w.team])).await.unwrap();
    assert_eq!((done.created, done.repaired, done.removed), (0, 1, 0));
    let row = made(&w);
    assert_eq!((&row["id"], &row["url"], &row["payload_type"]), (&id, &json!(hook_url("newer").as_str()), &json!(3)));
    let other_user = w.with(|s| s.hook_user = "jit".into());
    assert_eq!(other_user.sync_webhooks(&hooks("newer", &[w.team])).await.unwrap().repaired, 1);
    assert_eq!(made(&w)["basic_username"], "jit");
    assert_eq!(other_user.sync_webhooks(&hooks("newer", &[w.team])).await.unwrap().kept, 1);
}

/// Every admin of the instance sees the name, and could try passwords on what anybody can compute.
#[tokio::test]
async fn the_name_tells_of_the_password_to_none_but_us() {
    let w = World::start().await;
    let name = async |halo: &latchkey_halopsa::HaloPsa| {
        halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
        made(&w)["name"].as_str().unwrap().to_owned()
    };
    let ours = name(&w.halo).await;
    assert_ne!(name(&w.with_marker_key(8)).await, ours, "the same user, password and place");
    assert_eq!(name(&w.restarted()).await, ours);
}

#[tokio::test]
async fn what_is_switched_off_unbound_or_unauthenticated_is_mended() {
    let w = World::start().await;
    let sync = async || w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    sync().await;
    let id = made(&w)["id"].clone();
    for wrong in [
        json!({"active": false}),
        json!({"disabled": true}),
        json!({"authentication_type": 0}),
        json!({"name": "Latchkey halo"}),
    ] {
        let mut row = wrong.clone();
        row["id"] = id.clone();
        w.sim.put_webhook(row);
        assert_eq!(sync().await.repaired, 1, "{wrong}");
    }
    w.sim.remove_notifications(76);
    assert_eq!(sync().await.repaired, 1);
    assert_eq!(events(&w), [9, 18, 39, 76, 1072]);
    assert_eq!(sync().await.kept, 1);
}

#[tokio::test]
async fn strays_of_ours_go_with_their_bindings_and_others_are_left_alone() {
    let w = World::start().await;
    let stray = |id: &str, name: &str, url: &str, kind: i64| {
        w.sim.put_webhook(
            json!({"id": id, "name": name, "type": kind, "url": url, "active": true, "authentication_type": 0}),
        );
        w.sim.put_notification(json!({"eventno": 76, "type": -2, "delivery_method": 6, "webhook_id": id}));
    };
    stray("a0000000-0000-4000-8000-000000000001", "by hand", hook_url("by-hand").as_str(), 0);
    stray("a0000000-0000-4000-8000-000000000002", "other", "https://other.example/hooks/halo/x", 0);
    stray("a0000000-0000-4000-8000-000000000003", "two", "http://127.0.0.1:1/hooks/halo-two/x", 0);
    stray("a0000000-0000-4000-8000-000000000004", "runbook", hook_url("runbook").as_str(), 1);
    let done = w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    assert_eq!((done.created, done.repaired), (0, 1), "one that was made by hand is taken over");
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    stray("a0000000-0000-4000-8000-000000000005", "again", hook_url("again").as_str(), 0);
    let done = w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    assert_eq!((done.kept, done.removed), (1, 1));
    assert_eq!((w.sim.webhooks().len(), w.sim.notifications().len()), (4, 8));
    assert_eq!(w.halo.remove_webhooks(&hook_url("whatever")).await.unwrap(), 1);
    assert_eq!((w.sim.webhooks().len(), w.sim.notifications().len()), (3, 3));
}

#[tokio::test]
async fn without_a_watched_team_none_is_left() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    let done = w.halo.sync_webhooks(&hooks("s3cret", &[])).await.unwrap();
    assert_eq!((done.removed, w.sim.webhooks().len(), w.sim.notifications().len()), (1, 0, 0));
}

#[tokio::test]
async fn a_name_that_is_taken_is_numbered() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    // Moved elsewhere by hand: it still has our name.
    w.sim.put_webhook(json!({"id": made(&w)["id"], "url": "https://elsewhere.example/x"}));
    assert_eq!(w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap().created, 1);
    let names: Vec<String> = w.sim.webhooks().iter().map(|h| h["name"].as_str().unwrap().to_owned()).collect();
    assert_eq!(names[1], format!("{} 2", names[0]));
    assert_eq!(w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap().kept, 1);
}

#[tokio::test]
async fn what_the_instance_switched_off_is_switched_on_again() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    assert_eq!(w.halo.revive_webhooks(&hook_url("-")).await.unwrap(), 0);
    w.sim.put_webhook(json!({"id": made(&w)["id"], "auto_disable_attempts": 1}));
    w.asked();
    w.sim.settled().await;
    assert!(!w.halo.webhooks().await.unwrap()[0].is_active, "nobody listens there");
    assert_eq!(w.halo.revive_webhooks(&hook_url("-")).await.unwrap(), 1);
    assert!(w.halo.webhooks().await.unwrap()[0].is_active);
}

#[tokio::test]
async fn events_that_the_instance_calls_otherwise_are_named_in_the_settings() {
    let w = World::start().await;
    w.sim.remove_event(9);
    w.sim.rename_event(18, "Fall geändert - All");
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    assert_eq!(events(&w), [39, 76, 1072]);
    let named = w.with(|s| s.events = vec!["fall geändert".into(), "Action Added".into(), "10".into()]);
    named.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    assert_eq!(events(&w), [10, 18, 39, 76, 1004, 1072], "what was bound before stays");
    w.sim.remove_notifications(76);
    for event in [10, 18, 39, 1004, 1072] {
        w.sim.remove_notifications(event);
    }
    assert_eq!(w.halo.webhooks().await.unwrap()[0].scope, Scope::Else, "bound to nothing, it watches nothing");
}
