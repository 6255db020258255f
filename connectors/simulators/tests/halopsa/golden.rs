//! The files under `golden/halopsa`, which the connector is tested against as well.

use std::collections::BTreeSet;

use latchkey_simulators::halopsa::basic;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::world::{DANA, Receiver, SCOPE, World};

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/golden/halopsa/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn file(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_vectors_are_what_they_say() {
    let vectors = file("vectors.json");
    let body = bytes("webhook-vector.body.json");
    assert_eq!(vectors["body"]["bytes"], body.len());
    let hash: String = Sha256::digest(&body).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!(vectors["body"]["sha256"], hash);
    let credentials = &vectors["basic"];
    let text = |name: &str| credentials[name].as_str().unwrap();
    assert_eq!(basic(text("user"), text("password")), text("authorization"));
}

/// Names and shapes must match; ids, hosts and times are the vendor's own.
#[tokio::test]
async fn answers_have_the_shape_of_the_captures() {
    let w = World::start().await;
    let receiver = Receiver::answering(202).await;
    let hook = w.hook(&receiver.url(), &[76]).await;
    assert_eq!(keys(&w.ask_token("acme", SCOPE, &w.api.client_secret).await.body), keys(&file("token.json")));

    let mut new = file("ticket-request.json");
    for (name, value) in
        [("tickettype_id", json!(w.kind)), ("client_id", json!(w.acme)), ("site_id", json!(1)), ("user_id", json!(1))]
    {
        new[0][name] = value;
    }
    new[0]["agent_id"] = json!(DANA);
    new[0]["customfields"][0]["id"] = json!(w.policy);
    let made = w.post("/Tickets", new).await;
    assert_eq!(made.status, 201, "{made:?}");
    let (id, mut field) = (made.body["id"].as_i64().unwrap(), made.body["customfields"][0].clone());
    let golden = file("custom-field.json");
    assert_eq!(keys(&field), keys(&golden));
    for own in ["id", "guid"] {
        field[own] = golden[own].clone();
    }
    field["display"] = golden["display"].clone();
    assert_eq!(field, golden);

    let mut note = file("note-request.json");
    note[0]["ticket_id"] = json!(id);
    let note = w.post("/Actions", note).await.body;
    let golden = file("action-created.json");
    assert!(keys(&note).is_superset(&keys(&golden)), "{note:#}");
    for same in
        ["note", "note_html", "outcome", "outcome_id", "hiddenfromuser", "who", "who_agentid", "actionby_user_id"]
    {
        assert_eq!(note[same], golden[same], "{same}");
    }

    let mut binding = file("notification-request.json");
    binding[0]["webhook_id"] = json!(hook);
    assert_eq!(w.post("/Notification", binding).await.status, 201);

    w.sim.acting(DANA).set_status(id, w.requested).unwrap();
    w.sim.settled().await;
    let told = receiver.take()[0].json().unwrap();
    let golden = file("webhook-captured.json");
    assert_eq!(keys(&told), keys(&golden));
    assert_eq!(keys(&told["ticket"]), keys(&golden["ticket"]));
    assert_eq!(told["event"], golden["event"]);
}
