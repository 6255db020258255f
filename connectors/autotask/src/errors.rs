//! What a refusing answer means.
//!
//! Most refusals are HTTP 500 with `{"errors":["…"]}`, whatever they are about; bad credentials are 401 with an empty
//! body; an unknown record is 200 with `item: null`. [facts 3.6] So the sentence is all there is to tell them apart, and it
//! is matched loosely. A sentence can repeat what was sent: of a call that carries a note, only its kind is kept.

use std::time::Duration;

use latchkey_contract::{CallError, outside::Answer, text::one_line};
use serde_json::Value;

/// How long a call over the hourly limit is put off: usage must fall first. [facts 3.7]
const AN_HOURLY_WAIT: Duration = Duration::from_secs(120);
/// How long one over the thread limit is.
const A_TURN: Duration = Duration::from_secs(2);

/// What the vendor's sentences are about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Too many threads at one endpoint.
    Threads,
    /// The hour's calls are spent.
    Hourly,
    /// There is no such record, or we may not see it.
    Missing,
    /// We may not.
    Rights,
    /// The tracking identifier is not one.
    Code,
    /// A value that is not on its list.
    Picklist,
    /// The server gave up.
    Trouble,
    /// Anything else.
    Other,
}

/// Words that tell, in the order in which they are looked for.
const WORDS: [(&str, Kind); 17] = [
    ("thread threshold", Kind::Threads),
    ("itgenatr005", Kind::Threads),
    ("request threshold", Kind::Hourly),
    ("requests per hour", Kind::Hourly),
    ("exceeded the maximum number of requests", Kind::Hourly),
    ("no matching records found", Kind::Missing),
    ("adequate permissions", Kind::Rights),
    ("required permissions", Kind::Rights),
    ("not have permission", Kind::Rights),
    ("integrationcode is invalid", Kind::Code),
    ("picklist value", Kind::Picklist),
    ("timed out", Kind::Trouble),
    ("timeout", Kind::Trouble),
    ("deadlock", Kind::Trouble),
    ("try again", Kind::Trouble),
    ("temporarily", Kind::Trouble),
    ("unavailable", Kind::Trouble),
];

/// What the vendor said when it refused.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Told(Vec<String>);

impl Told {
    /// The sentences of an error body, texts or `{message}` objects; whatever is not the vendor's envelope is none.
    pub(crate) fn read(body: &[u8]) -> Self {
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let entries = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let text = |entry: &Value| entry.as_str().or_else(|| entry.get("message")?.as_str()).map(str::to_owned);
        Self(entries.iter().filter_map(text).collect())
    }

    pub(crate) fn kind(&self) -> Kind {
        let said = self.0.join("\n").to_lowercase();
        WORDS.iter().find(|(words, _)| said.contains(words)).map_or(Kind::Other, |(_, kind)| *kind)
    }

    fn code(&self, may_quote: bool) -> String {
        match (self.0.is_empty(), may_quote) {
            (true, _) => "without a word of the vendor's".to_owned(),
            (_, true) => one_line(&self.0.join("; "), 160),
            (_, false) => format!("{:?}", self.kind()).to_lowercase(),
        }
    }
}

/// The answer itself when it is a success. A success that carries errors is none. [facts 3.6]
pub(crate) fn accepted(answer: Answer, may_quote: bool) -> Result<Answer, CallError> {
    let is_success = answer.status.is_success() && Told::read(&answer.body).0.is_empty();
    if is_success { Ok(answer) } else { Err(refusal(&answer, may_quote)) }
}

/// The error behind an answer that is no success. `may_quote`: nothing secret was sent.
pub(crate) fn refusal(answer: &Answer, may_quote: bool) -> CallError {
    let (op, status) = (answer.op, answer.status.as_u16());
    let told = Told::read(&answer.body);
    let code = told.code(may_quote);
    match (status, told.kind()) {
        (401, _) | (_, Kind::Code) => CallError::Unauthorized { op, code: "the API user is not let in".into() },
        (_, Kind::Threads) => CallError::not_yet(op, A_TURN, "the vendor's threads for this endpoint are all taken"),
        (_, Kind::Hourly) => CallError::not_yet(op, AN_HOURLY_WAIT, "the vendor's calls of this hour are spent"),
        (403, _) | (_, Kind::Rights) => CallError::Unauthorized { op, code },
        (_, Kind::Trouble) => CallError::transient(op, "the vendor speaks of trouble of its own"),
        (404, _) if !is_the_vendors(&answer.body) => CallError::transient(op, "404, but not by the vendor's own word"),
        _ if told.0.is_empty() => answer.error(&code),
        _ => CallError::Refused { op, status, code },
    }
}

/// The wait that a refusal by one of the vendor's limits asks for, of everything but removals.
pub(crate) fn hold_back(answer: &Answer) -> Option<Duration> {
    match (!answer.status.is_success()).then(|| Told::read(&answer.body).kind())? {
        Kind::Hourly => Some(AN_HOURLY_WAIT),
        Kind::Threads => Some(A_TURN),
        _ => None,
    }
}

/// The vendor says that there is no such record, or that we may not see it. A 404 that is a page, or empty, is a proxy's or a
/// wrong path's: of the record nothing is known.
pub(crate) fn is_missing(answer: &Answer) -> bool {
    let is_told = match answer.status.as_u16() {
        404 => is_the_vendors(&answer.body),
        _ => Told::read(&answer.body).kind() == Kind::Missing,
    };
    !answer.status.is_success() && is_told
}

/// The envelope that the vendor's answers come in: an item that is not there, or a list of errors.
fn is_the_vendors(body: &[u8]) -> bool {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body.get("item").is_some_and(Value::is_null) || body.get("errors").is_some_and(Value::is_array)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { op: "POST /x", status, headers: Default::default(), body: body.into() }
    }

    fn told(status: u16, body: &str) -> CallError {
        accepted(answer(status, body), true).unwrap_err()
    }

    #[test]
    fn a_500_with_errors_is_a_refusal_and_one_without_is_not() {
        let refused = told(500, r#"{"errors":["Picklist value [99] does not exist for priority."]}"#);
        assert!(matches!(&refused, CallError::Refused { status: 500, code, .. } if code.contains("priority")));
        assert!(told(500, "<html>").is_transient());
        assert!(told(503, "").is_transient());
        assert!(matches!(told(404, r#"{"errors":["x"]}"#), CallError::Refused { status: 404, .. }));
    }

    #[test]
    fn bad_credentials_have_no_body_and_older_ones_are_a_500() {
        assert!(matches!(told(401, ""), CallError::Unauthorized { .. }));
        assert!(matches!(told(500, r#"{"errors":["IntegrationCode is invalid"]}"#), CallError::Unauthorized { .. }));
        let rights = r#"{"errors":["The logged in Resource does not have the adequate permissions to do this."]}"#;
        assert!(matches!(told(500, rights), CallError::Unauthorized { .. }));
        assert!(matches!(told(403, "{}"), CallError::Unauthorized { .. }));
    }

    #[test]
    fn the_vendors_limits_are_waits_whatever_the_status() {
        for (status, body) in [
            (500, r#"{"errors":["Thread Threshold Exceeded."]}"#),
            (429, r#"{"errors":["Itgenatr005"]}"#),
            (500, r#"{"errors":["You have exceeded the maximum number of requests per hour."]}"#),
            (429, r#"{"errors":["The request threshold was reached"]}"#),
        ] {
            assert!(told(status, body).retry_after().is_some(), "{body}");
            assert!(hold_back(&answer(status, body)).is_some(), "{body}");
        }
        assert!(told(429, "").is_transient());
        assert_eq!(hold_back(&answer(200, r#"{"errors":["Thread Threshold Exceeded."]}"#)), None);
    }

    #[test]
    fn a_success_that_carries_errors_is_none() {
        assert!(matches!(told(200, r#"{"errors":["x"]}"#), CallError::Refused { status: 200, .. }));
        assert!(accepted(answer(200, r#"{"errors":[],"itemId":1}"#), true).is_ok());
        assert!(accepted(answer(200, r#"{"item":null}"#), true).is_ok());
        assert!(
            matches!(told(500, r#"{"errors":[{"message":"m","field":"f","code":"c"}]}"#), CallError::Refused { code, .. } if code == "m")
        );
    }

    #[test]
    fn a_sentence_that_may_repeat_a_note_is_not_kept() {
        let error = refusal(&answer(500, r#"{"errors":["the text 'hunter2' is too long"]}"#), false);
        assert!(!format!("{error} {error:?}").contains("hunter2"));
    }

    #[test]
    fn a_missing_record_is_told_by_its_sentence() {
        let missing = r#"{"errors":["No matching records found. The logged in Resource may not have the required permissions to delete the data."]}"#;
        assert!(is_missing(&answer(500, missing)));
        assert!(!is_missing(&answer(500, r#"{"errors":["adequate permissions"]}"#)));
        assert!(!is_missing(&answer(200, r#"{"item":null}"#)));
        assert!(is_missing(&answer(404, r#"{"errors":[]}"#)) && is_missing(&answer(404, r#"{"item":null}"#)));
    }

    #[test]
    fn a_404_that_is_not_the_vendors_own_word_says_nothing_of_a_record() {
        for body in ["", "<html>Not found</html>", r#"{"Message":"No HTTP resource was found"}"#, "null"] {
            assert!(!is_missing(&answer(404, body)) && told(404, body).is_transient(), "{body}");
        }
    }
}
