//! Which saves are told to whom, and that honest messages can be verified.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use latchkey_simulators::SimClock;
use latchkey_simulators::connectwise::{
    ConnectWise, KeyEndpoint, NewTicket, Options, Rotation, SIGNATURE_HEADER, Tab, signature,
};
use latchkey_simulators::server::{self, Answer, Response};
use serde_json::{Value, json};

use crate::world::{Receiver, Reply, World};

/// The bodies a receiver got, parsed.
fn bodies(receiver: &Receiver) -> Vec<Value> {
    receiver.take().iter().map(|r| r.json().unwrap()).collect()
}

/// Fetches the key a message names and checks its signature, as a receiver would.
async fn verifies(w: &World, body: &[u8], header: &str) -> bool {
    let message: Value = serde_json::from_slice(body).unwrap();
    let url = message["Metadata"]["key_url"].as_str().unwrap();
    let key = Reply::of(w.client.get(url)).await;
    key.body["signing_key"].as_str().is_some_and(|key| signature(key, body) == header)
}

#[tokio::test]
async fn a_save_is_told_with_a_signature_that_verifies() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    let entry = w.watch(&receiver.url(), "board", w.board).await;
    let id = w.ticket("one");
    w.msp.acting("jdoe").set_status(id, w.requested).unwrap();
    w.msp.acting("msmith").delete(id).unwrap();
    w.sim.settled().await;

    let got = receiver.take();
    assert_eq!(got.len(), 3);
    for (request, action) in got.iter().zip(["added", "updated", "deleted"]) {
        assert_eq!(request.method, "POST");
        assert_eq!(request.raw_query, format!("recordId={id}&action={action}"));
        let header = request.header(SIGNATURE_HEADER).unwrap();
        assert_eq!(header, w.msp.sign(&request.body));
        assert!(verifies(&w, &request.body, header).await);
    }
    let message = got[1].json().unwrap();
    assert_eq!(message["FromUrl"], "localhost");
    assert_eq!(message["CompanyId"], "examplemsp");
    assert_eq!(message["MemberId"], "jdoe");
    assert_eq!(message["Type"], "ticket");
    assert_eq!(message["ID"], id);
    assert_eq!(message["CallbackObjectRecId"], entry);
    assert_eq!(message["Metadata"]["key_url"], w.msp.key_url());
    let entity: Value = serde_json::from_str(message["Entity"].as_str().unwrap()).unwrap();
    assert_eq!(entity["status"]["id"], w.requested);
    assert_eq!(entity.get("customFields"), None);
    assert_eq!(got[2].json().unwrap()["Entity"], Value::Null);
    let wire = std::str::from_utf8(&got[1].body).unwrap();
    assert!(wire.starts_with("{\"MessageId\":\"") && wire.ends_with(&format!("\"CallbackObjectRecId\":{entry}}}")));
    let statuses: Vec<_> = w.sim.deliveries().iter().map(|d| d.status).collect();
    assert_eq!(statuses, [Some(202); 3]);
}

#[tokio::test]
async fn levels_choose_which_saves_are_told() {
    let w = World::start().await;
    let (owner, board, status) = (w.receiver().await, w.receiver().await, w.receiver().await);
    let made = w.watch(&owner.url(), "Owner", 0).await;
    assert_eq!(w.get(&format!("/system/callbacks/{made}")).await.body["objectId"], 1);
    w.watch(&board.url(), "board", w.board).await;
    w.watch(&status.url(), "status", w.requested).await;

    let jdoe = w.msp.acting("jdoe");
    let id = w.ticket("one");
    jdoe.set_status(id, w.requested).unwrap();
    jdoe.add_note(id, "hello", Tab::Internal).unwrap();
    jdoe.set_status(id, w.new).unwrap();
    jdoe.move_board(id, w.other_board, w.triage).unwrap();
    w.sim.settled().await;
    assert_eq!(bodies(&owner).len(), 5);
    assert_eq!(bodies(&board).len(), 4, "judged on the saved record");
    assert_eq!(bodies(&status).len(), 2);
}

#[tokio::test]
async fn own_echoes_inactive_entries_and_quiet_saves_are_not_told() {
    let w = World::start().await;
    let (loud, quiet, off) = (w.receiver().await, w.receiver().await, w.receiver().await);
    w.watch(&loud.url(), "owner", 1).await;
    let suppressed = json!({"url": quiet.url(), "objectId": 1, "type": "Ticket", "level": "owner",
        "payloadVersion": "3.0.0", "isSelfSuppressedFlag": true});
    assert_eq!(w.post("/system/callbacks", suppressed).await.status, 201);
    let inactive = w.watch(&off.url(), "owner", 1).await;
    let path = format!("/system/callbacks/{inactive}");
    let patch = json!([{"op": "replace", "path": "inactiveFlag", "value": true}]);
    assert_eq!(w.patch(&path, patch).await.body["inactiveFlag"], true);

    let id = w.ticket("one");
    let ticket = format!("/service/tickets/{id}");
    w.patch(&ticket, json!([{"op": "replace", "path": "summary", "value": "ours"}])).await;
    let skip = json!([{"op": "replace", "path": "summary", "value": "hidden"},
        {"op": "replace", "path": "skipCallback", "value": true}]);
    w.patch(&ticket, skip).await;
    w.sim.settled().await;
    let members: Vec<_> = bodies(&loud).iter().map(|b| b["MemberId"].clone()).collect();
    assert_eq!(members, ["jdoe", "JitApi"]);
    assert_eq!(bodies(&quiet).len(), 1);
    assert!(bodies(&off).is_empty());
}

#[tokio::test]
async fn entries_can_be_listed_changed_and_deleted() {
    let w = World::start().await;
    let a = w.watch("https://jit.example.com/hooks/a?recordId=", "owner", 1).await;
    let b = w.watch("https://other.example.com/hooks/b", "board", w.board).await;
    let ours = w.get("/system/callbacks/?conditions=url%20contains%20%22jit.example.com%22").await;
    assert_eq!(ours.ids(), [a]);
    assert_eq!(w.get("/system/callbacks/count").await.body["count"], 2);
    let clash = json!([{"op": "replace", "path": "url", "value": "https://jit.example.com/hooks/a?recordId="},
        {"op": "replace", "path": "level", "value": "owner"},
        {"op": "replace", "path": "objectId", "value": 1}]);
    let clash = w.patch(&format!("/system/callbacks/{b}"), clash).await;
    assert_eq!((clash.status.as_u16(), &clash.body["errors"][0]["code"]), (400, &json!("ObjectExists")));
    assert_eq!(w.delete(&format!("/system/callbacks/{a}")).await.status, 204);
    assert_eq!(w.delete(&format!("/system/callbacks/{a}")).await.status, 404);
    assert_eq!(w.msp.callbacks().len(), 1);
    let incomplete = w.post("/system/callbacks", json!({"url": "https://a.example/"})).await;
    let fields: Vec<_> = incomplete.body["errors"].as_array().unwrap().iter().map(|e| e["field"].clone()).collect();
    assert_eq!(fields, ["type", "level", "objectId"]);
}

#[tokio::test]
async fn the_key_is_served_to_the_right_company_only() {
    let w = World::start().await;
    let rival = w.sim.add_tenant("rivalmsp", "Rival MSP");
    let right = w.msp.key_url();
    assert_eq!(Reply::of(w.client.get(&right)).await.body["signing_key"], w.msp.key().secret);
    let mixed = right.replace("companyName=examplemsp", "companyName=rivalmsp");
    assert_eq!(Reply::of(w.client.get(&mixed)).await.status, 404);
    assert_eq!(Reply::of(w.client.get(rival.key_url())).await.body["signing_key"], rival.key().secret);

    w.sim.behave(|b| b.key_needs_login = true);
    assert_eq!(Reply::of(w.client.get(&right)).await.status, 401);
    assert_eq!(Reply::of(w.signed_in(w.client.get(&right))).await.status, 200);
}

#[tokio::test]
async fn the_key_endpoint_breaks_in_every_way_asked_for() {
    let w = World::start().await;
    let url = w.msp.key_url();
    let set = |mode: KeyEndpoint| w.sim.behave(|b| b.key_endpoint = mode);
    set(KeyEndpoint::Down);
    assert_eq!(Reply::of(w.client.get(&url)).await.status, 503);
    set(KeyEndpoint::Redirect("https://evil.example/key".into()));
    let moved = Reply::of(w.client.get(&url)).await;
    assert_eq!((moved.status.as_u16(), moved.headers["location"].as_bytes()), (302, &b"https://evil.example/key"[..]));
    set(KeyEndpoint::Huge);
    assert!(w.client.get(&url).send().await.unwrap().content_length().unwrap() > 1 << 20);
    set(KeyEndpoint::NotJson);
    assert_eq!(Reply::of(w.client.get(&url)).await.body, Value::Null);
    set(KeyEndpoint::Empty);
    assert_eq!(Reply::of(w.client.get(&url)).await.body, json!({"signing_key": ""}));
    set(KeyEndpoint::Doubled);
    assert!(Reply::of(w.client.get(&url)).await.body.is_string());
    set(KeyEndpoint::Slow(1));
    assert_eq!(Reply::of(w.client.get(&url)).await.status, 200);
}

#[tokio::test]
async fn a_rotated_key_keeps_or_changes_its_id() {
    let w = World::start().await;
    let first = w.msp.key();
    w.msp.rotate_key(Rotation::SameId);
    assert_eq!(w.msp.key().id, first.id);
    assert_ne!(w.msp.key().secret, first.secret);
    let old_url = w.msp.key_url();
    w.msp.rotate_key(Rotation::NewId);
    assert_ne!(w.msp.key_url(), old_url);
    assert_eq!(Reply::of(w.client.get(&old_url)).await.status, 200, "the old id is still served");
}

#[tokio::test]
async fn plain_http_on_loopback_works_for_both_directions() {
    let sim = ConnectWise::start(Options::plain(SimClock::system())).await.unwrap();
    let msp = sim.add_tenant("examplemsp", "Example MSP");
    let api = msp.add_api_member(1, "JitApi");
    let got: Arc<Mutex<Vec<String>>> = Arc::default();
    let keep = got.clone();
    let handler = server::handler(move |request| {
        keep.lock().unwrap().push(request.raw_query);
        async { Answer::from(Response::empty(204)) }
    });
    let receiver = server::serve(SocketAddr::from(([127, 0, 0, 1], 0)), None, handler).await.unwrap();

    let body = json!({"url": format!("http://{}/hook?id=", receiver.addr), "objectId": 1,
        "type": "ticket", "level": "owner", "payloadVersion": "3.0.0"});
    let request = reqwest::Client::new()
        .post(format!("{}/v4_6_release/apis/3.0/system/callbacks", sim.base_url()))
        .basic_auth(format!("examplemsp+{}", api.public_key), Some(api.private_key))
        .header("clientId", api.client_id)
        .json(&body);
    assert_eq!(Reply::of(request).await.status, 201);
    let board = msp.add_board("Help Desk");
    msp.add_status(board, "New", false);
    let acme = msp.add_company("ACME", "ACME Ltd");
    let id = msp.add_ticket(NewTicket::new("one", board, acme)).unwrap();
    sim.settled().await;
    assert_eq!(*got.lock().unwrap(), [format!("id={id}&action=added")]);
}

#[tokio::test]
async fn a_receiver_that_is_gone_is_written_down_and_not_tried_again() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    let url = receiver.url();
    drop(receiver);
    w.watch(&url, "owner", 1).await;
    w.ticket("one");
    w.sim.settled().await;
    let log = w.sim.deliveries();
    assert_eq!((log.len(), log[0].status), (1, None));
}
