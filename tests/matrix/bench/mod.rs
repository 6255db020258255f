//! One installation with its vendors, in which one thing goes wrong.

mod hunger;
mod process;
mod time;
mod victim;

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use latchkey::{
    generation::Counter,
    people::OneTime,
    rulebook::{ConnectionKind, Rules},
};
use latchkey_simulators::{fault::Fired, graph::Licence};
use tempfile::TempDir;

use self::{
    hunger::Hunger,
    victim::{Victim, arm, spoil, stop_at},
};
use crate::{
    child::LOG,
    customers, ground,
    harness::{TestApp, consented, stranger::On},
    here,
    point::{of_call, vendors},
    post::Post,
    service::Service,
    story::Story,
    view::View,
    watched::Watched,
    wrong::{DeliveryFault, Obstacle, Wrong},
};

/// How long a rest may take in real time.
const PATIENCE: Duration = Duration::from_secs(150);

/// Another customer's tenant that has consented to the same app. In one story somebody asks for something there.
pub(crate) const OTHER_TENANT: &str = "99999999-2222-4333-8444-555555555555";
pub(crate) const OTHER_CLIENT_SECRET: &str = "another-client-secret-of-the-pretend-tenant";

/// Waits of two seconds instead of fifteen, for calls that nobody answers.
const IMPATIENT: [(&str, &str); 2] = [
    ("company = \"examplemsp\"", "company = \"examplemsp\"\ntimeout_s = 2"),
    ("credential = \"secret\"", "credential = \"secret\"\ntimeout_s = 2"),
];

/// The same at a PSA beside the first.
fn be_impatient(rules: &mut Rules) {
    for connection in &mut rules.records.connections {
        match &mut connection.kind {
            ConnectionKind::Autotask(settings) => settings.timeout_s = 2,
            ConnectionKind::HaloPsa(settings) => settings.timeout_s = 2,
            _ => {}
        }
    }
}

/// One run.
pub(crate) struct Bench {
    pub(crate) app: TestApp,
    /// What a person came to know and nobody else may.
    pub(crate) secrets: Vec<String>,
    pub(crate) beginning: View,
    /// Right after the service died.
    pub(crate) death: Option<View>,
    pub(crate) wrong: Wrong,
    pub(crate) post: Option<Post>,
    /// An approver's codes.
    pub(crate) lee: Option<OneTime>,
    running: Running,
    victim: Arc<Victim>,
    fired: Vec<Fired>,
    obstacle: Option<Arc<Obstacle>>,
    hunger: Hunger,
    /// How many lines of the log waited until the end for somebody who reads.
    unread: usize,
    /// Nothing of this run was written before.
    pub(crate) begun: SystemTime,
    /// Where this run's lines begin in the log that all runs of this process share.
    log_from: u64,
}

/// Where the service is.
enum Running {
    Nowhere,
    /// A process of its own, where it is to be killed.
    Apart(Service),
    /// In this process, where it lives through what goes wrong.
    Here(Arc<Watched>),
}

impl Bench {
    pub(crate) async fn start(on: On, story: Story, wrong: Wrong) -> Self {
        Self::start_in(ground::fresh(on), story, wrong).await
    }

    /// In a directory that says already which database it has.
    pub(crate) async fn start_in(dir: TempDir, story: Story, wrong: Wrong) -> Self {
        // By the files' own clock.
        let begun = std::fs::metadata(dir.path()).and_then(|dir| dir.modified()).unwrap();
        let mut edits = story.edits().to_vec();
        let is_impatient = matches!(&wrong, Wrong::Call(_, fault) if fault.is_waited_out());
        if is_impatient {
            edits.extend(IMPATIENT);
        }
        let post = if story == Story::Mail { Some(Post::open(dir.path()).await) } else { None };
        let mut app = TestApp::installed_in(dir, &edits, |_, _| ()).await;
        let mut lee = None;
        if story == Story::Held {
            app.open_store().await;
            lee = Some(app.enroll("lee").await);
            app.close_store().await;
        }
        if wrong.is_at("commit raise-generation") {
            // It has run before: the file of the first start of all is not there yet, and then everything is compared.
            app.open_store().await;
            Counter::at(&app.config().generation_file).raise(app.store().as_ref()).await.unwrap();
            app.close_store().await;
        }
        if story == Story::TwoCustomers {
            customers::connect(&mut app).await;
        }
        app.register_webhooks().await;
        if let Some(psa) = story.beside() {
            // Commands that look at a vendor's clock go by the one of the service.
            app.up().await;
            app.connect_beside(psa).await;
            if is_impatient {
                app.change_rules(be_impatient).await;
            }
            app.down().await;
        }
        vendors(&app).iter().for_each(|(_, faults)| faults.clear_calls());
        app.entra.sim.add_tenant(OTHER_TENANT, &["fabrikam.onmicrosoft.com"], Licence::Free);
        app.entra.sim.register_app(OTHER_TENANT, consented(OTHER_CLIENT_SECRET));
        let beginning = View::of(&app, post.as_ref()).await;
        let mut bench = Self {
            app,
            secrets: Vec::new(),
            beginning,
            death: None,
            wrong,
            post,
            lee,
            running: Running::Nowhere,
            victim: Arc::default(),
            fired: Vec::new(),
            obstacle: None,
            hunger: Hunger::NotYet,
            unread: 0,
            begun,
            log_from: here::log_length(),
        };
        bench.arm();
        bench
    }

    fn arm(&mut self) {
        let vendors = vendors(&self.app);
        match self.wrong.clone() {
            Wrong::Nothing
            | Wrong::Weather
            | Wrong::Starved(_)
            | Wrong::Squeezed(_)
            | Wrong::Starts
            | Wrong::Unread => {}
            Wrong::Stopped(phase) => {
                if let Some(op) = phase.call() {
                    stop_at(self.app.entra.sim.faults(), op, &self.victim);
                }
            }
            Wrong::Death(point) if point.is_commit() => {}
            Wrong::Death(point) => {
                vendors.iter().for_each(|(vendor, faults)| arm(faults, vendor, &point, &self.victim))
            }
            Wrong::Call(name, fault) => {
                self.fired = vendors.iter().map(|(vendor, faults)| spoil(faults, vendor, &name, fault)).collect();
            }
            Wrong::Commit(name, fault) => self.obstacle = Some(Arc::new(Obstacle::new(&name, fault))),
            Wrong::Delivery(fault) => fault.arm(&self.app),
        }
    }

    /// How often that which was to go wrong went wrong.
    pub(crate) fn fired(&self) -> usize {
        match &self.wrong {
            Wrong::Nothing | Wrong::Weather | Wrong::Starts => 0,
            Wrong::Death(_) | Wrong::Stopped(_) => usize::from(self.death.is_some()),
            Wrong::Starved(_) | Wrong::Squeezed(_) => usize::from(self.hunger == Hunger::Over),
            Wrong::Unread => self.unread,
            Wrong::Call(..) => self.fired.iter().map(Fired::count).sum(),
            Wrong::Commit(..) => self.obstacle.as_ref().map_or(0, |obstacle| obstacle.fired()),
            Wrong::Delivery(fault) => fault.fired(&self.app),
        }
    }

    /// Whoever asks a second time finds a way that works.
    pub(crate) async fn asked_again(&mut self) {
        match self.app.beside() {
            Some(desk) => desk.is_honest(),
            None => self.app.psa.sim.reset_delivery(),
        }
        self.feed().await;
    }

    /// The end of access is past.
    pub(crate) async fn over(&mut self) {
        if let Wrong::Delivery(DeliveryFault::Late) = self.wrong {
            match self.app.beside() {
                Some(desk) => desk.replay(),
                None => {
                    for n in 1..=self.app.psa.sim.deliveries().len() {
                        assert!(self.app.psa.sim.replay(n));
                    }
                }
            }
            self.rest().await;
        }
    }

    /// Every message that is due was answered.
    async fn settled(&self) {
        self.app.psa.sim.settled().await;
        for desk in self.app.others() {
            desk.settled().await;
        }
    }

    pub(crate) async fn view(&self) -> View {
        View::of(&self.app, self.post.as_ref()).await
    }

    /// Stops the service in peace, and opens what it left.
    pub(crate) async fn stop(&mut self) {
        self.rest().await;
        if let Running::Apart(service) = &mut self.running {
            let unread = service.read_at_last();
            assert_eq!(self.ask("stop").await.as_deref(), Some("stopped"));
            if let Some(unread) = unread {
                let log = unread.await.unwrap();
                self.unread = log.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{")).count();
                std::fs::write(self.app.place().0.join(LOG), log).unwrap();
            }
        }
        self.app.down().await;
        self.running = Running::Nowhere;
        self.app.open_store().await;
    }

    /// Ends it; nothing of it is left.
    pub(crate) async fn end(mut self) {
        self.app.close_store().await;
        // One on a server of the cell's own goes with it.
        if let Some(database) = self.app.on_server().filter(|database| database.url.contains("/test_")) {
            database.remove();
        }
    }

    /// What this run logged, and perhaps what others did meanwhile.
    pub(crate) fn log(&self) -> Vec<u8> {
        match &self.wrong {
            wrong if wrong.is_of_a_process() => std::fs::read(self.app.place().0.join(LOG)).unwrap_or_default(),
            _ => here::log_since(self.log_from),
        }
    }

    pub(crate) fn log_tail(&self) -> String {
        let log = String::from_utf8_lossy(&self.log()).into_owned();
        let lines: Vec<&str> = log.lines().collect();
        format!("the log's end:\n{}", lines[lines.len().saturating_sub(12)..].join("\n"))
    }
}

/// Calls of one name, oldest first: when, and what was answered.
pub(crate) fn calls(app: &TestApp, name: &str) -> Vec<(i64, Option<u16>)> {
    let mut found = BTreeMap::new();
    for (vendor, faults) in vendors(app) {
        for call in faults.calls() {
            if of_call(vendor, call.op, call.body_json.as_ref()) == name {
                found.insert(call.n, (call.at_ms, call.status));
            }
        }
    }
    found.into_values().collect()
}
