//! The queue with the embedded store, a clock that stands until it is moved, and jobs that wait until they are let go.

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

/// F175: what comes for a connection at its limit asks for no claim each time: the one who writes is there for deliveries.
#[tokio::test]
async fn a_flood_for_a_connection_at_its_limit_is_not_asked_about_each_time() {
    const FLOOD: u64 = 300;
    let recorder = PrometheusBuilder::new().build_recorder();
    let _measuring = metrics::set_default_local_recorder(&recorder);
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { per_connection: 2, ..settings() }, job);
    bench.add((0..3).map(|n| giving(&format!("slow{n}"), "slow")).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 2).await;
    let before = commits(&recorder).unwrap();
    for n in 0..FLOOD {
        bench.add(vec![giving(&format!("more{n}"), "slow")]).await;
    }
    let claims = commits(&recorder).unwrap() - before - FLOOD;
    assert!(claims < FLOOD / 3, "{claims} claims beside {FLOOD} commits");
    open.add_permits(1000);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 303);
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
async fn a_lease_is_renewed_for_as_long_as_its_job_runs() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add(vec![giving("a1", "d")]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    let lease = worked.lease();
    assert_eq!(lease.remaining(bench.clock.now()), Duration::from_secs(60));
    for _ in 0..5 {
        bench.clock.pass(25);
        until("the lease is renewed", async || lease.remaining(bench.clock.now()) == Duration::from_secs(60)).await;
    }
    assert!(crate::store::story::claim(&*bench.store, bench.clock.now()).await.is_empty());
    assert!(!lease.is_lost());
    open.add_permits(1);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 1);
}

/// A jump lets every lease run out at once, before anybody wakes who would renew it; whoever still runs keeps their task.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clock_that_jumps_gives_nobody_a_second_hand() {
    let bench = Bench::new().await;
    let (open, waits) = gate();
    let (queue, worked) = bench.start(settings(), move |task, lease| {
        let waiting = matches!(task.work, Work::Converge { .. }).then(|| waits(task, lease));
        async move {
            match waiting {
                Some(waiting) => waiting.await,
                None => Ran::Finish(Finish::Done),
            }
        }
    });
    bench.add(vec![giving("a1", "d")]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    for n in 1..=3 {
        bench.clock.jump(3600);
        let told = tell_work(&n.to_string());
        bench.add(vec![task(told.clone(), START, Priority::Telling)]).await;
        until("something else was claimed since", async || worked.slots().contains(&told.slot())).await;
    }
    assert_eq!(worked.slots().iter().filter(|slot| *slot == "converge:a1").count(), 1);
    assert!(!worked.lease().is_lost());
    open.add_permits(1);
    until("idle", async || queue.idle().await).await;
}

/// An hour ahead of all others, and known to be.
#[derive(Debug)]
struct Ahead;

const HOUR_MS: i64 = 3_600_000;

impl Trust for Ahead {
    fn doubt(&self) -> Option<Doubt> {
        Some(Doubt::OffDatabase)
    }

    fn as_others_see(&self, at: Timestamp) -> Timestamp {
        Timestamp::from_millis(at.millis() - HOUR_MS)
    }
}

/// F171: whoever is ahead leases what it takes away by the others' time, and holds it by its own: dead, it is made good as soon
/// as anybody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_ahead_leases_by_the_others_time() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { trust: Arc::new(Ahead), ..settings() }, job);
    bench.add(vec![task(converge("a1", "d"), START, Priority::Removal)]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    let written = async || {
        let mut conn = bench.stranger().await;
        let until: i64 = sqlx::query_scalar("SELECT lease_until FROM tasks").fetch_one(&mut conn).await.unwrap();
        Timestamp::from_millis(until + HOUR_MS)
    };
    assert_eq!((written().await, worked.lease().remaining(START)), (after(60), Duration::from_secs(60)));
    bench.clock.pass(25);
    until("it is renewed", async || written().await == after(85)).await;
    assert!(!worked.lease().is_lost());
    open.add_permits(1);
    until("idle", async || queue.idle().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_lease_is_told_to_its_job_and_its_end_is_refused() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add(vec![giving("a1", "d")]).await;
    until("the job runs", async || !worked.slots().is_empty()).await;
    // Somebody else took it.
    let mut conn = bench.stranger().await;
    sqlx::query("UPDATE tasks SET fence = fence + 1, lease_until = lease_until + 3600000")
        .execute(&mut conn)
        .await
        .unwrap();
    bench.clock.pass(25);
    let lease = worked.lease();
    until("the job learns it", async || lease.is_lost()).await;
    assert_eq!(lease.remaining(bench.clock.now()), Duration::ZERO);
    open.add_permits(1);
    until("the job ends", async || queue.shared.slots.running() == 0).await;
    assert_eq!(bench.store.queue(bench.clock.now()).await.unwrap().leased, 1, "the other one's lease stands");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_ticket_has_one_hand() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add((0..3).map(|n| task(intake(&format!("d{n}"), "1"), START, Priority::Giving)).collect()).await;
    bench.add(vec![task(intake("other", "2"), START, Priority::Giving)]).await;
    until("both tickets run", async || worked.slots().len() == 2).await;
    for done in 1..=4 {
        let running: usize =
            worked.now.lock().unwrap().iter().filter(|(s, _)| *s != "intake:other").map(|(_, n)| n).sum();
        assert!(running <= 1, "{running} jobs of one ticket");
        open.add_permits(1);
        until("one more begins or all ended", async || worked.slots().len() > done || queue.idle().await).await;
    }
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots(), ["intake:d0", "intake:d1", "intake:d2", "intake:other"]);
}

/// A slow tenant holds no slot that another needs, and removals pass.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_at_its_limit_is_skipped_while_removals_pass() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { per_connection: 2, ..settings() }, job);
    bench.add((0..5).map(|n| giving(&format!("slow{n}"), "slow")).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 2).await;
    bench.add(vec![giving("other", "fast"), task(converge("end", "slow"), START, Priority::Removal)]).await;
    until("others run", async || worked.slots().len() == 4).await;
    assert_eq!(worked.slots(), ["converge:end", "converge:other", "converge:slow0", "converge:slow1"]);
    open.add_permits(100);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 7);
}

/// F175: a tenant that answers nothing has a share of the slots with its removals; others' removals, and what is given
/// elsewhere, have theirs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_removals_at_one_connection_hold_up_no_other() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let few = Settings { removals_per_connection: 3, ..settings() };
    let (queue, worked) = bench.start(few, job);
    let end = |n: usize, at: &str| task(converge(&format!("{at}{n}"), at), START, Priority::Removal);
    bench.add((0..1000).map(|n| end(n, "dead")).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 3).await;
    bench.add((0..2).map(|n| end(n, "well")).collect()).await;
    until("others end", async || worked.slots().len() == 5).await;
    bench.add(vec![giving("new", "well")]).await;
    until("and others are given", async || worked.slots().len() == 6).await;
    assert_eq!(worked.slots().iter().filter(|slot| slot.starts_with("converge:dead")).count(), 3);
    open.add_permits(2000);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 1003);
}

/// F175: what one PSA has to be asked, however much it is, waits for itself alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_looks_at_one_psa_hold_up_no_other_connection() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    let look = |n: u32| Work::Look { ticket: crate::store::story::ticket(&n.to_string()) };
    bench.add((0..1000).map(|n| task(look(n), START, Priority::Telling)).collect()).await;
    until("the limit is reached", async || worked.slots().len() == 4).await;
    let presence = Work::Presence { connection: "cw".parse().unwrap() };
    let other = (0..4).map(|n| task(converge(&format!("a{n}"), "other"), after(0), Priority::Telling));
    bench.add(other.chain([task(presence, START, Priority::Removal)]).collect()).await;
    until("the others run", async || worked.slots().len() == 9).await;
    let looks = worked.slots().iter().filter(|slot| slot.starts_with("look:")).count();
    assert_eq!(looks, 4, "{:?}", worked.slots());
    open.add_permits(2000);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 1005);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn some_slots_are_for_removals_alone() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { slots: 4, for_removals: 2, ..settings() }, job);
    bench.add((0..6).map(|n| giving(&format!("a{n}"), &format!("d{n}"))).collect()).await;
    until("two run", async || worked.slots().len() == 2).await;
    let ends = (0..3).map(|n| task(converge(&format!("end{n}"), "d"), START, Priority::Removal));
    bench.add(ends.collect()).await;
    until("removals run", async || worked.slots().len() == 4).await;
    assert_eq!(worked.slots(), ["converge:a0", "converge:a1", "converge:end0", "converge:end1"]);
    open.add_permits(100);
    until("idle", async || queue.idle().await).await;
    assert_eq!(worked.slots().len(), 9);
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
async fn a_stop_lets_what_runs_end_and_begins_nothing_more() {
    let bench = Bench::new().await;
    let (open, job) = gate();
    let (queue, worked) = bench.start(Settings { slots: 2, for_removals: 0, ..settings() }, job);
    bench.add((0..4).map(|n| giving(&format!("a{n}"), &format!("d{n}"))).collect()).await;
    until("two run", async || worked.slots().len() == 2).await;
    let stopping = queue.stop(Duration::from_secs(30));
    let letting_go = async { open.add_permits(100) };
    tokio::join!(stopping, letting_go);
    assert!(!queue.is_alive());
    assert_eq!(worked.slots().len(), 2);
    let state = bench.store.queue(START).await.unwrap();
    assert_eq!((state.ready, state.leased), (2, 0));
}

/// What is broken off keeps its lease: its call may still take effect at the vendor.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_job_that_does_not_end_in_time_is_broken_off() {
    let bench = Bench::new().await;
    let (_open, job) = gate();
    let (queue, worked) = bench.start(settings(), job);
    bench.add(vec![giving("a1", "d")]).await;
    until("it runs", async || worked.slots().len() == 1).await;
    queue.stop(Duration::from_millis(50)).await;
    assert!(!queue.is_alive());
    assert_eq!(queue.shared.slots.running(), 0);
    assert_eq!(bench.store.queue(START).await.unwrap().leased, 1);
    let (_queue, worked) = bench.start(settings(), |_, _| async { Ran::Finish(Finish::Done) });
    bench.clock.pass(61);
    until("it is taken up again", async || worked.slots().len() == 1).await;
}

/// Without its worker nothing is worked off, and the queue says so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_worker_is_seen_and_what_it_had_not_begun_goes_back() {
    let bench = Bench::new().await;
    let (queue, worked) = bench.start(settings(), |_, _| async { Ran::Finish(Finish::Done) });
    queue.parts.lock().await[0].abort();
    until("it is seen", async || !queue.is_alive()).await;
    bench.add(vec![giving("a1", "d")]).await;
    until("nobody claims", async || queue.parts.lock().await[1].is_finished()).await;
    assert!(worked.slots().is_empty());
    let state = bench.store.queue(START).await.unwrap();
    assert_eq!((state.ready, state.leased), (1, 0));
}

/// What was claimed but not begun when the queue stops waits for the next start, not for its lease to run out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_claimed_but_not_begun_goes_back_at_a_stop() {
    let bench = Bench::new().await;
    bench.add((0..3).map(|n| giving(&format!("a{n}"), &format!("d{n}"))).collect()).await;
    let (stop, stopped) = watch::channel(Stop::Running);
    let (_, job) = gate();
    let clock: Arc<dyn Clock> = bench.clock.clone();
    let run = Arc::new(Worked::new(job));
    let shared = Arc::new(Shared::new(bench.store.clone(), clock, run, settings(), stopped));
    // A worker that takes nothing.
    let (hand, _taken) = mpsc::channel(1);
    let fetching = tokio::spawn(fetch::fetch(Arc::clone(&shared), hand));
    until("three are claimed", async || bench.store.queue(START).await.unwrap().leased == 3).await;
    stop.send_replace(Stop::Draining);
    fetching.await.unwrap();
    let state = bench.store.queue(START).await.unwrap();
    assert_eq!((state.ready, state.leased, shared.slots.running()), (3, 0, 0));
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
