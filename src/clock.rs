//! The system clock. Nothing else reads it: everybody else is handed a [`Clock`].

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use latchkey_contract::{Clock, Timestamp};

/// The longest single sleep: wall time may be set while we sleep, so it is looked at again at least this often.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);

/// The machine's wall and monotonic time.
#[derive(Debug, Clone)]
pub struct SystemClock {
    started: Instant,
}

impl SystemClock {
    /// Starts the monotonic count at zero.
    #[must_use]
    pub fn new() -> Self {
        Self { started: Instant::now() }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait::async_trait]
impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the system clock")]
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn monotonic(&self) -> Duration {
        self.started.elapsed()
    }

    async fn sleep_until(&self, at: Timestamp) {
        tokio::time::sleep(at.since(self.now()).min(LONGEST_SLEEP)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sleep_into_the_past_returns_at_once() {
        let clock = SystemClock::new();
        let before = clock.monotonic();
        clock.sleep_until(Timestamp::from_millis(0)).await;
        assert!(clock.monotonic() - before < Duration::from_secs(1));
        assert!(clock.now() > Timestamp::parse("2024-01-01T00:00:00Z").unwrap());
    }
}
