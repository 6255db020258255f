//! Rows and domain values, for every engine alike: documents are JSON text, an audit entry is the text that is
//! hashed, and hostile text is bounded before it is kept.

use latchkey_contract::directory::Risk;
use serde::{Serialize, de::DeserializeOwned};

use super::StoreError;
use crate::{access::account::Account, jobs::task::Priority};

/// Longest error text kept in a task's row.
const ERROR_CHARS: usize = 500;

/// A document as stored.
pub(crate) fn encode<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|error| StoreError::Engine(Box::new(error)))
}

/// A document as read back.
pub(crate) fn decode<T: DeserializeOwned>(table: &'static str, id: &str, doc: &str) -> Result<T, StoreError> {
    serde_json::from_str(doc).map_err(|error| {
        tracing::error!(table, row = id, %error, "a stored document cannot be read back");
        StoreError::Corrupt { table, id: id.to_owned() }
    })
}

/// An identifier as read back.
pub(crate) fn parse<T: std::str::FromStr>(table: &'static str, id: &str, text: &str) -> Result<T, StoreError> {
    text.parse().map_err(|_| {
        tracing::error!(table, row = id, "a stored identifier cannot be read back");
        StoreError::Corrupt { table, id: id.to_owned() }
    })
}

/// A priority as read back.
pub(crate) fn priority(id: i64, number: i64) -> Result<Priority, StoreError> {
    match number {
        0 => Ok(Priority::Removal),
        1 => Ok(Priority::Giving),
        2 => Ok(Priority::Telling),
        _ => Err(StoreError::Corrupt { table: "tasks", id: id.to_string() }),
    }
}

/// A risk as read back.
pub(crate) fn risk(table: &'static str, id: &str, number: i64) -> Result<Risk, StoreError> {
    [Risk::Everything, Risk::Power, Risk::Other]
        .into_iter()
        .find(|risk| *risk as i64 == number)
        .ok_or_else(|| StoreError::Corrupt { table, id: id.to_owned() })
}

/// When an account is to be looked at although nothing is owed: the earliest of its looks. The commit
/// that looked must drop the looks that are past, else the sweep asks for them again.
pub(crate) fn look_at(account: &Account) -> Option<i64> {
    account.looks.iter().min().map(|at| at.millis())
}

/// Bounds an error text and makes it printable.
pub(crate) fn bounded(error: &str) -> String {
    error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_CHARS).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_text_is_bounded_and_printable() {
        let text = bounded(&"a\u{1b}[31m\n".repeat(1000));
        assert_eq!(text.chars().count(), ERROR_CHARS);
        assert!(text.chars().all(|c| !c.is_control()));
    }
}
