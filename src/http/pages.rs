//! Pages for people: server-rendered, no script, each with a typed context. Everything shown is escaped by askama.
//!
//! Every page but sign-in and enrolment needs a session. Every POST needs the `Origin` of our own site and, where there is a session,
//! its form token. What somebody may not see is answered like what is not there.

mod access;
mod claim;
mod enroll;
mod reveal;
mod sign_in;
mod visitor;
mod when;

use actix_web::{
    HttpRequest, HttpResponse, ResponseError,
    error::UrlencodedError,
    http::{
        StatusCode,
        header::{self, ContentType},
    },
    web,
};
use askama::Template;

use super::{Web, problem::Problem};
use crate::store::StoreError;
pub use visitor::COOKIE;
use visitor::{Frame, Visitor};

/// The largest form that is read: the longest is the sign-in.
pub(super) const MAX_FORM_BYTES: usize = 8 * 1024;

pub(super) fn routes(app: &mut web::ServiceConfig) {
    let resource =
        |path: &str| web::resource(path.to_owned()).default_service(web::to(async || Problem::Method.answer()));
    app.service(resource("/style.css").route(web::get().to(style)))
        .service(resource("/").route(web::get().to(access::show)))
        .service(resource("/sign-in").route(web::get().to(sign_in::show)).route(web::post().to(sign_in::enter)))
        .service(resource("/sign-out").route(web::post().to(sign_in::leave)))
        .service(resource("/enroll/{token}").route(web::get().to(enroll::show)).route(web::post().to(enroll::choose)))
        .service(resource("/enroll/{token}/code").route(web::post().to(enroll::confirm)))
        .service(resource(enroll::DONE).route(web::get().to(enroll::done)))
        .service(resource("/claim/{grant}").route(web::get().to(claim::show)))
        .service(resource("/claim/{grant}/reveal").route(web::post().to(claim::reveal)))
        .service(resource("/claim/{grant}/extend").route(web::post().to(claim::extend)))
        .service(resource("/claim/{grant}/end").route(web::post().to(claim::end)))
        .default_service(web::to(async || Refusal::NotFound.error_response()));
}

/// A form that cannot be read, before any handler has it.
pub(super) fn bad_form(error: UrlencodedError, _: &HttpRequest) -> actix_web::Error {
    tracing::debug!(%error, "form refused");
    Refusal::Form.into()
}

/// Why a page is not shown. Nobody is told more than this.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// Nobody is signed in; afterwards they come back here.
    #[error("sign in first")]
    SignIn {
        /// Our own path.
        next: String,
    },
    /// Not there, or not theirs.
    #[error("not found")]
    NotFound,
    /// The form was not sent from our own page.
    #[error("foreign form")]
    Foreign,
    /// The form is of an older session, or not of the right shape.
    #[error("unusable form")]
    Form,
    /// The database failed.
    #[error("the page could not be made")]
    Store(#[from] StoreError),
}

impl ResponseError for Refusal {
    fn status_code(&self) -> StatusCode {
        match self {
            Self::SignIn { .. } => StatusCode::SEE_OTHER,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::Foreign => StatusCode::FORBIDDEN,
            Self::Form => StatusCode::BAD_REQUEST,
            Self::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    fn error_response(&self) -> HttpResponse {
        let (title, text) = match self {
            Self::SignIn { next } => return go(&sign_in::address(next)),
            Self::NotFound => ("Nothing here", "There is no such page, or it is not yours to see."),
            Self::Foreign => (
                "Not from here",
                "This form was not sent from Latchkey's own page. Open Latchkey by its usual address and try again.",
            ),
            Self::Form => (
                "That did not work",
                "The form could not be used, perhaps because you signed in again since. Go back, reload, and try again.",
            ),
            Self::Store(error) => {
                tracing::error!(error = error as &dyn std::error::Error, "page not made: the database failed");
                ("Not just now", "Latchkey cannot reach its database. Nothing was changed; try again in a moment.")
            }
        };
        page(self.status_code(), &Message { visitor: None, title, text })
    }
}

#[derive(Template)]
#[template(path = "message.html")]
struct Message<'a> {
    visitor: Option<Frame>,
    title: &'a str,
    text: &'a str,
}

/// Renders a page.
fn page(status: StatusCode, template: &impl Template) -> HttpResponse {
    match template.render() {
        Ok(html) => HttpResponse::build(status).content_type(ContentType::html()).body(html),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            HttpResponse::InternalServerError().content_type(ContentType::plaintext()).body("This page failed.\n")
        }
    }
}

/// After a POST, to a page of ours.
fn go(path: &str) -> HttpResponse {
    HttpResponse::SeeOther().insert_header((header::LOCATION, path)).finish()
}

/// Only forms of our own pages: browsers name the sending site in `Origin`, and nobody else can make them lie.
fn from_here(request: &HttpRequest, web: &Web) -> Result<(), Refusal> {
    let origin = request.headers().get(header::ORIGIN).and_then(|value| value.to_str().ok());
    if origin == Some(web.origin.as_str()) {
        return Ok(());
    }
    tracing::warn!(expected = web.origin, "a form was refused because it came from another site");
    Err(Refusal::Foreign)
}

async fn style() -> HttpResponse {
    HttpResponse::Ok()
        .content_type("text/css; charset=utf-8")
        .insert_header((header::CACHE_CONTROL, "public, max-age=3600"))
        .body(include_str!("pages/style.css"))
}
