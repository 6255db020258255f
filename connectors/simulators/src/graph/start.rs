//! Starting the simulator. Setting a tenant up is in `setup`.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};

use rustls::ServerConfig;
use serde_json::json;

use super::mint::{Mint, fresh_seed};
use super::options::Knobs;
use super::service::Service;
use super::state::World;
use crate::clock::SimClock;
use crate::fault::{Act, Faults};
use crate::server::{self, Running};

/// What a simulated directory needs to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where to listen; port 0 picks one.
    pub bind: SocketAddr,
    /// `None` serves plain HTTP, for loopback only.
    pub tls: Option<Arc<ServerConfig>>,
    /// The host name in [`Graph::base_url`], in next links and in the assertion's audience.
    pub host: String,
    /// The directory's clock.
    pub clock: SimClock,
    /// Behaviours to begin with.
    pub knobs: Knobs,
    /// A fixed seed makes every id of a run repeatable.
    pub seed: Option<u64>,
}

impl Options {
    /// Plain HTTP on a free loopback port.
    pub fn new(clock: SimClock) -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            host: Ipv4Addr::LOCALHOST.to_string(),
            clock,
            knobs: Knobs::default(),
            seed: None,
        }
    }
}

/// A running directory. Clones share it; the server stops with the last of them.
#[derive(Debug, Clone)]
pub struct Graph {
    pub(super) service: Service,
    base_url: String,
    _running: Arc<Running>,
}

impl Graph {
    /// Starts the server, without any tenant.
    ///
    /// # Errors
    /// When the address cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let world = World {
            base_url: String::new(),
            tenants: BTreeMap::new(),
            registrations: BTreeMap::new(),
            tokens: BTreeMap::new(),
            knobs: options.knobs,
            events: Vec::new(),
            writes: Vec::new(),
            sign_ins: Vec::new(),
            spent: BTreeMap::new(),
            units_spent: 0,
            mint: Mint::new(options.seed.unwrap_or_else(fresh_seed)),
        };
        let service = Service { world: Arc::new(Mutex::new(world)), clock: options.clock, faults: Faults::default() };
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let door = service.clone();
        let handler = server::handler(move |request| {
            let door = door.clone();
            async move { door.answer(request).await }
        });
        let running = server::serve(options.bind, options.tls, handler).await?;
        let base_url = format!("{scheme}://{}:{}", options.host, running.addr.port());
        service.lock().base_url.clone_from(&base_url);
        Ok(Self { service, base_url, _running: Arc::new(running) })
    }

    /// Scheme, host and port, without a slash at the end: the Graph host.
    pub fn base_url(&self) -> &str {
        &self.base_url
    }

    /// The authority host, which is the same server.
    pub fn authority(&self) -> &str {
        &self.base_url
    }

    /// Misbehaviour on request, and the log of calls. Operations are named as in
    /// `"PATCH /users/{id}"` and `"POST /{tenant}/oauth2/v2.0/token"`.
    pub fn faults(&self) -> &Faults {
        &self.service.faults
    }

    /// Turns behaviours while the directory runs.
    pub fn knobs(&self, turn: impl FnOnce(&mut Knobs)) {
        turn(&mut self.service.lock().knobs);
    }
}

/// The vendor's 429 for [`Fault`](crate::fault::Fault)s; `None` leaves `Retry-After` out, as the
/// vendor sometimes does.
pub fn throttled(retry_after_s: Option<u64>) -> Act {
    Act::Answer {
        status: 429,
        retry_after: retry_after_s,
        body: json!({"error": {
            "code": "TooManyRequests",
            "message": "Too many requests",
            "innerError": {
                "date": "2026-09-01T10:00:00",
                "request-id": "40cceaa0-fba4-495a-82d8-23d2eec3177e",
                "client-request-id": "40cceaa0-fba4-495a-82d8-23d2eec3177e",
            },
        }}),
    }
}
