//! Signing keys: fetched from our own site for our own company, cached by GUID, within budgets.
//!
//! A GUID from an unproven body may only cause a call if it is known (it gave a key before) or the small budget of
//! unknown ones allows. The two kinds have separate clients, so that a flood of random GUIDs can neither crowd out
//! the real one nor make us hammer the PSA. A GUID whose key is cached costs no call at all.
//!
//! The URL of a key is itself a secret where the endpoint needs no sign-in: neither it nor the GUID is logged.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use latchkey_contract::{
    CallError, Clock, Rejected, Secret,
    outside::{Answer, Outside, Urgency},
};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, HeaderValue},
};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

use crate::{codebase::Codebase, settings::Plan};

const OP: &str = "GET /system/callbackkey/index.rails";
const KEY_FRESH: Duration = Duration::from_secs(3600);
const REFUSAL_FRESH: Duration = Duration::from_secs(60);
const OUTAGE_FRESH: Duration = Duration::from_secs(5);
/// Between two fetches that mismatching signatures may cause for one GUID.
const REFETCH_PAUSE: Duration = Duration::from_secs(60);
/// Fetches of unknown GUIDs: ten at once, then one every six seconds.
const UNKNOWN_BURST: u32 = 10;
const UNKNOWN_EVERY: Duration = Duration::from_secs(6);

/// The derived HMAC key: SHA-256 of the signing key's text.
pub(crate) type HmacKey = Secret<[u8; 32]>;

/// The keys of one connection.
pub(crate) struct Keys {
    known: Outside,
    unknown: Outside,
    site: Url,
    company: String,
    client_id: HeaderValue,
    authorization: HeaderValue,
    codebase: Arc<Codebase>,
    clock: Arc<dyn Clock>,
    shelf: Mutex<Shelf>,
}

struct Shelf {
    slots: HashMap<Uuid, Arc<Slot>>,
    budget: Budget,
}

/// One GUID. The async lock makes many deliveries with one new GUID cost one fetch.
type Slot = tokio::sync::Mutex<Kept>;

#[derive(Default)]
struct Kept {
    last: Option<(Duration, Fetched)>,
    refetched_at: Option<Duration>,
    is_known: bool,
}

#[derive(Clone)]
enum Fetched {
    Key(HmacKey),
    NoKey(&'static str),
    Outage,
}

/// A key and whether it was fetched just now.
pub(crate) struct Held {
    pub(crate) key: HmacKey,
    pub(crate) is_fresh: bool,
}

#[derive(Deserialize)]
struct KeyAnswer {
    signing_key: String,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// `known` and `unknown` are two clients with budgets of their own.
    pub(crate) fn new(
        plan: &Plan,
        codebase: Arc<Codebase>,
        known: Outside,
        unknown: Outside,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let budget = Budget { left: UNKNOWN_BURST, since: clock.monotonic() };
        Self {
            known,
            unknown,
            site: plan.site.clone(),
            company: plan.company.clone(),
            client_id: plan.client_id.clone(),
            authorization: plan.authorization.clone(),
            codebase,
            clock,
            shelf: Mutex::new(Shelf { slots: HashMap::new(), budget }),
        }
    }

    /// The key with this id, cached or fetched.
    pub(crate) async fn get(&self, id: Uuid) -> Result<Held, Rejected> {
        let slot = self.slot(id)?;
        let mut kept = slot.lock().await;
        let now = self.clock.monotonic();
        match kept.current(now) {
            Some(Fetched::Key(key)) => return Ok(Held { key, is_fresh: false }),
            Some(Fetched::NoKey(why)) => return Err(Rejected::ForeignKey(why)),
            Some(Fetched::Outage) => return Err(Rejected::KeyUnreachable(recent_outage())),
            None => {}
        }
        let is_first = kept.last.is_none();
        if !kept.is_known && !is_first && !self.shelf().budget.take(now) {
            return Err(Rejected::OverBudget);
        }
        self.fetch(id, &mut kept).await
    }

    /// After a signature that did not fit the cached key: the key as it is now, once per minute at most.
    pub(crate) async fn again(&self, id: Uuid) -> Result<Option<Held>, Rejected> {
        let slot = self.slot(id)?;
        let mut kept = slot.lock().await;
        let now = self.clock.monotonic();
        if kept.refetched_at.is_some_and(|at| now.saturating_sub(at) < REFETCH_PAUSE) {
            // Another delivery may have refetched while this one waited.
            return Ok(match kept.current(now) {
                Some(Fetched::Key(key)) => Some(Held { key, is_fresh: true }),
                _ => None,
            });
        }
        kept.refetched_at = Some(now);
        self.fetch(id, &mut kept).await.map(Some)
    }

    async fn fetch(&self, id: Uuid, kept: &mut Kept) -> Result<Held, Rejected> {
        let outside = if kept.is_known { &self.known } else { &self.unknown };
        let outcome = self.ask(outside, id).await;
        let now = self.clock.monotonic();
        match outcome {
            Ok(Ok(key)) => {
                kept.is_known = true;
                kept.last = Some((now, Fetched::Key(key.clone())));
                Ok(Held { key, is_fresh: true })
            }
            Ok(Err(why)) => {
                kept.is_known = false;
                kept.last = Some((now, Fetched::NoKey(why)));
                Err(Rejected::ForeignKey(why))
            }
            Err(error) => {
                // A key that is still good outlives an outage of its site.
                if !matches!(kept.current(now), Some(Fetched::Key(_))) {
                    kept.last = Some((now, Fetched::Outage));
                }
                Err(Rejected::KeyUnreachable(error))
            }
        }
    }

    /// The key, or why there is none; an error where the PSA gave no verdict.
    async fn ask(&self, outside: &Outside, id: Uuid) -> Result<Result<HmacKey, &'static str>, CallError> {
        let codebase = self.codebase.get(Urgency::Ordinary).await?;
        let mut answer = self.ask_at(outside, &codebase, id).await;
        if matches!(&answer, Ok(a) if a.status.as_u16() == 404)
            && let Some(other) = self.codebase.instead_of(&codebase, Urgency::Ordinary).await?
        {
            answer = self.ask_at(outside, &other, id).await;
        }
        match answer {
            Ok(answer) => verdict(&answer),
            Err(CallError::Malformed { .. }) => Ok(Err("the key endpoint's answer is too large")),
            Err(other) => Err(other),
        }
    }

    /// Without credentials first; with them only when the PSA insists.
    async fn ask_at(&self, outside: &Outside, codebase: &str, id: Uuid) -> Result<Answer, CallError> {
        let mut url = self.site.clone();
        url.set_path(&format!("{codebase}//system/callbackkey/index.rails"));
        url.query_pairs_mut().append_pair("companyName", &self.company).append_pair("id", &id.to_string());
        let request = || {
            outside
                .request(Method::GET, url.clone())
                .header("clientId", self.client_id.clone())
                .header(ACCEPT, "application/json")
        };
        let answer = outside.send(OP, Urgency::Ordinary, request()).await?;
        match answer.status.as_u16() {
            401 | 403 => {
                outside.send(OP, Urgency::Ordinary, request().header(AUTHORIZATION, self.authorization.clone())).await
            }
            _ => Ok(answer),
        }
    }

    /// The slot of a GUID; making one takes from the budget of unknown GUIDs.
    fn slot(&self, id: Uuid) -> Result<Arc<Slot>, Rejected> {
        let now = self.clock.monotonic();
        let mut shelf = self.shelf();
        if let Some(slot) = shelf.slots.get(&id) {
            return Ok(Arc::clone(slot));
        }
        if !shelf.budget.take(now) {
            return Err(Rejected::OverBudget);
        }
        shelf.slots.retain(|_, slot| slot.try_lock().map_or(true, |kept| kept.is_worth_keeping(now)));
        Ok(Arc::clone(shelf.slots.entry(id).or_default()))
    }

    fn shelf(&self) -> std::sync::MutexGuard<'_, Shelf> {
        // Nothing panics while it is held; if something did, a map of cached keys is still a map.
        self.shelf.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    /// The last outcome, while it counts.
    fn current(&self, now: Duration) -> Option<Fetched> {
        let (at, fetched) = self.last.as_ref()?;
        let fresh = match fetched {
            Fetched::Key(_) => KEY_FRESH,
            Fetched::NoKey(_) => REFUSAL_FRESH,
            Fetched::Outage => OUTAGE_FRESH,
        };
        (now.saturating_sub(*at) < fresh).then(|| fetched.clone())
    }

    fn is_worth_keeping(&self, now: Duration) -> bool {
        self.is_known || self.current(now).is_some()
    }
}

fn verdict(answer: &Answer) -> Result<Result<HmacKey, &'static str>, CallError> {
    match answer.status.as_u16() {
        200 => Ok(parse(&answer.body).ok_or("the key endpoint's answer holds no key")),
        401 | 408 | 425 | 429 | 500..=599 => Err(answer.error("callbackkey")),
        300..=399 => Ok(Err("the key endpoint redirects")),
        _ => Ok(Err("the PSA has no such key for our company")),
    }
}

/// The content type is not established, so it is not looked at.
fn parse(body: &[u8]) -> Option<HmacKey> {
    let answer: KeyAnswer = serde_json::from_slice(body).ok()?;
    let text = Secret::new(answer.signing_key);
    (!text.expose().is_empty()).then(|| derive(text.expose()))
}

/// The HMAC key of a signing key.
///
/// The digest's raw bytes, not their hex text: so do all published receivers of these callbacks.
pub(crate) fn derive(signing_key: &str) -> HmacKey {
    Secret::new(Sha256::digest(signing_key.as_bytes()).into())
}

fn recent_outage() -> CallError {
    CallError::transient(OP, "the key endpoint did not answer a moment ago")
}

#[derive(Debug)]
struct Budget {
    left: u32,
    since: Duration,
}

impl Budget {
    fn take(&mut self, now: Duration) -> bool {
        while self.left < UNKNOWN_BURST && now.saturating_sub(self.since) >= UNKNOWN_EVERY {
            self.left += 1;
            self.since += UNKNOWN_EVERY;
        }
        if self.left == UNKNOWN_BURST {
            self.since = now;
        }
        let has_one = self.left > 0;
        self.left = self.left.saturating_sub(1);
        has_one
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_refills_slowly_and_never_above_its_burst() {
        let mut budget = Budget { left: UNKNOWN_BURST, since: Duration::ZERO };
        let mut taken = |s: u64| (0..100).filter(|_| budget.take(Duration::from_secs(s))).count();
        assert_eq!(taken(0), 10);
        assert_eq!(taken(5), 0);
        assert_eq!(taken(6), 1);
        assert_eq!(taken(66), 10);
        assert_eq!(taken(100_000), 10);
    }

    #[test]
    fn only_an_object_with_a_non_empty_text_is_a_key() {
        assert!(parse(br#"{"signing_key":"k"}"#).is_some());
        for bad in [
            &br#"{"signing_key":""}"#[..],
            br#"{"signing_key":7}"#,
            br#"{"signing_key":null}"#,
            br#"{"signing_key":"a","signing_key":"b"}"#,
            br#""{\"signing_key\":\"k\"}""#,
            b"{}",
            b"null",
            b"<html>",
            b"",
        ] {
            assert!(parse(bad).is_none(), "{:?}", String::from_utf8_lossy(bad));
        }
    }
}
