//! Which changes are told, how, and how often.

use latchkey_simulators::halopsa::{Payload, basic};
use serde_json::{Value, json};

use crate::world::{DANA, Receiver, World};

#[tokio::test]
async fn a_click_is_told_with_basic_credentials_and_without_a_signature() {
    let w = World::start().await;
    let receiver = Receiver::answering(202).await;
    let hook = w.hook(&receiver.url(), &[76]).await;
    let id = w.ticket();
    w.sim.acting(DANA).run_action(id, w.button, &[]).unwrap();
    w.sim.settled().await;
    let got = receiver.take();
    assert_eq!(got.len(), 1);
    assert_eq!(got[0].header("Authorization"), Some(basic("jitadmin", "S3cr3t:With:Colons").as_str()));
    assert!(got[0].headers.keys().all(|name| !name.as_str().contains("signature")));
    let body = got[0].json().unwrap();
    assert_eq!(
        (body["event"].as_str(), &body["object_id"], &body["webhook_id"]),
        (Some("ticket status changed"), &json!(id), &json!(hook))
    );
    assert_eq!(body["message"], format!("The status has been changed for Ticket ID: {id:07}."));
    assert_eq!(body["timestamp"], "2026-09-25T06:41:08.7895915Z");
    assert_ne!(body["id"], body["object_id"]);
}

#[tokio::test]
async fn only_bindings_count_and_their_conditions() {
    let w = World::start().await;
    let receiver = Receiver::answering(202).await;
    let hook = w.hook(&receiver.url(), &[]).await;
    w.post("/Webhook", json!([{"id": hook, "events": [{"eventno": 76}]}])).await;
    let id = w.ticket();
    w.sim.acting(DANA).set_status(id, w.requested).unwrap();
    let condition =
        |kind: i64| json!([{"tablename": "faults", "fieldname": "tickettype_id", "type": 0, "value_int": kind}]);
    for kind in [w.kind, w.kind + 1] {
        let row = json!([{"guid": null, "eventno": 76, "type": -2, "delivery_method": 6, "webhook_id": hook,
            "filter_type": 2, "conditions": condition(kind)}]);
        w.post("/Notification", row).await;
    }
    w.sim.acting(DANA).set_status(id, 1).unwrap();
    w.sim.settled().await;
    assert_eq!(receiver.take().len(), 1);
    // A guid of another row takes that row over.
    let first = w.get("/Notification").await.body[0].clone();
    w.post("/Notification", json!([{"guid": first["guid"], "eventno": 3, "type": -2}])).await;
    assert_eq!(w.get("/Notification").await.body[0]["eventno"], 3);
}

#[tokio::test]
async fn closing_reassigning_deleting_and_api_calls_are_told_and_a_merge_is_not() {
    let w = World::start().await;
    let receiver = Receiver::answering(202).await;
    w.hook(&receiver.url(), &[39, 76, 9, 18, 1072]).await;
    let (id, other) = (w.ticket(), w.ticket());
    let dana = w.sim.acting(DANA);
    dana.close(id).unwrap();
    dana.assign(id, 18).unwrap();
    dana.set_field(id, w.policy, "1").unwrap();
    w.post("/Tickets", json!([{"id": id, "status_id": 1}])).await;
    dana.delete(id).unwrap();
    dana.merge(w.ticket(), other).unwrap();
    w.sim.settled().await;
    let events: Vec<Value> = receiver.take().iter().map(|r| r.json().unwrap()["event"].clone()).collect();
    assert_eq!(
        events,
        [
            "ticket status changed",
            "closed",
            "ticket reassigned",
            "ticket updated",
            "ticket status changed",
            "ticket deleted"
        ]
    );
}

#[tokio::test]
async fn deliveries_differ_by_option_and_can_be_batched_lost_doubled_and_sent_again() {
    let w = World::start().await;
    let receiver = Receiver::answering(202).await;
    w.hook(&receiver.url(), &[76]).await;
    let id = w.ticket();
    let change = || {
        let now = w.sim.ticket(id).unwrap()["status_id"] == 1;
        w.sim.acting(DANA).set_status(id, if now { w.requested } else { 1 }).unwrap();
    };
    for (payload, has_ticket) in [(Payload::EventOnly, false), (Payload::Full, true)] {
        w.sim.set_delivery(|r| r.payload = payload);
        change();
        w.sim.settled().await;
        let body = receiver.take()[0].json().unwrap();
        assert_eq!((body.get("ticket").is_some(), body.get("action").is_some()), (has_ticket, has_ticket));
    }
    w.sim.set_delivery(|r| (r.batch, r.hold) = (true, true));
    change();
    change();
    w.sim.release();
    w.sim.settled().await;
    let batch = receiver.take();
    assert_eq!((batch.len(), batch[0].json().unwrap().as_array().unwrap().len()), (1, 2));
    w.sim.reset_delivery();
    w.sim.set_delivery(|r| (r.lose, r.duplicate) = (1, true));
    change();
    change();
    w.sim.settled().await;
    let doubled = receiver.take();
    assert_eq!((doubled.len(), w.sim.lost()), (2, 1));
    assert_eq!(doubled[0].body, doubled[1].body);
    assert!(w.sim.replay(1));
    w.sim.settled().await;
    assert_eq!(receiver.take().len(), 1);
    assert_eq!(w.get("/WebhookEvent?pageinate=true&page_size=50&page_no=1").await.body["record_count"], 6);
}

#[tokio::test]
async fn a_webhook_that_keeps_failing_is_switched_off_where_it_says_so() {
    let w = World::start().await;
    let receiver = Receiver::answering(503).await;
    let hook = w.hook(&receiver.url(), &[76]).await;
    w.post("/Webhook", json!([{"id": hook, "auto_disable_attempts": 2}])).await;
    let id = w.ticket();
    for status in [w.requested, 1, w.requested] {
        w.sim.acting(DANA).set_status(id, status).unwrap();
        w.sim.settled().await;
    }
    assert_eq!(receiver.take().len(), 2);
    assert_eq!(w.get(&format!("/Webhook/{hook}")).await.body["disabled"], true);
    let twice = json!([{"name": w.get("/Webhook").await.body[0]["name"], "type": 0, "url": "https://a.example/"}]);
    assert_eq!(w.post("/Webhook", twice).await.body["Message"], "Name must be unique");
    let no_url = json!([{"name": "b", "type": 0, "url": "nowhere"}]);
    assert_eq!(w.post("/Webhook", no_url).await.body["Message"], "Please enter a valid URL");
    assert_eq!(w.get("/Webhook").await.body[0].get("basic_password"), None);
}
