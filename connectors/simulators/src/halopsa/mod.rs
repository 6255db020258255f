//! HaloPSA (and HaloITSM, which is the same code), played from its documents: one instance with its token endpoint, its
//! REST surface, its unsigned webhooks, and ordinary people at work in it.
//!
//! [`HaloPsa::start`] gives a running server and a handle to it, which also sets the instance up and reads it back;
//! [`Actor`] does what somebody does in the user interface.
//!
//! Not played: approvals, projects, assets, agreements, mail, runbooks beyond their rows, the portal's pages, and lists of
//! actions by date.

mod actions;
mod actor;
mod api;
mod behaviour;
mod control;
mod delivery;
mod desk;
mod envelope;
mod errors;
mod notifications;
mod state;
mod tables;
mod tickets;
mod token;
mod values;
mod view;
mod webhooks;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::authority::Authority;
use crate::clock::{SimClock, http_date};
use crate::fault::{Call, Faults};
use crate::server::{self, Answer, Request, Response, Running};

pub use actor::{Actor, Refused};
pub use behaviour::{Behaviour, Closing};
pub use control::{ApiCredentials, FieldKind, NewTicket};
pub use delivery::{Delivery, basic};
pub use envelope::{DeliveryRules, Payload};

use delivery::{Parcel, PostOffice};
use state::Instance;

/// How to start.
#[derive(Clone)]
pub struct Options {
    bind: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    trust_pem: Option<String>,
    tenant: String,
    base: String,
    clock: SimClock,
}

impl Options {
    /// TLS by `authority`, on a free port of loopback, called `localhost`. Webhooks to https are delivered where
    /// `authority` vouches for the receiver.
    pub fn secure(authority: &Authority, clock: SimClock) -> Self {
        Self {
            tls: Some(authority.server_config(&[])),
            trust_pem: Some(authority.ca_pem().to_owned()),
            ..Self::plain(clock)
        }
    }

    /// Plain http, for clients that cannot be told whom to trust.
    pub fn plain(clock: SimClock) -> Self {
        Self {
            bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            tls: None,
            trust_pem: None,
            tenant: "acme".to_owned(),
            base: String::new(),
            clock,
        }
    }

    #[must_use]
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.bind = addr;
        self
    }

    /// The tenant's name; `acme` by default.
    #[must_use]
    pub fn tenant(mut self, name: &str) -> Self {
        self.tenant = name.to_owned();
        self
    }

    /// One path segment before `/api` and `/auth`, as on premises.
    #[must_use]
    pub fn below(mut self, segment: &str) -> Self {
        self.base = segment.trim_matches('/').to_owned();
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({}, {})", self.bind, self.tenant)
    }
}

/// A running Halo. Clones share it; the last one to go stops it.
#[derive(Clone)]
pub struct HaloPsa {
    shared: Arc<Shared>,
    life: Arc<Life>,
}

struct Shared {
    instance: Mutex<Instance>,
    behaviour: Mutex<Behaviour>,
    clock: SimClock,
    faults: Faults,
    post: PostOffice,
    base: String,
    /// Set once the port is known.
    here: Mutex<String>,
}

struct Life {
    addr: SocketAddr,
    _server: Running,
    sending: JoinHandle<()>,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.sending.abort();
    }
}

impl HaloPsa {
    /// Starts with what the vendor ships: three statuses, three actions, the agent that stands for nobody.
    ///
    /// # Errors
    /// When the address cannot be bound or the CA cannot be read.
    pub async fn start(options: Options) -> io::Result<Self> {
        let client = delivery::client(options.trust_pem.as_deref()).map_err(io::Error::other)?;
        let (post, parcels) = PostOffice::new();
        let shared = Arc::new(Shared {
            instance: Mutex::new(control::fresh(&options.tenant)),
            behaviour: Mutex::default(),
            clock: options.clock,
            faults: Faults::default(),
            post,
            base: options.base,
            here: Mutex::default(),
        });
        let serving = shared.clone();
        let handler = server::handler(move |request| answer(serving.clone(), request));
        let (scheme, host) = if options.tls.is_some() { ("https", "localhost") } else { ("http", "127.0.0.1") };
        let server = server::serve(options.bind, options.tls, handler).await?;
        let addr = server.addr;
        let below = if shared.base.is_empty() { String::new() } else { format!("/{}", shared.base) };
        *lock(&shared.here) = format!("{scheme}://{host}:{}{below}", addr.port());
        let sending = tokio::spawn(send_all(shared.clone(), client, parcels));
        Ok(Self { shared, life: Arc::new(Life { addr, _server: server, sending }) })
    }

    /// The origin with the base path, such as `https://localhost:40123/halo`.
    pub fn base_url(&self) -> String {
        lock(&self.shared.here).clone()
    }

    pub fn addr(&self) -> SocketAddr {
        self.life.addr
    }

    /// The faults and the call log.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.behaviour));
    }

    pub fn set_delivery(&self, change: impl FnOnce(&mut DeliveryRules)) {
        self.shared.post.change_rules(change);
    }

    /// Back to prompt delivery of one envelope each. What is held stays held.
    pub fn reset_delivery(&self) {
        self.set_delivery(|rules| *rules = DeliveryRules::default());
    }

    /// Sends what was held, in order, and stops holding.
    pub fn release(&self) {
        self.shared.post.release(false);
    }

    /// Sends what was held, last first, and stops holding.
    pub fn release_reversed(&self) {
        self.shared.post.release(true);
    }

    /// A person sends a past delivery again from the log, byte for byte; `false` when there is none of that number.
    pub fn replay(&self, n: usize) -> bool {
        self.shared.post.replay(n)
    }

    /// Every delivery sent so far, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.post.log()
    }

    /// Messages that were lost on request.
    pub fn lost(&self) -> usize {
        self.shared.post.lost()
    }

    /// Waits until every queued delivery has been answered or has failed.
    pub async fn settled(&self) {
        self.shared.post.settled().await;
    }
}

impl fmt::Debug for HaloPsa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HaloPsa({})", self.base_url())
    }
}

async fn answer(shared: Arc<Shared>, request: Request) -> Answer {
    let here = lock(&shared.here).clone();
    let behaviour = lock(&shared.behaviour).clone();
    let (op, target) = api::route(&request, &shared.base);
    let call = Call {
        op,
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        body_json: request.json(),
    };
    let effect = || {
        let mut outbox = Vec::new();
        let (now, log) = (shared.clock.now_ms(), shared.post.log());
        let answer = {
            let mut inst = lock(&shared.instance);
            api::run(&mut inst, &request, target, (&here, now), &behaviour, &log, &mut outbox)
        };
        shared.post.post(outbox);
        answer.unwrap_or_else(Response::from)
    };
    let answer = shared.faults.around(&shared.clock, call, effect).await;
    let date = http_date(shared.clock.now_ms() + behaviour.date_off_s * 1000);
    match answer {
        Answer::Respond(response) => Answer::Respond(response.with_header("Date", date)),
        reset @ Answer::Reset => reset,
    }
}

async fn send_all(shared: Arc<Shared>, client: reqwest::Client, mut parcels: mpsc::UnboundedReceiver<Parcel>) {
    while let Some(parcel) = parcels.recv().await {
        shared.post.send(parcel, &client, &shared.instance, shared.clock.now_ms()).await;
    }
}

/// A panic elsewhere leaves data, not a reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
