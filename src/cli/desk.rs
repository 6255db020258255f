//! What every command works with: configuration, database, clock, and the seal where it is needed.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use latchkey_contract::{Clock, ConnectionId, Secret};

use crate::{
    app::database,
    audit::{AuditEntry, By, Code},
    clock::SystemClock,
    config::Config,
    lock::{Lock, LockError},
    registry::{Live, NotSet, SecretName, Vendors, set_secrets},
    rulebook::{Connection, Rules},
    seal::{Seal, unlock},
    store::{
        CommitName, Store, StoreError, Transition,
        sqlite::{Options, Sqlite},
    },
};

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) store: Arc<Sqlite>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) lock: Option<Lock>,
}

impl Desk {
    /// Alone with the database until it is closed, or beside a service that runs.
    pub(super) async fn open(config: &Path) -> anyhow::Result<Self> {
        let config = Config::load(config)?;
        config.make_data_dir()?;
        let lock = match Lock::for_command(&config.data_dir).await {
            Ok(lock) => Some(lock),
            Err(LockError::Running(..)) => None,
            Err(error) => return Err(error.into()),
        };
        let store = Arc::new(Sqlite::open(&database(&config), Options::default()).await?);
        Ok(Self { config, store, clock: Arc::new(SystemClock::new()), lock })
    }

    pub(super) async fn close(self) {
        self.store.close().await;
        drop(self.lock);
    }

    pub(super) async fn seal(&self) -> anyhow::Result<Arc<Seal>> {
        Ok(Arc::new(unlock(&self.config.key_file, &*self.store, self.clock.now()).await?))
    }

    /// The connectors as they are in force now.
    pub(super) async fn live(&self) -> anyhow::Result<Live> {
        let store: Arc<dyn Store> = Arc::<Sqlite>::clone(&self.store);
        let vendors = Vendors::new(Arc::clone(&store), self.seal().await?, Arc::clone(&self.clock));
        Live::start(store, Arc::new(vendors)).await.context("the connections cannot be loaded")
    }

    /// Saves rules as the next revision; answers its number.
    pub(super) async fn save(&self, rules: &Rules, reason: &str) -> anyhow::Result<i64> {
        self.store.save_rules(rules, &self.by().to_string(), reason, self.clock.now()).await.map_err(explain)
    }

    pub(super) async fn set(&self, secrets: &[(SecretName, Secret<String>)]) -> anyhow::Result<()> {
        let seal = self.seal().await?;
        set_secrets(&*self.store, &seal, &self.by(), secrets, self.clock.now()).await.map_err(|error| match error {
            NotSet::Save(error) => explain(error),
            NotSet::Tell(_) => anyhow::Error::new(error)
                .context("a running service goes on with the old value; run the command again, or restart the service"),
        })
    }

    /// Who is at the command line, as far as the system says.
    pub(super) fn by(&self) -> By {
        let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        By::operator(user.as_deref().unwrap_or("unknown"))
    }

    /// Writes into the audit log what was done by this command.
    pub(super) async fn record(&self, code: Code, detail: serde_json::Value) -> anyhow::Result<()> {
        let now = self.clock.now();
        let audit = vec![AuditEntry::new(code, now, self.by(), detail)];
        let done = self.store.commit(Transition { audit, ..Transition::new(CommitName::Command, now) }).await;
        done.context("it is done, but could not be written into the audit log")
    }

    /// A connection of the records.
    pub(super) async fn connection(&self, id: &ConnectionId) -> anyhow::Result<Connection> {
        let rules = self.store.rules().await?;
        let known: Vec<&str> = rules.records.connections.iter().map(|c| c.id.as_str()).collect();
        let found = rules.records.connection(id).cloned();
        found.with_context(|| match known.as_slice() {
            [] => "there are no connections yet; write them into a file and run: latchkey records load FILE".to_owned(),
            known => format!("there is no connection {id}; there are: {}", known.join(", ")),
        })
    }
}

pub(super) fn explain(error: StoreError) -> anyhow::Error {
    let hint = match &error {
        StoreError::Conflict => "somebody else saved at the same moment; nothing was changed, run the command again",
        StoreError::Busy => "the database is busy; nothing was changed, run the command again",
        StoreError::Full => "the disk is full; nothing was changed, make room and run the command again",
        _ => "whether anything was changed is not known; look at the cause, and run the command again",
    };
    anyhow::Error::new(error).context(hint)
}
