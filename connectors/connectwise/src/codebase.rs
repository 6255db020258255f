//! Which release the PSA runs now: the first segment of every path (`v2025_1`).
//!
//! Asked from the site without a sign-in, kept for an hour, asked again when the API says that an endpoint does
//! not exist (the cloud has been upgraded). If the site cannot be asked, the alias `v4_6_release` is used for a
//! minute, which works on every instance; an unknown company is an error, since then nothing else can work either.

use std::{sync::Arc, time::Duration};

use latchkey_contract::{
    CallError, Clock,
    outside::{Outside, Urgency},
};
use reqwest::Method;
use serde::Deserialize;
use tokio::sync::Mutex;
use url::Url;

use crate::settings::Plan;

const ALIAS: &str = "v4_6_release";
const FRESH: Duration = Duration::from_secs(3600);
const FALLBACK_FRESH: Duration = Duration::from_secs(60);
/// Between two looks that an "endpoint does not exist" may cause.
const PAUSE: Duration = Duration::from_secs(60);
const OP: &str = "GET /login/companyinfo/{company}";

/// The codebase of one instance, shared by the API and the key endpoint.
#[derive(Debug)]
pub(crate) struct Codebase {
    outside: Outside,
    url: Url,
    clock: Arc<dyn Clock>,
    known: Mutex<Option<Known>>,
}

#[derive(Debug, Clone)]
struct Known {
    codebase: String,
    read_at: Duration,
    good_for: Duration,
}

#[derive(Deserialize)]
struct CompanyInfo {
    #[serde(rename = "Codebase")]
    codebase: Option<String>,
}

impl Codebase {
    pub(crate) fn new(plan: &Plan, outside: Outside, clock: Arc<dyn Clock>) -> Self {
        let mut url = plan.site.clone();
        url.set_path(&format!("login/companyinfo/{}", plan.company));
        Self { outside, url, clock, known: Mutex::new(None) }
    }

    /// The codebase without slashes.
    pub(crate) async fn get(&self, urgency: Urgency) -> Result<String, CallError> {
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        match known.as_ref() {
            Some(k) if now.saturating_sub(k.read_at) < k.good_for => Ok(k.codebase.clone()),
            _ => self.look(&mut known, now, urgency).await,
        }
    }

    /// Asked now, whatever is known; the release as the site tells it.
    pub(crate) async fn look_now(&self) -> Result<String, CallError> {
        self.ask(Urgency::Ordinary).await
    }

    /// After an answer that `used` knows no such endpoint: another codebase to try, if there is one.
    pub(crate) async fn instead_of(&self, used: &str, urgency: Urgency) -> Result<Option<String>, CallError> {
        let mut known = self.known.lock().await;
        let now = self.clock.monotonic();
        let current = match known.as_ref() {
            Some(k) if k.codebase != used || now.saturating_sub(k.read_at) < PAUSE => k.codebase.clone(),
            _ => self.look(&mut known, now, urgency).await?,
        };
        Ok(Some(current).filter(|c| c != used))
    }

    async fn look(&self, known: &mut Option<Known>, now: Duration, urgency: Urgency) -> Result<String, CallError> {
        let found = match self.ask(urgency).await {
            Ok(codebase) => Known { codebase, read_at: now, good_for: FRESH },
            Err(refused @ CallError::Unauthorized { .. }) => return Err(refused),
            Err(error) => {
                let codebase = known.take().map_or_else(|| ALIAS.to_owned(), |k| k.codebase);
                tracing::warn!(%error, codebase, "the PSA did not tell its release; going on with the last one known");
                Known { codebase, read_at: now, good_for: FALLBACK_FRESH }
            }
        };
        Ok(known.insert(found).codebase.clone())
    }

    async fn ask(&self, urgency: Urgency) -> Result<String, CallError> {
        let request = self.outside.request(Method::GET, self.url.clone());
        let answer = self.outside.send(OP, urgency, request).await?;
        if !answer.status.is_success() {
            return Err(answer.error("companyinfo"));
        }
        let unknown = || CallError::Unauthorized { op: OP, code: "the PSA does not know the company".into() };
        let info = answer.json::<Option<CompanyInfo>>()?.ok_or_else(unknown)?;
        clean(&info.codebase.unwrap_or_default()).ok_or_else(|| CallError::malformed(OP, "not a codebase"))
    }
}

/// One path segment of harmless characters, or nothing.
fn clean(text: &str) -> Option<String> {
    let segment = text.trim_matches('/');
    let is_plain = segment.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    (is_plain && (1..=40).contains(&segment.len())).then(|| segment.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_codebase_is_one_harmless_segment() {
        assert_eq!(clean("v2025_1/").as_deref(), Some("v2025_1"));
        for bad in ["", "/", "a/b", "..", "v2025_1/../x", "v?x", "v#x", "a@b", "a%2fb"] {
            assert_eq!(clean(bad), None, "{bad}");
        }
    }
}
