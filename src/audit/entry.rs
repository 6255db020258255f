//! One entry, and who acted.

use std::fmt;

use latchkey_contract::{GrantId, PersonId, TicketRef, Timestamp, text::one_line};
use serde::{Deserialize, Serialize};

use super::Code;
use crate::access::Grant;

/// Who acted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// Latchkey itself: a time that came, a step towards a target, a hold that fell.
    Service,
    /// A person of the records: signed in, or the one who set the ticket's trigger.
    Person(PersonId),
    /// Whoever was at the command line: the operating system's name of them.
    Operator(String),
}

impl By {
    /// Somebody at the command line, by the name that the operating system gives them.
    #[must_use]
    pub fn operator(name: &str) -> Self {
        Self::Operator(one_line(name, 80))
    }

    /// As they were written down beside what they changed, in the words of [`By`]'s display; a name alone is somebody's at
    /// the command line.
    #[must_use]
    pub fn told(text: &str) -> Self {
        match text.split_once(' ') {
            None if text == "service" => Self::Service,
            Some(("operator", name)) => Self::operator(name),
            Some(("person", id)) => id.parse().map_or_else(|_| Self::operator(text), Self::Person),
            _ => Self::operator(text),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("service"),
            Self::Person(id) => write!(f, "person {id}"),
            Self::Operator(name) => write!(f, "operator {name}"),
        }
    }
}

/// One audit entry. The store adds its number and links it to the one before by hash, in the same transaction.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Its number; 0 before it is stored.
    pub seq: i64,
    /// When.
    pub at: Timestamp,
    /// What, in one stable word.
    pub code: Code,
    /// Who acted; `None` in entries of the first release. Left out of their text, which was hashed without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<By>,
    /// Whose access it is about, where it is about somebody's.
    pub person: Option<PersonId>,
    /// Which grant; for a refused request, the id it would have had.
    pub grant: Option<GrantId>,
    /// Which ticket.
    pub ticket: Option<TicketRef>,
    /// More, without secrets.
    pub detail: serde_json::Value,
    /// SHA-256 over the entry before and this one, in hex; empty before it is stored.
    pub hash: String,
}

impl AuditEntry {
    /// One that is about no grant.
    #[must_use]
    pub const fn new(code: Code, at: Timestamp, by: By, detail: serde_json::Value) -> Self {
        Self { seq: 0, at, code, by: Some(by), person: None, grant: None, ticket: None, detail, hash: String::new() }
    }

    /// The same about a grant, its person and its ticket.
    #[must_use]
    pub fn about(self, grant: &Grant) -> Self {
        Self {
            person: Some(grant.person.clone()),
            grant: Some(grant.id.clone()),
            ticket: Some(grant.ticket.clone()),
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_acted_is_told_once_however_often_it_is_written_down() {
        for by in [By::Service, By::Person("jane".parse().unwrap()), By::operator("root (login: jane)")] {
            assert_eq!(By::told(&by.to_string()), by);
        }
        assert_eq!(By::told("jane at the command line of root"), By::operator("jane at the command line of root"));
        assert_eq!(By::told("root"), By::operator("root"));
    }
}
