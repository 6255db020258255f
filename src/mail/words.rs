//! What mails say: from plain values to subject, text and HTML.
//!
//! Whoever owes a mail fills in what happened; which sentence stands where is decided here alone. A subject is made of our
//! own words, ids, times and nothing else: names, reasons and whatever a vendor said stand in the text, each on one line.

mod letter;
mod say;

use std::fmt;

use latchkey_contract::{ConnectionId, CustomerId, GrantId, PersonId, Secret, TicketRef, Timestamp};
use serde::{Deserialize, Serialize};

use crate::rulebook::AlertKind;

/// Somebody or something of our records: the id for subjects, the name for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Named<I> {
    /// Chosen once.
    pub id: I,
    /// As the records call it now: free text.
    pub name: String,
}

/// The access that a mail is about. Every mail about one says which ticket asked for it, and links there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// Which.
    pub grant: GrantId,
    /// The ticket that asked.
    pub ticket: TicketRef,
    /// A page that shows the ticket.
    pub ticket_link: String,
    /// At whom.
    pub customer: Named<CustomerId>,
    /// For whom.
    pub person: Named<PersonId>,
    /// The policy's name.
    pub policy: String,
}

/// What happened, in the values that its mail needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mail", rename_all = "kebab-case")]
pub enum Words {
    /// An account was made for an access.
    AccountCreated {
        /// The access.
        about: About,
        /// Its user name.
        account: String,
        /// When.
        at: Timestamp,
        /// No access past this.
        latest_end: Timestamp,
    },
    /// An account that was there was switched on for an access.
    AccountEnabled {
        /// The access.
        about: About,
        /// Its user name.
        account: String,
        /// When.
        at: Timestamp,
        /// No access past this.
        latest_end: Timestamp,
    },
    /// Removal is owed and late.
    FailedToDisable {
        /// The access.
        about: About,
        /// The user name.
        account: String,
        /// Since when it should be off.
        due: Timestamp,
        /// When this was written.
        at: Timestamp,
        /// What stands in the way.
        why: String,
    },
    /// Access has ended, and off was seen.
    GrantEnded {
        /// The access.
        about: About,
        /// The user name.
        account: String,
        /// Why it ended.
        why: String,
        /// Since when it should be off.
        due: Timestamp,
        /// When off was seen.
        seen_off: Timestamp,
    },
    /// Nothing was given.
    RequestRefused {
        /// The ticket that asked.
        ticket: TicketRef,
        /// A page that shows it.
        ticket_link: String,
        /// At whom, where that was found out.
        customer: Option<Named<CustomerId>>,
        /// Who asked, where that was found out.
        person: Option<Named<PersonId>>,
        /// Why.
        why: String,
        /// When.
        at: Timestamp,
    },
    /// A request waits for two approvers.
    BrakePulled {
        /// The access that is asked for.
        about: About,
        /// Which brake, and what it allows.
        brake: String,
        /// How approvers answer, as a sentence.
        answer: String,
        /// When the request lapses.
        until: Timestamp,
    },
    /// A PSA or a directory does not do its part.
    ConnectorTrouble {
        /// Which.
        connection: ConnectionId,
        /// What it says or does.
        what: String,
        /// What to do, as a sentence.
        remedy: String,
        /// Since when.
        since: Timestamp,
    },
    /// A PSA's webhooks are not as they should be.
    WebhookTrouble {
        /// Whose.
        connection: ConnectionId,
        /// What is wrong.
        what: String,
        /// What to do, as a sentence.
        remedy: String,
        /// Since when.
        since: Timestamp,
    },
    /// To the requester: it can be used.
    AccessActive {
        /// The access.
        about: About,
        /// The user name.
        account: String,
        /// Until when.
        until: Timestamp,
        /// Our page that shows it, behind a sign-in.
        page: String,
    },
    /// To the requester: it is over soon.
    AccessEndsSoon {
        /// The access.
        about: About,
        /// The user name.
        account: String,
        /// When.
        until: Timestamp,
        /// Our page that shows it, behind a sign-in.
        page: String,
    },
    /// To the requester: it is over.
    AccessEnded {
        /// The access.
        about: About,
        /// The user name.
        account: String,
        /// Why.
        why: String,
        /// When off was seen.
        seen_off: Timestamp,
    },
    /// The head of the audit chain, to be kept elsewhere.
    AuditHead {
        /// How many entries the chain has.
        entries: u64,
        /// The newest entry's hash.
        head: String,
        /// When.
        at: Timestamp,
        /// How many mails of the last days were given up.
        #[serde(default)]
        given_up: u64,
    },
    /// To the operator: that mail works.
    Test {
        /// Who asked for it.
        by: String,
        /// When.
        at: Timestamp,
    },
}

/// An invitation to enrol. Its link is worth an account until it is used, so that this cannot be stored.
#[derive(Debug, Clone)]
pub struct Invitation {
    /// Who is invited.
    pub person: Named<PersonId>,
    /// Who invites.
    pub by: String,
    /// The page to enrol at.
    pub link: Secret<String>,
    /// Until when it can be used.
    pub until: Timestamp,
}

/// A mail's subject and its two alternatives, which say the same.
#[derive(Clone, PartialEq, Eq)]
pub struct Written {
    /// One line of our own words and ids.
    pub subject: String,
    /// For those who read plain text.
    pub text: String,
    /// For everybody else: no script, no picture, nothing from elsewhere.
    pub html: String,
}

/// An invitation's text holds its link.
impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("subject", &self.subject).finish_non_exhaustive()
    }
}

impl Words {
    /// The switch under which this falls; `None` where there is none.
    #[must_use]
    pub const fn alert(&self) -> Option<AlertKind> {
        Some(match self {
            Self::AccountCreated { .. } => AlertKind::AccountCreated,
            Self::AccountEnabled { .. } => AlertKind::AccountEnabled,
            Self::FailedToDisable { .. } => AlertKind::FailedToDisable,
            Self::GrantEnded { .. } => AlertKind::GrantEnded,
            Self::RequestRefused { .. } => AlertKind::RequestRefused,
            Self::BrakePulled { .. } => AlertKind::BrakePulled,
            Self::ConnectorTrouble { .. } => AlertKind::ConnectorTrouble,
            Self::WebhookTrouble { .. } => AlertKind::WebhookTrouble,
            Self::AuditHead { .. } => AlertKind::AuditHead,
            Self::AccessActive { .. } | Self::AccessEndsSoon { .. } | Self::AccessEnded { .. } | Self::Test { .. } => {
                return None;
            }
        })
    }
}
