//! `/service/tickets/{id}/notes` and `/allNotes`.
//!
//! Not played: notes kept on time entries and meetings.

use serde_json::{Value, json};

use super::api::Cx;
use super::desk::Draft;
use super::errors::{FieldError, Refusal};
use super::paging::{self, Query};
use super::patch;
use super::state::{Note, Tenant};
use super::values;
use super::view::{self, Links};
use crate::clock::to_seconds_text;
use crate::server::Response;

/// What the vendor does with a note that names no tab; it differs by version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NoteWithoutFlag {
    #[default]
    Refused,
    /// It lands where the customer sees it.
    Discussion,
}

const PROPERTIES: &[&str] = &[
    "id",
    "ticketId",
    "text",
    "detailDescriptionFlag",
    "internalAnalysisFlag",
    "resolutionFlag",
    "issueFlag",
    "member",
    "contact",
    "dateCreated",
    "createdBy",
    "internalFlag",
    "externalFlag",
];

pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = cx.ticket()?;
    let tenant = &*cx.desk.tenant;
    let all = tenant.notes_of(ticket.id).map(|n| service_note(tenant, n, cx.desk.links)).collect();
    let items = paging::select(all, &Query::of(cx.request), PROPERTIES)?;
    paging::page(items, cx.request, &cx.here)
}

/// The ticket's own notes and those of the tickets merged into it.
pub(super) fn all(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = cx.ticket()?;
    let tenant = &*cx.desk.tenant;
    let family = |n: &&Note| {
        let of = tenant.tickets.get(&n.ticket);
        n.ticket == ticket.id || of.is_some_and(|t| t.merged_into == Some(ticket.id))
    };
    let rows = tenant.notes.values().filter(family);
    let all = rows.map(|n| all_note(tenant, n, n.ticket != ticket.id, cx.desk.links)).collect();
    let items = paging::select(all, &Query::of(cx.request), &[])?;
    paging::page(items, cx.request, &cx.here)
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let note = the_note(cx)?;
    Ok(Response::json(200, &service_note(cx.desk.tenant, &note, cx.desk.links)))
}

pub(super) fn create(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = cx.ticket()?;
    let body = cx.request.json().filter(Value::is_object).ok_or_else(Refusal::unreadable_body)?;
    let mut draft = Draft {
        member: author(cx.desk.tenant, &body)?,
        contact: body.get("contact").filter(|c| !c.is_null()).cloned(),
        ..Draft::default()
    };
    fill(&mut draft, &body)?;
    if draft.text.trim().is_empty() {
        return Err(FieldError::missing("text").of("serviceNote"));
    }
    settle_flags(&mut draft, cx.settings.note_without_flag)?;
    let id = cx.desk.add_note(&ticket, draft);
    let note = &cx.desk.tenant.notes[&id];
    Ok(Response::json(201, &service_note(cx.desk.tenant, note, cx.desk.links)))
}

pub(super) fn patch(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let changes = patch::operations(cx.request.json().as_ref(), "serviceNote")?;
    let mut body = json!({});
    for change in changes {
        let value = change.value.ok_or_else(|| FieldError::missing(&change.path[0]).of("serviceNote"))?;
        body[change.path.join("/")] = value;
    }
    change(cx, &body)
}

pub(super) fn put(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let body = cx.request.json().filter(Value::is_object).ok_or_else(Refusal::unreadable_body)?;
    if body["text"].is_null() {
        return Err(FieldError::missing("text").of("serviceNote"));
    }
    change(cx, &body)
}

pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let ticket = cx.ticket()?;
    let note = the_note(cx)?;
    cx.desk.tenant.notes.remove(&note.id);
    cx.desk.note_saved(&ticket, "deleted");
    Ok(Response::empty(204))
}

fn change(cx: &mut Cx<'_>, body: &Value) -> Result<Response, Refusal> {
    let ticket = cx.ticket()?;
    let mut note = the_note(cx)?;
    let mut draft = Draft {
        text: note.text,
        discussion: note.discussion,
        internal: note.internal,
        resolution: note.resolution,
        issue: note.issue,
        ..Draft::default()
    };
    fill(&mut draft, body)?;
    if draft.text.trim().is_empty() {
        return Err(FieldError::missing("text").of("serviceNote"));
    }
    settle_flags(&mut draft, cx.settings.note_without_flag)?;
    note.text = draft.text;
    note.discussion = draft.discussion;
    note.internal = draft.internal;
    note.resolution = draft.resolution;
    note.issue = draft.issue;
    note.updated_ms = cx.desk.now;
    note.updated_by.clone_from(&cx.desk.saver.identifier);
    let shown = service_note(cx.desk.tenant, &note, cx.desk.links);
    cx.desk.tenant.notes.insert(note.id, note);
    cx.desk.note_saved(&ticket, "updated");
    Ok(Response::json(200, &shown))
}

fn the_note(cx: &Cx<'_>) -> Result<Note, Refusal> {
    let (ticket, id) = (cx.ticket()?.id, cx.number(1)?);
    let note = cx.desk.tenant.notes.get(&id).filter(|n| n.ticket == ticket);
    note.cloned().ok_or_else(|| Refusal::not_found("ServiceNote", id))
}

/// Takes text and flags from a body; what is absent stays, what does not exist is refused.
fn fill(draft: &mut Draft, body: &Value) -> Result<(), Refusal> {
    for (name, value) in body.as_object().into_iter().flatten() {
        let to = match name.to_ascii_lowercase().as_str() {
            "text" => {
                let text = values::text("text", Some(value), usize::MAX);
                draft.text = text.map_err(|e| e.of("serviceNote"))?;
                continue;
            }
            "detaildescriptionflag" => Some(&mut draft.discussion),
            "internalanalysisflag" => Some(&mut draft.internal),
            "resolutionflag" => Some(&mut draft.resolution),
            "issueflag" => Some(&mut draft.issue),
            // Mail switches: there is no mail here, but the type is checked.
            "customerupdatedflag" | "processnotifications" => None,
            "id" | "ticketid" | "member" | "contact" | "datecreated" | "createdby" | "internalflag"
            | "externalflag" | "sentimentscore" | "_info" => continue,
            _ => {
                let error = FieldError::invalid(name, format!("{name} is not a property."));
                return Err(error.of("serviceNote"));
            }
        };
        if value.is_null() {
            continue;
        }
        let flag = values::flag(name, Some(value)).map_err(|e| e.of("serviceNote"))?;
        if let Some(to) = to {
            *to = flag;
        }
    }
    Ok(())
}

fn settle_flags(draft: &mut Draft, mode: NoteWithoutFlag) -> Result<(), Refusal> {
    if draft.discussion || draft.internal || draft.resolution {
        return Ok(());
    }
    match mode {
        NoteWithoutFlag::Refused => {
            let message = "At least one of detailDescriptionFlag, internalAnalysisFlag and \
                           resolutionFlag must be true.";
            Err(FieldError::invalid("detailDescriptionFlag", message).of("serviceNote"))
        }
        NoteWithoutFlag::Discussion => {
            draft.discussion = true;
            Ok(())
        }
    }
}

/// The member shown as the author; any API member may name anybody.
fn author(tenant: &Tenant, body: &Value) -> Result<Option<i64>, Refusal> {
    let wanted = &body["member"];
    if wanted.is_null() {
        return Ok(None);
    }
    let found = match (wanted["id"].as_i64(), wanted["identifier"].as_str()) {
        (Some(id), _) => tenant.member(id),
        (None, Some(identifier)) => tenant.member_named(identifier),
        (None, None) => None,
    };
    let error = || FieldError::not_found("member/id", "Member not found").of("serviceNote");
    Ok(Some(found.ok_or_else(error)?.id))
}

/// A `ServiceNote`.
pub(super) fn service_note(tenant: &Tenant, n: &Note, links: &Links) -> Value {
    let mut out = json!({
        "id": n.id, "ticketId": n.ticket, "text": n.text,
        "detailDescriptionFlag": n.discussion, "internalAnalysisFlag": n.internal,
        "resolutionFlag": n.resolution, "issueFlag": n.issue,
        "dateCreated": to_seconds_text(n.created_ms), "createdBy": n.created_by,
        "internalFlag": n.internal, "externalFlag": n.discussion || n.resolution,
        "_info": {"lastUpdated": to_seconds_text(n.updated_ms), "updatedBy": n.updated_by},
    });
    sign(tenant, n, links, &mut out);
    out
}

/// A `ServiceTicketNote`, the row of `allNotes`.
fn all_note(tenant: &Tenant, n: &Note, merged: bool, links: &Links) -> Value {
    let summary = tenant.tickets.get(&n.ticket).map(|t| t.summary.as_str());
    let mut out = json!({
        "id": n.id, "noteType": "TicketNote", "ticket": {"id": n.ticket, "summary": summary},
        "text": n.text, "isMarkdownFlag": false,
        "detailDescriptionFlag": n.discussion, "internalAnalysisFlag": n.internal,
        "resolutionFlag": n.resolution, "issueFlag": n.issue,
        "bundledFlag": false, "mergedFlag": merged, "originalAuthor": n.created_by,
        "_info": {"lastUpdated": to_seconds_text(n.updated_ms), "updatedBy": n.updated_by},
    });
    sign(tenant, n, links, &mut out);
    out
}

fn sign(tenant: &Tenant, n: &Note, links: &Links, out: &mut Value) {
    if let Some(member) = n.member {
        out["member"] = view::member_ref(tenant, member, links);
    }
    if let Some(contact) = &n.contact {
        out["contact"] = contact.clone();
    }
}
