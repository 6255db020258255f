//! One of the two engines, as the configuration names it.

use std::{path::PathBuf, sync::Arc};

use latchkey_contract::Clock;

use super::{
    Store,
    postgres::{self, Found, Look, Postgres, Server},
    sqlite::{self, Options, Sqlite},
};

/// Which database.
#[derive(Debug, Clone)]
pub enum Database {
    /// A file.
    Sqlite(PathBuf),
    /// On a server.
    Postgres(Server),
}

impl Database {
    /// For a process with this clock, which may be one that somebody moves by hand.
    #[must_use]
    pub fn timed_by(self, clock: &Arc<dyn Clock>) -> Self {
        match self {
            Self::Postgres(server) => Self::Postgres(server.timed_by(Arc::clone(clock))),
            file @ Self::Sqlite(_) => file,
        }
    }
}

/// Why it is not opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// SQLite.
    #[error(transparent)]
    Sqlite(#[from] sqlite::OpenError),
    /// PostgreSQL.
    #[error(transparent)]
    Postgres(#[from] postgres::OpenError),
}

/// An open database, until it is closed.
#[derive(Debug, Clone)]
pub enum Engine {
    /// SQLite.
    Sqlite(Arc<Sqlite>),
    /// PostgreSQL.
    Postgres(Arc<Postgres>),
}

impl Engine {
    /// Opens it, makes it if there never was one, and brings it up to date. `options` are about a file; what a server keeps
    /// in reserve is its operator's business.
    ///
    /// # Errors
    /// [`OpenError`], with what to do about it.
    pub async fn open(database: &Database, options: Options) -> Result<Self, OpenError> {
        Ok(match database {
            Database::Sqlite(path) => Self::Sqlite(Arc::new(Sqlite::open(path, options).await?)),
            Database::Postgres(server) => Self::Postgres(Arc::new(Postgres::open(server).await?)),
        })
    }

    /// Opens it for who only looks: a database on a server is brought up to date by a service, and remembered by it.
    ///
    /// # Errors
    /// As [`Engine::open`].
    pub async fn as_it_is(database: &Database, clock: &dyn Clock) -> Result<Self, OpenError> {
        match database {
            Database::Sqlite(_) => Self::open(database, Options::default()).await,
            Database::Postgres(server) => {
                let look = Look::at(server, clock).await?;
                Ok(Self::Postgres(Arc::new(Postgres::as_it_is(server, &look))))
            }
        }
    }

    /// What is remembered.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::<Sqlite>::clone(store),
            Self::Postgres(store) => Arc::<Postgres>::clone(store),
        }
    }

    /// Whether this process found others at work on it, and had no past of its own with it.
    #[must_use]
    pub fn joins(&self) -> bool {
        matches!(self, Self::Postgres(store) if store.found() == Found::InUse)
    }

    /// What is damaged in a file, if that was found by now. A server looks after its own.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        match self {
            Self::Sqlite(store) => store.damage(),
            Self::Postgres(_) => None,
        }
    }

    /// Writes what was accepted, refuses what comes later.
    pub async fn close(&self) {
        match self {
            Self::Sqlite(store) => store.close().await,
            Self::Postgres(store) => store.close().await,
        }
    }
}
