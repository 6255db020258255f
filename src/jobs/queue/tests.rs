//! The queue with the embedded store, a clock that stands until it is moved, and jobs that wait until they are let go.

mod leases;
mod limits;
mod stops;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicI64, Ordering},
    },
};

use futures::future::BoxFuture;
use latchkey_contract::Timestamp;
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusRecorder};
use sqlx::{ConnectOptions as _, SqliteConnection, sqlite::SqliteConnectOptions};
use tokio::sync::Semaphore;

use super::*;
use crate::{
    clock_guard::Doubt,
    jobs::task::{NewTask, Work},
    store::{
        sqlite::{Options, Sqlite},
        story::{START, add, after, converge, intake, task, tell_work},
    },
};

#[derive(Debug)]
struct Hands {
    now: AtomicI64,
    moved: Notify,
}

impl Hands {
    fn pass(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
        self.moved.notify_waiters();
    }

    /// As a wall clock does: whoever sleeps sleeps on.
    fn jump(&self, seconds: i64) {
        self.now.fetch_add(seconds * 1000, Ordering::SeqCst);
    }
}

#[async_trait::async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now.load(Ordering::SeqCst))
    }

    fn monotonic(&self) -> Duration {
        self.now().since(START)
    }

    async fn sleep_until(&self, at: Timestamp) {
        let moved = self.moved.notified();
        tokio::pin!(moved);
        moved.as_mut().enable();
        if self.now() < at {
            moved.await;
        }
    }
}

/// Draws the longest wait.
#[derive(Debug)]
struct Longest;

impl Random for Longest {
    fn fill(&self, buffer: &mut [u8]) {
        buffer.fill(255);
    }
}

type Job = dyn Fn(Task, LeaseHandle) -> BoxFuture<'static, Ran> + Send + Sync;

/// Notes who runs, then does what the test says.
struct Worked {
    job: Box<Job>,
    runs: Mutex<Vec<Task>>,
    now: Mutex<BTreeMap<String, usize>>,
    leases: Mutex<Vec<LeaseHandle>>,
}

#[async_trait::async_trait]
impl Run for Worked {
    async fn run(&self, task: Task, lease: LeaseHandle) -> Ran {
        *self.now.lock().unwrap().entry(task.work.slot()).or_default() += 1;
        self.leases.lock().unwrap().push(lease.clone());
        self.runs.lock().unwrap().push(task.clone());
        let ran = (self.job)(task.clone(), lease).await;
        *self.now.lock().unwrap().entry(task.work.slot()).or_default() -= 1;
        ran
    }
}

impl Worked {
    fn new(job: impl Fn(Task, LeaseHandle) -> BoxFuture<'static, Ran> + Send + Sync + 'static) -> Self {
        let job = Box::new(job);
        Self { job, runs: Mutex::default(), now: Mutex::default(), leases: Mutex::default() }
    }

    fn slots(&self) -> Vec<String> {
        let mut slots: Vec<_> = self.runs.lock().unwrap().iter().map(|t| t.work.slot()).collect();
        slots.sort();
        slots
    }

    fn lease(&self) -> LeaseHandle {
        self.leases.lock().unwrap()[0].clone()
    }
}

struct Bench {
    place: tempfile::TempDir,
    store: Arc<Sqlite>,
    clock: Arc<Hands>,
}

impl Bench {
    async fn new() -> Self {
        let place = tempfile::tempdir().unwrap();
        let options = Options { reserve_bytes: 64 * 1024, max_bytes: None };
        let store = Arc::new(Sqlite::open(&place.path().join("latchkey.db"), options).await.unwrap());
        let clock = Arc::new(Hands { now: AtomicI64::new(START.millis()), moved: Notify::new() });
        Self { place, store, clock }
    }

    fn path(&self) -> PathBuf {
        self.place.path().join("latchkey.db")
    }

    fn start<F, Fut>(&self, settings: Settings, job: F) -> (Queue, Arc<Worked>)
    where
        F: Fn(Task, LeaseHandle) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Ran> + Send + 'static,
    {
        let worked = Arc::new(Worked::new(move |task, lease| Box::pin(job(task, lease))));
        let clock: Arc<dyn Clock> = self.clock.clone();
        (Queue::start(self.store.clone(), clock, worked.clone(), settings), worked)
    }

    async fn add(&self, tasks: Vec<NewTask>) {
        add(&*self.store, tasks).await;
    }

    async fn stranger(&self) -> SqliteConnection {
        SqliteConnectOptions::new().filename(self.path()).connect().await.unwrap()
    }
}

fn settings() -> Settings {
    Settings { random: Arc::new(Longest), ..Settings::default() }
}

fn giving(account: &str, directory: &str) -> NewTask {
    task(converge(account, directory), START, Priority::Giving)
}

/// Waits for something that will come; the time is a limit, not a measure.
async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    for _ in 0..4000 {
        if is_so().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("this never came: {what}");
}

/// A job that waits until it is let go.
fn gate() -> (Arc<Semaphore>, impl Fn(Task, LeaseHandle) -> BoxFuture<'static, Ran> + Send + Sync) {
    let open = Arc::new(Semaphore::new(0));
    let inner = Arc::clone(&open);
    let job = move |_, _| {
        let open = Arc::clone(&inner);
        Box::pin(async move {
            open.acquire().await.unwrap().forget();
            Ran::Finish(Finish::Done)
        }) as BoxFuture<'static, Ran>
    };
    (open, job)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_committed_is_worked_off_and_the_queue_falls_idle() {
    let bench = Bench::new().await;
    let (queue, worked) = bench.start(settings(), |_, _| async { Ran::Finish(Finish::Done) });
    assert!(queue.is_alive());
    bench.add(vec![giving("a1", "d"), task(tell_work("1"), START, Priority::Telling)]).await;
    bench.add(vec![task(converge("later", "d"), after(10), Priority::Giving)]).await;
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots(), ["converge:a1", "tell:cw/1"]);
    bench.clock.pass(10);
    until("the later one", async || worked.slots().len() == 3).await;
    until("idle", async || queue.idle().await).await;
    assert_eq!(bench.store.queue(after(10)).await.unwrap(), crate::store::QueueState::default());
}

/// How many commits were made while this recorder was there.
fn commits(recorder: &PrometheusRecorder) -> Option<u64> {
    let text = recorder.handle().render();
    text.lines().find_map(|line| line.strip_prefix("db_commit_seconds_count ")?.parse().ok())
}

/// Pulses pass, in real time, and the heart beats; nothing is written and nothing is read.
#[tokio::test]
async fn who_has_nothing_to_do_asks_the_store_nothing() {
    let recorder = PrometheusBuilder::new().build_recorder();
    let _measuring = metrics::set_default_local_recorder(&recorder);
    let commits = || commits(&recorder);
    let bench = Bench::new().await;
    let (queue, worked) = bench.start(settings(), |_, _| async { Ran::Finish(Finish::Done) });
    bench.add(vec![giving("a1", "d"), task(converge("later", "d"), after(10), Priority::Giving)]).await;
    until("the first one", async || worked.slots().len() == 1).await;
    tokio::time::sleep(Duration::from_millis(300)).await;
    let before = commits();
    tokio::time::sleep(2 * engine::PULSE + Duration::from_millis(300)).await;
    assert!(before.is_some() && commits() == before, "{before:?} {:?}", commits());
    assert!(queue.is_alive());
    bench.clock.pass(10);
    until("the later one", async || worked.slots().len() == 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_wait_after_a_failure_outlives_a_restart() {
    let bench = Bench::new().await;
    let failed = || Ran::Failed { error: "503".into(), retry_after: None };
    let (queue, worked) = bench.start(settings(), move |_, _| async move { failed() });
    bench.add(vec![giving("a1", "d")]).await;
    until("it failed", async || queue.idle().await && !worked.slots().is_empty()).await;
    assert_eq!(bench.store.next_due().await.unwrap(), Some(after(1)));
    bench.clock.pass(1);
    until("it failed again", async || queue.idle().await && worked.slots().len() == 2).await;
    assert_eq!(bench.store.next_due().await.unwrap(), Some(after(3)));
    queue.stop(Duration::from_secs(5)).await;

    let (queue, worked) = bench.start(settings(), move |_, _| async { Ran::Finish(Finish::Done) });
    bench.clock.pass(1);
    assert!(queue.idle().await);
    assert!(worked.slots().is_empty());
    bench.clock.pass(1);
    until("it is tried again", async || worked.slots().len() == 1).await;
    assert_eq!(worked.runs.lock().unwrap()[0].attempt, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delivery_is_given_up_visibly_and_a_removal_never() {
    let bench = Bench::new().await;
    bench.add(vec![task(intake("d1", "1"), START, Priority::Giving)]).await;
    bench.add(vec![task(converge("a1", "d"), START, Priority::Removal)]).await;
    let mut conn = bench.stranger().await;
    sqlx::query("UPDATE tasks SET attempts = 5000").execute(&mut conn).await.unwrap();
    let failed = || Ran::Failed { error: "refused".into(), retry_after: None };
    let (queue, worked) = bench.start(settings(), move |_, _| async move { failed() });
    until("both failed", async || worked.slots().len() == 2 && queue.idle().await).await;
    let state = bench.store.queue(START).await.unwrap();
    assert_eq!((state.dead, state.future), (1, 1));
    assert_eq!(bench.store.next_due().await.unwrap(), Some(after(45)), "the longest wait of a removal");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_panics_has_failed_and_harms_nobody() {
    let bench = Bench::new().await;
    let has_panicked = Arc::new(AtomicBool::new(false));
    let (queue, worked) = bench.start(settings(), move |_, _| {
        let is_first = !has_panicked.swap(true, Ordering::SeqCst);
        async move {
            assert!(!is_first, "a panic on purpose");
            Ran::Finish(Finish::Done)
        }
    });
    bench.add(vec![giving("a1", "d")]).await;
    until("it panicked", async || queue.idle().await && worked.slots().len() == 1).await;
    assert!(queue.is_alive());
    bench.clock.pass(1);
    until("it is tried again", async || queue.idle().await && worked.slots().len() == 2).await;
    assert_eq!(bench.store.queue(after(9)).await.unwrap(), crate::store::QueueState::default());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_is_waited_out() {
    let bench = Bench::new().await;
    bench.add(vec![giving("a1", "d")]).await;
    let mut holder = bench.stranger().await;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut holder).await.unwrap();
    let (queue, worked) = bench.start(settings(), |_, _| async { Ran::Finish(Finish::Done) });
    assert!(matches!(bench.store.heartbeat(START).await, Err(StoreError::Busy)));
    assert!(worked.slots().is_empty());
    sqlx::query("ROLLBACK").execute(&mut holder).await.unwrap();
    until("it goes on", async || queue.idle().await && worked.slots().len() == 1).await;
    assert!(queue.is_alive());
}

/// A job may settle its task itself, in its own transaction.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_settles_its_task_in_its_own_transaction() {
    let bench = Bench::new().await;
    let store = Arc::clone(&bench.store);
    let (queue, worked) = bench.start(settings(), move |task, lease| {
        let store = Arc::clone(&store);
        async move {
            let mut t = crate::store::story::transition();
            t.lease = Some((lease.lease(), if task.attempt == 1 { Finish::At(after(5)) } else { Finish::Done }));
            match store.commit(t).await {
                Ok(()) => Ran::Committed,
                Err(error) => Ran::Failed { error: error.to_string(), retry_after: None },
            }
        }
    });
    bench.add(vec![task(Work::Due { grant: "g1".parse().unwrap() }, START, Priority::Removal)]).await;
    until("once", async || queue.idle().await && worked.slots().len() == 1).await;
    assert_eq!(bench.store.next_due().await.unwrap(), Some(after(5)));
}
