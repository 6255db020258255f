//! Signing in, rights, and the budget.

use crate::world::{SCOPE, World};

#[tokio::test]
async fn a_token_needs_the_right_secret_scope_and_tenant() {
    let w = World::start().await;
    let secret = &w.api.client_secret;
    let wrong = w.ask_token("acme", SCOPE, "wrong").await;
    assert_eq!((wrong.status, wrong.body["error"].as_str()), (401, Some("invalid_client")));
    let wide = w.ask_token("acme", "all", secret).await;
    assert_eq!((wide.status, wide.body["error"].as_str()), (400, Some("invalid_scope")));
    assert_eq!(w.ask_token("other", SCOPE, secret).await.status, 500, "a wrong tenant is an error of the server");
    assert_eq!(w.ask_token("", SCOPE, secret).await.status, 200, "a tenant's own host needs none");
    w.sim.behave(|b| b.demands_tenant = true);
    assert_eq!(w.ask_token("", SCOPE, secret).await.status, 500);
    let good = w.ask_token("ACME", SCOPE, secret).await;
    for member in ["scope", "token_type", "access_token", "refresh_token", "id_token"] {
        assert!(good.body[member].as_str().is_some_and(|v| !v.is_empty()), "{member}");
    }
    assert_eq!(good.body["expires_in"], 3600);
}

#[tokio::test]
async fn a_token_ends_after_its_hour_or_when_it_is_revoked() {
    let mut w = World::start().await;
    assert_eq!(w.get("/Tickets").await.status, 200);
    w.advance(3600);
    assert_eq!(w.get("/Tickets").await.status, 401);
    w.token = w.sign_in().await;
    w.sim.revoke_tokens();
    assert_eq!(w.get("/Tickets").await.status, 401);
}

#[tokio::test]
async fn scopes_and_the_role_refuse_with_an_empty_403() {
    let mut w = World::start().await;
    w.token =
        w.ask_token("acme", "read:tickets", &w.api.client_secret).await.body["access_token"].as_str().unwrap().into();
    let refused = w.post("/Tickets", serde_json::json!([{"summary": "x"}])).await;
    assert_eq!((refused.status, refused.body.is_null()), (403, true));
    assert_eq!(w.get("/Client").await.status, 403);
    w.sim.change_agent(w.api.agent_id, true, true);
    assert_eq!(w.get("/Tickets").await.status, 403, "the agent is switched off");
}

#[tokio::test]
async fn more_than_the_budget_in_five_minutes_is_throttled() {
    let w = World::start().await;
    w.sim.behave(|b| b.budget = 3);
    for _ in 0..3 {
        assert_eq!(w.get("/Status").await.status, 200);
        w.advance(10);
    }
    let throttled = w.get("/Status").await;
    assert_eq!((throttled.status, throttled.retry_after.as_deref()), (429, Some("270")));
    w.sim.behave(|b| b.says_retry_after = false);
    assert_eq!(w.get("/Status").await.retry_after, None);
    w.advance(270);
    assert_eq!(w.get("/Status").await.status, 200);
}

#[tokio::test]
async fn what_can_be_known_before_signing_in() {
    let w = World::start_with(|o| o.below("halo")).await;
    let base = w.sim.base_url();
    assert!(base.ends_with("/halo"));
    let info = w.get("/authinfo").await.body;
    assert_eq!(
        (info["auth_url"].as_str(), info["tenant_id"].as_str()),
        (Some(format!("{base}/auth").as_str()), Some("acme"))
    );
    let metadata = w.client.get(format!("{base}/auth/.well-known/openid-configuration")).send().await.unwrap();
    let metadata: serde_json::Value = metadata.json().await.unwrap();
    assert_eq!(metadata["token_endpoint"], format!("{base}/auth/token"));
}
