//! What a refusing answer means. The vendor has no one shape for its errors: `{"errorMessage"}`, `{"ClassName",
//! "Message"}`, `{"error"}`, a validation object, a string, or nothing (seen in the clients that ship for it).
//!
//! Messages can repeat what was sent, and what was sent can be a note: of a message only sentences that are known are kept.

use latchkey_contract::{CallError, outside::Answer};
use serde_json::Value;

/// Sentences of the vendor that mean something to us.
const KNOWN: &[&str] = &[
    "An Outcome must be entered for this Action",
    "Record not found",
    "Name must be unique",
    "Please enter a valid URL",
    "requires a JSON array",
    "Invalid advanced search parameter",
    "No HTTP resource was found",
];

const NOT_FOUND: &str = "Record not found";
const NO_RESOURCE: &str = "No HTTP resource was found";

/// What a record that is not there looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// It is gone, or we may not see it.
    Record,
    /// Somebody else answered, or the path is wrong: nothing is known about the record.
    Unclear,
}

/// A sentence that is known, a code of one word, or the fact that there is neither.
pub(crate) fn told(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    if let Some(known) = KNOWN.iter().find(|known| text.contains(*known)) {
        return (*known).to_owned();
    }
    let value: Value = serde_json::from_slice(body).unwrap_or_default();
    let word = ["error", "ClassName", "title"].iter().find_map(|name| value.get(name)?.as_str());
    match word.filter(|word| is_code(word)) {
        Some(word) => word.to_owned(),
        None if body.is_empty() => "without a word".to_owned(),
        None => "in words of its own".to_owned(),
    }
}

/// `invalid_client`, `System.Exception`.
fn is_code(word: &str) -> bool {
    (1..=60).contains(&word.len()) && word.chars().all(|c| c.is_ascii_alphabetic() || matches!(c, '_' | '.'))
}

/// Whether the answer says this.
pub(crate) fn says(answer: &Answer, sentence: &str) -> bool {
    told(&answer.body) == sentence
}

/// The answer itself when it is a success.
pub(crate) fn accepted(answer: Answer) -> Result<Answer, CallError> {
    if answer.status.is_success() { Ok(answer) } else { Err(refusal(&answer)) }
}

/// The error behind an answer that is no success. 403 is a scope or a right of the agent's role that is missing, and
/// often empty.
pub(crate) fn refusal(answer: &Answer) -> CallError {
    if missing(answer) == Some(Missing::Unclear) {
        return CallError::transient(answer.op, "404, but not by the instance's own word");
    }
    match answer.error(&told(&answer.body)) {
        CallError::Refused { op, status: 403, code } => CallError::Unauthorized {
            op,
            code: format!("403 {code}: a permission of the application, or of its agent's role"),
        },
        other => other,
    }
}

/// Whether a record is not there. Some builds say so with 400; a 404 that is a page is a proxy's or a wrong path's.
pub(crate) fn missing(answer: &Answer) -> Option<Missing> {
    match answer.status.as_u16() {
        400 if says(answer, NOT_FOUND) => Some(Missing::Record),
        404 if says(answer, NO_RESOURCE) => Some(Missing::Unclear),
        404 if answer.body.trim_ascii_start().starts_with(b"<") => Some(Missing::Unclear),
        404 => Some(Missing::Record),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn answer(status: u16, body: &str) -> Answer {
        let status = StatusCode::from_u16(status).unwrap();
        Answer { op: "GET /x", status, headers: Default::default(), body: body.into() }
    }

    #[test]
    fn every_shape_is_read_and_none_is_repeated() {
        for (body, expected) in [
            (r#"{"resultCode":-1,"errorMessage":"hunter2"}"#, "in words of its own"),
            (r#"{"ClassName":"System.Exception","Message":"hunter2"}"#, "System.Exception"),
            (r#"{"Message":"Record not found"}"#, "Record not found"),
            (r#"{"error":"invalid_client","error_description":"hunter2"}"#, "invalid_client"),
            (r#"{"error":"the text hunter2 is bad"}"#, "in words of its own"),
            (r#""An Outcome must be entered for this Action""#, "An Outcome must be entered for this Action"),
            ("<html>hunter2", "in words of its own"),
            ("", "without a word"),
        ] {
            assert_eq!(told(body.as_bytes()), expected, "{body}");
            assert!(!format!("{:?}", refusal(&answer(400, body))).contains("hunter2"));
        }
    }

    #[test]
    fn a_record_is_gone_only_by_the_instances_own_word() {
        let of = |status, body| missing(&answer(status, body));
        assert_eq!(of(404, ""), Some(Missing::Record));
        assert_eq!(of(404, r#"{"Message":"Record not found"}"#), Some(Missing::Record));
        assert_eq!(of(400, r#""Record not found""#), Some(Missing::Record));
        assert_eq!(of(404, "\n<html>"), Some(Missing::Unclear));
        assert_eq!(of(404, r#"{"Message":"No HTTP resource was found that matches"}"#), Some(Missing::Unclear));
        assert_eq!(of(400, "{}"), None);
        assert!(refusal(&answer(404, "<html>")).is_transient());
        assert!(matches!(refusal(&answer(403, "")), CallError::Unauthorized { .. }));
        assert!(refusal(&answer(504, "")).is_transient());
    }
}
