//! What every command works with: configuration, database, clock, and the seal where it is needed.

use std::{path::Path, sync::Arc};

use anyhow::Context;
use latchkey_contract::{Clock, ConnectionId, Secret};

use crate::{
    app::database,
    clock::SystemClock,
    config::Config,
    registry::{Change, Live, NotSet, SecretName, Vendors, set_secrets},
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
    pub(super) store: Arc<Sqlite>,
    pub(super) clock: Arc<dyn Clock>,
}

impl Desk {
    pub(super) async fn open(config: &Path) -> anyhow::Result<Self> {
        let config = Config::load(config)?;
        config.make_data_dir()?;
        let store = Arc::new(Sqlite::open(&database(&config), Options::default()).await?);
        Ok(Self { config, store, clock: Arc::new(SystemClock::new()) })
    }

    pub(super) async fn close(&self) {
        self.store.close().await;
    }

    pub(super) async fn seal(&self) -> anyhow::Result<Arc<Seal>> {
        Ok(Arc::new(unlock(&self.config.key_file, &*self.store, self.clock.now()).await?))
    }

    /// The connectors as they are in force now.
    pub(super) async fn live(&self) -> anyhow::Result<Live> {
        let store: Arc<dyn Store> = Arc::<Sqlite>::clone(&self.store);
        let vendors = Arc::new(self.vendors().await?);
        Live::start(store, vendors).await.context("the connections cannot be loaded")
    }

    /// What builds connectors.
    pub(super) async fn vendors(&self) -> anyhow::Result<Vendors> {
        let store: Arc<dyn Store> = Arc::<Sqlite>::clone(&self.store);
        Ok(Vendors::new(store, self.seal().await?, Arc::clone(&self.clock)))
    }

    /// Saves rules as the next revision; answers its number.
    pub(super) async fn save(&self, rules: &Rules, reason: &str) -> anyhow::Result<i64> {
        self.store.save_rules(rules, &by(), reason, self.clock.now()).await.map_err(explain)
    }

    pub(super) async fn set(&self, secrets: &[(SecretName, Secret<String>)]) -> anyhow::Result<()> {
        let seal = self.seal().await?;
        set_secrets(&*self.store, &seal, &by(), secrets, self.clock.now()).await.map_err(not_set)
    }

    /// Puts secrets in force together with what `edit` makes of the rules.
    pub(super) async fn change(&self, change: Change<'_>, edit: impl Fn(&mut Rules)) -> anyhow::Result<()> {
        let seal = self.seal().await?;
        change.put_in_force(&*self.store, &seal, &by(), self.clock.now(), edit).await.map_err(not_set)
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

fn explain(error: StoreError) -> anyhow::Error {
    let hint = match &error {
        StoreError::Conflict => "somebody else saved at the same moment; nothing was changed, run the command again",
        StoreError::Busy => "the database is busy; nothing was changed, run the command again",
        StoreError::Full => "the disk is full; nothing was changed, make room and run the command again",
        _ => "whether anything was changed is not known; look at the cause, and run the command again",
    };
    anyhow::Error::new(error).context(hint)
}

fn not_set(error: NotSet) -> anyhow::Error {
    match error {
        NotSet::Save(error) => explain(error),
        NotSet::Tell(_) => anyhow::Error::new(error)
            .context("a running service goes on with the old value; run the command again, or restart the service"),
    }
}

/// Who is at the command line, as far as the system says, for the history of revisions.
pub(super) fn by() -> String {
    let user = ["SUDO_USER", "USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
    let user = latchkey_contract::text::one_line(user.as_deref().unwrap_or("unknown"), 40);
    format!("command line: {user}")
}
