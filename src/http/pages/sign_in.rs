//! Signing in and out.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use latchkey_contract::Secret;
use serde::Deserialize;

use super::{Frame, Refusal, Visitor, Web, from_here, go, page, visitor};
use crate::people::{Attempt, SignInError};

const REFUSED: &str = "That does not fit. Check all three, and take a code that you have not used yet.";
const THROTTLED: &str = "Too many failed attempts. Wait a quarter of an hour, then try again.";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignInForm {
    person: String,
    password: String,
    code: String,
    #[serde(default)]
    next: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LeaveForm {
    form_token: String,
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage<'a> {
    visitor: Option<Frame>,
    message: Option<&'a str>,
    person: &'a str,
    next: &'a str,
}

/// Where one signs in, to come back to `next` afterwards.
pub(super) fn address(next: &str) -> String {
    match own_path(next) {
        "/" => "/sign-in".to_owned(),
        next => {
            let query = url::form_urlencoded::Serializer::new(String::new()).append_pair("next", next).finish();
            format!("/sign-in?{query}")
        }
    }
}

pub(super) async fn show(wanted: web::Query<Wanted>) -> HttpResponse {
    let next = own_path(&wanted.next);
    page(StatusCode::OK, &SignInPage { visitor: None, message: None, person: "", next })
}

pub(super) async fn enter(
    request: HttpRequest,
    form: web::Form<SignInForm>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    from_here(&request, &web)?;
    let SignInForm { person, password, code, next } = form.into_inner();
    let (person, next) = (person.trim().to_lowercase(), own_path(&next));
    let attempt = Attempt {
        person: person.clone(),
        password: Secret::new(password),
        code,
        address: web.proxies.source(&request),
    };
    let (status, message) = match web.people.sign_in(attempt).await {
        Ok(signed_in) => {
            if let Some(before) = visitor::token(&request) {
                web.people.sign_out(before.expose()).await?;
            }
            let mut answer = go(next);
            visitor::remember(&mut answer, &signed_in);
            return Ok(answer);
        }
        Err(SignInError::Refused) => (StatusCode::FORBIDDEN, REFUSED),
        Err(SignInError::Throttled) => (StatusCode::TOO_MANY_REQUESTS, THROTTLED),
        Err(SignInError::Store(error)) => return Err(error.into()),
    };
    let typed: String = person.chars().take(40).collect();
    Ok(page(status, &SignInPage { visitor: None, message: Some(message), person: &typed, next }))
}

pub(super) async fn leave(
    request: HttpRequest,
    form: web::Form<LeaveForm>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    let visitor = Visitor::posting(&request, &web, &form.form_token).await?;
    if let Some(token) = visitor::token(&request) {
        web.people.sign_out(token.expose()).await?;
    }
    tracing::info!(person = %visitor.person(), "signed out");
    let mut answer = go("/sign-in");
    visitor::forget(&mut answer);
    Ok(answer)
}

/// `next` if it is a path of our own site, else `/`: nobody is sent elsewhere by a crafted link.
fn own_path(next: &str) -> &str {
    let is_plain = next.len() <= 200 && next.bytes().all(|b| b.is_ascii_graphic() && b != b'\\');
    if is_plain && next.starts_with('/') && !next.starts_with("//") { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_signing_in_one_goes_to_our_own_pages_alone() {
        assert_eq!(own_path("/claim/01J8"), "/claim/01J8");
        for foreign in
            ["//evil.example", "/\\evil.example", "https://evil.example", "evil", "", "/a\r\nSet-Cookie: x", "/\t/evil"]
        {
            assert_eq!(own_path(foreign), "/", "{foreign:?}");
        }
        assert_eq!(address("/claim/01J8"), "/sign-in?next=%2Fclaim%2F01J8");
        assert_eq!(address("//evil.example"), "/sign-in");
    }
}
