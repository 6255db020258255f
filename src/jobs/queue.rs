//! The queue: our task table, executed by apalis through its custom-backend seam.
//!
//! ```text
//! store ──claim──▶ fetch ──▶ engine (apalis) ──▶ job ──▶ its own transaction, or Finish
//!                    ▲                            │
//!                    └────── a slot is free ──────┘        leases: renewed while a job runs
//! ```
//!
//! `fetch` claims only what there are free slots for; `engine` is the one file that names apalis;
//! `lease` keeps running jobs' leases alive; `health` says whether all of that still moves.
//! The task's row is the truth: a process that dies leaves leases that run out.

mod engine;
mod fetch;
mod health;
mod lease;
mod slots;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use futures::FutureExt as _;
use latchkey_contract::Clock;
use tokio::{
    sync::{Mutex, Notify, mpsc, watch},
    task::JoinHandle,
};
use tracing::Instrument as _;

use super::{
    backoff,
    task::{Lease, Priority, Task},
};
use crate::{
    clock_guard::{NoDoubt, Trust},
    random::{Random, SystemRandom},
    store::{Finish, Store, StoreError},
};
pub use health::Health;
pub use lease::LeaseHandle;

/// How long what is broken off may take to notice.
const BROKEN_OFF: Duration = Duration::from_secs(1);

/// Does the work of a task.
#[async_trait::async_trait]
pub trait Run: Send + Sync {
    /// Does it. The job usually ends its task inside its own transaction, with the lease from `lease`.
    async fn run(&self, task: Task, lease: LeaseHandle) -> Ran;
}

/// What a job came to.
#[derive(Debug)]
pub enum Ran {
    /// The task's row is settled already, by the job's own transaction.
    Committed,
    /// The queue settles it.
    Finish(Finish),
    /// It is tried again after a stored wait ([`backoff`]).
    Failed {
        /// Bounded, printable, free of secrets.
        error: String,
        /// What the vendor asked for, or zero for "at once".
        retry_after: Option<Duration>,
    },
}

/// How much at once, and for how long.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Jobs at once.
    pub slots: usize,
    /// Of these, for removals alone.
    pub for_removals: usize,
    /// Jobs at once on one connection; removals pass this limit.
    pub per_connection: usize,
    /// Removals at once on one connection: one that does not answer must not have every slot.
    pub removals_per_connection: usize,
    /// How long a lease runs; a running job's is renewed at a third of it.
    pub lease: Duration,
    /// Jitter of the waits between attempts.
    pub random: Arc<dyn Random>,
    /// Whether this process' clock is the others'.
    pub trust: Arc<dyn Trust>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            slots: 24,
            for_removals: 8,
            per_connection: 4,
            removals_per_connection: 10,
            lease: Duration::from_secs(60),
            random: Arc::new(SystemRandom),
            trust: Arc::new(NoDoubt),
        }
    }
}

/// A running queue. Dropping it stops it without grace.
#[derive(Debug)]
pub struct Queue {
    shared: Arc<Shared>,
    stop: watch::Sender<Stop>,
    parts: Mutex<Vec<JoinHandle<()>>>,
}

/// How far a stop is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stop {
    Running,
    /// Nothing new is claimed; what runs may end.
    Draining,
    /// What still runs is broken off.
    Now,
}

/// What the parts of a queue share.
struct Shared {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    run: Arc<dyn Run>,
    settings: Settings,
    slots: slots::Slots,
    /// A task may be due sooner, or a slot is free.
    wake: Arc<Notify>,
    stop: watch::Receiver<Stop>,
    health: Arc<Health>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("settings", &self.settings).field("slots", &self.slots).finish_non_exhaustive()
    }
}

impl Queue {
    /// Starts to claim and to work. Every commit of `store` wakes it ([`Store::changed`]).
    #[must_use]
    pub fn start(store: Arc<dyn Store>, clock: Arc<dyn Clock>, run: Arc<dyn Run>, settings: Settings) -> Self {
        let (stop, stopped) = watch::channel(Stop::Running);
        let shared = Arc::new(Shared::new(store, clock, run, settings, stopped));
        // One place: a task is handed over only when the engine takes it.
        let (hand, taken) = mpsc::channel(1);
        let parts = vec![
            tokio::spawn(engine::execute(Arc::clone(&shared), taken)),
            tokio::spawn(fetch::fetch(Arc::clone(&shared), hand)),
            tokio::spawn(lease::keep(Arc::clone(&shared))),
        ];
        Self { shared, stop, parts: Mutex::new(parts) }
    }

    /// Something may be due: looks now. Commits of the same process do this by themselves.
    pub fn wake(&self) {
        self.shared.wake.notify_one();
    }

    /// True while tasks are being claimed and the worker takes them. Red for `/readyz` otherwise.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        self.shared.health.is_alive()
    }

    /// The same, to be handed to who answers `/readyz`.
    #[must_use]
    pub fn health(&self) -> Arc<Health> {
        Arc::clone(&self.shared.health)
    }

    /// True when nothing runs and nothing is due at the clock's time. A store that cannot say is not idle.
    pub async fn idle(&self) -> bool {
        let state = self.shared.store.queue(self.shared.clock.now()).await;
        state.is_ok_and(|state| state.ready == 0 && state.leased == 0) && self.shared.slots.running() == 0
    }

    /// Claims nothing more, gives what runs `grace` to end, then breaks it off. What was broken off keeps
    /// its lease, because its outside call may still take effect: it is taken up when the lease has run out.
    pub async fn stop(&self, grace: Duration) {
        let parts = std::mem::take(&mut *self.parts.lock().await);
        let handles: Vec<_> = parts.iter().map(tokio::task::JoinHandle::abort_handle).collect();
        self.stop.send_replace(Stop::Draining);
        let ended = futures::future::join_all(parts);
        tokio::pin!(ended);
        if tokio::time::timeout(grace, &mut ended).await.is_err() {
            tracing::warn!(running = self.shared.slots.running(), "jobs that did not end in time are broken off");
            self.stop.send_replace(Stop::Now);
            // Who waits for a database that does not answer heeds nothing else.
            if tokio::time::timeout(BROKEN_OFF, &mut ended).await.is_err() {
                handles.iter().for_each(tokio::task::AbortHandle::abort);
            }
        }
        self.shared.health.end();
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        self.stop.send_replace(Stop::Now);
    }
}

impl Shared {
    fn new(
        store: Arc<dyn Store>,
        clock: Arc<dyn Clock>,
        run: Arc<dyn Run>,
        settings: Settings,
        stop: watch::Receiver<Stop>,
    ) -> Self {
        let (wake, slots) = (store.changed(), slots::Slots::new(&settings));
        Self { store, clock, run, settings, slots, wake, stop, health: Arc::new(Health::new()) }
    }

    fn is_stopping(&self) -> bool {
        *self.stop.borrow() > Stop::Running
    }

    /// Resolves when the stop has come this far, or the queue is gone.
    async fn stopped(&self, far: Stop) {
        let mut stop = self.stop.clone();
        let _ = stop.wait_for(|now| *now >= far).await;
    }

    /// One job from start to settled row. Never panics, whatever the job does.
    async fn work(&self, task: Task) {
        let Some(lease) = self.slots.start(&task.lease) else {
            tracing::debug!(task = %task.lease.task, "the task was handed back before it began");
            return;
        };
        let _slot = Slot { shared: self, lease: &task.lease };
        let kind = task.work.name();
        let now = self.clock.now();
        if task.priority == Priority::Removal {
            metrics::histogram!("revoke_start_lateness_seconds").record(now.since(task.run_at).as_secs_f64());
        }
        let span = tracing::info_span!("job", kind, task = %task.work.slot(), attempt = task.attempt);
        let job = std::panic::AssertUnwindSafe(self.run.run(task.clone(), lease.clone())).catch_unwind();
        let ran = tokio::select! {
            ran = job.instrument(span) => ran.unwrap_or_else(|panic| panicked(&task, panic.as_ref())),
            () = self.stopped(Stop::Now) => return,
        };
        let result = match &ran {
            Ran::Committed | Ran::Finish(_) => "ok",
            Ran::Failed { .. } => "failed",
        };
        metrics::histogram!("job_seconds", "kind" => kind, "result" => result)
            .record(self.clock.now().since(now).as_secs_f64());
        let finish = match ran {
            Ran::Committed => return,
            Ran::Finish(finish) => finish,
            Ran::Failed { error, retry_after } => self.again(&task, error, retry_after),
        };
        self.settle(&lease, finish).await;
    }

    fn again(&self, task: &Task, error: String, retry_after: Option<Duration>) -> Finish {
        if backoff::is_given_up(task) {
            tracing::error!(task = %task.work.slot(), attempt = task.attempt, error, "a job is given up");
            return Finish::Dead { error };
        }
        let wait = backoff::wait(task.attempt, retry_after, task.priority, self.settings.random.as_ref());
        Finish::Retry { at: self.clock.now() + wait, error }
    }

    /// Where this fails too, the lease runs out and the task is done again.
    async fn settle(&self, lease: &LeaseHandle, finish: Finish) {
        for _ in 0..3 {
            match self.store.finish(&lease.lease(), finish.clone()).await {
                Ok(true) => return,
                Ok(false) => {
                    lease.lose();
                    tracing::warn!(task = %lease.lease().task, "a job ended after its lease was lost");
                    return;
                }
                Err(StoreError::Busy) => {}
                Err(error) => {
                    tracing::error!(error = &error as &dyn std::error::Error, "a task's end was not written");
                    return;
                }
            }
        }
        tracing::warn!(task = %lease.lease().task, "the database stayed busy: a task's end was not written");
    }
}

/// A taken slot; free again when this goes, and the queue looks for more.
struct Slot<'a> {
    shared: &'a Shared,
    lease: &'a Lease,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        self.shared.slots.free(self.lease);
        self.shared.wake.notify_one();
    }
}

fn panicked(task: &Task, panic: &(dyn std::any::Any + Send)) -> Ran {
    // The text may hold anything; it goes nowhere.
    let kind = if panic.is::<&str>() || panic.is::<String>() { "with a message" } else { "without a message" };
    tracing::error!(task = %task.work.slot(), kind, "a job panicked: this is a defect, please report it");
    metrics::counter!("job_panics_total", "kind" => task.work.name()).increment(1);
    Ran::Failed { error: "the job panicked".to_owned(), retry_after: None }
}
