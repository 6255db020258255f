//! Rows and domain values, for every engine alike: documents are JSON text, the audit chain is hashed
//! over text that does not depend on the engine, and hostile text is bounded before it is kept.

use std::fmt::Write as _;

use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{AuditEntry, StoreError};
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

/// When an account is to be looked at although nothing is owed: the earliest of its looks. The commit
/// that looked must drop the looks that are past, else the sweep asks for them again.
pub(crate) fn look_at(account: &Account) -> Option<i64> {
    account.looks.iter().min().map(|at| at.millis())
}

/// Bounds an error text and makes it printable.
pub(crate) fn bounded(error: &str) -> String {
    error.chars().map(|c| if c.is_control() { ' ' } else { c }).take(ERROR_CHARS).collect()
}

/// The text of an audit entry that is hashed and stored: its JSON without the hash, keys of objects in
/// byte order, so that the same entry gives the same text in every build and engine.
pub(crate) fn canonical(entry: &AuditEntry) -> Result<String, StoreError> {
    let mut value = serde_json::to_value(entry).map_err(|error| StoreError::Engine(Box::new(error)))?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("hash");
    }
    let mut text = String::new();
    write_sorted(&value, &mut text);
    Ok(text)
}

/// An audit entry as read back from its stored text.
pub(crate) fn audit_entry(seq: i64, doc: &str, hash: String) -> Result<AuditEntry, StoreError> {
    let id = seq.to_string();
    let mut value: Value = decode("audit", &id, doc)?;
    if let Some(fields) = value.as_object_mut() {
        fields.insert("hash".to_owned(), Value::String(hash));
    }
    serde_json::from_value(value).map_err(|_| StoreError::Corrupt { table: "audit", id })
}

/// SHA-256 over the hash before (as hex text, empty for the first entry) and the entry's text, in hex.
pub(crate) fn link(before: &str, text: &str) -> String {
    hex(&Sha256::new().chain_update(before).chain_update(text).finalize())
}

/// Where a chain of audit entries is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain is broken at entry {seq}: {why}")]
pub struct BrokenChain {
    /// The first entry that does not follow from the one before.
    pub seq: i64,
    /// What is wrong with it.
    pub why: &'static str,
}

/// Checks that `entries` follow one from another, each numbered one higher, after `before` (the number
/// and hash of the entry that came before them; 0 and empty at the beginning). Answers the new head.
///
/// # Errors
/// [`BrokenChain`] naming the first entry that was changed, removed, or put in.
pub fn verify_chain<'a>(
    before: (i64, &str),
    entries: impl IntoIterator<Item = &'a AuditEntry>,
) -> Result<(i64, String), BrokenChain> {
    let (mut seq, mut hash) = (before.0, before.1.to_owned());
    for entry in entries {
        let broken = |why| BrokenChain { seq: entry.seq, why };
        if entry.seq != seq + 1 {
            return Err(broken("an entry is missing before it"));
        }
        let text = canonical(entry).map_err(|_| broken("it has no canonical text"))?;
        if link(&hash, &text) != entry.hash {
            return Err(broken("its hash does not follow from its text and the hash before"));
        }
        (seq, hash) = (entry.seq, entry.hash.clone());
    }
    Ok((seq, hash))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// `serde_json` keeps an object's order only by a feature that any dependency may switch; sorted here, it cannot matter.
fn write_sorted(value: &Value, out: &mut String) {
    match value {
        Value::Object(fields) => {
            let mut sorted: Vec<_> = fields.iter().collect();
            sorted.sort_by_key(|(name, _)| *name);
            out.push('{');
            for (i, (name, value)) in sorted.into_iter().enumerate() {
                let _ = write!(out, "{}{}:", if i == 0 { "" } else { "," }, Value::String(name.clone()));
                write_sorted(value, out);
            }
            out.push('}');
        }
        Value::Array(values) => {
            out.push('[');
            for (i, value) in values.iter().enumerate() {
                out.push_str(if i == 0 { "" } else { "," });
                write_sorted(value, out);
            }
            out.push(']');
        }
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use latchkey_contract::Timestamp;

    fn entry(detail: Value) -> AuditEntry {
        AuditEntry {
            seq: 1,
            at: Timestamp::from_millis(7),
            code: "grant.active".into(),
            person: None,
            grant: Some("g1".parse().unwrap()),
            ticket: None,
            detail,
            hash: String::new(),
        }
    }

    #[test]
    fn the_text_that_is_hashed_does_not_depend_on_the_order_of_keys() {
        let text = canonical(&entry(serde_json::json!({"b": [1, {"z": null, "a": "\"x\""}], "a": 1.5}))).unwrap();
        assert_eq!(
            text,
            r#"{"at":7,"code":"grant.active","detail":{"a":1.5,"b":[1,{"a":"\"x\"","z":null}]},"grant":"g1","person":null,"seq":1,"ticket":null}"#
        );
        assert_eq!(canonical(&audit_entry(1, &text, "ff".into()).unwrap()).unwrap(), text);
    }

    #[test]
    fn a_changed_removed_or_added_entry_breaks_the_chain() {
        let mut entries: Vec<AuditEntry> = Vec::new();
        for seq in 1..=3 {
            let mut next = AuditEntry { seq, ..entry(serde_json::json!({"n": seq})) };
            next.hash = link(entries.last().map_or("", |e| &e.hash), &canonical(&next).unwrap());
            entries.push(next);
        }
        assert_eq!(verify_chain((0, ""), &entries).unwrap().0, 3);
        let mut changed = entries.clone();
        changed[1].code = "grant.ended".into();
        assert_eq!(verify_chain((0, ""), &changed).unwrap_err().seq, 2);
        assert_eq!(verify_chain((0, ""), [&entries[0], &entries[2]]).unwrap_err().seq, 3);
        assert!(verify_chain((1, &entries[0].hash), &entries[1..]).is_ok());
    }

    #[test]
    fn an_error_text_is_bounded_and_printable() {
        let text = bounded(&"a\u{1b}[31m\n".repeat(1000));
        assert_eq!(text.chars().count(), ERROR_CHARS);
        assert!(text.chars().all(|c| !c.is_control()));
    }
}
