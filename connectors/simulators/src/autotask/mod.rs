//! Autotask PSA (Datto, Kaseya), played from its documents: one tenant with its zone, REST, signed callouts by the vendor's
//! delivery rules, and ordinary people at work in it.
//!
//! [`Autotask::start`] gives a running server and a handle to it, which also sets the tenant up and reads it back;
//! [`Actor`] does what a resource or a contact does in the vendor's pages.
//!
//! Not played: attachments, time entries, checklists, contacts by REST, LiveLinks, SOAP, other entities' webhooks.

mod actor;
mod api;
mod behaviour;
mod control;
mod delivery;
mod desk;
mod envelope;
mod errors;
mod filter;
mod metadata;
mod notes;
mod paging;
mod post_office;
mod state;
mod tickets;
mod webhooks;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustls::ServerConfig;
use tokio::task::JoinHandle;

use crate::authority::Authority;
use crate::clock::{SimClock, http_date};
use crate::fault::{Call, Faults};
use crate::server::{self, Answer, Request, Response, Running};

pub use actor::Actor;
pub use behaviour::{Behaviour, HistoryText, NoUdfs, Reactivation, UdfPlace, Values};
pub use control::{API_USER, ApiCredentials, PERSON, Refused};
pub use envelope::{SIGNATURE_HEADER, signature};
pub use post_office::{Delivery, DeliveryRules, Signature};

use errors::Refusal;
use post_office::PostOffice;
use state::State;

/// How to start.
#[derive(Clone)]
pub struct Options {
    bind: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    trust_pem: Option<String>,
    clock: SimClock,
}

impl Options {
    /// TLS by `authority`, on a free port of loopback, called `localhost`. Callouts to https are delivered where `authority`
    /// vouches for the receiver.
    pub fn secure(authority: &Authority, clock: SimClock) -> Self {
        Self {
            tls: Some(authority.server_config(&[])),
            trust_pem: Some(authority.ca_pem().to_owned()),
            ..Self::plain(clock)
        }
    }

    /// Plain http, for clients that cannot be told whom to trust.
    pub fn plain(clock: SimClock) -> Self {
        Self { bind: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), tls: None, trust_pem: None, clock }
    }

    #[must_use]
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.bind = addr;
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({})", self.bind)
    }
}

/// A running Autotask. Clones share it; the last one to go stops it.
#[derive(Clone)]
pub struct Autotask {
    shared: Arc<Shared>,
    life: Arc<Life>,
}

struct Shared {
    state: Mutex<State>,
    settings: Mutex<Behaviour>,
    clock: SimClock,
    faults: Faults,
    post: PostOffice,
    /// Set once the port is known.
    site: Mutex<String>,
    /// Calls under way, by endpoint.
    threads: Mutex<BTreeMap<String, usize>>,
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

impl Autotask {
    /// Starts with an empty tenant and the vendor's picklists.
    ///
    /// # Errors
    /// When the address cannot be bound or the CA cannot be read.
    pub async fn start(options: Options) -> io::Result<Self> {
        let client = delivery::client(options.trust_pem.as_deref()).map_err(io::Error::other)?;
        let shared = Arc::new(Shared {
            state: Mutex::new(State { picklists: control::lists(), ..State::default() }),
            settings: Mutex::default(),
            clock: options.clock,
            faults: Faults::default(),
            post: PostOffice::default(),
            site: Mutex::default(),
            threads: Mutex::default(),
        });
        let serving = shared.clone();
        let handler = server::handler(move |request| answer(serving.clone(), request));
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let server = server::serve(options.bind, options.tls, handler).await?;
        let addr = server.addr;
        *lock(&shared.site) = format!("{scheme}://localhost:{}", addr.port());
        let sending = tokio::spawn(delivery::send_all(shared.clone(), client));
        Ok(Self { shared, life: Arc::new(Life { addr, _server: server, sending }) })
    }

    /// The origin, such as `https://localhost:40123`.
    pub fn base_url(&self) -> String {
        lock(&self.shared.site).clone()
    }

    pub fn addr(&self) -> SocketAddr {
        self.life.addr
    }

    /// The faults and the call log of the REST side.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.settings));
    }

    pub fn set_delivery(&self, change: impl FnOnce(&mut DeliveryRules)) {
        self.shared.post.change_rules(change);
    }

    /// Back to honest, prompt delivery. What is held stays held.
    pub fn reset_delivery(&self) {
        self.set_delivery(|rules| *rules = DeliveryRules::default());
    }

    /// Sends what was held, in order, and stops holding.
    pub fn release(&self) {
        self.shared.post.release(false, self.shared.clock.now_ms());
    }

    /// Sends what was held, last first, and stops holding.
    pub fn release_reversed(&self) {
        self.shared.post.release(true, self.shared.clock.now_ms());
    }

    /// Sends a past delivery again, byte for byte; `false` when there is none of that number.
    pub fn replay(&self, n: usize) -> bool {
        self.shared.post.replay(n, self.shared.clock.now_ms())
    }

    /// Every try so far, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.post.log()
    }

    /// Events that wait for a release.
    pub fn held(&self) -> usize {
        self.shared.post.held()
    }

    /// Events that were lost on request.
    pub fn lost(&self) -> usize {
        self.shared.post.lost()
    }

    /// Waits until every event that is due has been answered or has failed.
    pub async fn settled(&self) {
        delivery::settled(&self.shared).await;
    }
}

impl fmt::Debug for Autotask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Autotask({})", self.base_url())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    fn settings(&self) -> Behaviour {
        lock(&self.settings).clone()
    }

    /// One more call at this endpoint; `None` when the vendor allows no more. What the vendor does not count has no name.
    fn enter(self: &Arc<Self>, endpoint: String, most: usize) -> Option<Turn> {
        let mut threads = lock(&self.threads);
        let under_way = threads.entry(endpoint.clone()).or_insert(0);
        if *under_way >= most && !endpoint.is_empty() {
            return None;
        }
        *under_way += 1;
        drop(threads);
        Some(Turn { shared: self.clone(), endpoint })
    }
}

/// One thread at one endpoint.
struct Turn {
    shared: Arc<Shared>,
    endpoint: String,
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(under_way) = lock(&self.shared.threads).get_mut(&self.endpoint) {
            *under_way -= 1;
        }
    }
}

async fn answer(shared: Arc<Shared>, request: Request) -> Answer {
    let site = lock(&shared.site).clone();
    let settings = shared.settings();
    let (op, target) = api::route(&request);
    // Finding a zone is not counted.
    let endpoint = match op.split(' ').nth(1) {
        Some(path) if path != "/zoneInformation" => path.trim_start_matches('/').split('/').next().unwrap_or_default(),
        _ => "",
    };
    let turn = shared.enter(endpoint.to_owned(), settings.threads);
    let call = Call {
        op,
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        body_json: request.json(),
    };
    let effect = || {
        if turn.is_none() {
            return Refusal::threads(settings.limit_status).into();
        }
        let mut outbox = Vec::new();
        let now = shared.clock.now_ms();
        let answer = {
            let mut state = shared.state();
            api::run(&mut state, &settings, &request, target, (&site, now), &mut outbox)
        };
        shared.post.post(outbox, now);
        answer.unwrap_or_else(Response::from)
    };
    let answer = shared.faults.around(&shared.clock, call, effect).await;
    drop(turn);
    let date = http_date(shared.clock.now_ms() + settings.date_off_s * 1000);
    match answer {
        Answer::Respond(response) => Answer::Respond(response.with_header("Date", date)),
        reset @ Answer::Reset => reset,
    }
}

/// A panic elsewhere leaves data, not a reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
