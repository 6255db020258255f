//! Deliveries: what is proven, and what changes nothing.

use latchkey_contract::{Rejected, TicketSystem};
use latchkey_simulators::connectwise::{KeyUrl, Signature};

use crate::world::{World, delivery, ticket_id};

#[tokio::test]
async fn a_signed_delivery_is_proven_and_read() {
    let w = World::start().await;
    w.hooked().await;
    let (id, sent) = w.request().await;
    let event = w.cw.verify(&sent).await.unwrap().into_inner();
    assert_eq!(event.ticket, Some(id));
    assert_eq!(event.actor.as_deref(), Some("jdoe"));
    assert!(!event.is_deletion);
    assert_eq!(event.message_id.len(), 36);
}

#[tokio::test]
async fn a_deletion_is_told_and_a_missing_entity_is_no_loss() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.set_delivery(|rules| rules.null_entity = true);
    let (id, sent) = w.request().await;
    assert_eq!(w.cw.verify(&sent).await.unwrap().get().ticket, Some(id.clone()));
    w.msp.acting("jdoe").delete(id.as_str().parse().unwrap()).unwrap();
    let event = w.cw.verify(&w.last_delivery().await).await.unwrap().into_inner();
    assert!(event.is_deletion && event.ticket == Some(id));
}

#[tokio::test]
async fn white_space_is_part_of_what_is_signed() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.set_delivery(|rules| rules.pretty = true);
    let (_, sent) = w.request().await;
    assert!(w.cw.verify(&sent).await.is_ok());
    w.sim.set_delivery(|rules| rules.trailing_newline = true);
    let (_, sent) = w.request().await;
    assert!(matches!(w.cw.verify(&sent).await, Err(Rejected::BadSignature)));
}

/// F8
#[tokio::test]
async fn a_forged_delivery_changes_nothing() {
    let w = World::start().await;
    w.hooked().await;
    for (signature, is_shape) in [
        (Signature::Wrong, false),
        (Signature::Missing, true),
        (Signature::Text(String::new()), true),
        (Signature::Text("A".repeat(44)), true),
        (Signature::Text("sha256=abc".into()), true),
    ] {
        w.sim.set_delivery(|rules| rules.signature = signature.clone());
        let (_, sent) = w.request().await;
        match w.cw.verify(&sent).await {
            Err(Rejected::NoSignature) => assert!(is_shape, "{signature:?}"),
            Err(Rejected::BadSignature) => assert!(!is_shape, "{signature:?}"),
            other => panic!("{signature:?}: {other:?}"),
        }
    }
    w.sim.reset_delivery();
    let (_, good) = w.request().await;
    for at in [0, good.body.len() / 2, good.body.len() - 1] {
        let mut tampered = delivery(&good.body, Some(&w.msp.sign(&good.body)));
        tampered.body[at] ^= 1;
        assert!(w.cw.verify(&tampered).await.is_err(), "byte {at}");
    }
    let mut truncated = delivery(&good.body, Some(&w.msp.sign(&good.body)));
    truncated.body.truncate(good.body.len() - 1);
    assert!(w.cw.verify(&truncated).await.is_err());
    let mut doubled = delivery(&good.body, Some(&w.msp.sign(&good.body)));
    doubled.headers.push(doubled.headers[0].clone());
    assert!(matches!(w.cw.verify(&doubled).await, Err(Rejected::NoSignature)));
}

/// F8: another customer of the same cloud host signs with a key of its own.
#[tokio::test]
async fn a_neighbours_key_on_the_same_host_is_refused() {
    let w = World::start().await;
    w.hooked().await;
    let neighbour = w.neighbour.company_id().to_owned();
    w.sim.set_delivery(|rules| rules.key_url = KeyUrl::ForeignCompany(neighbour.clone()));
    let (_, sent) = w.request().await;
    assert!(matches!(w.cw.verify(&sent).await, Err(Rejected::ForeignKey(_))));
    assert_eq!(w.calls("GET /system/callbackkey/index.rails"), 0);

    w.sim.set_delivery(|rules| rules.key_url = KeyUrl::ForeignKey(neighbour.clone()));
    let (_, sent) = w.request().await;
    assert!(matches!(w.cw.verify(&sent).await, Err(Rejected::ForeignKey(_))));
}

/// F8: the reference is never fetched as given.
#[tokio::test]
async fn a_reference_to_another_place_causes_no_call() {
    let w = World::start().await;
    w.hooked().await;
    let elsewhere = [
        KeyUrl::ForeignHost("https://attacker.example".into()),
        KeyUrl::ForeignHost("http://localhost".into()),
        KeyUrl::ForeignHost("https://127.0.0.1".into()),
        KeyUrl::Text("https://169.254.169.254/latest/meta-data/".into()),
        KeyUrl::Text(w.msp.key_url().replace("https:", "http:")),
        KeyUrl::Text(w.msp.key_url() + "&x=1"),
        KeyUrl::Text(String::new()),
    ];
    for reference in elsewhere {
        w.sim.set_delivery(|rules| rules.key_url = reference.clone());
        let (_, sent) = w.request().await;
        assert!(matches!(w.cw.verify(&sent).await, Err(Rejected::ForeignKey(_))), "{reference:?}");
    }
    assert_eq!(w.calls("GET /system/callbackkey/index.rails"), 0);
}

#[tokio::test]
async fn a_signed_body_about_somebody_else_is_refused() {
    let w = World::start().await;
    w.hooked().await;
    let (_, good) = w.request().await;
    let text = String::from_utf8(good.body).unwrap();
    for (from, to) in [
        ("\"CompanyId\":\"examplemsp\"", "\"CompanyId\":\"othermsp\""),
        ("\"FromUrl\":\"localhost\"", "\"FromUrl\":\"eu.myconnectwise.net\""),
    ] {
        let body = text.replacen(from, to, 1);
        assert_ne!(body, text);
        let signed = delivery(body.as_bytes(), Some(&w.msp.sign(body.as_bytes())));
        assert!(matches!(w.cw.verify(&signed).await, Err(Rejected::ForeignBody(_))), "{to}");
    }
}

#[tokio::test]
async fn a_payload_of_the_old_kind_is_refused() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.set_delivery(|rules| rules.old_payload = true);
    let (_, sent) = w.request().await;
    assert!(matches!(w.cw.verify(&sent).await, Err(Rejected::NoSignature)));
    let signed = delivery(&sent.body, Some(&w.msp.sign(&sent.body)));
    assert!(matches!(w.cw.verify(&signed).await, Err(Rejected::ForeignBody(why)) if why.contains("3.0.0")));
}

#[tokio::test]
async fn a_message_about_something_else_is_no_ticket() {
    let w = World::start().await;
    let body = format!(
        r#"{{"MessageId":"6dd82302-5e46-47c0-8c84-702868125b76","FromUrl":"localhost","CompanyId":"EXAMPLEMSP","MemberId":"jdoe","Action":"updated","Type":"company","ID":250,"Entity":null,"Metadata":{{"key_url":"{}"}}}}"#,
        w.msp.key_url()
    );
    let event = w.cw.verify(&delivery(body.as_bytes(), Some(&w.msp.sign(body.as_bytes())))).await.unwrap();
    assert_eq!(event.get().ticket, None);
    let ticket = body.replace("company\"", "ticket\"").replace("\"ID\":250", "\"ID\":4711");
    let event = w.cw.verify(&delivery(ticket.as_bytes(), Some(&w.msp.sign(ticket.as_bytes())))).await.unwrap();
    assert_eq!(event.get().ticket, Some(ticket_id(4711)));
}

#[tokio::test]
async fn an_oversized_body_is_refused_before_it_is_read() {
    let w = World::start().await;
    let body = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    let sent = delivery(body.as_bytes(), Some(&w.msp.sign(body.as_bytes())));
    assert!(matches!(w.cw.verify(&sent).await, Err(Rejected::ForeignKey(why)) if why.contains("256 KiB")));
}
