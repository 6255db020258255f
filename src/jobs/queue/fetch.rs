//! Claiming: only what there are free slots for, removals first, nothing for a connection at its limit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use latchkey_contract::Timestamp;
use tokio::sync::mpsc;

use super::{Shared, Stop, engine::PULSE, lease, slots::Wanted};
use crate::{
    clock_guard::Doubt,
    jobs::task::Task,
    store::{Claim, Finish, StoreError},
};

/// How often depth and age are measured while there is work: counting takes the longer the more waits.
const MEASURED_EVERY: Duration = Duration::from_secs(5);

/// Where nothing is due and nobody has said anything for this long, the store is asked all the same.
const LOOK_ANYWAY: Duration = Duration::from_secs(300);

/// Where what is due cannot be taken, something else may fall due, of which the store tells nothing: it is asked again after this.
const BLOCKED: Duration = Duration::from_millis(250);

/// After a claim that found nothing, so many times as long as it took passes before the next: a flood of commits, each of
/// which may matter, must not spend the store's time on being told that nothing can be taken.
const SPARES: u32 = 9;

/// The same, at most.
const SPARES_AT_MOST: Duration = Duration::from_millis(50);

/// Claims and hands over until the queue is stopped. An error of the store is waited out, never the end.
pub(super) async fn fetch(shared: Arc<Shared>, hand: mpsc::Sender<Task>) {
    let mut measured: Option<Instant> = None;
    loop {
        shared.health.fetch_beats();
        if shared.is_stopping() || hand.is_closed() {
            break;
        }
        let asked = Instant::now();
        match claim(&shared).await {
            Ok(tasks) if !tasks.is_empty() => {
                if !hand_over(&shared, &hand, tasks).await {
                    break;
                }
                measure_now_and_then(&shared, &mut measured).await;
            }
            Ok(_) => {
                let claiming_took = asked.elapsed();
                measure_now_and_then(&shared, &mut measured).await;
                rest(&shared, claiming_took).await;
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "tasks cannot be claimed; trying again");
                pause(&shared, PULSE).await;
            }
        }
    }
    // What was claimed and never started goes back at once.
    for lease in shared.slots.unstarted() {
        let at = shared.clock.now();
        let _ = shared.store.finish(&lease, Finish::Retry { at, error: "stopped before it began".to_owned() }).await;
    }
}

async fn claim(shared: &Shared) -> Result<Vec<Task>, StoreError> {
    let Wanted { free, removals_only, busy, full } = shared.slots.wanted();
    if free == 0 {
        return Ok(Vec::new());
    }
    let now = shared.clock.now();
    if !lease::renew_what_ran_out(shared, now).await {
        return Ok(Vec::new());
    }
    // A clock that differs from all others' takes nobody's lease away, and ends what it was given the time of.
    let is_apart = shared.settings.trust.doubt().is_some_and(Doubt::is_apart);
    let until = now + shared.settings.lease;
    let claim = Claim {
        now,
        free,
        lease_until: shared.settings.trust.as_others_see(until),
        busy,
        full,
        removals_only: removals_only || is_apart,
        spares_leases: is_apart,
    };
    let mut tasks = shared.store.claim(&claim).await?;
    for task in &mut tasks {
        // Its holder goes by its own clock.
        task.lease.until = until;
        shared.slots.take(task);
    }
    Ok(tasks)
}

/// `false` when nobody takes tasks any more.
async fn hand_over(shared: &Shared, hand: &mpsc::Sender<Task>, tasks: Vec<Task>) -> bool {
    for task in tasks {
        let is_taken = tokio::select! {
            sent = hand.send(task) => sent.is_ok(),
            () = shared.stopped(Stop::Draining) => false,
        };
        if !is_taken {
            return false;
        }
    }
    true
}

/// Until something is due, is asked for, or a slot is free. The store wakes us after each commit that may matter, so
/// meanwhile it is asked nothing: who has nothing to do costs nothing.
async fn rest(shared: &Shared, claiming_took: Duration) {
    let now = shared.clock.now();
    let next = match shared.store.next_due().await {
        // Due, and yet it was not claimed: its key, its connection or every slot is taken.
        Ok(Some(at)) if at <= now => {
            tokio::time::sleep((claiming_took * SPARES).min(SPARES_AT_MOST)).await;
            return pause(shared, BLOCKED).await;
        }
        Ok(next) => next,
        Err(_) => return pause(shared, PULSE).await,
    };
    let since = Instant::now();
    // The pulse is real time: a heart must beat also while a test's clock stands.
    while !is_due(shared, next) && since.elapsed() < LOOK_ANYWAY {
        shared.health.fetch_beats();
        tokio::select! {
            () = shared.wake.notified() => return,
            () = shared.stopped(Stop::Draining) => return,
            () = comes(shared, next) => {}
            () = tokio::time::sleep(PULSE) => {}
        }
    }
}

fn is_due(shared: &Shared, next: Option<Timestamp>) -> bool {
    next.is_some_and(|at| at <= shared.clock.now())
}

async fn comes(shared: &Shared, next: Option<Timestamp>) {
    match next {
        Some(at) => shared.clock.sleep_until(at).await,
        None => std::future::pending().await,
    }
}

async fn pause(shared: &Shared, time: Duration) {
    tokio::select! {
        () = shared.wake.notified() => {}
        () = tokio::time::sleep(time) => {}
        () = shared.stopped(Stop::Draining) => {}
    }
}

/// After a claim, never before it: what is due as the service starts waits for no count.
async fn measure_now_and_then(shared: &Shared, measured: &mut Option<Instant>) {
    if measured.is_none_or(|at| at.elapsed() >= MEASURED_EVERY) {
        measure(shared).await;
        *measured = Some(Instant::now());
    }
}

async fn measure(shared: &Shared) {
    let now = shared.clock.now();
    let Ok(state) = shared.store.queue(now).await else { return };
    let age = state.oldest_due.map_or(0.0, |since| now.since(since).as_secs_f64());
    metrics::gauge!("jobs_ready").set(gauge(state.ready));
    metrics::gauge!("jobs_leased").set(gauge(state.leased));
    metrics::gauge!("jobs_future").set(gauge(state.future));
    metrics::gauge!("jobs_dead").set(gauge(state.dead));
    metrics::gauge!("jobs_oldest_seconds").set(age);
}

fn gauge(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}
