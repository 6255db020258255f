//! A tenant with a few people, a client with good credentials, and a receiver of callouts.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use latchkey_simulators::autotask::{ApiCredentials, Autotask, Options, PERSON};
use latchkey_simulators::server::{self, Answer, Request, Response, Running};
use latchkey_simulators::{Authority, SimClock};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) const JANE: i64 = 30_691_780;
pub(crate) const ME: i64 = 30_683_829;
pub(crate) const DESK: i64 = 29_682_833;
pub(crate) const ACME: i64 = 174;

pub(crate) struct World {
    pub(crate) sim: Autotask,
    pub(crate) api: ApiCredentials,
    pub(crate) client: reqwest::Client,
    now: Arc<AtomicI64>,
    authority: Authority,
}

#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn start() -> Self {
        let authority = Authority::new();
        let now = Arc::new(AtomicI64::new(1_789_484_268_000));
        let read = now.clone();
        let clock = SimClock::new(move || read.load(Ordering::SeqCst));
        let sim = Autotask::start(Options::secure(&authority, clock)).await.unwrap();
        sim.add_resource(JANE, "j.doe", PERSON);
        let api = sim.add_api_user(ME, "jit-api@msp.example");
        sim.add_company(ACME, "ACME Ltd");
        sim.add_pick("queueID", DESK, "Help Desk");
        sim.add_udf(29_682_851, "JIT Policy", &[]);
        let ca = reqwest::Certificate::from_pem(authority.ca_pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([ca]).no_proxy().build().unwrap();
        Self { sim, api, client, now, authority }
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) fn ticket(&self) -> i64 {
        self.sim.add_ticket(&self.sim.acting(JANE), "JIT", DESK, ACME).unwrap()
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("{}/ATServicesRest/V1.0{path}", self.sim.base_url())
    }

    /// With the good credentials.
    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let request = self.client.request(method, self.url(path));
        let mut request = request
            .header("ApiIntegrationCode", &self.api.integration_code)
            .header("UserName", &self.api.user)
            .header("Secret", &self.api.secret);
        if let Some(body) = body {
            request = request.json(&body);
        }
        Reply::of(request).await
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

    /// A receiver of callouts that answers what it is told to.
    pub(crate) async fn receiver(&self) -> Receiver {
        let got: Arc<Mutex<Vec<Request>>> = Arc::default();
        let status = Arc::new(AtomicU16::new(202));
        let (keep, told) = (got.clone(), status.clone());
        let handler = server::handler(move |request| {
            keep.lock().unwrap().push(request);
            let status = told.load(Ordering::SeqCst);
            async move { Answer::from(Response::empty(status)) }
        });
        let bind = SocketAddr::from(([127, 0, 0, 1], 0));
        let running = server::serve(bind, Some(self.authority.server_config(&[])), handler).await.unwrap();
        Receiver { got, status, running }
    }

    /// Registers a webhook for changes of the status, shown with the ticket's number.
    pub(crate) async fn watch(&self, url: &str) -> i64 {
        let reply = self.post("/TicketWebhooks", definition(url)).await;
        assert_eq!(reply.status, 200, "{}", reply.body);
        let id = reply.body["itemId"].as_i64().unwrap();
        for (field, told) in [(3, true), (2, false)] {
            let row =
                json!({"webhookID": id, "fieldID": field, "isSubscribedField": told, "isDisplayAlwaysField": true});
            assert_eq!(self.post(&format!("/TicketWebhooks/{id}/Fields"), row).await.status, 200);
        }
        id
    }
}

pub(crate) fn definition(url: &str) -> Value {
    json!({"name": "JIT", "webhookUrl": url, "deactivationUrl": format!("{url}/off"), "secretKey": "jit-demo-Secret-0123456789",
        "isActive": true, "isSubscribedToCreateEvents": true, "isSubscribedToUpdateEvents": true,
        "isSubscribedToDeleteEvents": true, "sendThresholdExceededNotification": false})
}

pub(crate) struct Receiver {
    got: Arc<Mutex<Vec<Request>>>,
    status: Arc<AtomicU16>,
    running: Running,
}

impl Receiver {
    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/hooks/at/9f2c", self.running.addr.port())
    }

    pub(crate) fn answers(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}

impl Reply {
    pub(crate) async fn of(request: reqwest::RequestBuilder) -> Self {
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let body = answer.bytes().await.unwrap();
        Self { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }

    pub(crate) fn error(&self) -> &str {
        self.body["errors"][0].as_str().unwrap_or_default()
    }
}
