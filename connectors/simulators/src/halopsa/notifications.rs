//! `/Notification`: which event goes to which webhook, under which conditions. Only these rows count; what a webhook
//! itself is given as events is dropped.

use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Cx;
use super::errors::Refusal;
use super::state::Ticket;
use super::values::{Row, int, text};
use crate::server::Response;

/// A binding of a webhook.
const WEBHOOK_TYPE: i64 = -2;
const WEBHOOK_DELIVERY: i64 = 6;

pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let rows = cx.desk.inst.notifications.iter().cloned().map(Value::Object).collect();
    Ok(cx.json(200, rows))
}

fn position(cx: &Cx<'_>) -> Result<usize, Refusal> {
    let id = cx.number()?;
    let found = cx.desk.inst.notifications.iter().position(|row| row.get("id") == Some(&json!(id)));
    found.ok_or_else(|| Refusal::message(404, "Record not found"))
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let row = Value::Object(cx.desk.inst.notifications[position(cx)?].clone());
    Ok(cx.json(200, row))
}

pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let at = position(cx)?;
    let row = cx.desk.inst.notifications.remove(at);
    Ok(cx.json(200, json!({"id": row.get("id")})))
}

/// A guid that another row has takes that row over.
pub(super) fn post(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let mut made = Vec::new();
    for mut row in cx.rows()? {
        if int(&row, "eventno")?.is_none() && int(&row, "id")?.is_none() {
            return Err(Refusal::exception(400, "Please select an Event"));
        }
        let guid = text(&row, "guid").map(str::to_owned);
        let id = int(&row, "id")?.filter(|id| *id > 0);
        let is_same = |known: &Row| {
            id.is_some_and(|id| known.get("id") == Some(&json!(id)))
                || guid.is_some() && known.get("guid").and_then(Value::as_str) == guid.as_deref()
        };
        let at = cx.desk.inst.notifications.iter().position(is_same);
        if let Some(at) = at {
            row.remove("id");
            row.remove("guid");
            cx.desk.inst.notifications[at].extend(row);
            made.push(Value::Object(cx.desk.inst.notifications[at].clone()));
            continue;
        }
        row.insert("id".into(), json!(cx.desk.inst.take()));
        row.insert("guid".into(), json!(Uuid::new_v4().to_string()));
        made.push(Value::Object(row.clone()));
        cx.desk.inst.notifications.push(row);
    }
    Ok(cx.posted(made))
}

/// Whether a row binds this event for a webhook, and all its conditions hold for the ticket.
pub(super) fn is_wanted(row: &Row, event: i64, ticket: &Ticket) -> bool {
    let is = |name: &str, value: i64| row.get(name) == Some(&json!(value));
    let conditions = row.get("conditions").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    is("eventno", event)
        && is("type", WEBHOOK_TYPE)
        && is("delivery_method", WEBHOOK_DELIVERY)
        && conditions.iter().filter_map(Value::as_object).all(|c| holds(c, ticket))
}

/// A field or an operator that is not played never holds: nothing is delivered.
fn holds(condition: &Row, ticket: &Ticket) -> bool {
    let value = match text(condition, "fieldname").unwrap_or_default().to_ascii_lowercase().as_str() {
        "tickettype_id" => ticket.kind,
        "status_id" => ticket.status,
        "client_id" => ticket.client,
        "team_id" => ticket.team,
        "agent_id" => ticket.agent,
        _ => return false,
    };
    let wanted = int(condition, "value_int").ok().flatten();
    let among = || {
        let list = text(condition, "value_string").unwrap_or_default();
        list.split(',').any(|part| part.trim().parse() == Ok(value))
    };
    match (int(condition, "type").ok().flatten(), wanted) {
        (Some(0), Some(wanted)) => value == wanted,
        (Some(1), Some(wanted)) => value != wanted,
        (Some(5), Some(wanted)) => value > wanted,
        (Some(6), Some(wanted)) => value >= wanted,
        (Some(7), Some(wanted)) => value < wanted,
        (Some(8), Some(wanted)) => value <= wanted,
        (Some(23), _) => among(),
        (Some(24), _) => !among(),
        (Some(29), _) => value > 0,
        (Some(30), _) => value <= 0,
        _ => false,
    }
}
