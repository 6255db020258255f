//! The embedded engine: one file, one writer, a few readers.
//!
//! Every write goes through the `writer`, which commits what waits together; reads go to connections
//! that cannot write. An answer to a write means that it is on the disk.

mod audit;
mod audit_read;
mod commit;
pub mod copy;
mod enroll;
mod generation;
mod intake;
mod keys;
mod open;
mod people;
mod reserve;
mod rules;
mod sweep;
mod tasks;
#[cfg(test)]
mod tests;
mod verbs;
mod watched;
mod writer;

use std::{path::Path, sync::Arc};

use sqlx::{SqliteConnection, SqlitePool};
use tokio::{
    sync::{Mutex, Notify, mpsc, oneshot},
    task::JoinHandle,
};

use self::writer::{Asked, Class, Request, WAITING, Write, Writer};
use super::StoreError;
pub use open::{OpenError, Options, newest_migration};

/// The store in a SQLite file.
#[derive(Debug)]
pub struct Sqlite {
    readers: SqlitePool,
    first: mpsc::Sender<Box<dyn Request>>,
    others: mpsc::Sender<Box<dyn Request>>,
    changed: Arc<Notify>,
    closing: Mutex<Option<(oneshot::Sender<()>, JoinHandle<()>)>>,
}

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
        Ok(Self::serve(opener, conn, reserve))
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

    fn serve(opener: open::Opener, conn: SqliteConnection, reserve: reserve::Reserve) -> Self {
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
        Self { readers, first, others, changed, closing: Mutex::new(Some((stop, task))) }
    }

    /// Writes what was accepted, refuses what comes later, and leaves one whole file behind.
    pub async fn close(&self) {
        let Some((stop, task)) = self.closing.lock().await.take() else { return };
        self.readers.close().await;
        let _ = stop.send(());
        if let Err(error) = task.await {
            tracing::error!(%error, "the writer ended badly");
        }
    }

    async fn write<W: Write>(&self, write: W) -> Result<W::Out, StoreError> {
        let channel = if write.class() == Class::Ordinary { &self.others } else { &self.first };
        let (reply, answer) = oneshot::channel();
        channel.try_send(Box::new(Asked { write, result: None, reply })).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => StoreError::Busy,
            mpsc::error::TrySendError::Closed(_) => StoreError::Engine(Box::new(Closed)),
        })?;
        answer.await.unwrap_or_else(|_| Err(StoreError::Engine(Box::new(Closed))))
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
