//! The service, its vendors and its people, with verbs for everything a journey needs.

mod browser;
mod clock;
mod desks;
mod looks;
mod operator;
pub(crate) mod outside;
pub(crate) mod stranger;
pub(crate) mod unread;
mod vendors;

use std::{net::TcpListener, path::Path, sync::Arc, time::Duration};

use latchkey::{
    access::{Grant, State},
    app::{App, Duties, Parts},
    audit::By,
    config::Config,
    people::{Enrolment, OneTime},
    random::SystemRandom,
    registry::{SecretKind, SecretName, set_secrets},
    rulebook::{Records, Rulebook, Rules},
    seal,
    store::{Engine, Store, StoreError, TaskRow, sqlite::Options},
};
use latchkey_contract::{Clock, ConnectionId, PersonId, Secret, TicketRef, Timestamp, ticket::WantedHooks};
use latchkey_simulators::authority::{Authority, use_ring};
use tempfile::TempDir;

pub(crate) use browser::Browser;
pub(crate) use clock::TestClock;
pub(crate) use desks::{Beside, Desk, Leaves, Message, Standing, Way, Who, Whose, Writes, Wrong};
pub(crate) use vendors::*;

pub(crate) const HOOK_SECRET: &str = "the-path-secret-of-this-installation-0123456789";
pub(crate) const PASSWORD: &str = "violet hammock orbits quietly";

/// Everything a journey needs. Dropping it without [`TestApp::end`] checks nothing.
pub(crate) struct TestApp {
    pub(crate) clock: TestClock,
    pub(crate) psa: Psa,
    pub(crate) entra: Entra,
    pub(crate) jane: OneTime,
    pub(crate) mark: OneTime,
    /// One of each PSA, where a journey has them all.
    pub(crate) desks: Vec<Arc<dyn Desk>>,
    authority: Authority,
    app: Option<App>,
    opened: Option<Engine>,
    config: Config,
    port: u16,
    dir: TempDir,
    ca_pem: String,
}

/// How a journey's installation differs from the usual one.
#[derive(Debug, Clone)]
pub(crate) struct Setup {
    /// Replacements in the records and rulebook documents.
    pub(crate) edits: Vec<(String, String)>,
}

impl TestApp {
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// With replacements in the two documents.
    pub(crate) async fn start_with(edits: &[(&str, &str)]) -> Self {
        Self::start_after(edits, |_, _| ()).await
    }

    /// With replacements in the two documents, and with what happened at the PSA before Latchkey was installed.
    pub(crate) async fn start_after(edits: &[(&str, &str)], before: impl FnOnce(&Psa, &TestClock)) -> Self {
        let mut app = Self::installed(edits, before).await;
        app.up().await;
        app.register_webhooks().await;
        app
    }

    /// Everything but the running service.
    pub(crate) async fn installed(edits: &[(&str, &str)], before: impl FnOnce(&Psa, &TestClock)) -> Self {
        Self::installed_in(tempfile::tempdir().unwrap(), edits, before).await
    }

    /// The same, and running, on a database of the test's own choice.
    pub(crate) async fn start_on(database: &latchkey_simulators::postgres::Database) -> Self {
        let mut app = Self::installed_in(stranger::on(Some(database)), &[], |_, _| ()).await;
        app.up().await;
        app.register_webhooks().await;
        app
    }

    /// Everything but the running service, in a directory that may say already which database it has.
    pub(crate) async fn installed_in(
        dir: TempDir,
        edits: &[(&str, &str)],
        before: impl FnOnce(&Psa, &TestClock),
    ) -> Self {
        use_ring();
        if std::env::var_os("LATCHKEY_TEST_LOG").is_some() {
            let _ = tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_test_writer().try_init();
        }
        let edits = edits.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        let setup = Setup { edits };
        let (clock, authority) = (TestClock::new(), Authority::new());
        let (psa, entra) = (Psa::start(&authority, &clock).await, Entra::start(&authority, &clock).await);
        before(&psa, &clock);
        let port = free_port();
        let config = config(dir.path(), port);
        std::fs::create_dir_all(&config.data_dir).unwrap();
        let ca_file = dir.path().join("ca.pem");
        std::fs::write(&ca_file, authority.ca_pem()).unwrap();
        let (jane, mark) = install(&config, &clock, &psa, &entra, &ca_file, &setup).await;
        let ca_pem = authority.ca_pem().to_owned();
        let desks = Vec::new();
        Self { clock, psa, entra, jane, mark, desks, authority, app: None, opened: None, config, port, dir, ca_pem }
    }

    /// Starts the service again, on the same data.
    pub(crate) async fn up(&mut self) {
        let parts = Parts { random: Arc::new(SystemRandom), ..Parts::new(Arc::new(self.clock.clone())) };
        self.app = Some(App::start(&self.config, parts).await.unwrap());
    }

    /// Another process on the same database: a directory, a port and copies of the key's files are its own.
    pub(crate) async fn replica(&self, name: &str, duties: Duties) -> App {
        let config = Config::load(&self.replica_in(name)).unwrap();
        let parts = Parts { duties, ..Parts::new(Arc::new(self.clock.clone())) };
        App::start(&config, parts).await.unwrap()
    }

    /// The configuration file of one that is not started yet.
    pub(crate) fn replica_in(&self, name: &str) -> std::path::PathBuf {
        let dir = self.dir.path().join(name);
        std::fs::create_dir_all(dir.join("data")).unwrap();
        std::fs::copy(self.config.key_file.path(), dir.join("master.key")).unwrap();
        if let Some(database) = self.on_server() {
            stranger::choose(&dir, Some(&database.url));
        }
        let file = dir.join("latchkey.toml");
        std::fs::write(&file, config_text(&dir, free_port())).unwrap();
        file
    }

    pub(crate) async fn down(&mut self) {
        if let Some(app) = self.app.take() {
            app.stop().await;
        }
    }

    pub(crate) fn app(&self) -> &App {
        self.app.as_ref().expect("the service is up")
    }

    pub(crate) fn store(&self) -> Arc<dyn Store> {
        match &self.opened {
            Some(opened) => opened.store(),
            None => self.app().store(),
        }
    }

    /// Opens what a service that is down has left, to look at it.
    pub(crate) async fn open_store(&mut self) {
        self.opened = Some(Engine::open(&self.config.database, Options::default()).await.unwrap());
    }

    pub(crate) async fn close_store(&mut self) {
        if let Some(opened) = self.opened.take() {
            opened.close().await;
        }
    }

    /// Where the installation is: directory and port are all that another process needs to run it.
    pub(crate) fn place(&self) -> (&Path, u16) {
        (self.dir.path(), self.port)
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    pub(crate) fn data_dir(&self) -> &Path {
        &self.config.data_dir
    }

    pub(crate) async fn register_webhooks(&self) {
        let connector = self.connector().await;
        let url = self.config.public(&format!("/hooks/cw/{HOOK_SECRET}"));
        let boards = [self.psa.desk.board, self.psa.projects.board].map(|b| b.to_string().parse().unwrap()).into();
        let changes = connector.sync_webhooks(&WantedHooks { url, boards, fields: Default::default() }).await.unwrap();
        assert_eq!(changes.created, 2);
    }

    /// The ConnectWise connector as the service uses it.
    pub(crate) async fn connector(&self) -> Arc<dyn latchkey_contract::TicketSystem> {
        let settings: latchkey_connectwise::Settings = toml::from_str(&format!(
            "site = {:?}\ncompany = \"examplemsp\"\nclient_id = \"6b1f0c3e-0000-4000-8000-000000000001\"\npublic_key = {:?}\nnetwork = \"private\"",
            self.psa.sim.base_url(), self.psa.keys.0
        ))
        .unwrap();
        let id = ConnectionId::parse("cw").unwrap();
        let (key, marker) = (Secret::new(self.psa.keys.1.clone()), Secret::new(vec![7; 32]));
        let clock = Arc::new(self.clock.clone());
        Arc::new(
            latchkey_connectwise::ConnectWise::new(id, settings, key, Some(self.ca_pem.clone()), marker, clock)
                .unwrap(),
        )
    }

    /// Lets everything happen that can happen without time passing, but for the moment that an intake waits which met somebody
    /// else's commit.
    pub(crate) async fn run(&self) {
        self.rest().await;
        while let Some(at) = self.again_at().await {
            self.clock.pass(at.since(self.clock.now()));
            self.rest().await;
        }
    }

    /// When an intake is tried again that failed just now.
    async fn again_at(&self) -> Option<Timestamp> {
        let soon = self.clock.now() + Duration::from_millis(200);
        let is_soon = self.store().next_due().await.unwrap().is_some_and(|due| due <= soon);
        if !is_soon {
            return None;
        }
        let (tasks, conflict) = (self.store().tasks(u32::MAX).await.unwrap(), StoreError::Conflict.to_string());
        let failed = |task: &TaskRow| task.last_error.as_ref().is_some_and(|error| error.contains(&conflict));
        let again = |task: &&TaskRow| task.state == "pending" && task.slot.starts_with("intake:") && failed(task);
        tasks.iter().filter(again).map(|task| task.at).filter(|at| *at <= soon).min()
    }

    async fn rest(&self) {
        let mut quiet = 0;
        let bound = std::time::Instant::now() + Duration::from_secs(30);
        while quiet < 3 {
            assert!(
                std::time::Instant::now() < bound,
                "the service does not come to rest: {:?}",
                self.store().queue(self.clock.now()).await
            );
            self.psa.sim.settled().await;
            for desk in &self.desks {
                desk.settled().await;
            }
            quiet = if self.app().is_idle().await { quiet + 1 } else { 0 };
            tokio::task::yield_now().await;
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Lets time pass, stopping at everything that falls due on the way.
    pub(crate) async fn pass(&self, time: Duration) {
        let end = self.clock.now() + time;
        loop {
            self.run().await;
            let now = self.clock.now();
            let due = self.store().next_due().await.unwrap().filter(|due| *due <= end);
            let step = due.map_or(end, |due| due.max(now + Duration::from_millis(1)).min(end));
            if step <= now {
                break;
            }
            self.clock.pass(step.since(now));
        }
        self.run().await;
    }

    pub(crate) async fn minutes(&self, minutes: u64) {
        self.pass(Duration::from_secs(minutes * 60)).await;
    }

    pub(crate) async fn grants(&self, ticket: i64) -> Vec<Grant> {
        let ticket = TicketRef { connection: "cw".parse().unwrap(), ticket: ticket.to_string().parse().unwrap() };
        self.store().grants_of_ticket(&ticket).await.unwrap()
    }

    /// The newest grant of a ticket.
    pub(crate) async fn grant(&self, ticket: i64) -> Grant {
        self.grants(ticket).await.into_iter().next().expect("the ticket has a grant")
    }

    pub(crate) async fn state(&self, ticket: i64) -> State {
        self.grant(ticket).await.state
    }

    /// A ticket whose request was granted, and whose access is active.
    pub(crate) async fn active(&self) -> i64 {
        let ticket = self.psa.ticket();
        self.psa.ask(ticket);
        self.run().await;
        assert_eq!(self.state(ticket).await.name(), "active", "{:?}", self.psa.notes(ticket));
        ticket
    }

    pub(crate) fn browser(&self) -> Browser {
        Browser::new(self.url(""))
    }

    /// Stops everything, having looked from outside whether all invariants hold.
    pub(crate) async fn end(mut self) {
        self.run().await;
        outside::check(&self, true).await;
        self.down().await;
        drop(self.dir);
    }
}

/// A port that stays ours when the service is down: below those that the system gives to connections by itself.
pub(crate) fn free_port() -> u16 {
    let random = || 10_000 + u16::from_be_bytes(latchkey::random::bytes::<2>()) % 20_000;
    let is_free = |port: &u16| TcpListener::bind(("127.0.0.1", *port)).is_ok();
    std::iter::repeat_with(random).find(is_free).expect("there is no end of ports to try")
}

pub(crate) fn config(dir: &Path, port: u16) -> Config {
    Config::parse(&config_text(dir, port), &dir.join("latchkey.toml"), None).unwrap()
}

pub(crate) fn config_text(dir: &Path, port: u16) -> String {
    format!(
        "data_dir = \"data\"\nkey_file = \"master.key\"\nlisten = \"127.0.0.1:{port}\"\npublic_url = \"http://127.0.0.1:{port}\"\n{}",
        stranger::configured(dir)
    )
}

/// What an operator does once: secrets, documents, people.
async fn install(
    config: &Config,
    clock: &TestClock,
    psa: &Psa,
    entra: &Entra,
    ca_file: &Path,
    setup: &Setup,
) -> (OneTime, OneTime) {
    let engine = Engine::open(&config.database, Options::default()).await.unwrap();
    let (store, now) = (engine.store(), clock.now());
    let store = store.as_ref();
    let seal = seal::unlock(&config.key_file, store, now).await.unwrap();
    let rules = documents(psa, entra, ca_file, setup, now);
    store.save_rules(&rules, "test", "first", now).await.unwrap();
    let secret = |connection: &str, kind, value: &str| {
        (SecretName::new(connection.parse().unwrap(), kind), Secret::new(value.to_owned()))
    };
    let secrets = [
        secret("cw", SecretKind::PrivateKey, &psa.keys.1),
        secret("cw", SecretKind::HookSecret, HOOK_SECRET),
        secret("acme-entra", SecretKind::ClientSecret, CLIENT_SECRET),
    ];
    set_secrets(store, &seal, &By::operator("test"), &secrets, now).await.unwrap();
    let jane = enroll(store, &seal, "jane", now).await;
    let mark = enroll(store, &seal, "mark", now).await;
    engine.close().await;
    (jane, mark)
}

async fn enroll(store: &dyn Store, seal: &seal::Seal, person: &str, now: Timestamp) -> OneTime {
    let person = PersonId::parse(person).unwrap();
    let enrolment = Enrolment::begin(person.clone(), Secret::new(PASSWORD.to_owned())).unwrap();
    let again = OneTime::new(&enrolment.one_time().bytes(), &person).unwrap();
    let before = Timestamp::from_millis(now.millis() - 30_000);
    enrolment.finish(&again.code(before), By::operator("test"), store, seal, now).await.unwrap();
    again
}

fn documents(psa: &Psa, entra: &Entra, ca_file: &Path, setup: &Setup, now: Timestamp) -> Rules {
    let mut records = format!(
        r#"
[[connection]]
id = "cw"
kind = "connectwise"
site = "{site}"
company = "examplemsp"
client_id = "6b1f0c3e-0000-4000-8000-000000000001"
public_key = "{public_key}"
network = "private"
ca_file = "{ca_file}"

[[connection]]
id = "acme-entra"
kind = "entra"
tenant = "{TENANT}"
client_id = "{CLIENT}"
authority = "{authority}"
graph = "{graph}"
credential = "secret"
network = "private"
ca_file = "{ca_file}"

[[customer]]
id = "acme"
name = "ACME Ltd"
jit = true
companies = [{{ connection = "cw", ids = ["{acme}"] }}]
directory = "acme-entra"
domain = "contoso.onmicrosoft.com"

[[person]]
id = "jane"
name = "Jane Doe"
members = [{{ connection = "cw", ids = ["176"] }}]
customers = "all"

[[person]]
id = "mark"
name = "Mark Smith"
members = [{{ connection = "cw", ids = ["177", "178"] }}]
customers = ["acme"]
"#,
        site = psa.sim.base_url(),
        public_key = psa.keys.0,
        ca_file = ca_file.display(),
        authority = entra.sim.authority(),
        graph = entra.sim.base_url(),
        acme = psa.acme,
    );
    let mut rulebook = rulebook(psa, entra);
    for (from, to) in &setup.edits {
        assert!(records.contains(from) || rulebook.contains(from), "nothing to replace: {from}");
        records = records.replace(from, to);
        rulebook = rulebook.replace(from, to);
    }
    let rulebook = Rulebook::parse(&rulebook).unwrap().in_force_since(&Rulebook::default(), now);
    Rules { rulebook, records: Records::parse(&records).unwrap(), ..Rules::default() }
}

fn rulebook(psa: &Psa, entra: &Entra) -> String {
    let mapping = |id: &str, policy: &str, b: &BoardIds| {
        format!(
            r#"
[[mapping]]
id = "{id}"
connection = "cw"
boards = ["{}"]
trigger_statuses = ["{}"]
policy = "{policy}"
length_field = "{}"
statuses = {{ granted = "{}", refused = "{}", ended = "{}" }}
"#,
            b.board, b.requested, psa.length_field, b.active, b.refused, b.done
        )
    };
    let policy = |id: &str, name: &str, rest: &str| {
        format!(
            r#"
[[policy]]
id = "{id}"
name = "{name}"
source = "entra"
mode = "standard"
technicians = ["technicians"]
lengths = ["30m", "1h"]
default_length = "1h"
max_length = "8h"
{rest}
"#
        )
    };
    let link = format!(
        "entitlements = [\"role:{HELPDESK_ROLE}\", \"group:{}\"]\ndelivery = \"claim-link\"\nwarn_minutes = 0",
        entra.group
    );
    let ticket =
        format!("entitlements = [\"role:{EXCHANGE_ROLE}\"]\ndelivery = \"ticket\"\nticket_readers_may_use_it = true");
    let everybody =
        "[[technician_group]]\nid = \"technicians\"\nname = \"Technicians\"\nmembers = \"all\"\n".to_owned();
    [
        everybody,
        policy("helpdesk", "Helpdesk administrator", &link),
        policy("exchange", "Exchange administrator", &ticket),
        mapping("desk", "helpdesk", &psa.desk),
        mapping("projects", "exchange", &psa.projects),
    ]
    .concat()
}

impl TestApp {
    /// Message ids of recorded deliveries, and how many of them have no outcome, read from outside.
    pub(crate) fn deliveries(&self) -> (std::collections::BTreeSet<String>, usize) {
        let recorded = self.recorded();
        let open = recorded.iter().filter(|(_, outcome)| outcome.is_none()).count();
        (recorded.into_iter().map(|(message, _)| message).collect(), open)
    }
}
