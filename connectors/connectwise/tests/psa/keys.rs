//! Signing keys: cached, rotated, unreachable, and under a flood.

use std::sync::Arc;

use latchkey_contract::{Delivery, Rejected, TicketSystem};
use latchkey_simulators::{
    connectwise::{KeyEndpoint, Rotation},
    fault::{Act, Fault},
};
use tokio::task::JoinSet;

use crate::world::{World, delivery};

const KEY: &str = "GET /system/callbackkey/index.rails";

#[tokio::test]
async fn a_key_is_fetched_once_an_hour() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    for _ in 0..5 {
        w.cw.verify(&sent).await.unwrap();
    }
    assert_eq!(w.calls(KEY), 1);
    w.advance(3601);
    w.cw.verify(&sent).await.unwrap();
    assert_eq!(w.calls(KEY), 2);
}

#[tokio::test]
async fn many_deliveries_after_a_restart_cost_one_fetch() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    let (cw, sent) = (Arc::new(w.restarted()), Arc::new(sent));
    let mut tasks = JoinSet::new();
    for _ in 0..40 {
        let (cw, sent) = (Arc::clone(&cw), Arc::clone(&sent));
        tasks.spawn(async move { cw.verify(&sent).await.is_ok() });
    }
    assert!(tasks.join_all().await.into_iter().all(|is_proven| is_proven));
    assert_eq!(w.calls(KEY), 1);
}

#[tokio::test]
async fn credentials_are_sent_only_when_the_endpoint_insists() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.behave(|b| b.key_needs_login = true);
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
    assert_eq!(w.calls(KEY), 2);
}

#[tokio::test]
async fn a_rotated_key_is_accepted_at_once_under_both_kinds_of_rotation() {
    let w = World::start().await;
    w.hooked().await;
    for rotation in [Rotation::SameId, Rotation::NewId] {
        let (_, old) = w.request().await;
        w.cw.verify(&old).await.unwrap();
        w.msp.rotate_key(rotation);
        let (_, new) = w.request().await;
        w.cw.verify(&new).await.unwrap();
        w.advance(120);
    }
}

#[tokio::test]
async fn forgeries_with_a_known_key_cause_one_fetch_a_minute() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
    let forged = delivery(&sent.body, Some(&w.neighbour.sign(&sent.body)));
    for _ in 0..20 {
        assert!(matches!(w.cw.verify(&forged).await, Err(Rejected::BadSignature)));
    }
    assert_eq!(w.calls(KEY), 2);
    w.cw.verify(&sent).await.unwrap();
    w.advance(61);
    assert!(w.cw.verify(&forged).await.is_err());
    assert_eq!(w.calls(KEY), 3);
}

#[tokio::test]
async fn a_key_site_that_is_down_gives_no_verdict_and_is_asked_again() {
    let w = World::start().await;
    w.hooked().await;
    w.sim.behave(|b| b.key_endpoint = KeyEndpoint::Down);
    let (_, sent) = w.request().await;
    for _ in 0..10 {
        let refused = w.cw.verify(&sent).await.unwrap_err();
        assert!(refused.is_for_later(), "{refused:?}");
    }
    assert_eq!(w.calls(KEY), 1);
    w.sim.behave(|b| b.key_endpoint = KeyEndpoint::Normal);
    w.advance(10);
    w.cw.verify(&sent).await.unwrap();
}

#[tokio::test]
async fn a_good_key_outlives_an_outage_of_its_site() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
    w.sim.behave(|b| b.key_endpoint = KeyEndpoint::Down);
    let forged = delivery(&sent.body, Some(&w.neighbour.sign(&sent.body)));
    assert!(w.cw.verify(&forged).await.unwrap_err().is_for_later());
    w.cw.verify(&sent).await.unwrap();
}

#[tokio::test]
async fn an_answer_that_is_no_key_is_refused() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    let elsewhere = format!("{}/v4_6_release/apis/3.0/system/info", w.sim.base_url());
    for endpoint in [
        KeyEndpoint::Redirect(elsewhere),
        KeyEndpoint::Huge,
        KeyEndpoint::NotJson,
        KeyEndpoint::Empty,
        KeyEndpoint::Doubled,
    ] {
        w.sim.behave(|b| b.key_endpoint = endpoint.clone());
        let refused = w.restarted().verify(&sent).await.unwrap_err();
        assert!(matches!(refused, Rejected::ForeignKey(_)), "{endpoint:?}: {refused:?}");
    }
    assert_eq!(w.calls("GET /system/info"), 0);
}

/// The one test that waits: the endpoint's bound is five real seconds.
#[tokio::test]
async fn a_slow_key_site_holds_a_sender_for_five_seconds_at_most() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    w.sim.behave(|b| b.key_endpoint = KeyEndpoint::Slow(20_000));
    let verdict = tokio::time::timeout(std::time::Duration::from_secs(8), w.cw.verify(&sent)).await;
    assert!(verdict.expect("a bounded call").unwrap_err().is_for_later());
}

/// A body that names our company and a GUID of the sender's choosing.
fn unknown(w: &World, n: u32) -> Delivery {
    let id = w.msp.key().id.to_string();
    let url = w.msp.key_url().replace(&id, &format!("00000000-0000-4000-8000-{n:012}"));
    let body = format!(r#"{{"Metadata":{{"key_url":"{url}"}}}}"#);
    delivery(body.as_bytes(), Some(&w.neighbour.sign(body.as_bytes())))
}

/// F8
#[tokio::test]
async fn a_flood_of_random_keys_neither_shuts_out_the_real_one_nor_hammers_the_psa() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
    w.sim.faults().clear_calls();

    let mut over_budget = 0;
    for n in 0..200 {
        match w.cw.verify(&unknown(&w, n)).await {
            Err(Rejected::OverBudget) => over_budget += 1,
            Err(Rejected::ForeignKey(_)) => {}
            other => panic!("{other:?}"),
        }
        w.cw.verify(&sent).await.unwrap();
    }
    assert!(w.calls(KEY) <= 10, "{}", w.calls(KEY));
    assert!(over_budget >= 190);

    // One unknown key again and again: the refusal is remembered.
    w.advance(60);
    w.sim.faults().clear_calls();
    for _ in 0..50 {
        assert!(matches!(w.cw.verify(&unknown(&w, 7777)).await, Err(Rejected::ForeignKey(_))));
    }
    assert_eq!(w.calls(KEY), 1);

    // While the flood has the budget used up, the known key can still be rotated and fetched anew.
    for n in 1000..1100 {
        assert!(w.cw.verify(&unknown(&w, n)).await.is_err());
    }
    w.msp.rotate_key(Rotation::SameId);
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
    w.advance(3601);
    w.cw.verify(&sent).await.unwrap();
}

#[tokio::test]
async fn throttling_that_strangers_cause_does_not_hold_back_the_known_key() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
    w.sim.faults().add(Fault::on(KEY, Act::throttled(600)).once());
    assert!(w.cw.verify(&unknown(&w, 1)).await.unwrap_err().is_for_later());
    w.msp.rotate_key(Rotation::SameId);
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
}

#[tokio::test]
async fn an_upgrade_of_the_cloud_does_not_lose_the_key() {
    let w = World::start().await;
    w.hooked().await;
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
    w.advance(1800);
    w.sim.set_codebase("v2025_2/");
    w.msp.rotate_key(Rotation::NewId);
    let (_, sent) = w.request().await;
    w.cw.verify(&sent).await.unwrap();
}
