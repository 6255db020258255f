//! The clock that can be moved: real time plus an offset that only grows.
//!
//! The sandbox and the service each have one; the sandbox owns the offset and tells the service
//! when it moves. Wall and monotonic time move together, so that nobody mistakes a move for a
//! clock that was set.

use std::time::{Duration, Instant};

use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::SimClock;
use tokio::sync::watch;

/// Real time plus an offset. Clones share the offset.
#[derive(Debug, Clone)]
pub(crate) struct MovableClock {
    real: SimClock,
    started: Instant,
    offset: watch::Sender<Duration>,
}

impl MovableClock {
    pub(crate) fn new(offset: Duration) -> Self {
        Self { real: SimClock::system(), started: Instant::now(), offset: watch::Sender::new(offset) }
    }

    /// How far ahead of real time it is.
    pub(crate) fn offset(&self) -> Duration {
        *self.offset.borrow()
    }

    /// Moves it forward; whoever sleeps on it wakes. Answers the new offset.
    pub(crate) fn advance(&self, by: Duration) -> Duration {
        self.offset.send_modify(|offset| *offset += by);
        self.offset()
    }

    /// The same time, as the simulators ask for it.
    pub(crate) fn for_simulators(&self) -> SimClock {
        let clock = self.clone();
        SimClock::new(move || clock.now().millis())
    }
}

#[async_trait::async_trait]
impl Clock for MovableClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.real.now_ms()) + self.offset()
    }

    fn is_moved_by_hand(&self) -> bool {
        true
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed() + self.offset()
    }

    async fn sleep_until(&self, at: Timestamp) {
        let mut moved = self.offset.subscribe();
        loop {
            let left = at.since(self.now());
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = tokio::time::sleep(left) => {}
                // An error would mean that the clock is gone, and we hold a part of it.
                _ = moved.changed() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_move_wakes_the_sleeper_and_moves_both_clocks() {
        let clock = MovableClock::new(Duration::ZERO);
        let (wall, monotonic) = (clock.now(), clock.monotonic());
        let hour = Duration::from_secs(3600);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(wall + hour).await }
        });
        tokio::task::yield_now().await;
        clock.advance(hour);
        sleeper.await.unwrap();
        assert!(clock.now().since(wall) >= hour);
        assert!(clock.monotonic() - monotonic >= hour);
        assert!(clock.monotonic() - monotonic < hour * 2);
    }
}
