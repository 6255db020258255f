//! `/`: my access. A person's own grants, newest first.

use actix_web::{HttpRequest, HttpResponse, http::StatusCode, web};
use askama::Template;
use latchkey_contract::{Timestamp, text::one_line};

use super::{Frame, Refusal, Visitor, Web, page, when};
use crate::{
    access::{Grant, State},
    rulebook::Records,
};

const SHOWN: u32 = 50;

/// A grant as it is shown in a line.
#[derive(Debug)]
pub(super) struct GrantLine {
    pub(super) id: String,
    pub(super) customer: String,
    pub(super) policy: String,
    pub(super) ticket: String,
    pub(super) state: Badge,
    pub(super) when: String,
}

/// A state, in a word and a colour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Badge {
    pub(super) label: &'static str,
    pub(super) tone: &'static str,
}

#[derive(Template)]
#[template(path = "access.html")]
struct AccessPage {
    visitor: Option<Frame>,
    grants: Vec<GrantLine>,
}

pub(super) async fn show(request: HttpRequest, web: web::Data<Web>) -> Result<HttpResponse, Refusal> {
    let visitor = Visitor::of(&request, &web).await?;
    let grants = web.store.grants_of_person(visitor.person(), SHOWN).await?;
    let (live, now) = (web.live.known(), web.clock.now());
    let grants = grants.iter().map(|grant| GrantLine::of(grant, &live.rules.records, now)).collect();
    Ok(page(StatusCode::OK, &AccessPage { visitor: visitor.frame(), grants }))
}

impl GrantLine {
    pub(super) fn of(grant: &Grant, records: &Records, now: Timestamp) -> Self {
        let customer = records.customer(&grant.customer).map(|c| c.name.clone());
        Self {
            id: grant.id.to_string(),
            customer: one_line(&customer.unwrap_or_else(|| grant.customer.to_string()), 80),
            policy: one_line(&grant.policy.name, 80),
            ticket: grant.ticket.ticket.to_string(),
            state: badge(&grant.state),
            when: when(&grant.state, now),
        }
    }
}

const fn badge(state: &State) -> Badge {
    let (label, tone) = match state {
        State::Held { .. } => ("Waits for approval", "wait"),
        State::Granting { .. } => ("Being made ready", "wait"),
        State::Delivering { .. } => ("Ready", "good"),
        State::Active { .. } => ("Active", "good"),
        State::Ending { .. } => ("Being taken away", "wait"),
        State::Ended { .. } => ("Ended", "mute"),
        State::Refused { .. } => ("Refused", "bad"),
        State::Denied { .. } => ("Denied", "bad"),
        State::Lapsed { .. } => ("Lapsed", "mute"),
    };
    Badge { label, tone }
}

fn when(state: &State, now: Timestamp) -> String {
    match state {
        State::Held { until, .. } if *until > now => format!("lapses in {}", when::long(until.since(now))),
        State::Held { until, .. } => format!("lapses {}", until.for_people()),
        State::Granting { latest_end, .. } | State::Delivering { latest_end, .. } => {
            format!("until {} at the latest", latest_end.for_people())
        }
        State::Active { until, .. } if *until > now => format!("{} left", when::long(until.since(now))),
        State::Active { until, .. } => format!("until {}", until.for_people()),
        State::Ending { since, .. } => format!("since {}", since.for_people()),
        State::Ended { proof, .. } => proof.seen_at().for_people(),
        State::Refused { at, .. } | State::Denied { at, .. } | State::Lapsed { at } => at.for_people(),
    }
}
