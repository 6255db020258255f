//! The files under `golden/connectwise`, which the connector is tested against as well.

use std::collections::BTreeSet;

use latchkey_simulators::connectwise::{NewTicket, signature};
use serde_json::{Value, json};

use crate::world::World;

fn bytes(name: &str) -> Vec<u8> {
    let path = format!("{}/golden/connectwise/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
}

fn file(name: &str) -> Value {
    serde_json::from_slice(&bytes(name)).unwrap()
}

fn keys(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn the_signer_agrees_with_every_vector() {
    let vectors = file("vectors.json");
    for (name, vector) in vectors.as_object().unwrap() {
        let body = bytes(vector["body"].as_str().unwrap());
        let key = vector["signing_key"].as_str().unwrap();
        assert_eq!(signature(key, &body), vector["signature"].as_str().unwrap(), "{name}");
    }
}

#[test]
fn the_known_mistakes_do_not_pass() {
    let vector = &file("vectors.json")["a"];
    let mut body = bytes("vector-a.body.json");
    let key = vector["signing_key"].as_str().unwrap();
    let right = signature(key, &body);
    for wrong in vector["wrong"].as_object().unwrap().values() {
        assert_ne!(right, wrong.as_str().unwrap());
    }
    body.push(b'\n');
    assert_ne!(signature(key, &body), right);
    assert_eq!(signature(key, &body), vector["signature_with_line_feed"].as_str().unwrap());
}

/// Texts and shapes must match; ids, hosts and times are the vendor's own.
#[tokio::test]
async fn answers_have_the_shape_of_the_captures() {
    let w = World::start().await;
    let kind = w.msp.add_type(w.board, "Access");
    let new = NewTicket::new("JIT admin for ACME", w.board, w.acme)
        .id(4711)
        .entered_by("jdoe")
        .status(w.requested)
        .owner("jdoe")
        .kind(kind)
        .field(w.duration, "1 hour")
        .set("resources", json!("jdoe, msmith"))
        .set("contactEmailAddress", json!("ann@acme.example"))
        .set("contact", json!({"id": 310, "name": "Ann Example"}))
        .set("externalXRef", json!("jit:0193f0c2"))
        .set("site", json!({"id": 28, "name": "Main"}))
        .set("team", json!({"id": 25, "name": "Tier 2"}));
    w.msp.add_ticket(new).unwrap();

    let ticket = w.get("/service/tickets/4711").await.body;
    let golden = file("ticket.json");
    assert!(keys(&ticket).is_superset(&keys(&golden)), "{ticket:#}");
    for same in ["id", "summary", "resources", "priority", "contact", "closedFlag", "severity"] {
        assert_eq!(ticket[same], golden[same], "{same}");
    }
    for reference in ["board", "status", "company", "owner", "type"] {
        assert!(keys(&ticket[reference]).is_superset(&keys(&golden[reference])), "{reference}");
    }
    assert!(keys(&ticket["_info"]).is_superset(&keys(&golden["_info"])));
    assert!(keys(&ticket["customFields"][0]).is_superset(&keys(&golden["customFields"][0])), "{ticket:#}");

    let note = w.post("/service/tickets/4711/notes", file("note-request.json")).await;
    assert_eq!(note.status, 201);
    assert_eq!(keys(&note.body), keys(&file("note.json")));

    let field = w.get("/system/userDefinedFields").await.body[0].clone();
    assert_eq!(keys(&field), keys(&file("user-defined-field.json")));
}

#[tokio::test]
async fn callbacks_are_accepted_and_refused_as_captured() {
    let w = World::start().await;
    let made = w.post("/system/callbacks", file("callback-request.json")).await;
    assert_eq!(made.status, 201);
    let golden = file("callback-entry.json");
    assert_eq!(keys(&made.body), keys(&golden));
    for same in ["id", "url", "objectId", "type", "level", "memberId", "payloadVersion"] {
        assert_eq!(made.body[same], golden[same], "{same}");
    }

    let again = w.post("/system/callbacks", file("callback-request.json")).await;
    assert_eq!(again.status, 400);
    assert_eq!(again.body, file("error-callback-exists.json"));

    let bad = json!({"url": "nowhere", "objectId": 1, "type": "ticket", "level": "planet"});
    let bad = w.post("/system/callbacks", bad).await;
    assert_eq!(bad.status, 400);
    assert_eq!(bad.body, file("error-callback-invalid.json"));
}

#[tokio::test]
async fn errors_are_word_for_word() {
    let w = World::start().await;
    let missing = w.get("/service/tickets/4711").await;
    assert_eq!((missing.status.as_u16(), missing.body), (404, file("error-ticket-not-found.json")));
    let nowhere = w.get("/service/nothing").await;
    assert_eq!((nowhere.status.as_u16(), nowhere.body), (404, file("error-no-endpoint.json")));
    let request = w.client.get(w.url("/system/info")).basic_auth("examplemsp+no", Some("no"));
    let nobody = crate::world::Reply::of(request).await;
    assert_eq!((nobody.status.as_u16(), nobody.body), (401, file("error-not-authenticated.json")));
    let info = format!("{}/login/companyinfo/ExampleMSP", w.sim.base_url());
    let info = crate::world::Reply::of(w.client.get(info)).await;
    assert_eq!((info.status.as_u16(), info.body), (200, file("companyinfo.json")));
}
