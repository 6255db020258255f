//! Deliveries: recorded in groups, each group in two statements, with their tasks.
//!
//! They take no lock. A message's place is its unique key: of two who record the same one, one waits for the other and
//! finds it there. So a group may also be written again when its COMMIT's answer was lost: what is ours is told by its id.
//!
//! They leave no mark by which it would be noticed that a failover has lost them alone: the poll finds their tickets, which
//! were saved since the standby saw the time last, and nothing that was given is forgotten with them.

use std::time::Instant;

use latchkey_contract::{Timestamp, directory::Risk};
use sqlx::AssertSqlSafe;
use tokio::{
    sync::{mpsc, oneshot, watch},
    time,
};

use super::{
    StoreError, engine, intake, is_lost, is_transient,
    lane::{CHANNEL, Line, TRIES, Voice, back_off, cause},
};
use crate::{
    jobs::task::{NewTask, Priority},
    store::{NewDelivery, Recorded, row},
};

/// Most deliveries in one transaction.
const TOGETHER: usize = 256;

/// Longest time for one group.
const ONE_GROUP: time::Duration = time::Duration::from_secs(5);

/// A delivery that waits to be recorded.
#[derive(Debug)]
pub(super) struct Offered {
    pub(super) delivery: NewDelivery,
    pub(super) reply: oneshot::Sender<Result<Recorded, StoreError>>,
}

pub(super) struct Intake {
    pub(super) line: Line,
    pub(super) input: mpsc::Receiver<Offered>,
    pub(super) stop: watch::Receiver<bool>,
    pub(super) voice: Voice,
}

impl Intake {
    /// Serves until the store is closed; what was accepted by then is still written.
    pub(super) async fn serve(mut self) {
        let mut is_stopping = false;
        loop {
            let mut group = Vec::new();
            tokio::select! {
                biased;
                taken = self.input.recv_many(&mut group, TOGETHER) => if taken == 0 { break },
                _ = self.stop.changed(), if !is_stopping => {
                    is_stopping = true;
                    self.input.close();
                    continue;
                }
            }
            self.write(group).await;
        }
        self.line.close().await;
    }

    async fn write(&mut self, mut group: Vec<Offered>) {
        // Who no longer waits has been told to come again.
        group.retain(|offered| !offered.reply.is_closed());
        // Two processes that record the same messages do so in the same order.
        group.sort_by(|a, b| key(&a.delivery).cmp(&key(&b.delivery)));
        let started = Instant::now();
        let came = self.insist(&group).await;
        metrics::histogram!("db_batch_rows").record(f64::from(u32::try_from(group.len()).unwrap_or(u32::MAX)));
        metrics::histogram!("db_commit_seconds").record(started.elapsed().as_secs_f64());
        match came {
            Ok(came) => {
                if came.contains(&Recorded::New) {
                    self.voice.changed.notify_one();
                }
                for (offered, came) in group.into_iter().zip(came) {
                    let _ = offered.reply.send(Ok(came));
                }
            }
            // One of them may have broken the statement for all.
            Err(StoreError::Engine(_)) if group.len() > 1 && self.line.is_open() => {
                for offered in group {
                    Box::pin(self.write(vec![offered])).await;
                }
            }
            Err(error) => {
                tracing::warn!(error = %cause(&error), deliveries = group.len(), "deliveries cannot be recorded");
                let again = |error: &StoreError| match error {
                    StoreError::Full => StoreError::Full,
                    _ => StoreError::Busy,
                };
                for offered in group {
                    let _ = offered.reply.send(Err(again(&error)));
                }
            }
        }
    }

    async fn insist(&mut self, group: &[Offered]) -> Result<Vec<Recorded>, StoreError> {
        if group.is_empty() {
            return Ok(Vec::new());
        }
        let mut tries = 1;
        loop {
            let came = time::timeout(ONE_GROUP, record(&mut self.line, group, &self.voice)).await;
            let error = match came {
                Ok(Ok(recorded)) => return Ok(recorded),
                Ok(Err(Broken::Sql(error))) => {
                    // Whatever was begun goes with the connection, unless the server is plainly there.
                    if is_lost(&error) || self.line.undo().await.is_err() {
                        self.line.drop_conn();
                    }
                    if !is_lost(&error) && !is_transient(&error) {
                        return Err(engine(error));
                    }
                    engine(error)
                }
                Ok(Err(Broken::Store(error))) => {
                    let _ = self.line.undo().await;
                    return Err(error);
                }
                Err(_) => {
                    self.line.drop_conn();
                    StoreError::Busy
                }
            };
            if tries == TRIES {
                return Err(error);
            }
            back_off(tries).await;
            tries += 1;
        }
    }
}

fn key(delivery: &NewDelivery) -> (&str, &str) {
    (delivery.connection.as_str(), &delivery.message_id)
}

enum Broken {
    Sql(sqlx::Error),
    Store(StoreError),
}

impl From<sqlx::Error> for Broken {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

impl From<StoreError> for Broken {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

async fn record(line: &mut Line, group: &[Offered], voice: &Voice) -> Result<Vec<Recorded>, Broken> {
    let all: Vec<&NewDelivery> = group.iter().map(|offered| &offered.delivery).collect();
    let column = |of: fn(&NewDelivery) -> String| all.iter().map(|d| of(d)).collect::<Vec<_>>();
    let events = all.iter().map(|d| row::encode(&d.event)).collect::<Result<Vec<_>, _>>()?;
    let received: Vec<i64> = all.iter().map(|d| d.received_at.millis()).collect();
    let conn = line.conn().await?;
    sqlx::raw_sql("BEGIN ISOLATION LEVEL READ COMMITTED").execute(&mut *conn).await?;
    let (ids, connections) = (column(|d| d.id.clone()), column(|d| d.connection.to_string()));
    let (messages, hashes) = (column(|d| d.message_id.clone()), column(|d| d.body_hash.clone()));
    sqlx::query(
        "INSERT INTO deliveries (id, connection, message_id, body_hash, received_at, event)
         SELECT * FROM unnest($1, $2, $3, $4, $5, $6) ON CONFLICT (connection, message_id) DO NOTHING",
    )
    .bind(&ids)
    .bind(&connections)
    .bind(&messages)
    .bind(&hashes)
    .bind(&received)
    .bind(&events)
    .execute(&mut *conn)
    .await?;
    // What stands there now: by this transaction, or by one that has ended.
    let stored: Vec<(String, String)> = sqlx::query_as(
        "SELECT d.id, d.body_hash FROM unnest($1, $2) WITH ORDINALITY AS o (connection, message_id, place)
         JOIN deliveries AS d ON d.connection = o.connection AND d.message_id = o.message_id ORDER BY o.place",
    )
    .bind(&connections)
    .bind(&messages)
    .fetch_all(&mut *conn)
    .await?;
    if stored.len() != all.len() {
        return Err(StoreError::Busy.into());
    }
    let came: Vec<Recorded> = all.iter().zip(&stored).map(|(new, (id, hash))| compare(new, id, hash)).collect();
    let new = all.iter().zip(&came).filter(|(_, came)| **came == Recorded::New);
    let tasks: Vec<NewTask> =
        new.map(|(d, _)| intake::task(d.id.clone(), d.connection.clone(), &d.event, d.received_at)).collect();
    if tasks.is_empty() {
        sqlx::raw_sql("COMMIT").execute(conn).await?;
        return Ok(came);
    }
    let works = tasks.iter().map(|task| row::encode(&task.work)).collect::<Result<Vec<_>, _>>()?;
    add(conn, &tasks, works).await?;
    // Made of two names of our own making.
    let end = format!("SELECT pg_notify('{CHANNEL}', '{}'); COMMIT", voice.me);
    sqlx::raw_sql(AssertSqlSafe(end)).execute(conn).await?;
    Ok(came)
}

fn compare(new: &NewDelivery, id: &str, hash: &str) -> Recorded {
    match (new.id == id, new.body_hash == hash) {
        (true, _) => Recorded::New,
        (false, true) => Recorded::Repeat,
        (false, false) => Recorded::OtherBody,
    }
}

/// A delivery's slot is its own: a task that is there was made by this very group when it was written before.
async fn add(conn: &mut super::Conn, tasks: &[NewTask], works: Vec<String>) -> Result<(), sqlx::Error> {
    let column = |of: fn(&NewTask) -> String| tasks.iter().map(of).collect::<Vec<_>>();
    let at: Vec<i64> = tasks.iter().map(|task| Timestamp::millis(task.run_at)).collect();
    let connections: Vec<Option<String>> =
        tasks.iter().map(|task| task.work.connection().map(ToString::to_string)).collect();
    sqlx::query(
        "INSERT INTO tasks (slot, key, connection, kind, work, priority, state, run_at, created_at, risk)
         SELECT slot, key, connection, kind, work, $6, 'pending', at, at, $8
         FROM unnest($1, $2, $3, $4, $5, $7) AS n (slot, key, connection, kind, work, at)
         ON CONFLICT (slot) DO NOTHING",
    )
    .bind(column(|task| task.work.slot()))
    .bind(column(|task| task.work.key()))
    .bind(connections)
    .bind(column(|task| task.work.name().to_owned()))
    .bind(works)
    .bind(Priority::Giving as i64)
    .bind(at)
    .bind(Risk::Other as i64)
    .execute(conn)
    .await
    .map(|_| ())
}
