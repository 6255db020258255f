//! A tenant, a connection to it, and the loop that a job would run: observe, next, perform, look again.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering},
    },
    time::Duration,
};

use latchkey_contract::{
    AccountId, CallError, Clock, ConnectionId, Directory, EntitlementId, ObjectId, Secret, SecretId, Timestamp,
    directory::{AccountRef, Known, Mode, Next, Observation, Step, Target},
    outside::Urgency,
};
use latchkey_entra::{Credential, Entra, Settings};
use latchkey_simulators::{
    Authority, SimClock,
    authority::use_ring,
    graph::{AppSpec, Graph, Licence, Options},
};
use serde_json::{Value, json};

pub(crate) const TENANT: &str = "8f0c2c1e-1111-4222-8333-444455556666";
pub(crate) const APP: &str = "0b1c2d3e-1111-4222-8333-444455556666";
pub(crate) const UPN: &str = "jit-jdoe@contoso.onmicrosoft.com";
pub(crate) const EXCHANGE: &str = "29232cdf-9323-42fd-ade2-1d097af3e4de";
pub(crate) const HELPDESK: &str = "729827e3-9c14-49f7-bb1b-9608f156bbb8";
pub(crate) const PAA: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";
pub(crate) const USER_ADMIN: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";
pub(crate) const MARK: &str = "01k3acct";
const APP_SECRET: &str = "app-secret-canary";

pub(crate) const PERMISSIONS: [&str; 6] = [
    "User.ReadWrite.All",
    "User-PasswordProfile.ReadWrite.All",
    "RoleManagement.ReadWrite.Directory",
    "GroupMember.ReadWrite.All",
    "UserAuthenticationMethod.ReadWrite.All",
    "Domain.Read.All",
];

/// Time that moves only when it is told to; the tenant lives by it too.
#[derive(Debug)]
pub(crate) struct Hands(AtomicI64);

impl Hands {
    pub(crate) fn move_by(&self, by: Duration) {
        self.0.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(self.0.load(Ordering::SeqCst).unsigned_abs())
    }

    async fn sleep_until(&self, at: Timestamp) {
        self.0.fetch_max(at.millis(), Ordering::SeqCst);
    }
}

/// How a tenant begins.
pub(crate) struct Setup {
    pub(crate) licence: Licence,
    pub(crate) roles: Vec<&'static str>,
    pub(crate) mode: Mode,
    pub(crate) more: Value,
}

impl Default for Setup {
    fn default() -> Self {
        Self { licence: Licence::P1, roles: vec![PAA], mode: Mode::Standard, more: json!({}) }
    }
}

/// A tenant with one account of ours in it, or none yet.
pub(crate) struct Scene {
    pub(crate) sim: Graph,
    pub(crate) clock: Arc<Hands>,
    pub(crate) entra: Entra,
    pub(crate) account: AccountRef,
    pub(crate) known: Known,
    /// Every step that was sent, with how it ended.
    pub(crate) steps: Vec<String>,
    authority: Authority,
}

/// Why the loop stopped short of its target.
#[derive(Debug)]
pub(crate) enum Stopped {
    Impossible(String),
    Failed(CallError),
}

impl Scene {
    pub(crate) async fn start(setup: Setup) -> Self {
        use_ring();
        let clock = Arc::new(Hands(AtomicI64::new(Timestamp::parse("2026-09-01T10:00:00Z").unwrap().millis())));
        let hands = Arc::clone(&clock);
        let authority = Authority::new();
        let options = Options {
            tls: Some(authority.server_config(&[])),
            host: "localhost".to_owned(),
            seed: Some(7),
            ..Options::new(SimClock::new(move || hands.now().millis()))
        };
        let sim = Graph::start(options).await.unwrap();
        sim.add_tenant(TENANT, &["contoso.onmicrosoft.com"], setup.licence);
        sim.register_app(
            TENANT,
            AppSpec {
                client_id: APP.to_owned(),
                secrets: vec![APP_SECRET.to_owned()],
                certificates: vec![],
                permissions: PERMISSIONS.iter().map(|&p| p.to_owned()).collect(),
                directory_roles: setup.roles.iter().map(|&r| r.to_owned()).collect(),
            },
        );
        let secret = Credential::Secret(Secret::new(APP_SECRET.to_owned()));
        let entra = connect(&sim, &authority, &clock, &setup.more, secret);
        let account = AccountRef {
            id: AccountId::parse(MARK).unwrap(),
            name: UPN.to_owned(),
            display_name: "JIT Jane Doe".to_owned(),
            mode: setup.mode,
            object: None,
        };
        Self { sim, clock, entra, account, known: Known::default(), steps: vec![], authority }
    }

    /// The same tenant through another connection.
    pub(crate) fn reconnect(&mut self, more: &Value, credential: Credential) {
        self.entra = connect(&self.sim, &self.authority, &self.clock, more, credential);
    }

    pub(crate) async fn observe(&self) -> Observation {
        self.entra.observe(&self.account, Urgency::Removal).await.unwrap()
    }

    /// Runs the loop until the account is as it should be. Waits and vendor's pauses move the clock.
    pub(crate) async fn reach(&mut self, target: &Target) -> Result<(), Stopped> {
        for _ in 0..300 {
            if let Some(end) = self.turn(target).await {
                return end;
            }
        }
        panic!("not settled after 300 turns: {:?}", self.steps);
    }

    /// One turn of the loop; `Some` when it is over.
    pub(crate) async fn turn(&mut self, target: &Target) -> Option<Result<(), Stopped>> {
        let urgency = if target.gives() { Urgency::Ordinary } else { Urgency::Removal };
        let seen = match self.entra.observe(&self.account, urgency).await {
            Ok(seen) => seen,
            Err(error) => return self.pause("observe", error),
        };
        match self.entra.next(target, &seen, &self.known, self.clock.now()) {
            Next::Reached => Some(Ok(())),
            Next::Impossible { why } => Some(Err(Stopped::Impossible(why))),
            Next::Wait { until, .. } => {
                self.clock.sleep_until(until).await;
                None
            }
            Next::Step(step) => self.take(&step).await,
        }
    }

    async fn take(&mut self, step: &Step) -> Option<Result<(), Stopped>> {
        let now = self.clock.now();
        self.known = self.known.clone().intending(step, now);
        let secret = self.secret_for(step);
        match self.entra.perform(step, &self.account, secret.as_ref()).await {
            Ok(outcome) => {
                self.steps.push(step.name().to_owned());
                self.known = self.known.clone().after(step, &outcome, now);
                self.account.object.clone_from(&self.known.object);
                None
            }
            Err(error) => {
                self.steps.push(format!("{}!", step.name()));
                self.pause(step.name(), error)
            }
        }
    }

    fn pause(&self, what: &str, error: CallError) -> Option<Result<(), Stopped>> {
        assert!(!format!("{error:?}").contains(APP_SECRET), "{what} leaks the app's secret");
        if error.is_transient() {
            self.clock.move_by(error.retry_after().unwrap_or(Duration::from_secs(1)));
            return None;
        }
        Some(Err(Stopped::Failed(error)))
    }

    fn secret_for(&self, step: &Step) -> Option<Secret<String>> {
        match step {
            Step::Create { password } | Step::SetPassword { password } => Some(Secret::new(password_of(password))),
            _ => None,
        }
    }

    /// The account's object id, once it exists.
    pub(crate) fn id(&self) -> String {
        self.account.object.as_ref().map(ObjectId::as_str).unwrap().to_owned()
    }

    pub(crate) fn user(&self) -> Option<Value> {
        self.sim.user(TENANT, &self.id())
    }

    /// Signs in as the technician would, with the password that was handed out.
    pub(crate) fn sign_in(&self, secret: &str) -> Result<Vec<String>, latchkey_simulators::graph::Refused> {
        let password = password_of(&SecretId::parse(secret).unwrap());
        let roles = self.sim.sign_in(TENANT, UPN, &password)?;
        assert!(!roles.must_change_password, "the stored password would go stale");
        Ok(roles.roles.into_iter().map(|(role, _)| role).collect())
    }
}

/// What a grant gives: these, for an hour.
pub(crate) fn grant(scene: &Scene, secret: &str, entitlements: &[&str]) -> Target {
    grant_for(scene, secret, entitlements, Duration::from_secs(3600))
}

pub(crate) fn grant_for(scene: &Scene, secret: &str, entitlements: &[&str], length: Duration) -> Target {
    let end = scene.clock.now() + length;
    let entitlements: BTreeMap<EntitlementId, Timestamp> =
        entitlements.iter().map(|e| (EntitlementId::try_from((*e).to_owned()).unwrap(), end)).collect();
    Target::Enabled { password: SecretId::parse(secret).unwrap(), entitlements, reason: "Ticket 48213".to_owned() }
}

pub(crate) fn role(id: &str) -> String {
    format!("role:{id}")
}

pub(crate) fn group(id: &str) -> String {
    format!("group:{id}")
}

/// Passwords differ by their sealed id, as they do in life.
pub(crate) fn password_of(secret: &SecretId) -> String {
    format!("Canary-{secret}-pass-9!xxxxxxxxxxxx")
}

fn connect(sim: &Graph, authority: &Authority, clock: &Arc<Hands>, more: &Value, credential: Credential) -> Entra {
    let kind = if matches!(credential, Credential::Secret(_)) { "secret" } else { "certificate" };
    let mut settings = json!({
        "tenant": TENANT, "client_id": APP, "credential": kind, "network": "private",
        "authority": sim.authority(), "graph": sim.base_url(),
    });
    for (key, value) in more.as_object().unwrap() {
        settings[key] = value.clone();
    }
    let settings: Settings = serde_json::from_value(settings).unwrap();
    let id = ConnectionId::parse("contoso").unwrap();
    let clock: Arc<dyn Clock> = clock.clone();
    Entra::new(id, settings, credential, Some(authority.ca_pem().to_owned()), clock).unwrap()
}
