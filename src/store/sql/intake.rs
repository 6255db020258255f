//! Deliveries: recorded once, with the task that works them off.

use latchkey_contract::{ConnectionId, TicketRef, Timestamp, ticket::TicketEvent};

use super::StoreError;
use crate::{
    jobs::task::{NewTask, Priority, Work},
    store::{StoredDelivery, row},
};

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
    NewTask::new(Work::Intake { delivery, connection, ticket }, run_at, Priority::Giving)
}
