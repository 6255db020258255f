//! Tokens: fetched once, replaced when they end or are not known any more, and never sent elsewhere.

use latchkey_contract::{CallError, TicketSystem, outside::Urgency};
use latchkey_simulators::fault::{Act, Fault};
use serde_json::json;

use crate::world::{World, ticket_id};

const TOKEN: &str = "POST /auth/token";

#[tokio::test]
async fn one_token_serves_many_calls_and_is_replaced_before_its_end() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    for _ in 0..3 {
        w.halo.read(&id, Urgency::Ordinary).await.unwrap();
    }
    assert_eq!(w.calls(TOKEN), 1);
    let sent = w.sim.faults().calls().into_iter().find(|c| c.op == TOKEN).unwrap();
    assert_eq!(sent.query, [("tenant".to_owned(), "acme".to_owned())]);
    w.advance(3600 - 119);
    w.halo.read(&id, Urgency::Ordinary).await.unwrap();
    assert_eq!(w.calls(TOKEN), 2);
}

#[tokio::test]
async fn a_token_that_is_not_known_any_more_is_replaced_once() {
    let w = World::start().await;
    let (_, id) = w.ticket();
    w.halo.read(&id, Urgency::Ordinary).await.unwrap();
    w.sim.revoke_tokens();
    assert!(w.halo.read(&id, Urgency::Ordinary).await.unwrap().is_some());
    assert_eq!(w.calls(TOKEN), 2);
    w.sim.remove_application(&w.api.client_id);
    let refused = w.halo.read(&id, Urgency::Ordinary).await.unwrap_err();
    assert!(
        matches!(refused, CallError::Unauthorized { op: TOKEN, ref code } if code == "invalid_client"),
        "{refused:?}"
    );
}

#[tokio::test]
async fn scope_and_tenant_are_as_the_settings_say() {
    let w = World::start().await;
    let id = ticket_id(1);
    let wide = w.with(|s| s.scope = "all".into()).read(&id, Urgency::Ordinary).await.unwrap_err();
    assert!(matches!(wide, CallError::Unauthorized { ref code, .. } if code == "invalid_scope"), "{wide:?}");
    let other = w.with(|s| s.tenant = Some("other".into())).read(&id, Urgency::Ordinary).await.unwrap_err();
    assert!(other.is_transient() && latchkey_contract::text::chain(&other).contains("tenant"), "{other:?}");
    assert_eq!(w.with(|s| s.tenant = None).read(&id, Urgency::Ordinary).await.unwrap(), None);
    w.sim.behave(|b| b.demands_tenant = true);
    assert!(w.with(|s| s.tenant = None).read(&id, Urgency::Ordinary).await.is_err());
    let narrow = w.with(|s| s.scope = "read:tickets".into());
    assert!(matches!(narrow.catalogue().await, Err(CallError::Unauthorized { .. })), "an empty 403 is a missing right");
}

#[tokio::test]
async fn on_premises_everything_lies_below_a_path() {
    let w = World::start_with(|o| o.below("halo")).await;
    let (n, id) = w.ticket();
    let ticket = w.with(|s| s.tenant = None).read(&id, Urgency::Ordinary).await.unwrap().unwrap();
    assert_eq!(ticket.id, id);
    assert!(w.halo.link(&id).ends_with(&format!("/halo/tickets?id={n}")));
    let (api, auth) = (format!("{}/API", w.sim.base_url()), format!("{}/auth/", w.sim.base_url()));
    let said = w.with(|s| (s.api, s.auth) = (api.parse().ok(), auth.parse().ok()));
    assert!(said.read(&id, Urgency::Ordinary).await.unwrap().is_some());
}

#[tokio::test]
async fn a_sign_in_page_is_no_token() {
    let w = World::start().await;
    w.sim.faults().add(Fault::on(TOKEN, Act::Garbage).once());
    assert!(matches!(w.halo.read(&ticket_id(1), Urgency::Ordinary).await, Err(CallError::Malformed { op: TOKEN, .. })));
    let empty = Act::Answer { status: 200, retry_after: None, body: json!({"token_type": "Bearer"}) };
    w.sim.faults().add(Fault::on(TOKEN, empty).once());
    assert!(matches!(w.halo.read(&ticket_id(1), Urgency::Ordinary).await, Err(CallError::Malformed { op: TOKEN, .. })));
}
