//! What a refusing answer means: the vendor's envelope read, and turned into a [`CallError`].
//!
//! Only codes and field names are kept. Messages can repeat what was sent, and what was sent can be a note.

use latchkey_contract::CallError;
use latchkey_contract::outside::Answer;
use serde::Deserialize;

/// What the vendor said when it refused.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(crate) struct Told {
    #[serde(default, deserialize_with = "text_or_nothing")]
    code: String,
    #[serde(default, deserialize_with = "text_or_nothing")]
    message: String,
    #[serde(default)]
    errors: Option<Vec<Inner>>,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Inner {
    #[serde(default, deserialize_with = "text_or_nothing")]
    code: String,
    #[serde(default, deserialize_with = "text_or_nothing")]
    field: String,
}

fn text_or_nothing<'de, D: serde::Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    Ok(Option::<String>::deserialize(from)?.unwrap_or_default())
}

/// The three meanings of a 404, as far as the code tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The record is gone (or we may not see it: the vendor does not say which).
    Record,
    /// The path is: the release under this codebase is gone.
    Endpoint,
    /// Somebody else answered, such as a proxy: nothing is known about the record.
    Unclear,
}

impl Told {
    /// Reads an error body; whatever is not the vendor's envelope is an empty one.
    pub(crate) fn read(body: &[u8]) -> Self {
        // Bodies with raw line breaks inside strings occur; outside strings a blank means the same.
        let mended: Vec<u8> = body.iter().map(|b| if matches!(b, b'\r' | b'\n' | b'\t') { b' ' } else { *b }).collect();
        serde_json::from_slice(&mended).unwrap_or_default()
    }

    /// Whether an inner error has this code.
    pub(crate) fn has(&self, code: &str) -> bool {
        self.inner().any(|e| e.code == code)
    }

    /// Whether an inner error is about this field or a part of it.
    pub(crate) fn is_about(&self, field: &str) -> bool {
        self.inner().any(|e| e.field.trim_start_matches('/').split('/').next() == Some(field))
    }

    /// What a 404 with this body means.
    pub(crate) fn missing(&self) -> Missing {
        match self.code.as_str() {
            "NotFound" => Missing::Record,
            "ConnectWiseApi" => Missing::Endpoint,
            _ => Missing::Unclear,
        }
    }

    fn inner(&self) -> impl Iterator<Item = &Inner> {
        self.errors.iter().flatten()
    }

    /// `InvalidObject (ObjectExists objectId)`: codes and fields, no message.
    fn summary(&self) -> String {
        let inner: Vec<String> = self.inner().take(3).map(|e| format!("{} {}", e.code, e.field)).collect();
        match (self.code.is_empty(), inner.is_empty()) {
            (true, true) => "without the vendor's code".to_owned(),
            (_, true) => self.code.clone(),
            (_, false) => format!("{} ({})", self.code, inner.join(", ")),
        }
    }

    /// Some refusals are a server that gave up; the word is all that tells them. An answer that names fields is not one.
    fn is_timeout(&self) -> bool {
        self.errors.iter().flatten().next().is_none() && self.message.to_lowercase().contains("timeout")
    }
}

/// The answer itself when it is a success.
pub(crate) fn accepted(answer: Answer) -> Result<Answer, CallError> {
    if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
}

/// The error behind an answer that is no success. A 404 refuses only where it says that the record is gone.
pub(crate) fn refusal(answer: &Answer) -> CallError {
    let told = Told::read(&answer.body);
    let unclear = |why: &'static str| CallError::transient(answer.op, why);
    match missing(answer) {
        Some(Missing::Endpoint) => {
            return unclear("404: the PSA's release does not know this path; it may be upgrading");
        }
        Some(Missing::Unclear) => return unclear("404, but not by the PSA's own word"),
        Some(Missing::Record) | None => {}
    }
    let is_timeout = told.is_timeout() && !matches!(answer.status.as_u16(), 401 | 403 | 404);
    match answer.error(&told.summary()) {
        CallError::Refused { op, status: 403, code } => CallError::Unauthorized { op, code: format!("403 {code}") },
        CallError::Refused { op, .. } if is_timeout => CallError::transient(op, "the PSA speaks of a timeout"),
        other => other,
    }
}

/// What a 404 means; `None` for any other status.
pub(crate) fn missing(answer: &Answer) -> Option<Missing> {
    (answer.status.as_u16() == 404).then(|| Told::read(&answer.body).missing())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { op: "GET /x", status, headers: Default::default(), body: body.into() }
    }

    const EXISTS: &str = r#"{"code":"InvalidObject","message":"callbackEntry object is invalid","errors":[{"code":"ObjectExists","message":"A matching callback entry already exists","resource":"callbackEntry","field":"objectId"}]}"#;

    #[test]
    fn the_envelope_is_read_with_its_inner_errors() {
        let told = Told::read(EXISTS.as_bytes());
        assert!(told.has("ObjectExists") && told.is_about("objectId") && !told.is_about("url"));
        assert_eq!(
            refusal(&answer(400, EXISTS)).to_string(),
            "GET /x: refused with 400 InvalidObject (ObjectExists objectId)"
        );
    }

    #[test]
    fn a_message_never_gets_into_the_error() {
        let body = r#"{"code":"InvalidObject","message":"the text 'hunter2' is bad","errors":null}"#;
        let error = refusal(&answer(400, body));
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn line_breaks_inside_strings_and_bodies_that_are_no_json_are_survived() {
        let told = Told::read(b"{\"code\":\"NotFound\",\r\n\"message\":\"a\r\nb\"}");
        assert_eq!(told.missing(), Missing::Record);
        assert_eq!(Told::read(b"<html>502</html>"), Told::default());
        assert_eq!(Told::read(b"[]"), Told::default());
        assert_eq!(Told::read(b"\xff\xfe"), Told::default());
    }

    #[test]
    fn a_404_means_three_things() {
        let of = |body: &str| missing(&answer(404, body));
        assert_eq!(of(r#"{"code":"NotFound","message":"Ticket 4711 not found"}"#), Some(Missing::Record));
        assert_eq!(
            of(r#"{"code":"ConnectWiseApi","message":"The endpoint does not exist."}"#),
            Some(Missing::Endpoint)
        );
        assert_eq!(of("<html>"), Some(Missing::Unclear));
        assert_eq!(missing(&answer(400, "{}")), None);
        assert!(!refusal(&answer(404, r#"{"code":"NotFound"}"#)).is_transient());
        assert!(refusal(&answer(404, r#"{"code":"ConnectWiseApi"}"#)).is_transient());
        assert!(refusal(&answer(404, "<html>")).is_transient(), "a proxy's page says nothing about a note");
    }

    #[test]
    fn rights_credentials_and_timeouts_are_told_apart() {
        assert!(matches!(refusal(&answer(403, "{}")), CallError::Unauthorized { .. }));
        assert!(matches!(refusal(&answer(401, "{}")), CallError::Unauthorized { .. }));
        assert!(refusal(&answer(400, r#"{"code":"X","message":"SQL Timeout expired"}"#)).is_transient());
        assert!(!refusal(&answer(400, r#"{"code":"X","message":"Invalid"}"#)).is_transient());
        assert!(refusal(&answer(500, "<html>")).is_transient());
        assert!(refusal(&answer(429, "")).is_transient());
    }
}
