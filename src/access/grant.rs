//! A grant: one period of access for one person, from request to proof.
//!
//! [`step`] is the whole life cycle in one pure match. Each state carries what is true in it;
//! "revocation failed" is not a state: [`State::Ending`] ends only when "off" was seen.

use std::time::Duration;

use latchkey_contract::{
    AccountId, BrakeId, ConnectionId, CustomerId, GrantId, MappingId, PersonId, SecretId, TicketRef, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    Length, Proof,
    extend::Extending,
    follow::{Departure, Leaving, Stood},
};
use crate::rulebook::{Policy, Role};

/// An account that is not handed over within this time is taken back.
pub const DELIVER_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What an end committed at Granting adds to the length, for the time that giving and telling may take.
pub const GIVING_MARGIN: Duration = Duration::from_secs(15 * 60);

/// One period of access.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Grant {
    /// One id from the first webhook to the last note.
    pub id: GrantId,
    /// Counts commits; 0 is not stored yet.
    pub version: i64,
    /// The ticket that asked.
    pub ticket: TicketRef,
    /// A page that shows the ticket.
    pub ticket_link: String,
    /// For whom the access works.
    pub customer: CustomerId,
    /// Who asked.
    pub person: PersonId,
    /// Which mapping caught the ticket.
    pub mapping: MappingId,
    /// Rulebook revision it was decided under.
    pub revision: i64,
    /// The policy as it was then.
    pub policy: Policy,
    /// Why, as the ticket says: free text, hostile.
    pub reason: String,
    /// When the ticket's trigger was set.
    pub asked_at: Timestamp,
    /// The directory the access is in; frozen, so that no later mapping can turn it elsewhere.
    pub directory: ConnectionId,
    /// The account, from the decision on.
    pub account: AccountId,
    /// How long.
    pub length: Length,
    /// What the ticket was when it asked; `None` where an earlier release did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stood: Option<Stood>,
    /// The ticket has left, and access ends with it unless that is put right.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub leaving: Option<Leaving>,
    /// More time that was allowed: it is had when the directory's own end was moved, and until then the end stands.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extending: Option<Extending>,
    /// The end that the ticket and the person were warned of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub warned_of: Option<Timestamp>,
    /// Where it stands.
    pub state: State,
}

/// Where a grant stands, with what is true there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum State {
    /// Waits for approvers; nothing is sealed or made yet.
    Held {
        /// It lapses here.
        until: Timestamp,
        /// What it waits for.
        waiting: Waiting,
    },
    /// The account is not yet as it should be; it may or may not exist.
    Granting {
        /// The sealed password it will have.
        secret: SecretId,
        /// No access past this, whatever happens.
        latest_end: Timestamp,
    },
    /// It is; the person does not know.
    Delivering {
        /// The sealed password.
        secret: SecretId,
        /// Since when the account was seen usable.
        since: Timestamp,
        /// No access past this.
        latest_end: Timestamp,
    },
    /// The person has it.
    Active {
        /// The sealed password.
        secret: SecretId,
        /// The clock of access started here.
        since: Timestamp,
        /// When it ends.
        until: Timestamp,
        /// No access past this: what the directory's own end is counted from.
        latest_end: Timestamp,
    },
    /// Removal is owed.
    Ending {
        /// Why.
        cause: Cause,
        /// Since when: what the overhang is counted from.
        since: Timestamp,
    },
    /// Off was seen.
    Ended {
        /// Why.
        cause: Cause,
        /// Since when removal was owed.
        due: Timestamp,
        /// What was seen.
        proof: Proof,
    },
    /// Nothing was ever given.
    Refused {
        /// A sentence for the ticket.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// An approver said no; nothing was ever given.
    Denied {
        /// Who.
        by: PersonId,
        /// Why, in their words: bounded.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// Nobody answered in time; nothing was ever given.
    Lapsed {
        /// When.
        at: Timestamp,
    },
}

/// What a held request waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Waiting {
    /// How many people must approve, each another.
    pub needed: u32,
    /// The brakes that were pulled.
    pub brakes: Vec<BrakeId>,
    /// Who has approved already.
    pub approved: Vec<Approval>,
}

/// One person's yes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// Who.
    pub by: PersonId,
    /// When.
    pub at: Timestamp,
}

/// Why access ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "cause", rename_all = "kebab-case")]
pub enum Cause {
    /// Its time was over.
    Expired,
    /// The person ended it.
    EndedByPerson,
    /// An operator ended it.
    Revoked {
        /// Who.
        by: String,
        /// Why, in their words: bounded, may be empty.
        reason: String,
    },
    /// The ticket was closed or is gone before anything was handed over.
    TicketEnded,
    /// The ticket left what it asked for.
    TicketLeft {
        /// How.
        how: Departure,
    },
    /// A hold: JIT off, customer paused, person blocked.
    Held {
        /// A sentence naming the hold.
        why: String,
    },
    /// The person could not be told in time, or the telling went where it must not.
    DeliveryFailed {
        /// A sentence.
        why: String,
    },
    /// The account could not be made what it should be.
    GrantingFailed {
        /// A sentence.
        why: String,
    },
}

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

/// When the clock next matters; each commit writes it, and one task with it.
///
/// While Ending there is no next time: the account's own task goes on until off is seen.
#[must_use]
pub fn due_at(state: &State) -> Option<Timestamp> {
    match state {
        State::Held { until, .. } => Some(*until),
        State::Granting { latest_end, .. } => Some(*latest_end),
        State::Delivering { since, latest_end, .. } => Some((*since + DELIVER_WITHIN).min(*latest_end)),
        State::Active { until, .. } => Some(*until),
        State::Ending { .. }
        | State::Ended { .. }
        | State::Refused { .. }
        | State::Denied { .. }
        | State::Lapsed { .. } => None,
    }
}

impl Grant {
    /// When the clock next matters for it ([`due_at`]), or its ticket's grace is over.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        let due = due_at(&self.state)?;
        Some(self.grace_end().map_or(due, |(_, ends_at)| due.min(ends_at)))
    }

    /// What its time having come means at this moment.
    #[must_use]
    pub fn due_event(&self, now: Timestamp) -> Event {
        let is_sooner = |ends_at| due_at(&self.state).is_some_and(|due| ends_at < due);
        match self.grace_end() {
            Some((how, since)) if since <= now && is_sooner(since) => Event::Left { how, since },
            _ => Event::Due,
        }
    }

    /// With the end that was on its way. `None` where none was, and where the end that stands has come.
    #[must_use]
    pub fn extended(&self, now: Timestamp) -> Option<Self> {
        let extending = self.extending.as_ref()?;
        let State::Active { secret, since, .. } = &self.state else { return None };
        if self.due_at().is_none_or(|due| due <= now) {
            return None;
        }
        let Extending { until, latest_end } = *extending;
        let state = State::Active { secret: secret.clone(), since: *since, until, latest_end };
        Some(Self { state, extending: None, ..self.clone() })
    }

    /// When its end is to be warned of. `None` where it was, where nobody wants that, where so little time was given that a
    /// warning would come with it, and where the ticket that has left ends it sooner, which it was told.
    #[must_use]
    pub fn warn_at(&self) -> Option<Timestamp> {
        let State::Active { since, until, .. } = &self.state else { return None };
        let before = self.policy.warns().filter(|before| until.since(*since) > *before)?;
        let is_told = self.is_warned() || self.leaving.as_ref().is_some_and(|l| l.ends_at <= *until);
        (!is_told).then(|| *until - before)
    }

    /// The end that it has now is the one that was warned of.
    #[must_use]
    pub fn is_warned(&self) -> bool {
        matches!(self.state, State::Active { until, .. } if self.warned_of == Some(until))
    }

    fn grace_end(&self) -> Option<(Departure, Timestamp)> {
        let leaving = self.leaving.as_ref().filter(|_| matches!(self.state, State::Active { .. }))?;
        Some((leaving.how, leaving.ends_at))
    }
}

impl State {
    /// Access is wanted: the account must have it, unless its time is over.
    #[must_use]
    pub const fn is_living(&self) -> bool {
        matches!(self, Self::Granting { .. } | Self::Delivering { .. } | Self::Active { .. })
    }

    /// Nothing can happen any more.
    #[must_use]
    pub const fn is_final(&self) -> bool {
        matches!(self, Self::Ended { .. } | Self::Refused { .. } | Self::Denied { .. } | Self::Lapsed { .. })
    }

    /// Asked for and not over: it is given, or may come to be.
    #[must_use]
    pub const fn is_wanted(&self) -> bool {
        self.is_living() || matches!(self, Self::Held { .. })
    }

    /// The last moment at which access may stand, while it is wanted.
    #[must_use]
    pub const fn end(&self) -> Option<Timestamp> {
        match self {
            Self::Granting { latest_end, .. } | Self::Delivering { latest_end, .. } => Some(*latest_end),
            Self::Active { until, .. } => Some(*until),
            _ => None,
        }
    }

    /// The sealed password, while somebody may have it.
    #[must_use]
    pub const fn secret(&self) -> Option<&SecretId> {
        match self {
            Self::Granting { secret, .. } | Self::Delivering { secret, .. } | Self::Active { secret, .. } => {
                Some(secret)
            }
            _ => None,
        }
    }

    /// The state's name in logs, rows and answers.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Held { .. } => "held",
            Self::Granting { .. } => "granting",
            Self::Delivering { .. } => "delivering",
            Self::Active { .. } => "active",
            Self::Ending { .. } => "ending",
            Self::Ended { .. } => "ended",
            Self::Refused { .. } => "refused",
            Self::Denied { .. } => "denied",
            Self::Lapsed { .. } => "lapsed",
        }
    }
}

impl Cause {
    /// For people, as the end of the sentence "Access ended: …".
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Expired => "its time was over".to_owned(),
            Self::EndedByPerson => "ended by the technician".to_owned(),
            Self::Revoked { by, reason } if reason.is_empty() => format!("ended by {by}"),
            Self::Revoked { by, reason } => format!("ended by {by}: {reason}"),
            Self::TicketEnded => "the ticket was closed or is gone".to_owned(),
            Self::TicketLeft { how } => how.sentence().to_owned(),
            Self::Held { why } | Self::DeliveryFailed { why } | Self::GrantingFailed { why } => why.clone(),
        }
    }
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
