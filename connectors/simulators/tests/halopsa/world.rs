//! A small desk to test against, and a client that speaks REST to it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};

use latchkey_simulators::authority::use_ring;
use latchkey_simulators::halopsa::{ApiCredentials, FieldKind, HaloPsa, NewTicket, Options};
use latchkey_simulators::server::{self, Answer, Request, Response, Running};
use latchkey_simulators::{SimClock, clock};
use reqwest::Method;
use serde_json::{Value, json};

pub(crate) struct World {
    pub(crate) sim: HaloPsa,
    pub(crate) api: ApiCredentials,
    pub(crate) client: reqwest::Client,
    pub(crate) now: Arc<AtomicI64>,
    pub(crate) token: String,
    pub(crate) requested: i64,
    pub(crate) button: i64,
    pub(crate) acme: i64,
    pub(crate) kind: i64,
    pub(crate) policy: i64,
}

pub(crate) const SCOPE: &str = "read:tickets edit:tickets read:customers";
pub(crate) const DANA: i64 = 17;

/// An answer: status and body, `Null` when there is none.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Options) -> Options) -> Self {
        use_ring();
        let now = Arc::new(AtomicI64::new(clock::parse_ms("2026-09-25T06:41:08.789Z").unwrap()));
        let read = now.clone();
        let options = Options::plain(SimClock::new(move || read.load(Ordering::SeqCst)));
        let sim = HaloPsa::start(change(options)).await.unwrap();
        sim.add_team("Service Desk");
        sim.add_team("Escalations");
        let kind = sim.add_type("Incident");
        let acme = sim.add_client("ACME Ltd");
        sim.add_agent(DANA, "Dana Reyes", "dana@msp.example");
        sim.add_agent(18, "Max Smith", "max@msp.example");
        let requested = sim.add_status("JIT requested", false);
        let mut world = Self {
            api: sim.add_application(42, "JIT Service", SCOPE),
            button: sim.add_outcome("Request JIT access", Some(requested)),
            policy: sim.add_field(
                "CFJitPolicy",
                "JIT policy",
                FieldKind::Select,
                &["Global admin, 1 h", "Local admin, 2 h"],
            ),
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            token: String::new(),
            requested,
            acme,
            kind,
            now,
            sim,
        };
        world.token = world.sign_in().await;
        world
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) async fn sign_in(&self) -> String {
        let reply = self.ask_token("acme", SCOPE, &self.api.client_secret).await;
        reply.body["access_token"].as_str().unwrap().to_owned()
    }

    pub(crate) async fn ask_token(&self, tenant: &str, scope: &str, secret: &str) -> Reply {
        let url = format!("{}/auth/token?tenant={tenant}", self.sim.base_url());
        let form = [
            ("grant_type", "client_credentials"),
            ("client_id", self.api.client_id.as_str()),
            ("client_secret", secret),
            ("scope", scope),
        ];
        reply(self.client.post(url).form(&form)).await
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.call(Method::GET, path, None).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Reply {
        self.call(Method::POST, path, Some(body)).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Reply {
        self.call(Method::DELETE, path, None).await
    }

    pub(crate) async fn call(&self, method: Method, path: &str, body: Option<Value>) -> Reply {
        let url = format!("{}/api{path}", self.sim.base_url());
        let request = self.client.request(method, url).bearer_auth(&self.token);
        reply(match body {
            Some(body) => request.json(&body),
            None => request,
        })
        .await
    }

    pub(crate) fn ticket(&self) -> i64 {
        let new = NewTicket::new("JIT admin for CONTOSO-DC01", "Service Desk");
        self.sim.add_ticket(DANA, new.set("client_id", self.acme).set("tickettype_id", self.kind)).unwrap()
    }

    /// A webhook to `url`, bound to these events; its id.
    pub(crate) async fn hook(&self, url: &str, events: &[i64]) -> String {
        let row = json!([{"name": format!("to {url}"), "type": 0, "url": url, "method": 0, "active": true,
            "authentication_type": 1, "basic_username": "jitadmin", "basic_password": "S3cr3t:With:Colons"}]);
        let made = self.post("/Webhook", row).await;
        assert_eq!(made.status, 201, "{made:?}");
        let id = made.body["id"].as_str().unwrap().to_owned();
        for event in events {
            let row = json!([{"guid": null, "eventno": event, "name": "x", "type": -2, "delivery_method": 6,
                "agent_id": 0, "webhook_id": id}]);
            assert_eq!(self.post("/Notification", row).await.status, 201);
        }
        id
    }
}

async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    let retry_after = answer.headers().get("Retry-After").map(|v| v.to_str().unwrap().to_owned());
    let body = answer.bytes().await.unwrap();
    Reply { status, retry_after, body: serde_json::from_slice(&body).unwrap_or_default() }
}

/// Somebody who takes deliveries.
pub(crate) struct Receiver {
    running: Running,
    got: Arc<Mutex<Vec<Request>>>,
}

impl Receiver {
    pub(crate) async fn answering(status: u16) -> Self {
        let got = Arc::new(Mutex::new(Vec::new()));
        let kept = got.clone();
        let handler = server::handler(move |request| {
            kept.lock().unwrap().push(request);
            async move { Answer::Respond(Response::empty(status)) }
        });
        let running = server::serve(SocketAddr::from(([127, 0, 0, 1], 0)), None, handler).await.unwrap();
        Self { running, got }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}/hooks/halo/s3cret", self.running.addr)
    }

    pub(crate) fn take(&self) -> Vec<Request> {
        std::mem::take(&mut self.got.lock().unwrap())
    }
}
