//! `/enroll/{token}`: somebody who was invited chooses a password and gets a secret for their app.
//!
//! Three steps: a look, which changes nothing; a password, answered with the secret; a code, which enrols. The token is
//! never logged, and no page here sends its own address along to anybody. Every link that is not good is answered alike.

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use askama::Template;
use latchkey_contract::{PersonId, Secret, text::one_line};
use qrcode::{EcLevel, QrCode, render::svg};
use serde::Deserialize;

use super::{Frame, Refusal, Web, from_here, go, page};
use crate::people::{InvitationError, Invited, OneTime};

/// The page's address is worth an account: other than everywhere else, not even our own pages are told it. (With
/// `no-referrer` browsers would send `Origin: null` with our own form.)
const REFERRER: &str = "strict-origin";

/// Where one comes out: no token stands in this address.
pub(super) const DONE: &str = "/enrolled";

const THROTTLED: &str = "Too many failed attempts. Wait a quarter of an hour, then try again.";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PasswordForm {
    password: String,
    again: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CodeForm {
    code: String,
}

#[derive(Template)]
#[template(path = "enroll_password.html")]
struct PasswordPage<'a> {
    visitor: Option<Frame>,
    message: Option<String>,
    token: &'a str,
    person: &'a PersonId,
    name: &'a str,
}

#[derive(Template)]
#[template(path = "enroll_code.html")]
struct CodePage<'a> {
    visitor: Option<Frame>,
    message: Option<&'a str>,
    token: &'a str,
    person: &'a PersonId,
    qr: String,
    secret: String,
    link: Secret<String>,
}

#[derive(Template)]
#[template(path = "enrolled.html")]
struct DonePage {
    visitor: Option<Frame>,
}

pub(super) async fn show(token: web::Path<String>, web: web::Data<Web>) -> Result<HttpResponse, Refusal> {
    let token = Secret::new(token.into_inner());
    match web.people.invited(&token).await {
        Ok(person) => Ok(password_page(&web, &token, &person, StatusCode::OK, None)),
        Err(error) => refuse(error),
    }
}

pub(super) async fn choose(
    request: HttpRequest,
    token: web::Path<String>,
    form: web::Form<PasswordForm>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    from_here(&request, &web)?;
    let token = Secret::new(token.into_inner());
    let PasswordForm { password, again } = form.into_inner();
    let (password, again) = (Secret::new(password), Secret::new(again));
    let again_please = async |message: String| match web.people.invited(&token).await {
        Ok(person) => Ok(password_page(&web, &token, &person, StatusCode::UNPROCESSABLE_ENTITY, Some(message))),
        Err(error) => refuse(error),
    };
    if !password.matches(again.expose().as_bytes()) {
        return again_please("The two differ. Type the same password twice.".to_owned()).await;
    }
    match web.people.choose(&token, password, web.proxies.source(&request)).await {
        Ok(invited) => Ok(code_page(&token, &invited, StatusCode::OK, None)),
        Err(InvitationError::Password(why)) => again_please(sentence(&why.to_string())).await,
        Err(error) => refuse(error),
    }
}

pub(super) async fn confirm(
    request: HttpRequest,
    token: web::Path<String>,
    form: web::Form<CodeForm>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    from_here(&request, &web)?;
    let token = Secret::new(token.into_inner());
    match web.people.confirm(&token, &form.code, web.proxies.source(&request)).await {
        Ok(_) => Ok(go(DONE)),
        Err(InvitationError::Code(invited)) => {
            let message = "That code does not fit. Take the one that the app shows now; if it stays wrong, check that \
                           the phone sets its clock by itself.";
            Ok(code_page(&token, &invited, StatusCode::FORBIDDEN, Some(message)))
        }
        Err(error) => refuse(error),
    }
}

pub(super) async fn done() -> HttpResponse {
    page(StatusCode::OK, &DonePage { visitor: None })
}

fn refuse(error: InvitationError) -> Result<HttpResponse, Refusal> {
    match error {
        InvitationError::Store(error) => Err(error.into()),
        InvitationError::Throttled => {
            let message = super::Message { visitor: None, title: "Not now", text: THROTTLED };
            Ok(quiet(page(StatusCode::TOO_MANY_REQUESTS, &message)))
        }
        InvitationError::NotGood | InvitationError::Password(_) | InvitationError::Code(_) => {
            let text = "This link is not good, or not good any more. It works once, within a day, and the newest one \
                        alone. Ask whoever runs Latchkey for another.";
            let message = super::Message { visitor: None, title: "This link does not work", text };
            Ok(quiet(page(StatusCode::NOT_FOUND, &message)))
        }
    }
}

fn password_page(
    web: &Web,
    token: &Secret<String>,
    person: &PersonId,
    status: StatusCode,
    message: Option<String>,
) -> HttpResponse {
    let live = web.live.known();
    let name = live.rules.records.person(person).map_or_else(String::new, |person| one_line(&person.name, 80));
    let shown = PasswordPage { visitor: None, message, token: token.expose(), person, name: &name };
    quiet(page(status, &shown))
}

fn code_page(token: &Secret<String>, invited: &Invited, status: StatusCode, message: Option<&str>) -> HttpResponse {
    let Invited { person, one_time } = invited;
    let shown = CodePage {
        visitor: None,
        message,
        token: token.expose(),
        person,
        qr: qr(one_time),
        secret: in_fours(one_time.base32().expose()),
        link: one_time.uri(),
    };
    quiet(page(status, &shown))
}

/// As a picture within the page: no file of it is served, and no other host draws it.
fn qr(one_time: &OneTime) -> String {
    let code = QrCode::with_error_correction_level(one_time.uri().expose(), EcLevel::M);
    let code = code.expect("an address of a hundred letters fits into a QR code");
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(200, 200).build();
    drawn.find("<svg").map_or_else(String::new, |from| drawn[from..].to_owned())
}

/// For reading and typing: `ABCD EFGH …`.
fn in_fours(text: &str) -> String {
    let letters: Vec<char> = text.chars().collect();
    letters.chunks(4).map(|four| four.iter().collect::<String>()).collect::<Vec<_>>().join(" ")
}

fn sentence(text: &str) -> String {
    let mut letters = text.chars();
    let first = letters.next().map(|c| c.to_uppercase().collect::<String>()).unwrap_or_default();
    format!("{first}{}.", letters.as_str())
}

fn quiet(mut answer: HttpResponse) -> HttpResponse {
    answer.headers_mut().insert(header::REFERRER_POLICY, header::HeaderValue::from_static(REFERRER));
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_picture_is_an_inline_one_without_style_or_script() {
        let drawn = qr(&OneTime::generate(&"jdoe".parse().unwrap()));
        assert!(drawn.starts_with("<svg") && drawn.ends_with("</svg>"), "{drawn}");
        for never in ["style", "script", "href", "<image"] {
            assert!(!drawn.contains(never), "{never}");
        }
        assert_eq!(in_fours("ABCDEFGHIJ"), "ABCD EFGH IJ");
        assert_eq!(sentence("the password is too short"), "The password is too short.");
    }
}
