//! The delivery rules: everything that can go wrong between a save and its receiver.

use latchkey_simulators::connectwise::{DeliveryRules, KeyUrl, SIGNATURE_HEADER, Signature, signature};
use latchkey_simulators::server::Request;
use serde_json::Value;

use crate::world::World;

/// One save under the rules; what arrived.
async fn delivered(w: &World, rules: DeliveryRules) -> Vec<Request> {
    let receiver = w.receiver().await;
    let entry = w.watch(&receiver.url(), "owner", 1).await;
    let id = w.ticket("one");
    w.sim.settled().await;
    receiver.take();
    w.sim.set_delivery(|r| *r = rules);
    w.msp.acting("jdoe").set_status(id, w.requested).unwrap();
    w.sim.settled().await;
    w.sim.reset_delivery();
    w.msp.remove_callback(entry);
    receiver.take()
}

fn honest(w: &World, request: &Request) -> bool {
    request.header(SIGNATURE_HEADER) == Some(&w.msp.sign(&request.body))
}

#[tokio::test]
async fn messages_are_lost_and_doubled() {
    let w = World::start().await;
    let lost = delivered(&w, DeliveryRules { lose: 1, ..Default::default() }).await;
    assert_eq!((lost.len(), w.sim.lost()), (0, 1));
    let twice = delivered(&w, DeliveryRules { duplicate: true, ..Default::default() }).await;
    assert_eq!(twice.len(), 2);
    assert_eq!(twice[0].body, twice[1].body);
}

#[tokio::test]
async fn held_messages_come_late_and_in_any_order_and_again() {
    let w = World::start().await;
    let receiver = w.receiver().await;
    w.watch(&receiver.url(), "owner", 1).await;
    w.sim.set_delivery(|r| r.hold = true);
    let (a, b) = (w.ticket("a"), w.ticket("b"));
    w.sim.settled().await;
    assert_eq!((receiver.take().len(), w.sim.held()), (0, 2));
    w.sim.release_reversed();
    w.sim.settled().await;
    let got = receiver.take();
    let ids: Vec<_> = got.iter().map(|r| r.json().unwrap()["ID"].as_i64().unwrap()).collect();
    assert_eq!(ids, [b, a]);

    assert!(w.sim.replay(1));
    assert!(!w.sim.replay(99));
    w.sim.settled().await;
    assert_eq!(receiver.take()[0].body, got[0].body);
}

#[tokio::test]
async fn signatures_are_wrong_missing_or_spoilt_on_the_way() {
    let w = World::start().await;
    let rules = |signature| DeliveryRules { signature, ..Default::default() };
    let wrong = &delivered(&w, rules(Signature::Wrong)).await[0];
    assert_eq!(wrong.header(SIGNATURE_HEADER).unwrap().len(), 44);
    assert!(!honest(&w, wrong));
    let missing = &delivered(&w, rules(Signature::Missing)).await[0];
    assert_eq!(missing.header(SIGNATURE_HEADER), None);
    let text = &delivered(&w, rules(Signature::Text("sha256=abc".into()))).await[0];
    assert_eq!(text.header(SIGNATURE_HEADER), Some("sha256=abc"));

    let spoilt = delivered(&w, DeliveryRules { trailing_newline: true, ..Default::default() }).await;
    assert!(spoilt[0].body.ends_with(b"}\n") && !honest(&w, &spoilt[0]));
    let pretty = delivered(&w, DeliveryRules { pretty: true, ..Default::default() }).await;
    assert!(pretty[0].body.starts_with(b"{\n  ") && honest(&w, &pretty[0]));
}

/// The cross-tenant forgery: the rival signs with its own key a message that names us.
#[tokio::test]
async fn a_rival_on_the_same_host_can_forge_all_but_the_key_url() {
    let w = World::start().await;
    let rival = w.sim.add_tenant("rivalmsp", "Rival MSP");
    let rules = |key_url| DeliveryRules { key_url, ..Default::default() };
    let key_url =
        |request: &Request| -> String { request.json().unwrap()["Metadata"]["key_url"].as_str().unwrap().to_owned() };

    let forged = &delivered(&w, rules(KeyUrl::ForeignCompany("rivalmsp".into()))).await[0];
    assert_eq!(forged.json().unwrap()["CompanyId"], "examplemsp");
    assert_eq!(key_url(forged), rival.key_url());
    let good_for_rival = signature(&rival.key().secret, &forged.body);
    assert_eq!(forged.header(SIGNATURE_HEADER), Some(good_for_rival.as_str()));

    let mixed = &delivered(&w, rules(KeyUrl::ForeignKey("rivalmsp".into()))).await[0];
    assert!(key_url(mixed).contains("companyName=examplemsp"));
    assert!(key_url(mixed).ends_with(&rival.key().id.to_string()));

    let elsewhere = KeyUrl::ForeignHost("https://evil.example".into());
    let elsewhere = &delivered(&w, rules(elsewhere)).await[0];
    assert!(key_url(elsewhere).starts_with("https://evil.example/v2025_1//system/callbackkey/"));
}

#[tokio::test]
async fn entity_may_be_null_and_old_payloads_are_flat_and_unsigned() {
    let w = World::start().await;
    let bare = delivered(&w, DeliveryRules { null_entity: true, ..Default::default() }).await;
    let bare = bare[0].json().unwrap();
    assert_eq!((&bare["Entity"], bare["Action"].as_str()), (&Value::Null, Some("updated")));

    let old = delivered(&w, DeliveryRules { old_payload: true, ..Default::default() }).await;
    assert_eq!(old[0].header(SIGNATURE_HEADER), None);
    let old = old[0].json().unwrap();
    assert_eq!(old.get("MessageId"), None);
    let entity: Value = serde_json::from_str(old["Entity"].as_str().unwrap()).unwrap();
    assert_eq!(entity["StatusName"], "JIT Requested");
}
