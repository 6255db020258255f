//! `/system/documents`: attachments of tickets, uploaded as `multipart/form-data` and nothing else.

use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Cx;
use super::errors::{FieldError, Refusal};
use super::paging;
use super::state::{Document, take};
use crate::clock::to_seconds_text;
use crate::server::Response;

const RESOURCE: &str = "document";

/// `?recordType=Ticket&recordId=4711`.
pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let missing = |name: &str| FieldError::missing(name).of(RESOURCE);
    let of = cx.request.query("recordType").ok_or_else(|| missing("recordType"))?;
    let id = cx.request.query("recordId").ok_or_else(|| missing("recordId"))?;
    let id: i64 = id.parse().map_err(|_| missing("recordId"))?;
    let all = cx.desk.tenant.documents.values();
    let rows = all.filter(|d| d.record_type.eq_ignore_ascii_case(of) && d.record_id == id);
    paging::page(rows.map(shown).collect(), cx.request, &cx.here)
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    Ok(Response::json(200, &shown(the_document(cx)?)))
}

pub(super) fn download(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let found = the_document(cx)?;
    let disposition = format!("attachment; filename=\"{}\"", found.file_name);
    Ok(Response::bytes(200, "application/octet-stream", found.bytes.clone())
        .with_header("Content-Disposition", disposition))
}

pub(super) fn create(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let media_type = cx.request.header("content-type").unwrap_or_default();
    let boundary = media_type
        .split(';')
        .filter_map(|p| p.trim().strip_prefix("boundary="))
        .map(|b| b.trim_matches('"'))
        .find(|b| !b.is_empty());
    let kind = media_type.split(';').next().unwrap_or_default().trim();
    let Some(boundary) = boundary.filter(|_| kind.eq_ignore_ascii_case("multipart/form-data")) else {
        return Err(Refusal::unsupported_media(kind));
    };
    let parts = parts(&cx.request.body, boundary);
    let part = |name: &str| parts.iter().find(|p| p.name.eq_ignore_ascii_case(name));
    let text = |name: &str| part(name).map(|p| String::from_utf8_lossy(p.bytes).into_owned());
    let missing = |name: &str| FieldError::missing(name).of(RESOURCE);
    let record_type = text("recordType").ok_or_else(|| missing("recordType"))?;
    let record_id = text("recordId").and_then(|id| id.trim().parse().ok());
    let record_id: i64 = record_id.ok_or_else(|| missing("recordId"))?;
    let file = part("file").ok_or_else(|| missing("file"))?;
    if record_type.eq_ignore_ascii_case("Ticket") && !cx.desk.tenant.tickets.contains_key(&record_id) {
        return Err(Refusal::not_found("Ticket", record_id));
    }
    let file_name = file.file_name.clone().unwrap_or_else(|| "file".to_owned());
    let document = Document {
        id: take(&mut cx.desk.tenant.next.document),
        record_type,
        record_id,
        title: text("Title").unwrap_or_else(|| file_name.clone()),
        file_name,
        private: text("PrivateFlag").is_some_and(|f| f.eq_ignore_ascii_case("true")),
        read_only: text("ReadOnlyFlag").is_some_and(|f| f.eq_ignore_ascii_case("true")),
        bytes: file.bytes.to_vec(),
        guid: Uuid::new_v4(),
        at_ms: cx.desk.now,
        by: cx.desk.saver.identifier.clone(),
    };
    let shown = shown(&document);
    cx.desk.tenant.documents.insert(document.id, document);
    Ok(Response::json(201, &shown))
}

fn the_document<'c>(cx: &'c Cx<'_>) -> Result<&'c Document, Refusal> {
    let id = cx.number(0)?;
    cx.desk.tenant.documents.get(&id).ok_or_else(|| Refusal::not_found("Document", id))
}

fn shown(d: &Document) -> Value {
    json!({
        "id": d.id, "title": d.title, "fileName": d.file_name, "serverFileName": d.guid.to_string(),
        "owner": d.by, "linkFlag": false, "imageFlag": false, "publicFlag": !d.private,
        "readOnlyFlag": d.read_only, "size": d.bytes.len(), "guid": d.guid.to_string(),
        "_info": {"lastUpdated": to_seconds_text(d.at_ms), "updatedBy": d.by},
    })
}

/// One part of a multipart body.
struct Part<'a> {
    name: String,
    file_name: Option<String>,
    bytes: &'a [u8],
}

/// Splits a multipart body; parts without a name are left out.
fn parts<'a>(body: &'a [u8], boundary: &str) -> Vec<Part<'a>> {
    let mark = format!("--{boundary}");
    let starts: Vec<usize> = positions(body, mark.as_bytes());
    let between = starts.windows(2).map(|w| &body[w[0] + mark.len()..w[1]]);
    between.filter_map(part).collect()
}

/// `\r\n`, headers, an empty line, content, `\r\n`.
fn part(raw: &[u8]) -> Option<Part<'_>> {
    let gap = *positions(raw, b"\r\n\r\n").first()?;
    let head = String::from_utf8_lossy(&raw[..gap]);
    let bytes = raw[gap + 4..].strip_suffix(b"\r\n")?;
    let attribute = |name: &str| {
        let pieces = head.split([';', '\r', '\n']);
        let value = pieces.filter_map(|p| p.trim().strip_prefix(name)?.strip_prefix('=')).next()?;
        Some(value.trim_matches('"').to_owned())
    };
    Some(Part { name: attribute("name")?, file_name: attribute("filename"), bytes })
}

fn positions(text: &[u8], wanted: &[u8]) -> Vec<usize> {
    let windows = text.windows(wanted.len().max(1)).enumerate();
    windows.filter(|(_, window)| *window == wanted).map(|(at, _)| at).collect()
}
