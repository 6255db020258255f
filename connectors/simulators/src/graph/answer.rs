//! What goes back: a reply, or a refusal in the vendor's error envelope.

use serde_json::{Value, json};

use super::time::{Ms, iso_seconds};

/// The code of nearly every plain 400 of the directory.
pub(super) const BAD_REQUEST: &str = "Request_BadRequest";
pub(super) const DENIED: &str = "Authorization_RequestDenied";
pub(super) const NOT_FOUND: &str = "Request_ResourceNotFound";
pub(super) const UNSUPPORTED: &str = "Request_UnsupportedQuery";

/// What a restricted management administrative unit adds to the refusal.
pub(super) const RESTRICTED: &str = "Insufficient privileges to complete the operation. Target object is a member of a restricted management administrative unit and can only be modified by administrators scoped to that administrative unit. Check that you are assigned a role that has permission to perform the operation for this restricted management administrative unit. Learn more: https://go.microsoft.com/fwlink/?linkid=2197831";

pub(super) type Answer = Result<Reply, Refusal>;

#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) body: Option<Value>,
    pub(super) headers: Vec<(&'static str, String)>,
}

impl Reply {
    pub(super) fn ok(body: Value) -> Answer {
        Ok(Self::plain(200, Some(body)))
    }

    pub(super) fn created(body: Value, location: String) -> Answer {
        let mut reply = Self::plain(201, Some(body));
        reply.headers.push(("Location", location));
        Ok(reply)
    }

    pub(super) fn no_content() -> Answer {
        Ok(Self::plain(204, None))
    }

    pub(super) fn plain(status: u16, body: Option<Value>) -> Self {
        Self { status, body, headers: Vec::new() }
    }
}

#[derive(Debug)]
pub(super) struct Refusal {
    status: u16,
    code: &'static str,
    message: String,
    details: Option<Value>,
    headers: Vec<(&'static str, String)>,
}

impl Refusal {
    pub(super) fn new(status: u16, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), details: None, headers: Vec::new() }
    }

    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, BAD_REQUEST, message)
    }

    pub(super) fn denied() -> Self {
        Self::new(403, DENIED, "Insufficient privileges to complete the operation.")
    }

    pub(super) fn restricted() -> Self {
        Self::new(403, DENIED, RESTRICTED)
    }

    pub(super) fn not_found(key: &str) -> Self {
        let message = format!(
            "Resource '{key}' does not exist or one of its queried reference-property objects are not present."
        );
        Self::new(404, NOT_FOUND, message)
    }

    pub(super) fn no_segment(name: &str) -> Self {
        let message = format!("Resource not found for the segment '{name}'.");
        Self::new(400, "BadRequest", message)
    }

    pub(super) fn invalid_token(message: &str) -> Self {
        Self::new(401, "InvalidAuthenticationToken", message).header("WWW-Authenticate", "Bearer realm=\"\"".into())
    }

    pub(super) fn taken(property: &str) -> Self {
        let message = format!("Another object with the same value for property {property} already exists.");
        let mut refusal = Self::bad_request(message.clone());
        refusal.details = Some(json!([
            {"code": "ObjectConflict", "target": property, "message": message}
        ]));
        refusal
    }

    pub(super) fn conflicting_object() -> Self {
        let message =
            "A conflicting object with one or more of the specified property values is present in the directory.";
        let mut refusal = Self::bad_request(message);
        refusal.details = Some(json!([
            {"code": "ConflictingObjects", "target": null, "message": message}
        ]));
        refusal
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }

    pub(super) fn into_reply(self, stamp: &Stamp) -> Reply {
        let inner = json!({
            "date": iso_seconds(stamp.now),
            "request-id": stamp.request_id,
            "client-request-id": stamp.client_request_id,
        });
        let mut error = json!({"code": self.code, "message": self.message});
        if let Some(details) = self.details {
            error["details"] = details;
        }
        error["innerError"] = inner;
        Reply { status: self.status, body: Some(json!({ "error": error })), headers: self.headers }
    }
}

/// What every answer repeats about its request.
#[derive(Debug, Clone)]
pub(super) struct Stamp {
    pub(super) now: Ms,
    pub(super) request_id: String,
    /// The caller's own id, or the request id when it sent none.
    pub(super) client_request_id: String,
}
