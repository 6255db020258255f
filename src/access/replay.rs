//! Would other rules have decided otherwise? Decisions are stored with their whole input, so they can be made again.

use std::fmt;

use latchkey_contract::{BrakeId, PersonId, TicketRef, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Decision, Holds, Request,
    decide::{Living, decide},
    request::Actor,
};
use crate::rulebook::Rules;

/// A decision as it is kept: its whole input.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decided {
    /// What was asked.
    pub request: Request,
    /// What lived then.
    pub living: Living,
}

/// A decision that other rules turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Turned {
    /// Whose request.
    pub ticket: TicketRef,
    /// Who asked, where that was known.
    pub person: Option<PersonId>,
    /// When it was decided.
    pub at: Timestamp,
    /// What the one rules say of it.
    pub was: String,
    /// What the others say.
    pub would_be: String,
}

impl fmt::Display for Turned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { ticket, person, at, was, would_be } = self;
        let person = person.as_ref().map_or("somebody unknown", |p| p.as_str());
        write!(f, "{ticket}\t{person}\t{}\t{was} → {would_be}", at.for_people())
    }
}

/// Decides again by `before` and by `after`, and answers where they differ. What was decided at the time does not count:
/// since then more has changed than these rules. Nor does what passes: a lock or a block that stands now would hide on both
/// sides what comes when it is lifted, and so would a binding that was moved since.
#[must_use]
pub fn replay(before: &Rules, after: &Rules, decisions: &[Decided]) -> Vec<Turned> {
    let (mut before, mut after, holds) = (before.clone(), after.clone(), Holds::default());
    let turned = |Decided { request, living }: &Decided| {
        bind(&mut before, request);
        bind(&mut after, request);
        let was = decide(&before, &holds, request, living);
        let would_be = decide(&after, &holds, request, living);
        (!is_same(&was, &would_be)).then(|| Turned {
            ticket: request.ticket.clone(),
            person: request.actor.as_ref().ok().and_then(|a| a.person.clone()),
            at: request.decided_at,
            was: said(&was),
            would_be: said(&would_be),
        })
    };
    decisions.iter().filter_map(turned).collect()
}

/// The member who asked is who they were then, and has been for long.
fn bind(rules: &mut Rules, request: &Request) {
    let Ok(Actor { member: Some(member), person: Some(person), .. }) = &request.actor else { return };
    let psa = &request.ticket.connection;
    rules.records.unbind(psa, member);
    rules.records.bind(person, psa, member);
}

/// Brakes whose count of then says nothing under these rules: new ones, and those that count in another way. What they would
/// hold cannot be told from kept decisions.
#[must_use]
pub fn not_replayed(before: &Rules, after: &Rules) -> Vec<BrakeId> {
    let counts_alike = |id: &BrakeId| {
        let find = |rules: &Rules| rules.rulebook.brakes.iter().find(|b| b.id == *id).map(|b| (b.per, b.within));
        find(before) == find(after)
    };
    after.rulebook.brakes.iter().map(|b| b.id.clone()).filter(|id| !counts_alike(id)).collect()
}

/// The same for whoever asked: granted alike, waiting alike, or refused for the same reason.
fn is_same(a: &Decision, b: &Decision) -> bool {
    match (a, b) {
        (Decision::Grant(a), Decision::Grant(b)) | (Decision::Wait(a, _), Decision::Wait(b, _)) => {
            let gives = |terms: &super::decide::Terms| {
                let policy = &terms.policy;
                let what = (policy.id.clone(), policy.mode, policy.delivery, policy.entitlements.clone());
                (what, terms.length, terms.directory.clone())
            };
            gives(a) == gives(b)
        }
        (Decision::Refuse(a), Decision::Refuse(b)) => a.code == b.code,
        (Decision::Grant(_) | Decision::Wait(..) | Decision::Refuse(_), _) => false,
    }
}

/// A decision in half a line, with the rule that decided.
#[must_use]
pub fn said(decision: &Decision) -> String {
    match decision {
        Decision::Grant(terms) => {
            format!("granted {} by policy {}, limited by {}", terms.length, terms.policy.id, terms.limited_by)
        }
        Decision::Wait(terms, brakes) => {
            let brakes: Vec<&str> = brakes.iter().map(BrakeId::as_str).collect();
            format!("waits for approvers by brake {} (policy {})", brakes.join(", "), terms.policy.id)
        }
        Decision::Refuse(refusal) => format!("refused {} by {}", refusal.code, refusal.rule),
    }
}
