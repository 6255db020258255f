//! The ring in use: as its file had it when it was last looked at.

use std::sync::{Arc, PoisonError, RwLock};

use super::{KeyFile, KeyFileError, KeyRing, key_file::Stamp};

/// A ring that is swapped whole; who holds it sees the swap.
#[derive(Debug)]
pub(super) struct Ring {
    held: RwLock<Held>,
    file: Option<KeyFile>,
}

#[derive(Debug, Clone)]
struct Held {
    ring: Arc<KeyRing>,
    stamp: Option<Stamp>,
}

impl Ring {
    /// One that has no file to follow.
    pub(super) fn fixed(ring: KeyRing) -> Self {
        Self { held: RwLock::new(Held { ring: Arc::new(ring), stamp: None }), file: None }
    }

    /// One that follows `file`, and the ring as it is there now.
    pub(super) fn of(file: &KeyFile, is_needed: bool) -> Result<(Self, Arc<KeyRing>), KeyFileError> {
        // Before the reading: what is replaced in between is then seen as changed.
        let stamp = file.stamp();
        let ring = Arc::new(file.load(is_needed)?);
        let held = RwLock::new(Held { ring: Arc::clone(&ring), stamp });
        Ok((Self { held, file: Some(file.clone()) }, ring))
    }

    /// As it was when it was looked at last; looks at no file.
    pub(super) fn known(&self) -> Arc<KeyRing> {
        Arc::clone(&self.held.read().unwrap_or_else(PoisonError::into_inner).ring)
    }

    /// As its file has it now. A file that cannot be used just now changes nothing: what is held goes on working.
    pub(super) fn now(&self) -> Arc<KeyRing> {
        let Some(file) = &self.file else { return self.known() };
        let stamp = file.stamp();
        if stamp == self.held.read().unwrap_or_else(PoisonError::into_inner).stamp {
            return self.known();
        }
        match file.load(true) {
            Ok(ring) => {
                let ring = Arc::new(ring);
                let mut held = self.held.write().unwrap_or_else(PoisonError::into_inner);
                if held.ring.first().id() != ring.first().id() {
                    tracing::info!(key = ring.first().id(), "another master key seals from now on");
                }
                *held = Held { ring: Arc::clone(&ring), stamp };
                ring
            }
            Err(error) => {
                tracing::error!(
                    error = &error as &dyn std::error::Error,
                    "the master key file was changed and cannot be used; going on with the keys known before"
                );
                self.known()
            }
        }
    }
}
