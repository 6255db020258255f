//! A running job's hold on its task, and the part that keeps it.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use latchkey_contract::Timestamp;

use super::{Shared, Stop};
use crate::{jobs::task::Lease, store::StoreError};

/// A lease that is renewed while its job runs. A lease cannot fence a vendor: what gives access is sent
/// only while more of it remains than the call may take.
#[derive(Debug, Clone)]
pub struct LeaseHandle(Arc<Held>);

#[derive(Debug)]
struct Held {
    lease: Mutex<Lease>,
    is_lost: AtomicBool,
}

impl LeaseHandle {
    /// A handle to a lease; nobody renews it yet.
    #[must_use]
    pub fn new(lease: Lease) -> Self {
        Self(Arc::new(Held { lease: Mutex::new(lease), is_lost: AtomicBool::new(false) }))
    }

    /// The lease as last renewed: what a transition is written under.
    #[must_use]
    pub fn lease(&self) -> Lease {
        self.0.lease.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How much of it is left at `now`; nothing once it is lost.
    #[must_use]
    pub fn remaining(&self, now: Timestamp) -> Duration {
        if self.is_lost() { Duration::ZERO } else { self.lease().until.since(now) }
    }

    /// Somebody else has the task, or may have it.
    #[must_use]
    pub fn is_lost(&self) -> bool {
        self.0.is_lost.load(Ordering::Acquire)
    }

    pub(super) fn lose(&self) {
        self.0.is_lost.store(true, Ordering::Release);
    }

    fn extend(&self, until: Timestamp) {
        self.0.lease.lock().unwrap_or_else(PoisonError::into_inner).until = until;
    }
}

/// Renews every lease at a third of its time, until the queue is stopped and nothing runs any more.
pub(super) async fn keep(shared: Arc<Shared>) {
    loop {
        let next = shared.clock.now() + shared.settings.lease / 3;
        tokio::select! {
            () = wait(&shared, next) => {}
            () = drained(&shared) => return,
        }
        let now = shared.clock.now();
        futures::future::join_all(shared.slots.leases().iter().map(|lease| renew(&shared, lease, now))).await;
    }
}

/// A clock that jumps, or a machine that slept, lets the leases of what is worked on here run out. They are ours until
/// somebody takes them: they are renewed before anything is claimed, so that nothing gets a second hand beside the one that
/// it has. `false` while that cannot be done.
pub(super) async fn renew_what_ran_out(shared: &Shared, now: Timestamp) -> bool {
    for handle in shared.slots.claimed() {
        let (lease, until) = (handle.lease(), now + shared.settings.lease);
        if handle.is_lost() || lease.until > now {
            continue;
        }
        match shared.store.renew(&lease, shared.settings.trust.as_others_see(until)).await {
            Ok(true) => handle.extend(until),
            Ok(false) => handle.lose(),
            Err(error) => {
                tracing::warn!(task = %lease.task, error = &error as &dyn std::error::Error, "a lease ran out and was not renewed; nothing is claimed yet");
                return false;
            }
        }
    }
    true
}

async fn renew(shared: &Shared, handle: &LeaseHandle, now: Timestamp) {
    if handle.is_lost() {
        return;
    }
    let (lease, until) = (handle.lease(), now + shared.settings.lease);
    match shared.store.renew(&lease, shared.settings.trust.as_others_see(until)).await {
        Ok(true) => handle.extend(until),
        Ok(false) => {
            // A job that settled its own task a moment ago shows the same; then nobody asks any more.
            tracing::debug!(task = %lease.task, "a lease was not renewed: it is lost or its task is settled");
            handle.lose();
        }
        Err(error) => {
            let is_busy = matches!(error, StoreError::Busy);
            tracing::warn!(task = %lease.task, is_busy, error = &error as &dyn std::error::Error, "a lease was not renewed");
            if lease.until <= now {
                handle.lose();
            }
        }
    }
}

async fn wait(shared: &Shared, until: Timestamp) {
    while shared.clock.now() < until {
        shared.clock.sleep_until(until).await;
    }
}

async fn drained(shared: &Shared) {
    shared.stopped(Stop::Draining).await;
    while shared.slots.running() > 0 && *shared.stop.borrow() < Stop::Now {
        tokio::select! {
            () = shared.stopped(Stop::Now) => {}
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
    }
}
