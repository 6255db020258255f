//! How many calls a connection may have in flight, with a share that only removals may use.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{CallError, Clock, Timestamp};

/// Whose turn it is when a connection is busy or throttled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Urgency {
    /// Takes access away, or looks whether it is gone: not held back where the vendor asks to wait, and waits for its turn
    /// where all calls are in flight.
    Removal,
    /// Gives access, or tells the ticket.
    Ordinary,
}

const ORDINARY: usize = 6;
const RESERVED: usize = 8;

/// How long a removal waits for its turn. Being asked again by the queue costs more than most calls take.
const TURN: Duration = Duration::from_secs(2);

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

    /// A permit, or the word to come back later: a slow tenant must not hold a worker that waits. A removal waits, for
    /// a moment.
    pub(super) async fn enter(
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
        let turn = match urgency {
            Urgency::Ordinary => Arc::clone(&self.ordinary).try_acquire_owned().ok(),
            Urgency::Removal => self.turn().await,
        };
        turn.ok_or_else(|| CallError::transient(op, "the connection has all its calls in flight"))
    }

    /// A removal's permit: of its own share first.
    async fn turn(&self) -> Option<OwnedSemaphorePermit> {
        let (reserved, ordinary) = (Arc::clone(&self.reserved), Arc::clone(&self.ordinary));
        tokio::select! {
            biased;
            permit = reserved.acquire_owned() => permit.ok(),
            permit = ordinary.acquire_owned() => permit.ok(),
            () = tokio::time::sleep(TURN) => None,
        }
    }

    pub(super) fn hold_back(&self, until: Timestamp) {
        self.held_until_ms.fetch_max(until.millis(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Still;

    #[async_trait::async_trait]
    impl Clock for Still {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        async fn sleep_until(&self, _: Timestamp) {}
    }

    #[tokio::test]
    async fn where_all_calls_are_in_flight_a_removal_waits_and_nothing_else_does() {
        let budget = Budget::new();
        let enter = |urgency| budget.enter("GET /users/{id}", urgency, &Still);
        let mut permits = Vec::new();
        for _ in 0..ORDINARY + RESERVED {
            permits.push(enter(Urgency::Removal).await.unwrap());
        }
        assert!(enter(Urgency::Ordinary).await.unwrap_err().is_transient());
        let (removal, ()) = tokio::join!(enter(Urgency::Removal), async {
            permits.pop();
        });
        assert!(removal.is_ok(), "it has the place of the one that ended");
    }

    #[tokio::test]
    async fn what_a_vendor_asks_to_wait_for_holds_back_everything_but_removals() {
        let budget = Budget::new();
        budget.hold_back(Timestamp::from_millis(1000));
        let enter = |urgency| budget.enter("GET /users/{id}", urgency, &Still);
        let error = enter(Urgency::Ordinary).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        assert!(enter(Urgency::Removal).await.is_ok());
    }
}
