//! Setting a ticket's status, and believing it only when it is read back.

use latchkey_contract::{CallError, StatusId, TicketId, outside::Urgency, ticket::StatusSet};
use serde_json::json;

use crate::{
    api::{Ask, number_or_refused, posted, real},
    errors::{self, Missing, accepted},
    tables::Known,
    tickets::Reader,
    wire,
};

const CHANGE: &str = "POST /Tickets";

pub(crate) async fn set(reader: &Reader<'_>, id: &TicketId, status: &StatusId) -> Result<StatusSet, CallError> {
    let wanted = number_or_refused(CHANGE, status.as_str())?;
    let Some(row) = reader.fetch(id, Urgency::Ordinary).await? else { return Ok(StatusSet::Left) };
    // Some instances find no record where an update does not name its type and client, so both are said.
    let named = (real(row.tickettype_id), real(row.client_id));
    let is_frozen = row.status_change_frozen == Some(true);
    if row.status_id == Some(wanted) {
        return Ok(StatusSet::Stood);
    }
    let ticket = reader.ticket(row, Urgency::Ordinary).await?;
    let has = |known: &Known| known.statuses.contains_key(&wanted);
    let known = reader.tables.known(reader.api, Urgency::Ordinary, has).await?;
    if ticket.is_closed || is_frozen || !known.statuses.contains_key(&wanted) {
        return Ok(StatusSet::Left);
    }
    // `agent_id` is not said: it would assign the ticket.
    let mut change = json!({"id": number_or_refused(CHANGE, id.as_str())?, "status_id": wanted});
    if let (Some(kind), Some(client)) = named {
        change["tickettype_id"] = json!(kind);
        change["client_id"] = json!(client);
    }
    let answer = reader.api.send(&Ask::new(CHANGE, ["Tickets"]).row(change)).await?;
    if errors::missing(&answer) == Some(Missing::Record) {
        return Ok(StatusSet::Left);
    }
    let after: wire::Ticket = posted(&accepted(answer)?)?;
    if after.status_id == Some(wanted) {
        return Ok(StatusSet::Changed);
    }
    // A closing rule may refuse in an answer that is a success. What the ticket says counts.
    let is_warned = after.warning.is_some_and(|warning| !warning.trim().is_empty());
    match reader.fetch(id, Urgency::Ordinary).await? {
        None => Ok(StatusSet::Left),
        Some(row) if row.status_id == Some(wanted) => Ok(StatusSet::Changed),
        Some(_) if is_warned => Err(CallError::Refused {
            op: CHANGE,
            status: 200,
            code: "with a warning: see the ticket's closing rules".into(),
        }),
        Some(_) => Err(CallError::transient(CHANGE, "the PSA accepted the status but did not keep it")),
    }
}
