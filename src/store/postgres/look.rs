//! A look at the server and at the database on it: nothing is brought up to date, noted or remembered by it.

use std::time::Duration;

use latchkey_contract::{Clock, Timestamp};
use sqlx::Connection as _;

use super::{
    Conn, OpenError,
    history::{self, Found},
    open::{Durability, Server, check, is_for_us_too, known_by, migrator},
};
use crate::clock_guard::apart;

/// As what the server lists the connections of who looks: not as one of those who work.
pub(super) const LOOKING: &str = "latchkey doctor";

/// How the database's tables stand to this program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Schema {
    /// There are none.
    Empty,
    /// Of an earlier release, up to this migration.
    Older(i64),
    /// This program's.
    Ours(i64),
    /// Of a later release, which says that this program may go on with them.
    Later(i64),
}

/// Who works on the database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replicas {
    /// Processes that have it open.
    pub processes: i64,
    /// Where they come from: addresses, or none for a Unix socket.
    pub from: Vec<String>,
    /// How long ago somebody wrote last, by the server's clock.
    pub newest_write: Option<Duration>,
}

/// What was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// PostgreSQL's version, in its own words.
    pub version: String,
    /// As whom it is used.
    pub user: String,
    /// Its tables.
    pub schema: Schema,
    /// Settings that an acknowledged write rests on, as they are on a connection that writes.
    pub settings: Vec<(&'static str, String)>,
    /// As a process that starts would find it.
    pub found: Found,
    /// The others.
    pub replicas: Replicas,
    /// By how much its clock and this one's differ. `None`: the look took too long to tell.
    pub apart: Option<Duration>,
}

impl Look {
    /// Looks.
    ///
    /// # Errors
    /// [`OpenError`]: what would keep a service from starting, but for what the start itself brings up to date.
    pub async fn at(server: &Server, clock: &dyn Clock) -> Result<Self, OpenError> {
        let options = server.clone().called(LOOKING).writing().options([("default_transaction_read_only", "on")]);
        let mut conn = server.connect(options).await?;
        check(server, &mut conn).await?;
        let schema = schema(server, &mut conn).await?;
        let failed = |error| server.failed(error);
        let found = match schema {
            Schema::Empty => Found::Usual,
            _ => found(server, &mut conn).await?,
        };
        let replicas = match schema {
            Schema::Empty => Replicas::default(),
            _ => replicas(&mut conn).await.map_err(failed)?,
        };
        let (version, user): (String, String) =
            sqlx::query_as("SELECT current_setting('server_version'), CAST(current_user AS TEXT)")
                .fetch_one(&mut conn)
                .await
                .map_err(failed)?;
        let Durability { fsync, synchronous_commit, full_page_writes } =
            Durability::on(&mut conn).await.map_err(failed)?;
        let settings =
            vec![("fsync", fsync), ("synchronous_commit", synchronous_commit), ("full_page_writes", full_page_writes)];
        let before = clock.now();
        let theirs: i64 = sqlx::query_scalar("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")
            .fetch_one(&mut conn)
            .await
            .map_err(failed)?;
        let apart = apart(before, Timestamp::from_millis(theirs), clock.now());
        let _ = conn.close().await;
        Ok(Self { version, user, schema, settings, found, replicas, apart })
    }
}

async fn schema(server: &Server, conn: &mut Conn) -> Result<Schema, OpenError> {
    let failed = |error| server.failed(error);
    let at = || server.shown().to_owned();
    let has: (bool, bool) =
        sqlx::query_as("SELECT to_regclass('_sqlx_migrations') IS NOT NULL, to_regclass('meta') IS NOT NULL")
            .fetch_one(&mut *conn)
            .await
            .map_err(failed)?;
    if has != (true, true) {
        return Ok(Schema::Empty);
    }
    let there: Vec<(i64, Vec<u8>)> = sqlx::query_as("SELECT version, checksum FROM _sqlx_migrations ORDER BY version")
        .fetch_all(&mut *conn)
        .await
        .map_err(failed)?;
    let ours = migrator();
    let is_for_us = is_for_us_too(&ours, conn).await.map_err(failed)?;
    let (mut known, mut later) = (0, None);
    for (migration, checksum) in there {
        match ours.iter().find(|own| own.version == migration) {
            Some(own) if *own.checksum == *checksum => known = migration,
            Some(_) => return Err(OpenError::Altered { at: at(), migration }),
            None if is_for_us => later = Some(migration),
            None => return Err(OpenError::Newer { at: at(), migration }),
        }
    }
    let newest = ours.iter().map(|own| own.version).max().unwrap_or_default();
    Ok(match later {
        _ if known < newest => Schema::Older(known),
        Some(migration) => Schema::Later(migration),
        None => Schema::Ours(known),
    })
}

async fn found(server: &Server, conn: &mut Conn) -> Result<Found, OpenError> {
    let id: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'id'")
        .fetch_optional(&mut *conn)
        .await
        .map_err(|error| server.failed(error))?;
    let marked = known_by(server, id.as_deref())?;
    let (found, _) = history::find(conn, &marked).await.map_err(|error| server.failed(error))?;
    Ok(found)
}

/// Each process has one connection that listens, which another user of the server's is not shown.
async fn replicas(conn: &mut Conn) -> Result<Replicas, sqlx::Error> {
    let (processes, from): (i64, Vec<String>) = sqlx::query_as(
        "SELECT count(*) FILTER (WHERE query ILIKE 'LISTEN%'),
                coalesce(array_agg(DISTINCT host(client_addr)) FILTER (WHERE client_addr IS NOT NULL), '{}')
         FROM pg_stat_activity WHERE datname = current_database() AND application_name = 'latchkey'",
    )
    .fetch_one(&mut *conn)
    .await?;
    let newest: Option<i64> =
        sqlx::query_scalar("SELECT CAST(extract(epoch FROM now()) * 1000 AS BIGINT) - max(at) FROM writers")
            .fetch_one(conn)
            .await?;
    let newest_write = newest.map(|ms| Duration::from_millis(u64::try_from(ms).unwrap_or_default()));
    Ok(Replicas { processes, from, newest_write })
}
