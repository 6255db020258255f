//! How many calls a connection may have in flight, and in a span of time, with a share that only removals may use.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::quota::{Quota, Spent};
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

/// How many calls at once: for everything, and on top of those for removals alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Share {
    /// For every call.
    pub ordinary: usize,
    /// More, for removals alone.
    pub removals: usize,
}

/// What a vendor lets one connection do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Calls in flight. For a connection that has them all nobody waits, but removals: being asked again by the queue costs
    /// them more than most calls take.
    pub in_flight: Share,
    /// Calls in flight to one endpoint, which is the first segment of an op's path. A short wait for its turn is
    /// ordinary, so these are waited for, up to two seconds.
    pub per_endpoint: Option<Share>,
    /// Calls within a span of time.
    pub in_time: Option<Quota>,
}

impl Default for Limits {
    fn default() -> Self {
        Self { in_flight: Share { ordinary: 6, removals: 8 }, per_endpoint: None, in_time: None }
    }
}

/// How long a call waits for its turn, where it waits.
const TURN: Duration = Duration::from_secs(2);

/// How long a removal waits before it asks in spite of what the vendor told another one: the wait may have been for one thing
/// alone, or be over. Without it, thousands of removals each spend a claim and a commit on the same answer.
const ASKS_AGAIN: Duration = Duration::from_secs(2);

#[derive(Debug)]
pub(super) struct Budget {
    limits: Limits,
    in_flight: Lane,
    endpoints: Mutex<BTreeMap<&'static str, Lane>>,
    spent: Option<Spent>,
    held_until_ms: AtomicI64,
    removals_until_ms: AtomicI64,
    asks_again: Duration,
}

/// Held while a call runs.
#[derive(Debug)]
pub(super) struct Permit {
    _in_flight: OwnedSemaphorePermit,
    _endpoint: Option<OwnedSemaphorePermit>,
}

impl Budget {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            in_flight: Lane::new(limits.in_flight),
            endpoints: Mutex::default(),
            spent: limits.in_time.map(Spent::new),
            held_until_ms: AtomicI64::new(i64::MIN),
            removals_until_ms: AtomicI64::new(i64::MIN),
            asks_again: ASKS_AGAIN,
        }
    }

    /// A permit, or the word to come back later: a slow tenant must not hold a worker that waits for more than a moment.
    pub(super) async fn enter(
        &self,
        op: &'static str,
        urgency: Urgency,
        clock: &dyn Clock,
    ) -> Result<Permit, CallError> {
        if urgency == Urgency::Ordinary {
            let held_until = Timestamp::from_millis(self.held_until_ms.load(Ordering::Relaxed));
            let now = clock.now();
            if now < held_until {
                return Err(CallError::not_yet(op, held_until.since(now), "the vendor asked this connection to wait"));
            }
        }
        let in_flight = match urgency {
            Urgency::Ordinary => self.in_flight.try_enter(urgency),
            Urgency::Removal => {
                self.until_removals_may(clock).await;
                self.in_flight.enter(urgency).await
            }
        };
        let in_flight =
            in_flight.ok_or_else(|| CallError::transient(op, "the connection has all its calls in flight"))?;
        let endpoint = match self.endpoint(op) {
            Some(lane) => Some(
                lane.enter(urgency)
                    .await
                    .ok_or_else(|| CallError::transient(op, "the endpoint has all its calls in flight"))?,
            ),
            None => None,
        };
        if let Some(spent) = &self.spent {
            spent.take(op, urgency, clock.monotonic())?;
        }
        Ok(Permit { _in_flight: in_flight, _endpoint: endpoint })
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

    /// The vendor's own count of the calls in the span, everybody's together.
    pub(super) fn told(&self, used: u32, now: Duration) {
        if let Some(spent) = &self.spent {
            spent.told(used, now);
        }
    }

    fn endpoint(&self, op: &'static str) -> Option<Lane> {
        let share = self.limits.per_endpoint?;
        let path = op.split(' ').nth(1).unwrap_or(op);
        let name = path.trim_start_matches('/').split('/').next().unwrap_or(path);
        let mut endpoints = self.endpoints.lock().unwrap_or_else(PoisonError::into_inner);
        Some(endpoints.entry(name).or_insert_with(|| Lane::new(share)).clone())
    }
}

/// One share, as permits.
#[derive(Debug, Clone)]
struct Lane {
    ordinary: Arc<Semaphore>,
    reserved: Arc<Semaphore>,
}

impl Lane {
    fn new(share: Share) -> Self {
        Self { ordinary: Arc::new(Semaphore::new(share.ordinary)), reserved: Arc::new(Semaphore::new(share.removals)) }
    }

    fn try_enter(&self, urgency: Urgency) -> Option<OwnedSemaphorePermit> {
        let reserved = match urgency {
            Urgency::Removal => Arc::clone(&self.reserved).try_acquire_owned().ok(),
            Urgency::Ordinary => None,
        };
        reserved.or_else(|| Arc::clone(&self.ordinary).try_acquire_owned().ok())
    }

    /// Waits for its turn, a moment at most.
    async fn enter(&self, urgency: Urgency) -> Option<OwnedSemaphorePermit> {
        if let Some(permit) = self.try_enter(urgency) {
            return Some(permit);
        }
        let ordinary = Arc::clone(&self.ordinary).acquire_owned();
        let turn = async {
            match urgency {
                Urgency::Ordinary => ordinary.await,
                Urgency::Removal => tokio::select! {
                    permit = Arc::clone(&self.reserved).acquire_owned() => permit,
                    permit = ordinary => permit,
                },
            }
        };
        tokio::time::timeout(TURN, turn).await.ok().and_then(Result::ok)
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

    fn budget() -> Budget {
        let per_endpoint = Some(Share { ordinary: 2, removals: 1 });
        Budget::new(Limits { per_endpoint, ..Limits::default() })
    }

    #[tokio::test(start_paused = true)]
    async fn an_endpoint_keeps_a_place_for_removals() {
        let budget = budget();
        let enter = |op, urgency| budget.enter(op, urgency, &Still);
        let _one = enter("GET /Tickets/{id}", Urgency::Ordinary).await.unwrap();
        let _two = enter("POST /Tickets/query", Urgency::Ordinary).await.unwrap();
        assert!(enter("PATCH /Tickets", Urgency::Ordinary).await.unwrap_err().is_transient());
        let _other = enter("GET /Resources/{id}", Urgency::Ordinary).await.unwrap();
        let _removal = enter("PATCH /Tickets", Urgency::Removal).await.unwrap();
        assert!(enter("PATCH /Tickets", Urgency::Removal).await.unwrap_err().is_transient());
    }

    #[tokio::test(start_paused = true)]
    async fn where_all_calls_are_in_flight_a_removal_waits_and_nothing_else_does() {
        let budget = Budget::new(Limits::default());
        let enter = |urgency| budget.enter("GET /users/{id}", urgency, &Still);
        let mut permits = Vec::new();
        while let Ok(permit) = enter(Urgency::Removal).await {
            permits.push(permit);
        }
        assert_eq!(permits.len(), 14);
        let began = tokio::time::Instant::now();
        assert!(enter(Urgency::Ordinary).await.unwrap_err().is_transient());
        assert_eq!(began.elapsed(), Duration::ZERO, "nobody waits");
        let (removal, ()) = tokio::join!(enter(Urgency::Removal), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            permits.pop();
        });
        assert!(removal.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_turn_is_waited_for() {
        let budget = budget();
        let one = budget.enter("GET /Tickets/{id}", Urgency::Ordinary, &Still).await.unwrap();
        let _two = budget.enter("GET /Tickets/{id}", Urgency::Ordinary, &Still).await.unwrap();
        let (third, ()) = tokio::join!(budget.enter("GET /Tickets/{id}", Urgency::Ordinary, &Still), async {
            tokio::time::sleep(Duration::from_secs(1)).await;
            drop(one);
        });
        assert!(third.is_ok());
    }

    #[tokio::test]
    async fn what_a_vendor_asks_to_wait_for_holds_back_everything_but_removals() {
        let budget = Budget::new(Limits::default());
        budget.hold_back(Urgency::Ordinary, Timestamp::from_millis(1000));
        let enter = |urgency| budget.enter("GET /users/{id}", urgency, &Still);
        let error = enter(Urgency::Ordinary).await.unwrap_err();
        assert_eq!(error.retry_after(), Some(Duration::from_secs(1)));
        assert!(enter(Urgency::Removal).await.is_ok());
    }

    #[tokio::test]
    async fn where_a_removal_was_told_to_wait_the_others_wait_until_one_goes_through() {
        let budget = Budget::new(Limits::default());
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
        let budget = Budget { asks_again: Duration::ZERO, ..Budget::new(Limits::default()) };
        budget.hold_back(Urgency::Removal, Timestamp::from_millis(60_000));
        assert!(budget.enter("DELETE /users/{id}", Urgency::Removal, &Never).await.is_ok());
    }
}
