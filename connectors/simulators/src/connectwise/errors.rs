//! The vendor's refusals, in the vendor's shape: status, code, message, inner errors.
//!
//! Texts seen in captures are used word for word; where only the code is known the text is ours
//! and nobody may depend on it.

use serde_json::{Value, json};

use crate::server::Response;

/// A refused call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    body: Value,
}

/// One entry of the envelope's `errors`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FieldError {
    code: &'static str,
    message: String,
    field: String,
}

impl FieldError {
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { code: "InvalidField", message: message.into(), field: field.into() }
    }

    pub(super) fn invalid_object(field: &str, message: impl Into<String>) -> Self {
        Self { code: "InvalidObject", message: message.into(), field: field.into() }
    }

    pub(super) fn missing(field: &str) -> Self {
        Self { code: "MissingRequiredField", message: format!("The {field} field is required."), field: field.into() }
    }

    pub(super) fn not_found(field: &str, message: impl Into<String>) -> Self {
        Self { code: "NotFound", message: message.into(), field: field.into() }
    }

    pub(super) fn exists(field: &str, message: impl Into<String>) -> Self {
        Self { code: "ObjectExists", message: message.into(), field: field.into() }
    }

    /// Whether it concerns this property or one below it.
    pub(super) fn is_about(&self, field: &str) -> bool {
        self.field.split('/').next() == Some(field)
    }

    /// A 400 with this single error.
    pub(super) fn of(self, resource: &str) -> Refusal {
        Refusal::invalid(resource, &[self])
    }
}

impl Refusal {
    /// 400: `<resource> object is invalid`.
    pub(super) fn invalid(resource: &str, errors: &[FieldError]) -> Self {
        let errors: Vec<Value> = errors
            .iter()
            .map(|e| json!({"code": e.code, "message": e.message, "resource": resource, "field": e.field}))
            .collect();
        let message = format!("{resource} object is invalid");
        Self { status: 400, body: json!({"code": "InvalidObject", "message": message, "errors": errors}) }
    }

    /// 400 about the request as a whole: an unreadable body, a bad condition, a bad page.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::plain(400, "InvalidRequest", message)
    }

    pub(super) fn unreadable_body() -> Self {
        Self::bad_request("The request body is not valid JSON of the expected shape.")
    }

    /// 401 without or with unreadable credentials, or without a `clientId`.
    pub(super) fn unauthorized(status: u16, message: &str) -> Self {
        Self::plain(status, "Unauthorized", message)
    }

    /// 401 with credentials nobody has.
    pub(super) fn not_authenticated() -> Self {
        Self::plain(401, "ConnectWiseApi", "UserNotAuthenticated")
    }

    /// 403 for want of a right; the vendor's text is not known.
    pub(super) fn forbidden(function: &str) -> Self {
        Self::plain(
            403,
            "Forbidden",
            format!("You do not have security permission to perform this action: {function}."),
        )
    }

    /// 404: `Ticket 4711 not found`.
    pub(super) fn not_found(noun: &str, id: impl std::fmt::Display) -> Self {
        Self::plain(404, "NotFound", format!("{noun} {id} not found"))
    }

    pub(super) fn no_endpoint() -> Self {
        Self::plain(404, "ConnectWiseApi", "The endpoint does not exist.")
    }

    pub(super) fn wrong_method(method: &str) -> Self {
        let message = format!("The requested resource does not support http method '{method}'.");
        Self::plain(405, "ConnectWiseApi", message)
    }

    pub(super) fn unsupported_media(media_type: &str) -> Self {
        let message = format!("The request entity's media type '{media_type}' is not supported for this resource.");
        Self::plain(415, "UnsupportedMediaType", message)
    }

    /// The message, for callers inside the simulator.
    pub(super) fn text(&self) -> String {
        self.body.to_string()
    }

    fn plain(status: u16, code: &str, message: impl Into<String>) -> Self {
        Self { status, body: json!({"code": code, "message": message.into()}) }
    }
}

impl From<Refusal> for Response {
    fn from(refusal: Refusal) -> Self {
        Response::json(refusal.status, &refusal.body)
    }
}
