//! What a ticket asks for: everything a decision needs, already read and parsed, stored whole with the decision.

use latchkey_contract::{CompanyId, CustomerId, MappingId, MemberId, PersonId, TicketRef, Timestamp};
use serde::{Deserialize, Serialize};

/// A request as it stands when it is decided.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// The ticket.
    pub ticket: TicketRef,
    /// The mapping whose trigger fired.
    pub mapping: MappingId,
    /// When the trigger was set.
    pub asked_at: Timestamp,
    /// The ticket is closed.
    pub is_closed: bool,
    /// The ticket's company, as the PSA names it.
    pub company: Option<CompanyId>,
    /// The customer bound to that company.
    pub customer: Option<CustomerId>,
    /// Who set the trigger; `Err` is a sentence why it is in doubt.
    pub actor: Result<Actor, String>,
    /// The length field's text, where the mapping names a field and it is filled.
    pub length_field: Option<String>,
    /// Why: free text of the ticket, hostile, bounded.
    pub reason: String,
}

/// Who set the trigger.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// Login name in the PSA.
    pub name: String,
    /// The PSA member's immutable id; `None` when there is no such member (a contact, an e-mail).
    pub member: Option<MemberId>,
    /// May sign in to the PSA.
    pub is_active: bool,
    /// A person, not an API or system identity.
    pub is_human: bool,
    /// The person bound to that member.
    pub person: Option<PersonId>,
}
