//! Which engine is measured, and the little that differs from one to another.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use anyhow::{Context as _, bail, ensure};
use clap::ValueEnum;
use latchkey::{
    config::Config,
    store::{self, Database, sqlite::Options},
};
use latchkey_simulators::postgres::{Server, binaries};

/// The engines there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Engine {
    /// The embedded one
    Sqlite,
    /// Debian's server, started for it on this machine
    Postgres,
}

/// What PostgreSQL must be asked for so that an answer means that it is on the disk, and how it says that it obeys.
const DURABLE: [&str; 3] = ["fsync", "full_page_writes", "synchronous_commit"];

impl Engine {
    /// False where a program is missing.
    pub(crate) fn is_here(self) -> bool {
        match self {
            Self::Sqlite => true,
            Self::Postgres => binaries().is_some(),
        }
    }

    /// What the service's configuration says of a fresh database.
    pub(crate) fn fresh(self) -> anyhow::Result<String> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        match self {
            Self::Sqlite => Ok(String::new()),
            Self::Postgres => {
                let name = format!("sandbox_{}", COUNT.fetch_add(1, Ordering::Relaxed));
                Ok(format!("[database]\nurl = \"{}\"\n", server()?.database(&name).url))
            }
        }
    }

    /// Opens what a service that is down has left.
    pub(super) async fn open(config: &Config) -> anyhow::Result<store::Engine> {
        Ok(store::Engine::open(&config.database, Options::default()).await?)
    }

    /// The settings as the service has read them back on its own connection, by what it logged.
    pub(super) fn settings(self, log: &str) -> anyhow::Result<String> {
        let names: &[&str] = match self {
            Self::Sqlite => &["journal_mode", "synchronous", "foreign_keys", "wal_autocheckpoint"],
            Self::Postgres => &DURABLE,
        };
        let opened = |line: &&str| line.contains("\"message\":\"the database is open\"");
        let line = log.lines().rev().find(opened).context("the service did not say that its database is open")?;
        let line: serde_json::Value = serde_json::from_str(line)?;
        let shown = |name: &&str| -> anyhow::Result<String> {
            let value = line.get(*name).with_context(|| format!("the service did not say what {name} is"))?;
            Ok(format!("{name} = {}", value.to_string().trim_matches('"')))
        };
        Ok(names.iter().map(shown).collect::<anyhow::Result<Vec<_>>>()?.join(", "))
    }

    /// Bytes in the database's files.
    pub(super) fn stored(config: &Config) -> anyhow::Result<u64> {
        match &config.database {
            Database::Sqlite(path) => Ok(files(path.clone())),
            Database::Postgres(_) => number("SELECT sum(pg_database_size(oid)) FROM pg_database"),
        }
    }

    /// A number that grows with what is written: on PostgreSQL with every byte, on SQLite with what makes the files longer.
    /// There, what is written over what was there before shows in [`Engine::transactions`] alone.
    pub(super) fn written(config: &Config) -> anyhow::Result<u64> {
        match &config.database {
            Database::Sqlite(path) => Ok(files(path.clone())),
            Database::Postgres(_) => number("SELECT pg_current_wal_insert_lsn() - '0/0'"),
        }
    }

    /// Transactions that were ever committed, by the engine's own count, while a service has the database open: on SQLite
    /// those that wrote something; on a server those that only read, too, and those that came to nothing. Whoever asks the
    /// server this is in another database.
    pub(super) fn transactions(config: &Config) -> anyhow::Result<u64> {
        match &config.database {
            Database::Sqlite(path) => commits(path),
            Database::Postgres(_) => {
                number("SELECT sum(xact_commit + xact_rollback) FROM pg_stat_database WHERE datname LIKE 'sandbox%'")
            }
        }
    }

    /// Whether a server looks after its tables by itself, in transactions that are counted like anybody's.
    pub(super) fn looks_after_itself(self, does: bool) -> anyhow::Result<()> {
        if self == Self::Postgres {
            server()?.set("autovacuum", if does { "on" } else { "off" });
        }
        Ok(())
    }
}

/// A header of SQLite's index of the log. It stands there twice, so that who reads it while it is written can tell.
const HEADER: usize = 48;

/// SQLite counts every transaction that it writes to its log in the log's index, whatever becomes of the files' length.
fn commits(database: &Path) -> anyhow::Result<u64> {
    let index = PathBuf::from(format!("{}-shm", database.display()));
    for _ in 0..100 {
        let bytes =
            fs::read(&index).with_context(|| format!("nobody has the database open: no {}", index.display()))?;
        let (first, second) = (bytes.get(..HEADER), bytes.get(HEADER..2 * HEADER));
        let count: Option<[u8; 4]> =
            first.filter(|_| first == second).and_then(|header| header.get(8..12)?.try_into().ok());
        if let Some(count) = count {
            return Ok(u32::from_ne_bytes(count).into());
        }
    }
    bail!("{} cannot be read", index.display())
}

fn files(database: PathBuf) -> u64 {
    let log = PathBuf::from(format!("{}-wal", database.display()));
    [database, log].iter().filter_map(|file| fs::metadata(file).ok()).map(|found| found.len()).sum()
}

fn number(sql: &str) -> anyhow::Result<u64> {
    Ok(server()?.ask("postgres", sql).parse()?)
}

/// The one server of this run. The tests' one keeps nothing when the power fails; this one does.
fn server() -> anyhow::Result<&'static Server> {
    static SERVER: OnceLock<Server> = OnceLock::new();
    if let Some(server) = SERVER.get() {
        return Ok(server);
    }
    let bin = binaries().context("there is no PostgreSQL in /usr/lib/postgresql (apt-get install postgresql)")?;
    let server = SERVER.get_or_init(|| Server::start(&bin));
    for name in DURABLE {
        server.ask("postgres", &format!("ALTER SYSTEM SET {name} = on"));
    }
    server.ask("postgres", "SELECT pg_reload_conf()");
    let is_on = |name: &str| server.ask("postgres", &format!("SHOW {name}")) == "on";
    ensure!(DURABLE.into_iter().all(is_on), "PostgreSQL does not keep what it acknowledges");
    Ok(server)
}

#[cfg(test)]
mod tests {
    use latchkey_contract::Timestamp;

    use super::*;

    #[tokio::test]
    async fn sqlite_counts_what_is_written_over_what_was_there_before() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latchkey.db");
        assert!(commits(&path).is_err(), "nobody has it open");
        let opened = store::Engine::open(&Database::Sqlite(path.clone()), Options::default()).await.unwrap();
        let store = opened.store();
        store.heartbeat(Timestamp::from_millis(1_000)).await.unwrap();
        let before = commits(&path).unwrap();
        store.last_seen().await.unwrap();
        assert_eq!(commits(&path).unwrap(), before, "reading is none");
        for n in 2..=3 {
            store.heartbeat(Timestamp::from_millis(n * 1_000)).await.unwrap();
        }
        assert_eq!(commits(&path).unwrap(), before + 2, "each writes the same row");
        opened.close().await;
    }

    #[test]
    fn the_settings_are_those_that_the_service_read() {
        let log = r#"{"level":"INFO","message":"starting"}
{"level":"INFO","fsync":"on","synchronous_commit":"off","full_page_writes":"on","message":"the database is open"}"#;
        let found = Engine::Postgres.settings(log).unwrap();
        assert_eq!(found, "fsync = on, full_page_writes = on, synchronous_commit = off");
        assert!(Engine::Sqlite.settings(log).is_err(), "it said nothing of a journal");
        assert!(Engine::Postgres.settings("").is_err());
    }
}
