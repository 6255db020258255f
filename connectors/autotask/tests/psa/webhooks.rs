//! The webhook: made, kept, mended, moved, switched on again, removed; other products' left alone.

use latchkey_contract::{
    CallError, TicketSystem,
    ticket::{Scope, WantedHooks, WebhookChanges},
};
use latchkey_simulators::{
    autotask::Reactivation,
    fault::{Act, Fault},
};
use serde_json::json;

use crate::world::{KEY, ME, POLICY, REASON, World, field_id, hook_url, wanted};

fn only(w: &World) -> serde_json::Value {
    let mut all = w.sim.webhooks();
    assert_eq!(all.len(), 1, "{all:?}");
    all.remove(0)
}

/// F9
#[tokio::test]
async fn one_webhook_tells_of_every_queue_and_not_of_our_own_changes() {
    let w = World::start().await;
    let made = w.at.sync_webhooks(&wanted("s3cret")).await.unwrap();
    assert_eq!(made, WebhookChanges { created: 1, ..Default::default() });
    let hook = only(&w);
    assert_eq!(
        (&hook["name"], &hook["isActive"], &hook["isReady"]),
        (&json!("Latchkey at"), &json!(true), &json!(true))
    );
    assert_eq!(hook["webhookUrl"], hook["deactivationUrl"]);
    assert_eq!(w.sim.webhook_key(12).as_deref(), Some(KEY));
    let [mut fields, udfs, excluded] = w.sim.webhook_children(12);
    fields.sort_unstable();
    assert_eq!((fields, udfs, excluded), (vec![2, 3, 4, 5, 6, 7, 8], vec![POLICY], vec![ME]));
    let again = w.at.sync_webhooks(&wanted("s3cret")).await.unwrap();
    assert_eq!(again, WebhookChanges { kept: 1, ..Default::default() });
    let shown = w.at.webhooks().await.unwrap();
    assert_eq!((shown[0].target.as_str(), &shown[0].scope), ("localhost:1/hooks/at/", &Scope::Everything));
    assert!(shown[0].is_active && !format!("{shown:?}").contains("s3cret"));
}

/// F9
#[tokio::test]
async fn what_was_changed_by_hand_is_mended() {
    let w = World::start().await;
    w.hooked().await;
    for (property, value) in [
        ("isActive", json!(false)),
        ("isSubscribedToUpdateEvents", json!(false)),
        ("deactivationUrl", json!("https://elsewhere.example/")),
    ] {
        w.sim.set_webhook(12, property, value);
        let mended = w.at.sync_webhooks(&wanted("s3cret")).await.unwrap();
        assert_eq!(mended, WebhookChanges { repaired: 1, ..Default::default() }, "{property}");
        assert_eq!(w.at.sync_webhooks(&wanted("s3cret")).await.unwrap().kept, 1, "{property}");
    }
}

/// F9
#[tokio::test]
async fn an_older_path_is_moved_and_a_stray_goes_last() {
    let w = World::start().await;
    w.at.sync_webhooks(&wanted("older")).await.unwrap();
    let moved = w.at.sync_webhooks(&wanted("newer")).await.unwrap();
    assert_eq!(moved, WebhookChanges { repaired: 1, ..Default::default() });
    assert_eq!(
        (only(&w)["id"].clone(), only(&w)["webhookUrl"].clone()),
        (json!(12), json!(hook_url("newer").as_str()))
    );
}

#[tokio::test]
async fn the_fields_follow_the_mappings() {
    let w = World::start().await;
    w.hooked().await;
    let want = WantedHooks { fields: [field_id(REASON)].into(), ..wanted("s3cret") };
    assert_eq!(w.at.sync_webhooks(&want).await.unwrap().repaired, 1);
    assert_eq!(w.sim.webhook_children(12)[1], [REASON]);
    let unknown = WantedHooks { fields: [field_id(1), field_id(REASON)].into(), ..wanted("s3cret") };
    assert_eq!(
        w.at.sync_webhooks(&unknown).await.unwrap().kept,
        1,
        "what the PSA does not offer is the doctor's matter"
    );
}

/// F9: the vendor switches a webhook off after 25 failed events.
#[tokio::test]
async fn a_webhook_that_the_vendor_switched_off_is_switched_on_again() {
    let w = World::start().await;
    w.hooked().await;
    assert_eq!(w.at.revive_webhooks(&hook_url("-")).await.unwrap(), 0);
    w.sim.deactivate_webhook(12);
    assert!(!w.at.webhooks().await.unwrap()[0].is_active);
    assert_eq!(w.at.revive_webhooks(&hook_url("-")).await.unwrap(), 1);
    assert!(w.at.webhooks().await.unwrap()[0].is_active);
}

/// Another installation may use the same tenant under the same name.
#[tokio::test]
async fn a_webhook_of_another_address_is_not_switched_on() {
    let w = World::start().await;
    let want = WantedHooks { url: "https://other.example/hooks/at/x".parse().unwrap(), ..wanted("x") };
    w.at.sync_webhooks(&want).await.unwrap();
    w.sim.deactivate_webhook(12);
    assert_eq!(w.at.revive_webhooks(&hook_url("-")).await.unwrap(), 0);
    assert_eq!(only(&w)["isActive"], false);
}

/// Whether a change switches it on again is not documented.
#[tokio::test]
async fn where_it_cannot_be_switched_on_another_one_takes_its_place() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.behave(|b| b.reactivation = Reactivation::IsIgnored);
    w.sim.deactivate_webhook(12);
    assert_eq!(w.at.revive_webhooks(&hook_url("-")).await.unwrap(), 1);
    assert_eq!((only(&w)["id"].clone(), only(&w)["isReady"].clone()), (json!(13), json!(true)));
    assert_eq!(w.sim.webhook_children(13)[1], [POLICY]);
    assert_eq!(w.sim.webhook_children(13)[2], [ME]);
    assert_eq!(w.at.sync_webhooks(&wanted("s3cret")).await.unwrap().kept, 1, "its address is ours");
    w.sim.deactivate_webhook(13);
    let synced = w.at.sync_webhooks(&wanted("s3cret")).await.unwrap();
    assert_eq!(synced, WebhookChanges { created: 1, removed: 1, ..Default::default() });
}

#[tokio::test]
async fn a_successor_that_was_not_finished_is_finished_and_not_made_again() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.behave(|b| b.reactivation = Reactivation::IsIgnored);
    w.sim.deactivate_webhook(12);
    let down = Act::Answer { status: 503, retry_after: None, body: json!(null) };
    w.sim.faults().add(Fault::on("GET /TicketWebhooks/{id}/ExcludedResources", down));
    for _ in 0..3 {
        assert!(w.at.revive_webhooks(&hook_url("-")).await.unwrap_err().is_transient());
        assert_eq!(w.sim.webhooks().len(), 2, "never more than the one and its successor");
        w.advance(60);
    }
    w.sim.faults().clear();
    assert_eq!(w.at.revive_webhooks(&hook_url("-")).await.unwrap(), 1);
    assert_eq!((only(&w)["id"].clone(), only(&w)["isReady"].clone()), (json!(13), json!(true)));
    assert_eq!(w.sim.webhook_children(13)[2], [ME]);
}

/// F9
#[tokio::test]
async fn other_products_webhooks_are_left_alone() {
    let w = World::start().await;
    for url in ["https://other.example/hooks/at/x", "https://localhost:1/hooks/at-two/x"] {
        let want = WantedHooks { url: url.parse().unwrap(), ..wanted("x") };
        w.at.sync_webhooks(&want).await.unwrap();
    }
    w.hooked().await;
    assert_eq!(w.sim.webhooks().len(), 3);
    assert_eq!(w.at.remove_webhooks(&hook_url("another")).await.unwrap(), 1);
    assert_eq!(w.at.remove_webhooks(&hook_url("another")).await.unwrap(), 0);
    assert_eq!(w.sim.webhooks().len(), 2);
}

#[tokio::test]
async fn an_api_user_that_may_not_register_webhooks_is_told() {
    let w = World::start().await;
    w.sim.behave(|b| b.may_create_webhooks = false);
    assert!(matches!(w.at.sync_webhooks(&wanted("s3cret")).await, Err(CallError::Unauthorized { .. })));
}

#[tokio::test]
async fn a_lost_answer_leaves_no_second_webhook() {
    let w = World::start().await;
    w.sim.faults().add(Fault::on("POST /TicketWebhooks", Act::ResetAfter).once());
    let lost = w.at.sync_webhooks(&wanted("s3cret")).await.unwrap_err();
    assert!(lost.is_transient() && !format!("{lost:?}").contains("s3cret"));
    assert_eq!(w.at.sync_webhooks(&wanted("s3cret")).await.unwrap().repaired, 1, "it had no fields yet");
    only(&w);
}

#[tokio::test]
async fn the_key_is_written_with_every_sync() {
    let w = World::start().await;
    w.hooked().await;
    let newer = w.with_keys(&["another-webhook-key-0123456789", KEY]);
    newer.sync_webhooks(&wanted("s3cret")).await.unwrap();
    assert_eq!(w.sim.webhook_key(12).as_deref(), Some("another-webhook-key-0123456789"));
}
