//! One installation with its vendors, in which one thing goes wrong.

use std::{
    collections::BTreeMap,
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use latchkey::{people::OneTime, store::Store};
use latchkey_contract::{Clock as _, Timestamp};
use latchkey_simulators::{
    fault::{Act, Call, Fault, Faults, Fired},
    graph::{AppSpec, Licence},
};

use crate::{
    child::{self, LOG, Orders, TRACE},
    ground, here,
    harness::{CLIENT, TestApp, stranger::On},
    post::Post,
    point::{Point, Side, of_call},
    service::{Process, Said, Service},
    story::Story,
    view::View,
    watched::Watched,
    wrong::{CallFault, DeliveryFault, Obstacle, Wrong},
};

/// How long a rest may take in real time.
const PATIENCE: Duration = Duration::from_secs(60);

/// Steps of time while work waits for leases to run out that nobody holds any more.
const WAITING: Duration = Duration::from_secs(5);

/// Another customer's tenant that has consented to the same app. Nobody asked for anything there.
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

/// Who is killed by a vendor's hook, and whether that was done.
#[derive(Debug, Default)]
struct Victim {
    process: Mutex<Option<Process>>,
    killed_at: Mutex<Option<Point>>,
}

impl Bench {
    pub(crate) async fn start(on: On, story: Story, wrong: Wrong) -> Self {
        let mut edits = story.edits().to_vec();
        if matches!(&wrong, Wrong::Call(_, fault) if fault.is_waited_out()) {
            edits.extend(IMPATIENT);
        }
        let dir = ground::fresh(on);
        let post = if story == Story::Mail { Some(Post::open(dir.path()).await) } else { None };
        let mut app = TestApp::installed_in(dir, &edits, |_, _| ()).await;
        let mut lee = None;
        if story == Story::Held {
            app.open_store().await;
            lee = Some(app.enroll("lee").await);
            app.close_store().await;
        }
        app.register_webhooks().await;
        app.psa.sim.faults().clear_calls();
        let (client_id, secrets) = (CLIENT.to_owned(), vec![OTHER_CLIENT_SECRET.to_owned()]);
        app.entra.sim.add_tenant(OTHER_TENANT, &["fabrikam.onmicrosoft.com"], Licence::Free);
        app.entra.sim.register_app(OTHER_TENANT, AppSpec { client_id, secrets, ..AppSpec::default() });
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
            log_from: here::log_length(),
        };
        bench.arm();
        bench
    }

    fn arm(&mut self) {
        let vendors = [("psa", self.app.psa.sim.faults().clone()), ("entra", self.app.entra.sim.faults().clone())];
        match self.wrong.clone() {
            Wrong::Nothing => {}
            Wrong::Death(point) if point.is_commit() => {}
            Wrong::Death(point) => vendors.iter().for_each(|(vendor, faults)| arm(faults, vendor, &point, &self.victim)),
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
            Wrong::Nothing => 0,
            Wrong::Death(_) => usize::from(self.death.is_some()),
            Wrong::Call(..) => self.fired.iter().map(Fired::count).sum(),
            Wrong::Commit(..) => self.obstacle.as_ref().map_or(0, |obstacle| obstacle.fired()),
            Wrong::Delivery(fault) => fault.fired(&self.app.psa.sim),
        }
    }

    /// Whoever asks a second time finds a way that works.
    pub(crate) fn asked_again(&self) {
        self.app.psa.sim.reset_delivery();
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

    fn orders(&self, command: Option<String>) -> Orders {
        let (dir, port) = self.app.place();
        let elapsed_ms = u64::try_from(self.app.clock.monotonic().as_millis()).unwrap();
        let kill = match &self.wrong {
            Wrong::Death(point) if point.is_commit() && self.death.is_none() => Some(point.clone()),
            _ => None,
        };
        Orders { dir: dir.to_owned(), port, elapsed_ms, kill, command }
    }

    /// Starts the service; once more when it is killed as it starts.
    pub(crate) async fn up(&mut self) {
        if !matches!(self.wrong, Wrong::Death(_)) {
            self.running = Running::Here(here::up(&mut self.app, self.obstacle.clone()).await);
            return;
        }
        while let Running::Nowhere = self.running {
            let mut service = Service::spawn(&self.orders(None));
            *self.victim.process.lock().unwrap() = Some(service.process());
            match service.hear().await {
                Said::Line(line) if line == "ready" => self.running = Running::Apart(service),
                Said::Line(line) => panic!("the service does not start: {line}"),
                Said::Gone(status) => self.died(status).await,
            }
        }
    }

    /// An operator sets the tenant's client secret while the service is down; tries again when that fails.
    pub(crate) async fn set_client_secret(&mut self, value: &str) {
        if matches!(self.wrong, Wrong::Death(_)) {
            let mut command = Service::spawn(&self.orders(Some(value.to_owned())));
            match command.hear().await {
                Said::Line(line) => assert_eq!(line, "stopped"),
                Said::Gone(status) => self.died(status).await,
            }
            return;
        }
        let trace = self.app.place().0.join(TRACE);
        for _ in 0..2 {
            let wrap = |inner: Arc<dyn Store>| -> Arc<dyn Store> {
                Arc::new(Watched::new(inner, &trace, None).hindered(self.obstacle.clone()))
            };
            if child::command(self.app.config(), value, self.app.clock.now(), wrap).await {
                return;
            }
        }
        panic!("the secret could not be set");
    }

    async fn ask(&mut self, question: &str) -> Option<String> {
        let said = match &mut self.running {
            Running::Nowhere => panic!("the service is up"),
            Running::Here(store) => return Some(child::rest(store).await),
            Running::Apart(service) => service.ask(question).await,
        };
        match said {
            Said::Line(line) => Some(line),
            Said::Gone(status) => {
                self.running = Running::Nowhere;
                self.died(status).await;
                self.up().await;
                None
            }
        }
    }

    /// The process is dead: as it was meant to be, or the run fails.
    async fn died(&mut self, status: ExitStatus) {
        let Wrong::Death(point) = self.wrong.clone() else { panic!("the service ended by itself: {status}") };
        assert!(self.death.is_none(), "the service ended by itself: {status}; {}", self.log_tail());
        assert_eq!(status.signal(), Some(9), "the service was not killed but ended: {}", self.log_tail());
        self.app.psa.sim.settled().await;
        let view = self.view().await;
        let by = if point.is_commit() {
            view.trace.last().cloned().unwrap_or_default()
        } else {
            self.victim.killed_at.lock().unwrap().as_ref().map(|point| format!("killed {point}")).unwrap_or_default()
        };
        assert_eq!(by, format!("killed {point}"), "it died, but not where it should");
        self.death = Some(view);
    }

    /// Lets everything happen that can happen without time passing. Answers when something is due.
    pub(crate) async fn rest(&mut self) -> Option<Timestamp> {
        let (bound, mut quiet, mut due) = (Instant::now() + PATIENCE, 0, None);
        while quiet < 2 {
            assert!(Instant::now() < bound, "the service does not come to rest; {}", self.log_tail());
            self.app.psa.sim.settled().await;
            let said = self.ask("rest").await;
            match said.as_deref().and_then(|line| line.split_once(' ')) {
                Some(("quiet", at)) => {
                    quiet += 1;
                    due = at.parse().ok().map(Timestamp::from_millis);
                }
                _ => quiet = 0,
            }
        }
        due
    }

    /// Moves time, the vendors' first.
    async fn shift(&mut self, by: Duration) {
        self.app.clock.pass(by);
        match &self.running {
            Running::Here(store) => store.moved(self.app.clock.now()),
            _ => drop(self.ask(&format!("pass {}", by.as_millis())).await),
        }
    }

    /// Lets time pass until something is so, stopping at everything that falls due on the way.
    pub(crate) async fn until(&mut self, within: Duration, what: &str, is_so: impl Fn(&TestApp) -> bool) {
        let is_so = self.is_within(within, is_so).await;
        assert!(is_so, "within {within:?} it did not come to pass: {what}; {}", self.log_tail());
    }

    /// As [`Bench::until`]; false when it did not come to pass.
    pub(crate) async fn is_within(&mut self, within: Duration, is_so: impl Fn(&TestApp) -> bool) -> bool {
        let end = self.app.clock.now() + within;
        loop {
            let due = self.rest().await;
            if is_so(&self.app) {
                return true;
            }
            let now = self.app.clock.now();
            if now >= end {
                return false;
            }
            self.shift(step(now, due, end)).await;
        }
    }

    /// Lets time pass.
    pub(crate) async fn pass(&mut self, time: Duration) {
        let end = self.app.clock.now() + time;
        self.is_within(time, |app| app.clock.now() >= end).await;
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
        if let Some(database) = self.app.on_server() {
            database.remove();
        }
    }

    /// What this run logged, and perhaps what others did meanwhile.
    pub(crate) fn log(&self) -> Vec<u8> {
        match self.wrong {
            Wrong::Death(_) => std::fs::read(self.app.place().0.join(LOG)).unwrap_or_default(),
            _ => here::log_since(self.log_from),
        }
    }

    fn log_tail(&self) -> String {
        let log = String::from_utf8_lossy(&self.log()).into_owned();
        if let Some(file) = std::env::var_os("DEBUG_LOG") { std::fs::write(file, &log).unwrap(); }
        let lines: Vec<&str> = log.lines().collect();
        format!("the log's end:\n{}", lines[lines.len().saturating_sub(12)..].join("\n"))
    }
}

/// To what is due next; past what is overdue and waits for a lease, in small steps.
fn step(now: Timestamp, due: Option<Timestamp>, end: Timestamp) -> Duration {
    let to = match due {
        Some(due) if due <= now => now + WAITING,
        Some(due) => due,
        None => end,
    };
    to.min(end).since(now).max(Duration::from_millis(1))
}

/// Lets a vendor kill the service right before or right after a call's effect.
fn arm(faults: &Faults, vendor: &'static str, point: &Point, victim: &Arc<Victim>) {
    let name = point.name.clone();
    let matches = move |call: &Call| of_call(vendor, call.op, call.body_json.as_ref()) == name;
    let (at, victim) = (point.clone(), Arc::clone(victim));
    let kill = move |_: &Call| {
        victim.process.lock().unwrap().as_ref().expect("the service was started").kill();
        *victim.killed_at.lock().unwrap() = Some(at.clone());
    };
    let fault = |act| Fault::when(matches.clone(), act).skip(point.nth - 1).once();
    match point.side {
        Side::Before => {
            faults.add(fault(Act::before(kill)));
            faults.add(fault(Act::ResetBefore));
        }
        Side::After => {
            faults.add(fault(Act::after(kill)));
        }
    }
}

/// Lets a vendor misbehave at the first calls of this name.
fn spoil(faults: &Faults, vendor: &'static str, name: &str, fault: CallFault) -> Fired {
    let name = name.to_owned();
    let matches = move |call: &Call| of_call(vendor, call.op, call.body_json.as_ref()) == name;
    faults.add(Fault::when(matches, fault.act(vendor)).times(fault.times()))
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
