//! What every command works with: configuration, database, clock, and the seal where it is needed.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use latchkey_contract::{Clock, ConnectionId, Secret};

use crate::{
    app::database,
    clock::SystemClock,
    config::Config,
    lock::{Lock, LockError},
    people::Invitations,
    registry::{Live, NotSet, SecretName, Vendors, set_secrets},
    rulebook::{Connection, Rules},
    seal::{Seal, unlock},
    store::{
        Store, StoreError,
        sqlite::{Options, Sqlite},
    },
};

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    /// How invitations go out; `None` where no mail is configured.
    pub(super) invitations: Option<Arc<dyn Invitations>>,
    sqlite: Arc<Sqlite>,
    lock: Option<Lock>,
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
        let sqlite = Arc::new(Sqlite::open(&database(&config), Options::default()).await?);
        let store: Arc<dyn Store> = Arc::<Sqlite>::clone(&sqlite);
        Ok(Self { config, store, clock: Arc::new(SystemClock::new()), invitations: None, sqlite, lock })
    }

    pub(super) async fn close(self) {
        self.sqlite.close().await;
        drop(self.lock);
    }

    pub(super) async fn seal(&self) -> anyhow::Result<Arc<Seal>> {
        Ok(Arc::new(unlock(&self.config.key_file, &*self.store, self.clock.now()).await?))
    }

    /// The connectors as they are in force now.
    pub(super) async fn live(&self) -> anyhow::Result<Arc<Live>> {
        let vendors = Vendors::new(Arc::clone(&self.store), self.seal().await?, Arc::clone(&self.clock));
        let live = Live::start(Arc::clone(&self.store), Arc::new(vendors)).await;
        Ok(Arc::new(live.context("the connections cannot be loaded")?))
    }

    /// Who is at the command line, for the history.
    pub(super) fn by(&self) -> String {
        by()
    }

    /// Saves rules as the next revision; answers its number.
    pub(super) async fn save(&self, rules: &Rules, reason: &str) -> anyhow::Result<i64> {
        self.store.save_rules(rules, &by(), reason, self.clock.now()).await.map_err(explain)
    }

    pub(super) async fn set(&self, secrets: &[(SecretName, Secret<String>)]) -> anyhow::Result<()> {
        let seal = self.seal().await?;
        set_secrets(&*self.store, &seal, &by(), secrets, self.clock.now()).await.map_err(|error| match error {
            NotSet::Save(error) => explain(error),
            NotSet::Tell(_) => anyhow::Error::new(error)
                .context("a running service goes on with the old value; run the command again, or restart the service"),
        })
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

/// Who is at the command line, as far as the system says, for the history of revisions.
fn by() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = latchkey_contract::text::one_line(user.as_deref().unwrap_or("unknown"), 40);
    format!("command line: {user}")
}
