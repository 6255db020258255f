//! A lane: one task with one connection that writes. It commits everything that waits together, removals first, each
//! request in a savepoint of its own, and answers only after COMMIT.
//!
//! What SQLite's one writer gives for free is given by a lock that every transaction takes first and keeps to its end:
//! whoever holds it is the only one that writes, in this process and in all others, and every statement after it sees
//! all that was committed before. So versions, the rules' revision, the room under a brake, the one standard account and
//! the head of the audit chain are compared where nobody can come in between, and nobody waits for two things at once.
//! Two lanes are beside that lock, see [`Lock`].

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sqlx::{AssertSqlSafe, ConnectOptions as _, Connection as _, postgres::PgConnectOptions};
use tokio::{
    sync::{Notify, mpsc, watch},
    time,
};

use super::{Conn, StoreError, engine, history::History, is_crossed, is_lost, is_transient};
use crate::{
    random,
    store::{
        postgres::write::{Class, Request, Room},
        row,
    },
};

/// Most requests in one transaction: others wait for the lock meanwhile.
const TOGETHER: usize = 64;

/// How often a group is tried that met a lost connection, a deadlock or a serialization failure.
pub(super) const TRIES: u32 = 3;

/// Longest time for one group, its COMMIT included. Every statement is bounded by the server; this bounds a server, or a
/// network, that does not answer at all.
const ONE_GROUP: Duration = Duration::from_secs(15);

/// How long it is looked for what became of a COMMIT whose answer was lost.
const LOOKED_FOR: Duration = Duration::from_secs(20);

/// Which lock a lane's transactions take first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Lock {
    /// All that is compared and then written.
    Writing,
    /// Claims, one at a time. They do not wait for those who write: a task whose row somebody is writing is skipped, the
    /// row of a lease that somebody compares is locked until they commit, and a second lease of one key cannot be
    /// written, whoever looks at what.
    Claiming,
}

impl Lock {
    /// READ COMMITTED by name, whatever the database's default is: a snapshot from before the lock would not show what
    /// its last holder wrote.
    pub(super) const fn begin(self) -> &'static str {
        match self {
            Self::Writing => "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(1280592729, 1)",
            Self::Claiming => "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock(1280592729, 2)",
        }
    }
}

/// Who writes: what its groups are marked with, and who is told of them.
#[derive(Debug, Clone)]
pub(super) struct Voice {
    /// This process' mark on its notifications, so that it does not wake itself twice.
    pub(super) me: String,
    pub(super) changed: Arc<Notify>,
}

/// The channel on which processes tell each other that there is something to do.
pub(super) const CHANNEL: &str = "latchkey";

/// One connection that writes, made when it is needed and made again when it was lost.
#[derive(Debug)]
pub(super) struct Line {
    id: String,
    options: PgConnectOptions,
    history: Arc<History>,
    conn: Option<Conn>,
    batch: i64,
}

/// Why a whole group failed.
#[derive(Debug)]
enum Broken {
    /// Nothing of it was written.
    Undone(StoreError),
    /// The same, and it may well succeed when it is tried again.
    Again(StoreError),
    /// COMMIT was sent, and its answer did not come.
    Unheard(StoreError),
}

/// Why a group was given up.
enum Failed {
    /// None of it would fare better alone.
    All(StoreError),
    /// One of them may be to blame.
    Together(StoreError),
}

impl Broken {
    fn of(error: sqlx::Error) -> Self {
        let may_pass = is_lost(&error) || is_transient(&error);
        let error = engine(error);
        if may_pass { Self::Again(error) } else { Self::Undone(error) }
    }
}

impl Line {
    pub(super) fn new(options: PgConnectOptions, history: Arc<History>) -> Self {
        Self { id: mark(), options, history, conn: None, batch: 0 }
    }

    /// A connection to a server that has everything that was acknowledged, or where it is noted that it has not.
    pub(super) async fn conn(&mut self) -> Result<&mut Conn, sqlx::Error> {
        if self.conn.is_none() {
            let made = time::timeout(Duration::from_secs(3), async {
                let mut conn = self.options.connect().await?;
                self.history.check(&mut conn).await?;
                Ok::<_, sqlx::Error>(conn)
            });
            self.conn = Some(made.await.map_err(|_| sqlx::Error::PoolTimedOut)??);
        }
        self.conn.as_mut().ok_or(sqlx::Error::PoolTimedOut)
    }

    /// Whatever state it is in: the server undoes what was not committed.
    pub(super) fn drop_conn(&mut self) {
        self.conn = None;
    }

    pub(super) const fn is_open(&self) -> bool {
        self.conn.is_some()
    }

    /// Undoes what was begun.
    pub(super) async fn undo(&mut self) -> Result<(), sqlx::Error> {
        let Some(conn) = &mut self.conn else { return Ok(()) };
        match time::timeout(Duration::from_secs(3), sqlx::raw_sql("ROLLBACK").execute(conn)).await {
            Ok(came) => came.map(|_| ()),
            Err(_) => Err(sqlx::Error::PoolTimedOut),
        }
    }

    pub(super) async fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            let _ = time::timeout(Duration::from_secs(2), conn.close()).await;
        }
    }

    /// What became of the newest group: `Some(true)` when it was committed. Waits for the transaction to have ended, and
    /// for the server to be there again. `None` when that took too long.
    async fn was_committed(&mut self) -> Option<bool> {
        let give_up = Instant::now() + LOOKED_FOR;
        while Instant::now() < give_up {
            self.drop_conn();
            match time::timeout(Duration::from_secs(8), self.newest()).await {
                Ok(Ok(batch)) => return Some(batch == Some(self.batch)),
                Ok(Err(error)) => tracing::warn!(%error, "what became of a COMMIT cannot be looked up yet"),
                Err(_) => tracing::warn!("what became of a COMMIT cannot be looked up yet: no answer"),
            }
            time::sleep(Duration::from_millis(250)).await;
        }
        None
    }

    async fn newest(&mut self) -> Result<Option<i64>, sqlx::Error> {
        let id = self.id.clone();
        let conn = self.conn().await?;
        // A transaction that wrote the row holds it until it has ended; one that was the first to write it holds its key.
        sqlx::query("INSERT INTO writers (id, batch, at) VALUES ($1, 0, 0) ON CONFLICT (id) DO NOTHING")
            .bind(&id)
            .execute(&mut *conn)
            .await?;
        sqlx::query_scalar("SELECT batch FROM writers WHERE id = $1 FOR UPDATE").bind(&id).fetch_optional(conn).await
    }
}

pub(super) struct Lane {
    pub(super) line: Line,
    pub(super) lock: Lock,
    pub(super) input: mpsc::Receiver<Box<dyn Request>>,
    /// Changes when the store is closed, or gone.
    pub(super) stop: watch::Receiver<bool>,
    pub(super) voice: Voice,
}

impl Lane {
    /// Serves until the store is closed; what was accepted by then is still written.
    pub(super) async fn serve(mut self) {
        let mut is_stopping = false;
        loop {
            let mut batch = Vec::new();
            tokio::select! {
                biased;
                Some(first) = self.input.recv() => batch.push(first),
                _ = self.stop.changed(), if !is_stopping => {
                    is_stopping = true;
                    self.input.close();
                    continue;
                }
                else => break,
            }
            while batch.len() < TOGETHER
                && let Ok(request) = self.input.try_recv()
            {
                batch.push(request);
            }
            batch.sort_by_key(|request| request.class() != Class::Removal);
            self.write(batch).await;
        }
        self.line.close().await;
    }

    async fn write(&mut self, mut batch: Vec<Box<dyn Request>>) {
        let started = Instant::now();
        let came = self.insist(&mut batch).await;
        let rows: usize = batch.iter().map(|request| request.rows()).sum();
        metrics::histogram!("db_batch_rows").record(f64::from(u32::try_from(rows).unwrap_or(u32::MAX)));
        metrics::histogram!("db_commit_seconds").record(started.elapsed().as_secs_f64());
        match came {
            Ok(()) => self.answer(batch),
            Err(Failed::All(error)) => refuse_all(batch, error),
            // One of them may have broken the transaction for all: each gets one of its own.
            Err(Failed::Together(error)) => {
                tracing::warn!(%error, writes = batch.len(), "a group of writes failed; they are tried one by one");
                for request in batch {
                    let mut one = vec![request];
                    match self.insist(&mut one).await {
                        Ok(()) => self.answer(one),
                        Err(Failed::All(error) | Failed::Together(error)) => refuse_all(one, error),
                    }
                }
            }
        }
    }

    fn answer(&self, batch: Vec<Box<dyn Request>>) {
        if batch.iter().any(|request| request.wants_room()) {
            tracing::error!("the database server's disk is full: not even removals are written");
        }
        if batch.iter().any(|request| request.wakes()) {
            self.voice.changed.notify_one();
        }
        batch.into_iter().for_each(Request::answer);
    }

    /// Writes a group; tries again, at longer and longer intervals, what may pass.
    async fn insist(&mut self, batch: &mut [Box<dyn Request>]) -> Result<(), Failed> {
        let mut tries = 1;
        loop {
            let error = match self.group(batch).await {
                Ok(()) => return Ok(()),
                Err(Broken::Undone(error)) => {
                    self.roll_back().await;
                    let is_everybodys = matches!(error, StoreError::Busy | StoreError::Full);
                    return Err(if is_everybodys { Failed::All(error) } else { Failed::Together(error) });
                }
                Err(Broken::Again(error)) => {
                    self.roll_back().await;
                    error
                }
                Err(Broken::Unheard(error)) => {
                    tracing::warn!(error = %cause(&error), "the answer of a COMMIT was lost: it is looked up");
                    match self.line.was_committed().await {
                        Some(true) => {
                            self.line.acknowledged();
                            return Ok(());
                        }
                        Some(false) => error,
                        None => return Err(Failed::All(StoreError::Unknown)),
                    }
                }
            };
            if tries == TRIES {
                return Err(Failed::All(error));
            }
            tracing::warn!(error = %cause(&error), tries, "a group of writes is tried again");
            back_off(tries).await;
            tries += 1;
        }
    }

    async fn roll_back(&mut self) {
        if self.line.undo().await.is_err() {
            self.line.drop_conn();
        }
    }

    async fn group(&mut self, batch: &mut [Box<dyn Request>]) -> Result<(), Broken> {
        let give_up = time::Instant::now() + ONE_GROUP;
        let prepared = time::timeout_at(give_up, self.line.run(batch, self.lock)).await;
        let wakes = match prepared {
            Ok(Ok(wakes)) => wakes,
            Ok(Err(broken)) => return Err(broken),
            Err(_) => {
                self.line.drop_conn();
                return Err(Broken::Undone(StoreError::Busy));
            }
        };
        // Made of two names of our own making and a number.
        let end = AssertSqlSafe(self.line.end(wakes, &self.voice));
        let Some(conn) = &mut self.line.conn else { return Err(Broken::Again(StoreError::Busy)) };
        match time::timeout_at(give_up, sqlx::raw_sql(end).execute(conn)).await {
            Ok(Ok(done)) => {
                // One row is the word to the others; another one is the mark of a group that wrote something.
                if done.rows_affected() > u64::from(wakes) {
                    self.line.acknowledged();
                }
                Ok(())
            }
            // A server that goes away says so in words of its own; only a plain refusal means that nothing was written.
            Ok(Err(error)) if !is_lost(&error) => Err(Broken::of(error)),
            Ok(Err(error)) => Err(Broken::Unheard(engine(error))),
            Err(_) => Err(Broken::Unheard(StoreError::Busy)),
        }
    }
}

impl Line {
    /// Everything of a group but its end; answers whether something may be due sooner by it.
    async fn run(&mut self, batch: &mut [Box<dyn Request>], lock: Lock) -> Result<bool, Broken> {
        self.batch += 1;
        let conn = self.conn().await.map_err(Broken::of)?;
        all(conn, lock.begin()).await?;
        let wakes = if let [only] = batch {
            // Alone it needs no savepoint: what it wrote goes with the transaction.
            if !only.attempt(conn, Room::Free).await {
                crossed(only.as_ref())?;
                all(conn, "ROLLBACK; BEGIN").await?;
            }
            only.wakes()
        } else {
            let mut wakes = false;
            for request in batch.iter_mut() {
                all(conn, "SAVEPOINT one").await?;
                if !request.attempt(conn, Room::Free).await {
                    crossed(request.as_ref())?;
                    all(conn, "ROLLBACK TO one").await?;
                }
                all(conn, "RELEASE one").await?;
                wakes |= request.wakes();
            }
            wakes
        };
        Ok(wakes)
    }

    fn acknowledged(&self) {
        self.history.committed(&self.id, self.batch);
    }

    /// What ends a group: its mark, a word to the other processes, and COMMIT, in one message to the server. A group that
    /// wrote nothing leaves no mark, and costs the disk nothing.
    fn end(&self, wakes: bool, voice: &Voice) -> String {
        let (id, batch, me) = (&self.id, self.batch, &voice.me);
        let word = if wakes { format!("SELECT pg_notify('{CHANNEL}', '{me}');") } else { String::new() };
        format!(
            "INSERT INTO writers (id, batch, at)
             SELECT '{id}', {batch}, CAST(extract(epoch FROM now()) * 1000 AS BIGINT)
             WHERE pg_current_xact_id_if_assigned() IS NOT NULL
             ON CONFLICT (id) DO UPDATE SET batch = excluded.batch, at = excluded.at;
             {word} COMMIT"
        )
    }
}

/// One that somebody crossed is tried again, with its group.
fn crossed(request: &dyn Request) -> Result<(), Broken> {
    if is_crossed(request.error()) { Err(Broken::Again(StoreError::Busy)) } else { Ok(()) }
}

async fn all(conn: &mut Conn, sql: &'static str) -> Result<(), Broken> {
    sqlx::raw_sql(sql).execute(conn).await.map(|_| ()).map_err(Broken::of)
}

/// 50 ms, 100 ms, 200 ms, and as much again by chance: two who met do not meet again.
pub(super) async fn back_off(tries: u32) {
    let ms = 50_u64 << tries.min(6);
    let chance = (u64::from(u16::from_le_bytes(random::bytes())) * ms) >> 16;
    time::sleep(Duration::from_millis(ms / 2 + chance)).await;
}

/// A name that nobody else has.
pub(super) fn mark() -> String {
    format!("{:032x}", u128::from_le_bytes(random::bytes()))
}

/// An error with its cause, bounded and printable.
pub(super) fn cause(error: &StoreError) -> String {
    let source = std::error::Error::source(error).map(|source| format!(": {source}")).unwrap_or_default();
    row::bounded(&format!("{error}{source}"))
}

fn refuse_all(batch: Vec<Box<dyn Request>>, error: StoreError) {
    let shared = match error {
        StoreError::Engine(source) => Err(Arc::<dyn std::error::Error + Send + Sync>::from(source)),
        other => Ok(other),
    };
    for mut request in batch {
        request.refuse(match &shared {
            Ok(StoreError::Full) => StoreError::Full,
            Ok(StoreError::Unknown) => StoreError::Unknown,
            Ok(StoreError::Conflict) => StoreError::Conflict,
            Ok(_) => StoreError::Busy,
            Err(source) => StoreError::Engine(Box::new(Shared(Arc::clone(source)))),
        });
        request.answer();
    }
}

/// One failure that several writes are told of.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub(super) struct Shared(Arc<dyn std::error::Error + Send + Sync>);
