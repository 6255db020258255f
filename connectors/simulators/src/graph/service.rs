//! The door: one request in, one response out. Tokens, throttling, headers and the envelope live
//! here; what an operation does lives with its module.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::answer::{Answer, Refusal, Reply, Stamp};
use super::ask::Ask;
use super::authz::Caller;
use super::batch;
use super::events::Write;
use super::routes::{self, Route};
use super::state::{Spent, World};
use super::time::{Ms, SECOND};
use super::token::{self, Aadsts, Form};
use super::turn::Turn;
use crate::clock::{SimClock, http_date};
use crate::fault::{Call, Faults};
use crate::server::{Answer as Sent, Request, Response};

const TOKEN: &str = "POST /{tenant}/oauth2/v2.0/token";
const OPENID: &str = "GET /{tenant}/v2.0/.well-known/openid-configuration";
const BATCH: &str = "POST /$batch";
const UNKNOWN: &str = "unknown";

/// The directory behind its lock, with its clock and its faults.
#[derive(Clone)]
pub(super) struct Service {
    pub(super) world: Arc<Mutex<World>>,
    pub(super) clock: SimClock,
    pub(super) faults: Faults,
}

/// The world holds credentials and pass codes; none of it is printed.
impl fmt::Debug for Service {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Service").field("clock", &self.clock).finish_non_exhaustive()
    }
}

impl Service {
    /// A panic in a test's hook must not take the directory down with it.
    pub(super) fn lock(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The world after time has done its work, and the present.
    pub(super) fn settled(&self) -> (MutexGuard<'_, World>, Ms) {
        let now = self.clock.now_ms();
        let mut world = self.lock();
        world.settle(now);
        (world, now)
    }

    pub(super) async fn answer(&self, request: Request) -> Sent {
        let call = Call {
            op: op(&request),
            method: request.method.clone(),
            path: request.path.clone(),
            query: request.query.clone(),
            body_json: request.json(),
        };
        self.faults.around(&self.clock, call, || self.respond(&request)).await
    }

    fn respond(&self, request: &Request) -> Response {
        let (mut world, now) = self.settled();
        match op(request) {
            TOKEN => token_response(&mut world, request, now),
            OPENID => openid_response(&mut world, request, now),
            _ => graph_response(&mut world, request, now),
        }
    }
}

/// The operation a request names, before anything about it is checked.
fn op(request: &Request) -> &'static str {
    let segments: Vec<&str> = request.segments.iter().map(String::as_str).collect();
    match (request.method.as_str(), segments.as_slice()) {
        ("POST", [_, "oauth2", "v2.0", "token"]) => TOKEN,
        ("GET", [_, "v2.0", ".well-known", "openid-configuration"]) => OPENID,
        ("POST", ["v1.0" | "beta", "$batch"]) => BATCH,
        _ => routes::find(&ask(request)).map_or(UNKNOWN, |route| route.op),
    }
}

fn ask(request: &Request) -> Ask {
    let headers: BTreeMap<String, String> = request
        .headers
        .iter()
        .filter_map(|(name, value)| Some((name.as_str().to_owned(), value.to_str().ok()?.to_owned())))
        .collect();
    Ask::new(&request.method, &request.path, &request.raw_query, headers, request.body.to_vec())
}

fn token_response(world: &mut World, request: &Request, now: Ms) -> Response {
    let tenant = request.segments[0].as_str();
    let form = request.form();
    let answer = token::issue(world, tenant, &Form(&form), now);
    authority_response(world, answer, request, now)
}

fn openid_response(world: &mut World, request: &Request, now: Ms) -> Response {
    let answer = token::openid_configuration(world, &request.segments[0]);
    authority_response(world, answer, request, now)
}

fn authority_response(world: &mut World, answer: Result<Value, Aadsts>, request: &Request, now: Ms) -> Response {
    let trace = world.mint.guid();
    let correlation = request
        .header("client-request-id")
        .or(request.query("client-request-id"))
        .map_or_else(|| world.mint.guid(), ToOwned::to_owned);
    let response = match answer {
        Ok(body) => Response::json(200, &body),
        Err(refused) => Response::json(refused.status, &refused.body(now, &trace, &correlation)),
    };
    response
        .with_header("Cache-Control", "no-store, no-cache")
        .with_header("Pragma", "no-cache")
        .with_header("Date", http_date(now + world.knobs.date_off_ms))
        .with_header("client-request-id", correlation)
        .with_header("x-ms-request-id", trace)
}

fn graph_response(world: &mut World, request: &Request, now: Ms) -> Response {
    let ask = ask(request);
    let request_id = world.mint.guid();
    let client_request_id = ask.header("client-request-id").unwrap_or(&request_id);
    let stamp = Stamp { now, client_request_id: client_request_id.to_owned(), request_id };
    let reply = if op(request) == BATCH {
        let run = |part: &Ask| one(world, part, &stamp);
        batch::run(&ask, run).unwrap_or_else(|refusal| refusal.into_reply(&stamp))
    } else {
        one(world, &ask, &stamp)
    };
    to_http(reply, &stamp, now + world.knobs.date_off_ms)
}

/// One operation, alone or as a part of a batch.
fn one(world: &mut World, ask: &Ask, stamp: &Stamp) -> Reply {
    let units = routes::find(ask).map_or(1, |route| route.units(ask));
    if let Some(route) = routes::find(ask).filter(|_| ask.method != "GET") {
        let enables = ask.object().ok().and_then(|body| body.get("accountEnabled")?.as_bool());
        let is_urgent = ask.header("x-ms-throttle-priority") == Some("high");
        world.writes.push(Write { op: route.op, enables, is_urgent });
    }
    let mut reply = run(world, ask, stamp.now, units).unwrap_or_else(|refusal| refusal.into_reply(stamp));
    if reply.status != 401 {
        reply.headers.push(("x-ms-resource-unit", units.to_string()));
    }
    reply
}

fn run(world: &mut World, ask: &Ask, now: Ms, units: u32) -> Answer {
    let caller = authenticate(world, ask, now)?;
    spend(world, &caller, units, now)?;
    let Route { run, .. } = routes::find(ask).ok_or_else(|| {
        let last = ask.segments.first().cloned().unwrap_or_default();
        Refusal::no_segment(&last)
    })?;
    run(&mut Turn { world, caller, ask, now })
}

fn authenticate(world: &World, ask: &Ask, now: Ms) -> Result<Caller, Refusal> {
    let text = ask
        .header("authorization")
        .and_then(|value| value.strip_prefix("Bearer "))
        .filter(|text| !text.is_empty())
        .ok_or_else(|| Refusal::invalid_token("Access token is empty."))?;
    let token = world
        .tokens
        .get(text)
        .ok_or_else(|| Refusal::invalid_token("CompactToken parsing failed with error code: 80049217"))?;
    let is_gone = world.tenants.get(&token.tenant).is_none_or(|tenant| tenant.is_deleted);
    if token.expires_at <= now || is_gone {
        let message = "Access token has expired or is not yet valid.";
        return Err(Refusal::invalid_token(message));
    }
    Ok(Caller::from(token))
}

/// Takes the cost out of the application's bucket in this tenant.
fn spend(world: &mut World, caller: &Caller, units: u32, now: Ms) -> Result<(), Refusal> {
    let Some(throttle) = world.knobs.throttle else {
        world.units_spent += u64::from(units);
        return Ok(());
    };
    let bucket = (caller.client_id.clone(), caller.tenant.clone());
    // Counted in units times the window, so that what has come back in a millisecond is a whole number.
    let (window, whole) = (throttle.window_ms, i64::from(throttle.units));
    let bucket = world.spent.entry(bucket).or_insert(Spent { until: now, owed: 0 });
    bucket.owed = (bucket.owed - (now - bucket.until).max(0) * whole).max(0);
    bucket.until = now;
    let owed = bucket.owed + i64::from(units) * window;
    if owed <= whole * window {
        bucket.owed = owed;
        world.units_spent += u64::from(units);
        return Ok(());
    }
    let wait = ((owed - whole * window + whole - 1) / whole.max(1)).max(1);
    let scope = format!("Tenant_Application/ReadWrite/{}/{}", caller.client_id, caller.tenant);
    let refusal = Refusal::new(429, "TooManyRequests", "Too many requests")
        .header("x-ms-throttle-scope", scope)
        .header("x-ms-throttle-information", "ResourceUnitLimitExceeded".into());
    Err(if throttle.sends_retry_after {
        let seconds = (wait + SECOND - 1) / SECOND;
        refusal.header("Retry-After", seconds.to_string())
    } else {
        refusal
    })
}

fn to_http(reply: Reply, stamp: &Stamp, date: Ms) -> Response {
    let response = match &reply.body {
        Some(body) => Response::bytes(
            reply.status,
            "application/json;odata.metadata=minimal;odata.streaming=true;IEEE754Compatible=false;charset=utf-8",
            body.to_string(),
        ),
        None => Response::empty(reply.status),
    };
    let mut response = response
        .with_header("request-id", stamp.request_id.clone())
        .with_header("client-request-id", stamp.client_request_id.clone())
        .with_header("Date", http_date(date))
        .with_header("OData-Version", "4.0")
        .with_header("Strict-Transport-Security", "max-age=31536000");
    for (name, value) in reply.headers {
        response = response.with_header(name, value);
    }
    response
}
