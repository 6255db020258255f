//! The writer: one task owns the one connection that writes. It commits everything that waits together,
//! removals first, each request in a savepoint of its own, and answers only after COMMIT.
//!
//! The previous commit is the batching window: nothing waits on purpose.

use std::{sync::Arc, time::Instant};

use sqlx::SqliteConnection;
use tokio::sync::{Notify, mpsc, oneshot};

use super::{
    StoreError, failed,
    open::Opener,
    reserve::Reserve,
    write::{Class, Request, Room},
};

/// Most requests in one transaction.
const TOGETHER: usize = 256;

/// Requests that may wait in each channel; one more is told [`StoreError::Busy`].
pub(super) const WAITING: usize = 1024;

/// Why a whole transaction failed.
#[derive(Debug, Clone)]
enum Broken {
    Busy,
    Full,
    /// One request failed so badly that the engine undid the others too; that request knows why.
    Undone,
    Engine(Arc<sqlx::Error>),
}

impl Broken {
    fn of(error: sqlx::Error) -> Self {
        match failed(&error) {
            Some(StoreError::Busy) => Self::Busy,
            Some(StoreError::Full) => Self::Full,
            _ => Self::Engine(Arc::new(error)),
        }
    }

    fn error(&self) -> StoreError {
        match self {
            Self::Busy => StoreError::Busy,
            Self::Full => StoreError::Full,
            // Never the last word: after this each request is tried alone, and has its own.
            Self::Undone => StoreError::Busy,
            Self::Engine(error) => StoreError::Engine(Box::new(Arc::clone(error))),
        }
    }
}

pub(super) struct Writer {
    pub(super) conn: SqliteConnection,
    pub(super) opener: Opener,
    pub(super) reserve: Reserve,
    pub(super) first: mpsc::Receiver<Box<dyn Request>>,
    pub(super) others: mpsc::Receiver<Box<dyn Request>>,
    /// Resolves when the store is closed or dropped.
    pub(super) stop: oneshot::Receiver<()>,
    pub(super) changed: Arc<Notify>,
}

impl Writer {
    /// Serves until the store is closed; what was accepted by then is still written.
    pub(super) async fn serve(mut self) {
        let mut is_stopping = false;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                Some(request) = self.first.recv() => batch.push(request),
                Some(request) = self.others.recv() => batch.push(request),
                _ = &mut self.stop, if !is_stopping => {
                    is_stopping = true;
                    self.first.close();
                    self.others.close();
                    continue;
                }
                else => break,
            }
            while batch.len() < TOGETHER
                && let Ok(request) = self.first.try_recv()
            {
                batch.push(request);
            }
            while batch.len() < TOGETHER
                && let Ok(request) = self.others.try_recv()
            {
                batch.push(request);
            }
            batch.sort_by_key(|request| request.class() != Class::Removal);
            self.write(batch).await;
        }
        self.opener.close(self.conn).await;
    }

    async fn write(&mut self, batch: Vec<Box<dyn Request>>) {
        if self.reserve.is_spent() && batch.iter().any(|r| r.class() == Class::Ordinary) {
            self.reserve.refill(&mut self.conn).await;
        }
        let mut batch = batch;
        if self.reserve.is_spent() {
            batch = refuse_ordinary(batch);
        }
        let started = Instant::now();
        let came = self.transact(&mut batch).await;
        let rows: usize = batch.iter().map(|request| request.rows()).sum();
        metrics::histogram!("db_batch_rows").record(f64::from(u32::try_from(rows).unwrap_or(u32::MAX)));
        metrics::histogram!("db_commit_seconds").record(started.elapsed().as_secs_f64());
        match came {
            Ok(()) => self.settle(batch).await,
            Err(Broken::Busy) => {
                metrics::counter!("db_busy_total").increment(1);
                refuse_all(batch, &Broken::Busy);
            }
            // One of them may have broken the transaction for all: each gets one of its own.
            Err(broken) => {
                tracing::warn!(?broken, writes = batch.len(), "a group of writes failed; they are tried one by one");
                for request in batch {
                    self.alone(request).await;
                }
            }
        }
    }

    /// Answers what stands; those that failed for want of room and may use the reserve are tried with it.
    async fn settle(&mut self, batch: Vec<Box<dyn Request>>) {
        if batch.iter().any(|request| request.wakes()) {
            self.changed.notify_one();
        }
        for request in batch {
            if request.wants_room() && !self.reserve.is_spent() { self.alone(request).await } else { request.answer() }
        }
    }

    async fn alone(&mut self, request: Box<dyn Request>) {
        let mut one = vec![request];
        let mut came = self.transact(&mut one).await;
        let may_use_reserve = one.iter().all(|r| r.class() != Class::Ordinary);
        let is_full = matches!(came, Err(Broken::Full)) || one.iter().any(|r| r.wants_room());
        if is_full && may_use_reserve && !self.reserve.is_spent() {
            self.reserve.spend(&mut self.conn).await;
            self.shorten_log().await;
            came = self.transact(&mut one).await;
        }
        match came {
            Ok(()) | Err(Broken::Undone) => {
                if one.iter().any(|request| request.wakes()) {
                    self.changed.notify_one();
                }
                one.into_iter().for_each(Request::answer);
            }
            Err(broken) => refuse_all(one, &broken),
        }
    }

    async fn transact(&mut self, batch: &mut [Box<dyn Request>]) -> Result<(), Broken> {
        if batch.is_empty() {
            return Ok(());
        }
        let room = if self.reserve.is_spent() { Room::Reserved } else { Room::Free };
        let came = group(&mut self.conn, batch, room).await;
        if came.is_err() {
            let rolled_back = run(&mut self.conn, "ROLLBACK").await;
            self.reopen_if_lost(rolled_back).await;
        } else if room == Room::Reserved {
            self.shorten_log().await;
        }
        came
    }

    /// Moves the log into the database, so that the next write overwrites the log from its beginning
    /// instead of making it longer: on a full disk only true growth may cost room.
    async fn shorten_log(&mut self) {
        if let Err(error) = run(&mut self.conn, "PRAGMA wal_checkpoint(PASSIVE)").await {
            tracing::warn!(%error, "the log cannot be moved into the database");
        }
    }

    /// A failed ROLLBACK is normal (the engine had rolled back itself) unless the connection is gone.
    async fn reopen_if_lost(&mut self, rolled_back: sqlx::Result<()>) {
        let is_lost = matches!(rolled_back, Err(ref error) if !matches!(error, sqlx::Error::Database(_)));
        if is_lost {
            match self.opener.connect().await {
                Ok(conn) => self.conn = conn,
                Err(error) => tracing::error!(%error, "the writing connection is lost and cannot be opened again"),
            }
        }
    }
}

async fn group(conn: &mut SqliteConnection, batch: &mut [Box<dyn Request>], room: Room) -> Result<(), Broken> {
    run(conn, "BEGIN IMMEDIATE").await.map_err(Broken::of)?;
    for request in batch.iter_mut() {
        run(conn, "SAVEPOINT one").await.map_err(Broken::of)?;
        if !request.attempt(conn, room).await && run(conn, "ROLLBACK TO one").await.is_err() {
            return Err(Broken::Undone);
        }
        run(conn, "RELEASE one").await.map_err(Broken::of)?;
    }
    run(conn, "COMMIT").await.map_err(Broken::of)
}

async fn run(conn: &mut SqliteConnection, sql: &'static str) -> sqlx::Result<()> {
    sqlx::query(sql).execute(conn).await.map(|_| ())
}

fn refuse_ordinary(batch: Vec<Box<dyn Request>>) -> Vec<Box<dyn Request>> {
    let (ordinary, rest): (Vec<_>, Vec<_>) = batch.into_iter().partition(|r| r.class() == Class::Ordinary);
    refuse_all(ordinary, &Broken::Full);
    rest
}

fn refuse_all(batch: Vec<Box<dyn Request>>, broken: &Broken) {
    for mut request in batch {
        request.refuse(broken.error());
        request.answer();
    }
}
