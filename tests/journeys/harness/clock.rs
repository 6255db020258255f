//! A clock that stands until the test moves it, wall and monotonic together.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use latchkey::clock::SystemClock;
use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::clock::SimClock;
use tokio::{sync::Notify, task::JoinHandle};

#[derive(Debug, Clone)]
pub(crate) struct TestClock(Arc<Hands>);

#[derive(Debug)]
struct Hands {
    wall_ms: AtomicI64,
    mono_ms: AtomicI64,
    moved: Notify,
}

impl TestClock {
    pub(crate) fn new() -> Self {
        let start = Timestamp::parse("2026-06-09T21:00:00Z").unwrap();
        Self(Arc::new(Hands {
            wall_ms: AtomicI64::new(start.millis()),
            mono_ms: AtomicI64::new(0),
            moved: Notify::new(),
        }))
    }

    pub(crate) fn pass(&self, time: Duration) {
        let ms = i64::try_from(time.as_millis()).unwrap();
        self.0.wall_ms.fetch_add(ms, Ordering::SeqCst);
        self.0.mono_ms.fetch_add(ms, Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Somebody sets the wall clock; monotonic time does not follow.
    pub(crate) fn set_wall(&self, by_seconds: i64) {
        self.0.wall_ms.fetch_add(by_seconds * 1000, Ordering::SeqCst);
        self.0.moved.notify_waiters();
    }

    /// Goes to the machine's own time, and follows it until it is aborted: for a process that has no other.
    pub(crate) fn follow(&self) -> JoinHandle<()> {
        let (clock, machine) = (self.clone(), SystemClock::new());
        let catch_up = move || clock.pass(machine.now().since(clock.now()));
        catch_up();
        tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(20)).await;
                catch_up();
            }
        })
    }

    /// The vendors live by the time that really passes.
    pub(crate) fn for_vendors(&self) -> SimClock {
        let (hands, start) = (Arc::clone(&self.0), self.now().millis());
        SimClock::new(move || start + hands.mono_ms.load(Ordering::SeqCst))
    }
}

#[async_trait::async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.wall_ms.load(Ordering::SeqCst))
    }

    fn is_moved_by_hand(&self) -> bool {
        true
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.mono_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }

    async fn sleep_until(&self, at: Timestamp) {
        let moved = self.0.moved.notified();
        tokio::pin!(moved);
        moved.as_mut().enable();
        if self.now() < at {
            moved.await;
        }
    }
}
