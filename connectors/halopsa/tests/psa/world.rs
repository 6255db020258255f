//! A small managed-service provider with a connector to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use latchkey_contract::{
    BoardId, Clock, ConnectionId, Delivery, FieldId, Secret, StatusId, TicketId, TicketSystem, Timestamp,
    outside::{Network, Urgency},
    ticket::{Change, Part, WantedHooks},
};
use latchkey_halopsa::{HaloPsa, Settings};
use latchkey_simulators::{
    SimClock,
    authority::use_ring,
    halopsa::{self as psa, ApiCredentials, FieldKind, NewTicket, Options},
};
use serde_json::Value;
use url::Url;

pub(crate) struct World {
    pub(crate) sim: psa::HaloPsa,
    pub(crate) api: ApiCredentials,
    pub(crate) halo: HaloPsa,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) team: i64,
    pub(crate) other_team: i64,
    pub(crate) new: i64,
    pub(crate) requested: i64,
    pub(crate) closed: i64,
    pub(crate) acme: i64,
    pub(crate) kind: i64,
    pub(crate) policy: i64,
    pub(crate) button: i64,
    pub(crate) ann: i64,
}

pub(crate) const SCOPE: &str = "read:tickets edit:tickets read:customers";
pub(crate) const PASSWORD: &str = "S3cr3t:With:Colons-and-enough-length";
pub(crate) const DANA: i64 = 17;
pub(crate) const MAX: i64 = 18;
pub(crate) const DANA_MAIL: &str = "dana@msp.example";

/// Wall and monotonic time move together, when told to.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

const START_MS: i64 = 1_790_318_468_000;

#[async_trait::async_trait]
impl Clock for TestClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis((self.0.load(Ordering::SeqCst) - START_MS).unsigned_abs())
    }

    async fn sleep_until(&self, _: Timestamp) {}
}

impl World {
    pub(crate) async fn start() -> Self {
        Self::start_with(|options| options).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(Options) -> Options) -> Self {
        use_ring();
        let clock = Arc::new(TestClock(AtomicI64::new(START_MS)));
        let read = Arc::clone(&clock);
        let options = Options::plain(SimClock::new(move || read.0.load(Ordering::SeqCst)));
        let sim = psa::HaloPsa::start(change(options)).await.unwrap();
        let (team, other_team) = (sim.add_team("Service Desk"), sim.add_team("Escalations"));
        let (kind, acme) = (sim.add_type("Incident"), sim.add_client("ACME Ltd"));
        sim.add_agent(DANA, "Dana Reyes", DANA_MAIL);
        sim.add_agent(MAX, "Max Smith", "max@msp.example");
        let api = sim.add_application(42, "JIT Service", SCOPE);
        let requested = sim.add_status("JIT requested", false);
        Self {
            halo: connector(&sim, &api, &clock, 7, |_| {}),
            new: 1,
            closed: 9,
            policy: sim.add_field(
                "CFJitPolicy",
                "JIT policy",
                FieldKind::Select,
                &["Global admin, 1 h", "Local admin, 2 h"],
            ),
            button: sim.add_outcome("Request JIT access", Some(requested)),
            ann: sim.add_user(acme, "Ann Example", "ann@acme.example"),
            sim,
            api,
            clock,
            team,
            other_team,
            requested,
            acme,
            kind,
        }
    }

    /// The connector with other settings, as after a change or a restart.
    pub(crate) fn with(&self, change: impl FnOnce(&mut Settings)) -> HaloPsa {
        connector(&self.sim, &self.api, &self.clock, 7, change)
    }

    /// The connector of another installation: its markers are made with another key.
    pub(crate) fn with_marker_key(&self, key: u8) -> HaloPsa {
        connector(&self.sim, &self.api, &self.clock, key, |_| {})
    }

    pub(crate) fn restarted(&self) -> HaloPsa {
        self.with(|_| {})
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    /// A ticket of the service desk, logged by Dana.
    pub(crate) fn ticket(&self) -> (i64, TicketId) {
        let new = NewTicket::new("JIT admin for CONTOSO-DC01", "Service Desk");
        let new = new.set("client_id", self.acme).set("tickettype_id", self.kind);
        let id = self.sim.add_ticket(DANA, new).unwrap();
        (id, ticket_id(id))
    }

    /// A ticket that Dana has asked for access on, by the action's button.
    pub(crate) fn asked(&self) -> (i64, TicketId) {
        let (n, id) = self.ticket();
        self.sim.acting(DANA).run_action(n, self.button, &[(self.policy, Value::from("2"))]).unwrap();
        (n, id)
    }

    pub(crate) fn calls(&self, op: &str) -> usize {
        self.sim.faults().calls().iter().filter(|call| call.op == op).count()
    }

    pub(crate) async fn change(&self, id: &TicketId) -> Option<Change> {
        let ticket = self.halo.read(id, Urgency::Ordinary).await.unwrap().unwrap();
        self.halo.change(&ticket, Part::Status, Urgency::Ordinary).await.unwrap()
    }

    pub(crate) async fn field_change(&self, id: &TicketId) -> Option<Change> {
        let ticket = self.halo.read(id, Urgency::Ordinary).await.unwrap().unwrap();
        let field = FieldId::parse(self.policy.to_string()).unwrap();
        self.halo.change(&ticket, Part::Field(&field), Urgency::Ordinary).await.unwrap()
    }

    /// What the instance sent last, as our intake would hand it over.
    pub(crate) async fn last_delivery(&self) -> Delivery {
        self.sim.settled().await;
        let sent = self.sim.deliveries().pop().expect("a delivery was sent");
        delivery(&sent.body, sent.authorization.as_deref())
    }
}

fn connector(
    sim: &psa::HaloPsa,
    api: &ApiCredentials,
    clock: &Arc<TestClock>,
    marker_key: u8,
    change: impl FnOnce(&mut Settings),
) -> HaloPsa {
    let json = serde_json::json!({"site": sim.base_url(), "client_id": api.client_id, "tenant": "acme"});
    let mut settings: Settings = serde_json::from_value(json).unwrap();
    settings.network = Network::Private;
    change(&mut settings);
    HaloPsa::new(
        ConnectionId::parse("halo").unwrap(),
        settings,
        Secret::new(api.client_secret.clone()),
        Secret::new(PASSWORD.to_owned()),
        None,
        Secret::new(vec![marker_key; 32]),
        Arc::clone(clock) as Arc<dyn Clock>,
    )
    .unwrap()
}

pub(crate) fn delivery(body: &[u8], authorization: Option<&str>) -> Delivery {
    Delivery {
        connection: ConnectionId::parse("halo").unwrap(),
        headers: authorization.iter().map(|text| ("authorization".to_owned(), text.as_bytes().to_vec())).collect(),
        body: body.to_vec(),
        received_at: Timestamp::from_millis(START_MS),
    }
}

/// Nobody listens there.
pub(crate) fn hook_url(secret: &str) -> Url {
    format!("http://127.0.0.1:1/hooks/halo/{secret}").parse().unwrap()
}

pub(crate) fn hooks(secret: &str, teams: &[i64]) -> WantedHooks {
    let boards = teams.iter().map(|id| board_id(*id)).collect();
    WantedHooks { url: hook_url(secret), boards, fields: Default::default() }
}

pub(crate) fn ticket_id(id: i64) -> TicketId {
    TicketId::parse(id.to_string()).unwrap()
}

pub(crate) fn board_id(id: i64) -> BoardId {
    BoardId::parse(id.to_string()).unwrap()
}

pub(crate) fn status_id(id: i64) -> StatusId {
    StatusId::parse(id.to_string()).unwrap()
}
