//! What may be given, and which tickets ask for it ([`Rulebook`]); who and what exists ([`Records`]).
//!
//! Both are TOML documents, checked as a whole and saved as revisions; in memory they lie behind one
//! pointer ([`Rules`]), so that deciding reads no SQL.

mod check;
mod document;
mod records;

use serde::{Deserialize, Serialize};

pub use check::{Fault, Faults};
pub use document::{Delivery, Mapping, Policy, Rulebook, Source, Statuses};
pub use records::{Companies, Connection, ConnectionKind, Customer, Customers, Members, Person, Records};

/// The rules and records that are in force, with their revision.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Rules {
    /// Counts saves of either document; each deciding transaction compares it.
    pub revision: i64,
    /// Policies and mappings.
    pub rulebook: Rulebook,
    /// Connections, customers, people.
    pub records: Records,
}
