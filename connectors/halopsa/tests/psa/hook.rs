//! The doorbell: who is let in, and what is read.

use latchkey_contract::TicketSystem;
use latchkey_simulators::halopsa::{Payload, basic};

use crate::world::{DANA, PASSWORD, World, delivery, hooks};

/// F8
#[tokio::test]
async fn a_click_rings_with_the_credentials_that_the_command_set() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    let (n, id) = w.asked();
    let rung = w.last_delivery().await;
    let read = w.halo.verify(&rung).await.unwrap();
    assert_eq!(read.get().ticket, Some(id));
    assert!(read.get().actor.is_none() && read.get().status.is_none());
    // The same body with other credentials, or none.
    for wrong in
        [None, Some(basic("latchkey", "other")), Some(basic("other", PASSWORD)), Some(format!("Bearer {PASSWORD}"))]
    {
        assert!(w.halo.verify(&delivery(&rung.body, wrong.as_deref())).await.is_err(), "{wrong:?}");
    }
    // A person sends it again from the log: the same message.
    assert!(w.sim.replay(w.sim.deliveries().len()));
    let again = w.halo.verify(&w.last_delivery().await).await.unwrap();
    assert_eq!(again.get().message_id, read.get().message_id);
    w.sim.acting(DANA).set_status(n, w.new).unwrap();
    let another = w.halo.verify(&w.last_delivery().await).await.unwrap();
    assert_ne!(another.get().message_id, read.get().message_id);
}

#[tokio::test]
async fn every_payload_option_and_a_batch_ring_for_their_tickets() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    let (n, id) = w.ticket();
    let flip = |status| w.sim.acting(DANA).set_status(n, status).unwrap();
    for (at, payload) in [Payload::EventOnly, Payload::Small, Payload::Full, Payload::Custom].into_iter().enumerate() {
        w.sim.set_delivery(|r| r.payload = payload);
        flip(if at % 2 == 0 { w.requested } else { w.new });
        let read = w.halo.verify(&w.last_delivery().await).await.unwrap();
        assert_eq!((read.get().ticket.as_ref(), read.get().is_deletion), (Some(&id), false), "{payload:?}");
    }
    w.sim.reset_delivery();
    w.sim.set_delivery(|r| (r.capital_events, r.text_numbers, r.capital_keys) = (true, true, true));
    flip(w.requested);
    assert_eq!(w.halo.verify(&w.last_delivery().await).await.unwrap().get().ticket.as_ref(), Some(&id));
    w.sim.reset_delivery();
    w.sim.set_delivery(|r| (r.hold, r.batch) = (true, true));
    let (other, other_id) = w.ticket();
    flip(w.new);
    w.sim.acting(DANA).set_status(other, w.requested).unwrap();
    w.sim.release();
    let read = w.halo.verify(&w.last_delivery().await).await.unwrap().into_inner();
    assert_eq!((read.ticket, read.also), (Some(id), vec![other_id]));
}

#[tokio::test]
async fn a_webhook_without_authentication_is_not_let_in() {
    let w = World::start().await;
    w.halo.sync_webhooks(&hooks("s3cret", &[w.team])).await.unwrap();
    w.sim.set_delivery(|r| r.without_credentials = true);
    w.asked();
    assert!(w.halo.verify(&w.last_delivery().await).await.is_err());
}
