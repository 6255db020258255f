//! From a request to an endpoint: the route table, who is asking, what that costs, and what an endpoint is given.
//!
//! The table below is everything that is played; its texts are also the operation names that faults and the call log
//! use. Paths and query names are compared without case; a query name that is not known is ignored, as the vendor does.

use serde_json::{Value, json};

use super::behaviour::Behaviour;
use super::delivery::Delivery;
use super::desk::{Desk, Saver};
use super::envelope::Message;
use super::errors::Refusal;
use super::state::{Instance, Token};
use super::values::{Row, with_text_ids};
use super::{actions, notifications, tables, tickets, token, webhooks};
use crate::server::{Request, Response};

type Endpoint = fn(&mut Cx<'_>) -> Result<Response, Refusal>;

/// What opens an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Needs {
    /// Nothing: asked before signing in.
    Nothing,
    /// A token of whatever scope; the agent's role decides.
    Token,
    /// This permission.
    Scope(&'static str),
}

use Needs::{Nothing, Scope, Token as Signed};

const READ: Needs = Scope("read:tickets");
const EDIT: Needs = Scope("edit:tickets");
const CUSTOMERS: Needs = Scope("read:customers");

/// Fixed paths stand before paths with a placeholder in the same place.
const ROUTES: &[(&str, Needs, Endpoint)] = &[
    ("GET /authinfo", Nothing, token::info),
    ("GET /InstanceInfo", Nothing, token::instance),
    ("GET /Tickets", READ, tickets::list),
    ("POST /Tickets", EDIT, tickets::post),
    ("GET /Tickets/{id}", READ, tickets::get),
    ("DELETE /Tickets/{id}", EDIT, tickets::delete),
    ("GET /Actions", READ, actions::list),
    ("POST /Actions", EDIT, actions::post),
    ("GET /Actions/{id}", READ, actions::get),
    ("DELETE /Actions/{id}", EDIT, actions::delete),
    ("POST /Attachment", EDIT, actions::attach),
    ("GET /Status", READ, tables::statuses),
    ("GET /TicketType", READ, tables::types),
    ("GET /Team", READ, tables::teams),
    ("GET /Outcome", READ, tables::outcomes),
    ("GET /Priority", READ, tables::priorities),
    ("GET /FieldInfo", READ, tables::fields),
    ("GET /FieldInfo/{id}", READ, tables::one_field),
    ("GET /Lookup", Signed, tables::lookup),
    ("GET /Agent", Signed, tables::agents),
    ("GET /Agent/me", Signed, tables::me),
    ("GET /Agent/{id}", Signed, tables::one_agent),
    ("GET /Client", CUSTOMERS, tables::clients),
    ("GET /Site", CUSTOMERS, tables::sites),
    ("GET /Users", CUSTOMERS, tables::users),
    ("GET /TicketApproval", READ, tables::approvals),
    ("GET /Webhook", Signed, webhooks::list),
    ("POST /Webhook", Signed, webhooks::post),
    ("GET /Webhook/{id}", Signed, webhooks::get),
    ("DELETE /Webhook/{id}", Signed, webhooks::delete),
    ("GET /WebhookEvent", Signed, webhooks::log),
    ("GET /Notification", Signed, notifications::list),
    ("POST /Notification", Signed, notifications::post),
    ("GET /Notification/{id}", Signed, notifications::get),
    ("DELETE /Notification/{id}", Signed, notifications::delete),
];

/// The vendor's fair use is counted over this time.
const WINDOW_MS: i64 = 300_000;

/// Where a request goes.
#[derive(Debug, Clone)]
pub(super) enum Target {
    Token,
    Metadata,
    Endpoint(Needs, Endpoint, Vec<String>),
    Nowhere,
}

/// Finds the target and its operation name below `base`, such as `""` or `"halo"`.
pub(super) fn route(request: &Request, base: &str) -> (&'static str, Target) {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    let is = |text: &str, other: &str| text.eq_ignore_ascii_case(other);
    let below = match segments.split_first() {
        Some((first, rest)) if !base.is_empty() && is(first, base) => rest,
        _ if base.is_empty() => &segments[..],
        _ => return ("unknown", Target::Nowhere),
    };
    match below {
        [a, b] if is(a, "auth") && is(b, "token") && request.method == "POST" => ("POST /auth/token", Target::Token),
        [a, b, c] if is(a, "auth") && is(b, ".well-known") && is(c, "openid-configuration") => {
            ("GET /auth/.well-known/openid-configuration", Target::Metadata)
        }
        [a, rest @ ..] if is(a, "api") => endpoint(&request.method, rest),
        _ => ("unknown", Target::Nowhere),
    }
}

fn endpoint(method: &str, path: &[&str]) -> (&'static str, Target) {
    for (op, needs, endpoint) in ROUTES {
        let Some((wanted, template)) = op.split_once(' ') else { continue };
        if wanted == method
            && let Some(params) = captured(template, path)
        {
            return (op, Target::Endpoint(*needs, *endpoint, params));
        }
    }
    ("unknown", Target::Nowhere)
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

/// What an endpoint works with.
#[derive(Debug)]
pub(super) struct Cx<'a> {
    pub(super) desk: Desk<'a>,
    pub(super) request: &'a Request,
    pub(super) params: Vec<String>,
    /// The origin with the base path, such as `http://127.0.0.1:4000/halo`.
    pub(super) here: &'a str,
    pub(super) log: &'a [Delivery],
}

impl Cx<'_> {
    /// The placeholder as a number; what is none names no record.
    pub(super) fn number(&self) -> Result<i64, Refusal> {
        let text = self.params.first().map(String::as_str).unwrap_or_default();
        text.parse().map_err(|_| Refusal::exception(400, "The request is invalid."))
    }

    /// A query value as a number; anything else counts as not given.
    pub(super) fn query_int(&self, name: &str) -> Option<i64> {
        self.request.query(name)?.trim().parse().ok()
    }

    /// `true`, `True`, `1`.
    pub(super) fn asks(&self, name: &str) -> bool {
        self.request.query(name).is_some_and(|v| v.eq_ignore_ascii_case("true") || v == "1")
    }

    /// The records that were posted: an array and nothing else.
    pub(super) fn rows(&self) -> Result<Vec<Row>, Refusal> {
        let Some(Value::Array(list)) = self.request.json() else { return Err(Refusal::not_an_array()) };
        list.into_iter()
            .map(|row| match row {
                Value::Object(row) => Ok(row),
                _ => Err(Refusal::not_an_array()),
            })
            .collect()
    }

    /// The answer to a post: of several records the last one, unless all are asked for.
    pub(super) fn posted(&self, mut made: Vec<Value>) -> Response {
        let behaviour = self.desk.behaviour;
        let body = match self.asks("returnall") || behaviour.answers_arrays {
            true => Value::Array(made),
            false => made.pop().unwrap_or(Value::Null),
        };
        self.json(201, body)
    }

    pub(super) fn json(&self, status: u16, mut body: Value) -> Response {
        if self.desk.behaviour.ids_are_strings {
            with_text_ids(&mut body);
        }
        Response::json(status, &body)
    }

    /// `{"record_count": …, "tickets": […]}`, one page of it where paging is asked for.
    pub(super) fn paged(&self, key: &str, mut rows: Vec<Value>) -> Response {
        let total = rows.len();
        if !self.asks("pageinate") {
            let count = self.query_int("count").and_then(|n| usize::try_from(n).ok()).unwrap_or(total);
            rows.truncate(count);
            return self.json(200, json!({"record_count": rows.len(), key: rows}));
        }
        let size = self.query_int("page_size").and_then(|n| usize::try_from(n).ok()).filter(|n| *n > 0).unwrap_or(50);
        let page = self.query_int("page_no").filter(|n| *n > 0).unwrap_or(1);
        let skipped = if self.desk.behaviour.ignores_paging { 0 } else { (page as usize - 1) * size };
        let rows: Vec<Value> = rows.into_iter().skip(skipped).take(size).collect();
        self.json(200, json!({"page_no": page, "page_size": size, "record_count": total, key: rows}))
    }
}

/// Runs a request against the instance. The deliveries it owes are put into `outbox`.
pub(super) fn run(
    inst: &mut Instance,
    request: &Request,
    target: Target,
    at: (&str, i64),
    behaviour: &Behaviour,
    log: &[Delivery],
    outbox: &mut Vec<Message>,
) -> Result<Response, Refusal> {
    let (here, now) = at;
    let (needs, endpoint, params) = match target {
        Target::Token => return token::issue(inst, request, behaviour, now),
        Target::Metadata => return Ok(token::metadata(here)),
        Target::Nowhere => return Err(Refusal::no_endpoint()),
        Target::Endpoint(needs, endpoint, params) => (needs, endpoint, params),
    };
    let saver = match needs {
        Nothing => Saver::default(),
        _ => {
            let caller = token::caller(inst, request, now)?;
            spend(inst, behaviour, now)?;
            allow(&caller, needs)?;
            saver(inst, &caller)?
        }
    };
    let desk = Desk { inst, saver, now, behaviour, outbox };
    endpoint(&mut Cx { desk, request, params, here, log })
}

/// The agent of the application, while it may sign in.
fn saver(inst: &Instance, caller: &Token) -> Result<Saver, Refusal> {
    let agent = inst.agent(caller.agent).filter(|a| !a.is_disabled).ok_or(Refusal::Empty(403))?;
    Ok(Saver { agent: agent.id, user: 0, application: caller.client_id.clone(), name: agent.name.clone() })
}

fn allow(caller: &Token, needs: Needs) -> Result<(), Refusal> {
    let Scope(scope) = needs else { return Ok(()) };
    // Who may edit may read.
    let wider = scope.replacen("read:", "edit:", 1);
    let has = |name: &str| caller.scopes.contains(name);
    if has("all") || has("admin") || has(scope) || has(&wider) { Ok(()) } else { Err(Refusal::Empty(403)) }
}

/// One call of the instance's budget.
fn spend(inst: &mut Instance, behaviour: &Behaviour, now: i64) -> Result<(), Refusal> {
    inst.requests.retain(|at| *at > now - WINDOW_MS);
    if inst.requests.len() >= behaviour.budget {
        let oldest = inst.requests.first().copied().unwrap_or(now);
        let wait = u64::try_from((oldest + WINDOW_MS - now + 999) / 1000).unwrap_or(1);
        return Err(Refusal::TooMany(behaviour.says_retry_after.then_some(wait)));
    }
    inst.requests.push(now);
    Ok(())
}
