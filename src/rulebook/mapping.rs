//! Mappings: which tickets ask for what.

use latchkey_contract::{BoardId, ConnectionId, FieldId, MappingId, PolicyId, SourceId, StatusId, Timestamp, TypeId};
use serde::{Deserialize, Serialize};

use crate::access::Length;

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
    /// Of which ticket types; none named: of any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<TypeId>,
    /// From which sources; none named: from any.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sources: Vec<SourceId>,
    /// The ticket asks by coming into one of these statuses.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub trigger_statuses: Vec<StatusId>,
    /// The ticket asks by a custom field that comes to hold one of these texts. Instead of `trigger_statuses`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger_field: Option<FieldTrigger>,
    /// The ticket asks by being moved to one of `boards`, where the PSA records who moved it. Instead of `trigger_statuses`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub trigger_board: bool,
    /// Who may set the trigger.
    #[serde(default)]
    pub actor: ActorRule,
    /// What it asks for; with `policy_field`, where that field is empty.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy: Option<PolicyId>,
    /// Custom field that may name a policy, by id or name, out of `policies`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_field: Option<FieldId>,
    /// What `policy_field` may name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<PolicyId>,
    /// Custom field that may name a length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub length_field: Option<FieldId>,
    /// Custom field that may hold the reason; the ticket's summary otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason_field: Option<FieldId>,
    /// Custom field that may name a new account, before the `@`. Once an account is made its name stays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_name_field: Option<FieldId>,
    /// Nothing asked for here lasts longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<Length>,
    /// Statuses that Latchkey sets.
    #[serde(default)]
    pub statuses: Statuses,
    /// What of the ticket ends what it asked for.
    #[serde(default, skip_serializing_if = "EndsWith::is_usual")]
    pub ends_with: EndsWith,
    /// Since when this mapping watches. Set when it first comes into force; a trigger that stood before does not fire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub watched_since: Option<Timestamp>,
}

/// A custom field that asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FieldTrigger {
    /// Which field.
    pub field: FieldId,
    /// With which texts it asks (a ticked box: `true`). Letter case does not count.
    pub values: Vec<String>,
}

/// Who may set a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActorRule {
    /// A technician, who then is the requester.
    #[default]
    Technician,
    /// The PSA's own automation too; the requester is then the ticket's owner.
    Automation,
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

/// What of a ticket ends the access that it asked for. Everything does unless it is switched off: access that nobody's
/// ticket speaks for any more is worth less than a click to ask again, and the grace lets a slip be put right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EndsWith {
    /// It was closed or completed.
    pub closed: bool,
    /// It was merged into another one.
    pub merged: bool,
    /// It was deleted: at once.
    pub deleted: bool,
    /// It was moved to another customer's company, or to none: at once.
    pub company: bool,
    /// It was moved to a board, queue or team that the mapping does not name.
    pub board: bool,
    /// It was assigned to somebody else than who asked.
    pub reassigned: bool,
    /// Minutes from seeing it to the end, told in a note; 0 ends at once.
    pub grace_minutes: u32,
}

impl EndsWith {
    /// More would not be a grace.
    pub const LONGEST_GRACE: u32 = 24 * 60;

    fn is_usual(&self) -> bool {
        *self == Self::default()
    }
}

impl Default for EndsWith {
    fn default() -> Self {
        Self {
            closed: true,
            merged: true,
            deleted: true,
            company: true,
            board: true,
            reassigned: true,
            grace_minutes: 5,
        }
    }
}

impl FieldTrigger {
    /// True when the field asks with this text.
    #[must_use]
    pub fn asks(&self, text: Option<&String>) -> bool {
        text.is_some_and(|text| self.values.iter().any(|v| v.trim().eq_ignore_ascii_case(text.trim())))
    }
}

impl Mapping {
    /// As it stands in a document: without what Latchkey itself remembers with it.
    #[must_use]
    pub fn as_written(&self) -> Self {
        Self { watched_since: None, ..self.clone() }
    }

    /// Every field of the ticket that it reads, each under its key.
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &FieldId)> {
        let trigger = self.trigger_field.as_ref().map(|t| ("trigger_field", &t.field));
        let named = [
            ("policy_field", &self.policy_field),
            ("length_field", &self.length_field),
            ("reason_field", &self.reason_field),
            ("user_name_field", &self.user_name_field),
        ];
        trigger.into_iter().chain(named.into_iter().filter_map(|(key, field)| Some((key, field.as_ref()?))))
    }

    /// Every policy that a ticket may come to ask for here.
    pub fn named_policies(&self) -> impl Iterator<Item = &PolicyId> {
        self.policy.iter().chain(self.policies.iter())
    }

    /// Both ask by the same thing on the same tickets.
    #[must_use]
    pub fn collides(&self, other: &Self) -> bool {
        let meet = |ours: bool, theirs: bool, common: bool| !ours || !theirs || common;
        let same_trigger = match (&self.trigger_field, &other.trigger_field) {
            (Some(a), Some(b)) => a.field == b.field && a.values.iter().any(|v| b.asks(Some(v))),
            (None, None) if self.trigger_board && other.trigger_board => true,
            (None, None) => self.trigger_statuses.iter().any(|s| other.trigger_statuses.contains(s)),
            _ => false,
        };
        self.connection == other.connection
            && self.boards.iter().any(|b| other.boards.contains(b))
            && meet(!self.types.is_empty(), !other.types.is_empty(), self.types.iter().any(|t| other.types.contains(t)))
            && meet(
                !self.sources.is_empty(),
                !other.sources.is_empty(),
                self.sources.iter().any(|s| other.sources.contains(s)),
            )
            && same_trigger
    }

    /// The trigger is the same as before, or narrower: what it was seen to do goes on counting.
    pub(super) fn watches_like(&self, old: &Self) -> bool {
        let within = |new: usize, kept: bool, old: usize| old == 0 || (new > 0 && kept);
        old.connection == self.connection
            && old.trigger_statuses == self.trigger_statuses
            && old.trigger_field == self.trigger_field
            && old.trigger_board == self.trigger_board
            && self.boards.iter().all(|b| old.boards.contains(b))
            && within(self.types.len(), self.types.iter().all(|t| old.types.contains(t)), old.types.len())
            && within(self.sources.len(), self.sources.iter().all(|s| old.sources.contains(s)), old.sources.len())
    }
}
