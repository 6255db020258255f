//! Which slots are taken, by what: how much may be claimed now, and for whom.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

use latchkey_contract::ConnectionId;

use super::{LeaseHandle, Settings};
use crate::jobs::task::{Lease, Priority, Task};

/// A task and its fence: after a lost lease the same task may be here twice.
type Key = (String, i64);

#[derive(Debug)]
pub(super) struct Slots {
    all: usize,
    ordinary: usize,
    per_connection: usize,
    removals_per_connection: usize,
    taken: Mutex<HashMap<Key, Taken>>,
}

#[derive(Debug)]
struct Taken {
    lease: LeaseHandle,
    connection: Option<ConnectionId>,
    is_removal: bool,
    is_started: bool,
}

/// What to ask for in the next claim.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) free: usize,
    pub(super) removals_only: bool,
    pub(super) busy: Vec<ConnectionId>,
    pub(super) full: Vec<ConnectionId>,
}

/// Jobs on each connection.
#[derive(Default)]
struct Load<'a>(BTreeMap<&'a ConnectionId, usize>);

impl<'a> Load<'a> {
    fn add(&mut self, connection: &'a ConnectionId) {
        *self.0.entry(connection).or_default() += 1;
    }

    fn at(&self, limit: usize) -> Vec<ConnectionId> {
        self.0.iter().filter(|(_, n)| **n >= limit).map(|(connection, _)| (*connection).clone()).collect()
    }

    fn most_below(&self, limit: usize) -> usize {
        self.0.values().copied().filter(|n| *n < limit).max().unwrap_or(0)
    }
}

impl Slots {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            all: settings.slots,
            ordinary: settings.slots.saturating_sub(settings.for_removals),
            per_connection: settings.per_connection.max(1),
            removals_per_connection: settings.removals_per_connection.max(1),
            taken: Mutex::default(),
        }
    }

    /// So few at a time that even if all were of the connection that has most, its limits would hold.
    pub(super) fn wanted(&self) -> Wanted {
        let taken = self.lock();
        let (mut load, mut ends) = (Load::default(), Load::default());
        for job in taken.values() {
            let Some(connection) = &job.connection else { continue };
            load.add(connection);
            if job.is_removal {
                ends.add(connection);
            }
        }
        let (busy, full) = (load.at(self.per_connection), ends.at(self.removals_per_connection));
        let ordinary = taken.values().filter(|t| !t.is_removal).count();
        let all = self.all.saturating_sub(taken.len());
        let free = all.min(self.removals_per_connection - ends.most_below(self.removals_per_connection));
        match self.ordinary.saturating_sub(ordinary).min(all) {
            0 => Wanted { free, removals_only: true, busy, full },
            some => {
                let free = some.min(free).min(self.per_connection - load.most_below(self.per_connection));
                Wanted { free, removals_only: false, busy, full }
            }
        }
    }

    pub(super) fn take(&self, task: &Task) {
        let taken = Taken {
            lease: LeaseHandle::new(task.lease.clone()),
            connection: task.work.connection().cloned(),
            is_removal: task.priority == Priority::Removal,
            is_started: false,
        };
        self.lock().insert(key(&task.lease), taken);
    }

    /// The lease of a claimed task that begins now; `None` when it was handed back.
    pub(super) fn start(&self, lease: &Lease) -> Option<LeaseHandle> {
        let mut taken = self.lock();
        let found = taken.get_mut(&key(lease))?;
        found.is_started = true;
        Some(found.lease.clone())
    }

    pub(super) fn free(&self, lease: &Lease) {
        self.lock().remove(&key(lease));
    }

    pub(super) fn running(&self) -> usize {
        self.lock().len()
    }

    /// The leases of running jobs. What never began is not kept: somebody else may have it.
    pub(super) fn leases(&self) -> Vec<LeaseHandle> {
        self.lock().values().filter(|t| t.is_started).map(|t| t.lease.clone()).collect()
    }

    /// The leases of everything that was claimed here, also of what did not begin yet.
    pub(super) fn claimed(&self) -> Vec<LeaseHandle> {
        self.lock().values().map(|t| t.lease.clone()).collect()
    }

    /// Removes and answers what was claimed and never started.
    pub(super) fn unstarted(&self) -> Vec<Lease> {
        self.lock().extract_if(|_, t| !t.is_started).map(|(_, t)| t.lease.lease()).collect()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Taken>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(lease: &Lease) -> Key {
    (lease.task.clone(), lease.fence)
}
