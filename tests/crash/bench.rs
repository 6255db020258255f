//! One installation with its vendors, whose service can be killed at one place and is then started again.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use latchkey_contract::{Clock as _, Timestamp};
use latchkey_simulators::{
    fault::{Act, Call, Fault, Faults},
    graph::{AppSpec, Licence},
};

use crate::{
    child::{LOG, Orders},
    harness::{CLIENT, TestApp},
    point::{Point, Side, of_call},
    service::{Process, Said, Service},
    view::View,
};

/// How long a rest may take in real time.
const PATIENCE: Duration = Duration::from_secs(40);

/// Steps of time while work waits for a dead process's leases to run out.
const WAITING: Duration = Duration::from_secs(5);

/// Another customer's tenant that has consented to the same app. Nobody asked for anything there.
pub(crate) const OTHER_TENANT: &str = "99999999-2222-4333-8444-555555555555";
pub(crate) const OTHER_CLIENT_SECRET: &str = "another-client-secret-of-the-pretend-tenant";

/// One run.
pub(crate) struct Bench {
    pub(crate) app: TestApp,
    /// What a person came to know and nobody else may.
    pub(crate) secrets: Vec<String>,
    pub(crate) beginning: View,
    /// Right after the service died.
    pub(crate) death: Option<View>,
    service: Option<Service>,
    kill: Option<Point>,
    victim: Arc<Victim>,
}

/// Who is killed by a vendor's hook, and whether that was done.
#[derive(Debug, Default)]
struct Victim {
    process: Mutex<Option<Process>>,
    killed_at: Mutex<Option<Point>>,
}

impl Bench {
    pub(crate) async fn start(edits: &[(&str, &str)], kill: Option<Point>) -> Self {
        let app = TestApp::installed(edits, |_, _| ()).await;
        app.register_webhooks().await;
        app.psa.sim.faults().clear_calls();
        let (client_id, secrets) = (CLIENT.to_owned(), vec![OTHER_CLIENT_SECRET.to_owned()]);
        app.entra.sim.add_tenant(OTHER_TENANT, &["fabrikam.onmicrosoft.com"], Licence::Free);
        app.entra.sim.register_app(OTHER_TENANT, AppSpec { client_id, secrets, ..AppSpec::default() });
        let beginning = View::of(&app).await;
        let victim = Arc::new(Victim::default());
        if let Some(point) = kill.as_ref().filter(|point| !point.is_commit()) {
            arm(app.psa.sim.faults(), "psa", point, &victim);
            arm(app.entra.sim.faults(), "entra", point, &victim);
        }
        Self { app, secrets: Vec::new(), beginning, death: None, service: None, kill, victim }
    }

    fn orders(&self, command: Option<String>) -> Orders {
        let (dir, port) = self.app.place();
        let elapsed_ms = u64::try_from(self.app.clock.monotonic().as_millis()).unwrap();
        let kill = self.kill.clone().filter(|point| point.is_commit() && self.death.is_none());
        Orders { dir: dir.to_owned(), port, elapsed_ms, kill, command }
    }

    /// Starts the service; once more when it is killed as it starts.
    pub(crate) async fn up(&mut self) {
        while self.service.is_none() {
            let mut service = Service::spawn(&self.orders(None));
            *self.victim.process.lock().unwrap() = Some(service.process());
            match service.hear().await {
                Said::Line(line) if line == "ready" => self.service = Some(service),
                Said::Line(line) => panic!("the service does not start: {line}"),
                Said::Gone(status) => self.died(status).await,
            }
        }
    }

    /// An operator sets the tenant's client secret while the service is down; done, or killed on the way.
    pub(crate) async fn set_client_secret(&mut self, value: &str) {
        let mut command = Service::spawn(&self.orders(Some(value.to_owned())));
        match command.hear().await {
            Said::Line(line) => assert_eq!(line, "stopped"),
            Said::Gone(status) => self.died(status).await,
        }
    }

    async fn ask(&mut self, question: &str) -> Option<String> {
        let said = self.service.as_mut().expect("the service is up").ask(question).await;
        match said {
            Said::Line(line) => Some(line),
            Said::Gone(status) => {
                self.service = None;
                self.died(status).await;
                self.up().await;
                None
            }
        }
    }

    /// The process is dead: as it was meant to be, or the run fails.
    async fn died(&mut self, status: ExitStatus) {
        let Some(point) = self.kill.clone().filter(|_| self.death.is_none()) else {
            panic!("the service ended by itself: {status}; {}", self.log_tail());
        };
        assert_eq!(status.signal(), Some(9), "the service was not killed but ended: {}", self.log_tail());
        self.app.psa.sim.settled().await;
        let view = View::of(&self.app).await;
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
        self.ask(&format!("pass {}", by.as_millis())).await;
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
        loop {
            let due = self.rest().await;
            let now = self.app.clock.now();
            if now >= end {
                return;
            }
            self.shift(step(now, due, end)).await;
        }
    }

    /// False when the service was to be killed, and lived through the whole story.
    pub(crate) const fn is_as_planned(&self) -> bool {
        self.kill.is_none() || self.death.is_some()
    }

    /// Stops the service in peace, and opens what it left.
    pub(crate) async fn stop(&mut self) {
        self.rest().await;
        assert_eq!(self.ask("stop").await.as_deref(), Some("stopped"));
        self.service = None;
        self.app.open_store().await;
    }

    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.app.place().0.join(LOG)).unwrap_or_default()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
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
