//! Copies of the database: made while it is used, looked at without being changed, and put in order before they are used.
//!
//! Which file goes where is the caller's business.

use std::{
    fs::{File, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use latchkey_contract::Timestamp;
use sqlx::{
    Connection as _, SqliteConnection,
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteLockingMode, SqliteSynchronous},
};

use super::{
    Conn, OpenError, keys,
    open::{LOCKED, Opener, migrator},
    rules,
    write::{Room, Write as _},
};
use crate::{
    audit::By,
    rulebook::Hold,
    store::{Comparing, LaterHolds, SealedRow, StoreError, row},
};

/// What a database says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// Its id: another installation's has another one.
    pub id: String,
    /// The newest migration that was run on it.
    pub migration: i64,
    /// Its generation, if it counts any.
    pub generation: Option<i64>,
    /// Number and hash of its newest audit entry.
    pub audit: Option<(i64, String)>,
}

/// Writes the database as it is at one moment to a new file, while others read and write it. What was deleted is not in
/// the copy. `to` must not be there.
///
/// # Errors
/// [`OpenError`]; a file that was begun stays for the caller to remove.
pub async fn snapshot(from: &Path, to: &Path) -> Result<(), OpenError> {
    let at = |path: &Path| {
        let path = path.to_owned();
        move |source| OpenError::File { path, source }
    };
    // The engine would make it readable by others.
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(to).map_err(at(to))?;
    let opener = Opener::of(from, SqliteConnectOptions::new().read_only(true));
    let mut conn = opener.connect().await.map_err(|error| opener.failed(error))?;
    let made = sqlx::query("VACUUM INTO $1").bind(to.to_string_lossy().into_owned()).execute(&mut conn).await;
    made.map_err(|error| opener.failed(error))?;
    let _ = conn.close().await;
    File::open(to).and_then(|file| file.sync_all()).map_err(at(to))
}

/// Checks that a file is a whole database of ours, not newer than this program, and reads what it says of itself.
///
/// # Errors
/// [`OpenError`].
pub async fn examine(path: &Path) -> Result<Facts, OpenError> {
    let opener = Opener::of(path, SqliteConnectOptions::new().read_only(true));
    let mut conn = opener.connect().await.map_err(|error| opener.failed(error))?;
    let facts = facts(&opener, &mut conn).await;
    let _ = conn.close().await;
    facts
}

async fn facts(opener: &Opener, conn: &mut SqliteConnection) -> Result<Facts, OpenError> {
    opener.check(conn).await?;
    let fault = |error| opener.failed(error);
    let migrations: Option<i64> = opener
        .ask(conn, "SELECT count(*) FROM sqlite_master WHERE name IN ('_sqlx_migrations', 'meta', 'audit')")
        .await?;
    if migrations != Some(3) {
        return Err(OpenError::Foreign(opener.path().to_owned()));
    }
    let migration: i64 = opener.ask(conn, "SELECT coalesce(max(version), 0) FROM _sqlx_migrations").await?;
    if migrator().iter().all(|known| known.version < migration) {
        return Err(OpenError::Newer { path: opener.path().to_owned(), migration });
    }
    let named = "SELECT value FROM meta WHERE name = $1";
    let id: Option<String> = sqlx::query_scalar(named).bind("id").fetch_optional(&mut *conn).await.map_err(fault)?;
    let generation: Option<String> =
        sqlx::query_scalar(named).bind("generation").fetch_optional(&mut *conn).await.map_err(fault)?;
    let audit = sqlx::query_as("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(conn).await;
    Ok(Facts {
        id: id.ok_or_else(|| OpenError::Foreign(opener.path().to_owned()))?,
        migration,
        generation: generation.and_then(|number| number.parse().ok()),
        audit: audit.map_err(fault)?,
    })
}

/// A sealed row by name, from a file that nobody serves.
///
/// # Errors
/// [`OpenError`].
pub async fn sealed_row(path: &Path, name: &str) -> Result<Option<SealedRow>, OpenError> {
    let opener = Opener::of(path, SqliteConnectOptions::new().read_only(true));
    let mut conn = opener.connect().await.map_err(|error| opener.failed(error))?;
    let found = keys::by_name(&mut conn, name).await;
    let _ = conn.close().await;
    found.map_err(|error| OpenError::Corrupt { path: path.to_owned(), found: error.to_string() })
}

/// Puts a copy in order before it is used: brings it up to this program's migrations, signs everybody out, notes that it
/// has to be compared first, and holds what is held by now as well. One whole file is left behind.
///
/// # Errors
/// [`OpenError`].
pub async fn put_in_order(path: &Path, comparing: Comparing, holds: &[Hold], by: &By) -> Result<(), OpenError> {
    let options = SqliteConnectOptions::new()
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Full)
        .pragma("secure_delete", "ON");
    let opener = Opener::of(path, options);
    let mut conn = opener.connect().await.map_err(|error| opener.failed(error))?;
    let done = async {
        opener.migrate(&mut conn).await?;
        let damaged = |error: StoreError| OpenError::Corrupt { path: path.to_owned(), found: error.to_string() };
        let note = row::encode(&comparing).map_err(damaged)?;
        // Whose sign-in was taken away since the copy was made must not be signed in again.
        sqlx::raw_sql("DELETE FROM sessions; DELETE FROM meta WHERE name = 'compared'")
            .execute(&mut conn)
            .await
            .map_err(|error| opener.failed(error))?;
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('comparing', $1)
             ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(note)
        .execute(&mut conn)
        .await
        .map_err(|error| opener.failed(error))?;
        sqlx::query("BEGIN IMMEDIATE").execute(&mut conn).await.map_err(|error| opener.failed(error))?;
        take_over(&mut conn, holds, by, comparing.since).await.map_err(damaged)?;
        sqlx::query("COMMIT").execute(&mut conn).await.map_err(|error| opener.failed(error))
    }
    .await;
    let _ = conn.close().await;
    done?;
    let synced = File::open(path).and_then(|file| file.sync_all());
    synced.map_err(|source| OpenError::File { path: path.to_owned(), source })
}

/// Keeps everybody else from a database.
#[derive(Debug)]
pub struct Alone {
    held: Option<(Opener, SqliteConnection)>,
}

impl Alone {
    /// Takes a database; changes nothing in it. One that is missing or damaged is nobody's: it is let be.
    ///
    /// # Errors
    /// [`OpenError::Locked`] when somebody has it open.
    pub async fn with(path: &Path) -> Result<Self, OpenError> {
        if std::fs::metadata(path).is_err_and(|error| error.kind() == io::ErrorKind::NotFound) {
            return Ok(Self { held: None });
        }
        let options = SqliteConnectOptions::new().locking_mode(SqliteLockingMode::Exclusive).busy_timeout(LOCKED);
        let opener = Opener::of(path, options);
        let taken = async {
            let mut conn = opener.connect().await?;
            // A connection in this mode keeps its lock until it is closed.
            for sql in ["BEGIN EXCLUSIVE", "COMMIT"] {
                sqlx::query(sql).execute(&mut conn).await?;
            }
            Ok(conn)
        };
        match taken.await.map_err(|error| opener.failed(error)) {
            Ok(conn) => Ok(Self { held: Some((opener, conn)) }),
            Err(OpenError::Corrupt { .. }) => Ok(Self { held: None }),
            Err(error) => Err(error),
        }
    }

    /// The connection that has it; `None` where there is nobody's.
    pub(in crate::store) fn conn(&mut self) -> Option<&mut SqliteConnection> {
        self.held.as_mut().map(|(_, conn)| conn)
    }

    /// Its id, what is held in it, and what became of holds before: lost ones are lost until somebody accepts that. `None`
    /// where it is missing or damaged, or an earlier release's.
    pub async fn holds(&mut self) -> Option<(String, Vec<Hold>, LaterHolds)> {
        let (opener, conn) = self.held.as_mut()?;
        let read = async {
            opener.check(conn).await?;
            let id: String = opener.ask(conn, "SELECT value FROM meta WHERE name = 'id'").await?;
            let sql = "SELECT value FROM meta WHERE name = 'comparing'";
            let noted: Option<String> =
                sqlx::query_scalar(sql).fetch_optional(&mut *conn).await.map_err(|error| opener.failed(error))?;
            let sql = "SELECT target, doc FROM holds ORDER BY target";
            let rows: Vec<(String, String)> =
                sqlx::query_as(sql).fetch_all(conn).await.map_err(|error| opener.failed(error))?;
            let decoded = || {
                let holds =
                    rows.iter().map(|(target, doc)| row::decode("holds", target, doc)).collect::<Result<_, _>>()?;
                let noted = noted.map(|note| row::decode::<Comparing>("meta", "comparing", &note)).transpose()?;
                Ok((holds, noted.map_or(LaterHolds::Kept, |noted| noted.later_holds)))
            };
            let damaged =
                |error: StoreError| OpenError::Corrupt { path: opener.path().to_owned(), found: error.to_string() };
            let (holds, before) = decoded().map_err(damaged)?;
            Ok::<_, OpenError>((id, holds, before))
        };
        let told = read.await;
        told.inspect_err(|error| tracing::warn!(%error, "what the former database holds cannot be read")).ok()
    }

    /// Moves the log into the database, so that the file alone is whole.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn gather(&mut self) -> Result<(), OpenError> {
        let Some((opener, conn)) = &mut self.held else { return Ok(()) };
        let journal: String = opener.ask(conn, "PRAGMA journal_mode = DELETE").await?;
        if journal == "delete" { Ok(()) } else { Err(OpenError::Locked(opener.path().to_owned())) }
    }

    /// Lets others have it again.
    pub async fn done(self) {
        if let Some((_, conn)) = self.held {
            let _ = conn.close().await;
        }
    }
}

/// The files that the engine keeps beside a database that is in use.
#[must_use]
pub fn beside(path: &Path) -> [PathBuf; 2] {
    ["-wal", "-shm"].map(|ending| {
        let mut name = path.as_os_str().to_owned();
        name.push(ending);
        PathBuf::from(name)
    })
}

/// The file beside a database that names it.
#[must_use]
pub fn marker(path: &Path) -> PathBuf {
    super::open::beside(path, "id")
}

/// Sets what another database of this installation holds, unless it is held as gravely here since as late.
async fn take_over(conn: &mut Conn, holds: &[Hold], by: &By, at: Timestamp) -> Result<(), StoreError> {
    for hold in holds {
        let Hold { by: before, since, reason, .. } = hold;
        let reason = format!("still held after a restore, as {before} set it at {since}: {reason}");
        let change = rules::Change { by: by.to_string(), reason, at };
        let mut set = rules::SetHold::new(hold.clone());
        set.taken_over = Some(change);
        if rules::hold_on(conn, &hold.on.to_string()).await?.is_none_or(|before| set.replaces(&before)) {
            set.run(conn, Room::Free).await?;
        }
    }
    Ok(())
}
