//! The REST surface: paths, tokens, arrays, pages. One call is one attempt, except that a token which the instance no
//! longer knows is replaced once; who wants more comes back.
//!
//! A body is made by [`Ask::row`] alone, so that every POST carries an array.

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
use std::collections::BTreeSet;
use url::Url;

use crate::{
    errors::{self, Missing, accepted},
    settings::Plan,
    token::Tokens,
    wire,
};

/// The most that a page of tickets is documented to hold.
pub(crate) const PAGE: usize = 100;
/// More pages than any list of ours has: a list that never ends must end.
const MAX_PAGES: usize = 200;

/// The API of one instance.
#[derive(Debug)]
pub(crate) struct Api {
    outside: Outside,
    base: Url,
    tokens: Tokens,
}

/// One call to be made.
#[derive(Debug, Clone)]
pub(crate) struct Ask {
    pub(crate) op: &'static str,
    method: Method,
    path: Vec<String>,
    query: Vec<(&'static str, String)>,
    /// May hold a note with a secret: does not print.
    body: Option<Secret<Vec<u8>>>,
    urgency: Urgency,
}

impl Ask {
    /// `op` is the method and the path's template; `path` is appended segment by segment, each one escaped.
    pub(crate) fn new<'p>(op: &'static str, path: impl IntoIterator<Item = &'p str>) -> Self {
        let method = match op.split(' ').next() {
            Some("POST") => Method::POST,
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
        }
    }

    pub(crate) fn query(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.query.push((name, value.into()));
        self
    }

    /// One record in an array, as the vendor demands even for one.
    pub(crate) fn row(mut self, row: Value) -> Self {
        self.body = Some(Secret::new(Value::Array(vec![row]).to_string().into_bytes()));
        self
    }

    /// For a call that takes a secret out of a ticket, or looks whether it is gone: not held back.
    pub(crate) fn urgent(mut self, urgency: Urgency) -> Self {
        self.urgency = urgency;
        self
    }

    fn page(&self, number: usize) -> Self {
        // The name is misspelt by the vendor.
        let ask = self.clone().query("pageinate", "true").query("page_size", PAGE.to_string());
        ask.query("page_no", number.to_string())
    }
}

impl Api {
    pub(crate) fn new(plan: &Plan, tokens: Tokens, outside: Outside) -> Self {
        Self { outside, base: plan.api.clone(), tokens }
    }

    /// Sends a call; any status is an answer. 401 means that the token is not known any more: the call had no effect, and
    /// is sent once more with another one.
    pub(crate) async fn send(&self, ask: &Ask) -> Result<Answer, CallError> {
        let token = self.tokens.get(ask.urgency).await?;
        let answer = self.send_with(ask, Some(&token)).await?;
        if answer.status.as_u16() != 401 {
            return Ok(answer);
        }
        self.tokens.forget(&token).await;
        let token = self.tokens.get(ask.urgency).await?;
        self.send_with(ask, Some(&token)).await
    }

    /// A question that is asked before signing in.
    pub(crate) async fn send_unsigned(&self, ask: &Ask) -> Result<Answer, CallError> {
        self.send_with(ask, None).await
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

    /// Every row of a list that is not paged.
    pub(crate) async fn list<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Vec<T>, CallError> {
        rows(ask.op, &accepted(self.send(ask).await?)?)
    }

    /// Like [`Api::list`], with `None` where what the rows belong to is gone.
    pub(crate) async fn list_if_any<T: DeserializeOwned>(&self, ask: &Ask) -> Result<Option<Vec<T>>, CallError> {
        let answer = self.send(ask).await?;
        match errors::missing(&answer) {
            Some(Missing::Record) => Ok(None),
            _ => rows(ask.op, &accepted(answer)?).map(Some),
        }
    }

    /// Every row of a list in numbered pages; `is_enough`, as it judges the last row of a page, may end it early.
    ///
    /// Some lists ignore paging and repeat their first page for ever, others hold more than was asked for: a page that
    /// brings no new id, or is not a full one, is the last.
    pub(crate) async fn pages<T: DeserializeOwned>(
        &self,
        ask: &Ask,
        id: impl Fn(&T) -> i64,
        mut is_enough: impl FnMut(&T) -> bool,
    ) -> Result<Vec<T>, CallError> {
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        for number in 1..=MAX_PAGES {
            let page: Vec<T> = self.list(&ask.page(number)).await?;
            let (length, before, mut is_over) = (page.len(), seen.len(), false);
            for row in page {
                is_over = is_enough(&row);
                if seen.insert(id(&row)) {
                    all.push(row);
                }
            }
            if is_over || length != PAGE || seen.len() == before {
                return Ok(all);
            }
        }
        Err(CallError::malformed(ask.op, "the list does not end"))
    }

    async fn send_with(&self, ask: &Ask, token: Option<&HeaderValue>) -> Result<Answer, CallError> {
        let mut request = self.outside.request(ask.method.clone(), self.url(ask)).header(ACCEPT, "application/json");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, token.clone());
        }
        if let Some(body) = &ask.body {
            request = request.header(CONTENT_TYPE, "application/json; charset=utf-8").body(body.expose().clone());
        }
        self.outside.send(ask.op, ask.urgency, request).await
    }

    fn url(&self, ask: &Ask) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(&ask.path);
        }
        if !ask.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&ask.query);
        }
        url
    }
}

/// An array, or the only array that an object holds: lists come in both shapes.
fn rows<T: DeserializeOwned>(op: &'static str, answer: &Answer) -> Result<Vec<T>, CallError> {
    let list = match answer.json::<Value>()? {
        Value::Array(list) => list,
        Value::Object(object) => {
            let mut arrays = object.into_iter().filter_map(|(_, value)| match value {
                Value::Array(list) => Some(list),
                _ => None,
            });
            match (arrays.next(), arrays.next()) {
                (Some(list), None) => list,
                _ => return Err(CallError::malformed(op, "not a list")),
            }
        }
        _ => return Err(CallError::malformed(op, "not a list")),
    };
    list.into_iter().map(|row| serde_json::from_value(row).map_err(|e| CallError::malformed(op, e))).collect()
}

/// The record that a POST of one answers: bare, or in an array of one. Whether it was made is not known where this cannot
/// be read.
pub(crate) fn posted<T: DeserializeOwned>(answer: &Answer) -> Result<T, CallError> {
    let unclear = || CallError::transient(answer.op, "it may be done: the answer could not be read");
    let value = match serde_json::from_slice(&answer.body).map_err(|_| unclear())? {
        Value::Array(mut list) if list.len() == 1 => list.remove(0),
        value => value,
    };
    serde_json::from_value(value).map_err(|_| unclear())
}

/// A record number of the vendor: ids are 32-bit integers. `None` for what cannot be one.
pub(crate) fn number(id: &str) -> Option<i64> {
    let is_plain = id.bytes().all(|b| b.is_ascii_digit());
    id.parse::<u32>().ok().filter(|n| is_plain && (1..=0x7fff_ffff).contains(n)).map(i64::from)
}

/// A record number, or the refusal that the vendor would give.
pub(crate) fn number_or_refused(op: &'static str, id: &str) -> Result<i64, CallError> {
    number(id).ok_or_else(|| CallError::Refused { op, status: 404, code: "not a record number".into() })
}

/// A positive number, since 0 and -1 stand for nothing.
pub(crate) fn real(id: Option<i64>) -> Option<i64> {
    id.filter(|id| *id > 0)
}

/// The row of a list of which only number and name count.
pub(crate) const fn row_id(row: &wire::Row) -> i64 {
    row.id
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn answer(body: &str) -> Answer {
        Answer { op: "POST /x", status: StatusCode::CREATED, headers: Default::default(), body: body.into() }
    }

    #[test]
    fn a_list_is_an_array_or_the_only_one_in_an_object() {
        let ids =
            |body: &str| rows::<wire::Row>("GET /x", &answer(body)).map(|r| r.iter().map(row_id).collect::<Vec<_>>());
        assert_eq!(ids(r#"[{"id":1},{"id":"2"}]"#).unwrap(), [1, 2]);
        assert_eq!(ids(r#"{"record_count":1,"tickets":[{"id":1}]}"#).unwrap(), [1]);
        for bad in ["7", "{}", r#"{"a":[],"b":[]}"#, r#"[{"name":"x"}]"#, "<html>"] {
            assert!(ids(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn what_was_posted_is_answered_in_either_shape() {
        let id = |body: &str| posted::<wire::Row>(&answer(body)).map(|row| row.id);
        assert_eq!(id(r#"{"id":6}"#).unwrap(), 6);
        assert_eq!(id(r#"[{"id":6}]"#).unwrap(), 6);
        for unclear in ["", "[]", r#"[{"id":1},{"id":2}]"#, "<html>", "{}"] {
            assert!(id(unclear).unwrap_err().is_transient(), "{unclear}");
        }
    }

    #[test]
    fn every_body_is_an_array() {
        let ask = Ask::new("POST /Actions", ["Actions"]).row(serde_json::json!({"a": 1}));
        assert_eq!(ask.body.unwrap().expose().as_slice(), br#"[{"a":1}]"#);
    }

    #[test]
    fn only_a_plain_number_names_a_record() {
        assert_eq!(number("2818"), Some(2818));
        for bad in ["", "0", "-1", "+1", "2818x", "..", "99999999999", "2147483648"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
