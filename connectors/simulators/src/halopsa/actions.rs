//! `/Actions`: the history of tickets. An entry's number counts within its ticket, so that both are needed.

use serde_json::{Value, json};

use super::api::Cx;
use super::desk::{Desk, Draft};
use super::errors::Refusal;
use super::state::{Action, Outcome};
use super::tickets;
use super::values::{Row, flag, html_to_text, int, text, text_to_html};
use super::view;
use crate::server::Response;

/// Needs a ticket; the other way, by dates, is not played and answers nothing, as it does for a long span.
pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let Some(ticket) = cx.query_int("ticket_id") else {
        return Ok(cx.json(200, json!({"record_count": 0, "actions": []})));
    };
    tickets::get_one(cx, ticket)?;
    let (inst, behaviour) = (&*cx.desk.inst, cx.desk.behaviour);
    let is_wanted = |a: &&Action| {
        !(cx.asks("excludesys") && (a.system > 0 || a.outcome_id == 0))
            && !(cx.asks("excludeprivate") && a.is_hidden)
            && !(cx.asks("agentonly") && a.by_agent == 0)
    };
    let mut rows: Vec<&Action> = inst.actions_of(ticket).iter().filter(is_wanted).collect();
    if !behaviour.oldest_action_first {
        rows.reverse();
    }
    let is_row = !cx.asks("includehtmlnote");
    let rows = rows.into_iter().map(|a| view::action(inst, ticket, a, is_row, behaviour)).collect();
    Ok(cx.paged("actions", rows))
}

fn found(cx: &Cx<'_>) -> Result<(i64, Action), Refusal> {
    let missing = || Refusal::message(404, "Record not found");
    let (id, ticket) = (cx.number()?, cx.query_int("ticket_id").ok_or_else(missing)?);
    tickets::get_one(cx, ticket)?;
    let action = cx.desk.inst.actions_of(ticket).iter().find(|a| a.id == id).cloned();
    Ok((ticket, action.ok_or_else(missing)?))
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let (ticket, action) = found(cx)?;
    let body = view::action(cx.desk.inst, ticket, &action, false, cx.desk.behaviour);
    Ok(cx.json(200, body))
}

pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let (ticket, action) = found(cx)?;
    if cx.desk.behaviour.forbids_deleting_actions {
        return Err(Refusal::Empty(403));
    }
    if let Some(list) = cx.desk.inst.actions.get_mut(&ticket) {
        list.retain(|a| a.id != action.id);
    }
    Ok(cx.json(200, json!({"id": action.id, "ticket_id": ticket})))
}

pub(super) fn post(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let mut made = Vec::new();
    for row in cx.rows()? {
        let missing = || Refusal::message(cx.desk.behaviour.unknown_record, "Record not found");
        let ticket = int(&row, "ticket_id")?.ok_or_else(missing)?;
        if cx.desk.inst.tickets.get(&ticket).is_none_or(|t| t.is_deleted) {
            return Err(missing());
        }
        let id = match int(&row, "id")?.filter(|id| *id > 0) {
            Some(id) => change(&mut cx.desk, ticket, id, &row)?,
            None => create(&mut cx.desk, ticket, &row)?,
        };
        let action = cx.desk.inst.actions_of(ticket).iter().find(|a| a.id == id).cloned();
        made.push(action.map_or(Value::Null, |a| view::action(cx.desk.inst, ticket, &a, false, cx.desk.behaviour)));
    }
    Ok(cx.posted(made))
}

fn outcome(desk: &Desk<'_>, row: &Row) -> Result<Outcome, Refusal> {
    let untold = || Refusal::exception(400, "An Outcome must be entered for this Action");
    let found = match (int(row, "outcome_id")?, text(row, "outcome")) {
        (Some(id), _) if id > 0 => desk.inst.outcome(id),
        (_, Some(name)) if !name.is_empty() => desk.inst.outcomes.iter().find(|o| o.outcome.eq_ignore_ascii_case(name)),
        _ => None,
    };
    let found = found.ok_or_else(untold)?;
    if found.is_forbidden {
        return Err(Refusal::exception(400, "The Outcome is not allowed for this Ticket"));
    }
    Ok(found.clone())
}

pub(super) fn create(desk: &mut Desk<'_>, ticket: i64, row: &Row) -> Result<i64, Refusal> {
    let outcome = outcome(desk, row)?;
    let Some(mut after) = desk.inst.tickets.get(&ticket).cloned() else {
        return Err(Refusal::message(404, "Record not found"));
    };
    let customfields = tickets::set_fields(desk.inst, &mut after, row)?;
    after.status = int(row, "new_status")?.or(outcome.new_status).unwrap_or(after.status);
    after.agent = int(row, "new_agent")?.unwrap_or(after.agent);
    let sends = flag(row, "sendemail").unwrap_or(outcome.sends_email);
    let email_to =
        if sends { text(row, "emailto").unwrap_or("user@customer.example").to_owned() } else { String::new() };
    let is_hidden = flag(row, "hiddenfromuser").unwrap_or(outcome.hides_from_user);
    let draft = Draft {
        outcome: outcome.outcome,
        outcome_id: outcome.id,
        note: text(row, "note").map(str::to_owned),
        note_html: text(row, "note_html").map(str::to_owned),
        is_hidden: is_hidden && !desk.behaviour.shows_every_note,
        email_to,
        customfields,
        who: text(row, "who").filter(|_| !desk.behaviour.ignores_who).map(str::to_owned),
        on_behalf_of: int(row, "on_behalf_of")?.unwrap_or(0),
        merged_from: None,
        system: 0,
    };
    Ok(desk.save(after, draft))
}

/// Only what is named changes; text and HTML follow each other.
fn change(desk: &mut Desk<'_>, ticket: i64, id: i64, row: &Row) -> Result<i64, Refusal> {
    let list = desk.inst.actions.entry(ticket).or_default();
    let found = list.iter_mut().find(|a| a.id == id);
    let action = found.ok_or_else(|| Refusal::message(404, "Record not found"))?;
    match (text(row, "note"), text(row, "note_html")) {
        (Some(note), Some(html)) => (action.note, action.note_html) = (note.to_owned(), html.to_owned()),
        (Some(note), None) => (action.note, action.note_html) = (note.to_owned(), text_to_html(note)),
        (None, Some(html)) => (action.note, action.note_html) = (html_to_text(html), html.to_owned()),
        (None, None) => {}
    }
    action.is_hidden = flag(row, "hiddenfromuser").unwrap_or(action.is_hidden) && !desk.behaviour.shows_every_note;
    Ok(id)
}

pub(super) fn attach(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let mut made = Vec::new();
    for mut row in cx.rows()? {
        let ticket = int(&row, "ticket_id")?.unwrap_or(0);
        if !cx.desk.inst.tickets.contains_key(&ticket) {
            return Err(Refusal::message(404, "Record not found"));
        }
        row.insert("id".into(), json!(cx.desk.inst.take()));
        row.remove("data_base64");
        made.push(Value::Object(row.clone()));
        cx.desk.inst.attachments.push(row);
    }
    Ok(cx.posted(made))
}
