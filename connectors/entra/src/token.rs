//! Tokens for the app itself (client credentials): fetched one at a time, renewed early, never printed.

use std::{sync::Arc, time::Duration};

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use latchkey_contract::{
    CallError, Clock, Secret, Timestamp,
    outside::{Answer, Outside, Urgency},
};
use reqwest::Method;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::assertion::Signer;

const OP: &str = "POST /{tenant}/oauth2/v2.0/token";

/// A token is renewed this long before its end.
const EARLY: Duration = Duration::from_secs(300);

/// A token older than this is renewed once the vendor refused a right: rights are frozen when it is issued.
const FRESH: Duration = Duration::from_secs(60);

/// Answers of the token service that pass by themselves.
const PASSING: [u64; 4] = [90_006, 90_012, 90_033, 90_055];

/// What proves who we are.
#[derive(Debug)]
pub(crate) enum Proof {
    Secret(Secret<String>),
    Certificate(Box<Signer>),
}

/// Where tokens come from, and the one that is held.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) outside: Outside,
    pub(crate) endpoint: Url,
    pub(crate) client_id: String,
    pub(crate) scope: String,
    pub(crate) proof: Proof,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) held: Mutex<Option<Arc<Token>>>,
}

/// One access token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) text: Secret<String>,
    /// `None` when the token is opaque.
    pub(crate) rights: Option<Rights>,
    /// The vendor's clock when it was issued, if it told.
    pub(crate) date: Option<Timestamp>,
    pub(crate) issued: Timestamp,
    renew_at: Timestamp,
    ends: Timestamp,
}

/// What the token says it may do, read without trusting it: good for explaining a refusal, never for deciding.
#[derive(Debug, Clone, Default, Deserialize)]
pub(crate) struct Rights {
    /// Application permissions.
    #[serde(default)]
    pub(crate) roles: Vec<String>,
    /// Template ids of the directory roles that our service principal holds.
    #[serde(default)]
    pub(crate) wids: Vec<String>,
}

impl Tokens {
    /// A token that is not `refused`. Callers that come together share one fetch.
    ///
    /// When no new token can be had, a removal still uses the held one until its very end.
    pub(crate) async fn get(&self, urgency: Urgency, refused: Option<&Arc<Token>>) -> Result<Arc<Token>, CallError> {
        let mut held = self.held.lock().await;
        let now = self.clock.now();
        let usable = held.clone().filter(|token| !refused.is_some_and(|old| Arc::ptr_eq(old, token)));
        if let Some(token) = usable.as_ref().filter(|token| now < token.renew_at) {
            return Ok(Arc::clone(token));
        }
        match self.fetch(urgency, now).await {
            Ok(token) => {
                let token = Arc::new(token);
                *held = Some(Arc::clone(&token));
                Ok(token)
            }
            Err(error) => match usable.filter(|token| urgency == Urgency::Removal && now < token.ends) {
                Some(token) => {
                    tracing::warn!(%error, "no new token; the removal goes on with the one that is still valid");
                    Ok(token)
                }
                None => Err(error),
            },
        }
    }

    /// A token fetched now, whatever is held: rights are frozen when one is issued.
    pub(crate) async fn renewed(&self) -> Result<Arc<Token>, CallError> {
        let mut held = self.held.lock().await;
        let token = Arc::new(self.fetch(Urgency::Ordinary, self.clock.now()).await?);
        *held = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Lets the next call fetch a new token, since a right was refused that may have been granted meanwhile.
    pub(crate) async fn doubt(&self, token: &Arc<Token>) {
        let now = self.clock.now();
        let mut held = self.held.lock().await;
        if let Some(current) = held.as_ref()
            && Arc::ptr_eq(current, token)
            && now >= current.issued + FRESH
        {
            let Token { text, rights, date, issued, ends, .. } = current.as_ref();
            let (text, rights) = (text.clone(), rights.clone());
            *held = Some(Arc::new(Token { text, rights, date: *date, issued: *issued, renew_at: now, ends: *ends }));
        }
    }

    async fn fetch(&self, urgency: Urgency, now: Timestamp) -> Result<Token, CallError> {
        let mut form = vec![
            ("client_id", self.client_id.clone()),
            ("scope", self.scope.clone()),
            ("grant_type", "client_credentials".to_owned()),
        ];
        let proof = match &self.proof {
            Proof::Secret(secret) => secret.clone(),
            Proof::Certificate(signer) => {
                form.push((
                    "client_assertion_type",
                    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer".to_owned(),
                ));
                let id = uuid::Uuid::new_v4().to_string();
                signer
                    .sign(self.endpoint.as_str(), &self.client_id, &id, now)
                    .ok_or_else(|| CallError::transient(OP, "the system gave no randomness to sign with"))?
            }
        };
        let field = if matches!(self.proof, Proof::Secret(_)) { "client_secret" } else { "client_assertion" };
        let form: Vec<(&str, &str)> =
            form.iter().map(|(k, v)| (*k, v.as_str())).chain([(field, proof.expose().as_str())]).collect();
        let request = self.outside.request(Method::POST, self.endpoint.clone()).form(&form);
        let answer = self.outside.send(OP, urgency, request).await?;
        if !answer.status.is_success() {
            return Err(refusal(&answer));
        }
        read(&answer, now)
    }
}

/// Why a connection's credential was refused, for the person who must mend it; `None` for codes that say enough.
pub(crate) fn advice(code: &str) -> Option<&'static str> {
    Some(match code {
        "AADSTS7000215" => {
            "the client secret is wrong; copy the secret's value (not its id) again, and set it with latchkey secret set"
        }
        "AADSTS7000222" => "the client secret has expired; make a new one, and set its value with latchkey secret set",
        "AADSTS700027" => {
            "the certificate is not known to the app registration; upload it (this takes some minutes to spread)"
        }
        "AADSTS700024" => "the assertion is outside its time; check this machine's clock",
        "AADSTS700016" | "AADSTS7000229" => {
            "the app is unknown in this tenant; check tenant and client id, and give admin consent"
        }
        "AADSTS7000112" => "the app is disabled in this tenant; enable it under Enterprise applications",
        "AADSTS90002" | "AADSTS900023" => "there is no such tenant; check the tenant id and the cloud's authority",
        "AADSTS5000224" => "the tenant is deleted or not available",
        "AADSTS500011" => "Microsoft Graph is unknown at this authority; authority and graph must be of the same cloud",
        "AADSTS70011" | "AADSTS1002012" => "the graph address is not accepted as a resource; check `graph`",
        "AADSTS53003" => "Conditional Access blocks the app; exclude this workload identity",
        _ => return None,
    })
}

#[derive(Deserialize)]
struct Issued {
    access_token: String,
    expires_in: u64,
}

#[derive(Deserialize)]
struct Refused {
    #[serde(default)]
    error: String,
    #[serde(default)]
    error_codes: Vec<u64>,
}

fn read(answer: &Answer, now: Timestamp) -> Result<Token, CallError> {
    // Not through `Answer::json`, whose error could quote the token.
    let Ok(Issued { access_token, expires_in }) = serde_json::from_slice(&answer.body) else {
        return Err(CallError::malformed(OP, "no access_token and expires_in"));
    };
    let life = Duration::from_secs(expires_in.min(86_400));
    let rights = rights(&access_token);
    let renew_at = now + life.saturating_sub(EARLY).max(life / 2);
    let text = Secret::new(access_token);
    Ok(Token { text, rights, date: answer.date(), issued: now, renew_at, ends: now + life })
}

/// An opaque token has no readable rights; that is no error.
fn rights(token: &str) -> Option<Rights> {
    let payload = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?.trim_end_matches('=')).ok()?;
    serde_json::from_slice(&payload).ok()
}

/// The numbers in `error_codes` tell what happened; the HTTP status does not reliably.
fn refusal(answer: &Answer) -> CallError {
    let refused = serde_json::from_slice(&answer.body).unwrap_or(Refused { error: String::new(), error_codes: vec![] });
    match refused.error_codes.first() {
        Some(code) if PASSING.contains(code) => {
            CallError::Transient { op: OP, retry_after: answer.retry_after(), cause: format!("AADSTS{code}").into() }
        }
        Some(code) => CallError::Unauthorized { op: OP, code: format!("AADSTS{code}") },
        None => match answer.error(&refused.error) {
            CallError::Refused { op, status, code } => CallError::Unauthorized { op, code: format!("{status} {code}") },
            other => other,
        },
    }
}

#[cfg(test)]
mod tests {
    use reqwest::{StatusCode, header::HeaderMap};
    use serde_json::json;

    use super::*;

    fn answer(status: u16, body: &serde_json::Value) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { op: OP, status, headers: HeaderMap::new(), body: body.to_string().into_bytes() }
    }

    #[test]
    fn the_code_decides_and_not_the_status() {
        let said = |status, codes: &[u64]| refusal(&answer(status, &json!({"error": "x", "error_codes": codes})));
        assert!(matches!(said(401, &[7_000_222]), CallError::Unauthorized { code, .. } if code == "AADSTS7000222"));
        assert!(matches!(said(400, &[5_000_224]), CallError::Unauthorized { code, .. } if code == "AADSTS5000224"));
        assert!(matches!(said(503, &[700_016]), CallError::Unauthorized { .. }));
        assert!(said(400, &[90_033]).is_transient());
        assert!(said(503, &[]).is_transient());
        assert!(matches!(said(400, &[]), CallError::Unauthorized { code, .. } if code == "400 x"));
    }

    #[test]
    fn a_token_is_renewed_five_minutes_early_and_its_rights_are_read() {
        let payload = URL_SAFE_NO_PAD.encode(json!({"roles": ["User.ReadWrite.All"], "wids": ["w"]}).to_string());
        let body = json!({"access_token": format!("h.{payload}.s"), "expires_in": 3599});
        let now = Timestamp::from_millis(0);
        let token = read(&answer(200, &body), now).unwrap();
        assert_eq!((token.renew_at.seconds(), token.ends.seconds()), (3299, 3599));
        let rights_read = token.rights.unwrap();
        assert_eq!((rights_read.roles[0].as_str(), rights_read.wids[0].as_str()), ("User.ReadWrite.All", "w"));
        assert!(rights("opaque").is_none());
    }

    #[test]
    fn an_unreadable_token_answer_is_not_quoted() {
        let error =
            read(&answer(200, &json!({"access_token": "canary-7", "expires_in": "soon"})), Timestamp::from_millis(0));
        assert!(!format!("{:?}", error.unwrap_err()).contains("canary-7"));
    }
}
