//! The rules in force and their connectors, behind one pointer.

use std::sync::{Arc, PoisonError, RwLock};

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
}

impl Live {
    /// Loads the newest revision.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn start(store: Arc<dyn Store>, assemble: Arc<dyn Assemble>) -> Result<Self, StoreError> {
        let first = build(&*store, &*assemble).await?;
        Ok(Self { store, assemble, current: RwLock::new(Arc::new(first)), building: tokio::sync::Mutex::new(()) })
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

    async fn refresh(&self) -> Result<(), StoreError> {
        if self.store.revision().await? == self.known().rules.revision {
            return Ok(());
        }
        let _building = self.building.lock().await;
        if self.store.revision().await? == self.known().rules.revision {
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
