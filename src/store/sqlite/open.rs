//! Opening the database: nothing is served from a file that is damaged, not ours, newer than this
//! program, not writable, or unexpectedly empty.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use sqlx::{
    ConnectOptions as _, Connection as _, SqliteConnection, SqlitePool,
    migrate::{MigrateError, Migration, MigrationType, Migrator},
    sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous},
};

use super::look;

/// "LTKY", as the first migration writes it.
const APPLICATION_ID: i64 = 1_280_592_729;

/// How long a write waits for somebody else's lock. A request may come just after such a wait began and
/// then wait through a second one: together still below two seconds.
pub(super) const LOCKED: Duration = Duration::from_millis(900);

const READERS: u32 = 4;

/// 8 MiB: new rows land anywhere in the indexes of deliveries and tasks, and a page that is not there is read again.
const WRITERS_CACHE: &str = "-8192";

/// How large the database may become, and what is kept for removals.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    /// Bytes kept in a file beside the database, given up to removals when the disk is full.
    pub reserve_bytes: u64,
    /// The size in bytes at which the database counts as full. Removals may go `reserve_bytes` beyond. `None`: the disk's own end.
    pub max_bytes: Option<u64>,
}

impl Default for Options {
    fn default() -> Self {
        Self { reserve_bytes: 8 * 1024 * 1024, max_bytes: None }
    }
}

/// Why the database is not opened. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The file is gone, or empty, although a database was here.
    #[error(
        "the database {path} is missing or empty, but {marker} says that there was one: put the file back, or restore a backup; \
         only if everything in it may be forgotten, remove {marker}"
    )]
    Gone {
        /// The database.
        path: PathBuf,
        /// The file that says so.
        marker: PathBuf,
    },
    /// Another installation's database was put in its place.
    #[error(
        "the database {path} is not the one that was used here before: put the right file back, or, if it was restored \
         on purpose, remove {marker} and start again"
    )]
    Other {
        /// The database.
        path: PathBuf,
        /// The file that names the one used before.
        marker: PathBuf,
    },
    /// Not a database of Latchkey.
    #[error("{0} is not a database of Latchkey: name another file")]
    Foreign(PathBuf),
    /// Written by a later release.
    #[error(
        "the database {path} was written by a later release (it has migration {migration}): run that release, or restore the backup made before it"
    )]
    Newer {
        /// The database.
        path: PathBuf,
        /// The migration that this program does not know.
        migration: i64,
    },
    /// A migration of this program differs from the one that was run.
    #[error(
        "the database {path} was made by a build whose migration {migration} differs from this one's: run an official release"
    )]
    Altered {
        /// The database.
        path: PathBuf,
        /// The migration.
        migration: i64,
    },
    /// It cannot be read.
    #[error("the database {path} is damaged ({found}): keep a copy of it and restore a backup")]
    Corrupt {
        /// The database.
        path: PathBuf,
        /// What the engine found first.
        found: String,
    },
    /// It cannot be written.
    #[error(
        "the database {0} cannot be written: check the owner and mode of the file and its directory, and that the disk is not mounted read-only"
    )]
    ReadOnly(PathBuf),
    /// It was locked for as long as we wait.
    #[error("the database {0} is locked by another program: stop that program, or wait for it")]
    Locked(PathBuf),
    /// The engine does not keep what was asked of it.
    #[error("the database {path} refuses the setting {setting}: it is {found}; is it on a network disk?")]
    Setting {
        /// The database.
        path: PathBuf,
        /// Which setting.
        setting: &'static str,
        /// What it is instead.
        found: String,
    },
    /// A file beside it cannot be made or read.
    #[error("{path} cannot be used: check the owner and mode of its directory")]
    File {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The engine failed.
    #[error("the database {path} cannot be opened")]
    Engine {
        /// The database.
        path: PathBuf,
        /// Why.
        #[source]
        source: sqlx::Error,
    },
}

/// How the writing connection is opened, and opened again.
#[derive(Debug, Clone)]
pub(super) struct Opener {
    path: PathBuf,
    options: SqliteConnectOptions,
}

impl Opener {
    pub(super) fn new(path: &Path, options: &Options) -> Self {
        // The log stays so short that what is reserved is enough to move it into the database.
        let log_pages = (options.reserve_bytes / 4 / 4096).clamp(16, 1000);
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .journal_mode(SqliteJournalMode::Wal)
            // NORMAL can lose the last commits when the power fails: what was acknowledged would be gone.
            .synchronous(SqliteSynchronous::Full)
            .foreign_keys(true)
            .busy_timeout(LOCKED)
            // A destroyed secret's bytes are overwritten, not only unlinked.
            .pragma("secure_delete", "ON")
            .pragma("wal_autocheckpoint", log_pages.to_string())
            .disable_statement_logging();
        Self { path: path.to_owned(), options }
    }

    /// Of a file that nobody serves, in whatever state it is.
    pub(super) fn of(path: &Path, options: SqliteConnectOptions) -> Self {
        let options = options.filename(path).create_if_missing(false).foreign_keys(true).disable_statement_logging();
        Self { path: path.to_owned(), options }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The connection that writes.
    pub(super) async fn connect(&self) -> sqlx::Result<SqliteConnection> {
        self.options.clone().pragma("cache_size", WRITERS_CACHE).connect().await
    }

    pub(super) async fn connect_to_read(&self) -> sqlx::Result<SqliteConnection> {
        self.options.clone().read_only(true).connect().await
    }

    /// Moves what is in the log into the database, so that the file alone is whole.
    pub(super) async fn close(&self, mut conn: SqliteConnection) {
        let came = sqlx::query("PRAGMA wal_checkpoint(TRUNCATE)").execute(&mut conn).await;
        if let Err(error) = came {
            tracing::warn!(%error, "the log was not moved into the database; the next start does it");
        }
        let _ = conn.close().await;
    }

    /// Connections that cannot write.
    pub(super) fn readers(&self) -> SqlitePool {
        SqlitePoolOptions::new()
            .max_connections(READERS)
            .acquire_timeout(Duration::from_secs(2))
            .connect_lazy_with(self.options.clone().read_only(true))
    }

    /// Opens the file for the first time in this process, with every check that takes no longer the more is stored.
    pub(super) async fn open(&self) -> Result<SqliteConnection, OpenError> {
        let is_new = self.create()?;
        let mut conn = self.connect().await.map_err(|error| self.failed(error))?;
        if !is_new && look::is_small(self) {
            self.check(&mut conn).await?;
        } else if !is_new {
            self.is_ours(&mut conn).await?;
        }
        self.migrate(&mut conn).await?;
        self.read_back(&mut conn).await?;
        self.mark(&mut conn).await?;
        Ok(conn)
    }

    /// As [`Opener::open`], but looks through a file of any size, and changes nothing.
    pub(super) async fn open_as_it_is(&self) -> Result<SqliteConnection, OpenError> {
        let mut conn = self.connect().await.map_err(|error| self.failed(error))?;
        self.check(&mut conn).await?;
        Ok(conn)
    }

    /// Makes the file, readable by its owner alone; `false` when there is one.
    fn create(&self) -> Result<bool, OpenError> {
        let length = match fs::metadata(&self.path) {
            Ok(found) => found.len(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => 0,
            Err(source) => return Err(OpenError::File { path: self.path.clone(), source }),
        };
        if length > 0 {
            return Ok(false);
        }
        let marker = self.marker();
        if marker.exists() {
            return Err(OpenError::Gone { path: self.path.clone(), marker });
        }
        fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&self.path)
            .map_err(|source| OpenError::File { path: self.path.clone(), source })?;
        Ok(true)
    }

    pub(super) async fn check(&self, conn: &mut SqliteConnection) -> Result<(), OpenError> {
        let found: String = self.ask(conn, "PRAGMA quick_check(1)").await?;
        if found != "ok" {
            return Err(OpenError::Corrupt { path: self.path.clone(), found });
        }
        self.is_ours(conn).await
    }

    async fn is_ours(&self, conn: &mut SqliteConnection) -> Result<(), OpenError> {
        let id: i64 = self.ask(conn, "PRAGMA application_id").await?;
        let tables: i64 =
            self.ask(conn, "SELECT count(*) FROM sqlite_master WHERE name NOT LIKE '\\_sqlx%' ESCAPE '\\'").await?;
        if id != APPLICATION_ID && tables > 0 {
            return Err(OpenError::Foreign(self.path.clone()));
        }
        Ok(())
    }

    pub(super) async fn migrate(&self, conn: &mut SqliteConnection) -> Result<(), OpenError> {
        let path = || self.path.clone();
        migrator().run(&mut *conn).await.map_err(|error| match error {
            MigrateError::VersionMissing(migration) => OpenError::Newer { path: path(), migration },
            MigrateError::VersionMismatch(migration) => OpenError::Altered { path: path(), migration },
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => self.failed(error),
            other => OpenError::Engine { path: path(), source: sqlx::Error::Migrate(Box::new(other)) },
        })?;
        // Learns now, not at the first delivery, whether the file can be written.
        for sql in [
            "BEGIN IMMEDIATE",
            "INSERT INTO meta (name, value) VALUES ('opened', '') ON CONFLICT (name) DO UPDATE SET value = ''",
            "COMMIT",
        ] {
            sqlx::query(sql).execute(&mut *conn).await.map_err(|error| self.failed(error))?;
        }
        Ok(())
    }

    async fn read_back(&self, conn: &mut SqliteConnection) -> Result<(), OpenError> {
        let journal: String = self.ask(conn, "PRAGMA journal_mode").await?;
        let synchronous: i64 = self.ask(conn, "PRAGMA synchronous").await?;
        let foreign: i64 = self.ask(conn, "PRAGMA foreign_keys").await?;
        let wrong = |setting, found: String| Err(OpenError::Setting { path: self.path.clone(), setting, found });
        if journal != "wal" {
            return wrong("journal_mode = WAL", journal);
        }
        if synchronous != 2 {
            return wrong("synchronous = FULL", synchronous.to_string());
        }
        if foreign != 1 {
            return wrong("foreign_keys = ON", foreign.to_string());
        }
        let wal_autocheckpoint: i64 = self.ask(conn, "PRAGMA wal_autocheckpoint").await?;
        tracing::info!(
            journal_mode = journal,
            synchronous,
            foreign_keys = foreign,
            wal_autocheckpoint,
            "the database is open"
        );
        Ok(())
    }

    /// The file beside the database that names it: a start on an empty or another database is noticed.
    async fn mark(&self, conn: &mut SqliteConnection) -> Result<(), OpenError> {
        let marker = self.marker();
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ('id', lower(hex(randomblob(16)))) ON CONFLICT (name) DO NOTHING",
        )
        .execute(&mut *conn)
        .await
        .map_err(|error| self.failed(error))?;
        let id: String = self.ask(conn, "SELECT value FROM meta WHERE name = 'id'").await?;
        match fs::read_to_string(&marker) {
            Ok(known) if known.trim() == id => Ok(()),
            Ok(known) if !known.trim().is_empty() => Err(OpenError::Other { path: self.path.clone(), marker }),
            Err(source) if source.kind() != io::ErrorKind::NotFound => Err(OpenError::File { path: marker, source }),
            _ => fs::write(&marker, format!("{id}\n")).map_err(|source| OpenError::File { path: marker, source }),
        }
    }

    fn marker(&self) -> PathBuf {
        beside(&self.path, "id")
    }

    pub(super) async fn ask<T>(&self, conn: &mut SqliteConnection, sql: &'static str) -> Result<T, OpenError>
    where
        T: for<'r> sqlx::Decode<'r, sqlx::Sqlite> + sqlx::Type<sqlx::Sqlite> + Send + Unpin,
    {
        sqlx::query_scalar(sql).fetch_one(conn).await.map_err(|error| self.failed(error))
    }

    pub(super) fn failed(&self, source: sqlx::Error) -> OpenError {
        let path = self.path.clone();
        match super::code(&source).map(|code| code & 0xff) {
            Some(5 | 6) => OpenError::Locked(path),
            Some(8 | 14) => OpenError::ReadOnly(path),
            Some(11 | 26) => OpenError::Corrupt { path, found: source.to_string() },
            _ => OpenError::Engine { path, source },
        }
    }
}

/// A file beside the database: `latchkey.db` → `latchkey.db.reserve`.
pub(super) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

pub(super) fn migrator() -> Migrator {
    migrator_up_to(i64::MAX)
}

/// The last one that this program knows.
#[must_use]
pub fn newest_migration() -> i64 {
    migrator().iter().map(|migration| migration.version).max().unwrap_or_default()
}

/// The migrations up to and with this number: databases of earlier releases are made with it in tests.
pub(super) fn migrator_up_to(last: i64) -> Migrator {
    use sqlx::SqlSafeStr as _;
    let all = [
        (1, "database", include_str!("../../../migrations/sqlite/0001_database.sql")),
        (2, "access", include_str!("../../../migrations/sqlite/0002_access.sql")),
        (3, "work", include_str!("../../../migrations/sqlite/0003_work.sql")),
        (4, "people", include_str!("../../../migrations/sqlite/0004_people.sql")),
        (5, "rules", include_str!("../../../migrations/sqlite/0005_rules.sql")),
        (6, "audit", include_str!("../../../migrations/sqlite/0006_audit.sql")),
        (7, "mail", include_str!("../../../migrations/sqlite/0007_mail.sql")),
        (9, "watch", include_str!("../../../migrations/sqlite/0009_watch.sql")),
        (10, "invitations", include_str!("../../../migrations/sqlite/0010_invitations.sql")),
        (11, "risk", include_str!("../../../migrations/sqlite/0011_risk.sql")),
        (12, "access by ticket", include_str!("../../../migrations/sqlite/0012_access_by_ticket.sql")),
    ];
    let all = all.into_iter().filter(|(version, ..)| *version <= last);
    let migrations = all.map(|(version, name, sql)| {
        Migration::new(version, name.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    Migrator::with_migrations(migrations.collect())
}
