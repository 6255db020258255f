//! Whether the server still has the history that this process knows.
//!
//! A standby that is promoted may lag behind what the primary had acknowledged, and an operator may put an older copy in the
//! place of a database that is in use. Two things tell:
//!
//! - which history of which database it is: a promotion, a recovery to a point in time, or a restored dump makes another one;
//! - whether the newest groups that this process was told are committed are there.
//!
//! A process that runs looks at both whenever a connection that writes is made anew; where its own groups are there,
//! another history is merely remembered. A process that starts has no groups to look for: to it, another history is an
//! older copy. Either way the note of it is written before anything else is, and with that note nobody claims anything.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use super::{Conn, OpenError};

/// A connection that has committed nothing for longer proves nothing: marks of a day ago are swept away.
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);

/// While somebody else has written within this time, the database is in use.
const IN_USE_MS: i64 = 3 * 60 * 1000;

/// Notes that this is an older copy. It knows what happened until it saw the time last.
const NOTE: &str = "INSERT INTO meta (name, value)
     SELECT 'comparing', CAST(json_build_object('since', seen.at, 'knows_until', seen.at, 'later_holds', 'unknown') AS TEXT)
     FROM (SELECT coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'last-seen'), 0)) AS seen (at)
     ON CONFLICT (name) DO NOTHING";

/// Which history of which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place(String);

impl Place {
    async fn of(conn: &mut Conn) -> Result<Self, sqlx::Error> {
        let (database, timeline): (i64, String) = sqlx::query_as(
            "SELECT (SELECT CAST(oid AS BIGINT) FROM pg_database WHERE datname = current_database()),
                    substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8)",
        )
        .fetch_one(&mut *conn)
        .await?;
        // A hosted server may keep this to itself.
        let system: Result<i64, sqlx::Error> =
            sqlx::query_scalar("SELECT system_identifier FROM pg_control_system()").fetch_one(conn).await;
        let system = match system {
            Ok(system) => system.to_string(),
            Err(error) if super::code(&error).as_deref() == Some("42501") => "not shown".to_owned(),
            Err(error) => return Err(error),
        };
        Ok(Self(format!("system {system}, database {database}, timeline {timeline}")))
    }
}

/// Where it is remembered which database it was, and which history of it.
#[derive(Debug, Clone)]
pub(super) struct Marker {
    pub(super) path: PathBuf,
}

/// What stands there.
#[derive(Debug, Default)]
pub(super) struct Marked {
    pub(super) id: Option<String>,
    place: Option<Place>,
}

impl Marker {
    pub(super) fn read(&self) -> Result<Marked, OpenError> {
        match fs::read_to_string(&self.path) {
            Ok(text) => {
                let mut lines = text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty());
                Ok(Marked { id: lines.next(), place: lines.next().map(Place) })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Marked::default()),
            Err(source) => Err(OpenError::File { path: self.path.clone(), source }),
        }
    }

    fn write(&self, id: &str, place: &Place) -> Result<(), OpenError> {
        crate::durable::replace(&self.path, format!("{id}\n{}\n", place.0).as_bytes())
            .map_err(|source| OpenError::File { path: self.path.clone(), source })
    }
}

/// How a process that starts finds the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// As it left it, or for the first time.
    Usual,
    /// For the first time, and others are using it: what they know of its age holds for all.
    InUse,
    /// With another history than the one it was used with; that is noted in it.
    Elsewhere,
}

/// Compares the database that is being opened with what was remembered of it, and remembers it as it is now.
pub(super) async fn arrive(
    conn: &mut Conn,
    marker: Option<&Marker>,
    marked: Marked,
    id: &str,
) -> Result<Found, ArriveError> {
    let place = Place::of(conn).await?;
    let found = match marked.place {
        Some(before) if before != place => {
            tracing::error!(
                before = before.0,
                now = place.0,
                "another history of the database than the one used before"
            );
            sqlx::query(NOTE).execute(&mut *conn).await?;
            Found::Elsewhere
        }
        None if marked.id.is_none() && is_in_use(conn).await? => Found::InUse,
        _ => Found::Usual,
    };
    if let Some(marker) = marker {
        marker.write(id, &place)?;
    }
    Ok(found)
}

async fn is_in_use(conn: &mut Conn) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT EXISTS (SELECT 1 FROM writers WHERE at > CAST(extract(epoch FROM now()) * 1000 AS BIGINT) - $1)",
    )
    .bind(IN_USE_MS)
    .fetch_one(conn)
    .await
}

/// Why it cannot be compared.
#[derive(Debug, thiserror::Error)]
pub(super) enum ArriveError {
    #[error(transparent)]
    Sql(#[from] sqlx::Error),
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// What this process was told is committed: by each of its writing connections, the newest group.
#[derive(Debug)]
pub(super) struct History {
    newest: Mutex<BTreeMap<String, (i64, Instant)>>,
    place: Mutex<Option<Place>>,
    marker: Option<Marker>,
}

impl History {
    pub(super) fn new(marker: Option<Marker>) -> Self {
        Self { newest: Mutex::default(), place: Mutex::default(), marker }
    }

    pub(super) fn committed(&self, line: &str, batch: i64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(line.to_owned(), (batch, Instant::now()));
    }

    /// Looks whether all of it is there, on a connection that was just made; notes in the database when it is not.
    pub(super) async fn check(&self, conn: &mut Conn) -> Result<(), sqlx::Error> {
        let place = Place::of(conn).await?;
        let known = {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = newest.iter().filter(|(_, (_, at))| at.elapsed() < FRESH);
            fresh.map(|(line, (batch, _))| (line.clone(), *batch)).collect::<Vec<_>>()
        };
        let (lines, batches): (Vec<String>, Vec<i64>) = known.into_iter().unzip();
        let lost: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM unnest($1, $2) AS known (line, batch)
             WHERE NOT EXISTS (SELECT 1 FROM writers WHERE id = known.line AND writers.batch >= known.batch)",
        )
        .bind(&lines)
        .bind(&batches)
        .fetch_one(&mut *conn)
        .await?;
        if lost > 0 {
            tracing::error!(
                now = place.0,
                "the database has lost what it acknowledged: nothing is given or ended before it was compared with the \
                 directories"
            );
            sqlx::query(NOTE).execute(&mut *conn).await?;
            // Known from now on: what is there, not what was.
            self.newest.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        self.remember(conn, place).await
    }

    /// The next start is to find the history that this process has seen to be whole, or has noted not to be.
    async fn remember(&self, conn: &mut Conn, place: Place) -> Result<(), sqlx::Error> {
        let is_new = {
            let mut known = self.place.lock().unwrap_or_else(PoisonError::into_inner);
            known.replace(place.clone()).is_some_and(|before| before != place)
        };
        let Some(marker) = self.marker.as_ref().filter(|_| is_new) else { return Ok(()) };
        tracing::warn!(now = place.0, "the database goes on with another history: a standby took over, or a copy");
        let id: String = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'id'").fetch_one(conn).await?;
        if let Err(error) = marker.write(&id, &place) {
            tracing::warn!(error = &error as &dyn std::error::Error, "the next start will compare once more");
        }
        Ok(())
    }
}
