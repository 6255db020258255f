//! What becomes of a grant: one pure match, with what follows from each step.

use std::time::Duration;

use latchkey_contract::{PersonId, SecretId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Approval, Cause, Grant, State, Waiting, due_at};
use crate::{
    access::{Length, Proof, follow::Departure},
    rulebook::Role,
};

/// An account that is not handed over within this time is taken back.
pub const DELIVER_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What an end committed at Granting adds to the length, for the time that giving and telling may take.
pub const GIVING_MARGIN: Duration = Duration::from_secs(15 * 60);

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An approver let it pass. Whether they may is asked before ([`may_approve`]).
    Approved {
        /// Who.
        by: PersonId,
        /// The sealed password it will have, if this was the last approval needed.
        secret: SecretId,
    },
    /// An approver said no.
    Denied {
        /// Who.
        by: PersonId,
        /// Why: bounded.
        why: String,
    },
    /// The directory was seen to be as wanted.
    Reached,
    /// The person was told.
    Delivered,
    /// The person cannot be told, or what told them is burnt.
    DeliveryFailed {
        /// A sentence.
        why: String,
    },
    /// The account cannot become what it should be.
    GrantingFailed {
        /// A sentence.
        why: String,
        /// Nothing giving was ever sent for this grant.
        nothing_sent: bool,
    },
    /// The person, the ticket or a hold ends it.
    End(Cause),
    /// The ticket has left, and the grace is over.
    Left {
        /// How.
        how: Departure,
        /// Since when removal is owed.
        since: Timestamp,
    },
    /// The clock matters ([`due_at`] is reached).
    Due,
    /// The directory was read back and shows nothing left.
    Off(Proof),
}

/// What follows from a step; the caller commits it in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// The account's target changed.
    Converge,
    /// Hand the credentials over.
    Deliver,
    /// Tell the ticket, and set the status the mapping names for it.
    Tell(Telling),
    /// Overwrite what the credentials note said.
    TidyNote,
    /// Nobody may reveal it any more.
    DestroySecret(SecretId),
}

/// What the ticket is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Telling {
    /// Waits for approvers.
    Waiting,
    /// Asked, and being given.
    Received,
    /// Given: the one note that may hold credentials or the claim link.
    Granted,
    /// Not given, and why.
    Refused,
    /// An approver said no.
    Denied,
    /// Nobody answered in time.
    Lapsed,
    /// Being taken away early, because it could not be given or delivered.
    Failed,
    /// Taken away, with proof.
    Ended,
    /// Somebody gave it back outside Latchkey; it was cut again.
    CutAgain,
    /// Removal is overdue and goes on.
    Overdue,
    /// The ticket has left: access ends soon.
    Leaving,
    /// That was put right in time.
    GoesOn,
    /// Its time is over soon.
    EndsSoon,
    /// It goes on for longer.
    Extended,
    /// It was to go on for longer, and does not.
    NotExtended,
    /// What a command in a note comes to.
    Answered,
}

/// The state after an event, and what follows.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Where it stands now.
    pub state: State,
    /// What follows.
    pub effects: Vec<Effect>,
}

/// The event says nothing new in this state: an echo, or too late. Not an error to show anybody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the event does not apply to the grant's state")]
pub struct NotAllowed;

/// Where a grant begins: an end exists from the first moment.
#[must_use]
pub fn begin(secret: SecretId, length: Length, now: Timestamp) -> Step {
    let state = State::Granting { secret, latest_end: now + length.duration() + GIVING_MARGIN };
    Step { state, effects: vec![Effect::Converge, Effect::Tell(Telling::Received)] }
}

/// Where a request begins that has to wait for approvers.
#[must_use]
pub fn wait(waiting: Waiting, until: Timestamp) -> Step {
    Step { state: State::Held { until, waiting }, effects: vec![Effect::Tell(Telling::Waiting)] }
}

/// Whether somebody with this role may let this request pass.
///
/// # Errors
/// A sentence that says why not.
pub fn may_approve(grant: &Grant, by: &PersonId, role: Role) -> Result<(), &'static str> {
    let State::Held { waiting, .. } = &grant.state else { return Err("this request does not wait for approval") };
    if grant.person == *by {
        return Err("nobody approves a request of their own");
    }
    if !role.may_approve() {
        return Err("only approvers, admins and owners approve");
    }
    if waiting.approved.iter().any(|a| a.by == *by) {
        return Err("you have approved it already; another person has to approve it too");
    }
    Ok(())
}

/// Whether somebody with this role may say no to this request: as for a yes, and who said yes may think again.
///
/// # Errors
/// A sentence that says why not.
pub fn may_deny(grant: &Grant, by: &PersonId, role: Role) -> Result<(), &'static str> {
    match &grant.state {
        State::Held { waiting, .. } if grant.person != *by && waiting.approved.iter().any(|a| a.by == *by) => Ok(()),
        _ => may_approve(grant, by, role),
    }
}

/// The life cycle. Pure: the same state, event and time give the same step.
///
/// # Errors
/// [`NotAllowed`] when the event does not apply; the caller drops the event.
pub fn step(state: &State, length: Length, event: &Event, now: Timestamp) -> Result<Step, NotAllowed> {
    use State::{Active, Delivering, Denied, Ended, Ending, Granting, Held, Lapsed, Refused};
    match (state, event) {
        (Held { until, .. }, Event::Due | Event::Approved { .. }) if now >= *until => {
            Ok(Step { state: Lapsed { at: now }, effects: vec![Effect::Tell(Telling::Lapsed)] })
        }
        (Held { until, waiting }, Event::Approved { by, secret }) => approved(*until, waiting, by, secret, length, now),
        (Held { .. }, Event::Denied { by, why }) => Ok(Step {
            state: Denied { by: by.clone(), why: why.clone(), at: now },
            effects: vec![Effect::Tell(Telling::Denied)],
        }),
        (Held { .. }, Event::End(cause)) => Ok(Step {
            state: Refused { why: cause.sentence(), at: now },
            effects: vec![Effect::Tell(Telling::Refused)],
        }),
        (Held { .. }, Event::Left { how, .. }) => Ok(Step {
            state: Refused { why: how.sentence().to_owned(), at: now },
            effects: vec![Effect::Tell(Telling::Refused)],
        }),
        (Granting { latest_end, .. }, Event::Reached) if now >= *latest_end => Ok(late(state, now)),
        (Granting { secret, latest_end }, Event::Reached) => Ok(Step {
            state: Delivering { secret: secret.clone(), since: now, latest_end: *latest_end },
            effects: vec![Effect::Deliver],
        }),
        (Granting { secret, .. }, Event::GrantingFailed { why, nothing_sent: true }) => Ok(Step {
            state: Refused { why: why.clone(), at: now },
            effects: vec![Effect::DestroySecret(secret.clone()), Effect::Tell(Telling::Refused)],
        }),
        (Granting { .. }, Event::GrantingFailed { why, nothing_sent: false }) => {
            Ok(ending(state, Cause::GrantingFailed { why: why.clone() }, now))
        }
        (Delivering { latest_end, since, .. }, Event::Delivered)
            if now >= (*latest_end).min(*since + DELIVER_WITHIN) =>
        {
            Ok(late(state, now))
        }
        (Delivering { secret, latest_end, .. }, Event::Delivered) => Ok(Step {
            state: Active {
                secret: secret.clone(),
                since: now,
                until: (now + length.duration()).min(*latest_end),
                latest_end: *latest_end,
            },
            effects: vec![],
        }),
        (Granting { .. } | Delivering { .. } | Active { .. }, Event::DeliveryFailed { why }) => {
            Ok(ending(state, Cause::DeliveryFailed { why: why.clone() }, now))
        }
        (Granting { .. } | Delivering { .. } | Active { .. }, Event::End(cause)) => {
            Ok(ending(state, cause.clone(), now))
        }
        (Granting { .. } | Delivering { .. } | Active { .. }, Event::Left { how, since }) => {
            Ok(ending(state, Cause::TicketLeft { how: *how }, now.min(*since)))
        }
        (Granting { .. } | Delivering { .. } | Active { .. }, Event::Due) => match due_at(state) {
            Some(due) if now >= due => Ok(late(state, now)),
            _ => Err(NotAllowed),
        },
        (Ending { cause, since }, Event::Off(proof)) if proof.seen_at() >= *since => Ok(Step {
            state: Ended { cause: cause.clone(), due: *since, proof: proof.clone() },
            effects: vec![Effect::Tell(Telling::Ended)],
        }),
        (Ending { .. }, Event::Due) => Ok(Step { state: state.clone(), effects: vec![Effect::Converge] }),
        (Granting { .. } | Delivering { .. } | Active { .. }, Event::Approved { .. } | Event::Denied { .. })
        | (
            Held { .. },
            Event::Reached
            | Event::Delivered
            | Event::DeliveryFailed { .. }
            | Event::GrantingFailed { .. }
            | Event::Due
            | Event::Off(_),
        )
        | (Granting { .. }, Event::Delivered | Event::Off(_))
        | (Delivering { .. }, Event::Reached | Event::GrantingFailed { .. } | Event::Off(_))
        | (Active { .. }, Event::Reached | Event::Delivered | Event::GrantingFailed { .. } | Event::Off(_))
        | (Ending { .. } | Ended { .. } | Refused { .. } | Denied { .. } | Lapsed { .. }, _) => Err(NotAllowed),
    }
}

fn approved(
    until: Timestamp,
    waiting: &Waiting,
    by: &PersonId,
    secret: &SecretId,
    length: Length,
    now: Timestamp,
) -> Result<Step, NotAllowed> {
    if waiting.approved.iter().any(|a| a.by == *by) {
        return Err(NotAllowed);
    }
    let mut waiting = waiting.clone();
    waiting.approved.push(Approval { by: by.clone(), at: now });
    let is_enough = u32::try_from(waiting.approved.len()).is_ok_and(|given| given >= waiting.needed);
    if is_enough {
        return Ok(begin(secret.clone(), length, now));
    }
    Ok(Step { state: State::Held { until, waiting }, effects: vec![] })
}

fn late(state: &State, now: Timestamp) -> Step {
    let cause = match state {
        State::Delivering { .. } => {
            Cause::DeliveryFailed { why: "the credentials could not be delivered in time".to_owned() }
        }
        State::Granting { .. } => {
            Cause::GrantingFailed { why: "the account could not be made ready in time".to_owned() }
        }
        _ => Cause::Expired,
    };
    ending(state, cause, now)
}

/// Removal is owed from the moment the access should have ended, not from when we noticed.
fn ending(state: &State, cause: Cause, now: Timestamp) -> Step {
    let since = due_at(state).map_or(now, |due| due.min(now));
    let mut effects = vec![Effect::Converge, Effect::TidyNote];
    if let Some(secret) = state.secret() {
        effects.push(Effect::DestroySecret(secret.clone()));
    }
    if matches!(cause, Cause::GrantingFailed { .. } | Cause::DeliveryFailed { .. }) {
        effects.push(Effect::Tell(Telling::Failed));
    }
    Step { state: State::Ending { cause, since }, effects }
}
