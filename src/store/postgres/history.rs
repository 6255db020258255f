//! Whether the server still has the history that this process knows.
//!
//! A standby that is promoted may lag behind what the primary had acknowledged, and an operator may put an older copy in the
//! place of a database that is in use. Two things tell:
//!
//! - which history of which database it is: a promotion, a recovery to a point in time, or a restored dump makes another one;
//! - whether the newest groups that this process was told are committed are there.
//!
//! A process that runs looks at both whenever a connection that writes is made anew, and as soon as the one that listens is
//! lost. That its own groups are there says nothing of a process that died with the primary: another history is compared in
//! any case, which ends by itself where nothing is missing. A process that starts has no groups to look for: to it, another
//! history is an older copy. Either way the note of it is written before anything else is, and with that note nobody claims
//! anything.
//!
//! With the note it is written down for which history it is. Whoever comes later and finds that there is not news: the
//! comparison of it is under way, or over.

use std::{
    collections::BTreeMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use latchkey_contract::Clock;
use sqlx::{ConnectOptions as _, Connection as _, postgres::PgConnectOptions};

use super::{Conn, OpenError};

/// A connection that has committed nothing for longer proves nothing: marks of a day ago are swept away.
const FRESH: Duration = Duration::from_secs(12 * 60 * 60);

/// Longest time for a look on a connection of its own.
const LOOK: Duration = Duration::from_secs(5);

/// While somebody else has written within this time, the database is in use.
const IN_USE_MS: i64 = 3 * 60 * 1000;

/// Notes that this history is compared first, from now on or from `$2`, and which one it is. What it knows of is what
/// happened until it saw the time last.
///
/// What was asked for before is not taken up, as it may have been granted, and ended, already. But what was asked for since
/// then is, where that was less than `$3` milliseconds ago.
///
/// An earlier note becomes another one: what was compared before this is not all of it. When it was noted is told, since calls
/// may have been under way.
const NOTE: &str = "INSERT INTO meta (name, value)
     SELECT n.name, n.value
     FROM (SELECT (SELECT CAST(value AS BIGINT) FROM meta WHERE name = 'last-seen')) AS seen (at),
          LATERAL (SELECT greatest(seen.at, coalesce($2, CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)))
                  ) AS noted (at),
          LATERAL (VALUES
              (1, 'comparing', CAST(json_build_object(
                  'since', CASE WHEN noted.at - seen.at < $3 THEN seen.at ELSE noted.at END,
                  'knows_until', seen.at, 'later_holds', 'unknown', 'noted_at', noted.at) AS TEXT)),
              (2, 'place', $1),
              (3, 'compared', '[]')) AS n (number, name, value)
     ORDER BY n.number
     ON CONFLICT (name) DO UPDATE SET value = CASE WHEN meta.name <> 'comparing' THEN excluded.value ELSE
         CAST(json_build_object(
             'since', greatest(CAST(CAST(meta.value AS JSON) ->> 'since' AS BIGINT) + 1,
                               CAST(CAST(excluded.value AS JSON) ->> 'since' AS BIGINT)),
             'knows_until', CASE WHEN CAST(meta.value AS JSON) ->> 'knows_until' IS NOT NULL
                            THEN least(CAST(CAST(meta.value AS JSON) ->> 'knows_until' AS BIGINT),
                                       CAST(CAST(excluded.value AS JSON) ->> 'knows_until' AS BIGINT)) END,
             'later_holds', coalesce(CAST(meta.value AS JSON) ->> 'later_holds', 'unknown'),
             'noted_at', CAST(CAST(excluded.value AS JSON) ->> 'noted_at' AS BIGINT)) AS TEXT) END";

/// How old a standby may be whose requests are taken up though something is lost: no access is shorter, so what was given
/// meanwhile is found by comparing. Of these requests one whose delivery is lost as well is found by the next poll.
const TAKEN_UP_MS: i64 = 2 * 60 * 1000;

/// Who was told something within this time, and finds it all, knows that the standby had everything until then.
const LATELY: Duration = Duration::from_secs(2 * 60);

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

    /// Somebody has noted that it is compared, or has compared it. A copy has that from another history, if at all.
    async fn is_noted(&self, conn: &mut Conn) -> Result<bool, sqlx::Error> {
        sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM meta WHERE name = 'place' AND value = $1)")
            .bind(&self.0)
            .fetch_one(conn)
            .await
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
    /// With another history than the one it was used with, which nobody has compared; that is noted in it.
    Elsewhere,
}

/// By whose time a note is made.
#[derive(Debug, Clone, Default)]
pub(super) struct Time(Option<Arc<dyn Clock>>);

impl Time {
    /// The server's, but beside a clock that somebody moves by hand, which the server's says nothing about.
    pub(super) fn of(clock: Arc<dyn Clock>) -> Self {
        Self(clock.is_moved_by_hand().then_some(clock))
    }

    async fn note(&self, conn: &mut Conn, place: &Place, fresh_ms: i64) -> Result<(), sqlx::Error> {
        let now = self.0.as_ref().map(|clock| clock.now().millis());
        sqlx::query(NOTE).bind(&place.0).bind(now).bind(fresh_ms).execute(conn).await.map(|_| ())
    }
}

/// This history was compared: who knew another one need not compare it again.
pub(super) async fn compared(conn: &mut Conn) -> Result<(), sqlx::Error> {
    let place = Place::of(conn).await?;
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ('place', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
    )
    .bind(place.0)
    .execute(conn)
    .await
    .map(|_| ())
}

/// Compares the database that is being opened with what was remembered of it, and remembers it as it is now.
pub(super) async fn arrive(
    conn: &mut Conn,
    marker: Option<&Marker>,
    marked: Marked,
    id: &str,
    time: &Time,
) -> Result<(Found, Place), ArriveError> {
    let (found, place) = find(conn, &marked).await?;
    if found == Found::Elsewhere {
        let before = marked.place.map(|place| place.0);
        tracing::error!(before, now = place.0, "another history of the database than the one used before");
        time.note(conn, &place, 0).await?;
    }
    if let Some(marker) = marker {
        marker.write(id, &place)?;
    }
    Ok((found, place))
}

/// How it is found, and where; changes nothing.
pub(super) async fn find(conn: &mut Conn, marked: &Marked) -> Result<(Found, Place), sqlx::Error> {
    let place = Place::of(conn).await?;
    let found = match &marked.place {
        Some(before) if *before != place && !place.is_noted(conn).await? => Found::Elsewhere,
        None if marked.id.is_none() && is_in_use(conn).await? => Found::InUse,
        _ => Found::Usual,
    };
    Ok((found, place))
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
    /// One connection looks at a time: what the first has noted, the others do not note again.
    place: tokio::sync::Mutex<Option<Place>>,
    marker: Option<Marker>,
    time: Time,
}

impl History {
    /// `place` is where the process has arrived, if it has.
    pub(super) fn new(marker: Option<Marker>, place: Option<Place>, time: Time) -> Self {
        Self { newest: Mutex::default(), place: tokio::sync::Mutex::new(place), marker, time }
    }

    pub(super) fn committed(&self, line: &str, batch: i64) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.insert(line.to_owned(), (batch, Instant::now()));
    }

    /// Looks on a connection of its own.
    pub(super) async fn look(&self, options: &PgConnectOptions) -> Result<(), sqlx::Error> {
        let looked = tokio::time::timeout(LOOK, async {
            let mut conn = options.connect().await?;
            self.check(&mut conn).await?;
            conn.close().await
        });
        looked.await.map_err(|_| sqlx::Error::PoolTimedOut)?
    }

    /// Looks whether this is the history that is known, with all that was acknowledged, on a connection that was just made;
    /// notes in the database when it is not.
    pub(super) async fn check(&self, conn: &mut Conn) -> Result<(), sqlx::Error> {
        let mut before = self.place.lock().await;
        let place = Place::of(conn).await?;
        let (lately, lost) = self.lost(conn).await?;
        let is_new = before.as_ref().is_some_and(|before| *before != place);
        if lost > 0 {
            tracing::error!(
                now = place.0,
                "the database has lost what it acknowledged: nothing is given or ended before it was compared with the \
                 directories"
            );
            self.time.note(conn, &place, TAKEN_UP_MS).await?;
            // Known from now on: what is there, not what was.
            self.newest.lock().unwrap_or_else(PoisonError::into_inner).clear();
        } else if is_new && !place.is_noted(conn).await? {
            tracing::error!(
                now = place.0,
                "the database goes on with another history, a standby's or a copy's: nothing is given or ended before it was \
                 compared with the directories"
            );
            // Who was told something lately and has all of it knows that the standby had everything until then.
            self.time.note(conn, &place, if lately { i64::MAX } else { 0 }).await?;
        }
        if is_new {
            self.remember(conn, &place).await?;
        }
        *before = Some(place);
        Ok(())
    }

    /// Whether this process was told of a group lately, and how many of those it was told of are not there.
    async fn lost(&self, conn: &mut Conn) -> Result<(bool, i64), sqlx::Error> {
        let known = {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            let fresh = newest.iter().filter(|(_, (_, at))| at.elapsed() < FRESH);
            fresh.map(|(line, (batch, at))| (line.clone(), *batch, *at)).collect::<Vec<_>>()
        };
        let lately = known.iter().any(|(_, _, at)| at.elapsed() < LATELY);
        let (lines, batches): (Vec<String>, Vec<i64>) = known.into_iter().map(|(line, batch, _)| (line, batch)).unzip();
        let lost = sqlx::query_scalar(
            "SELECT count(*) FROM unnest($1, $2) AS known (line, batch)
             WHERE NOT EXISTS (SELECT 1 FROM writers WHERE id = known.line AND writers.batch >= known.batch)",
        )
        .bind(&lines)
        .bind(&batches)
        .fetch_one(conn)
        .await?;
        Ok((lately, lost))
    }

    /// The next start is to find the history of which this process has seen that it is compared.
    async fn remember(&self, conn: &mut Conn, place: &Place) -> Result<(), sqlx::Error> {
        let Some(marker) = &self.marker else { return Ok(()) };
        let id: String = sqlx::query_scalar("SELECT value FROM meta WHERE name = 'id'").fetch_one(conn).await?;
        if let Err(error) = marker.write(&id, place) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the next start asks the database which one it is"
            );
        }
        Ok(())
    }
}
