//! Setting a ticket's status: only to one of its own board's, only while it is open.

use latchkey_contract::{
    CallError, StatusId, TicketId,
    outside::Urgency,
    ticket::{self, StatusSet},
};
use serde_json::{Value, json};

use crate::{
    api::{Api, Ask, number_or_refused},
    errors::{self, Missing, Told, accepted},
    paging::LARGEST,
    tickets, wire,
};

const CHANGE: &str = "PATCH /service/tickets/{id}";
const LIST: &str = "GET /service/boards/{id}/statuses";

pub(crate) async fn set(api: &Api, id: &TicketId, status: &StatusId) -> Result<StatusSet, CallError> {
    let wanted = number_or_refused(CHANGE, status.as_str())?;
    let Some(ticket) = tickets::read(api, id, Urgency::Ordinary).await? else { return Ok(StatusSet::Left) };
    if ticket.status.as_ref() == Some(status) {
        return Ok(StatusSet::Stood);
    }
    let Some(board) = ticket.board.filter(|_| !ticket.is_closed) else { return Ok(StatusSet::Left) };
    let own = of_board(api, board.as_str()).await?;
    if !own.iter().any(|s| s.id == *status && s.is_active) {
        return Ok(StatusSet::Left);
    }
    change(api, id, wanted).await
}

/// The statuses of one board; none when the board is gone.
pub(crate) async fn of_board(api: &Api, board: &str) -> Result<Vec<ticket::Status>, CallError> {
    let ask = Ask::new(LIST, ["service", "boards", board, "statuses"]);
    let rows: Vec<wire::Status> = api.list_if_any(&ask, LARGEST).await?.unwrap_or_default();
    rows.into_iter().map(read).collect()
}

async fn change(api: &Api, id: &TicketId, wanted: u32) -> Result<StatusSet, CallError> {
    let replace = json!({"op": "replace", "path": "status", "value": {"id": wanted}});
    let patch = |ops: Value| Ask::new(CHANGE, ["service", "tickets", id.as_str()]).body(&ops);
    let mut answer = api.send(&patch(json!([&replace]))).await?;
    if answer.status.as_u16() == 400 {
        if is_about_status(&answer.body) {
            return Ok(StatusSet::Left);
        }
        // Some instances refuse a change that does not mention the custom fields; an empty list changes none.
        let fields = json!({"op": "replace", "path": "customFields", "value": []});
        answer = api.send(&patch(json!([&replace, fields]))).await?;
    }
    if errors::missing(&answer) == Some(Missing::Record) {
        return Ok(StatusSet::Left);
    }
    if answer.status.as_u16() == 400 && is_about_status(&answer.body) {
        return Ok(StatusSet::Left);
    }
    let unclear = |why| CallError::transient(CHANGE, why);
    let after: wire::Ticket =
        accepted(answer)?.json().map_err(|_| unclear("the status may be set: the answer could not be read"))?;
    match after.status {
        Some(now) if now.id == i64::from(wanted) => Ok(StatusSet::Changed),
        _ => Err(unclear("the PSA accepted the status but did not keep it")),
    }
}

/// The ticket was moved to another board between our look and our change.
fn is_about_status(body: &[u8]) -> bool {
    let told = Told::read(body);
    told.has("NotFound") && told.is_about("status")
}

fn read(wire: wire::Status) -> Result<ticket::Status, CallError> {
    Ok(ticket::Status {
        id: StatusId::parse(wire.id.to_string()).map_err(|e| CallError::malformed(LIST, e))?,
        name: wire.name.unwrap_or_default(),
        is_closing: wire.closed_status.unwrap_or(false),
        is_active: !wire.inactive.unwrap_or(false),
    })
}
