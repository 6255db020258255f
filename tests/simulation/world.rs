//! Time, chance, and what is known of a run: everything in it is driven from here, by one thread.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use latchkey_contract::{Clock, Timestamp};

use crate::story::Act;

/// Where every run begins.
const START: i64 = 1_790_000_000_000;

/// Milliseconds.
pub(crate) const SECOND: i64 = 1_000;
pub(crate) const MINUTE: i64 = 60 * SECOND;
pub(crate) const HOUR: i64 = 60 * MINUTE;

/// A stream of numbers that its seed decides (SplitMix64).
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From `low` on, below `high`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.next() % u64::try_from(high - low).unwrap_or(1).max(1)).unwrap_or(0)
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[usize::try_from(self.next() % of.len() as u64).unwrap_or(0)]
    }

    /// True `n` times in ten thousand.
    pub(crate) fn chance(&mut self, n: u64) -> bool {
        self.next() % 10_000 < n
    }
}

/// How much breaks, in ten thousand; drawn for each world.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Weather {
    pub(crate) commits: u64,
    pub(crate) reads: u64,
    pub(crate) calls: u64,
    pub(crate) slow: u64,
    pub(crate) crashes: u64,
}

/// What broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Broken {
    pub(crate) invariant: &'static str,
    pub(crate) what: String,
    /// What to look for in the history.
    pub(crate) about: Vec<String>,
    pub(crate) step: u64,
    pub(crate) at: i64,
}

/// Something that happens at a time, whoever waits for it.
pub(crate) enum Event {
    /// A call arrives at its vendor.
    Effect(Box<dyn FnOnce() + Send>),
    /// Somebody does something.
    Act(Act),
    /// The process is started again.
    Start,
}

/// Shared by all.
pub(crate) struct World(Mutex<State>);

struct State {
    now: i64,
    wall: i64,
    number: u64,
    timers: BTreeMap<(i64, u64), Waker>,
    events: BTreeMap<(i64, u64), Event>,
    dice: Dice,
    weather: Weather,
    is_quiet: bool,
    is_dying: bool,
    steps: u64,
    trace: u64,
    stirs: u64,
    faults: BTreeMap<&'static str, u64>,
    checks: BTreeMap<&'static str, u64>,
    broken: Option<Broken>,
    history: Option<Vec<(u64, i64, String)>>,
    excuses: BTreeMap<String, Vec<(i64, i64)>>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("now", &self.now()).finish_non_exhaustive()
    }
}

impl World {
    pub(crate) fn new(seed: u64, is_told: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x000f_a017);
        let weather = Weather {
            commits: *dice.pick(&[0, 50, 200]),
            reads: *dice.pick(&[0, 10, 40]),
            calls: *dice.pick(&[0, 200, 600]),
            slow: *dice.pick(&[0, 100, 500]),
            crashes: *dice.pick(&[0, 5, 20]),
        };
        Self(Mutex::new(State {
            now: 0,
            wall: 0,
            number: 0,
            timers: BTreeMap::new(),
            events: BTreeMap::new(),
            dice,
            weather,
            is_quiet: false,
            is_dying: false,
            steps: 0,
            trace: 0,
            stirs: 0,
            faults: BTreeMap::new(),
            checks: BTreeMap::new(),
            broken: None,
            history: is_told.then(Vec::new),
            excuses: BTreeMap::new(),
        }))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Milliseconds since the beginning, whatever any clock says.
    pub(crate) fn now(&self) -> i64 {
        self.lock().now
    }

    /// The time on a vendor's clock, which is always right.
    pub(crate) fn at(&self, ms: i64) -> Timestamp {
        Timestamp::from_millis(START + ms)
    }

    /// What a vendor's clock said then.
    pub(crate) fn since_start(&self, at: Timestamp) -> i64 {
        at.millis() - START
    }

    /// Sets our own wall clock forward or back, against the right time.
    pub(crate) fn set_wall(&self, ms: i64) {
        self.lock().wall = ms;
    }

    /// By how much our own wall clock is wrong.
    pub(crate) fn wall(&self) -> i64 {
        self.lock().wall
    }

    pub(crate) fn weather(&self) -> Weather {
        self.lock().weather
    }

    /// Nothing breaks any more.
    pub(crate) fn quiet(&self) {
        self.lock().is_quiet = true;
    }

    /// True `n` times in ten thousand, while things break.
    pub(crate) fn chance(&self, n: u64) -> bool {
        let mut state = self.lock();
        !state.is_quiet && state.dice.chance(n)
    }

    pub(crate) fn between(&self, low: i64, high: i64) -> i64 {
        self.lock().dice.between(low, high)
    }

    /// A fault was put in.
    pub(crate) fn fault(&self, kind: &'static str) {
        *self.lock().faults.entry(kind).or_default() += 1;
    }

    /// Asks whether an invariant holds, and remembers the first that does not.
    pub(crate) fn hold(&self, invariant: &'static str, is_held: bool, what: impl FnOnce() -> (String, Vec<String>)) {
        let mut state = self.lock();
        *state.checks.entry(invariant).or_default() += 1;
        if !is_held && state.broken.is_none() {
            let (what, about) = what();
            let (step, at) = (state.steps, state.now);
            state.broken = Some(Broken { invariant, what, about, step, at });
        }
    }

    pub(crate) fn broken(&self) -> Option<Broken> {
        self.lock().broken.clone()
    }

    /// Counts a step, and writes it down where somebody wants to read it.
    pub(crate) fn tell(&self, what: impl FnOnce() -> String) {
        let mut state = self.lock();
        state.steps += 1;
        let (step, now) = (state.steps, state.now);
        state.trace = Dice::new(state.trace ^ now.unsigned_abs() ^ state.dice.0).next();
        if let Some(history) = &mut state.history {
            history.push((step, now, what()));
        }
    }

    /// Why something may take longer than it should: until when.
    pub(crate) fn excuse(&self, about: &str, from: i64, until: i64) {
        self.lock().excuses.entry(about.to_owned()).or_default().push((from, until));
    }

    /// When something that was to be done by `deadline` has to be done, all excuses considered.
    pub(crate) fn deadline(&self, about: &[&str], deadline: i64, again: i64) -> i64 {
        let state = self.lock();
        let mut excuses: Vec<(i64, i64)> =
            about.iter().filter_map(|name| state.excuses.get(*name)).flatten().copied().collect();
        excuses.sort_unstable();
        let from = deadline - again;
        excuses.iter().filter(|(_, until)| *until > from).fold(deadline, |deadline, (begin, until)| {
            if *begin <= deadline { deadline.max(until + again) } else { deadline }
        })
    }

    /// Happens then.
    pub(crate) fn schedule(&self, at: i64, event: Event) {
        let mut state = self.lock();
        state.number += 1;
        let key = (at.max(state.now), state.number);
        state.events.insert(key, event);
    }

    /// The process dies at once; whoever asked for that goes no further.
    pub(crate) async fn die<T>(&self) -> T {
        self.lock().is_dying = true;
        std::future::pending().await
    }

    pub(crate) fn kill(&self) {
        self.lock().is_dying = true;
    }

    pub(crate) fn take_death(&self) -> bool {
        std::mem::take(&mut self.lock().is_dying)
    }

    /// Something may be due sooner.
    pub(crate) fn stir(&self) {
        self.lock().stirs += 1;
    }

    pub(crate) fn stirs(&self) -> u64 {
        self.lock().stirs
    }

    pub(crate) async fn sleep(self: &Arc<Self>, ms: i64) {
        let until = self.now() + ms.max(0);
        Sleep { world: Arc::clone(self), until, key: None }.await;
    }

    /// When anything happens next.
    pub(crate) fn next(&self) -> Option<i64> {
        let state = self.lock();
        let timer = state.timers.keys().next().map(|(at, _)| *at);
        let event = state.events.keys().next().map(|(at, _)| *at);
        timer.into_iter().chain(event).min()
    }

    /// Time goes on; whoever sleeps until then wakes.
    pub(crate) fn advance(&self, to: i64) {
        let mut state = self.lock();
        state.now = state.now.max(to);
        let after = (state.now + 1, 0);
        let later = state.timers.split_off(&after);
        let due = std::mem::replace(&mut state.timers, later);
        drop(state);
        due.into_values().for_each(Waker::wake);
    }

    /// The next event that is due.
    pub(crate) fn take_event(&self) -> Option<Event> {
        let mut state = self.lock();
        let now = state.now;
        let first = state.events.first_entry()?;
        if first.key().0 > now { None } else { Some(first.remove()) }
    }

    /// One number for all that happened, when, and what chance said by then: two runs that differ do not have the same.
    pub(crate) fn trace(&self) -> u64 {
        self.lock().trace
    }

    /// Counts of faults and of questions whether an invariant holds; and how many steps there were.
    pub(crate) fn counts(&self) -> (BTreeMap<&'static str, u64>, BTreeMap<&'static str, u64>, u64) {
        let state = self.lock();
        (state.faults.clone(), state.checks.clone(), state.steps)
    }

    /// The lines that tell of these things, and of the process and the clocks.
    pub(crate) fn history(&self, about: &[String]) -> Vec<String> {
        let state = self.lock();
        let Some(history) = &state.history else { return Vec::new() };
        let about: BTreeSet<&str> = about.iter().map(String::as_str).collect();
        let is_about = |line: &str| line.starts_with("==") || about.iter().any(|word| line.contains(word));
        let told = history.iter().filter(|(_, _, line)| is_about(line));
        told.map(|(step, at, line)| format!("{step:>8} {:>12.3} s  {line}", *at as f64 / 1000.0)).collect()
    }
}

struct Sleep {
    world: Arc<World>,
    until: i64,
    key: Option<(i64, u64)>,
}

impl Future for Sleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let world = Arc::clone(&self.world);
        let mut state = world.lock();
        if let Some(key) = self.key.take() {
            state.timers.remove(&key);
        }
        if state.now >= self.until {
            return Poll::Ready(());
        }
        state.number += 1;
        let key = (self.until, state.number);
        state.timers.insert(key, context.waker().clone());
        self.key = Some(key);
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        if let Some(key) = self.key.take() {
            self.world.lock().timers.remove(&key);
        }
    }
}

/// Our own clock: the wall may be wrong, the other never is.
#[derive(Debug)]
pub(crate) struct Hands(pub(crate) Arc<World>);

#[async_trait::async_trait]
impl Clock for Hands {
    fn now(&self) -> Timestamp {
        let state = self.0.lock();
        Timestamp::from_millis(START + state.now + state.wall)
    }

    fn monotonic(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now()).unwrap_or(0))
    }

    async fn sleep_until(&self, at: Timestamp) {
        let wait = at.since(self.now());
        self.0.sleep(i64::try_from(wait.as_millis()).unwrap_or(i64::MAX / 4)).await;
    }
}
