//! Groups of people and of customers, and brakes: what policies and limits speak of.

use latchkey_contract::{BrakeId, CustomerId, GroupId, PersonId};
use serde::{Deserialize, Serialize};

use super::policy::AllWord;
use crate::access::Length;

/// Technicians who may use the same policies.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TechnicianGroup {
    /// Chosen once.
    pub id: GroupId,
    /// For people.
    pub name: String,
    /// Who belongs to it: `"all"`, or these.
    pub members: Everybody,
    /// Nothing that its members are given lasts longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<Length>,
}

/// `"all"` people of the records, or these.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Everybody {
    /// These.
    Only(Vec<PersonId>),
    /// `"all"`.
    All(AllWord),
}

/// Customers where the same policies may be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CustomerGroup {
    /// Chosen once.
    pub id: GroupId,
    /// For people.
    pub name: String,
    /// Which customers.
    pub customers: Vec<CustomerId>,
    /// Nothing that is given at them lasts longer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_length: Option<Length>,
}

/// A limit on grants in a time. The request that would go beyond it waits for two approvers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Brake {
    /// Chosen once.
    pub id: BrakeId,
    /// Whose grants are counted together.
    pub per: Per,
    /// So many pass; the next one waits.
    pub grants: u32,
    /// In this time.
    pub within: Length,
}

/// Whose grants are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Per {
    /// One technician's.
    Technician,
    /// One customer's.
    Customer,
    /// Everybody's.
    Msp,
}

impl TechnicianGroup {
    /// True for its members.
    #[must_use]
    pub fn has(&self, person: &PersonId) -> bool {
        match &self.members {
            Everybody::All(_) => true,
            Everybody::Only(members) => members.contains(person),
        }
    }
}
