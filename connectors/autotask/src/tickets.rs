//! Tickets as the API gives them.

use std::collections::BTreeMap;

use latchkey_contract::{
    BoardId, CallError, CompanyId, FieldId, MemberId, SourceId, StatusId, TicketId, TypeId,
    outside::Urgency,
    ticket::{StatusSet, Ticket},
};
use serde_json::Value;

use crate::{
    Tenant,
    api::{Api, Ask, number},
    filter::Filter,
    metadata::is_active,
    time, wire,
};

pub(crate) const READ: &str = "GET /Tickets/{id}";
const FIND: &str = "POST /Tickets/query";
const NOTES: &str = "POST /TicketNotes/query";
/// Notes that tell of a merge, at most: one ticket is merged away once.
const MERGES: usize = 50;

/// The ticket as it is now; `None` when the PSA says that there is none. Its names come from the picklists, its
/// user-defined fields get the numbers that they are known by.
pub(crate) async fn read(tenant: &Tenant, id: &TicketId, urgency: Urgency) -> Result<Option<Ticket>, CallError> {
    let Some(found) = fetch(&tenant.api, id, urgency).await? else { return Ok(None) };
    ticket(tenant, found, urgency).await.map(Some)
}

pub(crate) async fn fetch(api: &Api, id: &TicketId, urgency: Urgency) -> Result<Option<wire::Ticket>, CallError> {
    let Some(number) = number(id.as_str()) else { return Ok(None) };
    let ask = Ask::new(READ, ["Tickets", &number.to_string()]).urgent(urgency);
    match api.item::<wire::Ticket>(&ask).await? {
        Some(other) if other.id != number => Err(CallError::malformed(READ, "another ticket was answered")),
        found => Ok(found),
    }
}

/// The ticket with this number, such as `T20260915.0001`.
pub(crate) async fn with_number(api: &Api, number: &str, urgency: Urgency) -> Result<Option<TicketId>, CallError> {
    let rows: Vec<wire::Row> = api.query(FIND, &[Filter::is("ticketNumber", number)], &["id"], urgency).await?;
    match rows.as_slice() {
        [one] => Ok(Some(TicketId::parse(one.id.to_string()).map_err(|e| CallError::malformed(FIND, e))?)),
        _ => Ok(None),
    }
}

/// Completed by its date or by its status: tenants have statuses of their own for it, so the date counts first. [facts 5]
pub(crate) fn is_closed(tenant: &Tenant, wire: &wire::Ticket) -> bool {
    let is_in = |status: i64| tenant.settings.completed_statuses.iter().any(|own| own.as_str() == status.to_string());
    // A ticket that does not say that it is open counts as closed.
    wire.completed_date.is_some() || wire.status.is_none_or(is_in)
}

async fn ticket(tenant: &Tenant, wire: wire::Ticket, urgency: Urgency) -> Result<Ticket, CallError> {
    let Tenant { api, meta, resources, .. } = tenant;
    let bad = |e| CallError::malformed(READ, e);
    let is_closed = is_closed(tenant, &wire);
    let merge = if is_closed { merge(tenant, &wire, urgency).await? } else { None };
    let status_name = match wire.status {
        Some(status) => meta.label(api, "status", status, urgency).await?.unwrap_or_default(),
        None => String::new(),
    };
    let updated_by = match wire.last_activity_resource_id {
        Some(id) => resources.name(api, id, urgency).await?,
        None => None,
    };
    let text = |id: Option<i64>| id.map(|id| id.to_string());
    Ok(Ticket {
        id: TicketId::parse(wire.id.to_string()).map_err(bad)?,
        summary: wire.title.unwrap_or_default(),
        company: text(wire.company_id).map(CompanyId::parse).transpose().map_err(bad)?,
        board: text(wire.queue_id).map(BoardId::parse).transpose().map_err(bad)?,
        status: text(wire.status).map(StatusId::parse).transpose().map_err(bad)?,
        status_name,
        owner: text(wire.assigned_resource_id).map(MemberId::parse).transpose().map_err(bad)?,
        kind: text(wire.ticket_type).map(TypeId::parse).transpose().map_err(bad)?,
        source: text(wire.source).map(SourceId::parse).transpose().map_err(bad)?,
        is_closed,
        is_merged: merge.is_some(),
        merged_into: merge.flatten(),
        fields: fields(tenant, wire.user_defined_fields, urgency).await?,
        updated_by,
        updated_at: wire.last_activity_date.as_deref().and_then(time::parse),
    })
}

/// User-defined fields by number; an empty one is absent. The list of numbers is only asked for where one has a value.
async fn fields(
    tenant: &Tenant,
    udfs: Vec<wire::Udf>,
    urgency: Urgency,
) -> Result<BTreeMap<FieldId, String>, CallError> {
    let set: Vec<(String, String)> =
        udfs.into_iter().filter_map(|udf| Some((udf.name.trim().to_lowercase(), text(udf.value?)?))).collect();
    if set.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ids = tenant.meta.udf_ids(&tenant.api, urgency).await?;
    Ok(set.into_iter().filter_map(|(name, value)| Some((ids.get(&name)?.clone(), value))).collect())
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(n) => Some(n.to_string()),
        _ => None,
    }
}

/// Whether the ticket was merged away, and into which one as far as that can be told: the system leaves a note of a kind of
/// its own on it, and no field names the other ticket. [facts 5] Such a note cannot be written by hand. [facts 4.3]
async fn merge(tenant: &Tenant, wire: &wire::Ticket, urgency: Urgency) -> Result<Option<Option<TicketId>>, CallError> {
    let filters = [Filter::is("ticketID", wire.id), Filter::is("noteType", tenant.settings.merged_note_type)];
    let notes = tenant.api.query_up_to::<wire::Note>(NOTES, &filters, wire::NOTE, (MERGES, 1), urgency).await?;
    let Some(note) = notes.into_iter().flatten().find(|note| note.note_type == Some(tenant.settings.merged_note_type))
    else {
        return Ok(None);
    };
    let own = wire.ticket_number.as_deref().unwrap_or_default();
    let mut others = ticket_numbers(note.description.as_deref().unwrap_or_default());
    others.retain(|number| number != own);
    others.dedup();
    match others.as_slice() {
        [one] => {
            let other = with_number(&tenant.api, one, urgency).await?;
            Ok(Some(other.filter(|id| id.as_str() != wire.id.to_string())))
        }
        _ => Ok(Some(None)),
    }
}

/// Every ticket number in a text: `Tyyyymmdd.nnnn`, with `.nnn` behind it for a recurring child. [facts 4.1]
fn ticket_numbers(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '.')
        .map(|word| word.trim_end_matches('.'))
        .filter(|word| {
            let mut parts = word.split('.');
            let (day, rest): (Option<&str>, Vec<&str>) = (parts.next(), parts.collect());
            let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
            day.and_then(|day| day.strip_prefix('T')).is_some_and(|day| day.len() == 8 && digits(day))
                && (1..=2).contains(&rest.len())
                && rest.iter().all(|part| digits(part))
        })
        .map(str::to_owned)
        .collect()
}

/// Sets a status: only one that may be used, only while the ticket is open, and only the changed field is sent. [facts 6]
pub(crate) async fn set_status(tenant: &Tenant, id: &TicketId, status: &StatusId) -> Result<StatusSet, CallError> {
    const CHANGE: &str = "PATCH /Tickets";
    let wanted = crate::api::number_or_refused(CHANGE, status.as_str())?;
    let Some(present) = fetch(&tenant.api, id, Urgency::Ordinary).await? else { return Ok(StatusSet::Left) };
    if present.status == Some(wanted) {
        return Ok(StatusSet::Stood);
    }
    let known = tenant.meta.picks(&tenant.api, crate::metadata::TICKET, "status", Urgency::Ordinary).await?;
    let is_usable = known.iter().any(|pick| pick.value == status.as_str() && is_active(pick));
    if is_closed(tenant, &present) || !is_usable {
        return Ok(StatusSet::Left);
    }
    // A change goes to the collection, with the number in the body. [facts 3.5]
    let change = serde_json::json!({"id": present.id, "status": wanted});
    if tenant.api.write(&Ask::new(CHANGE, ["Tickets"]).body(&change)).await?.is_none() {
        return Ok(StatusSet::Left);
    }
    // Some accepted changes do not stick: a workflow rule was faster. [facts 3.5]
    match fetch(&tenant.api, id, Urgency::Ordinary).await? {
        Some(after) if after.status == Some(wanted) => Ok(StatusSet::Changed),
        Some(_) => Err(CallError::transient(CHANGE, "the PSA accepted the status but did not keep it")),
        None => Ok(StatusSet::Left),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticket_numbers_are_found_in_any_language() {
        assert_eq!(ticket_numbers("Merged into T20260915.0002 (O'Neil)."), ["T20260915.0002"]);
        assert_eq!(ticket_numbers("zusammengeführt mit „T20260915.0002.001“, nicht T2026.1"), ["T20260915.0002.001"]);
        assert!(ticket_numbers("T20260915, XT20260915.0001, T20260915.x, T20260915.0001.1.1").is_empty());
    }

    #[test]
    fn field_values_become_text() {
        let read = |json: &str| text(serde_json::from_str(json).unwrap());
        assert_eq!(read("\"60\"").as_deref(), Some("60"));
        assert_eq!(read("60").as_deref(), Some("60"));
        assert_eq!(read("true").as_deref(), Some("true"));
        for empty in ["null", "\"\"", "\" \"", "[]"] {
            assert_eq!(read(empty), None, "{empty}");
        }
    }
}
