//! What happened and may have to be told by mail, and the mails that are owed for it.

use latchkey_contract::{
    AccountId, BrakeId, ConnectionId, CustomerId, GrantId, MailId, PersonId, TicketRef, Timestamp,
};
use serde::{Deserialize, Serialize};

use crate::{
    mail::{MailAddress, Words},
    rulebook::AlertKind,
};

/// Something happened. Who is told is decided later, by the switches and subscribers that are in force then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Alert {
    /// Time-ordered.
    pub id: String,
    /// When it happened.
    pub at: Timestamp,
    /// What.
    pub what: Happening,
}

/// What happened, by ids: names are looked up when it is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "happening", rename_all = "kebab-case")]
pub enum Happening {
    /// An account was made for a grant.
    Created {
        /// Which grant.
        grant: GrantId,
        /// No access past this.
        latest_end: Timestamp,
    },
    /// An account that was there was enabled for a grant.
    Enabled {
        /// Which grant.
        grant: GrantId,
        /// No access past this.
        latest_end: Timestamp,
    },
    /// The person has it.
    Active {
        /// Which grant.
        grant: GrantId,
        /// Until when.
        until: Timestamp,
    },
    /// Its time is over soon.
    EndsSoon {
        /// Which grant.
        grant: GrantId,
        /// When.
        until: Timestamp,
    },
    /// Access could not be taken away yet.
    FailedToDisable {
        /// Which account.
        account: AccountId,
        /// The grant it is owed for.
        grant: GrantId,
        /// Since when.
        due: Timestamp,
        /// What stands in the way: bounded, printable.
        why: String,
    },
    /// Off is proven.
    Ended {
        /// Which grant.
        grant: GrantId,
    },
    /// Nothing was given.
    Refused {
        /// The ticket that asked.
        ticket: TicketRef,
        /// A page that shows it.
        ticket_link: String,
        /// At whom, where that was found out.
        customer: Option<CustomerId>,
        /// Who asked, where that was found out.
        person: Option<PersonId>,
        /// A sentence.
        why: String,
    },
    /// A request waits for approvers.
    Waiting {
        /// Which grant.
        grant: GrantId,
        /// The brakes that were pulled.
        brakes: Vec<BrakeId>,
        /// When it lapses.
        until: Timestamp,
    },
    /// A connection does not do its part.
    ConnectorTrouble {
        /// Which.
        connection: ConnectionId,
        /// What it says or does: bounded, printable.
        what: String,
        /// What to do, as a sentence.
        remedy: String,
    },
    /// A PSA's webhooks are not as they should be.
    WebhookTrouble {
        /// Whose.
        connection: ConnectionId,
        /// What is wrong.
        what: String,
        /// What to do, as a sentence.
        remedy: String,
    },
    /// The head of the audit chain, once a day.
    AuditHead {
        /// How many entries the chain has.
        entries: i64,
        /// The newest entry's hash.
        head: String,
        /// How many mails of the last days were given up.
        #[serde(default)]
        given_up: u64,
    },
}

impl Happening {
    /// The switch it falls under; `None` is for the requester alone.
    #[must_use]
    pub const fn kind(&self) -> Option<AlertKind> {
        Some(match self {
            Self::Created { .. } => AlertKind::AccountCreated,
            Self::Enabled { .. } => AlertKind::AccountEnabled,
            Self::FailedToDisable { .. } => AlertKind::FailedToDisable,
            Self::Ended { .. } => AlertKind::GrantEnded,
            Self::Refused { .. } => AlertKind::RequestRefused,
            Self::Waiting { .. } => AlertKind::BrakePulled,
            Self::ConnectorTrouble { .. } => AlertKind::ConnectorTrouble,
            Self::WebhookTrouble { .. } => AlertKind::WebhookTrouble,
            Self::AuditHead { .. } => AlertKind::AuditHead,
            Self::Active { .. } | Self::EndsSoon { .. } => return None,
        })
    }
}

/// One mail to one recipient.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwedMail {
    /// Time-ordered; becomes the Message-ID.
    pub id: MailId,
    /// To whom.
    pub to: MailAddress,
    /// When what it tells happened.
    pub at: Timestamp,
    /// What it says.
    pub words: Words,
    /// How far it is.
    pub state: MailState,
}

/// How far a mail is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum MailState {
    /// Owed.
    Open {
        /// An earlier try may have arrived.
        is_repeat: bool,
    },
    /// The mail server answers for it.
    Sent {
        /// Since when.
        at: Timestamp,
    },
    /// It was refused for good: visible, and not tried again.
    GivenUp {
        /// Bounded, printable.
        why: String,
    },
}
