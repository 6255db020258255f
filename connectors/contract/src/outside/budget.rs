//! How many calls a connection may have in flight, with a share that only removals may use.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering},
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{CallError, Clock, Timestamp};

/// Whose turn it is when a connection is busy or throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Takes access away, or looks whether it is gone: never held back by us.
    Removal,
    /// Gives access, or tells the ticket.
    Ordinary,
}

const ORDINARY: usize = 6;
const RESERVED: usize = 4;

#[derive(Debug)]
pub(super) struct Budget {
    ordinary: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    held_until_ms: AtomicI64,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            ordinary: Arc::new(Semaphore::new(ORDINARY)),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            held_until_ms: AtomicI64::new(i64::MIN),
        }
    }

    /// A permit, or the word to come back later: a slow tenant must not hold a worker that waits.
    pub(super) fn enter(
        &self,
        op: &'static str,
        urgency: Urgency,
        clock: &dyn Clock,
    ) -> Result<OwnedSemaphorePermit, CallError> {
        if urgency == Urgency::Ordinary {
            let held_until = Timestamp::from_millis(self.held_until_ms.load(Ordering::Relaxed));
            let now = clock.now();
            if now < held_until {
                return Err(CallError::not_yet(op, held_until.since(now), "the vendor asked this connection to wait"));
            }
        }
        let full = || CallError::transient(op, "the connection has all its calls in flight");
        let ordinary = Arc::clone(&self.ordinary).try_acquire_owned();
        match urgency {
            Urgency::Ordinary => ordinary.map_err(|_| full()),
            Urgency::Removal => match Arc::clone(&self.reserved).try_acquire_owned() {
                Ok(permit) => Ok(permit),
                Err(_) => ordinary.map_err(|_| full()),
            },
        }
    }

    pub(super) fn hold_back(&self, until: Timestamp) {
        self.held_until_ms.fetch_max(until.millis(), Ordering::Relaxed);
    }
}
