//! Headers on every answer. Nothing is loaded but our own style sheet, nothing frames us, nothing is kept.

use actix_web::middleware::DefaultHeaders;

/// No script at all: the pages work without.
const CSP: &str = "default-src 'none'; style-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// `same-origin` and not `no-referrer`: with the latter, browsers send `Origin: null` with our own forms, which could
/// then not be told from a stranger's. To other sites both send nothing.
const REFERRER: &str = "same-origin";

pub(super) fn security() -> DefaultHeaders {
    DefaultHeaders::new()
        .add(("Strict-Transport-Security", "max-age=31536000"))
        .add(("Content-Security-Policy", CSP))
        .add(("X-Content-Type-Options", "nosniff"))
        .add(("X-Frame-Options", "DENY"))
        .add(("Referrer-Policy", REFERRER))
        .add(("Cross-Origin-Opener-Policy", "same-origin"))
        .add(("Cross-Origin-Resource-Policy", "same-origin"))
        .add(("Permissions-Policy", "camera=(), geolocation=(), microphone=()"))
        .add(("Cache-Control", "no-store"))
}
