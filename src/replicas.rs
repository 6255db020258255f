//! What several processes on one database, the replicas, owe each other.
//!
//! They share the work through the task table's leases, the rules by their revision, and one audit chain; a process that
//! is paused or dies is made good when its leases have run out. Three things are each replica's own:
//!
//! - **Its clock.** Leases are held against it, so it is held against the database server's: a replica whose clock differs,
//!   or was not compared yet, gives nothing and takes nobody's lease until it does not ([`APART`]). What it takes away meanwhile
//!   it leases in the server's time: however far ahead it is, its leases end for others within their length, and the grace.
//! - **What it was told is committed.** After the server's failover that may be gone: then nobody claims anything before
//!   the directories were compared ([`Reconcile`]), whichever replica noticed.
//! - **Its generation file**, raised once a minute since nobody says when a server's database is copied: a copy that is
//!   put back is below it.

use std::{sync::Arc, time::Duration};

use latchkey_contract::{Clock, Timestamp};
use tokio::task::JoinHandle;

use crate::{
    clock_guard::{APART, GuardedClock},
    generation::Counter,
    jobs::chain,
    reconcile::Reconcile,
    store::{Comparing, LaterHolds, Store, StoreError, postgres::Postgres},
};

/// How often the generation is raised where others make the copies.
const COUNTED_EVERY: Duration = Duration::from_secs(60);

/// How often the two clocks are compared.
const COMPARED_EVERY: Duration = Duration::from_secs(10);

/// How far apart two clocks are found that each differ from the server's as much as they may.
const SPREAD: Duration = Duration::from_secs(2 * APART.as_secs());

/// What a replica does for ever, besides its work.
pub(crate) struct Replica<C> {
    pub(crate) server: Arc<Postgres>,
    pub(crate) store: Arc<dyn Store>,
    pub(crate) counter: Counter,
    pub(crate) clock: Arc<GuardedClock<C>>,
    pub(crate) reconcile: Arc<Reconcile>,
}

impl<C: Clock + 'static> Replica<C> {
    /// Begins with it. `compares` is false for a replica that leaves the work to others.
    pub(crate) fn begin(self, compares: bool) -> Vec<JoinHandle<()>> {
        let Self { server, store, counter, clock, reconcile } = self;
        let mut tasks = vec![
            tokio::spawn(count_on(counter, store, Arc::clone(&clock))),
            tokio::spawn(async move { if compares { reconcile.watch().await } else { reconcile.look_on().await } }),
        ];
        if !clock.is_moved_by_hand() {
            tasks.push(tokio::spawn(compare_clocks(server, clock)));
        }
        tasks
    }
}

/// Holds a clock against the server's before anything is decided by it. The server's clock is what all replicas go by: one
/// that is behind it goes on from there, by whatever others count whose clocks are in doubt. `last` was written by any of
/// them, and `counted` by one in doubt; both are held to only where the server's clock itself is behind `last`, or is not
/// compared because somebody moves this one by hand. Clocks that are all in order may differ by [`SPREAD`] in this.
pub(crate) async fn hold<C: Clock>(
    server: &Postgres,
    clock: &GuardedClock<C>,
    last: Option<Timestamp>,
    counted: Option<Timestamp>,
) -> Result<(), StoreError> {
    let theirs = if clock.is_moved_by_hand() { None } else { Some(server.clock().await?) };
    let start = match (theirs, last) {
        (Some(theirs), last) if last.is_none_or(|last| last <= theirs + SPREAD) => Some((theirs, None)),
        (_, Some(last)) => Some((last, counted)),
        (_, None) => None,
    };
    if let Some((believed, counted)) = start.filter(|(believed, _)| *believed > clock.now() + SPREAD) {
        clock.seen_before(believed, counted);
    }
    if theirs.is_some() {
        clock.expect_comparison();
        compare_clock(server, clock).await?;
    }
    Ok(())
}

/// Again and again.
async fn compare_clock<C: Clock>(server: &Postgres, clock: &GuardedClock<C>) -> Result<(), StoreError> {
    let before = clock.now();
    let database = server.clock().await?;
    clock.compare(before, database, clock.now());
    Ok(())
}

async fn compare_clocks<C: Clock>(server: Arc<Postgres>, clock: Arc<GuardedClock<C>>) {
    loop {
        // A server that does not answer is complained about by those who want more of it.
        let _ = compare_clock(&server, &clock).await;
        tokio::time::sleep(COMPARED_EVERY).await;
    }
}

async fn count_on<C: Clock>(counter: Counter, store: Arc<dyn Store>, clock: Arc<GuardedClock<C>>) {
    loop {
        clock.sleep_until(clock.now() + COUNTED_EVERY).await;
        count(&counter, store.as_ref(), clock.now()).await;
    }
}

/// Raises the generation, unless an older copy was put in the place of the database meanwhile: that is noted.
pub(crate) async fn count(counter: &Counter, store: &dyn Store, now: Timestamp) {
    // A start without the file knows nothing. Who runs knows the database: a file that is missing is made anew, and one
    // moment in which it cannot be opened must not end the removals.
    if let Err(error) = counter.legible() {
        return tracing::warn!(%error, "the generation file cannot be read, so the generation is not raised");
    }
    let counted = async {
        if let Some(why) = counter.is_above(store).await? {
            let generation = store.generation().await?;
            if generation.comparing.is_none() {
                tracing::error!(why, "an older copy of the database was put in its place");
                let knows_until = store.last_seen().await?;
                store
                    .compare_first(Comparing {
                        since: now,
                        knows_until,
                        later_holds: LaterHolds::Unknown,
                        noted_at: Some(now),
                    })
                    .await?;
            }
            return Ok(());
        }
        counter.raise(store).await.map(drop)
    };
    if let Err(error) = counted.await {
        tracing::warn!(error = chain(&error), "the generation could not be raised");
    }
}

#[cfg(test)]
mod tests;
