//! Access tokens: client credentials, fetched once, kept until shortly before their end.
//!
//! The form goes to the token endpoint of the configuration and nowhere else; what an instance says about its own hosts is
//! compared by the doctor and never followed.

use std::{sync::Arc, time::Duration};

use latchkey_contract::{
    CallError, Clock, Secret,
    outside::{Answer, Outside, Urgency},
};
use reqwest::{Method, header::HeaderValue};
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::{errors, settings::Plan, wire};

const OP: &str = "POST /auth/token";
/// How long before its end a token is no longer used.
const EARLY: Duration = Duration::from_secs(120);
/// Where an answer does not say how long a token lives.
const USUAL: u64 = 3600;

/// The tokens of one connection.
#[derive(Debug)]
pub(crate) struct Tokens {
    outside: Outside,
    url: Url,
    client_id: String,
    client_secret: Secret<String>,
    scope: String,
    clock: Arc<dyn Clock>,
    held: Mutex<Option<Held>>,
}

#[derive(Debug)]
struct Held {
    header: HeaderValue,
    until: Duration,
}

#[derive(Deserialize)]
struct Granted {
    access_token: String,
    #[serde(default, deserialize_with = "wire::int")]
    expires_in: Option<i64>,
}

impl Tokens {
    pub(crate) fn new(plan: &Plan, outside: Outside, clock: Arc<dyn Clock>) -> Self {
        let mut url = plan.auth.clone();
        url.set_path(&format!("{}token", plan.auth.path()));
        if let Some(tenant) = &plan.tenant {
            url.query_pairs_mut().append_pair("tenant", tenant);
        }
        Self {
            outside,
            url,
            client_id: plan.client_id.to_string(),
            client_secret: plan.client_secret.clone(),
            scope: plan.settings.scope.split_whitespace().collect::<Vec<_>>().join(" "),
            clock,
            held: Mutex::new(None),
        }
    }

    /// The `Authorization` of the next call. Callers that come together share one fetch.
    pub(crate) async fn get(&self, urgency: Urgency) -> Result<HeaderValue, CallError> {
        let mut held = self.held.lock().await;
        let now = self.clock.monotonic();
        match held.as_ref() {
            Some(h) if now < h.until => Ok(h.header.clone()),
            _ => Ok(held.insert(self.fetch(urgency, now).await?).header.clone()),
        }
    }

    /// Drops this token, if it is still the one in use: the instance does not know it.
    pub(crate) async fn forget(&self, refused: &HeaderValue) {
        let mut held = self.held.lock().await;
        if held.as_ref().is_some_and(|h| h.header == refused) {
            *held = None;
        }
    }

    async fn fetch(&self, urgency: Urgency, now: Duration) -> Result<Held, CallError> {
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.client_id.as_str()),
            ("client_secret", self.client_secret.expose().as_str()),
            ("scope", self.scope.as_str()),
        ];
        let request = self.outside.request(Method::POST, self.url.clone()).form(&form);
        let answer = self.outside.send(OP, urgency, request).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        // A wrong address may answer its sign-in page, with success: that is no JSON.
        let granted: Granted = answer.json()?;
        let life = granted.expires_in.and_then(|s| u64::try_from(s).ok()).unwrap_or(USUAL);
        let line = Secret::new(format!("Bearer {}", granted.access_token));
        let mut header = HeaderValue::from_str(line.expose())
            .map_err(|_| CallError::malformed(OP, "the token is no header value"))?;
        header.set_sensitive(true);
        Ok(Held { header, until: now + Duration::from_secs(life).saturating_sub(EARLY) })
    }
}

/// An unknown client is 401 or 400; so are a scope that is not ticked and a grant that is not allowed. A wrong tenant is an
/// error of the server, and told as what it may be.
fn refused(answer: &Answer) -> CallError {
    let told = errors::told(&answer.body);
    match answer.status.as_u16() {
        400 | 401 | 403 => CallError::Unauthorized { op: OP, code: told },
        500 => CallError::Transient {
            op: OP,
            retry_after: answer.retry_after(),
            cause: "HTTP 500, as with a wrong tenant: compare tenant with the instance's API page".into(),
        },
        _ => answer.error(&told),
    }
}
