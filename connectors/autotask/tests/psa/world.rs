//! A small managed-service provider with a connector to it.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use latchkey_autotask::{Autotask, Secrets, Settings};
use latchkey_contract::{
    BoardId, Clock, ConnectionId, Delivery, FieldId, Former, MemberId, Secret, StatusId, TicketId, TicketSystem,
    Timestamp, outside::Network, ticket::WantedHooks,
};
use latchkey_simulators::{
    Authority, SimClock,
    authority::use_ring,
    autotask::{self as psa, ApiCredentials, Options, PERSON, SIGNATURE_HEADER},
};
use url::Url;

pub(crate) const KEY: &str = "a-webhook-key-of-32-characters-00";
pub(crate) const JANE: i64 = 30_691_780;
pub(crate) const MARK: i64 = 30_691_781;
pub(crate) const SYSTEM: i64 = 4;
pub(crate) const ME: i64 = 30_683_829;
pub(crate) const DESK: i64 = 29_682_833;
pub(crate) const OTHER: i64 = 8;
pub(crate) const NEW: i64 = 1;
pub(crate) const COMPLETE: i64 = 5;
pub(crate) const REQUESTED: i64 = 21;
pub(crate) const ACME: i64 = 174;
/// The user-defined field "JIT Policy", a list.
pub(crate) const POLICY: i64 = 29_682_851;
/// "JIT Policy Reason", a text.
pub(crate) const REASON: i64 = 29_682_852;

pub(crate) struct World {
    pub(crate) sim: psa::Autotask,
    pub(crate) api: ApiCredentials,
    pub(crate) at: Autotask,
    pub(crate) clock: Arc<TestClock>,
    ca_pem: String,
}

/// Wall and monotonic time move together, when told to.
#[derive(Debug)]
pub(crate) struct TestClock(AtomicI64);

const START_MS: i64 = 1_789_484_268_000;

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
        let sim = psa::Autotask::start(Options::secure(&authority, sim_clock)).await.unwrap();
        sim.add_resource(JANE, "j.doe", PERSON);
        sim.add_resource(MARK, "m.smith", PERSON);
        sim.add_resource(SYSTEM, "administrator", PERSON);
        let api = sim.add_api_user(ME, "jit-api@msp.example");
        sim.add_company(ACME, "ACME Ltd");
        sim.add_company(0, "Example MSP");
        sim.add_pick("queueID", DESK, "Help Desk");
        sim.add_pick("status", REQUESTED, "JIT Requested");
        sim.add_udf(POLICY, "JIT Policy", &[("1", "Exchange"), ("2", "Helpdesk")]);
        sim.add_udf(REASON, "JIT Policy Reason", &[]);
        // Callouts are made, signed and logged; nobody is asked to take them.
        sim.set_delivery(|rules| rules.answer = Some(202));
        let ca_pem = authority.ca_pem().to_owned();
        Self { at: connector(&sim, &api, &ca_pem, &clock, &[KEY], |_| {}), sim, api, clock, ca_pem }
    }

    pub(crate) fn with(&self, change: impl FnOnce(&mut Settings)) -> Autotask {
        connector(&self.sim, &self.api, &self.ca_pem, &self.clock, &[KEY], change)
    }

    pub(crate) fn with_keys(&self, keys: &[&str]) -> Autotask {
        connector(&self.sim, &self.api, &self.ca_pem, &self.clock, keys, |_| {})
    }

    pub(crate) fn advance(&self, seconds: i64) {
        self.clock.0.fetch_add(seconds * 1000, Ordering::SeqCst);
    }

    pub(crate) fn clock_ms(&self) -> i64 {
        self.clock.now().millis()
    }

    pub(crate) fn ticket(&self) -> (i64, TicketId) {
        let id = self.sim.add_ticket(&self.sim.acting(JANE), "JIT admin for ACME", DESK, ACME).unwrap();
        (id, ticket_id(id))
    }

    /// How often the simulator was asked for this.
    pub(crate) fn calls(&self, op: &str) -> usize {
        self.sim.faults().calls().iter().filter(|call| call.op == op).count()
    }

    /// Registers our webhook; deliveries go nowhere, but are made, signed and logged.
    pub(crate) async fn hooked(&self) {
        self.at.sync_webhooks(&wanted("s3cret")).await.unwrap();
    }

    /// What the PSA sent last, as our intake would hand it over.
    pub(crate) async fn last_delivery(&self) -> Delivery {
        self.sim.settled().await;
        let sent = self.sim.deliveries().pop().expect("a delivery was sent");
        self.received(&sent.body, &[(SIGNATURE_HEADER, sent.signature.as_deref())])
    }

    pub(crate) fn received(&self, body: &[u8], headers: &[(&str, Option<&str>)]) -> Delivery {
        let header = |(name, value): &(&str, Option<&str>)| Some(((*name).to_owned(), (*value)?.as_bytes().to_vec()));
        Delivery {
            connection: ConnectionId::parse("at").unwrap(),
            headers: headers.iter().filter_map(header).collect(),
            body: body.to_vec(),
            received_at: self.clock.now(),
        }
    }
}

fn connector(
    sim: &psa::Autotask,
    api: &ApiCredentials,
    ca_pem: &str,
    clock: &Arc<TestClock>,
    keys: &[&str],
    change: impl FnOnce(&mut Settings),
) -> Autotask {
    let json = serde_json::json!({
        "user": api.user,
        "integration_code": api.integration_code,
        "discovery": format!("{}/ATServicesRest/", sim.base_url()),
    });
    let mut settings: Settings = serde_json::from_value(json).unwrap();
    settings.network = Network::Private;
    change(&mut settings);
    let secrets = Secrets {
        api: Secret::new(api.secret.clone()),
        webhook_key: Secret::new(keys[0].to_owned()),
        former_webhook_keys: keys[1..]
            .iter()
            .map(|key| Former { value: Secret::new((*key).to_owned()), until: None })
            .collect(),
        callout_password: Some(Secret::new("callout-password".to_owned())),
        marker_key: Secret::new(vec![7; 32]),
    };
    let clock = Arc::clone(clock) as Arc<dyn Clock>;
    Autotask::new(ConnectionId::parse("at").unwrap(), settings, secrets, Some(ca_pem.to_owned()), clock).unwrap()
}

/// Nobody listens there.
pub(crate) fn hook_url(secret: &str) -> Url {
    format!("https://localhost:1/hooks/at/{secret}").parse().unwrap()
}

pub(crate) fn wanted(secret: &str) -> WantedHooks {
    WantedHooks { url: hook_url(secret), boards: [board_id(DESK)].into(), fields: [field_id(POLICY)].into() }
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

pub(crate) fn field_id(id: i64) -> FieldId {
    FieldId::parse(id.to_string()).unwrap()
}

pub(crate) fn member_id(id: i64) -> MemberId {
    MemberId::parse(id.to_string()).unwrap()
}
