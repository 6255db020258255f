//! Tasks: adding, claiming, ending.

use std::collections::BTreeSet;

use latchkey_contract::{ConnectionId, Timestamp, directory::Risk};

use super::tables::{Db, Is, Kept, Tables};
use crate::{
    jobs::task::{Lease, NewTask, Priority, Task, Work},
    store::{Claim, Finish, QueueState, StoreError, TaskRow},
};

/// Adds a task, or moves the one that its slot has.
pub(super) fn add(db: &mut Db, new: &NewTask) {
    let slot = new.work.slot();
    let Some(&id) = db.rows.slots.get(&slot) else {
        let id = db.next_number();
        let task = Kept {
            key: new.work.key(),
            work: new.work.clone(),
            priority: new.priority,
            risk: new.risk,
            state: Is::Pending,
            run_at: new.run_at,
            again_at: None,
            attempts: 0,
            fence: 0,
            lease_until: Timestamp::from_millis(0),
            last_error: None,
        };
        db.put(|t| &mut t.slots, slot, id);
        set(db, id, task);
        return;
    };
    let Some(before) = db.rows.tasks.get(&id) else { return };
    let mut task = Kept {
        work: new.work.clone(),
        priority: before.priority.min(new.priority),
        risk: before.risk.min(new.risk),
        ..before.clone()
    };
    match task.state {
        Is::Leased => task.again_at = Some(task.again_at.map_or(new.run_at, |at| at.min(new.run_at))),
        Is::Pending => task.run_at = new.run_at,
        Is::Dead => {
            (task.run_at, task.attempts, task.state) = (new.run_at, 0, Is::Pending);
        }
    }
    set(db, id, task);
}

/// Writes a task, and files it under what it is.
fn set(db: &mut Db, id: i64, task: Kept) {
    unfile(db, id);
    match task.state {
        Is::Pending => db.put(|t| &mut t.pending, (task.run_at, id), ()),
        Is::Leased => db.put(|t| &mut t.leased, id, ()),
        Is::Dead => {}
    }
    db.put(|t| &mut t.tasks, id, task);
}

fn unfile(db: &mut Db, id: i64) {
    let Some((state, run_at)) = db.rows.tasks.get(&id).map(|task| (task.state, task.run_at)) else { return };
    match state {
        Is::Pending => db.take(|t| &mut t.pending, &(run_at, id)),
        Is::Leased => db.take(|t| &mut t.leased, &id),
        Is::Dead => false,
    };
}

fn remove(db: &mut Db, id: i64) {
    unfile(db, id);
    if let Some(slot) = db.rows.tasks.get(&id).map(|task| task.work.slot()) {
        db.take(|t| &mut t.slots, &slot);
    }
    db.take(|t| &mut t.tasks, &id);
}

/// The task of a lease; `None` when the lease was lost.
pub(super) fn held(rows: &Tables, lease: &Lease) -> Option<i64> {
    let id: i64 = lease.task.parse().ok()?;
    let task = rows.tasks.get(&id)?;
    (task.state == Is::Leased && task.fence == lease.fence).then_some(id)
}

/// Ends the run of a held task.
pub(super) fn end(db: &mut Db, lease: &Lease, finish: &Finish) -> Result<(), StoreError> {
    let id = held(&db.rows, lease).ok_or(StoreError::LeaseLost)?;
    let Some(task) = db.rows.tasks.get(&id).cloned() else { return Err(StoreError::LeaseLost) };
    let sooner = |at: Timestamp| task.again_at.map_or(at, |again| again.min(at));
    let waiting = |run_at, attempts, last_error| Kept {
        state: Is::Pending,
        run_at,
        again_at: None,
        attempts,
        last_error,
        ..task.clone()
    };
    let next = match (finish, task.again_at) {
        (Finish::Keep, _) => return Ok(()),
        (Finish::Done, None) => {
            remove(db, id);
            return Ok(());
        }
        (Finish::Done, Some(again)) => waiting(again, 0, None),
        (Finish::At(at), _) => waiting(sooner(*at), 0, None),
        (Finish::Retry { at, error }, _) => waiting(sooner(*at), task.attempts, Some(error.clone())),
        (Finish::Dead { error }, _) if task.priority == Priority::Removal => {
            waiting(sooner(task.lease_until), task.attempts, Some(error.clone()))
        }
        (Finish::Dead { error }, Some(again)) => waiting(again, 0, Some(error.clone())),
        (Finish::Dead { error }, None) => Kept { state: Is::Dead, last_error: Some(error.clone()), ..task },
    };
    set(db, id, next);
    Ok(())
}

pub(super) fn renew(db: &mut Db, lease: &Lease, until: Timestamp) -> bool {
    let Some(id) = held(&db.rows, lease) else { return false };
    let Some(task) = db.rows.tasks.get(&id).cloned() else { return false };
    set(db, id, Kept { lease_until: until, ..task });
    true
}

pub(super) fn claim(db: &mut Db, claim: &Claim) -> Vec<Task> {
    let most = if claim.removals_only { Priority::Removal } else { Priority::Telling };
    if !claim.spares_leases {
        release(db, claim.now, most);
    }
    let is_compared = db.rows.meta.contains_key(super::COMPARING);
    let so_far: Vec<ConnectionId> =
        db.rows.meta.get(super::SO_FAR).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    let may_run = |task: &Kept| match &task.work {
        _ if !is_compared => true,
        _ if task.priority != Priority::Removal => false,
        Work::Converge { directory, .. } => so_far.contains(directory),
        Work::Due { .. } => !so_far.is_empty(),
        _ => false,
    };
    let mut taken: BTreeSet<String> =
        db.rows.leased.keys().filter_map(|id| Some(db.rows.tasks.get(id)?.key.clone())).collect();
    let mut due: Vec<(Priority, Timestamp, i64)> = db
        .rows
        .pending
        .range(..=(claim.now, i64::MAX))
        .filter_map(|((at, id), ())| Some((db.rows.tasks.get(id)?.priority, *at, *id)))
        .filter(|(priority, ..)| *priority <= most)
        .collect();
    due.sort_unstable();
    // Whoever is first of a key keeps the others waiting, also where it is not taken itself; of those, the riskiest go first.
    let mut first: Vec<(Priority, Risk, Timestamp, i64)> = due
        .into_iter()
        .filter_map(|(priority, run_at, id)| {
            let task = db.rows.tasks.get(&id)?;
            let is_first = taken.insert(task.key.clone());
            let limits = if priority == Priority::Removal { &claim.full } else { &claim.busy };
            let is_at_limit = task.work.connection().is_some_and(|c| limits.contains(c));
            (is_first && may_run(task) && !is_at_limit).then_some((priority, task.risk, run_at, id))
        })
        .collect();
    first.sort_unstable();
    first.truncate(claim.free);
    let mut claimed = Vec::new();
    for (priority, _, run_at, id) in first {
        let Some(task) = db.rows.tasks.get(&id) else { continue };
        let next = Kept {
            state: Is::Leased,
            fence: task.fence + 1,
            attempts: task.attempts + 1,
            lease_until: claim.lease_until,
            again_at: task.again_at.filter(|again| *again > claim.now),
            ..task.clone()
        };
        let lease = Lease { task: id.to_string(), fence: next.fence, until: next.lease_until };
        claimed.push(Task { lease, work: next.work.clone(), priority, run_at, attempt: next.attempts });
        set(db, id, next);
    }
    claimed
}

/// Leases that ran out: their tasks wait again.
fn release(db: &mut Db, now: Timestamp, most: Priority) {
    let over: Vec<(i64, Kept)> = db
        .rows
        .leased
        .keys()
        .filter_map(|id| Some((*id, db.rows.tasks.get(id)?)))
        .filter(|(_, task)| task.lease_until <= now && task.priority <= most)
        .map(|(id, task)| (id, task.clone()))
        .collect();
    for (id, task) in over {
        set(db, id, Kept { state: Is::Pending, last_error: Some("the lease ran out".to_owned()), ..task });
    }
}

pub(super) fn next_due(rows: &Tables) -> Option<Timestamp> {
    let pending = rows.pending.keys().next().map(|(at, _)| *at);
    let leased = rows.leased.keys().filter_map(|id| Some(rows.tasks.get(id)?.lease_until)).min();
    pending.into_iter().chain(leased).min()
}

pub(super) fn queue(rows: &Tables, now: Timestamp) -> QueueState {
    let ready = rows.pending.range(..=(now, i64::MAX)).count() as u64;
    let dead = rows.tasks.values().filter(|task| task.state == Is::Dead).count() as u64;
    let oldest_due = rows.pending.keys().next().map(|(at, _)| *at).filter(|at| *at <= now);
    let leased = rows.leased.len() as u64;
    QueueState { ready, leased, future: rows.pending.len() as u64 - ready, dead, oldest_due }
}

pub(super) fn list(rows: &Tables, limit: u32) -> Vec<TaskRow> {
    let row = |task: &Kept| TaskRow {
        slot: task.work.slot(),
        priority: task.priority as i64,
        state: match task.state {
            Is::Pending => "pending",
            Is::Leased => "leased",
            Is::Dead => "dead",
        }
        .to_owned(),
        at: if task.state == Is::Leased { task.lease_until } else { task.run_at },
        attempts: i64::from(task.attempts),
        last_error: task.last_error.clone(),
    };
    let mut all: Vec<TaskRow> = rows.tasks.values().map(row).collect();
    all.sort_by_key(|row| (row.state != "dead", row.at));
    all.truncate(limit as usize);
    all
}

/// A task of this slot is there and not dead.
pub(super) fn is_there(rows: &Tables, slot: &str) -> bool {
    let task = rows.slots.get(slot).and_then(|id| rows.tasks.get(id));
    task.is_some_and(|task| task.state != Is::Dead)
}
