//! Deliveries: all that wait are recorded by one write. The write before it is the window: nothing waits on purpose.

use std::{collections::BTreeSet, sync::Arc};

use async_trait::async_trait;
use latchkey_contract::ConnectionId;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};

use super::{
    Conn, StoreError, ask, engine, intake,
    write::{Request, Room, Write},
};
use crate::store::{NewDelivery, Recorded, row};

/// Most deliveries in one write.
const TOGETHER: usize = 256;

/// A delivery that waits, with the place its answer goes to.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) new: NewDelivery,
    pub(super) reply: oneshot::Sender<Result<Recorded, StoreError>>,
}

/// Has all that waits written, until nobody can hand in more, or `stop` resolves; what was taken by then is still written.
pub(super) async fn gather(
    mut waiting: mpsc::Receiver<Waiting>,
    writer: mpsc::Sender<Box<dyn Request>>,
    mut stop: oneshot::Receiver<()>,
) {
    let (mut group, mut is_stopping) = (Vec::new(), false);
    loop {
        tokio::select! {
            taken = waiting.recv_many(&mut group, TOGETHER) => {
                if taken == 0 {
                    return;
                }
                together(std::mem::take(&mut group), &writer).await;
            }
            _ = &mut stop, if !is_stopping => {
                is_stopping = true;
                waiting.close();
            }
        }
    }
}

async fn together(group: Vec<Waiting>, writer: &mpsc::Sender<Box<dyn Request>>) {
    let (all, replies): (Vec<_>, Vec<_>) = group.into_iter().map(|w| (Arc::new(w.new), w.reply)).unzip();
    let came = ask(writer, Record(all.clone())).await;
    // Who asked may be gone; what was written stays.
    match came {
        Ok(came) => replies.into_iter().zip(came).for_each(|(reply, recorded)| drop(reply.send(Ok(recorded)))),
        Err(StoreError::Busy) => replies.into_iter().for_each(|reply| drop(reply.send(Err(StoreError::Busy)))),
        Err(StoreError::Full) => replies.into_iter().for_each(|reply| drop(reply.send(Err(StoreError::Full)))),
        // One of them may have broken the write for all: each gets one of its own.
        Err(_) => {
            for (new, reply) in all.into_iter().zip(replies) {
                let came = ask(writer, Record(vec![new])).await;
                drop(reply.send(came.map(|came| came.into_iter().next().unwrap_or(Recorded::Repeat))));
            }
        }
    }
}

pub(super) struct Record(Vec<Arc<NewDelivery>>);

#[async_trait]
impl Write for Record {
    /// In the order of the deliveries.
    type Out = Vec<Recorded>;

    fn wakes(&self) -> bool {
        true
    }

    fn rows(&self) -> usize {
        self.0.len()
    }

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<Self::Out, StoreError> {
        let new = written(conn, &self.0).await?;
        let is_new = |delivery: &&Arc<NewDelivery>| new.contains(&delivery.id);
        tasks(conn, self.0.iter().filter(is_new)).await?;
        let mut came = Vec::with_capacity(self.0.len());
        for delivery in &self.0 {
            came.push(if is_new(&delivery) { Recorded::New } else { before(conn, delivery).await? });
        }
        Ok(came)
    }
}

/// Answers the ids of those that were not there.
async fn written(conn: &mut Conn, all: &[Arc<NewDelivery>]) -> Result<BTreeSet<String>, StoreError> {
    let mut rows = Vec::with_capacity(all.len());
    for new in all {
        let at = new.received_at.millis();
        rows.push(json!([new.id, new.connection, new.message_id, new.body_hash, at, row::encode(&new.event)?]));
    }
    let new: Vec<String> = sqlx::query_scalar(
        "INSERT INTO deliveries (id, connection, message_id, body_hash, received_at, event)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5 FROM json_each($1)
         WHERE true ON CONFLICT (connection, message_id) DO NOTHING RETURNING id",
    )
    .bind(row::encode(&rows)?)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    Ok(new.into_iter().collect())
}

/// A delivery's slot is its own: nothing is moved.
async fn tasks(conn: &mut Conn, new: impl Iterator<Item = &Arc<NewDelivery>>) -> Result<(), StoreError> {
    let mut rows = Vec::new();
    for delivery in new {
        let task =
            intake::task(delivery.id.clone(), delivery.connection.clone(), &delivery.event, delivery.received_at);
        rows.push(json!([
            task.work.slot(),
            task.work.key(),
            task.work.connection().map(ConnectionId::as_str),
            task.work.name(),
            row::encode(&task.work)?,
            task.priority as i64,
            task.run_at.millis(),
            task.risk as i64
        ]));
    }
    if rows.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO tasks (slot, key, connection, kind, work, priority, state, run_at, created_at, risk)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, 'pending', value ->> 6,
             value ->> 6, value ->> 7
         FROM json_each($1)",
    )
    .bind(row::encode(&rows)?)
    .execute(conn)
    .await
    .map(|_| ())
    .map_err(engine)
}

async fn before(conn: &mut Conn, new: &NewDelivery) -> Result<Recorded, StoreError> {
    let hash: String = sqlx::query_scalar("SELECT body_hash FROM deliveries WHERE connection = $1 AND message_id = $2")
        .bind(new.connection.as_str())
        .bind(&new.message_id)
        .fetch_one(conn)
        .await
        .map_err(engine)?;
    Ok(if hash == new.body_hash { Recorded::Repeat } else { Recorded::OtherBody })
}
