//! The engine for several processes: they share one database, its tasks, its rules and its audit chain.
//!
//! Every write goes through one of three lanes, each a task with a connection of its own that commits what waits
//! together: deliveries, which only add rows; claims; and everything else, one transaction at a time among all processes
//! (`lane`). An answer to a write means that the server has it on its disk. Reads go to a pool whose connections refuse
//! to write. Who commits something that may be due tells the other processes (`watch`).
//!
//! What is bounded: a statement by 10 s, the wait for a lock by 5 s (a delivery's by 0.9 s), a transaction whose process does not go on by 5 s,
//! after which the server ends it and others write.

#![allow(clippy::duplicate_mod, reason = "the statements that both engines understand are compiled for each")]

mod dialect;
mod history;
mod lane;
mod look;
mod open;
mod record;
#[cfg(test)]
mod tests;
mod watch;

// What both engines do in the same words, compiled for this one.
#[path = "../sql/audit.rs"]
mod audit;
#[path = "../sql/audit_read.rs"]
mod audit_read;
#[path = "../sql/commit.rs"]
mod commit;
#[path = "../sql/enroll.rs"]
mod enroll;
#[path = "../sql/generation.rs"]
mod generation;
#[path = "../sql/intake.rs"]
mod intake;
#[path = "../sql/keys.rs"]
mod keys;
#[path = "../sql/people.rs"]
mod people;
#[path = "../sql/rules.rs"]
mod rules;
#[path = "../sql/sweep.rs"]
mod sweep;
#[path = "../sql/tasks.rs"]
mod tasks;
#[path = "../sql/verbs.rs"]
mod verbs;
#[path = "../sql/watched.rs"]
mod watched;
#[path = "../sql/write.rs"]
mod write;

use std::sync::Arc;

use latchkey_contract::Timestamp;
use sqlx::postgres::{PgArguments as Arguments, PgQueryResult as Done};
use sqlx::{PgConnection as Conn, PgExecutor as Executor, PgPool as Pool, Postgres as Db};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    task::JoinHandle,
    time,
};

use self::{
    Postgres as Engine,
    history::{History, Place},
    lane::{Lane, Line, Lock, Voice},
    record::{Intake, Offered},
    write::{Asked, Class, Request, Write},
};
use super::{NewDelivery, Recorded, StoreError};
pub use history::Found;
pub use look::{Look, Replicas, Schema};
pub use open::{OpenError, Server};

/// Requests that may wait in each lane; one more is told [`StoreError::Busy`].
const WAITING: usize = 1024;

/// A sender of webhooks waits no longer than this for a server, or a network, that does not answer at all: it is told to
/// come again. Locks are waited for less long, see [`Server`].
const PATIENCE: time::Duration = time::Duration::from_secs(5);

/// The store in a PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
    readers: Pool,
    lanes: Mutex<Option<Lanes>>,
    removals: mpsc::Sender<Box<dyn Request>>,
    others: mpsc::Sender<Box<dyn Request>>,
    claims: mpsc::Sender<Box<dyn Request>>,
    intake: mpsc::Sender<Offered>,
    changed: Arc<Notify>,
    found: Found,
}

/// What ends when the store is closed.
#[derive(Debug)]
struct Lanes {
    stop: tokio::sync::watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
    watching: Vec<JoinHandle<()>>,
}

impl Postgres {
    /// Connects, brings the database up to date, and begins to write and to listen.
    ///
    /// # Errors
    /// [`OpenError`], each with what to do about it.
    pub async fn open(server: &Server) -> Result<Self, OpenError> {
        let (found, place) = open::prepare(server).await?;
        Ok(Self::begin(server, found, Some(place)))
    }

    /// Begins to write and to listen on a database that was looked at: it is not brought up to date, and not remembered.
    #[must_use]
    pub fn as_it_is(server: &Server, Look { found, .. }: &Look) -> Self {
        Self::begin(&server.clone().called(look::LOOKING), *found, None)
    }

    fn begin(server: &Server, found: Found, place: Option<Place>) -> Self {
        let history = Arc::new(History::new(server.marker.clone(), place, server.time.clone()));
        let readers = open::readers(server);
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let voice = Voice { me: lane::mark(), changed: Arc::default() };
        let mut tasks = Vec::new();
        let mut lane = |lock| {
            let (sender, input) = mpsc::channel(WAITING);
            let line = Line::new(server.writing(), Arc::clone(&history));
            let lane = Lane { line, lock, input, stop: stopped.clone(), voice: voice.clone() };
            tasks.push(tokio::spawn(lane.serve()));
            sender
        };
        let (removals, others, claims) = (lane(Lock::Writing), lane(Lock::Writing), lane(Lock::Claiming));
        let (intake, input) = mpsc::channel(WAITING);
        let recording = Intake {
            line: Line::new(server.recording(), Arc::clone(&history)),
            input,
            stop: stopped.clone(),
            voice: voice.clone(),
        };
        tasks.push(tokio::spawn(recording.serve()));
        let watching = watch::begin(&readers, &voice, history, server.writing());
        let changed = voice.changed;
        let lanes = Mutex::new(Some(Lanes { stop, tasks, watching }));
        Self { readers, lanes, removals, others, claims, intake, changed, found }
    }

    /// How the database was found when it was opened.
    #[must_use]
    pub const fn found(&self) -> Found {
        self.found
    }

    /// The time by the server's clock.
    ///
    /// # Errors
    /// When it does not answer.
    pub async fn clock(&self) -> Result<Timestamp, StoreError> {
        let ms: i64 = sqlx::query_scalar("SELECT CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)")
            .fetch_one(&self.readers)
            .await
            .map_err(engine)?;
        Ok(Timestamp::from_millis(ms))
    }

    /// Writes what was accepted, refuses what comes later, and lets go of every connection.
    pub async fn close(&self) {
        let Some(lanes) = self.lanes.lock().await.take() else { return };
        for task in lanes.watching {
            task.abort();
        }
        let _ = lanes.stop.send(true);
        for task in lanes.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a writer ended badly");
            }
        }
        self.readers.close().await;
    }

    async fn record(&self, delivery: NewDelivery) -> Result<Recorded, StoreError> {
        let (reply, answer) = oneshot::channel();
        offer(&self.intake, Offered { delivery, reply })?;
        match time::timeout(PATIENCE, answer).await {
            Ok(answer) => answer.unwrap_or_else(|_| Err(closed())),
            Err(_) => Err(StoreError::Unknown),
        }
    }

    async fn write<W: Write>(&self, write: W) -> Result<W::Out, StoreError> {
        let lane = match write.class() {
            Class::Removal | Class::Queue => &self.removals,
            Class::Claim => &self.claims,
            Class::Ordinary => &self.others,
        };
        let (reply, answer) = oneshot::channel();
        offer::<Box<dyn Request>>(lane, Box::new(Asked { write, result: None, reply }))?;
        answer.await.unwrap_or_else(|_| Err(closed()))
    }
}

fn offer<T>(lane: &mpsc::Sender<T>, what: T) -> Result<(), StoreError> {
    lane.try_send(what).map_err(|refused| match refused {
        mpsc::error::TrySendError::Full(_) => StoreError::Busy,
        mpsc::error::TrySendError::Closed(_) => closed(),
    })
}

fn closed() -> StoreError {
    StoreError::Engine(Box::new(Closed))
}

/// The store was closed, or a lane ended.
#[derive(Debug, thiserror::Error)]
#[error("the database is closed")]
struct Closed;

/// The server is not there, or went away. The connection is made again by itself.
#[derive(Debug, thiserror::Error)]
#[error("the PostgreSQL server cannot be reached, or has ended the connection; it is tried again by itself")]
struct Lost(#[source] sqlx::Error);

/// Somebody else's transaction crossed this one, which was undone: the same again may well succeed.
#[derive(Debug, thiserror::Error)]
#[error("another program's transaction crosses this one")]
struct Crossed(#[source] sqlx::Error);

/// Whether a write failed because somebody crossed it, who may be gone by now.
fn is_crossed(error: Option<&StoreError>) -> bool {
    matches!(error, Some(StoreError::Engine(source)) if source.is::<Crossed>())
}

/// What the caller can do about an engine's error, where that is more than to report it.
fn engine(error: sqlx::Error) -> StoreError {
    if is_transient(&error) {
        return StoreError::Engine(Box::new(Crossed(error)));
    }
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return StoreError::Busy;
    }
    match code(&error).as_deref() {
        Some("23505") => StoreError::Conflict,
        Some("53100") => StoreError::Full,
        // A lock was not given in time, a statement took too long, there are too many connections.
        Some("55P03" | "57014" | "53300") => StoreError::Busy,
        _ if is_lost(&error) => StoreError::Engine(Box::new(Lost(error))),
        _ => StoreError::Engine(Box::new(error)),
    }
}

/// Deadlock, or serialization failure: the same again may well succeed.
fn is_transient(error: &sqlx::Error) -> bool {
    matches!(code(error).as_deref(), Some("40001" | "40P01"))
}

/// The connection is of no use any more, whatever it was about.
fn is_lost(error: &sqlx::Error) -> bool {
    match code(error).as_deref() {
        // Ended by an administrator, a crash, or a time limit; not there yet; or not there any more; or a standby by now.
        Some("25006" | "57P01" | "57P02" | "57P03" | "57P05" | "25P03" | "25P04") => true,
        Some(code) => code.starts_with("08"),
        None => matches!(
            error,
            sqlx::Error::Io(_) | sqlx::Error::Tls(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed
        ),
    }
}

/// SQLSTATE.
fn code(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::Database(database) => database.code().map(std::borrow::Cow::into_owned),
        _ => None,
    }
}

/// The comparison of this history is over, in the transaction that ends it.
async fn compared(conn: &mut Conn) -> Result<(), StoreError> {
    history::compared(conn).await.map_err(engine)
}

/// What is damaged fails by itself here, and takes nothing else of its transaction along.
const fn is_damage(_: &StoreError) -> bool {
    false
}
