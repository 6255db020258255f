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
    /// When it is decided.
    #[serde(default = "unknown_time")]
    pub decided_at: Timestamp,
    /// The ticket is closed.
    pub is_closed: bool,
    /// The ticket's company, as the PSA names it.
    pub company: Option<CompanyId>,
    /// The customer bound to that company.
    pub customer: Option<CustomerId>,
    /// Who asks; `Err` is a sentence why that is in doubt.
    pub actor: Result<Actor, String>,
    /// The PSA's own automation set the trigger, and `actor` is the ticket's owner.
    #[serde(default)]
    pub is_by_automation: bool,
    /// The policy field's text, where the mapping names a field and it is filled.
    #[serde(default)]
    pub policy_field: Option<String>,
    /// The length field's text, where the mapping names a field and it is filled.
    pub length_field: Option<String>,
    /// The reason field's text, where the mapping names a field and it is filled.
    #[serde(default)]
    pub reason_field: Option<String>,
    /// The user name field's text, where the mapping names a field and it is filled.
    #[serde(default)]
    pub user_name_field: Option<String>,
    /// Why, where no field says it: the ticket's summary, hostile, bounded.
    pub reason: String,
}

/// Requests that were stored by an earlier release do not say when they were decided.
const fn unknown_time() -> Timestamp {
    Timestamp::from_millis(0)
}

/// Who asks.
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
