//! The rulebook document: what may be given, which tickets ask for it, groups, brakes, alerts.

use std::collections::BTreeSet;

use latchkey_contract::{BoardId, ConnectionId, GroupId, MappingId, PersonId, PolicyId, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Alerts, Brake, CustomerGroup, Faults, GlobalSettings, Mapping, Policy, TechnicianGroup, check};

/// The whole document. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rulebook {
    /// What is set once for the whole installation.
    #[serde(default)]
    pub settings: GlobalSettings,
    /// Which mails go out, and to whom.
    #[serde(default)]
    pub alerts: Alerts,
    /// Technicians who may use the same policies.
    #[serde(default, rename = "technician_group")]
    pub technician_groups: Vec<TechnicianGroup>,
    /// Customers where the same policies may be used.
    #[serde(default, rename = "customer_group")]
    pub customer_groups: Vec<CustomerGroup>,
    /// What may be given.
    #[serde(default, rename = "policy")]
    pub policies: Vec<Policy>,
    /// Which tickets ask for it.
    #[serde(default, rename = "mapping")]
    pub mappings: Vec<Mapping>,
    /// Limits on how much is given in a time.
    #[serde(default, rename = "brake")]
    pub brakes: Vec<Brake>,
}

/// PSAs record changes in whole seconds: a request in the very second in which a mapping came into force is news.
const fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.seconds() * 1000)
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

    /// Checks a document that was read before.
    ///
    /// # Errors
    /// [`Faults`], as in [`Rulebook::parse`].
    pub fn check(&self) -> Result<(), Faults> {
        check::rulebook(self)
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

    /// The boards of a PSA that mappings watch.
    #[must_use]
    pub fn boards(&self, connection: &ConnectionId) -> BTreeSet<BoardId> {
        let watching = self.mappings.iter().filter(|mapping| mapping.connection == *connection);
        watching.flat_map(|mapping| mapping.boards.iter().cloned()).collect()
    }

    /// A technician group by id.
    #[must_use]
    pub fn technician_group(&self, id: &GroupId) -> Option<&TechnicianGroup> {
        self.technician_groups.iter().find(|g| g.id == *id)
    }

    /// A customer group by id.
    #[must_use]
    pub fn customer_group(&self, id: &GroupId) -> Option<&CustomerGroup> {
        self.customer_groups.iter().find(|g| g.id == *id)
    }

    /// The technician groups somebody belongs to.
    pub fn groups_of<'a>(&'a self, person: &'a PersonId) -> impl Iterator<Item = &'a TechnicianGroup> {
        self.technician_groups.iter().filter(|g| g.has(person))
    }

    /// Gives each mapping the time since which it watches: kept while its trigger stays the same, `now` otherwise.
    #[must_use]
    pub fn in_force_since(mut self, before: &Self, now: Timestamp) -> Self {
        for mapping in &mut self.mappings {
            let same = before.mapping(&mapping.id).filter(|old| mapping.watches_like(old));
            mapping.watched_since = same.and_then(|old| old.watched_since).or(Some(whole_second(now)));
        }
        self
    }
}
