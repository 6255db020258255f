//! `/Tickets`. A POST without an id makes, one with an id changes what it names and nothing else.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Cx;
use super::behaviour::Closing;
use super::desk::{Desk, Draft};
use super::errors::Refusal;
use super::state::{Instance, Ticket, UNASSIGNED};
use super::values::{self, Row, flag, int, text};
use super::view::{self, Shown};
use crate::server::Response;

const NOT_FOUND: &str = "Record not found";

pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let (inst, behaviour) = (&*cx.desk.inst, cx.desk.behaviour);
    let mut rows: Vec<&Ticket> = inst.tickets.values().filter(|t| !t.is_deleted && is_listed(cx, t)).collect();
    if !behaviour.ignores_order {
        match cx.request.query("order").unwrap_or("id").to_ascii_lowercase().as_str() {
            "last_update" => rows.sort_by_key(|t| (t.updated_ms, t.id)),
            _ => rows.sort_by_key(|t| t.id),
        }
        if cx.asks("orderdesc") {
            rows.reverse();
        }
    }
    let shown = Shown { details: false, names: cx.asks("includestatus") };
    let rows = rows.into_iter().map(|t| view::ticket(inst, t, shown, behaviour)).collect();
    Ok(cx.paged("tickets", rows))
}

/// The filters that are played. A name that is not among them filters nothing.
fn is_listed(cx: &Cx<'_>, ticket: &Ticket) -> bool {
    let inst = &*cx.desk.inst;
    let is = |name: &str, value: i64| cx.query_int(name).is_none_or(|wanted| wanted == value);
    let is_among = |name: &str, value: i64| {
        let listed = cx.request.query(name);
        listed.is_none_or(|csv| csv.split(',').any(|part| part.trim().parse() == Ok(value)))
    };
    let is_closed = inst.is_closed(ticket.status);
    is("status_id", ticket.status)
        && is("agent_id", ticket.agent)
        && is("client_id", ticket.client)
        && is("requesttype_id", ticket.kind)
        && is_among("requesttype", ticket.kind)
        && is_among("status", ticket.status)
        && is_among("team", ticket.team)
        && is_among("ticketids", ticket.id)
        && !(cx.asks("open_only") && is_closed)
        && (is_closed || !cx.asks("closed_only"))
        && !(cx.request.query("includeclosed").is_some() && !cx.asks("includeclosed") && is_closed)
}

pub(super) fn get_one(cx: &Cx<'_>, id: i64) -> Result<Ticket, Refusal> {
    let is_shown = |t: &&Ticket| !t.is_deleted || cx.desk.behaviour.deleted_is_shown;
    let found = cx.desk.inst.tickets.get(&id).filter(is_shown).cloned();
    found.ok_or_else(|| Refusal::message(404, NOT_FOUND))
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = get_one(cx, cx.number()?)?;
    let shown = Shown { details: cx.asks("includedetails"), names: cx.asks("includestatus") };
    let body = view::ticket(cx.desk.inst, &ticket, shown, cx.desk.behaviour);
    Ok(cx.json(200, body))
}

pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = get_one(cx, cx.number()?)?;
    cx.desk.remove(ticket.id);
    Ok(cx.json(200, json!({"id": ticket.id})))
}

pub(super) fn post(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let mut made = Vec::new();
    for row in cx.rows()? {
        let id = match int(&row, "id")?.filter(|id| *id > 0) {
            Some(id) => change(&mut cx.desk, id, &row)?,
            None => create(&mut cx.desk, &row)?,
        };
        let shown = Shown { details: true, names: false };
        let ticket = cx.desk.inst.tickets.get(&id.0).cloned();
        let mut body = ticket.map_or(Value::Null, |t| view::ticket(cx.desk.inst, &t, shown, cx.desk.behaviour));
        if let (Some(warning), Some(object)) = (id.1, body.as_object_mut()) {
            object.insert("_warning".into(), json!(warning));
        }
        made.push(body);
    }
    Ok(cx.posted(made))
}

/// The ticket's number, and a soft refusal.
type Done = (i64, Option<&'static str>);

pub(super) fn create(desk: &mut Desk<'_>, row: &Row) -> Result<Done, Refusal> {
    let Some(summary) = text(row, "summary").filter(|s| !s.trim().is_empty()) else {
        return Err(Refusal::exception(400, "A Summary must be entered"));
    };
    // Naming a user demands its site.
    if int(row, "user_id")?.is_some() && int(row, "site_id")?.is_none() {
        return Err(Refusal::exception(400, "Please select a Site"));
    }
    let first = |rows: &[super::state::Named]| rows.first().map_or(0, |r| r.id);
    let (kind, client) = (first(&desk.inst.types), first(&desk.inst.clients));
    let blank = Ticket {
        id: 0,
        guid: Uuid::new_v4(),
        summary: summary.to_owned(),
        details: text(row, "details").or_else(|| text(row, "details_html")).unwrap_or_default().to_owned(),
        status: desk.inst.statuses.first().map_or(1, |s| s.id),
        kind,
        client,
        site: 0,
        user: 0,
        agent: UNASSIGNED,
        team: desk.inst.teams.first().map_or(0, |t| t.id),
        values: BTreeMap::new(),
        occurred_ms: 0,
        updated_ms: 0,
        closed_ms: None,
        has_been_closed: false,
        is_inactive: false,
        is_deleted: false,
        is_frozen: false,
        merged_into: None,
    };
    let (ticket, _) = applied(desk.inst, blank, row)?;
    Ok((desk.create(ticket), None))
}

fn change(desk: &mut Desk<'_>, id: i64, row: &Row) -> Result<Done, Refusal> {
    let missing = || Refusal::message(desk.behaviour.unknown_record, NOT_FOUND);
    let before = desk.inst.tickets.get(&id).cloned().ok_or_else(missing)?;
    if before.is_deleted && flag(row, "_recover") == Some(true) {
        let recovered = Ticket { is_deleted: false, is_inactive: false, ..before };
        desk.save(recovered, Draft::named("Recovered", 0));
        return Ok((id, None));
    }
    if before.is_deleted {
        return Err(missing());
    }
    let is_named = |name: &str, value: i64| int(row, name).map(|found| found == Some(value));
    if desk.behaviour.updates_need_type_and_client
        && !(is_named("tickettype_id", before.kind)? && is_named("client_id", before.client)?)
    {
        return Err(missing());
    }
    let old = before.status;
    let (mut after, fields) = applied(desk.inst, before, row)?;
    let closes = desk.inst.is_closed(after.status) && !desk.inst.is_closed(old);
    let mut warning = None;
    match desk.behaviour.closing {
        Closing::Refused if closes => {
            return Err(Refusal::result(400, "This Ticket cannot be closed: a mandatory closure field is empty"));
        }
        Closing::Warned if closes => {
            after.status = old;
            warning = Some("This Ticket has open children");
        }
        _ => {}
    }
    let draft = Draft { customfields: fields, ..Draft::named("Changed", 0) };
    desk.save(after, draft);
    Ok((id, warning))
}

/// The ticket with what the row names, and the fields it names as an entry of the history shows them.
pub(super) fn applied(inst: &Instance, mut ticket: Ticket, row: &Row) -> Result<(Ticket, Vec<Value>), Refusal> {
    let known = |is_known: bool, what: &str| {
        is_known.then_some(()).ok_or_else(|| Refusal::exception(400, &format!("Invalid {what}")))
    };
    if let Some(status) = int(row, "status_id")? {
        known(inst.status(status).is_some(), "status")?;
        if ticket.is_frozen && status != ticket.status {
            return Err(Refusal::exception(400, "The status of this Ticket cannot be changed"));
        }
        ticket.status = status;
    }
    if let Some(kind) = int(row, "tickettype_id")? {
        known(inst.types.iter().any(|t| t.id == kind), "ticket type")?;
        ticket.kind = kind;
    }
    if let Some(client) = int(row, "client_id")? {
        known(inst.clients.iter().any(|c| c.id == client), "client")?;
        ticket.client = client;
    }
    ticket.site = int(row, "site_id")?.unwrap_or(ticket.site);
    ticket.user = int(row, "user_id")?.unwrap_or(ticket.user);
    if let Some(agent) = int(row, "agent_id")? {
        known(inst.agent(agent).is_some(), "agent")?;
        ticket.agent = agent;
    }
    if let Some(name) = text(row, "team") {
        let team = inst.teams.iter().find(|t| t.name.eq_ignore_ascii_case(name));
        known(team.is_some(), "team")?;
        ticket.team = team.map_or(ticket.team, |t| t.id);
    }
    if let Some(summary) = text(row, "summary") {
        summary.clone_into(&mut ticket.summary);
    }
    let fields = set_fields(inst, &mut ticket, row)?;
    Ok((ticket, fields))
}

/// Sets the custom fields that a row names by id or by name; each as the history shows it.
pub(super) fn set_fields(inst: &Instance, ticket: &mut Ticket, row: &Row) -> Result<Vec<Value>, Refusal> {
    let Some(Value::Array(list)) = get_value(row, "customfields") else { return Ok(Vec::new()) };
    let mut named = Vec::new();
    for entry in list.iter().filter_map(Value::as_object) {
        let by_name =
            text(entry, "name").and_then(|name| inst.fields.iter().find(|f| f.name.eq_ignore_ascii_case(name)));
        let field = match int(entry, "id")? {
            Some(id) => inst.field(id),
            None => by_name,
        };
        let Some(field) = field else { return Err(Refusal::exception(400, "Invalid custom field")) };
        let value = get_value(entry, "value").cloned().unwrap_or(Value::Null);
        named.push(view::custom_field(field, &value));
        match value {
            Value::Null => ticket.values.remove(&field.id),
            value => ticket.values.insert(field.id, value),
        };
    }
    Ok(named)
}

fn get_value<'r>(row: &'r Row, name: &str) -> Option<&'r Value> {
    values::get(row, name)
}
