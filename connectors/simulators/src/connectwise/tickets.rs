//! `/service/tickets`: get, list, count, search, create, patch, delete, merge.
//!
//! Not played: PUT (it wants the whole object; nobody should use it), convert, bundling.

use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::api::Cx;
use super::desk::Draft;
use super::errors::{FieldError, Refusal};
use super::paging::{self, Query};
use super::patch::{self, Assignment, Edit};
use super::state::Ticket;
use super::values;
use super::view::{self, TICKET_PROPERTIES};
use crate::server::Response;

pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let items = selected(cx, &Query::of(cx.request))?;
    paging::page(items, cx.request, &cx.here)
}

pub(super) fn count(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    Ok(paging::count(&selected(cx, &Query::of(cx.request))?))
}

pub(super) fn search(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let body = cx.request.json().ok_or_else(Refusal::unreadable_body)?;
    let items = selected(cx, &Query::of_search(&body)?)?;
    paging::page(items, cx.request, &cx.here)
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = cx.ticket()?;
    let whole = view::ticket(cx.desk.tenant, &ticket, cx.desk.links);
    Ok(Response::json(200, &paging::only_fields(whole, cx.request.query("fields"))))
}

pub(super) fn create(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let body = cx.request.json();
    let mut given = patch::properties(body.as_ref())?;
    let first_notes = initial_notes(&mut given)?;
    let edit = Edit::new(cx.desk.tenant, blank()).apply(&given)?;
    let (ticket, quiet) = (edit.ticket, edit.quiet);
    let id = cx.desk.create(ticket, quiet);
    for draft in first_notes {
        let ticket = cx.desk.tenant.tickets[&id].clone();
        cx.desk.add_note(&ticket, draft);
    }
    Ok(Response::json(201, &shown(cx, id)))
}

pub(super) fn patch(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = cx.ticket()?;
    let operations = patch::operations(cx.request.json().as_ref(), "ticket")?;
    let names_fields = operations.iter().any(|o| o.path[0].eq_ignore_ascii_case("customFields"));
    if cx.settings.patch_needs_custom_fields && !names_fields {
        return Err(FieldError::missing("customFields").of("ticket"));
    }
    let edit = Edit::new(cx.desk.tenant, ticket).apply(&operations)?;
    let (ticket, quiet) = (edit.ticket, edit.quiet);
    let id = ticket.id;
    cx.desk.save(ticket, quiet);
    Ok(Response::json(200, &shown(cx, id)))
}

pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let id = cx.ticket()?.id;
    cx.desk.remove(id);
    Ok(Response::empty(204))
}

/// `{"mergeTicketIds":[4712],"status":{"id":513}}`: the status is given to the merged-away ones.
pub(super) fn merge(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let survivor = cx.ticket()?;
    let body = cx.request.json().ok_or_else(Refusal::unreadable_body)?;
    let ids: Option<Vec<i64>> =
        body["mergeTicketIds"].as_array().map(|ids| ids.iter().filter_map(Value::as_i64).collect());
    let ids =
        ids.filter(|ids| !ids.is_empty()).ok_or_else(|| FieldError::missing("mergeTicketIds").of("ticketMerge"))?;
    let wanted = body.get("status").filter(|s| !s.is_null());
    let mut status = None;
    for id in &ids {
        let child = cx.desk.tenant.tickets.get(id).filter(|c| c.id != survivor.id);
        let child = child.ok_or_else(|| Refusal::not_found("Ticket", id))?;
        if let Some(wanted) = wanted {
            let to = Assignment { path: vec!["status".into()], value: Some(wanted.clone()) };
            let edit = Edit::new(cx.desk.tenant, child.clone()).apply(&[to])?;
            status = Some(edit.ticket.status);
        }
    }
    cx.desk.merge(survivor.id, &ids, status);
    Ok(Response::json(200, &json!({"success": true, "message": "Success"})))
}

fn selected(cx: &Cx<'_>, query: &Query) -> Result<Vec<Value>, Refusal> {
    let tenant = &*cx.desk.tenant;
    let all = view::tickets(tenant, cx.desk.links);
    paging::select(all, query, TICKET_PROPERTIES)
}

fn shown(cx: &Cx<'_>, id: i64) -> Value {
    let tenant = &*cx.desk.tenant;
    tenant.tickets.get(&id).map_or(Value::Null, |t| view::ticket(tenant, t, cx.desk.links))
}

/// A ticket before anything is known about it; `0` marks what a client must say.
pub(super) fn blank() -> Ticket {
    let mut plain = Map::new();
    for (name, value) in [
        ("severity", json!("Medium")),
        ("impact", json!("Medium")),
        ("priority", json!({"id": 8, "name": "Priority 3 - Normal", "sort": 7})),
        ("customerUpdatedFlag", json!(false)),
        ("automaticEmailContactFlag", json!(false)),
        ("automaticEmailResourceFlag", json!(false)),
        ("automaticEmailCcFlag", json!(false)),
    ] {
        plain.insert(name.to_owned(), value);
    }
    Ticket {
        id: 0,
        summary: String::new(),
        board: 0,
        status: 0,
        company: 0,
        kind: None,
        owner: None,
        resources: Vec::new(),
        closed_ms: None,
        closed_by: None,
        merged_into: None,
        has_merged_child: false,
        parent: None,
        values: std::collections::BTreeMap::new(),
        plain,
        guid: Uuid::new_v4(),
        entered_ms: 0,
        entered_by: String::new(),
        updated_ms: 0,
        updated_by: String::new(),
    }
}

/// Takes the write-only texts of a creation out; they become the ticket's first notes.
fn initial_notes(given: &mut Vec<Assignment>) -> Result<Vec<Draft>, Refusal> {
    let mut drafts = Vec::new();
    for (name, make) in [
        ("initialDescription", discussion as fn(String) -> Draft),
        ("initialInternalAnalysis", internal),
        ("initialResolution", resolution),
    ] {
        let Some(at) = given.iter().position(|a| a.path[0].eq_ignore_ascii_case(name)) else {
            continue;
        };
        let text = values::text(name, given.remove(at).value.as_ref(), usize::MAX);
        drafts.push(make(text.map_err(|e| e.of("ticket"))?));
    }
    Ok(drafts)
}

fn discussion(text: String) -> Draft {
    Draft { text, discussion: true, issue: true, ..Draft::default() }
}

fn internal(text: String) -> Draft {
    Draft { text, internal: true, ..Draft::default() }
}

fn resolution(text: String) -> Draft {
    Draft { text, resolution: true, ..Draft::default() }
}
