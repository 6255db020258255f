//! More time for access that lives: decided anew by the rules of a request, and never for longer in all than those let it be.

use latchkey_contract::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    Decision, Grant, Holds, Length, Refusal, Request, State,
    choose::limit,
    decide::{Living, Terms, decide, refuse},
    follow::{Seen, departed},
};
use crate::rulebook::{Mapping, Rules};

/// More time that was allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extending {
    /// The end that it will have.
    pub until: Timestamp,
    /// No access past this: what the directory's own end is counted from.
    pub latest_end: Timestamp,
}

/// The request that would ask for this access now: what its ticket's fields chose then is what the grant was given as.
#[must_use]
pub fn anew(grant: &Grant, mapping: &Mapping, request: Request) -> Request {
    let is_chosen = mapping.policy_field.is_some() && mapping.policies.contains(&grant.policy.id);
    Request {
        policy_field: is_chosen.then(|| grant.policy.id.to_string()),
        length_field: None,
        reason_field: Some(grant.reason.clone()).filter(|reason| !reason.is_empty()),
        user_name_field: None,
        ..request
    }
}

/// Decides about more time. Reads nothing but its arguments; `living` does not count this grant as one that stands in the
/// way. What would have to wait for approvers is refused: it has to be asked for like any other access. So is more time for a
/// ticket that has left what it asked for, though no grace was told because access ends before it would.
///
/// # Errors
/// The refusal. The end stands.
pub fn extend(
    rules: &Rules,
    holds: &Holds,
    (grant, seen): (&Grant, &Seen<'_>),
    (request, living): (&Request, &Living),
    by: Length,
) -> Result<Extending, Refusal> {
    let rule = format!("grant {}", grant.id);
    let now = request.decided_at;
    let (since, until, latest_end) = match &grant.state {
        State::Active { since, until, latest_end, .. } if grant.due_at().is_some_and(|due| now < due) => {
            (*since, *until, *latest_end)
        }
        _ => return Err(refuse("not-active", rule, "only access that is active can last longer")),
    };
    if grant.leaving.is_some() || departed(grant, seen).is_some() {
        let sentence = "the ticket is not as it was when it asked; put that right first";
        return Err(refuse("not-active", rule, sentence));
    }
    if grant.extending.is_some() {
        return Err(refuse("extending-already", rule, "an extension is under way already; ask again when it is done"));
    }
    let terms = match decide(rules, holds, request, living) {
        Decision::Grant(terms) => terms,
        Decision::Refuse(refusal) => return Err(refusal),
        Decision::Wait(_, pulled) => {
            let brakes = pulled.iter().map(|id| format!("brake {id}")).collect::<Vec<_>>().join(", ");
            let sentence = "more is being asked for than usual, so approvers would have to let it pass; ask anew with the \
                            ticket when this access has ended";
            return Err(refuse("brake-pulled", brakes, sentence));
        }
    };
    if !is_same(grant, &terms) {
        let sentence =
            "what this access gives has changed since it was given; ask anew with the ticket when it has ended";
        return Err(refuse("access-changed", format!("policy {}", grant.policy.id), sentence));
    }
    let most = since + longest(rules, &terms).unwrap_or(grant.length).duration();
    let asked = until + by.duration();
    if asked > most {
        let sentence = format!(
            "{by} more would be longer in all than {} lets it be; it can last until {} at most",
            terms.limited_by,
            most.for_people()
        );
        return Err(refuse("length-not-allowed", terms.limited_by, sentence));
    }
    Ok(Extending { until: asked, latest_end: asked.max(latest_end) })
}

/// The same access would be given now.
fn is_same(grant: &Grant, terms: &Terms) -> bool {
    let (was, is) = (&grant.policy, &terms.policy);
    terms.person == grant.person
        && terms.customer == grant.customer
        && terms.directory == grant.directory
        && is.id == was.id
        && is.mode == was.mode
        && is.entitlements == was.entitlements
}

fn longest(rules: &Rules, terms: &Terms) -> Option<Length> {
    let mapping = rules.rulebook.mapping(&terms.mapping)?;
    let (person, customer) = (rules.records.person(&terms.person)?, rules.records.customer(&terms.customer)?);
    Some(limit(rules, mapping, &terms.policy, person, customer).length)
}
