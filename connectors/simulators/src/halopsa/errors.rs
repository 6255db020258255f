//! The vendor's refusals. It has no one shape for them: each place has its own, as captured.

use serde_json::{Value, json};

use crate::server::Response;

/// A refused call.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Refusal {
    /// An answer with a JSON body.
    Told(u16, Value),
    /// A status and nothing else: scope or role do not suffice.
    Empty(u16),
    /// 429, with the wait where the instance says it.
    TooMany(Option<u64>),
}

impl Refusal {
    /// A bare object, a string, or no JSON at all where an array is due.
    pub(super) fn not_an_array() -> Self {
        let text = "Cannot deserialize the current JSON object because the type requires a JSON array (e.g. [1,2,3]) \
                    to deserialize correctly.";
        Self::Told(400, json!({"": [text]}))
    }

    /// `{"ClassName": …, "Message": …}`.
    pub(super) fn exception(status: u16, message: &str) -> Self {
        Self::Told(status, json!({"ClassName": "System.Exception", "Message": message}))
    }

    /// `{"Message": …}`.
    pub(super) fn message(status: u16, message: &str) -> Self {
        Self::Told(status, json!({"Message": message}))
    }

    /// `{"resultCode": …, "errorMessage": …}`.
    pub(super) fn result(status: u16, message: &str) -> Self {
        Self::Told(status, json!({"resultCode": -1, "errorMessage": message}))
    }

    /// A plain JSON string.
    pub(super) fn text(status: u16, message: &str) -> Self {
        Self::Told(status, json!(message))
    }

    /// The validation object of the platform.
    pub(super) fn field(name: &str, value: &Value) -> Self {
        let text = format!("Input string '{value}' is not a valid integer.");
        Self::Told(
            400,
            json!({"title": "One or more validation errors occurred.", "status": 400, "errors": {name: [text]}}),
        )
    }

    /// As the token endpoint refuses.
    pub(super) fn oauth(status: u16, error: &str, description: &str) -> Self {
        Self::Told(status, json!({"error": error, "error_description": description}))
    }

    pub(super) fn no_endpoint() -> Self {
        Self::Told(404, json!({"Message": "No HTTP resource was found that matches the request URI."}))
    }

    /// For callers inside the simulator.
    pub(super) fn words(&self) -> String {
        match self {
            Self::Told(status, body) => format!("{status} {body}"),
            Self::Empty(status) => status.to_string(),
            Self::TooMany(_) => "429".to_owned(),
        }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Told(status, body) => Self::json(status, &body),
            Refusal::Empty(status) => Self::empty(status),
            Refusal::TooMany(None) => Self::empty(429),
            Refusal::TooMany(Some(wait)) => Self::empty(429).with_header("Retry-After", wait.to_string()),
        }
    }
}
