//! ConnectWise PSA (formerly Manage), played from its documents: one host with one or more login
//! companies, REST, signed callbacks, and ordinary people at work in it.
//!
//! [`ConnectWise::start`] gives a running server and a handle to it. [`Tenant`] sets a login
//! company up and reads it back; [`Actor`] does what a member does in the user interface.
//!
//! Not played: projects, time entries, mail, the hosted pages, SOAP. Of the rights within a tenant
//! only those are played that an integration is given or refused as a whole.

mod actor;
mod api;
mod behaviour;
mod callbacks;
mod conditions;
mod control;
mod control_tables;
mod delivery;
mod desk;
mod documents;
mod envelope;
mod errors;
mod keys;
mod matching;
mod new_ticket;
mod notes;
mod paging;
mod patch;
mod people;
mod rights;
mod state;
mod tables;
mod tickets;
mod values;
mod view;

use std::fmt;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::ServerConfig;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::authority::Authority;
use crate::clock::{SimClock, http_date};
use crate::fault::{Call, Faults};
use crate::server::{self, Answer, Request, Response, Running};

pub use actor::{Actor, Refused, Tab};
pub use behaviour::Behaviour;
pub use control::{ApiCredentials, FieldKind, Tenant};
pub use delivery::{Delivery, SIGNATURE_HEADER};
pub use envelope::{DeliveryRules, KeyUrl, Signature};
pub use keys::{Key, KeyEndpoint, Rotation, signature};
pub use new_ticket::NewTicket;
pub use notes::NoteWithoutFlag;
pub use rights::{Level, MySecurity, Verb};
pub use tables::AuditOrder;

use api::Target;
use delivery::{Parcel, PostOffice};
use envelope::SendingDesk;
use state::Host;
use view::Links;

/// How to start.
#[derive(Clone)]
pub struct Options {
    bind: SocketAddr,
    tls: Option<Arc<ServerConfig>>,
    trust_pem: Option<String>,
    site_host: String,
    codebase: String,
    clock: SimClock,
}

impl Options {
    /// TLS by `authority`, on a free port of loopback, called `localhost`. Callbacks to https are
    /// delivered where `authority` vouches for the receiver.
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
            site_host: "localhost".to_owned(),
            codebase: "v2025_1/".to_owned(),
            clock,
        }
    }

    #[must_use]
    pub fn bind(mut self, addr: SocketAddr) -> Self {
        self.bind = addr;
        self
    }

    /// The host name in links, key URLs and `FromUrl`. A name other than `localhost` or
    /// `127.0.0.1` needs a certificate of its own: see [`Options::tls`].
    #[must_use]
    pub fn site_host(mut self, name: &str) -> Self {
        self.site_host = name.to_owned();
        self
    }

    #[must_use]
    pub fn tls(mut self, config: Arc<ServerConfig>) -> Self {
        self.tls = Some(config);
        self
    }
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Options({}, {})", self.bind, self.site_host)
    }
}

/// A running ConnectWise. Clones share it; the last one to go stops it.
#[derive(Clone)]
pub struct ConnectWise {
    shared: Arc<Shared>,
    _life: Arc<Life>,
}

struct Shared {
    host: Mutex<Host>,
    behaviour: Mutex<Behaviour>,
    clock: SimClock,
    faults: Faults,
    post: PostOffice,
    site_host: String,
    /// Set once the port is known.
    site: Mutex<String>,
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

impl ConnectWise {
    /// Starts with no login company; see [`ConnectWise::add_tenant`].
    ///
    /// # Errors
    /// When the address cannot be bound or the CA cannot be read.
    pub async fn start(options: Options) -> io::Result<Self> {
        let client = delivery::client(options.trust_pem.as_deref()).map_err(io::Error::other)?;
        let (post, parcels) = PostOffice::new();
        let shared = Arc::new(Shared {
            host: Mutex::new(Host { tenants: Vec::new(), codebase: options.codebase }),
            behaviour: Mutex::default(),
            clock: options.clock,
            faults: Faults::default(),
            post,
            site_host: options.site_host,
            site: Mutex::default(),
        });
        let serving = shared.clone();
        let handler = server::handler(move |request| answer(serving.clone(), request));
        let scheme = if options.tls.is_some() { "https" } else { "http" };
        let server = server::serve(options.bind, options.tls, handler).await?;
        let addr = server.addr;
        *lock(&shared.site) = format!("{scheme}://{}:{}", shared.site_host, addr.port());
        let sending = tokio::spawn(send_all(shared.clone(), client, parcels));
        Ok(Self { shared, _life: Arc::new(Life { addr, _server: server, sending }) })
    }

    /// The origin, such as `https://localhost:40123`.
    pub fn base_url(&self) -> String {
        lock(&self.shared.site).clone()
    }

    /// `localhost:40123`.
    pub fn site(&self) -> String {
        format!("{}:{}", self.shared.site_host, self.addr().port())
    }

    pub fn addr(&self) -> SocketAddr {
        self._life.addr
    }

    /// The faults and the call log of the REST side.
    pub fn faults(&self) -> &Faults {
        &self.shared.faults
    }

    pub fn behave(&self, change: impl FnOnce(&mut Behaviour)) {
        change(&mut lock(&self.shared.behaviour));
    }

    /// The cloud is upgraded: from now on the old dated codebase answers 404. With the slash at
    /// the end: `v2025_2/`.
    pub fn set_codebase(&self, codebase: &str) {
        lock(&self.shared.host).codebase = codebase.to_owned();
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
        self.shared.post.release(false);
    }

    /// Sends what was held, last first, and stops holding.
    pub fn release_reversed(&self) {
        self.shared.post.release(true);
    }

    /// Sends a past delivery again, byte for byte; `false` when there is none of that number.
    pub fn replay(&self, n: usize) -> bool {
        self.shared.post.replay(n)
    }

    /// Every delivery sent so far, oldest first.
    pub fn deliveries(&self) -> Vec<Delivery> {
        self.shared.post.log()
    }

    /// Messages that wait for a release.
    pub fn held(&self) -> usize {
        self.shared.post.held()
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

impl fmt::Debug for ConnectWise {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ConnectWise({})", self.base_url())
    }
}

impl Shared {
    fn links(&self) -> Links {
        Links { site: lock(&self.site).clone(), codebase: lock(&self.host).codebase.clone() }
    }
}

async fn answer(shared: Arc<Shared>, request: Request) -> Answer {
    let links = shared.links();
    let behaviour = lock(&shared.behaviour).clone();
    let (op, target) = api::route(&request, &links.codebase);
    if let (Target::CallbackKey, KeyEndpoint::Slow(ms)) = (&target, &behaviour.key_endpoint) {
        tokio::time::sleep(Duration::from_millis(*ms)).await;
    }
    let call = Call {
        op,
        method: request.method.clone(),
        path: request.path.clone(),
        query: request.query.clone(),
        body_json: request.json(),
    };
    let effect = || {
        let mut outbox = Vec::new();
        let now = shared.clock.now_ms();
        let answer = {
            let mut host = lock(&shared.host);
            api::run(&mut host, &request, target, (&links, now), &behaviour, &mut outbox)
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
        let desk = SendingDesk {
            client: &client,
            host: &shared.host,
            links: shared.links(),
            from_url: &shared.site_host,
            now_ms: shared.clock.now_ms(),
        };
        shared.post.send(parcel, &desk).await;
    }
}

/// A panic elsewhere leaves data, not a reason to stop.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
