//! A small managed-service provider with a connector to it, and a neighbour on the same cloud host.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use latchkey_connectwise::{ConnectWise, Settings};
use latchkey_contract::{
    BoardId, Clock, ConnectionId, Delivery, Secret, StatusId, TicketId, TicketSystem, Timestamp, outside::Network,
    ticket::WantedHooks,
};
use latchkey_simulators::{
    Authority, SimClock,
    authority::use_ring,
    connectwise::{self as psa, ApiCredentials, FieldKind, NewTicket, Options, SIGNATURE_HEADER, Tenant},
};
use url::Url;

pub(crate) struct World {
    pub(crate) sim: psa::ConnectWise,
    pub(crate) msp: Tenant,
    pub(crate) neighbour: Tenant,
    pub(crate) api: ApiCredentials,
    pub(crate) cw: ConnectWise,
    pub(crate) clock: Arc<TestClock>,
    pub(crate) board: i64,
    pub(crate) other_board: i64,
    pub(crate) new: i64,
    pub(crate) requested: i64,
    pub(crate) closed: i64,
    pub(crate) triage: i64,
    pub(crate) acme: i64,
    pub(crate) duration: i64,
    ca_pem: String,
}

/// Wall and monotonic time move together, when told to.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

const START_MS: i64 = 1_781_041_200_000;

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
        use_ring();
        let authority = Authority::new();
        let clock = Arc::new(TestClock(AtomicI64::new(START_MS)));
        let read = Arc::clone(&clock);
        let sim_clock = SimClock::new(move || read.0.load(Ordering::SeqCst));
        let sim = psa::ConnectWise::start(Options::secure(&authority, sim_clock)).await.unwrap();
        let msp = sim.add_tenant("examplemsp", "Example MSP");
        msp.add_member(176, "jdoe", "F", false);
        msp.add_member(177, "msmith", "F", false);
        msp.add_member(1, "zAdmin", "F", false);
        let api = msp.add_api_member(243, "JitApi");
        let board = msp.add_board("Help Desk");
        let other_board = msp.add_board("Escalations");
        let ca_pem = authority.ca_pem().to_owned();
        Self {
            cw: connector(&sim, &api, &ca_pem, &clock, |_| {}),
            new: msp.add_status(board, "New", false),
            requested: msp.add_status(board, "JIT Requested", false),
            closed: msp.add_status(board, ">Closed", true),
            triage: msp.add_status(other_board, "Triage", false),
            acme: msp.add_company("ACME", "ACME Ltd"),
            duration: msp.add_field("JIT Duration", FieldKind::List, &["1 hour", "2 hours"]),
            neighbour: sim.add_tenant("othermsp", "Other MSP"),
            sim,
            msp,
            api,
            clock,
            board,
            other_board,
            ca_pem,
        }
    }

    /// The connector as after a restart: nothing is cached.
    pub(crate) fn restarted(&self) -> ConnectWise {
        self.with(|_| {})
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Settings)) -> ConnectWise {
        connector(&self.sim, &self.api, &self.ca_pem, &self.clock, change)
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) fn ticket(&self) -> (i64, TicketId) {
        let new = NewTicket::new("JIT admin for ACME", self.board, self.acme).entered_by("jdoe");
        let id = self.msp.add_ticket(new).unwrap();
        (id, ticket_id(id))
    }

    /// How often the simulator was asked for this.
    pub(crate) fn calls(&self, op: &str) -> usize {
        self.sim.faults().calls().iter().filter(|call| call.op == op).count()
    }

    /// Registers our webhook; deliveries go nowhere, but are made, signed and logged.
    pub(crate) async fn hooked(&self) {
        self.cw.sync_webhooks(&wanted(&hook_url("s3cret"), &[board_id(self.board)])).await.unwrap();
    }

    /// What the PSA sent last, as our intake would hand it over.
    pub(crate) async fn last_delivery(&self) -> Delivery {
        self.sim.settled().await;
        let sent = self.sim.deliveries().pop().expect("a delivery was sent");
        delivery(&sent.body, sent.signature.as_deref())
    }

    /// jdoe asks: the status changes, and the PSA sends its callback.
    pub(crate) async fn request(&self) -> (TicketId, Delivery) {
        let (number, id) = self.ticket();
        self.msp.acting("jdoe").set_status(number, self.requested).unwrap();
        (id, self.last_delivery().await)
    }
}

fn connector(
    sim: &psa::ConnectWise,
    api: &ApiCredentials,
    ca_pem: &str,
    clock: &Arc<TestClock>,
    change: impl FnOnce(&mut Settings),
) -> ConnectWise {
    let mut settings = Settings {
        site: sim.base_url().parse().unwrap(),
        api: None,
        company: api.company_id.clone(),
        client_id: api.client_id.clone(),
        public_key: api.public_key.clone(),
        api_member: None,
        automation: vec![],
        field_audit_type: None,
        network: Network::Private,
        ca_file: None,
        timeout_s: 10,
    };
    change(&mut settings);
    ConnectWise::new(
        ConnectionId::parse("cw").unwrap(),
        settings,
        Secret::new(api.private_key.clone()),
        Some(ca_pem.to_owned()),
        Secret::new(vec![7; 32]),
        Arc::clone(clock) as Arc<dyn Clock>,
    )
    .unwrap()
}

pub(crate) fn delivery(body: &[u8], signature: Option<&str>) -> Delivery {
    Delivery {
        connection: ConnectionId::parse("cw").unwrap(),
        headers: signature.iter().map(|text| (SIGNATURE_HEADER.to_owned(), text.as_bytes().to_vec())).collect(),
        body: body.to_vec(),
        received_at: Timestamp::from_millis(START_MS),
    }
}

/// Nobody listens there.
pub(crate) fn hook_url(secret: &str) -> Url {
    format!("https://localhost:1/hooks/cw/{secret}").parse().unwrap()
}

pub(crate) fn wanted(url: &Url, boards: &[BoardId]) -> WantedHooks {
    WantedHooks { url: url.clone(), boards: boards.iter().cloned().collect(), fields: Default::default() }
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
