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
    /// Takes access away, or looks whether it is gone: not held back where the vendor asks others to wait, and waits for its
    /// turn where all calls are in flight. Where a removal itself was told to wait, the others ask only now and then.
    Removal,
    /// Gives access, or tells the ticket.
    Ordinary,
}

const ORDINARY: usize = 6;
const RESERVED: usize = 8;

/// How long a removal waits for its turn. Being asked again by the queue costs more than most calls take.
const TURN: Duration = Duration::from_secs(2);

/// How long a removal waits before it asks in spite of what the vendor told another one: the wait may have been for one thing
/// alone, or be over. Without it, thousands of removals each spend a claim and a commit on the same answer.
const ASKS_AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Budget {
    ordinary: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
    held_until_ms: AtomicI64,
    removals_until_ms: AtomicI64,
    asks_again: Duration,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self {
            ordinary: Arc::new(Semaphore::new(ORDINARY)),
            reserved: Arc::new(Semaphore::new(RESERVED)),
            held_until_ms: AtomicI64::new(i64::MIN),
            removals_until_ms: AtomicI64::new(i64::MIN),
            asks_again: ASKS_AGAIN,
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
            Urgency::Removal => {
                self.until_removals_may(clock).await;
                self.turn().await
            }
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

    async fn until_removals_may(&self, clock: &dyn Clock) {
        let until = Timestamp::from_millis(self.removals_until_ms.load(Ordering::Relaxed));
        if clock.now() < until {
            // Whichever is first; a removal that waited asks.
            let _ = tokio::time::timeout(self.asks_again, clock.sleep_until(until)).await;
        }
    }

    /// The vendor asked to wait until then.
    pub(super) fn hold_back(&self, urgency: Urgency, until: Timestamp) {
        self.held_until_ms.fetch_max(until.millis(), Ordering::Relaxed);
        if urgency == Urgency::Removal {
            self.removals_until_ms.fetch_max(until.millis(), Ordering::Relaxed);
        }
    }

    /// The vendor did what it was asked: removals need not wait any more.
    pub(super) fn went_through(&self, urgency: Urgency) {
        if urgency == Urgency::Removal {
            self.removals_until_ms.store(i64::MIN, Ordering::Relaxed);
        }
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

    /// A time that does not come.
    #[derive(Debug)]
    struct Never;

    #[async_trait::async_trait]
    impl Clock for Never {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(0)
        }
        fn monotonic(&self) -> Duration {
            Duration::ZERO
        }
        async fn sleep_until(&self, _: Timestamp) {
            std::future::pending().await
        }
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
        budget.hold_back(Urgency::Ordinary, Timestamp::from_millis(1000));
        let enter = |urgency| budget.enter("GET /users/{id}", urgency, &Still);
        let error = enter(Urgency::Ordinary).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        assert!(enter(Urgency::Removal).await.is_ok());
    }

    #[tokio::test]
    async fn where_a_removal_was_told_to_wait_the_others_wait_until_one_goes_through() {
        let budget = Budget::new();
        let is_let = async || {
            let enter = budget.enter("DELETE /users/{id}", Urgency::Removal, &Never);
            tokio::time::timeout(Duration::ZERO, enter).await.is_ok()
        };
        budget.hold_back(Urgency::Ordinary, Timestamp::from_millis(60_000));
        assert!(is_let().await, "what others were told is not for removals");
        budget.hold_back(Urgency::Removal, Timestamp::from_millis(60_000));
        budget.went_through(Urgency::Ordinary);
        assert!(!is_let().await);
        budget.went_through(Urgency::Removal);
        assert!(is_let().await);
        budget.hold_back(Urgency::Removal, Timestamp::from_millis(-1));
        assert!(is_let().await, "that time is over");
    }

    #[tokio::test]
    async fn a_removal_that_waited_asks_in_spite_of_it() {
        let budget = Budget { asks_again: Duration::ZERO, ..Budget::new() };
        budget.hold_back(Urgency::Removal, Timestamp::from_millis(60_000));
        assert!(budget.enter("DELETE /users/{id}", Urgency::Removal, &Never).await.is_ok());
    }
}
