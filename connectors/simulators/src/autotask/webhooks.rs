//! Webhooks by REST: the definition, and the children that hang on it.

use serde_json::{Value, json};
use uuid::Uuid;

use super::api::Cx;
use super::behaviour::Reactivation;
use super::delivery;
use super::desk::is_ready;
use super::errors::Refusal;
use super::filter::prop;
use super::metadata::WEBHOOK_FIELDS;
use super::state::{Row, State, Table, int, row, text};
use super::tickets::whole;

/// A text and its longest length.
const TEXTS: [(&str, usize); 5] =
    [("name", 50), ("webhookUrl", 500), ("deactivationUrl", 500), ("secretKey", 64), ("notificationEmailAddress", 150)];
const FLAGS: [&str; 5] = [
    "isActive",
    "isSubscribedToCreateEvents",
    "isSubscribedToUpdateEvents",
    "isSubscribedToDeleteEvents",
    "sendThresholdExceededNotification",
];
const REQUIRED: [&str; 6] =
    ["name", "webhookUrl", "deactivationUrl", "secretKey", "isActive", "sendThresholdExceededNotification"];

/// As REST shows it: the key is never read back.
pub(super) fn shown(state: &State, id: i64) -> Option<Value> {
    let mut hook = state.webhooks.get(&id)?.clone();
    hook.insert("isReady".into(), json!(is_ready(state, id)));
    hook.insert("secretKey".into(), Value::Null);
    Some(Value::Object(hook))
}

pub(super) fn create(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let body = cx.body()?;
    if !cx.desk.settings.may_create_webhooks {
        return Err(Refusal::no_permission());
    }
    if let Some(field) = REQUIRED.iter().find(|field| prop(&body, field).is_none_or(Value::is_null)) {
        return Err(Refusal::required(field));
    }
    let url = prop(&body, "webhookUrl").and_then(Value::as_str).unwrap_or_default();
    let is_double = cx.desk.state.webhooks.values().any(|hook| text(hook, "webhookUrl").eq_ignore_ascii_case(url));
    if is_double && cx.desk.settings.refuses_duplicates {
        return Err(Refusal::said("A webhook with this entity, URL and callout type exists already."));
    }
    let id = cx.desk.state.take("webhook", 12);
    let mut hook = row(json!({"id": id, "webhookGUID": Uuid::new_v4().to_string(),
        "ownerResourceID": cx.desk.saver.resource, "notificationEmailAddress": null}));
    FLAGS.iter().for_each(|flag| drop(hook.insert((*flag).to_owned(), json!(false))));
    let key = apply(&mut hook, &body)?;
    cx.desk.state.webhooks.insert(id, hook);
    cx.desk.state.keys.extend(key.map(|key| (id, key)));
    Ok(json!({ "itemId": id }))
}

pub(super) fn patch(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let body = cx.body()?;
    let id = prop(&body, "id").and_then(whole).ok_or_else(|| Refusal::required("id"))?;
    let before = cx.desk.state.webhooks.get(&id).cloned().ok_or_else(Refusal::no_record)?;
    let mut hook = before.clone();
    let key = apply(&mut hook, &body)?;
    if before["isActive"] == false && cx.desk.settings.reactivation == Reactivation::IsIgnored {
        hook.insert("isActive".into(), json!(false));
    }
    cx.desk.state.webhooks.insert(id, hook);
    cx.desk.state.keys.extend(key.map(|key| (id, key)));
    Ok(json!({ "itemId": id }))
}

/// Its deactivation URL is told.
pub(super) fn delete(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let id = cx.params[0];
    if !cx.desk.state.webhooks.contains_key(&id) {
        return Err(Refusal::no_record());
    }
    let of_it = |row: &Row| int(row, "webhookID") == Some(id);
    let off = delivery::deactivate(cx.desk.state, id, cx.desk.settings.deactivation_is_whole, cx.desk.now);
    cx.desk.state.webhooks.remove(&id);
    let State { hook_fields, hook_udfs, excluded, .. } = &mut *cx.desk.state;
    [hook_fields, hook_udfs, excluded].into_iter().for_each(|table| table.retain(|_, row| !of_it(row)));
    cx.desk.outbox.push(off);
    Ok(json!({ "itemId": id }))
}

/// Takes over what the body says; the key, which is kept elsewhere.
fn apply(hook: &mut Row, body: &Value) -> Result<Option<String>, Refusal> {
    let mut key = None;
    for (name, longest) in TEXTS {
        let Some(value) = prop(body, name) else { continue };
        let text = value.as_str().unwrap_or_default();
        if text.chars().count() > longest {
            return Err(Refusal::said(format!("{name} must be less than or equal to {longest} characters")));
        }
        match name {
            "secretKey" => key = Some(text.to_owned()),
            _ => drop(hook.insert(name.to_owned(), json!(text))),
        }
    }
    for name in FLAGS {
        match prop(body, name) {
            None => {}
            Some(Value::Bool(flag)) => drop(hook.insert(name.to_owned(), json!(flag))),
            Some(other) => {
                return Err(Refusal::said(format!("Unexpected character encountered while parsing value: {other}.")));
            }
        }
    }
    Ok(key)
}

fn children(table: &Table, webhook: i64) -> Value {
    let rows = table.values().filter(|row| int(row, "webhookID") == Some(webhook));
    let items: Vec<Value> = rows.cloned().map(Value::Object).collect();
    let details = json!({"count": items.len(), "requestCount": 500, "prevPageUrl": null, "nextPageUrl": null});
    json!({"items": items, "pageDetails": details})
}

/// The webhook of the path.
fn parent(cx: &Cx<'_>) -> Result<i64, Refusal> {
    let id = cx.params[0];
    if cx.desk.state.webhooks.contains_key(&id) { Ok(id) } else { Err(Refusal::no_record()) }
}

fn removed(table: &mut Table, webhook: i64, child: i64) -> Result<Value, Refusal> {
    let is_of_it = table.get(&child).is_some_and(|row| int(row, "webhookID") == Some(webhook));
    if !is_of_it {
        return Err(Refusal::no_record());
    }
    table.remove(&child);
    Ok(json!({ "itemId": child }))
}

fn added(cx: &mut Cx<'_>, number: &str) -> Result<(i64, Row), Refusal> {
    let (parent, body) = (parent(cx)?, cx.body()?);
    let value = prop(&body, number).and_then(whole).ok_or_else(|| Refusal::required(number))?;
    let flag = |name: &str| prop(&body, name).and_then(Value::as_bool).unwrap_or(false);
    let id = cx.desk.state.take("child", 501);
    Ok((
        id,
        row(json!({"id": id, "webhookID": parent, number: value, "isSubscribedField": flag("isSubscribedField"),
            "isDisplayAlwaysField": flag("isDisplayAlwaysField")})),
    ))
}

fn changed(table: &mut Table, webhook: i64, body: &Value) -> Result<Value, Refusal> {
    let id = prop(body, "id").and_then(whole).ok_or_else(|| Refusal::required("id"))?;
    let found = table.get_mut(&id).filter(|row| int(row, "webhookID") == Some(webhook));
    let child = found.ok_or_else(Refusal::no_record)?;
    for name in ["isSubscribedField", "isDisplayAlwaysField"] {
        if let Some(flag) = prop(body, name) {
            child.insert(name.to_owned(), flag.clone());
        }
    }
    Ok(json!({ "itemId": id }))
}

pub(super) fn fields(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    Ok(children(&cx.desk.state.hook_fields, parent(cx)?))
}

pub(super) fn add_field(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let (id, child) = added(cx, "fieldID")?;
    if !WEBHOOK_FIELDS.iter().any(|(known, ..)| Some(*known) == int(&child, "fieldID")) {
        return Err(Refusal::picklist(&child["fieldID"], "fieldID"));
    }
    cx.desk.state.hook_fields.insert(id, child);
    Ok(json!({ "itemId": id }))
}

pub(super) fn change_field(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let (parent, body) = (parent(cx)?, cx.body()?);
    changed(&mut cx.desk.state.hook_fields, parent, &body)
}

pub(super) fn delete_field(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    removed(&mut cx.desk.state.hook_fields, cx.params[0], cx.params[1])
}

pub(super) fn udfs(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    Ok(children(&cx.desk.state.hook_udfs, parent(cx)?))
}

pub(super) fn add_udf(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let (id, child) = added(cx, "udfFieldID")?;
    let is_known = |udf: &&super::state::Udf| Some(udf.id) == int(&child, "udfFieldID") && udf.is_webhook_field;
    if !cx.desk.state.udfs.iter().any(|udf| is_known(&udf)) {
        return Err(Refusal::picklist(&child["udfFieldID"], "udfFieldID"));
    }
    cx.desk.state.hook_udfs.insert(id, child);
    Ok(json!({ "itemId": id }))
}

pub(super) fn change_udf(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let (parent, body) = (parent(cx)?, cx.body()?);
    changed(&mut cx.desk.state.hook_udfs, parent, &body)
}

pub(super) fn delete_udf(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    removed(&mut cx.desk.state.hook_udfs, cx.params[0], cx.params[1])
}

pub(super) fn excluded(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    Ok(children(&cx.desk.state.excluded, parent(cx)?))
}

pub(super) fn exclude(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let (parent, body) = (parent(cx)?, cx.body()?);
    let resource = prop(&body, "resourceID").and_then(whole).ok_or_else(|| Refusal::required("resourceID"))?;
    if !cx.desk.state.resources.contains_key(&resource) {
        return Err(Refusal::reference("resourceID", "Resource"));
    }
    let id = cx.desk.state.take("child", 501);
    let child = row(json!({"id": id, "webhookID": parent, "resourceID": resource}));
    cx.desk.state.excluded.insert(id, child);
    Ok(json!({ "itemId": id }))
}

pub(super) fn include(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    removed(&mut cx.desk.state.excluded, cx.params[0], cx.params[1])
}

pub(super) fn delete_log(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let id = cx.params[0];
    cx.desk.state.error_log.remove(&id).map(|_| json!({ "itemId": id })).ok_or_else(Refusal::no_record)
}
