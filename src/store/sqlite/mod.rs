//! The embedded engine: one file, one writer, a few readers.
//!
//! Every write goes through the `writer`, which commits what waits together; reads go to connections
//! that cannot write. An answer to a write means that it is on the disk.

pub mod copy;
mod dialect;
mod look;
mod open;
mod record;
mod reserve;
#[cfg(test)]
mod tests;
mod writer;

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

use std::{path::Path, sync::Arc};

use sqlx::sqlite::{SqliteArguments as Arguments, SqliteQueryResult as Done};
use sqlx::{Sqlite as Db, SqliteConnection as Conn, SqliteExecutor as Executor, SqlitePool as Pool};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    task::JoinHandle,
};

use self::{
    Sqlite as Engine,
    write::{Asked, Class, Request, Write},
    writer::{WAITING, Writer},
};
use super::{NewDelivery, Recorded, StoreError};
pub use open::{OpenError, Options, newest_migration};

/// The store in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    readers: Pool,
    first: mpsc::Sender<Box<dyn Request>>,
    others: mpsc::Sender<Box<dyn Request>>,
    deliveries: mpsc::Sender<record::Waiting>,
    changed: Arc<Notify>,
    closing: Mutex<Option<[Part; 2]>>,
    damage: look::Damage,
    looking: Option<JoinHandle<()>>,
}

/// A task of the store, with what tells it to end.
type Part = (oneshot::Sender<()>, JoinHandle<()>);

impl Sqlite {
    /// Opens the database, makes it if there never was one, and brings it up to date.
    ///
    /// Beside the file lie `….id`, which names it, and `….reserve`, the room kept for removals.
    ///
    /// # Errors
    /// [`OpenError`], each with what to do about it.
    pub async fn open(path: &Path, options: Options) -> Result<Self, OpenError> {
        let opener = open::Opener::new(path, &options);
        let mut conn = opener.open().await?;
        let kept = open::beside(path, "reserve");
        let reserve = reserve::Reserve::open(kept, options.reserve_bytes, options.max_bytes, &mut conn).await;
        let later = (!look::is_small(&opener)).then(|| opener.clone());
        let mut sqlite = Self::serve(opener, conn, reserve);
        sqlite.looking = later.map(|opener| tokio::spawn(look::later(opener, Arc::clone(&sqlite.damage))));
        Ok(sqlite)
    }

    /// Opens a database of this or an earlier release beside whoever works on it: nothing is brought up to date, and no
    /// file is made that stays. For what is older than this program only verbs about secrets and the generation work.
    ///
    /// # Errors
    /// [`OpenError`].
    pub async fn open_as_it_is(path: &Path) -> Result<Self, OpenError> {
        let opener = open::Opener::new(path, &Options::default());
        let conn = opener.open_as_it_is().await?;
        Ok(Self::serve(opener, conn, reserve::Reserve::none()))
    }

    fn serve(opener: open::Opener, conn: Conn, reserve: reserve::Reserve) -> Self {
        let readers = opener.readers();
        let (first, first_out) = mpsc::channel(WAITING);
        let (others, others_out) = mpsc::channel(WAITING);
        let (stop, stopped) = oneshot::channel();
        let changed = Arc::new(Notify::new());
        let writer = Writer {
            conn,
            opener,
            reserve,
            first: first_out,
            others: others_out,
            stop: stopped,
            changed: Arc::clone(&changed),
        };
        let task = tokio::spawn(writer.serve());
        let (deliveries, waiting) = mpsc::channel(WAITING);
        let (enough, no_more) = oneshot::channel();
        let gathering = tokio::spawn(record::gather(waiting, others.clone(), no_more));
        // Whoever hands to the other ends first.
        let closing = Mutex::new(Some([(enough, gathering), (stop, task)]));
        Self { readers, first, others, deliveries, changed, closing, damage: look::Damage::default(), looking: None }
    }

    /// What is damaged in the file, if that was found by now: a large one is looked through while it is served.
    #[must_use]
    pub fn damage(&self) -> Option<&str> {
        self.damage.get().map(String::as_str)
    }

    /// Writes what was accepted, refuses what comes later, and leaves one whole file behind.
    pub async fn close(&self) {
        let Some(parts) = self.closing.lock().await.take() else { return };
        if let Some(looking) = &self.looking {
            looking.abort();
        }
        self.readers.close().await;
        for (stop, task) in parts {
            let _ = stop.send(());
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the store ended badly");
            }
        }
    }

    async fn record(&self, delivery: NewDelivery) -> Result<Recorded, StoreError> {
        let (reply, answer) = oneshot::channel();
        self.deliveries.try_send(record::Waiting { new: delivery, reply }).map_err(not_taken)?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Engine(Box::new(Closed))))
    }

    async fn write<W: Write>(&self, write: W) -> Result<W::Out, StoreError> {
        let channel = if write.class() == Class::Ordinary { &self.others } else { &self.first };
        ask(channel, write).await
    }
}

/// Has the writer write it, and waits until it stands.
async fn ask<W: Write>(writer: &mpsc::Sender<Box<dyn Request>>, write: W) -> Result<W::Out, StoreError> {
    let (reply, answer) = oneshot::channel();
    writer.try_send(Box::new(Asked { write, result: None, reply })).map_err(not_taken)?;
    answer.await.unwrap_or_else(|_| Err(StoreError::Engine(Box::new(Closed))))
}

fn not_taken<T>(refused: mpsc::error::TrySendError<T>) -> StoreError {
    match refused {
        mpsc::error::TrySendError::Full(_) => StoreError::Busy,
        mpsc::error::TrySendError::Closed(_) => StoreError::Engine(Box::new(Closed)),
    }
}

/// The store was closed, or its writer ended.
#[derive(Debug, thiserror::Error)]
#[error("the database is closed")]
struct Closed;

/// What the caller can do about an engine's error, where that is more than to report it.
fn failed(error: &sqlx::Error) -> Option<StoreError> {
    const UNIQUE: [i32; 2] = [2067, 1555];
    // Disk quotas show as a failed write, and a log index that cannot grow as its own code.
    const NO_ROOM: [i32; 2] = [778, 4874];
    if matches!(error, sqlx::Error::PoolTimedOut) {
        return Some(StoreError::Busy);
    }
    let code = code(error)?;
    match code & 0xff {
        5 | 6 => Some(StoreError::Busy),
        13 => Some(StoreError::Full),
        _ if NO_ROOM.contains(&code) => Some(StoreError::Full),
        _ if UNIQUE.contains(&code) => Some(StoreError::Conflict),
        _ => None,
    }
}

fn engine(error: sqlx::Error) -> StoreError {
    failed(&error).unwrap_or_else(|| StoreError::Engine(Box::new(error)))
}

/// SQLite's extended result code.
fn code(error: &sqlx::Error) -> Option<i32> {
    match error {
        sqlx::Error::Database(database) => database.code()?.parse().ok(),
        _ => None,
    }
}

/// A file has one history.
async fn compared(_: &mut Conn) -> Result<(), StoreError> {
    Ok(())
}

/// Having met damage, the engine refuses every other write of the same transaction, and its COMMIT.
fn is_damage(error: &StoreError) -> bool {
    const CORRUPT: i32 = 11;
    let StoreError::Engine(source) = error else { return false };
    source.downcast_ref().and_then(code).is_some_and(|code| code & 0xff == CORRUPT)
}
