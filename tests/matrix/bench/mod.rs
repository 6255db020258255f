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

use latchkey::{generation::Counter, people::OneTime};
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
    point::of_call,
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
        let begun = SystemTime::now();
        let mut edits = story.edits().to_vec();
        if matches!(&wrong, Wrong::Call(_, fault) if fault.is_waited_out()) {
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
        app.psa.sim.faults().clear_calls();
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
            begun,
            log_from: here::log_length(),
        };
        bench.arm();
        bench
    }

    fn arm(&mut self) {
        let vendors = [("psa", self.app.psa.sim.faults().clone()), ("entra", self.app.entra.sim.faults().clone())];
        match self.wrong.clone() {
            Wrong::Nothing | Wrong::Weather | Wrong::Starved(_) => {}
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
            Wrong::Delivery(fault) => fault.arm(&self.app.psa.sim),
        }
    }

    /// How often that which was to go wrong went wrong.
    pub(crate) fn fired(&self) -> usize {
        match &self.wrong {
            Wrong::Nothing | Wrong::Weather => 0,
            Wrong::Death(_) | Wrong::Stopped(_) => usize::from(self.death.is_some()),
            Wrong::Starved(_) => usize::from(self.hunger == Hunger::Over),
            Wrong::Call(..) => self.fired.iter().map(Fired::count).sum(),
            Wrong::Commit(..) => self.obstacle.as_ref().map_or(0, |obstacle| obstacle.fired()),
            Wrong::Delivery(fault) => fault.fired(&self.app.psa.sim),
        }
    }

    /// Whoever asks a second time finds a way that works.
    pub(crate) async fn asked_again(&mut self) {
        self.app.psa.sim.reset_delivery();
        self.feed().await;
    }

    /// The end of access is past.
    pub(crate) async fn over(&mut self) {
        if let Wrong::Delivery(DeliveryFault::Late) = self.wrong {
            for n in 1..=self.app.psa.sim.deliveries().len() {
                assert!(self.app.psa.sim.replay(n));
            }
            self.rest().await;
        }
    }

    pub(crate) async fn view(&self) -> View {
        View::of(&self.app, self.post.as_ref()).await
    }

    /// Stops the service in peace, and opens what it left.
    pub(crate) async fn stop(&mut self) {
        self.rest().await;
        if let Running::Apart(_) = self.running {
            assert_eq!(self.ask("stop").await.as_deref(), Some("stopped"));
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
    for (vendor, faults) in [("psa", app.psa.sim.faults()), ("entra", app.entra.sim.faults())] {
        for call in faults.calls() {
            if of_call(vendor, call.op, call.body_json.as_ref()) == name {
                found.insert(call.n, (call.at_ms, call.status));
            }
        }
    }
    found.into_values().collect()
}
