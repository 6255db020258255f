//! Who may come in, and how: the listener of pages and hooks, from the accepted connection to the first request.

use std::{
    cell::Cell,
    future::{Ready, ready},
    io,
    net::{IpAddr, TcpListener},
    sync::Arc,
    time::{Duration, Instant},
};

use actix_http::{HttpService, error::DispatchError};
use actix_server::Server;
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::{App, dev::AppConfig, rt::net::TcpStream, web::Data};

use super::{Web, headers, public};
use crate::app::GRACE;

/// How pages and hooks are reached.
#[derive(Debug, Clone)]
pub enum Entrance {
    /// Plain HTTP, on loopback.
    Loopback,
    /// Plain HTTP, from these proxies alone: anybody else's connection is closed before anything is read.
    Proxies(Vec<IpAddr>),
    /// TLS, from anywhere.
    Tls(Arc<rustls::ServerConfig>),
}

/// HTTP/1 over whatever connection is handed in, with the bounds against slow and idle clients: 5 s for a request's head.
/// (A macro, because the service's type cannot be named without its private parts.)
macro_rules! http {
    ($web:expr, $stopping:expr) => {{
        let (web, stopping) = ($web.clone(), $stopping.clone());
        let app = App::new().wrap(headers::security()).configure(public(web));
        HttpService::build()
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .client_request_timeout(Duration::from_secs(5))
            .client_disconnect_timeout(Duration::from_secs(2))
            .keep_alive(Duration::from_secs(30))
            .h1(map_config(
                actix_service::IntoServiceFactory::into_factory(app).map_err(|error| error.error_response()),
                |()| AppConfig::default(),
            ))
    }};
}

/// The server runs while the returned value is polled; its handle stops it, letting what is being answered finish.
pub(super) fn serve(web: Data<Web>, listener: TcpListener, entrance: Entrance) -> io::Result<Server> {
    let server = Server::build().workers(2).max_concurrent_connections(2_000).shutdown_timeout(GRACE.as_secs());
    let server = server.disable_signals();
    let stopping = server.graceful_shutdown_signal();
    let server = match entrance {
        Entrance::Loopback => server.listen("pages", listener, move || http!(web, stopping).tcp())?,
        Entrance::Proxies(proxies) => {
            let proxies: Vec<IpAddr> = proxies.iter().map(IpAddr::to_canonical).collect();
            server.listen("pages", listener, move || {
                let (proxies, told) = (proxies.clone(), Cell::new(None));
                fn_service(move |stream: TcpStream| only_from(&proxies, &told, stream))
                    .and_then(http!(web, stopping).tcp())
            })?
        }
        Entrance::Tls(config) => {
            server.listen("pages", listener, move || http!(web, stopping).rustls_0_23((*config).clone()))?
        }
    };
    Ok(server.run())
}

/// Told once a minute: whoever knocks all the time does not fill the log.
fn only_from(
    proxies: &[IpAddr],
    told: &Cell<Option<Instant>>,
    stream: TcpStream,
) -> Ready<Result<TcpStream, DispatchError>> {
    const QUIET: Duration = Duration::from_secs(60);
    let peer = match stream.peer_addr() {
        Ok(peer) => peer.ip().to_canonical(),
        Err(error) => return ready(Err(DispatchError::Io(error))),
    };
    if proxies.contains(&peer) {
        return ready(Ok(stream));
    }
    if told.get().is_none_or(|last| last.elapsed() >= QUIET) {
        told.set(Some(Instant::now()));
        tracing::warn!(%peer, "refused: plain HTTP is for the proxies in trusted_proxies alone");
    }
    ready(Err(DispatchError::Io(io::ErrorKind::PermissionDenied.into())))
}
