//! The small HTTP/1.1 server under every simulator: it reads a request whole, asks the handler,
//! and writes the answer or drops the connection.
//!
//! No routing, no vendor knowledge, no faults: those live with the vendors and in [`crate::fault`].

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;

use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;
use url::form_urlencoded;

pub use hyper::HeaderMap;

/// Bodies above this many bytes are answered 413 without asking the handler.
pub const MAX_BODY: usize = 8 * 1024 * 1024;

pub type Handler = Arc<dyn Fn(Request) -> Pin<Box<dyn Future<Output = Answer> + Send>> + Send + Sync>;

/// Wraps an async closure as a [`Handler`].
pub fn handler<F, Fut>(f: F) -> Handler
where
    F: Fn(Request) -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Answer> + Send + 'static,
{
    Arc::new(move |request| Box::pin(f(request)))
}

/// A fully read request.
#[derive(Clone)]
pub struct Request {
    /// Upper case.
    pub method: String,
    /// As sent: still percent-encoded, `//` kept.
    pub path: String,
    /// The path split on `/`, empty segments dropped, percent-decoded.
    pub segments: Vec<String>,
    /// As sent, without the `?`; empty when there was none.
    pub raw_query: String,
    /// Decoded pairs in the order sent.
    pub query: Vec<(String, String)>,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Request {
    /// A header's text; names are case-insensitive. `None` when absent or not visible ASCII.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The first query value of that name, compared without case.
    pub fn query(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// The body as JSON; `None` when it is not JSON.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The body as `application/x-www-form-urlencoded` pairs.
    pub fn form(&self) -> Vec<(String, String)> {
        form_urlencoded::parse(&self.body).into_owned().collect()
    }
}

/// Headers and body may carry credentials; only what is safe to print is printed.
impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({} bytes)", self.method, self.path, self.body.len())
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Response {
    /// Compact JSON with `Content-Type: application/json; charset=utf-8`.
    pub fn json(status: u16, body: &Value) -> Self {
        Self::bytes(status, "application/json; charset=utf-8", body.to_string())
    }

    pub fn text(status: u16, body: impl Into<String>) -> Self {
        Self::bytes(status, "text/plain; charset=utf-8", body.into())
    }

    pub fn bytes(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("Content-Type".into(), content_type.into())], body: body.into() }
    }

    /// No body and no headers, as for 204.
    pub fn empty(status: u16) -> Self {
        Self { status, headers: Vec::new(), body: Vec::new() }
    }

    #[must_use]
    pub fn with_header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// The body as JSON, `Null` when it is not.
    pub fn body_json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }
}

/// What a handler decides to do with the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Respond(Response),
    /// Close the connection without a word.
    Reset,
}

impl From<Response> for Answer {
    fn from(response: Response) -> Self {
        Self::Respond(response)
    }
}

/// A running server. Dropping it closes the port and every open connection.
#[derive(Debug)]
pub struct Running {
    /// Where it really listens; the port is chosen when port 0 was asked for.
    pub addr: SocketAddr,
    accepting: JoinHandle<()>,
}

impl Drop for Running {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

/// Listens on `bind` and serves `handler`, over TLS when a config is given.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(bind: SocketAddr, tls: Option<Arc<ServerConfig>>, handler: Handler) -> io::Result<Running> {
    let listener = TcpListener::bind(bind).await?;
    let addr = listener.local_addr()?;
    let accepting = tokio::spawn(accept(listener, tls.map(TlsAcceptor::from), handler));
    Ok(Running { addr, accepting })
}

/// Owns the connections: aborting this task drops the set and with it every connection.
async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, handler: Handler) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                // A failed accept concerns one client (it hung up, or files ran short); go on.
                let Ok((stream, _)) = accepted else { continue };
                connections.spawn(connection(stream, tls.clone(), handler.clone()));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, tls: Option<TlsAcceptor>, handler: Handler) {
    // Answers are written whole, so waiting to fill a segment only costs time.
    let _ = stream.set_nodelay(true);
    match tls {
        None => talk(stream, handler).await,
        Some(acceptor) => {
            if let Ok(stream) = acceptor.accept(stream).await {
                talk(stream, handler).await;
            }
        }
    }
}

async fn talk<S>(stream: S, handler: Handler)
where
    S: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(move |request| {
        let handler = handler.clone();
        async move {
            match answer(request, &handler).await {
                Answer::Respond(response) => Ok(to_hyper(response)),
                // An error from the service makes hyper close the connection without an answer.
                Answer::Reset => Err(Dropped),
            }
        }
    });
    // The error of a connection is the client's to report.
    let _ = hyper::server::conn::http1::Builder::new()
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn answer(request: hyper::Request<Incoming>, handler: &Handler) -> Answer {
    let (head, body) = request.into_parts();
    let Ok(body) = Limited::new(body, MAX_BODY).collect().await else {
        return Response::text(413, "The request is too large.").into();
    };
    let raw_query = head.uri.query().unwrap_or_default().to_owned();
    handler(Request {
        method: head.method.as_str().to_ascii_uppercase(),
        path: head.uri.path().to_owned(),
        segments: segments(head.uri.path()),
        query: form_urlencoded::parse(raw_query.as_bytes()).into_owned().collect(),
        raw_query,
        headers: head.headers,
        body: body.to_bytes(),
    })
    .await
}

fn to_hyper(response: Response) -> hyper::Response<Full<Bytes>> {
    let mut builder = hyper::Response::builder().status(response.status);
    for (name, value) in &response.headers {
        builder = builder.header(name, value);
    }
    builder.body(Full::new(Bytes::from(response.body))).unwrap_or_else(|error| {
        let mut broken = hyper::Response::new(Full::new(Bytes::from(error.to_string())));
        *broken.status_mut() = hyper::StatusCode::INTERNAL_SERVER_ERROR;
        broken
    })
}

/// Splits before decoding, so that an encoded slash stays inside its segment.
fn segments(path: &str) -> Vec<String> {
    path.split('/').filter(|s| !s.is_empty()).map(percent_decode).collect()
}

/// `%41` → `A`; a stray `%` stays as it is. Unlike in a query, `+` means itself.
fn percent_decode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = text.get(at + 1..at + 3).and_then(|h| u8::from_str_radix(h, 16).ok());
        match (bytes[at], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                at += 3;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Never seen by anybody: it only tells hyper to hang up.
#[derive(Debug)]
struct Dropped;

impl fmt::Display for Dropped {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection dropped on purpose")
    }
}

impl std::error::Error for Dropped {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_tolerate_double_slashes_and_keep_encoded_ones() {
        assert_eq!(segments("/v4//apis/3.0/a%2Fb/"), ["v4", "apis", "3.0", "a/b"]);
        assert_eq!(segments("/100%/x%zz"), ["100%", "x%zz"]);
    }
}
