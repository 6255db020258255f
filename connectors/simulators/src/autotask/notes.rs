//! Notes by REST: made and changed under their ticket; there is no way to delete one.

use serde_json::{Value, json};

use super::api::Cx;
use super::errors::Refusal;
use super::filter::prop;
use super::state::int;
use super::tickets::whole;

const TITLE: usize = 250;
/// Kinds that may be written; the others are the system's.
const WRITABLE: [i64; 3] = [1, 2, 3];

pub(super) fn of_ticket(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let ticket = cx.params[0];
    let notes = cx.desk.state.notes.values().filter(|note| int(note, "ticketID") == Some(ticket));
    let items: Vec<Value> = notes.cloned().map(Value::Object).collect();
    let details = json!({"count": items.len(), "requestCount": 500, "prevPageUrl": null, "nextPageUrl": null});
    Ok(json!({"items": items, "pageDetails": details}))
}

pub(super) fn create(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let (ticket, body) = (cx.params[0], cx.body()?);
    if !cx.desk.state.tickets.contains_key(&ticket) {
        return Err(Refusal::reference("ticketID", "Ticket"));
    }
    for field in ["noteType", "publish", "description"] {
        if prop(&body, field).is_none_or(Value::is_null) {
            return Err(Refusal::required(field));
        }
    }
    let kind = prop(&body, "noteType").and_then(whole).filter(|kind| WRITABLE.contains(kind));
    let kind =
        kind.ok_or_else(|| Refusal::picklist(&prop(&body, "noteType").cloned().unwrap_or_default(), "noteType"))?;
    let (title, description, publish) = checked(cx, &body)?;
    let publish = publish.unwrap_or(2);
    let id = cx.desk.note(ticket, &description.unwrap_or_default(), kind, publish, &title.unwrap_or_default());
    Ok(json!({ "itemId": id }))
}

/// What is not mentioned stays.
pub(super) fn patch(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let (ticket, body) = (cx.params[0], cx.body()?);
    let id = prop(&body, "id").and_then(whole).ok_or_else(|| Refusal::required("id"))?;
    let is_there = cx.desk.state.notes.get(&id).is_some_and(|note| int(note, "ticketID") == Some(ticket));
    if !is_there {
        return Err(Refusal::no_record());
    }
    let (title, description, publish) = checked(cx, &body)?;
    let said = [
        ("title", title.map(Value::from)),
        ("description", description.map(Value::from)),
        ("publish", publish.map(Value::from)),
    ];
    let changes = said.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect();
    cx.desk.change_note(id, changes);
    Ok(json!({ "itemId": id }))
}

type Said = (Option<String>, Option<String>, Option<i64>);

fn checked(cx: &Cx<'_>, body: &Value) -> Result<Said, Refusal> {
    let text = |name: &str| prop(body, name).and_then(Value::as_str).map(str::to_owned);
    let (title, description) = (text("title"), text("description"));
    if title.as_ref().is_some_and(|title| title.chars().count() > TITLE) {
        return Err(Refusal::said("The title must be less than or equal to 250 characters."));
    }
    let longest = cx.desk.settings.note_length;
    if let Some(long) = description.as_ref().filter(|text| text.encode_utf16().count() > longest) {
        let begin: String = long.chars().take(40).collect();
        return Err(Refusal::said(format!(
            "description '{begin}…' must be less than or equal to {longest} characters."
        )));
    }
    let publish = prop(body, "publish").map(|value| {
        let known = whole(value).filter(|publish| cx.desk.state.pick("publish", *publish).is_some());
        known.ok_or_else(|| Refusal::picklist(value, "publish"))
    });
    Ok((title, description, publish.transpose()?))
}
