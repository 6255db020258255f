//! How often somebody who only knows the path may ring.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use latchkey_contract::{Clock, Rejected};

/// Rings that are let through in one minute: a workflow rule fires for one ticket at a time.
const MOST: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// Counts the rings of one connection.
#[derive(Debug)]
pub(super) struct Bell {
    clock: Arc<dyn Clock>,
    /// When the minute began, and the rings in it.
    minute: Mutex<(Duration, u32)>,
}

impl Bell {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, minute: Mutex::new((Duration::ZERO, 0)) }
    }

    pub(super) fn ring(&self) -> Result<(), Rejected> {
        let now = self.clock.monotonic();
        let mut minute = self.minute.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_sub(minute.0) >= MINUTE {
            *minute = (now, 0);
        }
        minute.1 += 1;
        if minute.1 <= MOST { Ok(()) } else { Err(Rejected::OverBudget) }
    }
}
