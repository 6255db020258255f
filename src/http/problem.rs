//! The closed list of problems that machines are told, as `application/problem+json` (RFC 9457). Details go to the log.

use std::time::Duration;

use actix_web::{
    HttpResponse,
    http::{StatusCode, header},
};

use crate::store::StoreError;

/// What a caller is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Problem {
    /// Everything that does not prove who it is: one answer for all.
    Unproven,
    /// The body is larger than is read.
    TooLarge,
    /// The body did not come, or not in time.
    Incomplete,
    /// A body with `Content-Encoding`.
    Encoded,
    /// The same message id with another body.
    OtherBody,
    /// Too many unproven requests from this source.
    TooMany(Duration),
    /// Not now; nothing was recorded.
    Busy(Duration),
    /// No such page or thing.
    NotFound,
    /// Not by this method.
    Method,
}

impl Problem {
    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Self::Unproven => (401, "unproven", "The request does not prove where it comes from."),
            Self::TooLarge => (413, "too-large", "The body is larger than is accepted."),
            Self::Incomplete => (408, "incomplete", "The body did not arrive whole and in time."),
            Self::Encoded => (415, "encoded", "Encoded bodies are not accepted; send the body as it is."),
            Self::OtherBody => (409, "other-body", "This message was received before with another body."),
            Self::TooMany(_) => (429, "too-many", "Too many unproven requests; try again later."),
            Self::Busy(_) => (503, "busy", "Nothing was recorded; try again later."),
            Self::NotFound => (404, "not-found", "There is nothing here."),
            Self::Method => (405, "method", "Not by this method."),
        }
    }

    /// The stable code, for metrics.
    pub(super) const fn code(self) -> &'static str {
        self.parts().1
    }

    pub(super) fn answer(self) -> HttpResponse {
        let (status, code, title) = self.parts();
        let mut answer = HttpResponse::build(StatusCode::from_u16(status).expect("a constant status code"));
        if let Self::Busy(wait) | Self::TooMany(wait) = self {
            answer.insert_header((header::RETRY_AFTER, wait.as_secs().max(1).to_string()));
        }
        if self == Self::Unproven {
            // Whether the body was read must not show: an unread one closes the connection.
            answer.insert_header((header::WWW_AUTHENTICATE, "Signature")).force_close();
        }
        // Nothing in these texts needs an escape.
        let body = format!(r#"{{"type":"about:blank","title":"{title}","status":{status},"code":"{code}"}}"#);
        answer.insert_header((header::CONTENT_TYPE, "application/problem+json")).body(body)
    }
}

impl From<StoreError> for Problem {
    /// Nothing was recorded, whatever the reason: the sender should try again. The log says why, once, here.
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Busy => tracing::warn!("the database is busy"),
            error => tracing::error!(error = &error as &dyn std::error::Error, "the database failed"),
        }
        Self::Busy(Duration::from_secs(5))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::body::to_bytes;

    use super::*;

    #[actix_web::test]
    async fn a_problem_has_a_code_and_tells_nothing_more() {
        let soon = Duration::from_secs(1);
        for (problem, status) in [
            (Problem::Unproven, 401_u16),
            (Problem::TooLarge, 413),
            (Problem::Incomplete, 408),
            (Problem::Encoded, 415),
            (Problem::OtherBody, 409),
            (Problem::TooMany(soon), 429),
            (Problem::Busy(soon), 503),
            (Problem::NotFound, 404),
            (Problem::Method, 405),
        ] {
            let (answer, code) = (problem.answer(), problem.code());
            assert_eq!(answer.status(), status, "{code}");
            assert_eq!(answer.headers().get("content-type").unwrap(), "application/problem+json");
            let body: serde_json::Value = serde_json::from_slice(&to_bytes(answer.into_body()).await.unwrap()).unwrap();
            assert!(body["code"] == code && body["status"] == status, "{body}");
            assert!(body["type"] == "about:blank" && body["title"].is_string(), "{body}");
            assert_eq!(body.as_object().unwrap().len(), 4, "{body}");
        }
    }

    #[actix_web::test]
    async fn whatever_the_database_says_the_sender_is_asked_to_come_again() {
        for error in [StoreError::Busy, StoreError::Full, StoreError::Conflict] {
            let answer = Problem::from(error).answer();
            assert_eq!(answer.status(), 503);
            assert_eq!(answer.headers().get("retry-after").unwrap(), "5");
        }
    }
}
