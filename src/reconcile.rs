//! After an older copy of the database was put back: nothing is given or ended before it was compared with the directories.
//!
//! What happened after the copy was made is not in it. Accounts may stand of which it does not know, grants may be over
//! that it takes for living, and the other way round. So the service records and shows, but nothing is claimed, until every
//! directory was asked:
//!
//! - Where every directory was compared and none holds an account of ours that is unknown here, it goes on by itself.
//! - Where a server took over from one that services were at work on, their last calls may take effect when nobody knows of
//!   them any more: what counts is what is compared a minute after.
//! - What is owed in a directory that was compared, and holds nothing unknown, is taken away while others are waited for.
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
    random::Random,
    registry::Live,
    store::{Comparing, Store, StoreError},
};

/// How often the directories are asked while something is missing.
const EVERY: Duration = Duration::from_secs(60);

/// How often it is looked whether a command has ended the comparison. Real time: it must go on while a test's clock stands.
const PULSE: Duration = Duration::from_millis(500);

/// The comparison of an older copy, for as long as this is one.
#[derive(Debug)]
pub struct Reconcile {
    store: Arc<dyn Store>,
    live: Arc<Live>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
    counter: Counter,
    /// What is waited for, for `/readyz`.
    waits: Mutex<Option<String>>,
}

impl Reconcile {
    /// Not running yet. `comparing` when this is known to be an older copy.
    #[must_use]
    pub fn new(
        store: Arc<dyn Store>,
        live: Arc<Live>,
        clock: Arc<dyn Clock>,
        random: Arc<dyn Random>,
        counter: Counter,
        comparing: Option<&Comparing>,
    ) -> Self {
        let waits = Mutex::new(comparing.map(|_| "the directories are being compared".to_owned()));
        Self { store, live, clock, random, counter, waits }
    }

    /// Why nothing is given or ended; `None` when nothing is compared.
    #[must_use]
    pub fn waits(&self) -> Option<String> {
        self.waits.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Compares until nothing is missing, or until an operator has accepted. Here or elsewhere: with the note of it, it is
    /// over for all.
    pub async fn run(&self) {
        let (mut noted, mut again) = (None, Duration::ZERO);
        while let Some(comparing) = self.noted().await {
            let now = self.clock.monotonic();
            // No wall clock: this one's may differ from the server's, which the note is by.
            let since = match noted {
                Some((before, since)) if before == comparing => since,
                _ => {
                    again = now;
                    now
                }
            };
            noted = Some((comparing, since));
            if now >= again {
                again = now + EVERY;
                let are_calls_over =
                    comparing.noted_at.is_none() || now.saturating_sub(since) >= Comparing::LATE_EFFECT;
                match self.try_to_settle(comparing, are_calls_over).await {
                    Ok(()) => continue,
                    // There is more to compare by now, or somebody else has settled it.
                    Err(StoreError::Conflict) => again = now,
                    Err(error) => self.wait_for(format!("the database failed: {error}")),
                }
            }
            tokio::time::sleep(PULSE).await;
        }
        self.over();
    }

    fn over(&self) {
        if self.waits.lock().unwrap_or_else(PoisonError::into_inner).take().is_some() {
            tracing::warn!("the comparison is over: from now on is given and ended");
        }
    }

    /// The same for ever, where a copy can be put in the place of a database that is in use, or be noticed by another
    /// process.
    pub async fn watch(&self) {
        loop {
            self.run().await;
            tokio::time::sleep(PULSE).await;
        }
    }

    /// Shows for ever what others compare.
    pub async fn look_on(&self) {
        loop {
            if self.noted().await.is_none() {
                self.over();
            }
            tokio::time::sleep(PULSE).await;
        }
    }

    /// What is to be compared. While the database cannot tell, what was so before.
    async fn noted(&self) -> Option<Comparing> {
        loop {
            match self.store.generation().await {
                Ok(generation) => {
                    if generation.comparing.is_some() && self.waits().is_none() {
                        self.wait_for("the directories are being compared".to_owned());
                    }
                    return generation.comparing;
                }
                Err(_) => tokio::time::sleep(PULSE).await,
            }
        }
    }

    async fn try_to_settle(&self, comparing: Comparing, are_calls_over: bool) -> Result<(), StoreError> {
        let world = self.live.current().await;
        let comparison = compare(&*self.store, &world, &comparing, self.clock.now()).await?;
        if let Some(missing) = comparison.missing(&[]) {
            self.wait_for(missing);
            // One directory that cannot be reached does not hold up what is owed elsewhere.
            return self.store.compared_so_far(comparing, &comparison.clear()).await;
        }
        if !are_calls_over {
            self.wait_for(
                "calls that were under way may yet take effect; in a minute the directories are compared once more"
                    .to_owned(),
            );
            return self.store.compared_so_far(comparing, &comparison.clear()).await;
        }
        let accepted = Accepted { by: By::Service, without: &[], restored: Some(comparing) };
        settle(&*self.store, &comparison, &accepted, &self.counter, &*self.random, self.clock.now()).await.map(drop)
    }

    fn wait_for(&self, what: String) {
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        if waits.as_ref() != Some(&what) {
            tracing::error!(what, "nothing is given or ended yet; look at: latchkey reconcile");
            *waits = Some(what);
        }
    }
}
