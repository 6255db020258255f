//! The tables an administrator keeps: boards with their statuses and types, companies, custom
//! fields; and what the system says about itself: its version and the audit trail.

use serde_json::{Value, json};

use super::api::Cx;
use super::errors::{FieldError, Refusal};
use super::paging::{self, Query};
use super::state::{Board, Company, Field, Kind, Status, Tenant};
use super::view::Links;
use crate::clock::to_seconds_text;
use crate::server::Response;

const BOARD: &[&str] = &["id", "name", "inactiveFlag", "projectFlag"];
const STATUS: &[&str] = &[
    "id",
    "name",
    "board",
    "sortOrder",
    "displayOnBoard",
    "inactive",
    "closedStatus",
    "timeEntryNotAllowed",
    "defaultFlag",
    "escalationStatus",
];
const KIND: &[&str] = &["id", "name", "board", "category", "inactiveFlag", "requestForChangeFlag", "defaultFlag"];
const COMPANY: &[&str] = &["id", "identifier", "name", "status", "types", "deletedFlag"];
const FIELD: &[&str] =
    &["id", "podId", "podDescription", "caption", "screenId", "fieldTypeIdentifier", "entryTypeIdentifier"];

/// The sub-type of changes of custom fields, before [`super::Behaviour::field_audit`] has its say.
pub(super) const FIELD_CHANGED: &str = "CustomField";

/// The record types the audit trail knows.
const AUDITED: &[&str] = &[
    "None",
    "Ticket",
    "Contact",
    "Company",
    "Opportunity",
    "Time",
    "Activity",
    "ProductCatalog",
    "ProjectTicket",
    "Purchasing",
    "Configuration",
    "Schedule",
    "Agreement",
    "AgreementAddition",
    "Project",
    "Invoice",
    "PurchaseOrder",
    "Expense",
];

/// In which order the audit trail comes; the vendor promises none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AuditOrder {
    #[default]
    OldestFirst,
    NewestFirst,
}

pub(super) fn boards(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.boards.iter().map(board).collect();
    cx.listed(all, BOARD)
}

pub(super) fn board_count(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.boards.iter().map(board).collect();
    Ok(paging::count(&paging::select(all, &Query::of(cx.request), BOARD)?))
}

pub(super) fn one_board(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let board_found = the_board(cx)?;
    Ok(Response::json(200, &board(board_found)))
}

pub(super) fn statuses(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let board = the_board(cx)?;
    let all = board.statuses.iter().enumerate().map(|(n, s)| status(board, n, s)).collect();
    cx.listed(all, STATUS)
}

pub(super) fn one_status(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let (board, id) = (the_board(cx)?, cx.number(1)?);
    let found = board.statuses.iter().enumerate().find(|(_, s)| s.id == id);
    let (n, found) = found.ok_or_else(|| Refusal::not_found("BoardStatus", id))?;
    Ok(Response::json(200, &status(board, n, found)))
}

pub(super) fn kinds(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let board = the_board(cx)?;
    let all = board.kinds.iter().map(|k| kind(board, k)).collect();
    cx.listed(all, KIND)
}

pub(super) fn sources(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let row = |(id, name): &(i64, String)| json!({"id": id, "name": name, "defaultFlag": false, "_info": {}});
    let all = cx.desk.tenant.sources.iter().map(row).collect();
    cx.listed(all, &["id", "name", "defaultFlag"])
}

pub(super) fn companies(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.companies.iter().map(|c| company(c, cx.desk.links)).collect();
    cx.listed(all, COMPANY)
}

pub(super) fn company_count(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.companies.iter().map(|c| company(c, cx.desk.links)).collect();
    Ok(paging::count(&paging::select(all, &Query::of(cx.request), COMPANY)?))
}

pub(super) fn one_company(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let id = cx.number(0)?;
    let found = cx.desk.tenant.company(id).ok_or_else(|| Refusal::not_found("Company", id))?;
    Ok(Response::json(200, &company(found, cx.desk.links)))
}

/// Every type that any company carries, numbered by first use.
pub(super) fn company_types(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = names(cx.desk.tenant, |c| &c.types);
    let all = all.iter().enumerate().map(|(n, name)| json!({"id": n + 1, "name": name})).collect();
    cx.listed(all, &["id", "name"])
}

pub(super) fn company_type_associations(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    associations(cx, "type", |c| &c.types)
}

pub(super) fn company_groups(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    associations(cx, "group", |c| &c.groups)
}

pub(super) fn fields(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let all = cx.desk.tenant.fields.iter().enumerate().map(|(n, f)| field(n, f)).collect();
    cx.listed(all, FIELD)
}

pub(super) fn one_field(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let id = cx.number(0)?;
    let found = cx.desk.tenant.fields.iter().enumerate().find(|(_, f)| f.id == id);
    let (n, found) = found.ok_or_else(|| Refusal::not_found("UserDefinedField", id))?;
    Ok(Response::json(200, &field(n, found)))
}

/// A good connection test.
pub(super) fn info(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let version = cx.desk.links.codebase.trim_end_matches('/').replacen('_', ".", 1);
    Ok(Response::json(
        200,
        &json!({
            "version": format!("{version}.99999"), "isCloud": true,
            "serverTimeZone": "Eastern Standard Time", "cloudRegion": "NA",
            "licenseBits": [{"name": "ServiceDesk", "activeFlag": true}],
        }),
    ))
}

/// `?type=Ticket&id=4711`. The other record types are known and empty.
pub(super) fn audit_trail(cx: &mut Cx<'_>) -> Result<Response, Refusal> {
    let missing = |name: &str| FieldError::missing(name).of("auditTrail");
    let of = cx.request.query("type").ok_or_else(|| missing("type"))?;
    let id = cx.request.query("id").ok_or_else(|| missing("id"))?;
    let id: i64 = id.parse().map_err(|_| FieldError::invalid("id", "Invalid id").of("auditTrail"))?;
    if !AUDITED.iter().any(|known| known.eq_ignore_ascii_case(of)) {
        return Err(FieldError::invalid("type", "Invalid type").of("auditTrail"));
    }
    let mut rows: Vec<Value> = match of.eq_ignore_ascii_case("Ticket") {
        true => audit(cx.desk.tenant, id),
        false => Vec::new(),
    };
    if let Some(kind) = cx.settings.field_audit {
        rows.iter_mut().filter(|row| is_of_field(row)).for_each(|row| row["auditSubType"] = json!(kind));
    } else {
        rows.retain(|row| !is_of_field(row));
    }
    if cx.settings.audit_order == AuditOrder::NewestFirst {
        rows.reverse();
    }
    paging::page(rows, cx.request, &cx.here)
}

fn is_of_field(row: &Value) -> bool {
    row["auditSubType"] == FIELD_CHANGED
}

/// A ticket's trail, oldest first.
pub(super) fn audit(tenant: &Tenant, ticket: i64) -> Vec<Value> {
    let row = |e: &super::state::AuditEntry| {
        json!({
            "text": e.text, "enteredDate": to_seconds_text(e.at_ms), "enteredBy": e.by,
            "auditType": "Ticket", "auditSubType": e.sub_type, "auditSource": "Service",
        })
    };
    tenant.audit.get(&ticket).into_iter().flatten().map(row).collect()
}

fn the_board<'c>(cx: &'c Cx<'_>) -> Result<&'c Board, Refusal> {
    let id = cx.number(0)?;
    cx.desk.tenant.board(id).ok_or_else(|| Refusal::not_found("ServiceBoard", id))
}

fn board(b: &Board) -> Value {
    json!({"id": b.id, "name": b.name, "inactiveFlag": b.inactive, "projectFlag": false,
        "closedLoopInternalAnalysisFlag": false, "sendToResourceFlag": false, "_info": {}})
}

/// `inactive` and `closedStatus` have no `Flag` suffix on the wire.
fn status(board: &Board, row: usize, s: &Status) -> Value {
    json!({
        "id": s.id, "name": s.name, "board": {"id": board.id, "name": board.name},
        "sortOrder": (row + 1) * 10, "displayOnBoard": true, "inactive": s.inactive,
        "closedStatus": s.closed, "timeEntryNotAllowed": false, "defaultFlag": row == 0,
        "escalationStatus": if s.closed { "Resolved" } else { "NotResponded" }, "_info": {},
    })
}

fn kind(board: &Board, k: &Kind) -> Value {
    json!({"id": k.id, "name": k.name, "board": {"id": board.id, "name": board.name},
        "category": "Reactive", "inactiveFlag": k.inactive, "requestForChangeFlag": false,
        "defaultFlag": false, "_info": {}})
}

fn company(c: &Company, links: &Links) -> Value {
    let types: Vec<Value> = c.types.iter().map(|name| json!({"name": name})).collect();
    let href = links.href(&format!("/company/companies/{}", c.id));
    json!({
        "id": c.id, "identifier": c.identifier, "name": c.name, "deletedFlag": c.deleted,
        "status": {"id": 1, "name": "Active"}, "types": types, "customFields": [],
        "_info": {"company_href": href},
    })
}

/// Rows that tie the company of the path to its names, numbered by first use in the tenant.
fn associations(cx: &Cx<'_>, to: &str, list: fn(&Company) -> &Vec<String>) -> Result<Response, Refusal> {
    let id = cx.number(0)?;
    let tenant = &*cx.desk.tenant;
    let found = tenant.company(id).ok_or_else(|| Refusal::not_found("Company", id))?;
    let company = json!({"id": id, "identifier": found.identifier, "name": found.name});
    let known = names(tenant, list);
    let tied = (1..).zip(&known).filter(|(_, name)| list(found).contains(name));
    let row = |(n, name): (i64, &String)| json!({"id": id * 100 + n, to: {"id": n, "name": name}, "company": company});
    cx.listed(tied.map(row).collect(), &["id", to, "company"])
}

fn names(tenant: &Tenant, list: fn(&Company) -> &Vec<String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for name in tenant.companies.iter().flat_map(list) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    names
}

fn field(row: usize, f: &Field) -> Value {
    let option = |(n, text): (usize, &String)| {
        json!({"id": n + 1, "optionValue": text, "defaultFlag": n == 0, "inactiveFlag": false,
            "sortOrder": n})
    };
    let options: Vec<Value> = f.options.iter().enumerate().map(option).collect();
    json!({
        "id": f.id, "podId": 4, "podDescription": "Service Ticket", "caption": f.caption,
        "sequenceNumber": row + 1, "screenId": "sr100", "screenDescription": "Service Ticket",
        "fieldTypeIdentifier": f.kind, "numberDecimals": 0, "entryTypeIdentifier": f.entry,
        "requiredFlag": false, "displayOnScreenFlag": true, "readOnlyFlag": false,
        "listViewFlag": false, "options": options, "businessUnitIds": [], "locationIds": [],
        "connectWiseID": f.guid.to_string(), "dateCreated": to_seconds_text(f.created_ms),
        "_info": {},
    })
}
