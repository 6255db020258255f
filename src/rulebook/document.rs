//! The rulebook document: policies and mappings.

use latchkey_contract::{
    BoardId, ConnectionId, EntitlementId, FieldId, MappingId, PolicyId, StatusId, Timestamp, directory::Mode,
};
use serde::{Deserialize, Serialize};

use super::{Faults, check};
use crate::access::Length;

/// The whole document. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rulebook {
    /// What may be given.
    #[serde(default, rename = "policy")]
    pub policies: Vec<Policy>,
    /// Which tickets ask for it.
    #[serde(default, rename = "mapping")]
    pub mappings: Vec<Mapping>,
}

/// One level of privilege.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Chosen once.
    pub id: PolicyId,
    /// For people.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which kind of directory.
    pub source: Source,
    /// Standard or burner.
    pub mode: Mode,
    /// Roles and groups by the directory's own ids.
    pub entitlements: Vec<EntitlementId>,
    /// Allowed lengths.
    pub lengths: Vec<Length>,
    /// Where the ticket names none.
    #[serde(default = "four_hours")]
    pub default_length: Length,
    /// The hard maximum; a policy without one cannot be saved.
    pub max_length: Length,
    /// How the credentials reach the person; there is no default.
    pub delivery: Delivery,
    /// Must be `true` for delivery in the ticket: everybody who can read the ticket can use the credentials while they live.
    #[serde(default)]
    pub ticket_readers_may_use_it: bool,
}

/// Which kind of directory a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Microsoft Entra ID.
    Entra,
}

/// How the credentials reach the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// A link in the ticket that is worth nothing without the requester's own sign-in.
    ClaimLink,
    /// An internal note in the ticket.
    Ticket,
}

/// Which tickets ask for a policy.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Chosen once.
    pub id: MappingId,
    /// Which PSA.
    pub connection: ConnectionId,
    /// On which boards.
    pub boards: Vec<BoardId>,
    /// The ticket asks by coming into one of these statuses.
    pub trigger_statuses: Vec<StatusId>,
    /// What it asks for.
    pub policy: PolicyId,
    /// Custom field that may name a length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_field: Option<FieldId>,
    /// Statuses that Latchkey sets.
    #[serde(default)]
    pub statuses: Statuses,
    /// Since when this mapping watches. Set when it first comes into force; a trigger that stood before does not fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_since: Option<Timestamp>,
}

/// Statuses that Latchkey sets on the ticket; `None` leaves it alone.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statuses {
    /// When access is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<StatusId>,
    /// When it is refused or could not be given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refused: Option<StatusId>,
    /// When it has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ended: Option<StatusId>,
}

/// PSAs record changes in whole seconds: a request in the very second in which a mapping came into force is news.
const fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.seconds() * 1000)
}

const fn four_hours() -> Length {
    Length::FOUR_HOURS
}

impl Rulebook {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// [`Faults`]: every fault that was found, each with its path.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let book: Self = check::read(text)?;
        check::rulebook(&book)?;
        Ok(book)
    }

    /// A policy by id.
    #[must_use]
    pub fn policy(&self, id: &PolicyId) -> Option<&Policy> {
        self.policies.iter().find(|p| p.id == *id)
    }

    /// A mapping by id.
    #[must_use]
    pub fn mapping(&self, id: &MappingId) -> Option<&Mapping> {
        self.mappings.iter().find(|m| m.id == *id)
    }

    /// Gives each mapping the time since which it watches: kept while its trigger stays the same, `now` otherwise.
    #[must_use]
    pub fn in_force_since(mut self, before: &Self, now: Timestamp) -> Self {
        for mapping in &mut self.mappings {
            let same = before.mapping(&mapping.id).filter(|old| {
                old.connection == mapping.connection
                    && old.trigger_statuses == mapping.trigger_statuses
                    && mapping.boards.iter().all(|b| old.boards.contains(b))
            });
            mapping.watched_since = same.and_then(|old| old.watched_since).or(Some(whole_second(now)));
        }
        self
    }
}
