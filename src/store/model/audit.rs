//! The chain: appended to, owed to, pruned.

use latchkey_contract::Timestamp;

use super::tables::{Chained, Db, Tables};
use crate::{
    access::Grant,
    audit::{AuditEntry, AuditFilter, AuditRow, By, Checkpoint, Prunable, canonical, link},
    store::StoreError,
};

/// So many entries that are owed are chained together.
const TOGETHER: usize = 1000;

/// Chains the entries. Where that fails, those of a removal are owed; anything else fails.
pub(super) fn append(db: &mut Db, entries: &[AuditEntry], is_removal: bool, is_broken: bool) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    let broken = || StoreError::Engine("the chain takes no entry".into());
    let failed = if is_broken {
        broken()
    } else if pay(db, false)? > 0 {
        StoreError::Busy
    } else {
        return chain(db, entries);
    };
    if !is_removal {
        return Err(failed);
    }
    for entry in entries {
        let number = db.next_number();
        db.put(|t| &mut t.owed, number, entry.clone());
    }
    Ok(())
}

fn chain(db: &mut Db, entries: &[AuditEntry]) -> Result<(), StoreError> {
    let (mut seq, mut hash) =
        db.rows.audit.last_key_value().map(|(seq, row)| (*seq, row.entry.hash.clone())).unwrap_or_default();
    for entry in entries {
        seq += 1;
        let entry = AuditEntry { seq, ..entry.clone() };
        let text = canonical(&entry)?;
        hash = link(&hash, &text);
        db.put(|t| &mut t.audit, seq, Chained { entry: AuditEntry { hash: hash.clone(), ..entry }, text });
    }
    Ok(())
}

/// Chains what is owed, oldest first, as much as goes together; answers how much is left.
pub(super) fn pay(db: &mut Db, is_broken: bool) -> Result<usize, StoreError> {
    if db.rows.owed.is_empty() {
        return Ok(0);
    }
    if is_broken {
        return Err(StoreError::Engine("the chain takes no entry".into()));
    }
    let owed: Vec<(i64, AuditEntry)> = db.rows.owed.iter().take(TOGETHER).map(|(n, e)| (*n, e.clone())).collect();
    let entries: Vec<AuditEntry> = owed.iter().map(|(_, entry)| entry.clone()).collect();
    chain(db, &entries)?;
    for (number, _) in owed {
        db.take(|t| &mut t.owed, &number);
    }
    Ok(db.rows.owed.len())
}

pub(super) fn rows(tables: &Tables, filter: &AuditFilter, after: i64, limit: u32) -> Vec<AuditRow> {
    let wanted = tables.audit.range(after + 1..).filter(|(_, row)| wants(tables, filter, &row.entry));
    let row = |(seq, row): (&i64, &Chained)| AuditRow {
        seq: *seq,
        text: row.text.clone(),
        hash: row.entry.hash.clone(),
        is_filed_rightly: true,
    };
    wanted.take(limit as usize).map(row).collect()
}

fn wants(tables: &Tables, filter: &AuditFilter, entry: &AuditEntry) -> bool {
    let by = match &entry.by {
        Some(By::Person(person)) => Some(person),
        _ => None,
    };
    let at_customer = |customer: &str| {
        let grant = entry.grant.as_ref().and_then(|id| tables.grant_rows.get(id)).and_then(|n| tables.grants.get(n));
        entry.detail["request"]["customer"] == customer
            || grant.is_some_and(|g: &Grant| g.customer.as_str() == customer)
    };
    filter.from.is_none_or(|from| entry.at >= from)
        && filter.to.is_none_or(|to| entry.at < to)
        && filter.grant.as_ref().is_none_or(|id| entry.grant.as_ref() == Some(id))
        && filter.ticket.as_ref().is_none_or(|at| entry.ticket.as_ref() == Some(at))
        && filter.person.as_ref().is_none_or(|id| entry.person.as_ref() == Some(id) || by == Some(id))
        && filter.customer.as_ref().is_none_or(|id| at_customer(id.as_str()))
        && filter.code.as_ref().is_none_or(|code| entry.code.as_str().starts_with(code.as_str()))
}

/// The oldest entries from before a time, up to a number, that no open grant needs; never the newest of all.
pub(super) fn prunable(tables: &Tables, before: Timestamp, up_to: i64) -> Option<Prunable> {
    let base = tables.checkpoints.keys().next_back().copied().unwrap_or_default();
    let is_open = |entry: &AuditEntry| {
        let row = entry.grant.as_ref().and_then(|id| tables.grant_rows.get(id));
        row.is_some_and(|row| tables.open_grants.contains_key(row))
    };
    let newest = tables.audit.keys().next_back().copied()?;
    let stays = tables.audit.iter().find(|(_, row)| row.entry.at >= before || is_open(&row.entry)).map(|(seq, _)| *seq);
    let last = stays.unwrap_or(newest).min(newest).saturating_sub(1).min(up_to);
    let gone: Vec<_> = tables.audit.range(base + 1..).take_while(|(seq, _)| **seq <= last).collect();
    let (seq, row) = gone.last()?;
    let times = || gone.iter().map(|(_, row)| row.entry.at);
    Some(Prunable {
        seq: **seq,
        hash: row.entry.hash.clone(),
        entries: gone.len() as i64,
        from: times().min()?,
        to: times().max()?,
    })
}

pub(super) fn prune(
    db: &mut Db,
    checkpoint: &Checkpoint,
    entry: AuditEntry,
    is_broken: bool,
) -> Result<(), StoreError> {
    let gone = &checkpoint.gone;
    if prunable(&db.rows, Timestamp::MAX, gone.seq).as_ref() != Some(gone) {
        return Err(StoreError::Conflict);
    }
    db.put(|t| &mut t.checkpoints, gone.seq, checkpoint.clone());
    append(db, &[entry], false, is_broken)?;
    let seqs: Vec<i64> = db.rows.audit.range(..=gone.seq).map(|(seq, _)| *seq).collect();
    for seq in seqs {
        db.take(|t| &mut t.audit, &seq);
    }
    Ok(())
}
