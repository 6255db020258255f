//! The zone: asked without credentials, kept, and asked again when the tenant has moved.

use latchkey_contract::{CallError, TicketSystem, outside::Urgency};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::{Value, json};

use crate::world::World;

const ZONE: &str = "GET /zoneInformation";

fn answer(status: u16, body: Value) -> Act {
    Act::Answer { status, retry_after: None, body }
}

#[tokio::test]
async fn the_zone_is_asked_once_a_day() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    w.at.read(&id, Urgency::Ordinary).await.unwrap();
    w.at.read(&id, Urgency::Ordinary).await.unwrap();
    assert_eq!(w.calls(ZONE), 1);
    w.advance(25 * 3600);
    w.at.read(&id, Urgency::Ordinary).await.unwrap();
    assert_eq!(w.calls(ZONE), 2);
    let link = w.at.link(&id);
    assert!(link.contains("ExecuteCommand.aspx?Code=OpenTicketDetail&TicketID="), "{link}");
}

#[tokio::test]
async fn a_zone_that_is_named_is_not_asked_for() {
    let w = World::start().await;
    let zone = format!("{}/ATServicesRest/", w.sim.base_url()).parse().unwrap();
    let at = w.with(|settings| settings.zone = Some(zone));
    let (_, id) = w.ticket();
    assert!(at.read(&id, Urgency::Ordinary).await.unwrap().is_some());
    w.sim.change_secret("another");
    assert!(matches!(at.read(&id, Urgency::Ordinary).await, Err(CallError::Unauthorized { .. })));
    assert_eq!(w.calls(ZONE), 0);
}

#[tokio::test]
async fn credentials_are_not_sent_to_a_host_that_is_not_the_vendors() {
    let w = World::start().await;
    for url in ["https://evil.example/ATServicesRest/", "http://127.0.0.1:9/ATServicesRest/", "", "x"] {
        w.sim.faults().clear();
        w.sim.faults().add(Fault::on(ZONE, answer(200, json!({"zoneName": "x", "url": url, "webUrl": url}))));
        let (_, id) = w.ticket();
        assert!(matches!(w.at.read(&id, Urgency::Ordinary).await, Err(CallError::Malformed { .. })), "{url}");
    }
    assert_eq!(w.calls("GET /Tickets/{id}"), 0);
}

#[tokio::test]
async fn an_unknown_user_is_ours_to_mend() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    let at = w.with(|settings| settings.user = "nobody@msp.example".into());
    assert!(matches!(at.read(&id, Urgency::Ordinary).await, Err(CallError::Unauthorized { .. })));
}

/// A tenant that was moved is answered 401 by its former zone: one more question, once a minute, and no storm.
#[tokio::test]
async fn after_a_401_the_zone_is_asked_again_but_not_at_every_call() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    w.at.read(&id, Urgency::Ordinary).await.unwrap();
    w.sim.change_secret("another");
    w.advance(61);
    for _ in 0..3 {
        assert!(matches!(w.at.read(&id, Urgency::Ordinary).await, Err(CallError::Unauthorized { .. })));
    }
    assert_eq!(w.calls(ZONE), 2);
}
