//! After an older copy of the database was put back: nothing is given or ended before it was compared with the directories.
//!
//! What happened after the copy was made is not in it. Accounts may stand of which it does not know, grants may be over
//! that it takes for living, and the other way round. So the service records and shows, but its queue claims nothing,
//! until every directory was asked:
//!
//! - Where every directory was compared and none holds an account of ours that is unknown here, it goes on by itself.
//! - Otherwise an operator looks at the list and accepts it ([`settle`]): unknown accounts are taken away and proven off.
//! - Access that the copy takes for living and the directory does not show as it was given is ended, never given again.
//! - Requests from before the copy was put back are not taken up: they may have been granted, and ended, already.

mod compare;
mod settle;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use latchkey_contract::Clock;

pub use compare::{Comparison, Different, Found, Place, compare};
pub use settle::{Accepted, Settled, settle};

use crate::{
    audit::By,
    generation::Counter,
    jobs::queue::Gate,
    random::Random,
    registry::Live,
    store::{Comparing, Store, StoreError},
};

/// How often the directories are asked while something is missing.
const EVERY: Duration = Duration::from_secs(60);

/// How often it is looked whether a command has ended the comparison. Real time: it must go on while a test's clock stands.
const PULSE: Duration = Duration::from_millis(500);

/// The comparison of a service that was started on an older copy.
#[derive(Debug)]
pub struct Reconcile {
    store: Arc<dyn Store>,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    counter: Counter,
    comparing: Comparing,
    gate: Gate,
    /// What is waited for, for `/readyz`.
    waits: Mutex<String>,
}

impl Reconcile {
    /// Not running yet; `gate` is closed until the comparison is over.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        live: Arc<Live>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        counter: Counter,
        comparing: Comparing,
        gate: Gate,
    ) -> Self {
        let waits = Mutex::new("the directories are being compared".to_owned());
        Self { store, live, clock, random, counter, comparing, gate, waits }
    }

    /// Why nothing is given or ended; `None` once it is over.
    #[must_use]
    pub fn waits(&self) -> Option<String> {
        let waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.gate.is_open()).then(|| waits.clone())
    }

    /// Compares until nothing is missing, or until an operator has accepted; then opens the gate and calls `wake`.
    pub async fn run(&self, wake: impl Fn() + Send + Sync) {
        let mut compared: Option<Duration> = None;
        while !self.is_over().await {
            let now = self.clock.monotonic();
            if compared.is_none_or(|at| now.saturating_sub(at) >= EVERY) {
                compared = Some(now);
                if let Err(error) = self.try_to_settle().await {
                    self.wait_for(format!("the database failed: {error}"));
                }
                continue;
            }
            tokio::time::sleep(PULSE).await;
        }
        tracing::warn!("the comparison is over: from now on is given and ended");
        self.gate.unlock();
        wake();
    }

    /// The note goes with the raised generation, whoever raised it.
    async fn is_over(&self) -> bool {
        matches!(self.store.generation().await, Ok(generation) if generation.comparing.is_none())
    }

    async fn try_to_settle(&self) -> Result<(), StoreError> {
        let world = self.live.current().await;
        let comparison = compare(&*self.store, &world, &self.comparing, self.clock.now()).await?;
        if let Some(missing) = comparison.missing(&[]) {
            self.wait_for(missing);
            return Ok(());
        }
        let accepted = Accepted { by: By::Service, without: &[], restored: Some(self.comparing) };
        settle(&*self.store, &comparison, &accepted, &self.counter, &*self.random, self.clock.now()).await.map(drop)
    }

    fn wait_for(&self, what: String) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if *waits != what {
            tracing::error!(what, "nothing is given or ended yet; look at: latchkey reconcile");
            *waits = what;
        }
    }
}
