//! The one way out: an HTTP client that is bounded in time, size and number of calls, follows no
//! redirect, speaks TLS (plain HTTP to loopback alone), and keeps a share free for removals.

mod budget;
mod quota;
mod resolver;

use std::{net::IpAddr, sync::Arc, time::Duration};

use reqwest::{
    Response, StatusCode,
    header::{DATE, RETRY_AFTER},
    redirect::Policy,
};
use serde::de::DeserializeOwned;
use url::Url;

use crate::{CallError, Clock, ConnectionId, Timestamp, text::one_line};
use budget::Budget;
pub use budget::{Limits, Share, Urgency};
pub use quota::Quota;

/// The largest answer that is read; a longer one is an error, not a truncation.
pub const MAX_ANSWER_BYTES: usize = 4 * 1024 * 1024;

/// Where a connection's hosts may lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    /// Public addresses only: a name that resolves to a private one is refused after resolving.
    #[default]
    Public,
    /// The operator named a host on a private network (on-premises PSA, simulator).
    Private,
}

/// What an [`Outside`] needs to be built.
#[derive(Debug, Clone)]
pub struct OutsideSettings {
    /// Whose calls these are; a label of metrics and logs.
    pub connection: ConnectionId,
    /// The vendor; a label of metrics.
    pub vendor: &'static str,
    /// Public or private addresses.
    pub network: Network,
    /// Extra roots in PEM, for on-premises servers with their own CA.
    pub ca_pem: Option<String>,
    /// The whole call, from connect to the last byte.
    pub timeout: Duration,
}

/// Why a client could not be built, or a URL not be used.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The CA file holds no certificate.
    #[error("the CA file of connection {0} is not PEM with at least one certificate")]
    BadCa(ConnectionId),
    /// Not https, and not loopback.
    #[error("{0} must use https (plain http is for loopback alone)")]
    Plain(String),
    /// User information, query or fragment in a base URL.
    #[error("{0} must be a plain base URL: no user, no query, no fragment")]
    NotABase(String),
    /// A private address where only public ones are allowed.
    #[error("{0} is a private address; set network = \"private\" on this connection if that is meant")]
    Private(String),
    /// The TLS stack refused.
    #[error("the HTTP client could not be built")]
    Client(#[source] reqwest::Error),
}

/// A vendor's HTTP surface as one connection uses it.
#[derive(Debug, Clone)]
pub struct Outside {
    client: reqwest::Client,
    clock: Arc<dyn Clock>,
    budget: Arc<Budget>,
    connection: ConnectionId,
    vendor: &'static str,
    max_answer: usize,
}

/// A whole answer, already read and bounded.
#[derive(Debug)]
pub struct Answer {
    /// The call, as vendor method and path template.
    pub op: &'static str,
    /// HTTP status.
    pub status: StatusCode,
    /// Headers.
    pub headers: reqwest::header::HeaderMap,
    /// The body, at most [`MAX_ANSWER_BYTES`] or what [`Outside::answers_up_to`] allows.
    pub body: Vec<u8>,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Errors
    /// [`CallError::Malformed`] when it is not, or has another shape.
    pub fn json<T: DeserializeOwned>(&self) -> Result<T, CallError> {
        serde_json::from_slice(&self.body).map_err(|e| CallError::malformed(self.op, e))
    }

    /// `Retry-After` in seconds, capped at an hour. Dates are not sent by our vendors.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        let text = self.headers.get(RETRY_AFTER)?.to_str().ok()?;
        text.trim().parse::<u64>().ok().map(|s| Duration::from_secs(s.min(3600)))
    }

    /// The vendor's clock as it answered; `None` where it does not tell.
    #[must_use]
    pub fn date(&self) -> Option<Timestamp> {
        let text = self.headers.get(DATE)?.to_str().ok()?;
        let at = time::OffsetDateTime::parse(text.trim(), &time::format_description::well_known::Rfc2822).ok()?;
        at.unix_timestamp().checked_mul(1000).map(Timestamp::from_millis)
    }

    /// The error every vendor shares: throttling and server trouble are transient, 401 is ours to mend.
    /// `code` is the vendor's own, as found in the body.
    #[must_use]
    pub fn error(&self, code: &str) -> CallError {
        let code = one_line(code, 120);
        match self.status.as_u16() {
            408 | 425 | 429 | 500..=599 => CallError::Transient {
                op: self.op,
                retry_after: self.retry_after(),
                cause: format!("HTTP {} {code}", self.status.as_u16()).into(),
            },
            401 => CallError::Unauthorized { op: self.op, code },
            status => CallError::Refused { op: self.op, status, code },
        }
    }
}

impl Outside {
    /// Builds the client. Needs a process-wide rustls provider to be installed.
    ///
    /// # Errors
    /// [`SetupError`] for a CA file without certificates or a TLS stack that refuses.
    pub fn new(settings: &OutsideSettings, clock: Arc<dyn Clock>) -> Result<Self, SetupError> {
        let mut builder = reqwest::Client::builder()
            .redirect(Policy::none())
            .no_proxy()
            .connect_timeout(Duration::from_secs(3).min(settings.timeout))
            .timeout(settings.timeout)
            .pool_idle_timeout(Duration::from_secs(60))
            .user_agent(concat!("latchkey/", env!("CARGO_PKG_VERSION")));
        if settings.network == Network::Public {
            builder = builder.dns_resolver(resolver::PublicOnly);
        }
        if let Some(pem) = &settings.ca_pem {
            let bad = || SetupError::BadCa(settings.connection.clone());
            let roots = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(|_| bad())?;
            if roots.is_empty() {
                return Err(bad());
            }
            builder = builder.tls_certs_merge(roots);
        }
        Ok(Self {
            client: builder.build().map_err(SetupError::Client)?,
            clock,
            budget: Arc::new(Budget::new(Limits::default())),
            connection: settings.connection.clone(),
            vendor: settings.vendor,
            max_answer: MAX_ANSWER_BYTES,
        })
    }

    /// The same client with a smaller largest answer, in bytes.
    #[must_use]
    pub fn answers_up_to(mut self, bytes: usize) -> Self {
        self.max_answer = bytes.min(MAX_ANSWER_BYTES);
        self
    }

    /// The same client within the vendor's own limits. Clones made before are not bound by them.
    #[must_use]
    pub fn within(mut self, limits: Limits) -> Self {
        self.budget = Arc::new(Budget::new(limits));
        self
    }

    /// Holds back everything but removals for so long: for a vendor that throttles in its own words.
    /// Where it was a removal that was told so, the others ask every two seconds until one goes through.
    pub fn hold_back(&self, urgency: Urgency, wait: Duration) {
        self.budget.hold_back(urgency, self.clock.now() + wait);
    }

    /// The vendor's own count of the calls in the span of [`Limits::in_time`], everybody's together.
    pub fn told_spent(&self, calls: u32) {
        self.budget.told(calls, self.clock.monotonic());
    }

    /// Starts a request; it is sent by [`Outside::send`].
    pub fn request(&self, method: reqwest::Method, url: Url) -> reqwest::RequestBuilder {
        self.client.request(method, url)
    }

    /// Sends one request and reads the whole answer. Any status is an answer; only the network is an error here.
    ///
    /// `op` is the vendor's method and path template (`"PATCH /users/{id}"`): a label, never a real path.
    /// A 429 or 503 with `Retry-After` holds back everything but removals on this connection for that time; where it answered
    /// a removal, the others ask every two seconds until one goes through.
    ///
    /// # Errors
    /// [`CallError::Transient`] for network trouble, timeouts, and when the connection is held back or full;
    /// [`CallError::Malformed`] for an answer above [`MAX_ANSWER_BYTES`] (or [`Outside::answers_up_to`]).
    pub async fn send(
        &self,
        op: &'static str,
        urgency: Urgency,
        request: reqwest::RequestBuilder,
    ) -> Result<Answer, CallError> {
        let _permit = self.budget.enter(op, urgency, self.clock.as_ref()).await?;
        let started = self.clock.monotonic();
        let result = read(op, request, self.max_answer).await;
        let took = self.clock.monotonic().saturating_sub(started);
        let status = match &result {
            Ok(answer) => answer.status.as_u16().to_string(),
            Err(CallError::Malformed { .. }) => "malformed".to_owned(),
            Err(_) => "unreached".to_owned(),
        };
        metrics::counter!("provider_calls_total", "vendor" => self.vendor, "op" => op, "status" => status.clone())
            .increment(1);
        metrics::histogram!("provider_seconds", "vendor" => self.vendor, "op" => op).record(took.as_secs_f64());
        tracing::debug!(connection = %self.connection, op, status, duration_ms = took.as_millis(), "outside call");
        if let Ok(answer) = &result {
            match answer.status.as_u16() {
                429 | 503 => self.hold_back(urgency, answer.retry_after().unwrap_or(Duration::from_secs(2))),
                _ => self.budget.went_through(urgency),
            }
        }
        result
    }
}

/// Checks a base URL from configuration and gives it a trailing slash, so that joining appends.
///
/// # Errors
/// [`SetupError::Plain`] for http to anything but loopback, [`SetupError::NotABase`] for extras,
/// [`SetupError::Private`] for a private address literal on a connection to public hosts.
pub fn base_url(mut url: Url, network: Network) -> Result<Url, SetupError> {
    let literal = match url.host() {
        Some(url::Host::Ipv4(ip)) => Some(IpAddr::V4(ip)),
        Some(url::Host::Ipv6(ip)) => Some(IpAddr::V6(ip)),
        _ => None,
    };
    if network == Network::Public && literal.is_some_and(|ip| !resolver::is_public(ip)) {
        return Err(SetupError::Private(url.host_str().unwrap_or_default().to_owned()));
    }
    let is_loopback = match url.host() {
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        Some(url::Host::Domain(name)) => name == "localhost",
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return Err(SetupError::Plain(url.to_string()));
    }
    let has_extras = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if has_extras || url.fragment().is_some() {
        return Err(SetupError::NotABase(url.host_str().unwrap_or_default().to_owned()));
    }
    if !url.path().ends_with('/') {
        let path = format!("{}/", url.path());
        url.set_path(&path);
    }
    Ok(url)
}

async fn read(op: &'static str, request: reqwest::RequestBuilder, max: usize) -> Result<Answer, CallError> {
    let lost = |e: reqwest::Error| CallError::Transient { op, retry_after: None, cause: Box::new(e.without_url()) };
    let mut response: Response = request.send().await.map_err(lost)?;
    let (status, headers) = (response.status(), response.headers().clone());
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(lost)? {
        if body.len() + chunk.len() > max {
            return Err(CallError::malformed(op, "the answer is larger than this call allows"));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Answer { op, status, headers, body })
}
