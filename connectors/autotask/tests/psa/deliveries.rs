//! Deliveries: what is proven, what only rings, and what changes nothing.

use latchkey_autotask::Callouts;
use latchkey_contract::{Rejected, TicketSystem, delivery::Reach};
use latchkey_simulators::autotask::{SIGNATURE_HEADER, Signature, UdfPlace, Values, signature};

use crate::world::{JANE, KEY, REQUESTED, World, member_id, status_id};

/// jane asks: the status changes, and the PSA sends its callout.
async fn request(w: &World) -> (latchkey_contract::TicketId, latchkey_contract::Delivery) {
    let (n, id) = w.ticket();
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    (id, w.last_delivery().await)
}

/// F8
#[tokio::test]
async fn a_signed_callout_is_proven_and_read() {
    let w = World::start().await;
    w.hooked().await;
    let (id, sent) = request(&w).await;
    let proven = w.at.verify(&sent).await.unwrap();
    assert_eq!(proven.proof().reach(), Reach::Body);
    let event = proven.into_inner();
    assert_eq!((event.ticket, event.status), (Some(id), Some(status_id(REQUESTED))));
    assert_eq!((event.actor_id, event.actor), (Some(member_id(JANE)), None));
    assert!(!event.is_deletion && !event.is_about_webhooks);
}

/// What is not documented is taken either way.
#[tokio::test]
async fn every_spelling_of_the_payload_is_read() {
    let w = World::start().await;
    w.hooked().await;
    for values in [Values::Text, Values::Number, Values::Label] {
        for udfs in [UdfPlace::Flat, UdfPlace::Nested, UdfPlace::Absent] {
            w.sim.behave(|b| (b.values, b.udfs, b.person_id_spelling) = (values, udfs, values == Values::Number));
            let (id, sent) = request(&w).await;
            let event = w.at.verify(&sent).await.unwrap().into_inner();
            assert_eq!((event.ticket, event.actor_id), (Some(id), Some(member_id(JANE))), "{values:?} {udfs:?}");
            assert_eq!(event.status.is_some(), values != Values::Label, "{values:?}");
        }
    }
}

#[tokio::test]
async fn a_field_with_every_escape_is_proven() {
    let w = World::start().await;
    w.hooked().await;
    let (n, _) = w.ticket();
    w.sim.add_udf(7, "Réson <\"'&+`>", &[]);
    w.sim.acting(JANE).set_udf(n, "JIT Policy", Some("2")).unwrap();
    let sent = w.last_delivery().await;
    assert!(w.at.verify(&sent).await.is_ok());
    w.sim.set_delivery(|rules| rules.trailing_newline = true);
    let (_, sent) = request(&w).await;
    assert!(matches!(w.at.verify(&sent).await, Err(Rejected::BadSignature)));
}

#[tokio::test]
async fn a_deletion_is_told_with_and_without_fields() {
    let w = World::start().await;
    w.hooked().await;
    for without in [false, true] {
        w.sim.behave(|b| b.delete_without_fields = without);
        let (n, id) = w.ticket();
        w.sim.acting(JANE).delete(n).unwrap();
        let event = w.at.verify(&w.last_delivery().await).await.unwrap().into_inner();
        assert!(event.is_deletion && event.ticket == Some(id), "{without}");
    }
}

/// F8
#[tokio::test]
async fn a_forged_delivery_changes_nothing() {
    let w = World::start().await;
    w.hooked().await;
    for forged in [
        Signature::Wrong,
        Signature::Missing,
        Signature::Text(String::new()),
        Signature::Text("sha1=".into()),
        Signature::Text(format!("sha1={}", "0".repeat(40))),
    ] {
        w.sim.set_delivery(|rules| rules.signature = forged.clone());
        let (_, sent) = request(&w).await;
        let refused = w.at.verify(&sent).await;
        assert!(matches!(refused, Err(Rejected::BadSignature | Rejected::NoSignature)), "{forged:?}: {refused:?}");
    }
    w.sim.set_delivery(|rules| rules.signature = Signature::Right);
    let (_, good) = request(&w).await;
    for at in [0, good.body.len() / 2, good.body.len() - 1] {
        let mut tampered = w.received(&good.body, &[(SIGNATURE_HEADER, Some(&signature(KEY, &good.body)))]);
        tampered.body[at] ^= 1;
        assert!(w.at.verify(&tampered).await.is_err(), "byte {at}");
    }
    let twice = [(SIGNATURE_HEADER, Some(signature(KEY, &good.body)))];
    let twice: Vec<_> = twice.iter().chain(&twice).map(|(name, value)| (*name, value.as_deref())).collect();
    assert!(matches!(w.at.verify(&w.received(&good.body, &twice)).await, Err(Rejected::NoSignature)));
    let big = format!("{{\"a\":\"{}\"}}", "x".repeat(1024 * 1024));
    let big = w.received(big.as_bytes(), &[(SIGNATURE_HEADER, Some(&signature(KEY, big.as_bytes())))]);
    assert!(matches!(w.at.verify(&big).await, Err(Rejected::ForeignBody(why)) if why.contains("256 KiB")));
}

/// F8: parse and write again, and the escapes are gone.
#[tokio::test]
async fn a_reserialised_body_is_refused() {
    let w = World::start().await;
    w.hooked().await;
    let (n, _) = w.ticket();
    w.sim.set_delivery(|rules| rules.reserialised = true);
    w.sim.acting(JANE).set_udf(n, "JIT Policy", Some("1")).unwrap();
    let sent = w.last_delivery().await;
    let raw = String::from_utf8(sent.body.clone()).unwrap();
    let again = serde_json::from_str::<serde_json::Value>(&raw).unwrap().to_string();
    assert_eq!(raw, again, "what the careless proxy made of it");
    assert!(matches!(w.at.verify(&sent).await, Err(Rejected::BadSignature)));
}

/// F8: the same event twice is one delivery, whatever came between.
#[tokio::test]
async fn a_repeat_has_the_same_message_id_and_another_event_has_not() {
    let w = World::start().await;
    w.hooked().await;
    let id = async |w: &World| w.at.verify(&w.last_delivery().await).await.unwrap().into_inner().message_id;
    let (n, _) = w.ticket();
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    let first = id(&w).await;
    let at = w.sim.deliveries().len();
    assert!(w.sim.replay(at));
    assert_eq!(id(&w).await, first);
    w.sim.acting(JANE).set_status(n, 1).unwrap();
    let second = id(&w).await;
    w.sim.acting(JANE).set_status(n, REQUESTED).unwrap();
    let third = id(&w).await;
    assert!(first != second && second != third && first != third);
}

/// F8
#[tokio::test]
async fn a_stale_delivery_rings_and_a_very_old_one_is_refused() {
    let w = World::start().await;
    w.hooked().await;
    let (id, mut sent) = request(&w).await;
    w.advance(16 * 60);
    sent.received_at = w.received(b"", &[]).received_at;
    let event = w.at.verify(&sent).await.unwrap().into_inner();
    assert_eq!((event.ticket, event.actor_id, event.status), (Some(id), None, None));
    w.advance(24 * 3600);
    sent.received_at = w.received(b"", &[]).received_at;
    assert!(matches!(w.at.verify(&sent).await, Err(Rejected::ForeignBody(_))));
}

#[tokio::test]
async fn a_key_before_the_present_one_is_still_believed() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = request(&w).await;
    assert!(w.with_keys(&["another-webhook-key-0123456789", KEY]).verify(&sent).await.is_ok());
    assert!(w.with_keys(&["another-webhook-key-0123456789"]).verify(&sent).await.is_err());
}

/// An unsigned deactivation is only a reason to look; it names no ticket and changes none.
#[tokio::test]
async fn a_deactivation_is_understood_signed_or_not() {
    let w = World::start().await;
    for (is_signed, is_whole) in [(false, false), (false, true), (true, false), (true, true)] {
        w.hooked().await;
        w.sim.behave(|b| (b.deactivation_is_signed, b.deactivation_is_whole) = (is_signed, is_whole));
        let hook = w.sim.webhooks()[0]["id"].as_i64().unwrap();
        w.sim.deactivate_webhook(hook);
        let proven = w.at.verify(&w.last_delivery().await).await.unwrap();
        let reach = if is_signed { Reach::Body } else { Reach::Path };
        assert_eq!(proven.proof().reach(), reach);
        let event = proven.into_inner();
        assert!(event.is_about_webhooks && event.ticket.is_none() && !event.is_deletion, "{is_signed} {is_whole}");
    }
    let forged = br#"{"Action":"Deactivated","Guid":"3f1f6c0e"}"#;
    let forged = w.received(forged, &[(SIGNATURE_HEADER, Some("sha1=b1P/K6PtqE2dxuCHIWW+YNRYiSQ="))]);
    assert!(matches!(w.at.verify(&forged).await, Err(Rejected::BadSignature)), "a wrong signature is never overlooked");
    let update = br#"{"Action":"Update","Guid":"3f1f6c0e","EntityType":"Ticket","Id":1,"PersonID":30691780}"#;
    assert!(matches!(w.at.verify(&w.received(update, &[])).await, Err(Rejected::NoSignature)));
}

/// A workflow rule's callout is a doorbell: it is not signed, and it names no actor.
#[tokio::test]
async fn an_extension_callout_rings_where_it_may_and_tells_nothing() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let form = w.sim.callout(n);
    assert!(
        matches!(w.at.verify(&w.received(form.as_bytes(), &[])).await, Err(Rejected::NoSignature)),
        "off by default"
    );
    let ringing = w.with(|settings| settings.callouts = Callouts::Ring);
    let proven = ringing.verify(&w.received(form.as_bytes(), &[])).await.unwrap();
    assert_eq!(proven.proof().reach(), Reach::Path);
    let event = proven.into_inner();
    assert_eq!((event.ticket, event.actor, event.actor_id, event.status), (Some(id.clone()), None, None, None));
    let number = w.sim.ticket(n).unwrap()["ticketNumber"].as_str().unwrap().to_owned();
    let by_number = w.received(format!("number={number}").as_bytes(), &[]);
    assert_eq!(ringing.verify(&by_number).await.unwrap().get().ticket, Some(id));
    let unknown = w.received(b"number=T20000101.0001", &[]);
    assert_eq!(ringing.verify(&unknown).await.unwrap().get().ticket, None);
}

#[tokio::test]
async fn a_callout_with_credentials_must_have_the_right_ones() {
    let w = World::start().await;
    let (n, id) = w.ticket();
    let form = w.sim.callout(n);
    let basic = w.with(|settings| settings.callouts = Callouts::Basic("rule".into()));
    let with = |header: Option<&str>| w.received(form.as_bytes(), &[("authorization", header)]);
    // rule:callout-password
    let proven = basic.verify(&with(Some("Basic cnVsZTpjYWxsb3V0LXBhc3N3b3Jk"))).await.unwrap();
    assert_eq!((proven.proof().reach(), proven.get().ticket.clone()), (Reach::Sender, Some(id)));
    for wrong in [None, Some("Basic cnVsZTp4"), Some("Basic !"), Some("")] {
        let verdict = basic.verify(&with(wrong)).await;
        assert!(matches!(verdict, Err(Rejected::NoSignature)), "{wrong:?}: it forges no signature");
    }
}

#[tokio::test]
async fn whoever_knows_the_path_may_not_ring_for_ever() {
    let w = World::start().await;
    let ringing = w.with(|settings| settings.callouts = Callouts::Ring);
    let ring = |n: usize| w.received(format!("id={n}").as_bytes(), &[]);
    for n in 0..60 {
        ringing.verify(&ring(n)).await.unwrap();
    }
    assert!(matches!(ringing.verify(&ring(60)).await, Err(Rejected::OverBudget)));
    w.advance(60);
    assert!(ringing.verify(&ring(61)).await.is_ok());
}

/// Our own changes raise no callout.
#[tokio::test]
async fn our_own_changes_ring_no_bell() {
    let w = World::start().await;
    w.hooked().await;
    let (_, id) = w.ticket();
    w.sim.settled().await;
    let before = w.sim.deliveries().len();
    assert!(w.at.set_status(&id, &status_id(REQUESTED)).await.unwrap().is_so());
    w.sim.settled().await;
    assert_eq!(w.sim.deliveries().len(), before);
}
