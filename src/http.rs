//! The HTTP surface: hooks, pages, health. Handlers extract, call one function, and answer.
//!
//! Two listeners: the public one, and one for metrics. Nothing here knows a vendor, and nothing here decides
//! about access: deliveries are recorded for the jobs, and a grant is ended by whoever implements [`Ending`].

mod body;
mod entrance;
mod headers;
mod health;
mod hooks;
mod pages;
mod problem;
mod source;
mod told;
mod unproven;

use std::{fmt, net::TcpListener, sync::Arc, time::Duration};

use actix_web::{
    App, HttpServer,
    dev::Server,
    web::{Data, FormConfig, ServiceConfig},
};
use latchkey_contract::{Clock, GrantId, PersonId};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::{
    access::Length,
    app::GRACE,
    config::Config,
    people::People,
    registry::Live,
    seal::Seal,
    store::{Store, StoreError},
};
pub use entrance::Entrance;
pub use health::{Health, HealthCheck};
pub use pages::COOKIE;
use source::Proxies;
use told::Told;
use unproven::Unproven;

/// Everything the handlers need, handed down once.
#[derive(Debug)]
pub struct Web {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    seal: Arc<Seal>,
    live: Arc<Live>,
    people: People,
    ending: Arc<dyn Ending>,
    health: Arc<dyn Health>,
    origin: String,
    proxies: Proxies,
    unproven: Unproven,
    told: Told,
}

/// Ends a grant, or lets it last longer, because its own person says so.
#[async_trait::async_trait]
pub trait Ending: Send + Sync + fmt::Debug {
    /// Commits that removal is owed, and the task that does it. The caller has checked that `by` is the grant's person.
    ///
    /// # Errors
    /// [`EndError::NotLiving`] when there is nothing left to end.
    async fn end(&self, grant: &GrantId, by: &PersonId) -> Result<(), EndError>;

    /// Decides by the rules of a request, and commits that more time is on its way, with the task that gets it.
    ///
    /// # Errors
    /// [`ExtendError::Refused`] when the rules, or what became of the grant, do not let it last longer.
    async fn extend(&self, grant: &GrantId, by: &PersonId, length: Length) -> Result<(), ExtendError>;
}

/// Why a grant does not last longer. Its end stands.
#[derive(Debug, thiserror::Error)]
pub enum ExtendError {
    /// A sentence for whoever asked.
    #[error("{0}")]
    Refused(String),
    /// The PSA was asked who they are and how the ticket stands, and did not answer.
    #[error("the PSA did not answer")]
    Unanswered,
    /// It could not be recorded; nothing was changed.
    #[error("the extension could not be recorded")]
    Store(#[from] StoreError),
}

/// Why a grant was not ended.
#[derive(Debug, thiserror::Error)]
pub enum EndError {
    /// It is ending or over already.
    #[error("the grant is not living any more")]
    NotLiving,
    /// It could not be recorded; nothing was changed.
    #[error("the end could not be recorded")]
    Store(#[from] StoreError),
}

impl Web {
    /// Puts the surface together.
    #[must_use]
    pub fn new(
        config: &Config,
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        seal: Arc<Seal>,
        live: Arc<Live>,
        ending: Arc<dyn Ending>,
        health: Arc<dyn Health>,
    ) -> Self {
        let people = People::new(Arc::clone(&store), Arc::clone(&clock), Arc::clone(&seal), Arc::clone(&live));
        Self {
            store,
            clock,
            seal,
            live,
            people,
            ending,
            health,
            origin: config.public_url.origin().ascii_serialization(),
            proxies: Proxies::new(config.trusted_proxies.clone()),
            unproven: Unproven::new(),
            told: Told::default(),
        }
    }
}

/// Serves hooks, pages and health. The server runs while the returned value is polled; its handle stops it, letting
/// what is being answered finish.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve(web: Arc<Web>, listener: TcpListener, entrance: Entrance) -> std::io::Result<Server> {
    entrance::serve(Data::from(web), listener, entrance)
}

/// Serves `/metrics`, and health too, on a listener of its own.
///
/// # Errors
/// When the listener cannot be used.
pub fn serve_metrics(
    metrics: PrometheusHandle,
    health: Arc<dyn Health>,
    listener: TcpListener,
) -> std::io::Result<Server> {
    let health = Data::from(health);
    let server = HttpServer::new(move || {
        let routes = health::internal(metrics.clone(), health.clone());
        App::new().wrap(headers::security()).configure(routes)
    });
    let server = server
        .disable_signals()
        .client_request_timeout(Duration::from_secs(5))
        .client_disconnect_timeout(Duration::from_secs(2))
        .keep_alive(Duration::from_secs(30))
        .max_connections(100)
        .shutdown_timeout(GRACE.as_secs());
    Ok(server.workers(1).listen(listener)?.run())
}

fn public(web: Data<Web>) -> impl FnOnce(&mut ServiceConfig) {
    move |app| {
        app.app_data(FormConfig::default().limit(pages::MAX_FORM_BYTES).error_handler(pages::bad_form))
            .app_data(Data::from(Arc::clone(&web.health)))
            .app_data(web)
            .configure(hooks::routes)
            .configure(health::routes)
            .configure(pages::routes);
    }
}

#[cfg(test)]
pub(crate) mod tests;
