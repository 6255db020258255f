//! A grant: one period of access for one person, from request to proof.
//!
//! [`step`] is the whole life cycle in one pure match. Each state carries what is true in it;
//! "revocation failed" is not a state: [`State::Ending`] ends only when "off" was seen.

mod due;
mod life;

use latchkey_contract::{
    AccountId, BrakeId, ConnectionId, CustomerId, GrantId, MappingId, PersonId, SecretId, TicketRef, Timestamp,
};
use serde::{Deserialize, Serialize};

use super::{
    Length, Proof,
    extend::Extending,
    follow::{Departure, Leaving, Stood},
};
use crate::rulebook::Policy;

pub use due::due_at;
pub use life::{
    DELIVER_WITHIN, Effect, Event, GIVING_MARGIN, NotAllowed, Step, Telling, begin, may_approve, may_deny, step, wait,
};

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
