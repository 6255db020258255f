//! Whether every page of the file reads as it should. That takes the longer the more is stored, and a start must not: a
//! small file is looked through before anything is served from it, a large one while it is served.

use std::{
    fs,
    sync::{Arc, OnceLock},
    time::Duration,
};

use sqlx::SqliteConnection;

use super::open::{OpenError, Opener};

/// Up to this size in bytes a look takes no longer than a start may.
const SMALL: u64 = 16 * 1024 * 1024;

/// Whoever is overdue comes first.
const AFTER: Duration = Duration::from_secs(60);

/// What was found damaged, if anything was by now.
pub(super) type Damage = Arc<OnceLock<String>>;

pub(super) fn is_small(opener: &Opener) -> bool {
    fs::metadata(opener.path()).is_ok_and(|file| file.len() <= SMALL)
}

/// Looks through a large file, after a while. What was found is said by the log, and by whoever asks the store.
pub(super) async fn later(opener: Opener, damage: Damage) {
    tokio::time::sleep(AFTER).await;
    through(&opener, &damage).await;
}

pub(super) async fn through(opener: &Opener, damage: &Damage) {
    match tables(opener).await {
        Ok(()) => tracing::debug!("the database was looked through: every page reads as it should"),
        Err(OpenError::Corrupt { path, found }) => {
            tracing::error!(
                path = %path.display(), found,
                "the database is damaged: stop the service, keep a copy of the file, and restore a backup"
            );
            let _ = damage.set(found);
        }
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "the database could not be looked through");
        }
    }
}

/// One table after the other: a look holds up what moves the log into the database.
async fn tables(opener: &Opener) -> Result<(), OpenError> {
    let mut conn = opener.connect_to_read().await.map_err(|error| opener.failed(error))?;
    let names: Vec<String> = sqlx::query_scalar("SELECT name FROM sqlite_master WHERE type = 'table'")
        .fetch_all(&mut conn)
        .await
        .map_err(|error| opener.failed(error))?;
    for name in names {
        table(opener, &mut conn, &name).await?;
    }
    Ok(())
}

async fn table(opener: &Opener, conn: &mut SqliteConnection, name: &str) -> Result<(), OpenError> {
    let found: String = sqlx::query_scalar("SELECT quick_check FROM pragma_quick_check($1) LIMIT 1")
        .bind(name)
        .fetch_one(conn)
        .await
        .map_err(|error| opener.failed(error))?;
    if found == "ok" { Ok(()) } else { Err(OpenError::Corrupt { path: opener.path().to_owned(), found }) }
}
