//! `/system/callbacks`: who wants to be told about what.

use serde_json::{Value, json};
use url::Url;
use uuid::Uuid;

use super::api::Cx;
use super::errors::{FieldError, Refusal};
use super::paging::{self, Query};
use super::patch;
use super::state::Callback;
use crate::clock::to_seconds_text;
use crate::server::Response;

const RESOURCE: &str = "callbackEntry";

const PROPERTIES: &[&str] = &[
    "id",
    "description",
    "url",
    "objectId",
    "type",
    "level",
    "memberId",
    "payloadVersion",
    "inactiveFlag",
    "isSoapCallbackFlag",
    "isSelfSuppressedFlag",
    "connectWiseID",
];

const TYPES: &[&str] = &[
    "activity",
    "agreement",
    "company",
    "configuration",
    "contact",
    "expense",
    "invoice",
    "member",
    "opportunity",
    "productcatalog",
    "project",
    "purchaseorder",
    "schedule",
    "site",
    "ticket",
    "time",
];

pub(super) fn list(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.callbacks.iter().map(shown).collect();
    cx.listed(all, PROPERTIES)
}

pub(super) fn count(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.callbacks.iter().map(shown).collect();
    Ok(paging::count(&paging::select(all, &Query::of(cx.request), PROPERTIES)?))
}

pub(super) fn get(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let at = position(cx)?;
    Ok(Response::json(200, &shown(&cx.desk.tenant.callbacks[at])))
}

pub(super) fn create(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let body = cx.request.json().filter(Value::is_object).ok_or_else(Refusal::unreadable_body)?;
    let entry = checked(cx, &body, None)?;
    let shown = shown(&entry);
    cx.desk.tenant.next.callback += 1;
    cx.desk.tenant.callbacks.push(entry);
    Ok(Response::json(201, &shown))
}

pub(super) fn put(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let at = position(cx)?;
    let body = cx.request.json().filter(Value::is_object).ok_or_else(Refusal::unreadable_body)?;
    replace(cx, at, &body)
}

pub(super) fn patch(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let at = position(cx)?;
    let mut body = shown(&cx.desk.tenant.callbacks[at]);
    for change in patch::operations(cx.request.json().as_ref(), RESOURCE)? {
        let name = PROPERTIES.iter().find(|p| p.eq_ignore_ascii_case(&change.path.join("/")));
        let name = name.ok_or_else(|| FieldError::invalid(&change.path.join("/"), "No such property.").of(RESOURCE))?;
        body[*name] = change.value.unwrap_or(Value::Null);
    }
    replace(cx, at, &body)
}

pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let at = position(cx)?;
    cx.desk.tenant.callbacks.remove(at);
    Ok(Response::empty(204))
}

fn replace(cx: &mut Cx<'_>, at: usize, body: &Value) -> Result<Response, Refusal> {
    let old = cx.desk.tenant.callbacks[at].clone();
    let entry = checked(cx, body, Some(&old))?;
    let shown = shown(&entry);
    cx.desk.tenant.callbacks[at] = entry;
    Ok(Response::json(200, &shown))
}

fn position(cx: &Cx<'_>) -> Result<usize, Refusal> {
    let id = cx.number(0)?;
    let at = cx.desk.tenant.callbacks.iter().position(|c| c.id == id);
    at.ok_or_else(|| Refusal::not_found("CallbackEntry", id))
}

/// An entry made of `body`, with all that is wrong with it reported at once.
fn checked(cx: &Cx<'_>, body: &Value, old: Option<&Callback>) -> Result<Callback, Refusal> {
    let mut errors = Vec::new();
    let description = body["description"].as_str().unwrap_or_default().to_owned();
    if description.chars().count() > 100 {
        let message = "The field description must be a string with a maximum length of 100.";
        errors.push(FieldError::invalid("description", message));
    }
    let url = body["url"].as_str().unwrap_or_default().to_owned();
    if !Url::parse(&url).is_ok_and(|u| ["http", "https"].contains(&u.scheme()) && u.has_host()) {
        errors.push(FieldError::invalid("url", "Invalid URL"));
    }
    let kind = body["type"].as_str().unwrap_or_default().to_ascii_lowercase();
    if kind.is_empty() {
        errors.push(FieldError::missing("type"));
    } else if !TYPES.contains(&kind.as_str()) {
        errors.push(FieldError::invalid_object("type", "Unrecognized type"));
    }
    let level = body["level"].as_str().unwrap_or_default().to_ascii_lowercase();
    if level.is_empty() {
        errors.push(FieldError::missing("level"));
    } else if !level_fits(&kind, &level) {
        let message = "Unrecognized level for type, see documentation for supported levels for \
                       each type";
        errors.push(FieldError::invalid_object("level", message));
    }
    let object_id = match (body["objectId"].as_i64(), level.as_str()) {
        (Some(0), "owner") => 1,
        (Some(id), _) => id,
        (None, _) => {
            errors.push(FieldError::missing("objectId"));
            0
        }
    };
    let id = old.map_or(cx.desk.tenant.next.callback, |o| o.id);
    let twin = cx
        .desk
        .tenant
        .callbacks
        .iter()
        .any(|c| c.id != id && c.kind == kind && c.level == level && c.object_id == object_id && c.url == url);
    if twin {
        errors.push(FieldError::exists("objectId", "A matching callback entry already exists"));
    }
    if !errors.is_empty() {
        return Err(Refusal::invalid(RESOURCE, &errors));
    }
    let flag = |name: &str| body[name].as_bool().unwrap_or(false);
    Ok(Callback {
        id,
        description,
        url,
        object_id,
        kind,
        level,
        member: old.map_or(cx.desk.saver.member.unwrap_or_default(), |o| o.member),
        // The vendor's default is not established; the oldest one makes clients say what they want.
        payload_version: body["payloadVersion"].as_str().unwrap_or("1.0.0").to_owned(),
        inactive: flag("inactiveFlag"),
        soap: flag("isSoapCallbackFlag"),
        self_suppressed: flag("isSelfSuppressedFlag"),
        guid: old.map_or_else(Uuid::new_v4, |o| o.guid),
        updated_ms: cx.desk.now,
        updated_by: cx.desk.saver.identifier.clone(),
    })
}

/// For tickets exactly the levels seen in real code; other types are accepted at `owner` and
/// never fire here.
fn level_fits(kind: &str, level: &str) -> bool {
    match kind {
        "ticket" => ["owner", "board", "status"].contains(&level),
        _ => level == "owner",
    }
}

/// A `CallbackEntry`.
pub(super) fn shown(c: &Callback) -> Value {
    json!({
        "id": c.id, "description": c.description, "url": c.url, "objectId": c.object_id,
        "type": c.kind, "level": c.level, "memberId": c.member,
        "payloadVersion": c.payload_version, "inactiveFlag": c.inactive,
        "isSoapCallbackFlag": c.soap, "isSelfSuppressedFlag": c.self_suppressed,
        "connectWiseID": c.guid.to_string(),
        "_info": {"lastUpdated": to_seconds_text(c.updated_ms), "updatedBy": c.updated_by},
    })
}
