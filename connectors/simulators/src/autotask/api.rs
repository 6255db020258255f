//! From a request to an endpoint: the route table, who is asking, the vendor's limits, and what an endpoint is given.
//!
//! The table below is everything that is played; its texts are also the operation names that faults and the call log use.

use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::desk::{self, Desk, Saver};
use super::errors::Refusal;
use super::paging::{self, Query};
use super::post_office::Event;
use super::state::State;
use super::{metadata, notes, tickets, webhooks};
use crate::server::{Request, Response};

type Endpoint = fn(&mut Cx<'_>) -> Result<Value, Refusal>;

/// Fixed paths stand before paths with a placeholder in the same place.
const ROUTES: &[(&str, Endpoint)] = &[
    ("GET /Version", version),
    ("GET /ThresholdInformation", threshold),
    ("POST /Tickets", tickets::create),
    ("PATCH /Tickets", tickets::patch),
    ("GET /Tickets/query", query),
    ("POST /Tickets/query", query),
    ("GET /Tickets/query/count", count),
    ("POST /Tickets/query/count", count),
    ("GET /Tickets/query/next", next),
    ("POST /Tickets/query/next", next),
    ("GET /Tickets/entityInformation", info),
    ("GET /Tickets/entityInformation/fields", fields),
    ("GET /Tickets/entityInformation/userDefinedFields", udfs),
    ("GET /Tickets/{id}", item),
    ("GET /Tickets/{id}/Notes", notes::of_ticket),
    ("POST /Tickets/{id}/Notes", notes::create),
    ("PATCH /Tickets/{id}/Notes", notes::patch),
    ("POST /TicketNotes/query", query),
    ("POST /TicketNotes/query/next", next),
    ("GET /TicketNotes/entityInformation", info),
    ("GET /TicketNotes/entityInformation/fields", fields),
    ("GET /TicketNotes/{id}", item),
    ("POST /TicketHistory/query", history),
    ("GET /Resources/query", query),
    ("POST /Resources/query", query),
    ("POST /Resources/query/next", next),
    ("GET /Resources/entityInformation", info),
    ("GET /Resources/entityInformation/fields", fields),
    ("GET /Resources/{id}", item),
    ("GET /Companies/query", query),
    ("POST /Companies/query", query),
    ("POST /Companies/query/next", next),
    ("GET /Companies/entityInformation", info),
    ("GET /Companies/{id}", item),
    ("POST /TicketWebhooks", webhooks::create),
    ("PATCH /TicketWebhooks", webhooks::patch),
    ("POST /TicketWebhooks/query", query),
    ("POST /TicketWebhooks/query/next", next),
    ("GET /TicketWebhooks/entityInformation", info),
    ("GET /TicketWebhooks/{id}", item),
    ("DELETE /TicketWebhooks/{id}", webhooks::delete),
    ("GET /TicketWebhooks/{id}/Fields", webhooks::fields),
    ("POST /TicketWebhooks/{id}/Fields", webhooks::add_field),
    ("PATCH /TicketWebhooks/{id}/Fields", webhooks::change_field),
    ("DELETE /TicketWebhooks/{id}/Fields/{childId}", webhooks::delete_field),
    ("GET /TicketWebhooks/{id}/UdfFields", webhooks::udfs),
    ("POST /TicketWebhooks/{id}/UdfFields", webhooks::add_udf),
    ("PATCH /TicketWebhooks/{id}/UdfFields", webhooks::change_udf),
    ("DELETE /TicketWebhooks/{id}/UdfFields/{childId}", webhooks::delete_udf),
    ("GET /TicketWebhooks/{id}/ExcludedResources", webhooks::excluded),
    ("POST /TicketWebhooks/{id}/ExcludedResources", webhooks::exclude),
    ("DELETE /TicketWebhooks/{id}/ExcludedResources/{childId}", webhooks::include),
    ("GET /TicketWebhookFields/entityInformation/fields", fields),
    ("GET /TicketWebhookUdfFields/entityInformation/fields", fields),
    ("POST /WebhookEventErrorLogs/query", query),
    ("DELETE /WebhookEventErrorLogs/{id}", webhooks::delete_log),
];

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Zone,
    Versions,
    Endpoint(&'static str, Endpoint, Vec<String>),
    /// The path exists, the method does not.
    WrongVerb,
    Nowhere,
}

/// Finds the target and its operation name, whatever the case of the path.
pub(super) fn route(request: &Request) -> (&'static str, Target) {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let is = |text: &str, other: &str| text.eq_ignore_ascii_case(other);
    match segments.as_slice() {
        [a, b] if is(a, "ATServicesRest") && is(b, "VersionInformation") => {
            ("GET /VersionInformation", Target::Versions)
        }
        [a, v, b] if is(a, "ATServicesRest") && is(v, "V1.0") && is(b, "zoneInformation") => {
            ("GET /zoneInformation", Target::Zone)
        }
        [a, v, rest @ ..] if is(a, "ATServicesRest") && is(v, "V1.0") => endpoint(&request.method, rest),
        _ => ("unknown", Target::Nowhere),
    }
}

fn endpoint(method: &str, path: &[&str]) -> (&'static str, Target) {
    let mut path_exists = false;
    for (op, endpoint) in ROUTES {
        let Some((verb, template)) = op.split_once(' ') else { continue };
        let Some(params) = captured(template, path) else { continue };
        if verb == method {
            return (op, Target::Endpoint(op, *endpoint, params));
        }
        path_exists = true;
    }
    ("unknown", if path_exists { Target::WrongVerb } else { Target::Nowhere })
}

/// The values of a template's placeholders when the path fits it. A placeholder is a number.
fn captured(template: &str, path: &[&str]) -> Option<Vec<String>> {
    let parts: Vec<&str> = template.split('/').filter(|part| !part.is_empty()).collect();
    if parts.len() != path.len() {
        return None;
    }
    let mut params = Vec::new();
    for (part, segment) in parts.iter().zip(path) {
        if part.starts_with('{') {
            segment.parse::<i64>().ok()?;
            params.push((*segment).to_owned());
        } else if !part.eq_ignore_ascii_case(segment) {
            return None;
        }
    }
    Some(params)
}

/// What an endpoint works with.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    pub(super) desk: Desk<'a>,
    pub(super) op: &'static str,
    pub(super) request: &'a Request,
    /// The placeholders of the path, in order.
    pub(super) params: Vec<i64>,
    /// The origin, such as `https://localhost:40123`.
    pub(super) site: &'a str,
}

impl Cx<'_> {
    pub(super) fn body(&self) -> Result<Value, Refusal> {
        let clash = || Refusal::said("Unexpected character encountered while parsing value: the body is not JSON.");
        self.request.json().filter(Value::is_object).ok_or_else(clash)
    }

    fn entity(&self) -> &'static str {
        let path = self.op.split(' ').nth(1).unwrap_or_default();
        path.trim_start_matches('/').split('/').next().unwrap_or_default()
    }

    /// Every record of the entity, as REST shows it.
    fn rows(&self) -> Vec<Value> {
        let state = &*self.desk.state;
        let all = |table: &super::state::Table| table.values().cloned().map(Value::Object).collect();
        match self.entity() {
            "Tickets" => {
                let ids: Vec<i64> = state.tickets.keys().copied().collect();
                ids.into_iter().filter_map(|id| desk::shown(state, self.desk.settings, id)).collect()
            }
            "TicketNotes" => all(&state.notes),
            "Resources" => {
                let is_seen = |id: &i64| self.desk.settings.sees_itself || *id != state.api_resource;
                let seen = state.resources.iter().filter(|(id, _)| is_seen(id));
                seen.map(|(_, row)| Value::Object(row.clone())).collect()
            }
            "Companies" => all(&state.companies),
            "TicketWebhooks" => state.webhooks.keys().filter_map(|id| webhooks::shown(state, *id)).collect(),
            "WebhookEventErrorLogs" => all(&state.error_log),
            _ => vec![],
        }
    }
}

fn item(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let wanted = cx.params[0];
    match cx.rows().into_iter().find(|row| row["id"] == wanted) {
        None if cx.desk.settings.missing_is_404 => Err(Refusal::With(404, "No matching records found.".to_owned())),
        found => Ok(json!({ "item": found })),
    }
}

/// The query of a GET stands in its URL.
fn asked(cx: &Cx<'_>) -> Result<Value, Refusal> {
    if cx.request.method == "GET" {
        let search = cx.request.query("search").unwrap_or_default();
        return serde_json::from_str(search).map_err(|_| Refusal::said("The search parameter is not JSON."));
    }
    match cx.request.body.is_empty() {
        true => Err(Refusal::said("Value cannot be null. Parameter name: filters")),
        false => cx.body(),
    }
}

fn query(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let query = Query::read(&asked(cx)?)?;
    query.page(&cx.rows(), i64::MIN, &format!("{}{}", cx.site, cx.request.path))
}

fn count(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let query = Query::read(&asked(cx)?)?;
    Ok(json!({"queryCount": query.count(&cx.rows())?}))
}

/// The next page is asked for with the verb and the body of the first.
fn next(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    if cx.request.method == "GET" && cx.request.query("search").is_none() {
        return Err(Refusal::WrongVerb("GET".to_owned()));
    }
    let query = Query::read(&asked(cx)?)?;
    let after = paging::after(cx.request.query("paging").unwrap_or_default())?;
    let here = format!("{}{}", cx.site, cx.request.path.trim_end_matches("/next"));
    query.page(&cx.rows(), after, &here)
}

/// Exactly one condition, on the ticket's number.
fn history(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let query = Query::read(&asked(cx)?)?;
    match query.filters().only() {
        Some((field, op, _)) if field.eq_ignore_ascii_case("ticketID") && op == "eq" => {}
        _ => return Err(Refusal::said("TicketHistory can be queried by ticketID alone.")),
    }
    let rows: Vec<Value> = cx.desk.state.history.values().cloned().map(Value::Object).collect();
    query.page(&rows, i64::MIN, &format!("{}{}", cx.site, cx.request.path))
}

fn info(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    metadata::info(cx.entity())
}

fn fields(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    metadata::fields(cx.desk.state, cx.entity())
}

fn udfs(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    Ok(metadata::udfs(cx.desk.state))
}

fn version(_: &mut Cx<'_>) -> Result<Value, Refusal> {
    Ok(json!({"majorVersion": "2026", "minorVersion": "3", "build": "1.0", "customerType": "Live"}))
}

fn threshold(cx: &mut Cx<'_>) -> Result<Value, Refusal> {
    let spent = spent(cx.desk.state);
    Ok(json!({"externalRequestThreshold": cx.desk.settings.calls_per_hour, "requestThresholdTimeframe": 60,
        "currentTimeframeRequestCount": spent}))
}

fn spent(state: &State) -> u32 {
    u32::try_from(state.calls.len()).unwrap_or(u32::MAX).saturating_add(state.calls_of_others)
}

/// The zone of a user, for anybody who asks.
fn zone(state: &State, request: &Request, site: &str) -> Result<Value, Refusal> {
    if request.query("user") != Some(state.user.as_str()) {
        return Err(Refusal::said("Zone information could not be determined"));
    }
    Ok(
        json!({"zoneName": "Played", "url": format!("{site}/ATServicesRest/"), "webUrl": format!("{site}/"), "ci": 632_538}),
    )
}

/// All three headers, or nothing.
fn authenticate(state: &State, request: &Request) -> Result<Saver, Refusal> {
    let is = |name: &str, own: &str| request.header(name) == Some(own) && !own.is_empty();
    if !is("ApiIntegrationCode", &state.code) || !is("UserName", &state.user) || !is("Secret", &state.secret) {
        return Err(Refusal::Unauthorized);
    }
    let me = state.api_resource;
    let Some(other) = request.header("ImpersonationResourceId") else {
        return Ok(Saver { resource: Some(me), ..Saver::default() });
    };
    match other.parse::<i64>().ok().filter(|id| state.impersonable.contains(id)) {
        Some(other) => Ok(Saver { resource: Some(other), impersonator: Some(me), contact: None }),
        None => Err(Refusal::no_permission()),
    }
}

/// Runs a request. The callouts it owes are put into `outbox`.
pub(super) fn run(
    state: &mut State,
    settings: &Behaviour,
    request: &Request,
    target: Target,
    at: (&str, i64),
    outbox: &mut Vec<Event>,
) -> Result<Response, Refusal> {
    let (site, now) = at;
    let (op, endpoint, params) = match target {
        Target::Zone => return Ok(Response::json(200, &zone(state, request, site)?)),
        Target::Versions => return Ok(Response::json(200, &json!({"apiVersions": ["1.0"]}))),
        Target::Nowhere => return Err(Refusal::NoRoute),
        Target::WrongVerb => return Err(Refusal::WrongVerb(request.method.clone())),
        Target::Endpoint(op, endpoint, params) => (op, endpoint, params),
    };
    let saver = authenticate(state, request)?;
    state.calls.retain(|at| now - at < 3_600_000);
    if op != "GET /ThresholdInformation" {
        if spent(state) >= settings.calls_per_hour {
            return Err(Refusal::hourly(settings.limit_status));
        }
        state.calls.push(now);
    }
    let params = params.iter().filter_map(|param| param.parse().ok()).collect();
    let desk = Desk { state, settings, saver, now, outbox };
    let answer = endpoint(&mut Cx { desk, op, request, params, site })?;
    Ok(Response::json(200, &answer))
}
