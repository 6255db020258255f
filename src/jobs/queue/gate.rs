//! Whether anything may be claimed at all.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// Open, or closed until it is opened; clones are the same gate.
#[derive(Debug, Clone)]
pub struct Gate(Arc<AtomicBool>);

impl Gate {
    /// One that lets everything through.
    #[must_use]
    pub fn open() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }

    /// One that lets nothing through yet.
    #[must_use]
    pub fn closed() -> Self {
        Self(Arc::new(AtomicBool::new(false)))
    }

    /// Lets everything through from now on.
    pub fn unlock(&self) {
        self.0.store(true, Ordering::Release);
    }

    /// True when it lets things through.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }
}
