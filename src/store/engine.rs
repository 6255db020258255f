//! One of the two engines, as the configuration names it.

use std::{path::PathBuf, sync::Arc};

use super::{
    Store,
    postgres::{self, Postgres, Server},
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

    /// What is remembered.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        match self {
            Self::Sqlite(store) => Arc::<Sqlite>::clone(store),
            Self::Postgres(store) => Arc::<Postgres>::clone(store),
        }
    }

    /// What is damaged in the file, if that was found by now. A server looks after its own files.
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
