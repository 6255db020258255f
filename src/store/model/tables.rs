//! The rows, and how a write is undone: each change leaves behind what it replaced.

use std::{collections::BTreeMap, fmt};

use latchkey_contract::{
    AccountId, ConnectionId, GrantId, MailId, MappingId, PersonId, SecretId, Timestamp, directory::Risk,
};

use crate::{
    access::{Account, Grant, trigger::Sighting},
    audit::{AuditEntry, Checkpoint},
    jobs::task::{Priority, Work},
    rulebook::{Hold, Records, Rulebook},
    store::{Alert, Cursor, Factors, Invitation, NewDelivery, Notice, OwedMail, Revision, SealedRow, Session, Trouble},
};

/// Everything that is remembered. What is numbered keeps the order of its commits.
#[derive(Debug, Default)]
pub(super) struct Tables {
    pub(super) grants: BTreeMap<i64, Grant>,
    pub(super) grant_rows: BTreeMap<GrantId, i64>,
    pub(super) open_grants: BTreeMap<i64, ()>,
    pub(super) accounts: BTreeMap<AccountId, Account>,
    pub(super) sealed: BTreeMap<SecretId, SealedRow>,
    pub(super) sightings: BTreeMap<(String, MappingId), Sighting>,
    pub(super) notices: BTreeMap<i64, Notice>,
    pub(super) notice_rows: BTreeMap<String, i64>,
    pub(super) open_notices: BTreeMap<i64, ()>,
    pub(super) alerts: BTreeMap<String, Alert>,
    pub(super) mails: BTreeMap<MailId, OwedMail>,
    pub(super) deliveries: BTreeMap<String, (NewDelivery, Option<String>)>,
    pub(super) messages: BTreeMap<(ConnectionId, String), String>,
    pub(super) tasks: BTreeMap<i64, Kept>,
    pub(super) slots: BTreeMap<String, i64>,
    pub(super) pending: BTreeMap<(Timestamp, i64), ()>,
    pub(super) leased: BTreeMap<i64, ()>,
    pub(super) audit: BTreeMap<i64, Chained>,
    pub(super) owed: BTreeMap<i64, AuditEntry>,
    pub(super) checkpoints: BTreeMap<i64, Checkpoint>,
    pub(super) revisions: BTreeMap<i64, Revision>,
    pub(super) rulebooks: BTreeMap<i64, Rulebook>,
    /// One row: what is in force.
    pub(super) records: BTreeMap<(), Records>,
    pub(super) holds: BTreeMap<String, Hold>,
    /// With the one-time-code step that was used last.
    pub(super) factors: BTreeMap<PersonId, (Factors, i64)>,
    pub(super) invitations: BTreeMap<PersonId, Invitation>,
    pub(super) sessions: BTreeMap<String, Session>,
    pub(super) failures: BTreeMap<i64, (String, Timestamp)>,
    pub(super) cursors: BTreeMap<ConnectionId, Cursor>,
    pub(super) troubles: BTreeMap<(ConnectionId, &'static str), Trouble>,
    pub(super) meta: BTreeMap<String, String>,
}

/// A task as it stands.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) work: Work,
    pub(super) key: String,
    pub(super) priority: Priority,
    pub(super) risk: Risk,
    pub(super) state: Is,
    pub(super) run_at: Timestamp,
    pub(super) again_at: Option<Timestamp>,
    pub(super) attempts: u32,
    pub(super) fence: i64,
    pub(super) lease_until: Timestamp,
    pub(super) last_error: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Is {
    Pending,
    Leased,
    Dead,
}

/// An audit entry with the very text that was hashed.
#[derive(Debug, Clone)]
pub(super) struct Chained {
    pub(super) entry: AuditEntry,
    pub(super) text: String,
}

type Undo = Box<dyn FnOnce(&mut Tables) + Send>;

/// The rows, and what has to be done to take back whatever was not synced yet.
#[derive(Default)]
pub(super) struct Db {
    pub(super) rows: Tables,
    undo: Vec<Undo>,
    /// Numbers are given once, whatever is taken back.
    number: i64,
}

impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Db").field("unsynced", &self.undo.len()).finish_non_exhaustive()
    }
}

impl Db {
    pub(super) const fn next_number(&mut self) -> i64 {
        self.number += 1;
        self.number
    }

    pub(super) fn put<K, V>(&mut self, table: fn(&mut Tables) -> &mut BTreeMap<K, V>, key: K, row: V)
    where
        K: Ord + Clone + Send + 'static,
        V: Send + 'static,
    {
        let before = table(&mut self.rows).insert(key.clone(), row);
        self.undo.push(Box::new(move |rows| match before {
            Some(row) => drop(table(rows).insert(key, row)),
            None => drop(table(rows).remove(&key)),
        }));
    }

    pub(super) fn take<K, V>(&mut self, table: fn(&mut Tables) -> &mut BTreeMap<K, V>, key: &K) -> bool
    where
        K: Ord + Clone + Send + 'static,
        V: Send + 'static,
    {
        let Some(row) = table(&mut self.rows).remove(key) else { return false };
        let key = key.clone();
        self.undo.push(Box::new(move |rows| drop(table(rows).insert(key, row))));
        true
    }

    /// Where a transaction begins.
    pub(super) const fn mark(&self) -> usize {
        self.undo.len()
    }

    /// Takes back everything since then.
    pub(super) fn back_to(&mut self, mark: usize) {
        while self.undo.len() > mark {
            let Some(undo) = self.undo.pop() else { return };
            undo(&mut self.rows);
        }
    }

    /// What was written so far outlives the process.
    pub(super) fn sync(&mut self) {
        self.undo.clear();
    }
}
