//! Which engine is measured, and the little that differs from one to another.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;
use clap::ValueEnum;
use latchkey::{
    app::database,
    config::Config,
    store::{
        Store,
        sqlite::{Options, Sqlite},
    },
};

/// The engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// The embedded one
    Sqlite,
}

/// A store opened beside the service that is down.
#[derive(Debug)]
pub(super) enum Opened {
    Sqlite(Arc<Sqlite>),
}

impl Engine {
    /// Opens what a service that is down has left.
    pub(super) async fn open(self, config: &Config) -> anyhow::Result<Opened> {
        match self {
            Self::Sqlite => Ok(Opened::Sqlite(Arc::new(Sqlite::open(&database(config), Options::default()).await?))),
        }
    }

    /// What the service said when it had opened its database: the settings as it read them back.
    pub(super) fn settings(self, log: &str) -> anyhow::Result<String> {
        let opened = |line: &&str| line.contains("\"message\":\"the database is open\"");
        let line = log.lines().rev().find(opened).context("the service did not say that its database is open")?;
        let line: serde_json::Value = serde_json::from_str(line)?;
        let shown = |name: &str| format!("{name} = {}", line[name].to_string().trim_matches('"'));
        match self {
            Self::Sqlite => {
                Ok(["journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint"].map(shown).join(", "))
            }
        }
    }

    /// The files whose growth is what was written.
    pub(super) fn files(self, config: &Config) -> Vec<PathBuf> {
        match self {
            Self::Sqlite => {
                let database = database(config);
                let log = PathBuf::from(format!("{}-wal", database.display()));
                vec![database, log]
            }
        }
    }
}

impl Opened {
    pub(super) fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(sqlite) => Arc::<Sqlite>::clone(sqlite),
        }
    }

    pub(super) async fn close(self) {
        match self {
            Self::Sqlite(sqlite) => sqlite.close().await,
        }
    }
}
