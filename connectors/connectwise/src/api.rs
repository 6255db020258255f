//! The REST surface: paths, credentials, version, pages. One call is one attempt; who wants another comes back.

use std::sync::Arc;

use latchkey_contract::{
    CallError, Secret,
    outside::{Answer, Outside, Urgency},
};
use reqwest::{
    Method,
    header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, HeaderValue},
};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::{
    codebase::Codebase,
    errors::{self, Missing, accepted},
    paging::{LARGEST, Paging, Place},
    settings::Plan,
};

/// Pins the release whose description this was written from, and takes plain JSON from older servers.
const VERSION: &str = "application/vnd.connectwise.com+json; version=2025.16, application/json";
/// More pages than any list of ours has: a list that never ends must end.
const MAX_PAGES: usize = 200;

/// The API of one instance.
#[derive(Debug)]
pub(crate) struct Api {
    outside: Outside,
    base: Url,
    client_id: HeaderValue,
    authorization: HeaderValue,
    codebase: Arc<Codebase>,
}

struct Pages<T> {
    rows: Vec<T>,
    is_whole: bool,
}

/// One call to be made.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    op: &'static str,
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    /// May hold a note with a secret: does not print.
    body: Option<Secret<Vec<u8>>>,
    urgency: Urgency,
    is_forward_only: bool,
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
        Self {
            op,
            method,
            path: path.into_iter().map(str::to_owned).collect(),
            query: Vec::new(),
            body: None,
            urgency: Urgency::Ordinary,
            is_forward_only: false,
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    pub(crate) fn body(mut self, body: &Value) -> Self {
        self.body = Some(Secret::new(body.to_string().into_bytes()));
        self
    }

    /// For a call that takes a secret out of a ticket, or looks whether access must end: not held back by throttling.
    pub(crate) fn urgent(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    fn at(&self, paging: Paging, place: &Place) -> Self {
        let mut ask = self.clone().query("pageSize", paging.size().to_string());
        ask.is_forward_only = matches!(paging, Paging::ForwardOnly(_)) && !matches!(place, Place::Page(_));
        match place {
            Place::Start => ask,
            Place::Page(n) => ask.query("page", n.to_string()),
            Place::After(id) => ask.query("pageId", id.clone()),
        }
    }
}

impl Api {
    pub(crate) fn new(plan: &Plan, codebase: Arc<Codebase>, outside: Outside) -> Self {
        Self {
            outside,
            base: plan.api.clone(),
            client_id: plan.client_id.clone(),
            authorization: plan.authorization.clone(),
            codebase,
        }
    }

    /// Sends a call; any status is an answer. After "the endpoint does not exist" the codebase is read again, and
    /// if it changed (the cloud was upgraded), the call, which had no effect, is sent there once.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Answer, CallError> {
        let codebase = self.codebase.get(ask.urgency).await?;
        let answer = self.send_to(ask, &codebase).await?;
        if errors::missing(&answer) == Some(Missing::Endpoint)
            && let Some(other) = self.codebase.instead_of(&codebase, ask.urgency).await?
        {
            return self.send_to(ask, &other).await;
        }
        Ok(answer)
    }

    /// The answer's body; anything but success is an error.
    pub(crate) async fn call<T: DeserializeOwned>(&self, ask: &Ask) -> Result<T, CallError> {
        accepted(self.send(ask).await?)?.json()
    }

    /// Like [`Api::call`], with `None` for a record that is gone. No rights (403) is an error, not absence.
    pub(crate) async fn call_if_any<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Option<T>, CallError> {
        let answer = self.send(ask).await?;
        match errors::missing(&answer) {
            Some(Missing::Record) => Ok(None),
            _ => accepted(answer)?.json().map(Some),
        }
    }

    /// Every row of a list; `None` when the record it belongs to is gone.
    pub(crate) async fn list_if_any<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        paging: Paging,
    ) -> Result<Option<Vec<T>>, CallError> {
        match self.pages(ask, paging, MAX_PAGES).await? {
            Some(Pages { rows, is_whole: true }) => Ok(Some(rows)),
            Some(_) => Err(CallError::malformed(ask.op, "the list does not end")),
            None => Ok(None),
        }
    }

    /// Every row of a list; `None` when it has more than so many pages.
    pub(crate) async fn list_up_to<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        pages: usize,
    ) -> Result<Option<Vec<T>>, CallError> {
        let found = self.pages(ask, LARGEST, pages.min(MAX_PAGES)).await?;
        let found = found.ok_or_else(|| self.gone(ask))?;
        match found.is_whole {
            true => Ok(Some(found.rows)),
            false if pages >= MAX_PAGES => Err(CallError::malformed(ask.op, "the list does not end")),
            false => Ok(None),
        }
    }

    /// At most so many pages of a list; `None` when the record it belongs to is gone.
    async fn pages<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        paging: Paging,
        most: usize,
    ) -> Result<Option<Pages<T>>, CallError> {
        let (mut rows, mut place) = (Vec::new(), Place::Start);
        for _ in 0..most {
            let answer = self.send(&ask.at(paging, &place)).await?;
            if errors::missing(&answer) == Some(Missing::Record) {
                return Ok(None);
            }
            let answer = accepted(answer)?;
            let page: Vec<T> = answer.json()?;
            let next = paging.next(&place, &answer.headers, page.len());
            rows.extend(page);
            match next.map_err(|why| CallError::malformed(ask.op, why))? {
                Some(next) => place = next,
                None => return Ok(Some(Pages { rows, is_whole: true })),
            }
        }
        Ok(Some(Pages { rows, is_whole: false }))
    }

    /// Every row of a list that belongs to no record.
    pub(crate) async fn list<T: DeserializeOwned>(&self, ask: &Ask, paging: Paging) -> Result<Vec<T>, CallError> {
        self.list_if_any(ask, paging).await?.ok_or_else(|| self.gone(ask))
    }

    fn gone(&self, ask: &Ask) -> CallError {
        CallError::Refused { op: ask.op, status: 404, code: "NotFound".into() }
    }

    async fn send_to(&self, ask: &Ask, codebase: &str) -> Result<Answer, CallError> {
        let mut request = self
            .outside
            .request(ask.method.clone(), self.url(ask, codebase))
            .header(AUTHORIZATION, self.authorization.clone())
            .header("clientId", self.client_id.clone())
            .header(ACCEPT, VERSION);
        if ask.is_forward_only {
            request = request.header("pagination-type", "forward-only");
        }
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.expose().clone());
        }
        self.outside.send(ask.op, ask.urgency, request).await
    }

    fn url(&self, ask: &Ask, codebase: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend([codebase, "apis", "3.0"]).extend(&ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        url
    }
}

/// A record number of the vendor: ids are 32-bit integers. `None` for what cannot be one.
pub(crate) fn number(id: &str) -> Option<u32> {
    let is_plain = id.bytes().all(|b| b.is_ascii_digit());
    id.parse::<u32>().ok().filter(|n| is_plain && (1..=0x7fff_ffff).contains(n))
}

/// A record number, or the refusal that the vendor would give.
pub(crate) fn number_or_refused(op: &'static str, id: &str) -> Result<u32, CallError> {
    number(id).ok_or_else(|| CallError::Refused { op, status: 404, code: "not a record number".into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_number_names_a_record() {
        assert_eq!(number("4711"), Some(4711));
        for bad in ["", "0", "-1", "+1", "4711x", "..", "99999999999", "2147483648"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
