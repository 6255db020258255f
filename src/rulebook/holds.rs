//! Holds: brakes that act at once. They stand in no document, so that no import and no roll-back undoes them.

use std::fmt;

use latchkey_contract::{CustomerId, PersonId, Timestamp};
use serde::{Deserialize, Serialize};

/// What gets nothing, and loses what it has.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldOn {
    /// Everybody, everywhere.
    Everything,
    /// One customer.
    Customer(CustomerId),
    /// One person.
    Person(PersonId),
}

/// Why it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HoldCause {
    /// An admin paused a customer.
    Paused,
    /// An admin blocked a person.
    Blocked,
    /// The person may no longer sign in to the PSA.
    Left,
    /// Everything was revoked. Only an owner lifts it.
    Panic,
}

/// One hold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// On what. One hold each; the graver cause stays.
    pub on: HoldOn,
    /// Why.
    pub cause: HoldCause,
    /// Since when.
    pub since: Timestamp,
    /// Who set it.
    pub by: String,
    /// Why, in their words; bounded.
    pub reason: String,
}

impl Hold {
    /// For the ticket and for people.
    #[must_use]
    pub fn sentence(&self) -> String {
        match (&self.on, self.cause) {
            (HoldOn::Everything, _) => "all access is locked".to_owned(),
            (HoldOn::Customer(id), HoldCause::Panic) => format!("all access at customer {id} is locked"),
            (HoldOn::Customer(id), _) => format!("customer {id} is paused"),
            (HoldOn::Person(id), HoldCause::Left) => format!("{id} may no longer sign in to the PSA"),
            (HoldOn::Person(id), HoldCause::Panic) => format!("all access of {id} is locked"),
            (HoldOn::Person(id), _) => format!("{id} is blocked"),
        }
    }
}

impl fmt::Display for HoldOn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("all"),
            Self::Customer(id) => write!(f, "customer/{id}"),
            Self::Person(id) => write!(f, "person/{id}"),
        }
    }
}
