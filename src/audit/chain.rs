//! The chain: which text is hashed, how one entry follows from another, and where that fails.

use std::fmt::Write as _;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{AuditEntry, Checkpoint, Head, hex};
use crate::store::StoreError;

/// An entry as it is kept and exported: the very text that was hashed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditRow {
    /// Its number, which its text says too.
    pub seq: i64,
    /// The text.
    pub text: String,
    /// The hash over the hash before and the text.
    pub hash: String,
    /// It is found under the number, time, code, grant and ticket that its text says.
    pub is_filed_rightly: bool,
}

impl AuditRow {
    /// What it says.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when it is no entry.
    pub fn entry(&self) -> Result<AuditEntry, StoreError> {
        self.parse().ok_or_else(|| StoreError::Corrupt { table: "audit", id: self.seq.to_string() })
    }

    fn parse(&self) -> Option<AuditEntry> {
        let mut value: Value = serde_json::from_str(&self.text).ok()?;
        value.as_object_mut()?.insert("hash".to_owned(), Value::String(self.hash.clone()));
        serde_json::from_value(value).ok()
    }
}

/// The text of an audit entry that is hashed and stored: its JSON without the hash, keys of objects in
/// byte order, so that the same entry gives the same text in every build and engine.
///
/// # Errors
/// When it cannot be written as JSON, which the types rule out.
pub fn canonical(entry: &AuditEntry) -> Result<String, StoreError> {
    let mut value = serde_json::to_value(entry).map_err(|error| StoreError::Engine(Box::new(error)))?;
    if let Some(fields) = value.as_object_mut() {
        fields.remove("hash");
    }
    Ok(sorted(&value))
}

/// SHA-256 over the hash before (as hex text, empty for the first entry) and the entry's text, in hex.
#[must_use]
pub fn link(before: &str, text: &str) -> String {
    hex(&Sha256::new().chain_update(before).chain_update(text).finalize())
}

/// JSON with the keys of every object in byte order.
///
/// `serde_json` keeps an object's order only by a feature that any dependency may switch; sorted here, it cannot matter.
pub(super) fn sorted(value: &Value) -> String {
    let mut text = String::new();
    write_sorted(value, &mut text);
    text
}

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

/// Where a chain of audit entries is broken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the audit chain is broken at entry {seq}: {why}")]
pub struct BrokenChain {
    /// The first entry that does not follow from the one before.
    pub seq: i64,
    /// What is wrong with it.
    pub why: String,
}

/// A head that was kept elsewhere, and that a whole chain does not bear out.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeadFault {
    /// The log was rewritten, or it is another one.
    #[error("entry {0} is not the one that the head names: the log was rewritten, or the head is another log's")]
    Other(i64),
    /// The newest entries are missing.
    #[error(
        "the head names entry {0}, but the log ends at {1}: entries were taken from its end, or the head is another log's"
    )]
    Beyond(i64, i64),
    /// It lies among those that went, and is not the last of them.
    #[error(
        "entry {0} was pruned, so the head that names it cannot be checked here: check it against an export made before"
    )]
    Pruned(i64),
}

/// A chain that is checked entry by entry, without keeping them.
#[derive(Debug)]
pub struct Chain {
    first: i64,
    seq: i64,
    hash: String,
    sought: Vec<(Head, Option<bool>)>,
}

impl Chain {
    /// Begins after what went, which the checkpoints (oldest first) must cover without a gap.
    ///
    /// # Errors
    /// [`BrokenChain`] at the first checkpoint that does not follow from the one before. Signatures are not looked at.
    pub fn after(checkpoints: &[Checkpoint], sought: Vec<Head>) -> Result<Self, BrokenChain> {
        let mut sought: Vec<_> = sought.into_iter().map(|head| (head, None)).collect();
        let (mut seq, mut hash) = (0, "");
        for Checkpoint { gone, .. } in checkpoints {
            if gone.entries < 1 || gone.seq.checked_sub(gone.entries) != Some(seq) {
                let why = "the checkpoints do not say what became of the entries before it".to_owned();
                return Err(BrokenChain { seq: gone.seq, why });
            }
            (seq, hash) = (gone.seq, &gone.hash);
            note(&mut sought, seq, hash);
        }
        Ok(Self { first: seq + 1, seq, hash: hash.to_owned(), sought })
    }

    /// Begins at an entry that is taken as it is: what comes after it is checked, and nothing before.
    #[must_use]
    pub fn from_row(row: &AuditRow) -> Self {
        Self { first: row.seq, seq: row.seq, hash: row.hash.clone(), sought: Vec::new() }
    }

    /// The next entry.
    ///
    /// # Errors
    /// [`BrokenChain`] when it does not follow from the one before.
    pub fn take(&mut self, row: &AuditRow) -> Result<(), BrokenChain> {
        let broken = |why: String| BrokenChain { seq: row.seq, why };
        let next = self.seq + 1;
        if row.seq < next {
            return Err(broken("it stands there once more, or out of its order".to_owned()));
        }
        if row.seq > next {
            let missing = match row.seq - 1 {
                last if last == next => format!("entry {next} is missing before it"),
                last => format!("entries {next} to {last} are missing before it"),
            };
            return Err(broken(missing));
        }
        if link(&self.hash, &row.text) != row.hash {
            return Err(broken(
                "its hash does not follow from its text and the hash before: it was changed".to_owned(),
            ));
        }
        if !row.is_filed_rightly {
            return Err(broken(
                "it is filed under another number, time, code, grant or ticket than its text says".to_owned(),
            ));
        }
        note(&mut self.sought, row.seq, &row.hash);
        (self.seq, self.hash) = (row.seq, row.hash.clone());
        Ok(())
    }

    /// The number of the first entry that is still there.
    #[must_use]
    pub const fn first(&self) -> i64 {
        self.first
    }

    /// The head so far; `None` before the first entry.
    #[must_use]
    pub fn head(&self) -> Option<Head> {
        (self.seq > 0).then(|| Head::new(self.seq, self.hash.clone()))
    }

    /// Nothing comes after: which of the heads that were sought are not borne out.
    #[must_use]
    pub fn faults(&self) -> Vec<HeadFault> {
        let fault = |(head, found): &(Head, Option<bool>)| match found {
            Some(true) => None,
            Some(false) => Some(HeadFault::Other(head.seq)),
            None if head.seq > self.seq => Some(HeadFault::Beyond(head.seq, self.seq)),
            None => Some(HeadFault::Pruned(head.seq)),
        };
        self.sought.iter().filter_map(fault).collect()
    }
}

fn note(sought: &mut [(Head, Option<bool>)], seq: i64, hash: &str) {
    for (head, found) in sought.iter_mut().filter(|(head, _)| head.seq == seq) {
        *found = Some(head.is_of(hash));
    }
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
    let mut chain = Chain { first: before.0 + 1, seq: before.0, hash: before.1.to_owned(), sought: Vec::new() };
    for entry in entries {
        let broken = |_| BrokenChain { seq: entry.seq, why: "it has no canonical text".to_owned() };
        let text = canonical(entry).map_err(broken)?;
        chain.take(&AuditRow { seq: entry.seq, text, hash: entry.hash.clone(), is_filed_rightly: true })?;
    }
    Ok((chain.seq, chain.hash))
}

#[cfg(test)]
mod tests {
    use latchkey_contract::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::audit::{By, Code, Prunable};

    fn entry(detail: Value) -> AuditEntry {
        AuditEntry {
            seq: 1,
            by: None,
            grant: Some("g1".parse().unwrap()),
            ..AuditEntry::new(Code::GrantActive, Timestamp::from_millis(7), By::Service, detail)
        }
    }

    fn rows(last: i64) -> Vec<AuditRow> {
        let mut rows: Vec<AuditRow> = Vec::new();
        for seq in 1..=last {
            let text = canonical(&AuditEntry { seq, ..entry(json!({"n": seq})) }).unwrap();
            let hash = link(rows.last().map_or("", |row| &row.hash), &text);
            rows.push(AuditRow { seq, text, hash, is_filed_rightly: true });
        }
        rows
    }

    fn check(rows: &[AuditRow], heads: &[Head]) -> Result<Vec<HeadFault>, BrokenChain> {
        let mut chain = Chain::after(&[], heads.to_vec()).unwrap();
        rows.iter().try_for_each(|row| chain.take(row))?;
        Ok(chain.faults())
    }

    /// F144: what the first release stored has no word about who acted, and its text stays what was hashed.
    #[test]
    fn the_text_that_is_hashed_does_not_depend_on_the_order_of_keys() {
        let text = canonical(&entry(json!({"b": [1, {"z": null, "a": "\"x\""}], "a": 1.5}))).unwrap();
        assert_eq!(
            text,
            r#"{"at":7,"code":"grant.active","detail":{"a":1.5,"b":[1,{"a":"\"x\"","z":null}]},"grant":"g1","person":null,"seq":1,"ticket":null}"#
        );
        let row = AuditRow { seq: 1, text, hash: "ff".into(), is_filed_rightly: true };
        assert_eq!(canonical(&row.entry().unwrap()).unwrap(), row.text);
        let by = AuditEntry { by: Some(By::operator("alice")), ..entry(json!({})) };
        assert!(canonical(&by).unwrap().contains(r#""by":{"operator":"alice"}"#));
    }

    /// F144: the first entry that does not follow is named, and how it fails.
    #[test]
    fn a_changed_removed_moved_or_added_entry_breaks_the_chain() {
        let rows = rows(5);
        assert_eq!(check(&rows, &[]), Ok(vec![]));
        let broken = |change: &dyn Fn(&mut Vec<AuditRow>)| {
            let mut changed = rows.clone();
            change(&mut changed);
            let BrokenChain { seq, why } = check(&changed, &[]).unwrap_err();
            format!("{seq}: {why}")
        };
        for (said, change) in [
            (
                "2: its hash",
                &(|r: &mut Vec<AuditRow>| r[1].text = r[1].text.replace("grant.active", "grant.ended")) as _,
            ),
            ("2: its hash", &|r: &mut Vec<AuditRow>| r[1].hash = "0".repeat(64)),
            ("3: entry 2 is missing", &|r: &mut Vec<AuditRow>| drop(r.remove(1))),
            ("5: entries 2 to 4 are missing", &|r: &mut Vec<AuditRow>| drop(r.drain(1..4))),
            ("2: entry 1 is missing", &|r: &mut Vec<AuditRow>| drop(r.remove(0))),
            ("2: it stands there once more", &|r: &mut Vec<AuditRow>| r.insert(2, r[1].clone())),
            ("3: entry 2 is missing", &|r: &mut Vec<AuditRow>| r.swap(1, 2)),
            ("4: it is filed under", &|r: &mut Vec<AuditRow>| r[3].is_filed_rightly = false),
        ] as [(&str, &dyn Fn(&mut Vec<AuditRow>)); 8]
        {
            assert!(broken(change).starts_with(said), "{} instead of {said}", broken(change));
        }
    }

    /// F144: who rewrites all of it, or takes from its end, is told apart by a head that was kept elsewhere.
    #[test]
    fn a_head_that_left_the_house_bears_witness() {
        let rows = rows(5);
        let head = |n: usize| Head::new(rows[n].seq, rows[n].hash.clone());
        let short: Head = head(2).short().parse().unwrap();
        assert_eq!(check(&rows, &[head(4), short, head(0)]), Ok(vec![]));
        assert_eq!(check(&rows[..3], &[head(1), head(4)]), Ok(vec![HeadFault::Beyond(5, 3)]));
        let other = Head::new(2, "0".repeat(64));
        assert_eq!(check(&rows, &[other, head(4)]), Ok(vec![HeadFault::Other(2)]));
    }

    #[test]
    fn what_went_is_accounted_for_by_checkpoints() {
        let (rows, at) = (rows(6), Timestamp::from_millis(7));
        let checkpoint = |seq: i64, entries| {
            let hash = rows[usize::try_from(seq - 1).unwrap()].hash.clone();
            Checkpoint { gone: Prunable { seq, hash, entries, from: at, to: at }, signature: String::new() }
        };
        let both = [checkpoint(2, 2), checkpoint(4, 2)];
        let head = |n: usize| Head::new(rows[n].seq, rows[n].hash.clone());
        let mut chain = Chain::after(&both, vec![head(0), head(1), head(3), head(5)]).unwrap();
        assert_eq!((chain.first(), chain.head()), (5, Some(head(3))));
        rows[4..].iter().for_each(|row| chain.take(row).unwrap());
        assert_eq!(chain.faults(), [HeadFault::Pruned(1)], "and those of the checkpoints are known");
        assert_eq!(Chain::after(&[checkpoint(4, 2)], vec![]).unwrap_err().seq, 4);
        assert_eq!(Chain::after(&[checkpoint(2, 2), checkpoint(4, 1)], vec![]).unwrap_err().seq, 4);
        let mut forged = checkpoint(4, 4);
        forged.gone.hash = "0".repeat(64);
        assert_eq!(Chain::after(&[forged], vec![]).unwrap().take(&rows[4]).unwrap_err().seq, 5);
    }
}
