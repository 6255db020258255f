//! What may be given, and which tickets ask for it ([`Rulebook`]); who and what exists ([`Records`]); what is held
//! whatever these two say ([`Hold`]).
//!
//! The first two are TOML documents, checked as a whole and saved as revisions; in memory all three lie behind one
//! pointer ([`Rules`]), so that deciding reads no SQL.

mod alerts;
mod bindings;
mod check;
mod diff;
mod document;
mod export;
mod groups;
mod holds;
mod inert;
mod mapping;
mod policy;
mod records;

use latchkey_contract::{ConnectionId, Timestamp};
use serde::{Deserialize, Serialize};

pub use alerts::{AlertKind, Alerts, BadSubscriber, GlobalSettings, Subscriber, Switch};
pub use bindings::{Binding, Bound, Rebound};
pub use check::{Fault, Faults};
pub use diff::{Change, Difference};
pub use document::Rulebook;
pub use groups::{Brake, CustomerGroup, Everybody, Per, TechnicianGroup};
pub use holds::{Hold, HoldCause, HoldOn};
pub use inert::{Catalogues, Gravity, Warning};
pub use mapping::{ActorRule, EndsWith, FieldTrigger, Mapping, Statuses};
pub use policy::{
    AdminsWord, AllWord, BadTemplate, Delivery, NameTemplate, Policy, Reason, Source, Technicians, Where, typed_name,
};
pub use records::{Companies, Connection, ConnectionKind, Customer, Customers, Members, Person, Records, Role};

/// Everything that is in force, with its revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Counts changes of anything here; each deciding transaction compares it.
    pub revision: i64,
    /// Policies, mappings, groups, brakes, alerts.
    pub rulebook: Rulebook,
    /// Connections, customers, people.
    pub records: Records,
    /// What is held.
    #[serde(default)]
    pub holds: Vec<Hold>,
    /// A PSA member was bound to somebody at some time, also where none is any more.
    #[serde(default)]
    pub was_bound: bool,
}

/// Why rules cannot follow those in force.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotNext {
    /// A connection would lead to another instance or tenant under its old id.
    #[error(
        "connection.{0}: it now leads to another instance or tenant, where what was given under this id would be looked \
         for in vain; give the new place a connection id of its own. One that was mistyped and gave nothing yet: \
         latchkey connection remove {0}, and add it again"
    )]
    Moved(ConnectionId),
    /// Nobody would be left who can lift a lock.
    #[error("no owner would be left: give somebody else role = \"owner\" first")]
    NoOwner,
}

impl Rules {
    /// The rules that follow these: with a new rulebook or new records, and what is remembered of the old ones.
    ///
    /// # Errors
    /// [`NotNext`].
    pub fn next(&self, rulebook: Rulebook, records: Records, now: Timestamp) -> Result<Self, NotNext> {
        if let Some(id) = records.moved(&self.records).into_iter().next() {
            return Err(NotNext::Moved(id));
        }
        let has_owner = |records: &Records| records.people.iter().any(|p| p.role == Role::Owner);
        if has_owner(&self.records) && !has_owner(&records) {
            return Err(NotNext::NoOwner);
        }
        Ok(Self {
            revision: self.revision,
            rulebook: rulebook.in_force_since(&self.rulebook, now),
            records: records.bound_since(self, now),
            holds: self.holds.clone(),
            was_bound: self.was_bound,
        })
    }

    /// Owners who are not held.
    pub fn free_owners(&self) -> impl Iterator<Item = &Person> {
        let owners = self.records.people.iter().filter(|person| person.role == Role::Owner);
        owners.filter(|person| self.hold(&HoldOn::Person(person.id.clone())).is_none())
    }

    /// The hold on something, if there is one.
    #[must_use]
    pub fn hold(&self, on: &HoldOn) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.on == *on)
    }
}
