//! Who is looking: the session behind the cookie.

use actix_web::{
    HttpRequest, HttpResponse,
    cookie::{Cookie, SameSite, time::Duration},
};
use latchkey_contract::{PersonId, Secret};

use super::{Refusal, Web, from_here};
use crate::{
    people::{SignedIn, form_fits},
    store::Session,
};

/// The session cookie. The prefix makes browsers insist on `Secure`, on this host alone, and on the whole site.
pub const COOKIE: &str = "__Host-latchkey";

/// Somebody who is signed in.
#[derive(Debug)]
pub(super) struct Visitor {
    pub(super) session: Session,
    pub(super) name: String,
}

/// What every page of somebody who is signed in needs.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) name: String,
    pub(super) form_token: String,
}

impl Visitor {
    /// Whoever holds the cookie; otherwise they are sent to sign in, and come back.
    pub(super) async fn of(request: &HttpRequest, web: &Web) -> Result<Self, Refusal> {
        let session = match token(request) {
            Some(token) => web.people.session(token.expose()).await?,
            None => None,
        };
        let session = session.ok_or_else(|| Refusal::SignIn { next: request.path().to_owned() })?;
        let name = web.live.known().rules.records.person(&session.person).map(|person| person.name.clone());
        Ok(Self { name: name.unwrap_or_else(|| session.person.to_string()), session })
    }

    /// The same, for a POST: it must come from our own page, and carry the session's form token.
    pub(super) async fn posting(request: &HttpRequest, web: &Web, form_token: &str) -> Result<Self, Refusal> {
        from_here(request, web)?;
        let visitor = Self::of(request, web).await?;
        if !form_fits(&visitor.session, form_token) {
            tracing::warn!(person = %visitor.session.person, "a form was refused: it does not carry this session's token");
            return Err(Refusal::Form);
        }
        Ok(visitor)
    }

    pub(super) const fn person(&self) -> &PersonId {
        &self.session.person
    }

    pub(super) fn frame(&self) -> Option<Frame> {
        Some(Frame { name: self.name.clone(), form_token: self.session.form_token.clone() })
    }
}

pub(super) fn token(request: &HttpRequest) -> Option<Secret<String>> {
    request.cookie(COOKIE).map(|cookie| Secret::new(cookie.value().to_owned()))
}

/// `Lax`, not `Strict`: the claim link is clicked in the PSA's pages, and must find the session. Nothing changes by
/// GET, and a POST from another site carries no `Lax` cookie.
pub(super) fn remember(answer: &mut HttpResponse, signed_in: &SignedIn) {
    set(answer, Cookie::build(COOKIE, signed_in.token.expose().clone()));
}

pub(super) fn forget(answer: &mut HttpResponse) {
    set(answer, Cookie::build(COOKIE, "").max_age(Duration::ZERO));
}

fn set(answer: &mut HttpResponse, cookie: actix_web::cookie::CookieBuilder<'_>) {
    let cookie = cookie.path("/").secure(true).http_only(true).same_site(SameSite::Lax).finish();
    answer.add_cookie(&cookie).expect("a token of letters and digits is a cookie value");
}
