//! Signing in: the token endpoint, what can be known before it, and who a token stands for.

use std::collections::BTreeSet;

use serde_json::json;
use uuid::Uuid;

use super::api::Cx;
use super::behaviour::Behaviour;
use super::errors::Refusal;
use super::state::{Instance, Token};
use crate::server::{Request, Response};

const LIFE_S: i64 = 3600;

/// `POST /auth/token`: a form with client credentials; the tenant in the query.
pub(super) fn issue(
    inst: &mut Instance,
    request: &Request,
    behaviour: &Behaviour,
    now: i64,
) -> Result<Response, Refusal> {
    match request.query("tenant").filter(|t| !t.is_empty()) {
        // Seen as an error of the server, and not as a refusal.
        Some(other) if !other.eq_ignore_ascii_case(&inst.tenant) => {
            return Err(Refusal::text(500, "Tenant not found"));
        }
        None if behaviour.demands_tenant => return Err(Refusal::text(500, "Tenant not found")),
        _ => {}
    }
    let form = request.form();
    let field = |name: &str| form.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str()).unwrap_or_default();
    if field("grant_type") != "client_credentials" {
        return Err(Refusal::oauth(400, "unsupported_grant_type", "The specified grant type is not supported."));
    }
    let known =
        inst.applications.iter().find(|a| a.client_id == field("client_id") && a.secret == field("client_secret"));
    let Some(application) = known.cloned() else {
        return Err(Refusal::oauth(401, "invalid_client", "The specified client credentials are invalid."));
    };
    let asked: BTreeSet<String> = field("scope").split_whitespace().map(str::to_owned).collect();
    let is_ticked = |scope: &String| application.permissions.contains(scope);
    if asked.is_empty() || !asked.iter().all(is_ticked) {
        return Err(Refusal::oauth(400, "invalid_scope", "The specified scope is not allowed for this application."));
    }
    let token = Token {
        text: format!("eyJ{}{}", Uuid::new_v4().simple(), Uuid::new_v4().simple()),
        client_id: application.client_id.clone(),
        agent: application.agent,
        scopes: asked,
        expires_ms: now + LIFE_S * 1000,
    };
    inst.tokens.push(token.clone());
    Ok(Response::json(
        200,
        &json!({
            "scope": field("scope"), "token_type": "Bearer", "access_token": token.text, "expires_in": LIFE_S,
            "refresh_token": Uuid::new_v4().to_string(), "id_token": "eyJhbGciOiJSUzI1NiJ9.e30.e30",
        }),
    ))
}

/// Who a request's token stands for; a token that is missing, unknown or over is 401.
pub(super) fn caller(inst: &Instance, request: &Request, now: i64) -> Result<Token, Refusal> {
    let header = request.header("Authorization").unwrap_or_default();
    let text = header.strip_prefix("Bearer ").unwrap_or_default();
    let found = inst.tokens.iter().find(|t| t.text == text && t.expires_ms > now);
    let is_known = |t: &&Token| inst.applications.iter().any(|a| a.client_id == t.client_id);
    found.filter(is_known).cloned().ok_or(Refusal::Empty(401))
}

pub(super) fn info(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let body = json!({"auth_url": format!("{}/auth", cx.here), "tenant_id": cx.desk.inst.tenant});
    Ok(Response::json(200, &body))
}

pub(super) fn instance(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let agents = cx.desk.inst.agents.len();
    let body = json!({
        "app_version": "2.250.1", "database_version": "2.250.1", "agent_count": agents, "app_name": "HaloPSA",
        "agent_url": cx.here, "portal_url": format!("{}/portal", cx.here), "auth_url": format!("{}/auth", cx.here),
    });
    Ok(Response::json(200, &body))
}

pub(super) fn metadata(here: &str) -> Response {
    let body = json!({
        "issuer": format!("{here}/auth"), "token_endpoint": format!("{here}/auth/token"),
        "authorization_endpoint": format!("{here}/auth/authorize"),
        "grant_types_supported": ["client_credentials", "authorization_code", "refresh_token", "password"],
    });
    Response::json(200, &body)
}
