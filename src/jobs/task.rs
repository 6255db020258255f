//! A task: a row that says what is to be done when. Payloads hold ids only.

use latchkey_contract::{AccountId, ConnectionId, GrantId, MailId, PersonId, TicketRef, Timestamp, directory::Risk};
use serde::{Deserialize, Serialize};

use crate::rulebook::Records;

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Work {
    /// Read the ticket of a delivery and decide.
    Intake {
        /// The delivery.
        delivery: String,
        /// Its connection.
        connection: ConnectionId,
        /// Its ticket: one ticket, one hand.
        ticket: Option<TicketRef>,
    },
    /// Look at a ticket that a poll saw change, or may have gone past.
    Look {
        /// The ticket.
        ticket: TicketRef,
    },
    /// Look again at a ticket that was not there although access lives for it: once for each look that missed it.
    Missing {
        /// The ticket.
        ticket: TicketRef,
        /// When it was missed.
        since: Timestamp,
    },
    /// Look again at a ticket with access whose commands could not be heard. No [`Work::Look`]: a poll asks for nothing more
    /// while one of those waits, and this one is owed again for as long as the PSA does not tell.
    Unheard {
        /// The ticket.
        ticket: TicketRef,
    },
    /// A grant's time has come.
    Due {
        /// The grant.
        grant: GrantId,
    },
    /// A grant's end is near.
    Warn {
        /// The grant.
        grant: GrantId,
    },
    /// Bring an account one step nearer to its target.
    Converge {
        /// The account.
        account: AccountId,
        /// Its directory.
        directory: ConnectionId,
    },
    /// Find out who is told of an alert by mail.
    Alert {
        /// Its row.
        alert: String,
    },
    /// Send one mail.
    Mail {
        /// Its row.
        mail: MailId,
    },
    /// Tell a ticket what it is owed.
    Tell {
        /// The ticket.
        ticket: TicketRef,
    },
    /// Ask a PSA which tickets were saved.
    Poll {
        /// The PSA.
        connection: ConnectionId,
    },
    /// Compare a PSA's webhooks with what the mappings want.
    Webhooks {
        /// The PSA.
        connection: ConnectionId,
    },
    /// Ask a PSA whether somebody who has access has left.
    Presence {
        /// The PSA.
        connection: ConnectionId,
    },
    /// Look whether a connection's trouble is over.
    Recheck {
        /// The PSA or directory.
        connection: ConnectionId,
    },
    /// Let the audit log's head leave the house; every day.
    AuditHead,
}

/// Who goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Priority {
    /// Takes access away.
    Removal = 0,
    /// Gives access, decides.
    Giving = 1,
    /// Tells.
    Telling = 2,
}

/// A task to be added. A task of the same slot is moved instead: one slot, one task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewTask {
    /// What.
    pub work: Work,
    /// When, at the earliest. A task that waits already is moved to this time; one that runs is run again.
    pub run_at: Timestamp,
    /// Who goes first.
    pub priority: Priority,
    /// And who among them, of those that are due.
    pub risk: Risk,
}

impl NewTask {
    /// One that takes nothing that would have to be taken first.
    #[must_use]
    pub const fn new(work: Work, run_at: Timestamp, priority: Priority) -> Self {
        Self { work, run_at, priority, risk: Risk::Other }
    }

    /// The same, about something that can do so much harm.
    #[must_use]
    pub fn of(self, risk: Risk) -> Self {
        Self { risk, ..self }
    }
}

/// A leased task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Task {
    /// Proof that it is ours, until it runs out.
    pub lease: Lease,
    /// What.
    pub work: Work,
    /// Who goes first.
    pub priority: Priority,
    /// When it was due: lateness is counted from here.
    pub run_at: Timestamp,
    /// How often it was tried, this time included.
    pub attempt: u32,
}

/// A lease, fenced: two leases of a task as good as never have the same number, not even across a failover that forgot one
/// of them, and the store refuses whichever it does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The task.
    pub task: String,
    /// The fence.
    pub fence: i64,
    /// Until when, as last known.
    pub until: Timestamp,
}

/// Whoever gets access or signs in is asked after, wherever they are bound: at once, and then for as long as they are here.
pub fn presence_of(records: &Records, person: &PersonId, now: Timestamp) -> Vec<NewTask> {
    let members = records.person(person).into_iter().flat_map(|p| &p.members).filter(|m| !m.ids.is_empty());
    let work = members.map(|m| Work::Presence { connection: m.connection.clone() });
    // Whoever has left may hold anything.
    work.map(|work| NewTask::new(work, now, Priority::Removal).of(Risk::Everything)).collect()
}

impl Work {
    /// Every kind's name. What a row says besides is a later release's, and left to it.
    pub const KINDS: [&'static str; 15] = [
        "intake",
        "look",
        "missing",
        "unheard",
        "due",
        "warn",
        "converge",
        "alert",
        "mail",
        "tell",
        "poll",
        "webhooks",
        "presence",
        "recheck",
        "audit-head",
    ];

    /// One slot, one task.
    #[must_use]
    pub fn slot(&self) -> String {
        match self {
            Self::Intake { delivery, .. } => format!("intake:{delivery}"),
            Self::Look { ticket } => format!("look:{ticket}"),
            // A slot of its own for each: who misses it again in between puts off no look that is owed.
            Self::Missing { ticket, since } => format!("missing:{ticket}:{}", since.millis()),
            Self::Unheard { ticket } => format!("unheard:{ticket}"),
            Self::Due { grant } => format!("due:{grant}"),
            Self::Warn { grant } => format!("warn:{grant}"),
            Self::Converge { account, .. } => format!("converge:{account}"),
            Self::Tell { ticket } => format!("tell:{ticket}"),
            Self::Alert { alert } => format!("alert:{alert}"),
            Self::Mail { mail } => format!("mail:{mail}"),
            Self::AuditHead => self.name().to_owned(),
            Self::Poll { connection }
            | Self::Webhooks { connection }
            | Self::Presence { connection }
            | Self::Recheck { connection } => format!("{}:{connection}", self.name()),
        }
    }

    /// At most one task of a key is leased at a time: one account, one hand; one ticket, one hand.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Self::Intake { ticket: Some(ticket), .. }
            | Self::Look { ticket }
            | Self::Missing { ticket, .. }
            | Self::Unheard { ticket } => format!("ticket:{ticket}"),
            Self::Intake { delivery, ticket: None, .. } => format!("delivery:{delivery}"),
            Self::Due { grant } => format!("grant:{grant}"),
            Self::Converge { account, .. } => format!("account:{account}"),
            Self::Warn { .. }
            | Self::Tell { .. }
            | Self::Alert { .. }
            | Self::Mail { .. }
            | Self::AuditHead
            | Self::Poll { .. }
            | Self::Webhooks { .. }
            | Self::Presence { .. }
            | Self::Recheck { .. } => self.slot(),
        }
    }

    /// The connection whose limit it counts against.
    #[must_use]
    pub const fn connection(&self) -> Option<&ConnectionId> {
        match self {
            Self::Intake { connection, .. }
            | Self::Poll { connection }
            | Self::Webhooks { connection }
            | Self::Presence { connection }
            | Self::Recheck { connection } => Some(connection),
            Self::Converge { directory, .. } => Some(directory),
            Self::Tell { ticket } | Self::Look { ticket } | Self::Missing { ticket, .. } | Self::Unheard { ticket } => {
                Some(&ticket.connection)
            }
            Self::Due { .. } | Self::Warn { .. } | Self::Alert { .. } | Self::Mail { .. } | Self::AuditHead => None,
        }
    }

    /// The kind's name in logs, metrics and rows.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Intake { .. } => "intake",
            Self::Look { .. } => "look",
            Self::Missing { .. } => "missing",
            Self::Unheard { .. } => "unheard",
            Self::Due { .. } => "due",
            Self::Warn { .. } => "warn",
            Self::Converge { .. } => "converge",
            Self::Tell { .. } => "tell",
            Self::Poll { .. } => "poll",
            Self::Webhooks { .. } => "webhooks",
            Self::Presence { .. } => "presence",
            Self::Recheck { .. } => "recheck",
            Self::Alert { .. } => "alert",
            Self::Mail { .. } => "mail",
            Self::AuditHead => "audit-head",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A kind that is not in the list would never be claimed.
    #[test]
    fn every_kind_is_in_the_list() {
        let error = serde_json::from_str::<Work>(r#"{"kind": "of tomorrow"}"#).unwrap_err().to_string();
        let (_, expected) = error.split_once("expected one of").unwrap();
        let known: Vec<&str> = expected.split('`').skip(1).step_by(2).collect();
        assert_eq!(known, Work::KINDS, "{error}");
        assert_eq!(Work::AuditHead.name(), "audit-head");
    }
}
