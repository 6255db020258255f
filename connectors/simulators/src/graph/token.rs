//! The authority's token endpoint: client credentials only, proven by a secret or by an assertion.
//!
//! Errors carry the vendor's AADSTS codes. The access token looks like a JWT so that a client can
//! read its claims, but its signature is noise: the simulator looks the whole text up.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::assertion;
use super::events::{Actor, What, event};
use super::state::{Registration, ServicePrincipal, Tenant, Token, World};
use super::time::{Ms, SECOND, iso_spaced};

const ASSERTION_TYPE: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
const GRAPH_APP: &str = "00000003-0000-0000-c000-000000000000";
const GRAPH_HOST: &str = "https://graph.microsoft.com";
/// Every directory token carries this "role" besides the real ones.
const EVERYBODY: &str = "0997a1d0-0d1d-4acb-b408-d5ca73121e90";

/// A refusal of the authority.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Aadsts {
    pub(super) status: u16,
    pub(super) error: &'static str,
    pub(super) code: u32,
    pub(super) text: String,
}

impl Aadsts {
    pub(super) fn new(status: u16, error: &'static str, code: u32, text: impl Into<String>) -> Self {
        Self { status, error, code, text: text.into() }
    }

    pub(super) fn client(code: u32, text: impl Into<String>) -> Self {
        Self::new(401, "invalid_client", code, text)
    }

    pub(super) fn body(&self, now: Ms, trace: &str, correlation: &str) -> Value {
        let at = iso_spaced(now);
        json!({
            "error": self.error,
            "error_description": format!(
                "AADSTS{}: {} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {at}",
                self.code, self.text
            ),
            "error_codes": [self.code],
            "timestamp": at,
            "trace_id": trace,
            "correlation_id": correlation,
            "error_uri": format!("https://login.microsoftonline.com/error?code={}", self.code),
        })
    }
}

/// Form fields of a token request.
#[derive(Debug)]
pub(super) struct Form<'a>(pub(super) &'a [(String, String)]);

impl Form<'_> {
    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    fn required(&self, name: &str) -> Result<&str, Aadsts> {
        self.get(name).ok_or_else(|| {
            let text = format!("The request body must contain the following parameter: '{name}'.");
            Aadsts::new(400, "invalid_request", 900144, text)
        })
    }
}

/// Answers one token request.
///
/// # Errors
/// The first thing that is wrong, checked in the authority's order: tenant, request, scope,
/// application, credential.
pub(super) fn issue(world: &mut World, tenant_name: &str, form: &Form<'_>, now: Ms) -> Result<Value, Aadsts> {
    let tenant = find_tenant(world, tenant_name)?;
    let client_id = form.required("client_id")?.to_ascii_lowercase();
    if form.required("grant_type")? != "client_credentials" {
        let text = "The app requested an unsupported grant type.";
        return Err(Aadsts::new(400, "unsupported_grant_type", 70003, text));
    }
    let audience = audience(&world.base_url, form.required("scope")?)?;
    let (registration, principal) = find_app(world, tenant, &client_id)?;
    let is_certificate = prove(world, registration, form, tenant_name, tenant, now)?;
    let token = remember(tenant, principal, &client_id, world.knobs.token_lifetime_s, now);
    let claims = claims(&token, &audience, is_certificate, now);
    let text = encode(&claims, &world.mint.opaque());
    let lifetime = world.knobs.token_lifetime_s;
    world.events.push(event(
        now,
        &token.tenant,
        &Actor::App(client_id.clone()),
        What::TokenIssued,
        &client_id,
        Value::Null,
    ));
    world.tokens.retain(|_, old| now < old.expires_at + DAY_MS);
    world.tokens.insert(text.clone(), token);
    Ok(json!({
        "token_type": "Bearer",
        "expires_in": lifetime,
        "ext_expires_in": lifetime,
        "access_token": text,
    }))
}

/// Expired tokens are remembered this long, to be called expired rather than unknown.
const DAY_MS: Ms = super::time::DAY;

fn find_tenant<'w>(world: &'w World, name: &str) -> Result<&'w Tenant, Aadsts> {
    let refuse = |code, text: String| Aadsts::new(400, "invalid_request", code, text);
    if Uuid::parse_str(name).is_err() && !name.contains('.') {
        let text =
            format!("Specified tenant identifier '{name}' is neither a valid DNS name, nor a valid external domain.");
        return Err(refuse(900023, text));
    }
    let Some(tenant) = world.find_tenant(name) else {
        let text = format!(
            "Tenant '{name}' not found. Check to make sure you have the correct tenant ID and are signing into the correct cloud."
        );
        return Err(refuse(90002, text));
    };
    if tenant.is_deleted {
        let text = "We are sorry, this resource is not available. If you are seeing this message by mistake, please contact Microsoft support.";
        return Err(refuse(5000224, text.into()));
    }
    Ok(tenant)
}

/// The resource in `<resource>/.default`.
fn audience(base_url: &str, scope: &str) -> Result<String, Aadsts> {
    let Some(resource) = scope.strip_suffix("/.default") else {
        let text = format!(
            "The provided value for scope {scope} is not valid. Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI)."
        );
        return Err(Aadsts::new(400, "invalid_scope", 1002012, text));
    };
    let known = [base_url, GRAPH_HOST, GRAPH_APP];
    if known.contains(&resource.trim_end_matches('/')) {
        return Ok(resource.to_owned());
    }
    let text = format!(
        "The resource principal named {resource} was not found in the tenant. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant."
    );
    Err(Aadsts::new(400, "invalid_resource", 500011, text))
}

fn find_app<'w>(
    world: &'w World,
    tenant: &'w Tenant,
    client_id: &str,
) -> Result<(&'w Registration, &'w ServicePrincipal), Aadsts> {
    let Some(registration) = world.registrations.get(client_id) else {
        let text = format!(
            "Application with identifier '{client_id}' was not found in the directory '{}'. This can happen if the application has not been installed by the administrator of the tenant or consented to by any user in the tenant.",
            tenant.display_name
        );
        return Err(Aadsts::new(400, "unauthorized_client", 700016, text));
    };
    let Some(principal) = tenant.principals.get(client_id) else {
        let text =
            format!("The client application {client_id} is missing service principal in the tenant {}.", tenant.id);
        return Err(Aadsts::client(7000229, text));
    };
    if !principal.is_enabled {
        let text = format!("Application '{client_id}' is disabled.");
        return Err(Aadsts::new(400, "unauthorized_client", 7000112, text));
    }
    Ok((registration, principal))
}

/// Checks the credential; `true` when it was a certificate.
fn prove(
    world: &World,
    registration: &Registration,
    form: &Form<'_>,
    tenant_name: &str,
    tenant: &Tenant,
    now: Ms,
) -> Result<bool, Aadsts> {
    if let Some(jwt) = form.get("client_assertion") {
        if form.required("client_assertion_type")? != ASSERTION_TYPE {
            let text = "The 'client_assertion_type' value is not supported.";
            return Err(Aadsts::new(400, "invalid_request", 50027, text));
        }
        let endpoints: Vec<String> = [tenant_name, tenant.id.as_str()]
            .iter()
            .map(|name| format!("{}/{name}/oauth2/v2.0/token", world.base_url))
            .collect();
        let client_id = form.required("client_id")?;
        assertion::verify(jwt, &registration.certificates, client_id, &endpoints, now)?;
        return Ok(true);
    }
    let Some(secret) = form.get("client_secret") else {
        let text = "The request body must contain the following parameter: 'client_assertion' or 'client_secret'.";
        return Err(Aadsts::client(7000218, text));
    };
    match registration.secrets.iter().find(|s| s.value == secret) {
        None => Err(Aadsts::client(
            7000215,
            "Invalid client secret provided. Ensure the secret being sent in the request is the client secret value, not the client secret ID, for a secret added to the app.",
        )),
        Some(found) if found.expires_at.is_some_and(|end| end <= now) => Err(Aadsts::client(
            7000222,
            "The provided client secret keys for the app are expired. Create new keys for your app.",
        )),
        Some(_) => Ok(false),
    }
}

fn remember(tenant: &Tenant, principal: &ServicePrincipal, client_id: &str, lifetime_s: i64, now: Ms) -> Token {
    Token {
        tenant: tenant.id.clone(),
        client_id: client_id.to_owned(),
        principal: principal.id.clone(),
        permissions: principal.permissions.clone(),
        directory_roles: tenant
            .effective_roles(&principal.id, now)
            .into_iter()
            .map(|grant| (grant.role.clone(), grant.scope.clone()))
            .collect(),
        expires_at: now + lifetime_s * SECOND,
    }
}

fn claims(token: &Token, audience: &str, is_certificate: bool, now: Ms) -> Value {
    let mut wids: Vec<&str> =
        token.directory_roles.iter().filter(|(_, scope)| scope == "/").map(|(role, _)| role.as_str()).collect();
    wids.push(EVERYBODY);
    let mut claims = json!({
        "aud": audience,
        "iss": format!("https://sts.windows.net/{}/", token.tenant),
        "iat": now / SECOND,
        "nbf": now / SECOND,
        "exp": token.expires_at / SECOND,
        "appid": token.client_id,
        "appidacr": if is_certificate { "2" } else { "1" },
        "idtyp": "app",
        "oid": token.principal,
        "sub": token.principal,
        "tid": token.tenant,
        "wids": wids,
        "ver": "1.0",
        "xms_cc": ["CP1"],
    });
    // Without any consent the claim is absent, not empty.
    if !token.permissions.is_empty() {
        claims["roles"] = json!(token.permissions);
    }
    claims
}

fn encode(claims: &Value, noise: &str) -> String {
    let header = json!({"typ": "JWT", "alg": "RS256", "kid": "simulated"});
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{noise}", part(&header), part(claims))
}

/// The authority's self-description for one tenant; clients fetch it before their first token.
pub(super) fn openid_configuration(world: &World, tenant_name: &str) -> Result<Value, Aadsts> {
    let tenant = find_tenant(world, tenant_name)?;
    let base = &world.base_url;
    let host = Url::parse(base).ok().and_then(|url| url.host_str().map(ToOwned::to_owned)).unwrap_or_default();
    Ok(json!({
        "issuer": format!("{base}/{}/v2.0", tenant.id),
        "authorization_endpoint": format!("{base}/{tenant_name}/oauth2/v2.0/authorize"),
        "token_endpoint": format!("{base}/{tenant_name}/oauth2/v2.0/token"),
        "jwks_uri": format!("{base}/{tenant_name}/discovery/v2.0/keys"),
        "token_endpoint_auth_methods_supported":
            ["client_secret_post", "private_key_jwt", "client_secret_basic"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "msgraph_host": host,
    }))
}
