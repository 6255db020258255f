//! Whether the queue still moves: claiming and the worker each show a beat.

use std::{
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    time::{Duration, Instant},
};

/// Beats come every second; a locked database delays one by two.
const ALIVE_WITHIN: Duration = Duration::from_secs(5);

/// The queue's pulse. Real time: it must stop when the process is stuck, whatever a test's clock says.
#[derive(Debug)]
pub struct Health {
    started: Instant,
    fetch_ms: AtomicU64,
    worker_ms: AtomicU64,
    has_ended: AtomicBool,
}

impl Health {
    pub(super) fn new() -> Self {
        Self {
            started: Instant::now(),
            fetch_ms: AtomicU64::new(0),
            worker_ms: AtomicU64::new(0),
            has_ended: AtomicBool::new(false),
        }
    }

    /// Both parts moved within the last seconds, and nobody ended them.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.has_ended.load(Ordering::Acquire) && self.last_beat() < ALIVE_WITHIN
    }

    /// How long ago the slower of both parts moved.
    #[must_use]
    pub fn last_beat(&self) -> Duration {
        let slower = self.fetch_ms.load(Ordering::Relaxed).min(self.worker_ms.load(Ordering::Relaxed));
        self.started.elapsed().saturating_sub(Duration::from_millis(slower))
    }

    pub(super) fn fetch_beats(&self) {
        self.fetch_ms.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn worker_beats(&self) {
        self.worker_ms.store(self.now(), Ordering::Relaxed);
    }

    pub(super) fn end(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}
