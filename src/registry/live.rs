//! The rules in force and their connectors, behind one pointer.

use std::sync::{
    Arc, PoisonError, RwLock,
    atomic::{AtomicU64, Ordering},
};

use super::Registry;
use crate::{
    rulebook::Rules,
    store::{Store, StoreError},
};

/// One revision, whole.
#[derive(Debug)]
pub struct InForce {
    /// The rules.
    pub rules: Rules,
    /// Their connectors.
    pub registry: Registry,
}

/// Makes the connectors of a revision.
#[async_trait::async_trait]
pub trait Assemble: Send + Sync + std::fmt::Debug {
    /// Builds what can be built; what cannot is named in the registry.
    async fn assemble(&self, rules: &Rules) -> Result<Registry, StoreError>;
}

/// The revision in force, looked up by whoever needs it.
#[derive(Debug)]
pub struct Live {
    store: Arc<dyn Store>,
    assemble: Arc<dyn Assemble>,
    current: RwLock<Arc<InForce>>,
    building: tokio::sync::Mutex<()>,
    /// How often somebody wanted to know the revision.
    wanted: AtomicU64,
    /// How many of them are answered by the last look, and what it saw.
    looked: tokio::sync::Mutex<(u64, i64)>,
}

impl Live {
    /// Loads the newest revision.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start(store: Arc<dyn Store>, assemble: Arc<dyn Assemble>) -> Result<Self, StoreError> {
        let first = build(&*store, &*assemble).await?;
        Ok(Self {
            store,
            assemble,
            current: RwLock::new(Arc::new(first)),
            building: tokio::sync::Mutex::new(()),
            wanted: AtomicU64::new(0),
            looked: tokio::sync::Mutex::new((0, 0)),
        })
    }

    /// The newest revision. When the database cannot tell, the one that was in force last: whoever decides by it
    /// compares the revision inside the transaction.
    pub async fn current(&self) -> Arc<InForce> {
        if let Err(error) = self.refresh().await {
            tracing::warn!(%error, "the rules' revision could not be read; going on with the one known last");
        }
        self.known()
    }

    /// The revision that was in force when last looked at; asks nobody.
    #[must_use]
    pub fn known(&self) -> Arc<InForce> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The revision as the store has it now. Who asks while a look is under way waits for the next one, which answers all
    /// of them: a storm of deliveries costs few looks, and nobody is told what was seen before they asked.
    async fn revision(&self) -> Result<i64, StoreError> {
        let mine = self.wanted.fetch_add(1, Ordering::SeqCst) + 1;
        let mut looked = self.looked.lock().await;
        if looked.0 < mine {
            let answered = self.wanted.load(Ordering::SeqCst);
            *looked = (answered, self.store.revision().await?);
        }
        Ok(looked.1)
    }

    async fn refresh(&self) -> Result<(), StoreError> {
        if self.revision().await? == self.known().rules.revision {
            return Ok(());
        }
        let _building = self.building.lock().await;
        if self.revision().await? == self.known().rules.revision {
            return Ok(());
        }
        let next = Arc::new(build(&*self.store, &*self.assemble).await?);
        tracing::info!(revision = next.rules.revision, "rules in force");
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = next;
        Ok(())
    }
}

async fn build(store: &dyn Store, assemble: &dyn Assemble) -> Result<InForce, StoreError> {
    let rules = store.rules().await?;
    let registry = assemble.assemble(&rules).await?;
    for (connection, why) in registry.broken() {
        tracing::error!(%connection, why, "connection cannot be used");
    }
    Ok(InForce { rules, registry })
}
