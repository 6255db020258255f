//! How callbacks are signed, and where the vendor serves the keys.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::errors::Refusal;
use super::state::{Host, SigningKey, Tenant};
use super::view::Links;
use crate::server::{Request, Response};

/// The value of `x-content-signature` for a body:
/// `base64(HMAC-SHA256(SHA-256(signing key as UTF-8), body))`.
pub fn signature(signing_key: &str, body: &[u8]) -> String {
    let key = Sha256::digest(signing_key.as_bytes());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes keys of any length");
    mac.update(body);
    STANDARD.encode(mac.finalize().into_bytes())
}

/// How the key endpoint behaves.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum KeyEndpoint {
    /// Answers the key.
    #[default]
    Normal,
    /// 503.
    Down,
    /// Answers the key after this many real milliseconds.
    Slow(u64),
    /// 302 to this URL.
    Redirect(String),
    /// 200 with 24 MiB.
    Huge,
    /// 200 with a page of HTML.
    NotJson,
    /// 200 with an empty key.
    Empty,
    /// 200 with JSON text inside a JSON string, which one published client needs.
    Doubled,
}

/// What rotating a key does to its id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// A new key under a new id; the old id is still served.
    NewId,
    /// A new key under the old id: whoever has cached the old one must ask again.
    SameId,
}

/// The URL a message names for its key.
pub(super) fn key_url(links: &Links, company_id: &str, id: Uuid) -> String {
    format!("{}/{}/system/callbackkey/index.rails?companyName={company_id}&id={id}", links.site, links.codebase)
}

pub(super) fn new_key() -> SigningKey {
    SigningKey { id: Uuid::new_v4(), secret: Uuid::new_v4().to_string() + &Uuid::new_v4().to_string() }
}

pub(super) fn rotate(tenant: &mut Tenant, rotation: Rotation) {
    let mut key = new_key();
    if rotation == Rotation::SameId {
        key.id = tenant.signing_key().id;
        tenant.signing_keys.pop();
    }
    tenant.signing_keys.push(key);
}

/// `GET …/system/callbackkey/index.rails?companyName=&id=`: 404 unless the key with this id
/// belongs to that company.
pub(super) fn serve(host: &Host, request: &Request, mode: &KeyEndpoint) -> Response {
    match mode {
        KeyEndpoint::Down => return Response::text(503, "Service Unavailable"),
        KeyEndpoint::Redirect(to) => return Response::empty(302).with_header("Location", to),
        KeyEndpoint::Huge => {
            let padding = "x".repeat(24 * 1024 * 1024);
            return Response::text(200, json!({"signing_key": padding}).to_string());
        }
        KeyEndpoint::NotJson => return Response::text(200, "<html><body>Sign in</body></html>"),
        KeyEndpoint::Empty => return Response::text(200, json!({"signing_key": ""}).to_string()),
        KeyEndpoint::Normal | KeyEndpoint::Slow(_) | KeyEndpoint::Doubled => {}
    }
    let key = request.query("companyName").and_then(|name| host.tenant(name)).and_then(|tenant| {
        let id = Uuid::parse_str(request.query("id")?).ok()?;
        tenant.signing_keys.iter().find(|k| k.id == id)
    });
    let Some(key) = key else {
        return Refusal::not_found("Callback key", request.query("id").unwrap_or_default()).into();
    };
    let body = json!({"signing_key": key.secret}).to_string();
    match mode {
        KeyEndpoint::Doubled => Response::text(200, json!(body).to_string()),
        _ => Response::text(200, body),
    }
}

/// A key as a test may hold it: its id and secret, for messages of the test's own making.
#[derive(Clone)]
pub struct Key {
    pub id: Uuid,
    pub secret: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.id)
    }
}
