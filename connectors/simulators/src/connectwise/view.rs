//! How a ticket looks on the wire, with its references expanded; nulls are left out as the
//! vendor does.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use super::state::{Tenant, Ticket};
use crate::clock::to_seconds_text;

/// Where links in bodies point: the host of the user interface.
#[derive(Debug, Clone)]
pub(super) struct Links {
    /// `https://localhost:4443`, without a slash at the end.
    pub(super) site: String,
    /// `v2025_1/`.
    pub(super) codebase: String,
}

impl Links {
    /// The vendor builds its links from a codebase that ends in a slash, hence the double one.
    pub(super) fn href(&self, path: &str) -> String {
        format!("{}/{}/apis/3.0{path}", self.site, self.codebase)
    }
}

/// The top-level properties of a ticket, which are what conditions may name.
pub(super) const TICKET_PROPERTIES: &[&str] = &[
    "id",
    "summary",
    "recordType",
    "board",
    "status",
    "company",
    "site",
    "contact",
    "contactName",
    "contactEmailAddress",
    "contactPhoneNumber",
    "type",
    "subType",
    "item",
    "team",
    "owner",
    "resources",
    "priority",
    "source",
    "severity",
    "impact",
    "closedFlag",
    "closedDate",
    "closedBy",
    "dateEntered",
    "enteredBy",
    "requiredDate",
    "parentTicketId",
    "hasChildTicket",
    "mergedParentTicket",
    "hasMergedChildTicketFlag",
    "externalXRef",
    "mobileGuid",
    "customFields",
    "customerUpdatedFlag",
    "automaticEmailContactFlag",
    "automaticEmailResourceFlag",
    "automaticEmailCcFlag",
    "automaticEmailCc",
];

/// The whole ticket as `GET /service/tickets/{id}` answers it.
pub(super) fn ticket(tenant: &Tenant, t: &Ticket, links: &Links) -> Value {
    let is_parent = tenant.tickets.values().any(|c| c.parent == Some(t.id));
    shown(tenant, t, is_parent, links)
}

/// Every ticket as [`ticket`] shows it.
pub(super) fn tickets(tenant: &Tenant, links: &Links) -> Vec<Value> {
    let parents: BTreeSet<i64> = tenant.tickets.values().filter_map(|t| t.parent).collect();
    tenant.tickets.values().map(|t| shown(tenant, t, parents.contains(&t.id), links)).collect()
}

fn shown(tenant: &Tenant, t: &Ticket, is_parent: bool, links: &Links) -> Value {
    let mut out = t.plain.clone();
    let mut put = |name: &str, value: Value| {
        if !value.is_null() {
            out.insert(name.to_owned(), value);
        }
    };
    put("id", json!(t.id));
    put("summary", json!(t.summary));
    put("recordType", json!("ServiceTicket"));
    put("board", board_ref(tenant, t.board, links));
    put("status", status_ref(tenant, t.board, t.status, links));
    put("company", company_ref(tenant, t.company, links));
    put("type", t.kind.map_or(Value::Null, |kind| kind_ref(tenant, t.board, kind)));
    put("owner", t.owner.map_or(Value::Null, |owner| member_ref(tenant, owner, links)));
    put("resources", resources(t));
    put("closedFlag", json!(t.closed_ms.is_some()));
    put("closedDate", t.closed_ms.map_or(Value::Null, |ms| json!(to_seconds_text(ms))));
    put("closedBy", json!(t.closed_by));
    put("parentTicketId", json!(t.parent));
    put("hasChildTicket", json!(is_parent));
    put("mergedParentTicket", merged_ref(tenant, t));
    put("hasMergedChildTicketFlag", json!(t.has_merged_child));
    put("mobileGuid", json!(t.guid.to_string()));
    put("customFields", custom_fields(tenant, t));
    let own = |rest: &str| links.href(&format!("/service/tickets/{}{rest}", t.id));
    put(
        "_info",
        json!({
            "lastUpdated": to_seconds_text(t.updated_ms), "updatedBy": t.updated_by,
            "dateEntered": to_seconds_text(t.entered_ms), "enteredBy": t.entered_by,
            "notes_href": own("/notes"), "timeentries_href": own("/timeentries"),
        }),
    );
    Value::Object(out)
}

/// The record inside a callback: a summary of the ticket, without its custom fields.
pub(super) fn entity(ticket: &Value) -> Value {
    let mut entity = ticket.clone();
    if let Value::Object(map) = &mut entity {
        map.remove("customFields");
    }
    entity
}

/// The record inside an old callback: flat, in PascalCase.
pub(super) fn old_entity(ticket: &Value) -> Value {
    let mut out = Map::new();
    for (name, value) in [
        ("Id", &ticket["id"]),
        ("Summary", &ticket["summary"]),
        ("BoardName", &ticket["board"]["name"]),
        ("StatusName", &ticket["status"]["name"]),
        ("CompanyName", &ticket["company"]["name"]),
        ("ContactName", &ticket["contactName"]),
        ("Priority", &ticket["priority"]["name"]),
        ("Resources", &ticket["resources"]),
        ("EnteredDateUTC", &ticket["_info"]["dateEntered"]),
        ("UpdatedBy", &ticket["_info"]["updatedBy"]),
    ] {
        out.insert(name.to_owned(), value.clone());
    }
    Value::Object(out)
}

fn resources(t: &Ticket) -> Value {
    if t.resources.is_empty() { Value::Null } else { json!(t.resources.join(", ")) }
}

fn merged_ref(tenant: &Tenant, t: &Ticket) -> Value {
    let Some(parent) = t.merged_into else { return Value::Null };
    match tenant.tickets.get(&parent) {
        Some(parent) => json!({"id": parent.id, "summary": parent.summary}),
        None => json!({"id": parent}),
    }
}

pub(super) fn board_ref(tenant: &Tenant, id: i64, links: &Links) -> Value {
    let name = tenant.board(id).map(|b| b.name.as_str());
    let href = links.href(&format!("/service/boards/{id}"));
    json!({"id": id, "name": name, "_info": {"board_href": href}})
}

fn status_ref(tenant: &Tenant, board: i64, id: i64, links: &Links) -> Value {
    let name = tenant.status(board, id).map(|s| s.name.as_str());
    let href = links.href(&format!("/service/boards/{board}/statuses/{id}"));
    json!({"id": id, "name": name, "_info": {"status_href": href}})
}

fn kind_ref(tenant: &Tenant, board: i64, id: i64) -> Value {
    let kind = tenant.board(board).and_then(|b| b.kinds.iter().find(|k| k.id == id));
    json!({"id": id, "name": kind.map(|k| k.name.as_str())})
}

pub(super) fn company_ref(tenant: &Tenant, id: i64, links: &Links) -> Value {
    let href = links.href(&format!("/company/companies/{id}"));
    match tenant.company(id) {
        Some(c) => json!({"id": id, "identifier": c.identifier, "name": c.name,
            "_info": {"company_href": href}}),
        None => json!({"id": id}),
    }
}

pub(super) fn member_ref(tenant: &Tenant, id: i64, links: &Links) -> Value {
    let href = links.href(&format!("/system/members/{id}"));
    match tenant.member(id) {
        Some(m) => json!({"id": id, "identifier": m.identifier,
            "name": format!("{} {}", m.first_name, m.last_name), "_info": {"member_href": href}}),
        None => json!({"id": id}),
    }
}

/// All defined fields, the empty ones with `null`.
fn custom_fields(tenant: &Tenant, t: &Ticket) -> Value {
    let one = |(row, f): (usize, &super::state::Field)| {
        json!({
            "id": f.id, "caption": f.caption, "type": f.kind, "entryMethod": f.entry,
            "numberOfDecimals": 0, "value": t.values.get(&f.id), "connectWiseId": f.guid.to_string(),
            "rowNum": row + 1, "userDefinedFieldRecId": f.id, "podId": "ticket",
        })
    };
    Value::Array(tenant.fields.iter().enumerate().map(one).collect())
}
