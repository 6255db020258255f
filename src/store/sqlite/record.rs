//! Deliveries, recorded one by one among the other writes of their group.

use async_trait::async_trait;

use super::{
    Conn, StoreError, engine, intake, tasks,
    write::{Room, Write},
};
use crate::store::{NewDelivery, Recorded, row};

pub(super) struct Record(pub(super) NewDelivery);

#[async_trait]
impl Write for Record {
    type Out = Recorded;

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<Recorded, StoreError> {
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
        let task = intake::task(new.id.clone(), new.connection.clone(), &new.event, new.received_at);
        tasks::add(conn, &task, new.received_at).await?;
        Ok(Recorded::New)
    }
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
