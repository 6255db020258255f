//! One life of the service: the product's own jobs over the models, claimed and run as its queue does, by one thread.
//!
//! The queue itself (apalis, threads, real timers) is not in here; its own tests prove it. What it promises to jobs is
//! kept: leases, renewed; one hand per key; removals first, with slots of their own; a panic is a failure.

use std::{
    collections::{BTreeMap, VecDeque},
    panic::AssertUnwindSafe,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

use futures::FutureExt as _;
use latchkey_contract::{Clock, ConnectionId};

use crate::{
    clock_guard::GuardedClock,
    jobs::{
        Jobs, Post, backoff,
        queue::{LeaseHandle, Ran, Run},
        sweep::Sweep,
        task::{Lease, Priority, Task},
    },
    model::Model,
    random::Random,
    registry::{Assemble, Live},
    seal::Seal,
    store::{Claim, Finish, Store, StoreError},
    world::{Dice, Hands, SECOND, World},
};

const SLOTS: usize = 24;
const FOR_REMOVALS: usize = 8;
const PER_CONNECTION: usize = 4;
const REMOVALS_PER_CONNECTION: usize = 10;
const LEASE: Duration = Duration::from_secs(60);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;
type Ready = Arc<Mutex<VecDeque<u64>>>;

/// Identifiers and jitter, from the seed.
#[derive(Debug)]
pub(crate) struct Seeded(pub(crate) Mutex<Dice>);

impl Random for Seeded {
    fn fill(&self, buffer: &mut [u8]) {
        let mut dice = lock(&self.0);
        for chunk in buffer.chunks_mut(8) {
            let bytes = dice.next().to_le_bytes();
            chunk.copy_from_slice(&bytes[..chunk.len()]);
        }
    }
}

/// What outlives a process.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    pub(crate) world: Arc<World>,
    pub(crate) store: Arc<dyn Store>,
    /// The same without anything between.
    pub(crate) rows: Arc<Model>,
    pub(crate) assemble: Arc<dyn Assemble>,
    pub(crate) seal: Arc<Seal>,
    pub(crate) random: Arc<Seeded>,
}

/// A running service.
pub(crate) struct Process {
    outside: Outside,
    pub(crate) jobs: Arc<Jobs>,
    guard: Arc<GuardedClock<Arc<dyn Clock>>>,
    works: BTreeMap<u64, (Work, Waker)>,
    ready: Ready,
    taken: Arc<Mutex<BTreeMap<u64, Taken>>>,
    number: u64,
    stirs: u64,
    not_before: i64,
}

#[derive(Debug, Clone)]
struct Taken {
    lease: Lease,
    connection: Option<ConnectionId>,
    is_removal: bool,
}

struct Bell(u64, Ready);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        let mut ready = lock(&self.1);
        if !ready.contains(&self.0) {
            ready.push_back(self.0);
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Process {
    /// Starts as the service does; `None` when the store fails meanwhile.
    pub(crate) fn start(outside: &Outside) -> Option<Self> {
        let wall: Arc<dyn Clock> = Arc::new(Hands(Arc::clone(&outside.world)));
        let guard = Arc::new(GuardedClock::new(Arc::clone(&wall)));
        if let Some(last) = outside.store.last_seen().now_or_never()?.ok()? {
            guard.seen_before(last, outside.store.counted_since().now_or_never()?.ok()?);
        }
        let live = Live::start(Arc::clone(&outside.store), Arc::clone(&outside.assemble)).now_or_never()?.ok()?;
        let url: url::Url = "https://jit.example".parse().ok()?;
        let clock: Arc<dyn Clock> = Arc::<GuardedClock<_>>::clone(&guard);
        let jobs = Arc::new(Jobs {
            store: Arc::clone(&outside.store),
            live: Arc::new(live),
            clock: Arc::clone(&clock),
            trust: Arc::<GuardedClock<_>>::clone(&guard),
            random: Arc::<Seeded>::clone(&outside.random),
            seal: Arc::clone(&outside.seal),
            public_url: url.clone(),
            post: Arc::new(Post::new(None, url, wall)),
        });
        let mut process = Self {
            outside: outside.clone(),
            jobs,
            guard: Arc::clone(&guard),
            works: BTreeMap::new(),
            ready: Ready::default(),
            taken: Arc::default(),
            number: 0,
            stirs: 0,
            not_before: 0,
        };
        let sweep = Sweep::new(Arc::clone(&outside.store), clock, guard);
        let world = Arc::clone(&outside.world);
        process.spawn(async move { sweep.run(|| world.stir()).await });
        process.spawn(keep(outside.clone(), Arc::clone(&process.taken), Arc::clone(&process.guard)));
        Some(process)
    }

    /// Runs something besides jobs.
    pub(crate) fn spawn(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.number += 1;
        let waker = Waker::from(Arc::new(Bell(self.number, Arc::clone(&self.ready))));
        self.works.insert(self.number, (Box::pin(work), waker.clone()));
        waker.wake();
    }

    /// Everything that can go on at this instant.
    pub(crate) fn go_on(&mut self) {
        loop {
            let Some(id) = lock(&self.ready).pop_front() else { return };
            let Some((work, waker)) = self.works.get_mut(&id) else { continue };
            let polled = work.as_mut().poll(&mut Context::from_waker(waker));
            if polled == Poll::Ready(()) {
                self.works.remove(&id);
                self.outside.world.stir();
            }
        }
    }

    /// When something is due, by the right time.
    pub(crate) fn next_claim(&self) -> Option<i64> {
        let due = self.outside.rows.next_due().now_or_never()?.ok()??;
        let wait = i64::try_from(due.since(self.guard.now()).as_millis()).unwrap_or(i64::MAX / 4);
        Some((self.outside.world.now() + wait).max(self.not_before))
    }

    /// Claims what there is room for; answers whether anything was.
    pub(crate) fn claim(&mut self) -> bool {
        let world = &self.outside.world;
        let (now, stirs) = (world.now(), world.stirs());
        let Some(claim) = self.wanted().filter(|_| now >= self.not_before || stirs != self.stirs) else { return false };
        if !self.renew_what_ran_out() {
            self.not_before = now + SECOND;
            return false;
        }
        // A store that answers late is a store that fails: no claim waits here.
        let claimed = self.outside.store.claim(&claim).now_or_never();
        self.stirs = self.outside.world.stirs();
        let Some(Ok(tasks)) = claimed else {
            self.not_before = now + SECOND;
            return false;
        };
        if tasks.is_empty() {
            self.not_before = now + SECOND;
        }
        let is_any = !tasks.is_empty();
        tasks.into_iter().for_each(|task| self.take(task));
        is_any
    }

    /// A clock that jumped lets the leases of what runs run out: they are renewed before anything is claimed.
    fn renew_what_ran_out(&self) -> bool {
        let now = self.guard.now();
        let mut taken = lock(&self.taken);
        taken.values_mut().filter(|t| t.lease.until <= now).all(|t| {
            let renewed = self.outside.store.renew(&t.lease, now + LEASE).now_or_never();
            if let Some(Ok(true)) = renewed {
                t.lease.until = now + LEASE;
            }
            matches!(renewed, Some(Ok(_)))
        })
    }

    fn wanted(&self) -> Option<Claim> {
        let taken = lock(&self.taken);
        let free = SLOTS.checked_sub(taken.len()).filter(|free| *free > 0)?;
        let ordinary = taken.values().filter(|t| !t.is_removal).count();
        let room = (SLOTS - FOR_REMOVALS).saturating_sub(ordinary).min(free);
        let mut load: BTreeMap<&ConnectionId, usize> = BTreeMap::new();
        taken.values().filter_map(|t| t.connection.as_ref()).for_each(|c| *load.entry(c).or_default() += 1);
        let busy = load.iter().filter(|(_, n)| **n >= PER_CONNECTION).map(|(c, _)| (*c).clone()).collect();
        let mut ends: BTreeMap<&ConnectionId, usize> = BTreeMap::new();
        let removals = taken.values().filter(|t| t.is_removal);
        removals.filter_map(|t| t.connection.as_ref()).for_each(|c| *ends.entry(c).or_default() += 1);
        let full = ends.iter().filter(|(_, n)| **n >= REMOVALS_PER_CONNECTION).map(|(c, _)| (*c).clone()).collect();
        let most = load.values().copied().filter(|n| *n < PER_CONNECTION).max().unwrap_or(0);
        let free = if room == 0 { free } else { room.min(PER_CONNECTION - most) };
        let now = self.guard.now();
        Some(Claim { now, free, lease_until: now + LEASE, busy, full, removals_only: room == 0, spares_leases: false })
    }

    fn take(&mut self, task: Task) {
        let taken = Taken {
            lease: task.lease.clone(),
            connection: task.work.connection().cloned(),
            is_removal: task.priority == Priority::Removal,
        };
        self.number += 1;
        let key = self.number;
        lock(&self.taken).insert(key, taken);
        let (jobs, outside, guard) = (Arc::clone(&self.jobs), self.outside.clone(), Arc::clone(&self.guard));
        let all = Arc::clone(&self.taken);
        self.spawn(async move {
            work(&jobs, &outside, &guard, task).await;
            lock(&all).remove(&key);
        });
    }
}

/// One job from start to settled row, as the queue does it.
async fn work(jobs: &Jobs, outside: &Outside, guard: &GuardedClock<Arc<dyn Clock>>, task: Task) {
    outside.world.tell(|| format!("run {} attempt {}", task.work.slot(), task.attempt));
    let handle = LeaseHandle::new(task.lease.clone());
    let ran = AssertUnwindSafe(jobs.run(task.clone(), handle)).catch_unwind().await;
    let ran = ran.unwrap_or_else(|_| Ran::Failed { error: "the job panicked".to_owned(), retry_after: None });
    let finish = match ran {
        Ran::Committed => return,
        Ran::Finish(finish) => finish,
        Ran::Failed { error, .. } if backoff::is_given_up(&task) => Finish::Dead { error },
        Ran::Failed { error, retry_after } => {
            outside.world.tell(|| format!("failed {}: {error}", task.work.slot()));
            let wait = backoff::wait(task.attempt, retry_after, task.priority, outside.random.as_ref());
            Finish::Retry { at: guard.now() + wait, error }
        }
    };
    for _ in 0..3 {
        match outside.store.finish(&task.lease, finish.clone()).await {
            Err(StoreError::Busy) => {}
            _ => return,
        }
    }
}

/// Renews every lease at a third of its time.
async fn keep(outside: Outside, taken: Arc<Mutex<BTreeMap<u64, Taken>>>, guard: Arc<GuardedClock<Arc<dyn Clock>>>) {
    loop {
        outside.world.sleep(20 * SECOND).await;
        let leases: Vec<(u64, Lease)> = lock(&taken).iter().map(|(key, t)| (*key, t.lease.clone())).collect();
        for (key, lease) in leases {
            let until = guard.now() + LEASE;
            let is_renewed = outside.store.renew(&lease, until).await.unwrap_or(false);
            if let Some(taken) = lock(&taken).get_mut(&key).filter(|_| is_renewed) {
                taken.lease.until = until;
            }
        }
    }
}
