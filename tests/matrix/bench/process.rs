//! The service of a bench: started, spoken to, dead.

use std::{
    os::unix::process::ExitStatusExt as _,
    process::ExitStatus,
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey::store::Store;
use latchkey_contract::Clock as _;

use super::{Bench, PATIENCE, Running, hunger::Hunger};
use crate::{
    child::{self, Orders, TRACE},
    commands::Command,
    harness::TestClock,
    here,
    service::{Said, Service},
    watched::Watched,
    weather::Phase,
    wrong::Wrong,
};

/// How long a service that is told to stop may take to end what is under way: ten seconds by its design, and what a busy machine
/// adds.
const STOPPED_WITHIN: Duration = Duration::from_secs(15);

/// SIGABRT.
const ABORTED: i32 = 6;

/// What the test runner ends with after a panic.
const PANICKED: i32 = 101;

impl Bench {
    fn orders(&self, command: Option<Command>) -> Orders {
        let (dir, port) = self.app.place();
        let elapsed_ms = u64::try_from(self.app.clock.monotonic().as_millis()).unwrap();
        let behind_ms = (TestClock::new().now() + self.app.clock.monotonic()).since(self.app.clock.now()).as_millis();
        let behind_ms = u64::try_from(behind_ms).unwrap();
        let kill = match &self.wrong {
            Wrong::Death(point) if point.is_commit() && self.death.is_none() => Some(point.clone()),
            _ => None,
        };
        let unread = matches!(self.wrong, Wrong::Unread) && command.is_none();
        Orders { dir: dir.to_owned(), port, elapsed_ms, behind_ms, kill, unread, command }
    }

    /// Starts the service; once more when it is killed as it starts, or cannot.
    pub(crate) async fn up(&mut self) {
        if !self.wrong.is_of_a_process() {
            return self.running = Running::Here(self.up_here().await);
        }
        while let Running::Nowhere = self.running {
            let mut service = Service::spawn(&self.orders(None));
            *self.victim.process.lock().unwrap() = Some(service.process());
            match service.hear().await {
                Said::Line(line) if line == "ready" => {
                    self.running = Running::Apart(service);
                    if matches!(self.wrong, Wrong::Stopped(Phase::Restart)) && self.death.is_none() {
                        self.victim.stop();
                        Box::pin(self.gone()).await;
                    }
                }
                Said::Line(line) => panic!("the service does not start: {line}"),
                Said::Gone(status) => self.died(status).await,
            }
        }
    }

    /// One that met its obstacle as it started has ended, and whoever looks after it starts it again.
    async fn up_here(&mut self) -> Arc<Watched> {
        let bound = Instant::now() + PATIENCE;
        loop {
            match here::up(&mut self.app, self.obstacle.clone()).await {
                Ok(store) => return store,
                Err(why) => {
                    let is_to_be = self.obstacle.as_ref().is_some_and(|obstacle| obstacle.fired() > 0);
                    assert!(is_to_be && Instant::now() < bound, "the service does not start: {why:#}");
                }
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// An operator does something while the service is down, and tries again when that fails: but not to set a secret where
    /// the command died, since the vendor takes both.
    pub(crate) async fn operate(&mut self, command: &Command) {
        if self.wrong.is_of_a_process() {
            loop {
                let mut process = Service::spawn(&self.orders(Some(command.clone())));
                match process.hear().await {
                    Said::Line(line) => return assert_eq!(line, "stopped", "{command:?}"),
                    Said::Gone(status) => self.died(status).await,
                }
                if matches!(command, Command::Secret(_)) {
                    return;
                }
            }
        }
        let trace = self.app.place().0.join(TRACE);
        for _ in 0..2 {
            let wrap = |inner: Arc<dyn Store>| -> Arc<dyn Store> {
                Arc::new(Watched::new(inner, &trace, None).hindered(self.obstacle.clone()))
            };
            if command.is_done(self.app.config(), self.app.clock.now(), wrap).await {
                return;
            }
        }
        panic!("it could not be done: {command:?}");
    }

    pub(super) async fn ask(&mut self, question: &str) -> Option<String> {
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
        assert!(self.death.is_none(), "the service ended by itself: {status}; {}", self.log_tail());
        if let Wrong::Stopped(_) = self.wrong {
            let took = self.victim.told_at.lock().unwrap().expect("it was told to stop").elapsed();
            assert!(status.success(), "it was told to stop, and failed: {status}; {}", self.log_tail());
            assert!(took < STOPPED_WITHIN, "it took {took:?} to stop");
            self.settled().await;
            self.death = Some(self.view().await);
            return;
        }
        if let Wrong::Squeezed(_) = self.wrong {
            // Of an allocation that fails, or of a thread that cannot be started.
            let is_of_it =
                self.hunger == Hunger::Now && (status.signal() == Some(ABORTED) || status.code() == Some(PANICKED));
            assert!(is_of_it, "it did not die of its hunger: {status}; {}", self.log_tail());
            self.hunger = Hunger::Over;
            self.app.psa.sim.settled().await;
            self.death = Some(self.view().await);
            return;
        }
        let Wrong::Death(point) = self.wrong.clone() else { panic!("the service ended by itself: {status}") };
        assert_eq!(status.signal(), Some(9), "the service was not killed but ended: {}", self.log_tail());
        self.settled().await;
        let view = self.view().await;
        let by = if point.is_commit() {
            view.trace.last().cloned().unwrap_or_default()
        } else {
            self.victim.killed_at.lock().unwrap().as_ref().map(|point| format!("killed {point}")).unwrap_or_default()
        };
        assert_eq!(by, format!("killed {point}"), "it died, but not where it should");
        self.death = Some(view);
    }

    /// Kills the service, whatever it does.
    pub(crate) async fn kill(&mut self) {
        let Running::Apart(service) = std::mem::replace(&mut self.running, Running::Nowhere) else {
            panic!("it is a process of its own")
        };
        service.process().kill();
        self.app.psa.sim.settled().await;
    }

    /// Starts the service and kills it so soon. Answers whether it had begun to do anything, and whether it was ready by then.
    pub(crate) async fn killed_as_it_starts(&mut self, after: Duration) -> (bool, bool) {
        let log = self.log().len();
        let mut service = Service::spawn(&self.orders(None));
        tokio::time::sleep(after).await;
        service.process().kill();
        let mut was_ready = false;
        while let Said::Line(line) = service.hear().await {
            assert_eq!(line, "ready", "the service does not start");
            was_ready = true;
        }
        self.app.psa.sim.settled().await;
        (self.log().len() > log, was_ready)
    }

    /// Starts the service, as often as it takes.
    pub(crate) async fn up_in_the_end(&mut self) {
        let bound = Instant::now() + PATIENCE;
        loop {
            match here::up(&mut self.app, None).await {
                Ok(store) => return self.running = Running::Here(store),
                Err(why) => assert!(Instant::now() < bound, "the service does not start: {why:#}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Waits for the service to end, and starts it again.
    pub(super) async fn gone(&mut self) {
        let Running::Apart(service) = &mut self.running else { panic!("it is a process of its own") };
        let status = loop {
            if let Said::Gone(status) = service.hear().await {
                break status;
            }
        };
        self.running = Running::Nowhere;
        self.died(status).await;
        Box::pin(self.up()).await;
    }
}
