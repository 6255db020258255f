//! Callouts: what is told to whom, signed how, and the vendor's delivery rules.

use latchkey_simulators::autotask::{SIGNATURE_HEADER, signature};
use serde_json::{Value, json};

use crate::world::{DESK, JANE, ME, World};

const KEY: &str = "jit-demo-Secret-0123456789";

#[tokio::test]
async fn a_change_is_told_with_a_signature_that_verifies() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    w.watch(&receiver.url()).await;
    let id = w.ticket();
    w.sim.acting(JANE).set_status(id, 8).unwrap();
    w.sim.acting(JANE).delete(id).unwrap();
    w.sim.settled().await;
    let got = receiver.take();
    let mut actions: Vec<String> =
        got.iter().map(|r| r.json().unwrap()["Action"].as_str().unwrap().to_owned()).collect();
    actions.sort();
    assert_eq!(actions, ["Create", "Delete", "Update"]);
    for request in &got {
        assert_eq!(request.header(SIGNATURE_HEADER).unwrap(), signature(KEY, &request.body));
    }
    let update: Value = got.iter().map(|r| r.json().unwrap()).find(|body| body["Action"] == "Update").unwrap();
    assert_eq!(
        (&update["EntityType"], &update["Id"], &update["PersonID"]),
        (&json!("Ticket"), &json!(id), &json!(JANE))
    );
    assert_eq!(update["Fields"]["Status"], "8");
    assert!(update["Fields"]["TicketNumber"].as_str().unwrap().starts_with('T'));
}

#[tokio::test]
async fn only_a_subscribed_field_is_told_and_nobody_who_is_excluded() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    let hook = w.watch(&receiver.url()).await;
    let id = w.ticket();
    w.sim.acting(JANE).set_title(id, "other").unwrap();
    let path = format!("/TicketWebhooks/{hook}/ExcludedResources");
    assert_eq!(w.post(&path, json!({"webhookID": hook, "resourceID": ME})).await.status, 200);
    w.patch("/Tickets", json!({"id": id, "status": 8})).await;
    w.sim.acting(JANE).set_queue(id, DESK).unwrap();
    w.sim.settled().await;
    assert_eq!(receiver.take().len(), 1, "the creation alone");
}

#[tokio::test]
async fn a_webhook_without_fields_is_not_ready_and_tells_nothing() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    let made = w.post("/TicketWebhooks", crate::world::definition(&receiver.url())).await;
    let shown = w.get(&format!("/TicketWebhooks/{}", made.body["itemId"])).await.body;
    assert_eq!((&shown["item"]["isReady"], &shown["item"]["secretKey"]), (&json!(false), &Value::Null));
    w.ticket();
    w.sim.settled().await;
    assert!(receiver.take().is_empty());
}

#[tokio::test]
async fn a_webhook_that_is_deleted_is_told_to_its_deactivation_url() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    let hook = w.watch(&receiver.url()).await;
    w.call(reqwest::Method::DELETE, &format!("/TicketWebhooks/{hook}"), None).await;
    w.sim.settled().await;
    let got = receiver.take();
    assert_eq!((got.len(), got[0].json().unwrap()["Action"].clone()), (1, json!("Deactivated")));
    assert!(got[0].path.ends_with("/off") && got[0].header(SIGNATURE_HEADER).is_none());
}

/// Thirty seconds between tries, five in all; the ones behind it wait, those of another kind do not.
#[tokio::test]
async fn a_failing_event_blocks_those_behind_it_and_is_given_up_after_five_tries() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    w.watch(&receiver.url()).await;
    let (one, two) = (w.ticket(), w.ticket());
    w.sim.settled().await;
    receiver.take();
    receiver.answers(500);
    w.sim.acting(JANE).set_status(one, 8).unwrap();
    w.sim.acting(JANE).set_status(two, 8).unwrap();
    w.sim.settled().await;
    let ids = |got: Vec<latchkey_simulators::server::Request>| {
        got.iter().map(|r| r.json().unwrap()["Id"].as_i64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(ids(receiver.take()), [one]);
    w.sim.acting(JANE).delete(two).unwrap();
    w.sim.settled().await;
    assert_eq!(ids(receiver.take()), [two], "another kind overtakes");
    w.advance(29);
    w.sim.settled().await;
    assert!(receiver.take().is_empty());
    for _ in 0..4 {
        w.advance(30);
        w.sim.settled().await;
    }
    let tries = w.sim.deliveries().into_iter().filter(|d| d.ticket == one && d.action == "Update");
    assert_eq!(tries.map(|d| d.attempt).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
    let lost = w.sim.error_log();
    assert!(lost.iter().any(|row| row["payload"].as_str().unwrap().contains(&format!("\"Id\":{one}"))));
    assert!(ids(receiver.take()).contains(&two), "then the next one's turn comes");
}

#[tokio::test]
async fn a_success_ends_the_tries_and_a_redirect_is_none() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    w.watch(&receiver.url()).await;
    receiver.answers(302);
    let id = w.ticket();
    w.sim.settled().await;
    receiver.answers(202);
    w.advance(30);
    w.sim.settled().await;
    w.advance(300);
    w.sim.settled().await;
    let statuses: Vec<_> = w.sim.deliveries().iter().filter(|d| d.ticket == id).map(|d| d.status).collect();
    assert_eq!(statuses, [Some(302), Some(202)]);
    assert!(w.sim.error_log().is_empty());
}

#[tokio::test]
async fn twenty_five_failures_in_a_row_switch_it_off_and_tell_so() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    let hook = w.watch(&receiver.url()).await;
    receiver.answers(500);
    for _ in 0..25 {
        w.ticket();
    }
    for _ in 0..25 * 5 {
        w.sim.settled().await;
        w.advance(30);
    }
    w.sim.settled().await;
    let shown = w.get(&format!("/TicketWebhooks/{hook}")).await.body;
    assert_eq!(shown["item"]["isActive"], false);
    assert_eq!(w.sim.error_log().len(), 25);
    let off = w.sim.deliveries().into_iter().find(|d| d.action == "Deactivated").unwrap();
    assert!(off.url.ends_with("/off") && off.signature.is_none());
    let body: Value = serde_json::from_slice(&off.body).unwrap();
    assert_eq!((&body["Action"], body.get("EntityType")), (&json!("Deactivated"), None));
    w.ticket();
    w.sim.settled().await;
    assert_eq!(w.sim.error_log().len(), 25, "nothing more is sent");
}
