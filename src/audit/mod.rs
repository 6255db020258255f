//! The audit log: what was done, by whom, for which ticket and grant; chained, so that nobody can change it unseen.
//!
//! An entry is hashed together with the hash of the one before. The newest number and hash, the [`Head`], pin all that
//! is below: it leaves the house in every note about an end and once a day, and a log that was rewritten does not
//! contain it. Old entries may go; a signed [`Checkpoint`] stays, from which the rest is verified.
//! Nothing here reads a clock, a file or a database: the store keeps the chain, the command line exports and checks it.
//!
//! # Codes
//!
//! The list is closed: an entry cannot be made with another code.
//!
//! | code | says |
//! | --- | --- |
//! | `request.granted` | a ticket's request was granted; the decision's whole input |
//! | `request.refused` | a ticket's request was refused, and why; the decision's whole input |
//! | `request.waiting` | a ticket's request waits for approvers; the decision's whole input |
//! | `delivery.lost` | a request was found by the poll alone: the PSA's webhook did not come |
//! | `grant.held` | the request waits for approvers, or one of them has approved it |
//! | `grant.granting` | the account is being made what it should be |
//! | `grant.delivering` | the account is ready; the person is to be told |
//! | `grant.active` | the person has access |
//! | `grant.ending` | access is being taken away, and why |
//! | `grant.ended` | access is off, with the proof |
//! | `grant.refused` | the grant came to nothing; nothing was ever given |
//! | `grant.denied` | an approver said no; nothing was ever given |
//! | `grant.lapsed` | nobody approved it in time; nothing was ever given |
//! | `grant.leaving` | the ticket has left what it asked for: access ends when the grace is over |
//! | `grant.goes-on` | the ticket was put right in time: access goes on |
//! | `grant.extending` | more time was allowed; the directory's own end is being moved first; the decision's whole input |
//! | `grant.extended` | access ends later, and no later than the directory lets it |
//! | `grant.not-extended` | more time was refused or could not be had, and why: the end stands |
//! | `step.intent` | a step in a directory is about to be taken |
//! | `step.done` | the step was taken |
//! | `step.not-before` | the directory takes the step later |
//! | `step.no-way` | the directory has no way to take the step |
//! | `step.unknown` | whether the step was taken is not known; the account is looked at again |
//! | `step.failed` | the directory refused the step |
//! | `step.password-refused` | the directory did not like the password; another one was sealed |
//! | `account.impossible` | the account cannot be made what it should be |
//! | `account.cut-again` | the account was changed outside Latchkey after its end; it is cut again |
//! | `account.off-again` | the account that was cut again is off, with the proof |
//! | `ticket.told` | the ticket was told, or could not be |
//! | `secret.handing-over` | credentials are about to be written into the ticket |
//! | `secret.revealed` | credentials were shown to the person |
//! | `rules.saved` | rulebook or records were changed, and what of them |
//! | `hold.set` | a customer, a person or everything is held: nothing is given, and what stands is taken |
//! | `hold.lifted` | a hold was lifted |
//! | `secret.set` | secrets of connections were set, by name |
//! | `key.rotated` | another master key seals, and every secret is wrapped by it |
//! | `key.retired` | former master keys went: backups made under them open no more |
//! | `key.shown` | the master keys, with a new one first, are about to be printed for a systemd credential |
//! | `binding.added` | a PSA member is a person from now on |
//! | `binding.confirmed` | a binding counts before it has cooled down: it was confirmed |
//! | `binding.removed` | a PSA member is a person no longer |
//! | `person.invited` | a link to enrol was made for a person; the one before is void |
//! | `person.enrolled` | a person got a password and a one-time code |
//! | `webhook.synced` | the PSA's webhooks were made what the rulebook needs |
//! | `webhook.removed` | our webhooks were removed from the PSA |
//! | `reconcile.done` | a database was compared with the directories, and what followed from it |
//! | `webhook.trouble` | the PSA's webhooks are missing, switched off, or lose deliveries |
//! | `webhook.well` | the PSA's webhooks are as they should be again |
//! | `connector.trouble` | a connection cannot be used, its rights were refused, or it does not answer |
//! | `connector.well` | the connection's trouble is over |
//! | `audit.head` | the head of the day |
//! | `audit.pruned` | older entries went; the checkpoint that stays |

mod chain;
mod checkpoint;
mod code;
mod entry;
mod export;
mod head;

pub use chain::{AuditRow, BrokenChain, Chain, HeadFault, canonical, link, verify_chain};
pub use checkpoint::{Checkpoint, Prunable, Signer};
pub use code::{Code, UnknownCode};
pub use entry::{AuditEntry, By};
pub use export::{BadLine, CSV_HEADER, Line, csv_record};
pub use head::{BadHead, Head};

use latchkey_contract::{CustomerId, GrantId, PersonId, TicketRef, Timestamp};

/// Which entries are wanted. Empty parts want all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AuditFilter {
    /// At this time or later.
    pub from: Option<Timestamp>,
    /// Before this time.
    pub to: Option<Timestamp>,
    /// About this grant.
    pub grant: Option<GrantId>,
    /// About this ticket.
    pub ticket: Option<TicketRef>,
    /// About this person's access, or done by them.
    pub person: Option<PersonId>,
    /// About access at this customer.
    pub customer: Option<CustomerId>,
    /// With a code that begins so: `grant.`, `step.intent`.
    pub code: Option<String>,
}

impl AuditFilter {
    /// Nothing is left out.
    #[must_use]
    pub fn is_all(&self) -> bool {
        *self == Self::default()
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(crate) fn is_hex(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}
