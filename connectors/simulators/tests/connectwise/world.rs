//! A small managed-service provider to test against, and a client that speaks REST to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use latchkey_simulators::authority::use_ring;
use latchkey_simulators::connectwise::{ApiCredentials, ConnectWise, FieldKind, NewTicket, Options, Tenant};
use latchkey_simulators::server::{self, Answer, Request, Response, Running};
use latchkey_simulators::{Authority, SimClock, clock};
use reqwest::{Method, StatusCode, header::HeaderMap};
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) sim: ConnectWise,
    pub(crate) msp: Tenant,
    pub(crate) api: ApiCredentials,
    pub(crate) client: reqwest::Client,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) board: i64,
    pub(crate) other_board: i64,
    pub(crate) new: i64,
    pub(crate) requested: i64,
    pub(crate) closed: i64,
    pub(crate) triage: i64,
    pub(crate) acme: i64,
    pub(crate) globex: i64,
    pub(crate) duration: i64,
    authority: Authority,
}

pub(crate) const START: &str = "2026-06-09T21:40:00Z";

impl World {
    pub(crate) async fn start() -> Self {
        use_ring();
        let authority = Authority::new();
        let now = Arc::new(AtomicI64::new(clock::parse_ms(START).unwrap()));
        let read = now.clone();
        let clock = SimClock::new(move || read.load(Ordering::SeqCst));
        let sim = ConnectWise::start(Options::secure(&authority, clock)).await.unwrap();
        let msp = sim.add_tenant("examplemsp", "Example MSP");
        msp.add_member(176, "jdoe", "F", false);
        msp.add_member(177, "msmith", "F", false);
        let api = msp.add_api_member(243, "JitApi");
        let board = msp.add_board("Help Desk");
        let other_board = msp.add_board("Projects");
        Self {
            new: msp.add_status(board, "New", false),
            requested: msp.add_status(board, "JIT Requested", false),
            closed: msp.add_status(board, ">Closed", true),
            triage: msp.add_status(other_board, "Triage", false),
            acme: msp.add_company("ACME", "ACME Ltd"),
            globex: msp.add_company_of_types("GLOBEX", "Globex GmbH", &["Managed"]),
            duration: msp.add_field("JIT Duration", FieldKind::List, &["1 hour", "2 hours"]),
            client: client(&authority),
            sim,
            msp,
            api,
            now,
            board,
            other_board,
            authority,
        }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) fn ticket(&self, summary: &str) -> i64 {
        let new = NewTicket::new(summary, self.board, self.acme).entered_by("jdoe");
        self.msp.add_ticket(new).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/v4_6_release/apis/3.0{path}", self.sim.base_url())
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn patch(&self, path: &str, body: Value) -> Reply {
        self.call(Method::PATCH, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, None).await
    }

    /// With the good credentials.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let mut request = self.signed_in(self.client.request(method, self.url(path)));
        if let Some(body) = body {
            request = request.json(&body);
        }
        Reply::of(request).await
    }

    pub(crate) fn signed_in(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let user = format!("{}+{}", self.api.company_id, self.api.public_key);
        request.basic_auth(user, Some(&self.api.private_key)).header("clientId", &self.api.client_id)
    }

    /// A receiver of callbacks over TLS that answers 202 and keeps what it got.
    pub(crate) async fn receiver(&self) -> Receiver {
        let got: Arc<Mutex<Vec<Request>>> = Arc::default();
        let keep = got.clone();
        let handler = server::handler(move |request| {
            keep.lock().unwrap().push(request);
            async { Answer::from(Response::empty(202)) }
        });
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let tls = self.authority.server_config(&[]);
        let running = server::serve(bind, Some(tls), handler).await.unwrap();
        Receiver { got, running }
    }

    /// Registers a callback and gives its id.
    pub(crate) async fn watch(&self, url: &str, level: &str, object: i64) -> i64 {
        let body = json!({"url": url, "objectId": object, "type": "ticket", "level": level,
            "payloadVersion": "3.0.0", "description": "test"});
        let reply = self.post("/system/callbacks", body).await;
        assert_eq!(reply.status, 201, "{}", reply.body);
        reply.body["id"].as_i64().unwrap()
    }
}

pub(crate) struct Receiver {
    got: Arc<Mutex<Vec<Request>>>,
    running: Running,
}

impl Receiver {
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/hooks/cw/9f2c?recordId=", self.running.addr.port())
    }

    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Value,
}

impl Reply {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let (status, headers) = (answer.status(), answer.headers().clone());
        let body = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap_or(Value::Null);
        Self { status, headers, body }
    }

    /// The ids of a list, in order.
    pub(crate) fn ids(&self) -> Vec<i64> {
        let rows = self.body.as_array().unwrap_or_else(|| panic!("no list: {}", self.body));
        rows.iter().map(|row| row["id"].as_i64().unwrap()).collect()
    }

    pub(crate) fn link(&self) -> Option<&str> {
        self.headers.get("link").map(|link| link.to_str().unwrap())
    }
}

fn client(authority: &Authority) -> reqwest::Client {
    let ca = reqwest::Certificate::from_pem(authority.ca_pem().as_bytes()).unwrap();
    reqwest::Client::builder()
        .tls_certs_only([ca])
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap()
}
