//! The vendor's refusals: HTTP 500 with `{"errors":["…"]}` for almost everything.
//!
//! Texts seen by integrators are used word for word; others are ours and nobody may depend on them.

use serde_json::json;

use crate::server::Response;

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Bad credentials: 401 with nothing in it.
    Unauthorized,
    /// No such path.
    NoRoute,
    /// The path is there, the verb is not.
    WrongVerb(String),
    /// 500 with these sentences.
    Said(Vec<String>),
    /// Another status with this sentence.
    With(u16, String),
}

impl Refusal {
    pub(super) fn said(text: impl Into<String>) -> Self {
        Self::Said(vec![text.into()])
    }

    pub(super) fn required(field: &str) -> Self {
        Self::said(format!("Required field {field} is missing."))
    }

    pub(super) fn picklist(value: &serde_json::Value, field: &str) -> Self {
        Self::said(format!("Picklist value [{value}] does not exist for {field}."))
    }

    pub(super) fn reference(field: &str, entity: &str) -> Self {
        Self::said(format!("Reference value on field: {field} of type: {entity} does not exist or is invalid."))
    }

    pub(super) fn no_record() -> Self {
        Self::said(
            "No matching records found. The logged in Resource may not have the required permissions to delete the data.",
        )
    }

    pub(super) fn no_permission() -> Self {
        Self::said("The logged in Resource does not have the adequate permissions to perform this action.")
    }

    pub(super) fn threads(status: u16) -> Self {
        Self::With(status, "Thread Threshold Exceeded. Error code: Itgenatr005".to_owned())
    }

    pub(super) fn hourly(status: u16) -> Self {
        let text = "You have exceeded the maximum number of requests per hour; the API is suspended for this database.";
        Self::With(status, text.to_owned())
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Unauthorized => Self::empty(401).with_header("Content-Length", "0"),
            Refusal::NoRoute => Self::empty(404),
            Refusal::WrongVerb(verb) => {
                let text = format!("The requested resource does not support http method '{verb}'.");
                Self::json(405, &json!({ "Message": text }))
            }
            Refusal::Said(errors) => Self::json(500, &json!({ "errors": errors })),
            Refusal::With(status, text) => Self::json(status, &json!({ "errors": [text] })),
        }
    }
}
