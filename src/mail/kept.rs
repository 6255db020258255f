//! Connections that wait for the next mail, so that mails that come together need one login.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use latchkey_contract::Clock;
use lettre::transport::smtp::client::AsyncSmtpConnection;
use tokio::time::timeout;

/// How many wait.
const MOST: usize = 2;

/// How long one waits. Servers may hang up after five minutes (RFC 5321, section 4.5.3.2.7), and many do sooner.
const WAIT: Duration = Duration::from_secs(30);

/// How many mails go over one connection: many servers allow a hundred.
const MOST_MAILS: u32 = 100;

/// How long a goodbye may take.
const PART_WITHIN: Duration = Duration::from_secs(5);

/// A connection that is logged in, and how many mails it has carried.
pub(super) struct Connection {
    pub(super) smtp: AsyncSmtpConnection,
    carried: u32,
}

impl Connection {
    pub(super) const fn new(smtp: AsyncSmtpConnection) -> Self {
        Self { smtp, carried: 0 }
    }

    /// Says goodbye, without making anybody wait for it.
    pub(super) fn part(mut self) {
        tokio::spawn(async move { drop(timeout(PART_WITHIN, self.smtp.quit()).await) });
    }
}

/// Those that wait.
pub(super) struct Kept {
    waiting: Arc<Mutex<Waiting>>,
    clock: Arc<dyn Clock>,
}

#[derive(Default)]
struct Waiting {
    /// Each with the monotonic time at which it has waited long enough, the oldest first.
    connections: Vec<(Duration, Connection)>,
    /// Somebody looks after those that wait too long.
    is_watched: bool,
}

impl Kept {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self { waiting: Arc::default(), clock }
    }

    /// The one that has waited the shortest time.
    pub(super) fn take(&self) -> Option<Connection> {
        let (until, connection) = lock(&self.waiting).connections.pop()?;
        if self.clock.monotonic() < until {
            return Some(connection);
        }
        connection.part();
        None
    }

    /// Keeps a connection that has carried a mail, or says goodbye to it where enough wait.
    pub(super) fn keep(&self, mut connection: Connection) {
        connection.carried += 1;
        let mut waiting = lock(&self.waiting);
        if connection.carried >= MOST_MAILS || waiting.connections.len() >= MOST {
            return connection.part();
        }
        waiting.connections.push((self.clock.monotonic() + WAIT, connection));
        if !waiting.is_watched {
            waiting.is_watched = true;
            tokio::spawn(watch(Arc::downgrade(&self.waiting), Arc::clone(&self.clock)));
        }
    }
}

/// Says goodbye to each connection that has waited too long, until none waits.
async fn watch(waiting: Weak<Mutex<Waiting>>, clock: Arc<dyn Clock>) {
    while let Some(left) = waiting.upgrade().and_then(|waiting| part_with_old(&waiting, clock.monotonic())) {
        clock.sleep_until(clock.now() + left).await;
    }
}

/// Answers how long the oldest that is left may still wait.
fn part_with_old(waiting: &Mutex<Waiting>, now: Duration) -> Option<Duration> {
    let mut waiting = lock(waiting);
    let old = waiting.connections.partition_point(|(until, _)| *until <= now);
    waiting.connections.drain(..old).for_each(|(_, connection)| connection.part());
    let left = waiting.connections.first().map(|(until, _)| until.saturating_sub(now));
    waiting.is_watched = left.is_some();
    left
}

/// What is behind the lock is whole between any two statements.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}
