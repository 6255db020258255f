//! `/claim/{grant}`: one grant, for its own requester and nobody else. GET shows everything but the secret.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use latchkey_contract::{GrantId, Timestamp, text::one_line};
use serde::Deserialize;

use super::{
    Frame, Refusal, Visitor, Web,
    access::GrantLine,
    go, page,
    reveal::{self, NotRevealed, Revealed},
    when,
};
use crate::{
    access::{Grant, Length, Proof, State},
    http::{EndError, ExtendError},
    people::CodeError,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RevealForm {
    form_token: String,
    code: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EndForm {
    form_token: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ExtendForm {
    form_token: String,
    length: String,
}

#[derive(Template)]
#[template(path = "claim.html")]
struct ClaimPage {
    visitor: Option<Frame>,
    form_token: String,
    grant: GrantLine,
    sentence: String,
    ticket_link: Option<String>,
    reason: String,
    asked_at: String,
    until: Option<String>,
    message: Option<String>,
    revealed: Option<Revealed>,
    ended: Option<Ended>,
    can_reveal: bool,
    can_end: bool,
    /// By how much it may be asked to last longer.
    longer: Vec<String>,
    refreshes: bool,
}

#[derive(Debug)]
struct Ended {
    seen_at: String,
    confirmed_at: String,
    sessions_cut: Option<String>,
    facts: Vec<String>,
    unchecked: Vec<String>,
    tokens_until: Option<String>,
}

pub(super) async fn show(
    request: HttpRequest,
    id: web::Path<String>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    let visitor = Visitor::of(&request, &web).await?;
    let grant = own_grant(&web, &id, &visitor).await?;
    Ok(page(StatusCode::OK, &claim_page(&web, &visitor, &grant)))
}

pub(super) async fn reveal(
    request: HttpRequest,
    id: web::Path<String>,
    form: web::Form<RevealForm>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    let visitor = Visitor::posting(&request, &web, &form.form_token).await?;
    let grant = own_grant(&web, &id, &visitor).await?;
    let blank = claim_page(&web, &visitor, &grant);
    let refuse = |status, message: &str| Ok(page(status, &ClaimPage { message: Some(message.to_owned()), ..blank }));
    let address = web.proxies.source(&request);
    match web.people.check_code(visitor.person(), &form.code, address).await {
        Ok(()) => {}
        Err(CodeError::Refused) => {
            let message = "That code does not fit. Take a fresh one that you have not used yet.";
            return refuse(StatusCode::FORBIDDEN, message);
        }
        Err(CodeError::Throttled) => {
            let message = "Too many failed codes. Wait a quarter of an hour, then try again.";
            return refuse(StatusCode::TOO_MANY_REQUESTS, message);
        }
        Err(CodeError::Store(error)) => return Err(error.into()),
    }
    match reveal::reveal(&web, &grant.id, visitor.person()).await {
        Ok((grant, revealed)) => {
            let shown = claim_page(&web, &visitor, &grant);
            let shown = ClaimPage { revealed: Some(revealed), can_reveal: false, refreshes: false, ..shown };
            Ok(page(StatusCode::OK, &shown))
        }
        Err(NotRevealed::NotNow(why)) => refuse(StatusCode::CONFLICT, &why),
        Err(NotRevealed::Store(error)) => Err(error.into()),
    }
}

pub(super) async fn end(
    request: HttpRequest,
    id: web::Path<String>,
    form: web::Form<EndForm>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    let visitor = Visitor::posting(&request, &web, &form.form_token).await?;
    let grant = own_grant(&web, &id, &visitor).await?;
    match web.ending.end(&grant.id, visitor.person()).await {
        Ok(()) => tracing::info!(grant.id = %grant.id, person = %visitor.person(), "ended by its person"),
        Err(EndError::NotLiving) => {}
        Err(EndError::Store(error)) => return Err(error.into()),
    }
    Ok(go(&format!("/claim/{}", grant.id)))
}

pub(super) async fn extend(
    request: HttpRequest,
    id: web::Path<String>,
    form: web::Form<ExtendForm>,
    web: web::Data<Web>,
) -> Result<HttpResponse, Refusal> {
    let visitor = Visitor::posting(&request, &web, &form.form_token).await?;
    let grant = own_grant(&web, &id, &visitor).await?;
    let length = Length::parse(&form.length).map_err(|_| Refusal::Form)?;
    let message = match web.ending.extend(&grant.id, visitor.person(), length).await {
        Ok(()) => return Ok(go(&format!("/claim/{}", grant.id))),
        Err(ExtendError::Refused(why)) => format!("Not extended: {}.", say(&why)),
        Err(ExtendError::Unanswered) => "Not extended: the ticket's PSA does not answer now. Try again.".to_owned(),
        Err(ExtendError::Store(error)) => return Err(error.into()),
    };
    let shown = ClaimPage { message: Some(message), ..claim_page(&web, &visitor, &grant) };
    Ok(page(StatusCode::CONFLICT, &shown))
}

/// Somebody else's grant is answered like one that does not exist, whoever asks.
async fn own_grant(web: &Web, id: &str, visitor: &Visitor) -> Result<Grant, Refusal> {
    let id = GrantId::parse(id).map_err(|_| Refusal::NotFound)?;
    let grant = web.store.grant(&id).await?.ok_or(Refusal::NotFound)?;
    if grant.person == *visitor.person() {
        return Ok(grant);
    }
    tracing::warn!(grant.id = %grant.id, person = %visitor.person(), "claim page refused: it is somebody else's grant");
    Err(Refusal::NotFound)
}

fn claim_page(web: &Web, visitor: &Visitor, grant: &Grant) -> ClaimPage {
    let (live, now) = (web.live.known(), web.clock.now());
    let end = grant.state.end();
    let is_ready = matches!(grant.state, State::Delivering { .. } | State::Active { .. });
    ClaimPage {
        visitor: visitor.frame(),
        form_token: visitor.session.form_token.clone(),
        grant: GrantLine::of(grant, &live.rules.records, now),
        sentence: match &grant.extending {
            Some(more) => format!(
                "You have this access. It is being extended until {}; until that is done, the end stands.",
                more.until.for_people()
            ),
            None => sentence(&grant.state),
        },
        ticket_link: web_link(&grant.ticket_link),
        reason: one_line(&grant.reason, 300),
        asked_at: grant.asked_at.for_people(),
        until: end.map(|end| when::around(end, now)),
        message: None,
        revealed: None,
        ended: match &grant.state {
            State::Ended { proof, .. } => Some(ended(web, grant, proof, now)),
            _ => None,
        },
        can_reveal: is_ready && end.is_some_and(|end| now < end),
        can_end: grant.state.is_living(),
        longer: longer(grant, now),
        refreshes: is_moving(&grant.state, now) || grant.extending.is_some(),
    }
}

/// What the policy lets be asked for and still leaves room for. Whether it may be had is decided when it is asked for.
fn longer(grant: &Grant, now: Timestamp) -> Vec<String> {
    let State::Active { since, until, .. } = &grant.state else { return Vec::new() };
    if grant.extending.is_some() || grant.leaving.is_some() || *until <= now {
        return Vec::new();
    }
    let most = *since + grant.policy.max_length.duration();
    let fits = |length: &&Length| *until + length.duration() <= most;
    grant.policy.lengths.iter().filter(fits).map(Length::to_string).collect()
}

/// States that pass soon are looked at again by the page itself: where there is nothing to type, and not for ever, since
/// a page left open must not keep its session alive.
fn is_moving(state: &State, now: Timestamp) -> bool {
    match state {
        State::Granting { .. } => true,
        State::Ending { since, .. } => now.since(*since).as_secs() < 600,
        _ => false,
    }
}

fn sentence(state: &State) -> String {
    match state {
        State::Held { until, waiting } => format!(
            "More is being asked for than usual: {} approvers have to let this pass, and {} did. It lapses at {}.",
            waiting.needed,
            waiting.approved.len(),
            until.for_people()
        ),
        State::Denied { why, .. } => format!("An approver said no: {}. Nothing was given.", say(why)),
        State::Lapsed { .. } => "It was not approved in time. Nothing was given.".to_owned(),
        State::Granting { .. } => "The account is being made ready. This page looks again by itself.".to_owned(),
        State::Delivering { .. } => "The account is ready.".to_owned(),
        State::Active { .. } => "You have this access. It is taken away by itself at the end.".to_owned(),
        State::Ending { cause, since } => {
            format!(
                "Being taken away since {}: {}. The proof appears here.",
                since.for_people(),
                say(&cause.sentence())
            )
        }
        State::Ended { cause, proof, .. } => {
            format!("Ended {}: {}.", proof.seen_at().for_people(), say(&cause.sentence()))
        }
        State::Refused { why, .. } => format!("Nothing was given: {}.", say(why)),
    }
}

fn say(sentence: &str) -> String {
    one_line(sentence, 300).trim_end_matches('.').to_owned()
}

fn ended(web: &Web, grant: &Grant, proof: &Proof, now: Timestamp) -> Ended {
    let tail = web.live.known().registry.directory(&grant.directory).ok().map(|directory| directory.token_tail());
    let tokens_until = proof.sessions_cut().zip(tail).map(|(cut, tail)| {
        let until = cut + tail;
        let may = if until > now { "may still work" } else { "may have worked" };
        format!("Access tokens that were issued before {may} until {}; no new ones can be had.", until.for_people())
    });
    Ended {
        seen_at: when::exact(proof.seen_at()),
        confirmed_at: when::exact(proof.confirmed_at()),
        sessions_cut: proof.sessions_cut().map(when::exact),
        facts: proof.facts().to_vec(),
        unchecked: proof.unchecked().to_vec(),
        tokens_until,
    }
}

/// A link that is safe to click: to a web page, and nothing else.
fn web_link(link: &str) -> Option<String> {
    let url = url::Url::parse(link).ok()?;
    matches!(url.scheme(), "https" | "http").then(|| url.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ticket_link_leads_to_a_web_page_or_nowhere() {
        assert!(web_link("https://na.myconnectwise.net/v4_6_release/services/x?t=1").is_some());
        assert_eq!(web_link("javascript:alert(1)"), None);
        assert_eq!(web_link("data:text/html,x"), None);
        assert_eq!(web_link("not a link"), None);
    }
}
