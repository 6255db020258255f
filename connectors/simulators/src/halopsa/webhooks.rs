//! `/Webhook`: outgoing webhooks (type 0) and runbooks (type 1), and the log of what was sent.

use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Cx;
use super::delivery;
use super::errors::Refusal;
use super::values::{Row, int, text};
use crate::server::Response;

pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let kind = cx.query_int("type");
    let is_wanted = |row: &&Row| kind.is_none_or(|kind| row.get("type") == Some(&json!(kind)));
    let rows = cx.desk.inst.webhooks.iter().filter(is_wanted).map(shown).collect();
    Ok(cx.json(200, rows))
}

/// The password is never read back.
pub(super) fn shown(row: &Row) -> Value {
    let mut row = row.clone();
    row.remove("basic_password");
    Value::Object(row)
}

fn id_of(row: &Row) -> &str {
    row.get("id").and_then(Value::as_str).unwrap_or_default()
}

fn position(cx: &Cx<'_>) -> Result<usize, Refusal> {
    let id = cx.params.first().map(String::as_str).unwrap_or_default();
    let found = cx.desk.inst.webhooks.iter().position(|row| id_of(row).eq_ignore_ascii_case(id));
    found.ok_or_else(|| Refusal::message(404, "Record not found"))
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let row = shown(&cx.desk.inst.webhooks[position(cx)?]);
    Ok(cx.json(200, row))
}

/// Bindings stay where they are: without a webhook they are inert.
pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let at = position(cx)?;
    let row = cx.desk.inst.webhooks.remove(at);
    Ok(cx.json(200, json!({"id": id_of(&row)})))
}

pub(super) fn post(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let mut made = Vec::new();
    for mut row in cx.rows()? {
        // What is bound is a table of its own.
        row.remove("events");
        row.remove("_test");
        let id = text(&row, "id").filter(|id| !id.is_empty()).map(str::to_owned);
        let at = match id {
            Some(_) => Some(position_of(cx, &row)?),
            None => None,
        };
        let before = at.map(|at| cx.desk.inst.webhooks[at].clone());
        let mut after = before.unwrap_or_else(blank);
        after.extend(row);
        check(cx, &after)?;
        made.push(shown(&after));
        match at {
            Some(at) => cx.desk.inst.webhooks[at] = after,
            None => cx.desk.inst.webhooks.push(after),
        }
    }
    Ok(cx.posted(made))
}

fn position_of(cx: &Cx<'_>, row: &Row) -> Result<usize, Refusal> {
    let found = cx.desk.inst.webhooks.iter().position(|known| id_of(known) == id_of(row));
    found.ok_or_else(|| Refusal::message(404, "Record not found"))
}

/// A webhook as it is made: inert.
fn blank() -> Row {
    let Value::Object(row) = json!({
        "id": Uuid::new_v4().to_string(), "name": "", "type": 0, "url": "", "content_type": "application/json",
        "method": 0, "authentication_type": 0, "active": false, "disabled": false, "last_status": 0,
        "custom_payload": false, "payload_type": 0, "batch_method": 0, "batch_delay_seconds": 0, "batch_limit": 0,
        "use_lightweight_logs": false, "auto_disable_attempts": 0,
    }) else {
        return Row::new();
    };
    row
}

fn check(cx: &Cx<'_>, row: &Row) -> Result<(), Refusal> {
    let name = text(row, "name").unwrap_or_default();
    let is_other = |known: &&Row| id_of(known) != id_of(row);
    if cx.desk.inst.webhooks.iter().filter(is_other).any(|known| text(known, "name") == Some(name)) {
        return Err(Refusal::message(400, "Name must be unique"));
    }
    let url = text(row, "url").unwrap_or_default();
    let is_url = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if int(row, "type")? == Some(0) && !is_url {
        return Err(Refusal::message(400, "Please enter a valid URL"));
    }
    Ok(())
}

pub(super) fn log(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let webhook = cx.request.query("webhook_id");
    let is_wanted = |d: &&delivery::Delivery| webhook.is_none_or(|id| d.webhook.eq_ignore_ascii_case(id));
    let rows = cx.log.iter().rev().filter(is_wanted).map(delivery::shown).collect();
    Ok(cx.paged("events", rows))
}
