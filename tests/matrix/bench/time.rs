//! How time passes on a bench.

use std::time::{Duration, Instant};

use latchkey_contract::{Clock as _, Timestamp};

use super::{Bench, PATIENCE, Running};
use crate::{harness::TestApp, story::MINUTE};

/// Steps of time while work waits for leases to run out that nobody holds any more.
const WAITING: Duration = Duration::from_secs(5);

impl Bench {
    /// Lets everything happen that can happen without time passing. Answers when something is due.
    pub(crate) async fn rest(&mut self) -> Option<Timestamp> {
        let (began, mut quiet, mut due) = (Instant::now(), 0, None);
        while quiet < 2 {
            self.struggles(began).await;
            assert!(began.elapsed() < PATIENCE, "the service does not come to rest; {}", self.log_tail());
            self.settled().await;
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
    pub(crate) async fn shift(&mut self, by: Duration) {
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

    /// Comes to rest although leases have to run out before it can.
    pub(crate) async fn rest_in_the_end(&mut self) {
        self.pass(2 * MINUTE).await;
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
