//! From a request to an endpoint: the route table, who is asking, and what an endpoint is given.
//!
//! The table below is everything that is played; its texts are also the operation names that
//! faults and the call log use.

use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::desk::Desk;
use super::envelope::Message;
use super::errors::Refusal;
use super::paging::{self, Query};
use super::state::{Host, Ticket};
use super::view::Links;
use super::{callbacks, documents, keys, notes, people, rights, tables, tickets};
use crate::server::{Request, Response};

type Endpoint = fn(&mut Cx<'_>) -> Result<Response, Refusal>;

/// Fixed paths stand before paths with a placeholder in the same place.
const ROUTES: &[(&str, Endpoint)] = &[
    ("GET /service/tickets", tickets::list),
    ("POST /service/tickets", tickets::create),
    ("GET /service/tickets/count", tickets::count),
    ("POST /service/tickets/search", tickets::search),
    ("GET /service/tickets/{id}", tickets::get),
    ("PATCH /service/tickets/{id}", tickets::patch),
    ("DELETE /service/tickets/{id}", tickets::delete),
    ("POST /service/tickets/{id}/merge", tickets::merge),
    ("GET /service/tickets/{id}/notes", notes::list),
    ("POST /service/tickets/{id}/notes", notes::create),
    ("GET /service/tickets/{id}/notes/{noteId}", notes::get),
    ("PATCH /service/tickets/{id}/notes/{noteId}", notes::patch),
    ("PUT /service/tickets/{id}/notes/{noteId}", notes::put),
    ("DELETE /service/tickets/{id}/notes/{noteId}", notes::delete),
    ("GET /service/tickets/{id}/allNotes", notes::all),
    ("GET /service/boards", tables::boards),
    ("GET /service/boards/count", tables::board_count),
    ("GET /service/boards/{id}", tables::one_board),
    ("GET /service/boards/{id}/statuses", tables::statuses),
    ("GET /service/boards/{id}/statuses/{statusId}", tables::one_status),
    ("GET /service/boards/{id}/types", tables::kinds),
    ("GET /service/sources", tables::sources),
    ("GET /company/companies", tables::companies),
    ("GET /company/companies/count", tables::company_count),
    ("GET /company/companies/types", tables::company_types),
    ("GET /company/companies/{id}", tables::one_company),
    ("GET /company/companies/{id}/typeAssociations", tables::company_type_associations),
    ("GET /company/companies/{id}/groups", tables::company_groups),
    ("GET /system/documents", documents::list),
    ("POST /system/documents", documents::create),
    ("GET /system/documents/{id}", documents::get),
    ("GET /system/documents/{id}/download", documents::download),
    ("GET /system/members", people::list),
    ("GET /system/members/count", people::count),
    ("GET /system/members/{id}", people::get),
    ("GET /system/apiMembers", people::api_members),
    ("GET /system/mymembers", people::me),
    ("GET /system/mymembers/info", people::me),
    ("GET /system/mySecurity", rights::mine),
    ("GET /system/info", tables::info),
    ("GET /system/userDefinedFields", tables::fields),
    ("GET /system/userDefinedFields/{id}", tables::one_field),
    ("GET /system/audittrail", tables::audit_trail),
    ("GET /system/callbacks", callbacks::list),
    ("POST /system/callbacks", callbacks::create),
    ("GET /system/callbacks/count", callbacks::count),
    ("GET /system/callbacks/{id}", callbacks::get),
    ("PUT /system/callbacks/{id}", callbacks::put),
    ("PATCH /system/callbacks/{id}", callbacks::patch),
    ("DELETE /system/callbacks/{id}", callbacks::delete),
];

/// The release name that always works.
const EVERGREEN: &str = "v4_6_release";

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    CompanyInfo(String),
    CallbackKey,
    /// With its name in the table.
    Endpoint(&'static str, Endpoint, Vec<String>),
    /// The path exists, the method does not.
    WrongMethod,
    Nowhere,
}

/// Finds the target and its operation name. `codebase` is the current one, such as `v2025_1/`.
pub(super) fn route(request: &Request, codebase: &str) -> (&'static str, Target) {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let is = |text: &str, other: &str| text.eq_ignore_ascii_case(other);
    let current = |first: &str| is(first, EVERGREEN) || is(first, codebase.trim_matches('/'));
    match segments.as_slice() {
        [a, b, company] if is(a, "login") && is(b, "companyinfo") && request.method == "GET" => {
            ("GET /login/companyinfo/{company}", Target::CompanyInfo((*company).to_owned()))
        }
        [first, a, b, c]
            if current(first)
                && is(a, "system")
                && is(b, "callbackkey")
                && is(c, "index.rails")
                && request.method == "GET" =>
        {
            ("GET /system/callbackkey/index.rails", Target::CallbackKey)
        }
        [first, a, b, rest @ ..] if current(first) && is(a, "apis") && is(b, "3.0") => endpoint(&request.method, rest),
        _ => ("unknown", Target::Nowhere),
    }
}

fn endpoint(method: &str, path: &[&str]) -> (&'static str, Target) {
    let mut path_exists = false;
    for (op, endpoint) in ROUTES {
        let Some((wanted, template)) = op.split_once(' ') else { continue };
        let Some(params) = captured(template, path) else { continue };
        if wanted == method {
            return (op, Target::Endpoint(op, *endpoint, params));
        }
        path_exists = true;
    }
    ("unknown", if path_exists { Target::WrongMethod } else { Target::Nowhere })
}

/// The values of a template's placeholders when the path fits it, whatever its case.
fn captured(template: &str, path: &[&str]) -> Option<Vec<String>> {
    let parts: Vec<&str> = template.split('/').filter(|p| !p.is_empty()).collect();
    if parts.len() != path.len() {
        return None;
    }
    let mut params = Vec::new();
    for (part, segment) in parts.iter().zip(path) {
        if part.starts_with('{') {
            params.push((*segment).to_owned());
        } else if !part.eq_ignore_ascii_case(segment) {
            return None;
        }
    }
    Some(params)
}

/// What an endpoint works with: a desk in the caller's tenant, and the request.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    pub(super) desk: Desk<'a>,
    pub(super) request: &'a Request,
    /// The placeholders of the path, in order.
    pub(super) params: Vec<String>,
    /// The absolute URL of the request without its query.
    pub(super) here: String,
    pub(super) settings: &'a Behaviour,
}

impl Cx<'_> {
    /// The placeholder as a number; text in its place names no endpoint.
    pub(super) fn number(&self, at: usize) -> Result<i64, Refusal> {
        self.params.get(at).and_then(|p| p.parse().ok()).ok_or_else(Refusal::no_endpoint)
    }

    /// The ticket of the first placeholder.
    pub(super) fn ticket(&self) -> Result<Ticket, Refusal> {
        let id = self.number(0)?;
        let ticket = self.desk.tenant.tickets.get(&id).cloned();
        ticket.ok_or_else(|| Refusal::not_found("Ticket", id))
    }

    /// Filters, sorts and pages.
    pub(super) fn listed(&self, all: Vec<Value>, known: &[&str]) -> Result<Response, Refusal> {
        let items = paging::select(all, &Query::of(self.request), known)?;
        paging::page(items, self.request, &self.here)
    }
}

/// Runs a request against the host. The messages it owes are put into `outbox`.
pub(super) fn run(
    host: &mut Host,
    request: &Request,
    target: Target,
    at: (&Links, i64),
    settings: &Behaviour,
    outbox: &mut Vec<Message>,
) -> Result<Response, Refusal> {
    let (links, now) = at;
    let (op, endpoint, params) = match target {
        Target::CompanyInfo(company) => return Ok(company_info(host, &company)),
        Target::CallbackKey => {
            if settings.key_needs_login {
                people::authenticate(host, request, None)?;
            }
            return Ok(keys::serve(host, request, &settings.key_endpoint));
        }
        Target::Nowhere => return Err(Refusal::no_endpoint()),
        Target::WrongMethod => return Err(Refusal::wrong_method(&request.method)),
        Target::Endpoint(op, endpoint, params) => (op, endpoint, params),
    };
    let caller = people::authenticate(host, request, settings.no_client_id)?;
    let tenant = host.tenant_mut(&caller.company_id).ok_or_else(Refusal::not_authenticated)?;
    tenant.rights.allow(op)?;
    let saver = tenant.saver(&caller.identifier);
    let here = format!("{}{}", links.site, request.path);
    let desk = Desk { tenant, saver, now, links, outbox };
    let answer = endpoint(&mut Cx { desk, request, params, here, settings })?;
    Ok(answer.with_header("api-current-version", "2025.16"))
}

/// Needs no login; an unknown company is `null`.
fn company_info(host: &Host, company: &str) -> Response {
    let version = host.codebase.trim_end_matches('/').replacen('_', ".", 1);
    let body = host.tenant(company).map_or(Value::Null, |tenant| {
        json!({
            "CompanyName": tenant.name, "Codebase": host.codebase, "VersionCode": version,
            "VersionNumber": "v4.6.99999", "CompanyID": tenant.company_id, "IsCloud": true,
        })
    });
    Response::json(200, &body)
}
