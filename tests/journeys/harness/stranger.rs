//! The engine that a journey runs on, and somebody else who looks into its database or changes it.
//!
//! `LATCHKEY_TEST_ENGINE=postgres` makes every journey run on PostgreSQL, which is started from this machine's own
//! binaries; otherwise they run on SQLite.

use std::path::Path;

use latchkey::{app::database, config::Config, store::Database};
use latchkey_simulators::postgres;
use sqlx::{Connection as _, PgConnection, SqliteConnection};
use tempfile::TempDir;

use super::TestApp;

/// The file in an installation's directory that says which database is its own.
const URL: &str = "database.url";

/// The file in an installation's directory with what else its configuration says.
pub(crate) const MORE: &str = "more.toml";

/// Whether the journeys run on PostgreSQL.
pub(crate) fn is_on_postgres() -> bool {
    match std::env::var("LATCHKEY_TEST_ENGINE").as_deref() {
        Ok("postgres") => true,
        Ok("sqlite") | Err(_) => false,
        Ok(other) => panic!("LATCHKEY_TEST_ENGINE is sqlite or postgres, not {other}"),
    }
}

/// An engine that an installation is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum On {
    Sqlite,
    Postgres,
}

/// Says which database the installation in `dir` has, whatever the journeys run on; `url` is the one on a server.
pub(crate) fn choose(dir: &Path, url: Option<&str>) {
    std::fs::write(dir.join(URL), url.unwrap_or_default()).unwrap();
}

/// What the configuration of an installation in `dir` says about its database.
pub(crate) fn configured(dir: &Path) -> String {
    let file = dir.join(URL);
    if is_on_postgres() && !file.exists() {
        let database = postgres::database("journeys").expect("LATCHKEY_TEST_ENGINE=postgres needs PostgreSQL");
        choose(dir, Some(&database.url));
    }
    let url = std::fs::read_to_string(&file).unwrap_or_default();
    let database = if url.is_empty() { url } else { format!("[database]\nurl = \"{url}\"\n") };
    database + &std::fs::read_to_string(dir.join(MORE)).unwrap_or_default()
}

/// An installation's directory, whose database will be this one.
pub(crate) fn on(database: Option<&postgres::Database>) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    if let Some(database) = database {
        choose(dir.path(), Some(&database.url));
    }
    dir
}

/// A connection of somebody else's.
pub(crate) enum Stranger {
    Sqlite(SqliteConnection),
    Postgres(PgConnection),
}

impl Stranger {
    /// To an installation's database.
    pub(crate) async fn of(config: &Config, dir: &Path) -> Self {
        match &config.database {
            Database::Sqlite(_) => {
                let url = format!("sqlite://{}", database(config).display());
                Self::Sqlite(SqliteConnection::connect(&url).await.unwrap())
            }
            Database::Postgres(_) => {
                let url = std::fs::read_to_string(dir.join(URL)).unwrap();
                Self::Postgres(PgConnection::connect(&url).await.unwrap())
            }
        }
    }

    /// Runs a statement, said for each engine.
    pub(crate) async fn execute(&mut self, sqlite: &'static str, postgres: &'static str) {
        match self {
            Self::Sqlite(conn) => drop(sqlx::query(sqlite).execute(conn).await.unwrap()),
            Self::Postgres(conn) => drop(sqlx::raw_sql(postgres).execute(conn).await.unwrap()),
        }
    }

    /// Runs a statement that both engines understand.
    pub(crate) async fn on_both(&mut self, sql: &'static str) {
        self.execute(sql, sql).await;
    }

    /// Runs a statement with a text `$1` and then numbers, said for each engine; answers how many rows it wrote.
    pub(crate) async fn write(&mut self, sqlite: String, postgres: String, numbers: &[i64], text: &str) -> u64 {
        match self {
            Self::Sqlite(conn) => {
                let query = sqlx::query(sqlx::AssertSqlSafe(sqlite)).bind(text);
                let query = numbers.iter().fold(query, |query, number| query.bind(*number));
                query.execute(conn).await.unwrap().rows_affected()
            }
            Self::Postgres(conn) => {
                let query = sqlx::query(sqlx::AssertSqlSafe(postgres)).bind(text);
                let query = numbers.iter().fold(query, |query, number| query.bind(*number));
                query.execute(conn).await.unwrap().rows_affected()
            }
        }
    }

    /// The number that a statement of both engines answers.
    pub(crate) async fn number(&mut self, sql: &'static str) -> Option<i64> {
        match self {
            Self::Sqlite(conn) => sqlx::query_scalar(sql).fetch_one(conn).await.unwrap(),
            Self::Postgres(conn) => sqlx::query_scalar(sql).fetch_one(conn).await.unwrap(),
        }
    }

    pub(crate) async fn close(self) {
        match self {
            Self::Sqlite(conn) => conn.close().await.unwrap(),
            Self::Postgres(conn) => conn.close().await.unwrap(),
        }
    }

    /// Message id and outcome of every recorded delivery.
    pub(crate) async fn deliveries(&mut self) -> Vec<(String, Option<String>)> {
        let sql = "SELECT message_id, outcome FROM deliveries";
        match self {
            Self::Sqlite(conn) => sqlx::query_as(sql).fetch_all(conn).await.unwrap(),
            Self::Postgres(conn) => sqlx::query_as(sql).fetch_all(conn).await.unwrap(),
        }
    }
}

impl TestApp {
    /// The database, where it is on a server.
    pub(crate) fn on_server(&self) -> Option<postgres::Database> {
        let url = std::fs::read_to_string(self.dir.path().join(URL)).ok().filter(|url| !url.is_empty())?;
        Some(postgres::Database { url })
    }

    pub(crate) async fn stranger(&self) -> Stranger {
        Stranger::of(&self.config, self.dir.path()).await
    }

    /// Message id and outcome of every recorded delivery, read from outside.
    pub(super) fn recorded(&self) -> Vec<(String, Option<String>)> {
        tokio::task::block_in_place(|| {
            tokio::runtime::Handle::current().block_on(async { self.stranger().await.deliveries().await })
        })
    }
}
