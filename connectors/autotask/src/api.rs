//! The REST surface: paths, credentials, zones, pages, the vendor's own count of calls. One call is one attempt; who wants
//! another comes back.

use std::{sync::Arc, time::Duration};

use latchkey_contract::{
    CallError, Clock, Secret,
    outside::{Answer, Outside, Urgency},
};
use reqwest::{
    Method,
    header::{CONTENT_TYPE, HeaderValue},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::sync::Mutex;
use url::Url;

use crate::{
    errors::{self, accepted},
    filter::{self, Filter},
    settings::Plan,
    zone::{Zone, Zones},
};

/// Emitted exactly so: one integrator found other spellings refused. [facts 3.1]
const VERSION: &str = "V1.0";
/// The largest page the vendor gives. [facts 3.4]
const PAGE: usize = 500;
/// More pages than any list of ours has: a list that never ends must end.
const MAX_PAGES: usize = 200;
/// How long the vendor's count of the hour's calls is news.
const COUNTED: Duration = Duration::from_secs(300);
const COUNT: &str = "GET /ThresholdInformation";

/// The API of one tenant.
#[derive(Debug)]
pub(crate) struct Api {
    outside: Outside,
    zones: Arc<Zones>,
    code: HeaderValue,
    user: HeaderValue,
    secret: HeaderValue,
    clock: Arc<dyn Clock>,
    counted: Mutex<Option<Duration>>,
}

/// One call to be made.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    op: &'static str,
    method: Method,
    path: Vec<String>,
    /// May hold a note with a secret: does not print.
    body: Option<Secret<Vec<u8>>>,
    urgency: Urgency,
    is_secret: bool,
}

impl Ask {
    /// `op` is the method and the path's template; `path` is appended segment by segment, each one escaped.
    pub(crate) fn new<'p>(op: &'static str, path: impl IntoIterator<Item = &'p str>) -> Self {
        let method = match op.split(' ').next() {
            Some("POST") => Method::POST,
            Some("PATCH") => Method::PATCH,
            Some("DELETE") => Method::DELETE,
            _ => Method::GET,
        };
        let path = path.into_iter().map(str::to_owned).collect();
        Self { op, method, path, body: None, urgency: Urgency::Ordinary, is_secret: false }
    }

    pub(crate) fn body(mut self, body: &Value) -> Self {
        self.body = Some(Secret::new(body.to_string().into_bytes()));
        self
    }

    /// The body holds a note: what the vendor says of it may repeat it, and is not quoted.
    pub(crate) fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    /// For a call that takes a secret out of a ticket, or looks whether access must end: not held back by throttling.
    pub(crate) fn urgent(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Page<T> {
    items: Vec<T>,
    page_details: Option<PageDetails>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct PageDetails {
    next_page_url: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Item<T> {
    item: Option<T>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Made {
    item_id: i64,
}

/// The vendor's count of everybody's calls. [facts 3.7]
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Threshold {
    pub(crate) external_request_threshold: Option<u32>,
    pub(crate) current_timeframe_request_count: Option<u32>,
}

impl Api {
    pub(crate) fn new(plan: &Plan, zones: Arc<Zones>, outside: Outside, clock: Arc<dyn Clock>) -> Self {
        let (code, user, secret) = (plan.code.clone(), plan.user.clone(), plan.secret.clone());
        Self { outside, zones, code, user, secret, clock, counted: Mutex::new(None) }
    }

    /// Sends a call; any status is an answer. After a 401 the zone is asked again, and if the tenant has moved, the call,
    /// which had no effect, is sent there once.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Answer, CallError> {
        let zone = self.zones.get().await?;
        if ask.urgency == Urgency::Ordinary {
            self.count(&zone).await;
        }
        let answer = self.send_to(ask, self.url(&zone, &ask.path)).await?;
        if answer.status.as_u16() == 401
            && let Some(other) = self.zones.instead_of(&zone).await?
        {
            return self.send_to(ask, self.url(&other, &ask.path)).await;
        }
        Ok(answer)
    }

    /// The answer's body; anything but success is an error.
    pub(crate) async fn call<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, CallError> {
        accepted(self.send(ask).await?, !ask.is_secret)?.json()
    }

    /// One record; `None` when there is none: 200 with `item: null`, and a 404 of the vendor's own for good measure. [facts 3.4]
    pub(crate) async fn item<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Option<T>, CallError> {
        let answer = self.send(ask).await?;
        if answer.status.as_u16() == 404 && errors::is_missing(&answer) {
            return Ok(None);
        }
        let found: Item<T> = accepted(answer, !ask.is_secret)?.json()?;
        Ok(found.item)
    }

    /// The id of what was made or changed; `None` when the record is gone. After an answer that cannot be read nothing is
    /// known.
    pub(crate) async fn write(&self, ask: &Ask) -> Result<Option<i64>, CallError> {
        let unclear = || CallError::transient(ask.op, "it may be done: the answer could not be read");
        let answer = match self.send(ask).await {
            Err(CallError::Malformed { .. }) => return Err(unclear()),
            other => other?,
        };
        if errors::is_missing(&answer) {
            return Ok(None);
        }
        let made: Made = accepted(answer, !ask.is_secret)?.json().map_err(|_| unclear())?;
        Ok(Some(made.item_id))
    }

    /// Like [`Api::write`], where a record that is gone is a refusal.
    pub(crate) async fn must_write(&self, ask: &Ask) -> Result<i64, CallError> {
        let gone = || CallError::Refused { op: ask.op, status: 404, code: "no matching record".into() };
        self.write(ask).await?.ok_or_else(gone)
    }

    /// Every row of `POST /{entity}/query`.
    pub(crate) async fn query<T: DeserializeOwned>(
        &self,
        op: &'static str,
        filters: &[Filter],
        columns: &[&str],
        urgency: Urgency,
    ) -> Result<Vec<T>, CallError> {
        let found = self.query_up_to(op, filters, columns, (PAGE, MAX_PAGES), urgency).await?;
        found.ok_or_else(|| CallError::malformed(op, "the list does not end"))
    }

    /// The same; `None` when there are more than so many rows in so many pages.
    ///
    /// The next page is asked for as the first was, by POST with the same body, at the URL the vendor names. [facts 3.4]
    pub(crate) async fn query_up_to<T: DeserializeOwned>(
        &self,
        op: &'static str,
        filters: &[Filter],
        columns: &[&str],
        (page, pages): (usize, usize),
        urgency: Urgency,
    ) -> Result<Option<Vec<T>>, CallError> {
        let entity = op.trim_start_matches("POST /").split('/').next().unwrap_or_default();
        let ask = Ask::new(op, [entity, "query"]).body(&filter::query(filters, columns, page)).urgent(urgency);
        let (mut rows, mut next): (Vec<T>, Option<Url>) = (Vec::new(), None);
        for _ in 0..pages.min(MAX_PAGES) {
            let answer = match &next {
                None => self.send(&ask).await?,
                Some(url) => self.send_to(&ask, url.clone()).await?,
            };
            let found: Page<T> = accepted(answer, true)?.json()?;
            rows.extend(found.items);
            let Some(url) = found.page_details.and_then(|details| details.next_page_url) else {
                return Ok(Some(rows));
            };
            let url = self.own(op, &url).await?;
            if next.replace(url.clone()).as_ref() == Some(&url) {
                return Err(CallError::malformed(op, "the list goes in a circle"));
            }
        }
        Ok(None)
    }

    /// Rows of a child list, which the vendor gives whole.
    pub(crate) async fn children<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Vec<T>, CallError> {
        let page: Page<T> = self.call(ask).await?;
        match page.page_details.and_then(|details| details.next_page_url) {
            None => Ok(page.items),
            Some(_) => Err(CallError::malformed(ask.op, "more children than one page holds")),
        }
    }

    /// The vendor's count of the hour's calls.
    pub(crate) async fn threshold(&self) -> Result<Threshold, CallError> {
        self.call(&Ask::new(COUNT, ["ThresholdInformation"]).urgent(Urgency::Removal)).await
    }

    /// Credentials follow a page's URL only within the tenant's own zone.
    async fn own(&self, op: &'static str, url: &str) -> Result<Url, CallError> {
        let zone = self.zones.get().await?;
        let is_ours =
            |url: &Url| url.origin() == zone.api.origin() && url.username().is_empty() && url.password().is_none();
        let url = Url::parse(url).ok().filter(is_ours);
        url.ok_or_else(|| CallError::malformed(op, "the next page lies outside the tenant's zone"))
    }

    /// What all integrations together have spent is asked every few minutes: the vendor tells it nowhere else. [facts 3.7]
    async fn count(&self, zone: &Zone) {
        let Ok(mut counted) = self.counted.try_lock() else { return };
        let now = self.clock.monotonic();
        if counted.is_some_and(|at| now.saturating_sub(at) < COUNTED) {
            return;
        }
        *counted = Some(now);
        let ask = Ask::new(COUNT, ["ThresholdInformation"]).urgent(Urgency::Removal);
        let told = self.send_to(&ask, self.url(zone, &ask.path)).await;
        let told = told.and_then(|answer| accepted(answer, true)?.json::<Threshold>());
        match told.map(|told| told.current_timeframe_request_count) {
            Ok(Some(spent)) => self.outside.told_spent(spent),
            Ok(None) => {}
            Err(error) => tracing::debug!(%error, "the vendor's count of calls could not be read"),
        }
    }

    async fn send_to(&self, ask: &Ask, url: Url) -> Result<Answer, CallError> {
        let mut request = self
            .outside
            .request(ask.method.clone(), url)
            .header("ApiIntegrationCode", self.code.clone())
            .header("UserName", self.user.clone())
            .header("Secret", self.secret.clone());
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json").body(body.expose().clone());
        }
        let answer = self.outside.send(ask.op, ask.urgency, request).await?;
        if let Some(wait) = errors::hold_back(&answer) {
            self.outside.hold_back(ask.urgency, wait);
        }
        Ok(answer)
    }

    fn url(&self, zone: &Zone, path: &[String]) -> Url {
        let mut url = zone.api.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(VERSION).extend(path);
        }
        url
    }
}

/// A record number of the vendor; `None` for what cannot be one. The MSP's own company has number 0. [facts 4.6]
pub(crate) fn number(id: &str) -> Option<i64> {
    let is_plain = id.bytes().all(|b| b.is_ascii_digit());
    id.parse::<i64>().ok().filter(|_| is_plain)
}

/// A record number, or the refusal that the vendor would give.
pub(crate) fn number_or_refused(op: &'static str, id: &str) -> Result<i64, CallError> {
    number(id).ok_or_else(|| CallError::Refused { op, status: 404, code: "not a record number".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_number_names_a_record() {
        assert_eq!((number("351181"), number("0")), (Some(351_181), Some(0)));
        for bad in ["", "-1", "+1", "4711x", "..", "99999999999999999999"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
