//! The surface over real HTTP on loopback, with the real store. Vendors are stand-ins that do nothing but prove.

mod claim;
mod doors;
mod enroll;
mod hooks;
mod stand_ins;

use std::{
    collections::BTreeMap,
    net::{SocketAddr, TcpListener},
    sync::{Arc, Mutex},
    time::Duration,
};

use latchkey_contract::{AccountId, GrantId, PersonId, Secret, SecretId, Timestamp, directory::Mode};
use reqwest::{Method, Response, header};

use super::*;
use crate::{
    access::{Account, Grant, State},
    audit::By,
    config::Config,
    people::{Enrolment, OneTime},
    registry::Registry,
    rulebook::{Hold, HoldCause, HoldOn, Records, Rulebook, Rules},
    seal::{KeyFile, unlock},
    store::{
        CommitName, Database, Store, Transition,
        sqlite::{Options, Sqlite},
    },
    telemetry::{LogFormat, LogLevel},
};
use stand_ins::{Ends, Hands, Ready, StandIns};

pub(super) const PASSWORD: &str = "four unlikely words";
pub(super) const SECRET: &str = "Xk7-canary-Password-9";
pub(super) const PATH_SECRET: &str = "canary-path-secret-0123456789";
pub(super) const HOSTILE: &str = r#""><svg onload=alert(1)>"#;

const RULEBOOK: &str = r#"
[[policy]]
id = "helpdesk"
name = "Helpdesk Administrator"
source = "entra"
mode = "standard"
entitlements = ["role:729827e3-9c14-49f7-bb1b-9608f156bbb8"]
lengths = ["1h", "4h"]
max_length = "4h"
delivery = "claim-link"
"#;

const RECORDS: &str = r#"
[[connection]]
id = "entra-contoso"
kind = "entra"
tenant = "8f0c2c1e-0000-4000-8000-000000000000"
client_id = "8f0c2c1e-0000-4000-8000-000000000001"
credential = "secret"

[[customer]]
id = "contoso"
name = "Contoso"
jit = true
directory = "entra-contoso"
domain = "contoso.onmicrosoft.com"

[[person]]
id = "jdoe"
name = "Jane Doe"
customers = "all"

[[person]]
id = "msmith"
name = "Mary Smith"
customers = "all"
"#;

/// The surface, running.
pub(super) struct Site {
    pub(super) base: String,
    pub(super) store: Arc<Sqlite>,
    pub(super) seal: Arc<Seal>,
    pub(super) clock: Arc<Hands>,
    pub(super) ends: Arc<Ends>,
    pub(super) ready: Arc<Ready>,
    pub(super) web: Arc<Web>,
    pub(super) stand_ins: Arc<StandIns>,
    client: reqwest::Client,
    apps: BTreeMap<&'static str, OneTime>,
    _dir: tempfile::TempDir,
}

impl Site {
    pub(super) async fn start() -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(Hands::at(Timestamp::parse("2026-06-09T12:00:00Z").unwrap()));
        let store = Arc::new(Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap());
        let key_file = KeyFile::Own(dir.path().join("keys/master.key"));
        let seal = Arc::new(unlock(&key_file, &*store, clock.now()).await.unwrap());
        let rules = Rules {
            rulebook: Rulebook::parse(RULEBOOK).unwrap(),
            records: Records::parse(RECORDS).unwrap(),
            ..Rules::default()
        };
        store.save_rules(&rules, "test", "test", clock.now()).await.unwrap();
        let stand_ins = Arc::new(StandIns { store: Arc::clone(&store), meanwhile: Mutex::default() });
        let assemble: Arc<StandIns> = Arc::clone(&stand_ins);
        let live = Live::start(Arc::<Sqlite>::clone(&store), assemble).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let listen = listener.local_addr().unwrap();
        let (ends, ready) = (Arc::new(Ends::default()), Arc::new(Ready::default()));
        let web = Arc::new(Web::new(
            &config(listen, key_file),
            Arc::<Sqlite>::clone(&store),
            Arc::<Hands>::clone(&clock),
            Arc::clone(&seal),
            Arc::new(live),
            Arc::<Ends>::clone(&ends),
            Arc::<Ready>::clone(&ready),
        ));
        tokio::spawn(serve(Arc::clone(&web), listener, Entrance::Loopback).unwrap());
        let client = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).build().unwrap();
        let apps = BTreeMap::new();
        Self {
            base: format!("http://{listen}"),
            store,
            seal,
            clock,
            ends,
            ready,
            web,
            stand_ins,
            client,
            apps,
            _dir: dir,
        }
    }

    /// Enrols somebody, and lets the code that confirmed it grow old.
    pub(super) async fn enroll(&mut self, person: &'static str) {
        let id = PersonId::parse(person).unwrap();
        let enrolment = Enrolment::begin(id, Secret::new(PASSWORD.to_owned())).unwrap();
        let app = enrolment.one_time().clone();
        let now = self.clock.now();
        enrolment.finish(&app.code(now), By::Service, &*self.store, &self.seal, now).await.unwrap();
        self.apps.insert(person, app);
        self.clock.pass(Duration::from_secs(30));
    }

    pub(super) fn code(&self, person: &str) -> String {
        self.apps[person].code(self.clock.now())
    }

    /// A code that was not used yet.
    pub(super) fn fresh_code(&self, person: &str) -> String {
        self.clock.pass(Duration::from_secs(30));
        self.code(person)
    }

    pub(super) fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A form as our own page sends it.
    pub(super) fn form(&self, path: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        self.request(Method::POST, path).header(header::ORIGIN, &self.base).form(fields)
    }

    pub(super) async fn sign_in(&self, person: &str) -> Browser<'_> {
        let fields = [("person", person), ("password", PASSWORD), ("code", &self.fresh_code(person)), ("next", "/")];
        let answer = self.form("/sign-in", &fields).send().await.unwrap();
        assert_eq!(answer.status(), 303, "{}", answer.text().await.unwrap());
        Browser { site: self, cookie: cookie(&answer), form_token: String::new() }.reload().await
    }

    /// Puts a grant into the database as the jobs would.
    pub(super) async fn grant(
        &self,
        id: &str,
        person: &str,
        state: impl FnOnce(SecretId, Timestamp) -> State,
    ) -> Grant {
        let secret = SecretId::parse(format!("s-{id}")).unwrap();
        let now = self.clock.now();
        let grant = Grant {
            id: GrantId::parse(id).unwrap(),
            version: 0,
            ticket: latchkey_contract::TicketRef { connection: "cw".parse().unwrap(), ticket: "4711".parse().unwrap() },
            ticket_link: "https://psa.example.com/ticket?id=4711".to_owned(),
            customer: "contoso".parse().unwrap(),
            person: person.parse().unwrap(),
            mapping: "m".parse().unwrap(),
            revision: 1,
            policy: Rulebook::parse(RULEBOOK).unwrap().policies.remove(0),
            reason: format!("Printer {HOSTILE}"),
            asked_at: now,
            directory: "entra-contoso".parse().unwrap(),
            account: AccountId::parse(format!("a-{id}")).unwrap(),
            length: crate::access::Length::FOUR_HOURS,
            stood: None,
            leaving: None,
            extending: None,
            warned_of: None,
            state: state(secret.clone(), now),
        };
        let row = self.seal.seal(secret, None, "account password", &Secret::new(SECRET.to_owned()));
        let transition = Transition {
            grants: vec![grant.clone()],
            accounts: vec![account(&grant)],
            seal: vec![row],
            ..Transition::new(CommitName::Decided, now)
        };
        self.store.commit(transition).await.unwrap();
        self.store.grant(&grant.id).await.unwrap().unwrap()
    }

    pub(super) async fn active(&self, id: &str, person: &str) -> Grant {
        let hours = |now, h: u64| now + Duration::from_secs(h * 3600);
        let active =
            |secret, now| State::Active { secret, since: now, until: hours(now, 4), latest_end: hours(now, 5) };
        self.grant(id, person, active).await
    }

    pub(super) async fn save_records(&self, records: &str) {
        let rules = self.store.rules().await.unwrap();
        let rules = Rules { records: Records::parse(records).unwrap(), ..rules };
        self.store.save_rules(&rules, "test", "test", self.clock.now()).await.unwrap();
    }

    /// What was audited since the rules were saved first and everybody was enrolled.
    pub(super) async fn audit_codes(&self) -> Vec<String> {
        let all = self.store.audit(1, 100).await.unwrap().into_iter().map(|entry| entry.code.to_string());
        all.filter(|code| code != "person.enrolled").collect()
    }

    /// Blocks somebody, as an operator does.
    pub(super) async fn block(&self, person: &str) {
        self.store.set_hold(&self.blocked(person)).await.unwrap();
    }

    pub(super) fn blocked(&self, person: &str) -> Hold {
        Hold {
            on: HoldOn::Person(person.parse().unwrap()),
            cause: HoldCause::Blocked,
            since: self.clock.now(),
            by: "test".to_owned(),
            reason: "test".to_owned(),
        }
    }
}

/// Somebody who is signed in.
pub(super) struct Browser<'a> {
    pub(super) site: &'a Site,
    pub(super) cookie: String,
    pub(super) form_token: String,
}

impl Browser<'_> {
    pub(super) async fn get(&self, path: &str) -> (u16, String) {
        read(self.site.request(Method::GET, path).header(header::COOKIE, &self.cookie).send().await.unwrap()).await
    }

    pub(super) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String) {
        let fields = [&[("form_token", self.form_token.as_str())], fields].concat();
        read(self.site.form(path, &fields).header(header::COOKIE, &self.cookie).send().await.unwrap()).await
    }

    async fn reload(mut self) -> Self {
        let (_, page) = self.get("/").await;
        let token = page.split("name=\"form_token\" value=\"").nth(1).unwrap();
        self.form_token = token.split('"').next().unwrap().to_owned();
        self
    }
}

pub(super) async fn read(answer: Response) -> (u16, String) {
    (answer.status().as_u16(), answer.text().await.unwrap())
}

pub(super) fn cookie(answer: &Response) -> String {
    let set = answer.headers()[header::SET_COOKIE].to_str().unwrap();
    set.split(';').next().unwrap().to_owned()
}

pub(super) fn records_with(change: impl FnOnce(String) -> String) -> String {
    change(RECORDS.to_owned())
}

fn config(listen: SocketAddr, key_file: KeyFile) -> Config {
    Config {
        database: Database::Sqlite("unused".into()),
        data_dir: "data".into(),
        key_file,
        generation_file: "generation".into(),
        listen,
        metrics_listen: None,
        public_url: format!("http://{listen}/").parse().unwrap(),
        trusted_proxies: vec![],
        tls: None,
        log_format: LogFormat::Json,
        log_level: LogLevel::Info,
        mail: None,
    }
}

fn account(grant: &Grant) -> Account {
    Account {
        id: grant.account.clone(),
        version: 0,
        directory: grant.directory.clone(),
        customer: grant.customer.clone(),
        person: grant.person.clone(),
        mode: Mode::Burner,
        name: format!("jit-{}@contoso.onmicrosoft.com", grant.person),
        display_name: "JIT".to_owned(),
        known: latchkey_contract::directory::Known::default(),
        last: None,
        secret: None,
        is_giving: false,
        is_surprised: false,
        last_step: None,
        gave_at: None,
        first_off: None,
        off_since: None,
        looks: vec![],
        overdue: None,
    }
}
