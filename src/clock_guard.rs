//! A clock that is watched: a wall clock set back cannot lengthen a grant, and one that jumps forward, or starts
//! below a time seen before, gives nothing until it is trusted again.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use latchkey_contract::{Clock, Timestamp};

/// Wall and monotonic time may drift apart by this much between two looks without anybody being told.
const TOLERANCE: Duration = Duration::from_secs(30);

/// After a jump forward the two clocks must agree for this long before anything is given again.
const TRUST_AFTER: Duration = Duration::from_secs(10 * 60);

/// By how much this clock may differ from the database server's. The leases of several processes are held against their own
/// clocks: twice this is what one waits longer than the other believes.
pub const APART: Duration = Duration::from_secs(5);

/// By how much another clock, which was looked at between two looks at this one, differs. A look that took long tells nothing.
#[must_use]
pub fn apart(before: Timestamp, other: Timestamp, after: Timestamp) -> Option<Duration> {
    (after.since(before) <= APART).then(|| before.since(other).max(other.since(after)))
}

/// Why nothing is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Doubt {
    /// The wall clock jumped forward, or the machine slept.
    JumpedForward,
    /// The wall clock was set back: time goes on from where it was.
    SetBack,
    /// At the start the wall clock was below a time seen before.
    StartedBelow,
    /// The database server's clock shows another time, by which other processes work as well.
    OffDatabase,
    /// It was not held against the database server's clock yet.
    NotCompared,
    /// Not the clock: the database's file was found damaged while it was served.
    Damaged,
}

impl Doubt {
    /// For logs and the ticket.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::JumpedForward => "the server's clock jumped forward",
            Self::SetBack => "the server's clock was set back",
            Self::StartedBelow => "the server's clock is behind a time it showed before",
            Self::OffDatabase => "the server's clock and the database server's clock differ",
            Self::NotCompared => "the server's clock could not be compared with the database server's clock yet",
            Self::Damaged => "the database is damaged",
        }
    }

    /// Whether the others on the same database may see another time than this process.
    #[must_use]
    pub const fn is_apart(self) -> bool {
        matches!(self, Self::OffDatabase | Self::NotCompared)
    }
}

/// The watched clock. Every part of the service reads time through it.
#[derive(Debug)]
pub struct GuardedClock<C> {
    inner: C,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// A wall time that was believed, and the monotonic time that went with it.
    anchor: (Timestamp, Duration),
    jumped_at: Option<Duration>,
    is_set_back: bool,
    floor: Option<Timestamp>,
    beside: Beside,
}

/// What is known of the database server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Beside {
    /// There is none that counts.
    Nobody,
    Unknown,
    Agrees,
    /// By so much this clock is ahead of it, or behind where that is less than nothing.
    Differs {
        ahead_ms: i64,
    },
}

impl<C: Clock> GuardedClock<C> {
    /// Believes the clock as it is now.
    pub fn new(inner: C) -> Self {
        let anchor = (inner.now(), inner.monotonic());
        Self {
            inner,
            state: Mutex::new(State {
                anchor,
                jumped_at: None,
                is_set_back: false,
                floor: None,
                beside: Beside::Nobody,
            }),
        }
    }

    /// Tells the last wall time that was believed before this start, and the time that counted later, while the wall's was
    /// in doubt: a clock below the first goes on from the second, so that one set back while nothing ran, or before a
    /// restart, lengthens no grant either.
    pub fn seen_before(&self, believed: Timestamp, counted: Option<Timestamp>) {
        let mono = self.inner.monotonic();
        let mut state = self.lock();
        if state.anchor.0 < believed {
            state.anchor = (counted.map_or(believed, |counted| counted.max(believed)), mono);
            state.floor = Some(believed);
        }
    }

    /// Tells that others live by a database server's clock: until this one was compared with it, it is in doubt.
    pub fn expect_comparison(&self) {
        let mut state = self.lock();
        if state.beside == Beside::Nobody {
            state.beside = Beside::Unknown;
        }
    }

    /// Tells the time that the database server's clock showed between two looks at this one. A look that took long tells
    /// nothing.
    pub fn compare(&self, before: Timestamp, database: Timestamp, after: Timestamp) {
        let Some(apart) = apart(before, database, after) else { return };
        let mut state = self.lock();
        if apart <= APART {
            state.beside = Beside::Agrees;
            return;
        }
        if !matches!(state.beside, Beside::Differs { .. }) {
            let apart_s = apart.as_secs();
            tracing::error!(event_code = "clock_apart", apart_s, "{}", Doubt::OffDatabase.sentence());
        }
        state.beside = Beside::Differs { ahead_ms: after.millis() - database.millis() };
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Compares the two clocks; answers the time that counts, which never goes back.
    fn look(&self) -> (Timestamp, Option<Doubt>) {
        let (wall, mono) = (self.inner.now(), self.inner.monotonic());
        let mut state = self.lock();
        let expected = state.anchor.0 + mono.saturating_sub(state.anchor.1);
        if wall > expected + TOLERANCE {
            if state.jumped_at.is_none() || state.anchor.0 != wall {
                tracing::error!(
                    event_code = "clock_jump",
                    jump_s = wall.since(expected).as_secs(),
                    "{}",
                    Doubt::JumpedForward.sentence()
                );
            }
            state.jumped_at = Some(mono);
            state.is_set_back = false;
            state.anchor = (wall, mono);
            // What agreed before the jump says nothing of the time after it.
            if state.beside == Beside::Agrees {
                state.beside = Beside::Unknown;
            }
        } else if expected > wall + TOLERANCE {
            if !state.is_set_back {
                tracing::error!(
                    event_code = "clock_jump",
                    back_s = expected.since(wall).as_secs(),
                    "{}",
                    Doubt::SetBack.sentence()
                );
            }
            state.is_set_back = true;
        } else {
            state.is_set_back = false;
            state.anchor = (wall.max(expected), mono);
        }
        let now = wall.max(expected);
        if state.jumped_at.is_some_and(|at| mono >= at + TRUST_AFTER) {
            state.jumped_at = None;
        }
        if state.floor.is_some_and(|floor| wall >= floor) {
            state.floor = None;
        }
        // Whatever else is in doubt, who is apart from the others must not go by the leases that they hold.
        let doubt = match state.beside {
            Beside::Differs { .. } => Some(Doubt::OffDatabase),
            Beside::Unknown => Some(Doubt::NotCompared),
            Beside::Nobody | Beside::Agrees if state.floor.is_some() => Some(Doubt::StartedBelow),
            Beside::Nobody | Beside::Agrees if state.is_set_back => Some(Doubt::SetBack),
            Beside::Nobody | Beside::Agrees => state.jumped_at.map(|_| Doubt::JumpedForward),
        };
        (now, doubt)
    }
}

/// What deciding asks of a clock, besides the time.
pub trait Trust: Send + Sync + std::fmt::Debug {
    /// Why nothing may be given now.
    fn doubt(&self) -> Option<Doubt>;

    /// A time of this clock by the one that others go by. Leases are written in it, so that they end for others when they
    /// should, whoever dies with them.
    fn as_others_see(&self, at: Timestamp) -> Timestamp {
        at
    }
}

/// Of a clock that nothing is held against.
#[derive(Debug, Clone, Copy)]
pub struct NoDoubt;

impl Trust for NoDoubt {
    fn doubt(&self) -> Option<Doubt> {
        None
    }
}

impl<C: Clock> Trust for GuardedClock<C> {
    fn doubt(&self) -> Option<Doubt> {
        self.look().1
    }

    fn as_others_see(&self, at: Timestamp) -> Timestamp {
        match self.lock().beside {
            Beside::Differs { ahead_ms } => Timestamp::from_millis(at.millis().saturating_sub(ahead_ms)),
            Beside::Nobody | Beside::Unknown | Beside::Agrees => at,
        }
    }
}

#[async_trait::async_trait]
impl<C: Clock> Clock for GuardedClock<C> {
    fn now(&self) -> Timestamp {
        self.look().0
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    /// Sleeps by the inner clock, corrected for what it was set back.
    async fn sleep_until(&self, at: Timestamp) {
        let wait = at.since(self.now());
        self.inner.sleep_until(self.inner.now() + wait).await;
    }

    fn is_moved_by_hand(&self) -> bool {
        self.inner.is_moved_by_hand()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

    use super::*;

    #[derive(Debug)]
    struct Hands {
        wall: AtomicI64,
        mono: AtomicU64,
    }

    impl Hands {
        fn pass(&self, seconds: u64) {
            self.mono.fetch_add(seconds, Ordering::Relaxed);
            self.wall.fetch_add(i64::try_from(seconds).unwrap() * 1000, Ordering::Relaxed);
        }
        fn set(&self, by_seconds: i64) {
            self.wall.fetch_add(by_seconds * 1000, Ordering::Relaxed);
        }
    }

    #[async_trait::async_trait]
    impl Clock for Hands {
        fn now(&self) -> Timestamp {
            Timestamp::from_millis(self.wall.load(Ordering::Relaxed))
        }
        fn monotonic(&self) -> Duration {
            Duration::from_secs(self.mono.load(Ordering::Relaxed))
        }
        async fn sleep_until(&self, _at: Timestamp) {}
    }

    fn guarded() -> GuardedClock<Hands> {
        GuardedClock::new(Hands { wall: AtomicI64::new(1_000_000_000), mono: AtomicU64::new(0) })
    }

    #[test]
    fn a_clock_set_back_does_not_hold_time_up() {
        let clock = guarded();
        let start = clock.now();
        clock.inner.pass(60);
        clock.inner.set(-86_400);
        assert_eq!(clock.now(), start + Duration::from_secs(60));
        assert_eq!(clock.doubt(), Some(Doubt::SetBack));
        clock.inner.pass(3600);
        assert_eq!(clock.now(), start + Duration::from_secs(3660));
        clock.inner.set(86_400);
        assert_eq!((clock.now(), clock.doubt()), (start + Duration::from_secs(3660), None));
    }

    #[test]
    fn a_jump_forward_is_followed_but_not_trusted_for_ten_minutes() {
        let clock = guarded();
        let start = clock.now();
        clock.inner.set(3600);
        assert_eq!(clock.now(), start + Duration::from_secs(3600));
        assert_eq!(clock.doubt(), Some(Doubt::JumpedForward));
        clock.inner.pass(599);
        assert_eq!(clock.doubt(), Some(Doubt::JumpedForward));
        clock.inner.pass(1);
        assert_eq!(clock.doubt(), None);
    }

    #[test]
    fn a_start_below_a_time_seen_before_gives_nothing_until_it_is_passed() {
        let clock = guarded();
        clock.seen_before(clock.now() + Duration::from_secs(20), None);
        assert_eq!(clock.doubt(), Some(Doubt::StartedBelow));
        clock.inner.pass(20);
        assert_eq!(clock.doubt(), None);
    }

    #[test]
    fn a_start_below_a_time_seen_before_goes_on_from_that_time() {
        let clock = guarded();
        let last = clock.now() + Duration::from_secs(86_400);
        clock.seen_before(last, None);
        clock.inner.pass(60);
        assert_eq!((clock.now(), clock.doubt()), (last + Duration::from_secs(60), Some(Doubt::StartedBelow)));
        clock.inner.set(86_400);
        assert_eq!((clock.now(), clock.doubt()), (last + Duration::from_secs(60), None), "set right");
    }

    /// It was set back, the service ran on, and is started again.
    #[test]
    fn a_start_below_a_time_seen_before_goes_on_from_the_time_that_counted_since() {
        let clock = guarded();
        let (believed, counted) = (clock.now() + hours(24), clock.now() + hours(29));
        clock.seen_before(believed, Some(counted));
        clock.inner.pass(60);
        assert_eq!((clock.now(), clock.doubt()), (counted + Duration::from_secs(60), Some(Doubt::StartedBelow)));
        clock.inner.set(5 * 3600 + 86_400);
        assert_eq!((clock.now(), clock.doubt()), (counted + Duration::from_secs(60), None), "set right");
    }

    /// It was set right, and what counted meanwhile is nothing to go by.
    #[test]
    fn a_start_above_the_time_believed_last_is_believed() {
        let clock = guarded();
        let start = clock.now();
        clock.seen_before(start, Some(start + hours(24)));
        assert_eq!((clock.now(), clock.doubt()), (start, None));
    }

    fn hours(hours: u64) -> Duration {
        Duration::from_secs(hours * 3600)
    }

    #[test]
    fn a_clock_that_differs_from_the_databases_gives_nothing_until_it_does_not() {
        let clock = guarded();
        let (now, second) = (clock.now(), Duration::from_secs(1));
        clock.compare(now, now + APART, now);
        assert_eq!(clock.doubt(), None);
        for off in [now + APART + second, now - APART - second] {
            clock.compare(now, off, now);
            assert_eq!(clock.doubt(), Some(Doubt::OffDatabase), "{off:?}");
            assert_eq!(clock.as_others_see(now + second), off + second);
            clock.compare(now, off, now + APART + second);
            assert_eq!(clock.doubt(), Some(Doubt::OffDatabase), "a long look tells nothing");
            clock.compare(now, now + second, now + second);
            assert_eq!((clock.doubt(), clock.as_others_see(now)), (None, now));
        }
    }

    /// Whoever jumps takes nobody's lease by a comparison from before.
    #[test]
    fn a_clock_that_jumped_is_compared_again_before_it_goes_by_the_others_leases() {
        let clock = guarded();
        clock.compare(clock.now(), clock.now(), clock.now());
        assert_eq!(clock.doubt(), None);
        clock.inner.set(3600);
        assert_eq!(clock.doubt(), Some(Doubt::NotCompared));
        clock.compare(clock.now(), clock.now(), clock.now());
        assert_eq!(clock.doubt(), Some(Doubt::JumpedForward), "both slept");
    }

    #[test]
    fn a_clock_that_was_never_compared_is_in_doubt_where_there_is_another() {
        let clock = guarded();
        let (now, long) = (clock.now(), APART + Duration::from_millis(1));
        clock.expect_comparison();
        clock.compare(now, now, now + long);
        assert_eq!(clock.doubt(), Some(Doubt::NotCompared), "a long look tells nothing");
        clock.compare(now, now, now);
        clock.expect_comparison();
        assert_eq!(clock.doubt(), None);
    }

    /// Its time never goes back, and is still not the others'.
    #[test]
    fn a_clock_that_was_ahead_and_is_set_right_is_apart_as_long_as_its_time_is() {
        let clock = guarded();
        let theirs = clock.now();
        clock.inner.set(3600);
        clock.compare(clock.now(), theirs, clock.now());
        clock.inner.set(-3600);
        assert_eq!(clock.doubt(), Some(Doubt::OffDatabase));
        clock.inner.pass(3600);
        clock.compare(clock.now(), clock.now(), clock.now());
        assert_eq!(clock.doubt(), Some(Doubt::SetBack));
    }

    #[test]
    fn slow_drift_is_nobodys_business() {
        let clock = guarded();
        for _ in 0..1000 {
            clock.inner.pass(60);
            clock.inner.set(1);
            let _ = clock.now();
        }
        assert_eq!(clock.doubt(), None);
    }
}
