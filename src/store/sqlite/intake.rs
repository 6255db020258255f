//! Deliveries: recorded once, with the task that works them off.

use async_trait::async_trait;
use latchkey_contract::{ConnectionId, TicketRef, Timestamp, ticket::TicketEvent};
use sqlx::SqliteConnection;

use super::{
    StoreError, engine, tasks,
    writer::{Room, Write},
};
use crate::{
    jobs::task::{NewTask, Priority, Work},
    store::{NewDelivery, Recorded, StoredDelivery, row},
};

pub(super) struct Record(pub(super) NewDelivery);

#[async_trait]
impl Write for Record {
    type Out = Recorded;

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut SqliteConnection, _: Room) -> Result<Recorded, StoreError> {
        let new = &self.0;
        let written = sqlx::query(
            "INSERT INTO deliveries (id, connection, message_id, body_hash, received_at, event)
             VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (connection, message_id) DO NOTHING",
        )
        .bind(&new.id)
        .bind(new.connection.as_str())
        .bind(&new.message_id)
        .bind(&new.body_hash)
        .bind(new.received_at.millis())
        .bind(row::encode(&new.event)?)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        if written.rows_affected() == 0 {
            return before(conn, new).await;
        }
        let task = task(new.id.clone(), new.connection.clone(), &new.event, new.received_at);
        tasks::add(conn, &task, new.received_at).await?;
        Ok(Recorded::New)
    }
}

/// A delivery as selected: id, connection, time, event, outcome.
pub(super) type Row = (String, String, i64, String, Option<String>);

pub(super) fn read((id, connection, received_at, event, outcome): Row) -> Result<StoredDelivery, StoreError> {
    Ok(StoredDelivery {
        connection: row::parse("deliveries", &id, &connection)?,
        event: row::decode("deliveries", &id, &event)?,
        received_at: Timestamp::from_millis(received_at),
        outcome,
        id,
    })
}

/// The task that works a delivery off.
pub(super) fn task(delivery: String, connection: ConnectionId, event: &TicketEvent, run_at: Timestamp) -> NewTask {
    let ticket = event.ticket.clone().map(|ticket| TicketRef { connection: connection.clone(), ticket });
    NewTask { work: Work::Intake { delivery, connection, ticket }, run_at, priority: Priority::Giving }
}

async fn before(conn: &mut SqliteConnection, new: &NewDelivery) -> Result<Recorded, StoreError> {
    let hash: String = sqlx::query_scalar("SELECT body_hash FROM deliveries WHERE connection = $1 AND message_id = $2")
        .bind(new.connection.as_str())
        .bind(&new.message_id)
        .fetch_one(conn)
        .await
        .map_err(engine)?;
    Ok(if hash == new.body_hash { Recorded::Repeat } else { Recorded::OtherBody })
}
