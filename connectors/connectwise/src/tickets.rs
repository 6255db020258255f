//! Tickets: as the API gives them, and where a person sees them.

use std::collections::BTreeMap;

use latchkey_contract::{
    BoardId, CallError, CompanyId, FieldId, MemberId, SourceId, StatusId, TicketId, Timestamp, TypeId,
    outside::Urgency, ticket::Ticket,
};
use serde_json::Value;
use url::Url;

use crate::{
    api::{Api, Ask, number},
    wire,
};

const READ: &str = "GET /service/tickets/{id}";

/// The ticket as it is now; `None` when the PSA says that there is none.
pub(crate) async fn read(api: &Api, id: &TicketId, urgency: Urgency) -> Result<Option<Ticket>, CallError> {
    fetch(api, id, urgency).await?.map(ticket).transpose()
}

/// The ticket with the names of all its custom fields, the empty ones included.
pub(crate) async fn read_with_captions(
    api: &Api,
    id: &TicketId,
    urgency: Urgency,
) -> Result<Option<(Ticket, BTreeMap<FieldId, String>)>, CallError> {
    let Some(found) = fetch(api, id, urgency).await? else { return Ok(None) };
    let mut captions = BTreeMap::new();
    for field in found.custom_fields.iter().flatten() {
        let id = FieldId::parse(field.id.to_string()).map_err(|e| CallError::malformed(READ, e))?;
        captions.insert(id, field.caption.clone().unwrap_or_default());
    }
    Ok(Some((ticket(found)?, captions)))
}

async fn fetch(api: &Api, id: &TicketId, urgency: Urgency) -> Result<Option<wire::Ticket>, CallError> {
    let Some(number) = number(id.as_str()) else { return Ok(None) };
    let ask = Ask::new(READ, ["service", "tickets", &number.to_string()]).urgent(urgency);
    match api.call_if_any::<wire::Ticket>(&ask).await? {
        Some(other) if other.id != i64::from(number) => Err(CallError::malformed(READ, "another ticket was answered")),
        found => Ok(found),
    }
}

/// The page that shows the ticket after sign-in; the alias survives upgrades.
pub(crate) fn link(site: &Url, company: &str, id: &TicketId) -> String {
    let mut url = site.clone();
    url.set_path("v4_6_release/services/system_io/Service/fv_sr100_request.rails");
    url.query_pairs_mut().append_pair("service_recid", id.as_str()).append_pair("companyName", company);
    url.into()
}

fn ticket(wire: wire::Ticket) -> Result<Ticket, CallError> {
    let info = wire.info.unwrap_or_default();
    let status_name = wire.status.as_ref().and_then(|s| s.name.clone()).unwrap_or_default();
    let id_of = |reference: Option<wire::Reference>| reference.map(|r| r.id.to_string());
    let bad = |e| CallError::malformed(READ, e);
    let mut fields = BTreeMap::new();
    for field in wire.custom_fields.unwrap_or_default() {
        if let Some(text) = field.value.and_then(field_text) {
            fields.insert(FieldId::parse(field.id.to_string()).map_err(bad)?, text);
        }
    }
    Ok(Ticket {
        id: TicketId::parse(wire.id.to_string()).map_err(bad)?,
        summary: wire.summary.unwrap_or_default(),
        company: id_of(wire.company).map(CompanyId::parse).transpose().map_err(bad)?,
        board: id_of(wire.board).map(BoardId::parse).transpose().map_err(bad)?,
        status: id_of(wire.status).map(StatusId::parse).transpose().map_err(bad)?,
        status_name,
        owner: id_of(wire.owner).map(MemberId::parse).transpose().map_err(bad)?,
        kind: id_of(wire.kind).map(TypeId::parse).transpose().map_err(bad)?,
        source: id_of(wire.source).map(SourceId::parse).transpose().map_err(bad)?,
        // A ticket that does not say that it is open counts as closed.
        is_closed: wire.closed_flag.unwrap_or(true),
        is_merged: wire.merged_parent_ticket.is_some(),
        merged_into: id_of(wire.merged_parent_ticket).map(TicketId::parse).transpose().map_err(bad)?,
        fields,
        updated_by: info.updated_by,
        updated_at: info.last_updated.as_deref().and_then(Timestamp::parse),
    })
}

/// Text, number and flag as text; an empty or unset field is absent.
fn field_text(value: Value) -> Option<String> {
    match value {
        Value::String(text) if !text.trim().is_empty() => Some(text),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Number(n) => Some(whole(&n).unwrap_or_else(|| n.to_string())),
        _ => None,
    }
}

/// `2.0` is `2`: a number field has no type of its own for whole numbers.
fn whole(n: &serde_json::Number) -> Option<String> {
    let value = n.as_f64().filter(|v| v.fract().abs() < f64::EPSILON && v.abs() < 9e15)?;
    Some(format!("{value:.0}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(json: &str) -> Ticket {
        ticket(serde_json::from_str(json).unwrap()).unwrap()
    }

    #[test]
    fn a_ticket_is_read_by_ids() {
        let t = parse(include_str!("../tests/golden/ticket.json"));
        assert_eq!((t.id.as_str(), t.summary.as_str()), ("4711", "JIT admin for ACME"));
        assert_eq!(t.board.unwrap().as_str(), "63");
        assert_eq!(t.company.unwrap().as_str(), "250");
        assert_eq!((t.status.unwrap().as_str(), t.status_name.as_str()), ("512", "JIT Requested"));
        assert_eq!(t.owner.unwrap().as_str(), "176");
        assert_eq!(t.kind.unwrap().as_str(), "7");
        assert!(!t.is_closed && !t.is_merged && t.merged_into.is_none());
        assert_eq!(t.fields[&FieldId::parse("59").unwrap()], "1 hour");
        assert_eq!(t.updated_by.as_deref(), Some("jdoe"));
        assert_eq!(t.updated_at.unwrap().rfc3339(), "2026-06-09T21:59:49Z");
    }

    #[test]
    fn what_is_missing_is_absent_and_never_open() {
        let t = parse(r#"{"id":1,"status":null,"_info":null,"customFields":null,"mergedParentTicket":{"id":2}}"#);
        assert!(t.is_closed && t.is_merged && t.board.is_none() && t.status.is_none() && t.updated_at.is_none());
        assert!(t.kind.is_none() && t.source.is_none());
        assert_eq!(t.merged_into.unwrap().as_str(), "2");
    }

    #[test]
    fn field_values_become_text() {
        let t = parse(
            r#"{"id":1,"customFields":[{"id":1,"value":"x"},{"id":2,"value":2.0},{"id":3,"value":true},{"id":4,"value":null},
            {"id":5,"value":" "},{"id":6,"value":1.5},{"id":7},{"id":8,"value":[1]},{"id":9,"value":120}]}"#,
        );
        let shown: Vec<_> = t.fields.iter().map(|(id, v)| format!("{id}={v}")).collect();
        assert_eq!(shown, ["1=x", "2=2", "3=true", "6=1.5", "9=120"]);
    }

    #[test]
    fn the_link_opens_the_ticket() {
        let site = "https://na.myconnectwise.net/".parse().unwrap();
        assert_eq!(
            link(&site, "examplemsp", &TicketId::parse("4711").unwrap()),
            "https://na.myconnectwise.net/v4_6_release/services/system_io/Service/fv_sr100_request.rails?service_recid=4711&companyName=examplemsp"
        );
    }
}
