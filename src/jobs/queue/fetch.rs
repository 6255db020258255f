//! Claiming: only what there are free slots for, removals first, nothing for a connection at its limit.

use std::{sync::Arc, time::Duration};

use tokio::sync::mpsc;

use super::{Shared, Stop, engine::PULSE, slots::Wanted};
use crate::{
    jobs::task::Task,
    store::{Claim, Finish, StoreError},
};

/// How often depth and age are measured, in rounds of at most [`PULSE`] each.
const MEASURED_EVERY: u32 = 5;

/// Claims and hands over until the queue is stopped. An error of the store is waited out, never the end.
pub(super) async fn fetch(shared: Arc<Shared>, hand: mpsc::Sender<Task>) {
    for round in 0_u32.. {
        shared.health.fetch_beats();
        if shared.is_stopping() || hand.is_closed() {
            break;
        }
        if round % MEASURED_EVERY == 0 {
            measure(&shared).await;
        }
        match claim(&shared).await {
            Ok(tasks) if !tasks.is_empty() => {
                if !hand_over(&shared, &hand, tasks).await {
                    break;
                }
            }
            Ok(_) => rest(&shared).await,
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
    let Wanted { free, removals_only, busy } = shared.slots.wanted();
    if free == 0 {
        return Ok(Vec::new());
    }
    let now = shared.clock.now();
    let claim = Claim { now, free, lease_until: now + shared.settings.lease, busy, removals_only };
    let tasks = shared.store.claim(&claim).await?;
    for task in &tasks {
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

/// Until something is due, is asked for, or a slot is free; at most a second, which also lets another
/// process's commits be seen. The pulse is real time: a heart must beat also while a test's clock stands.
async fn rest(shared: &Shared) {
    let now = shared.clock.now();
    let next = shared.store.next_due().await.ok().flatten();
    match next {
        // Due, and yet it was not claimed: its key, its connection or every slot is taken.
        Some(at) if at <= now => pause(shared, PULSE).await,
        Some(at) => {
            tokio::select! {
                () = shared.clock.sleep_until(at) => {}
                () = pause(shared, PULSE) => {}
            }
        }
        None => pause(shared, PULSE).await,
    }
}

async fn pause(shared: &Shared, time: Duration) {
    tokio::select! {
        () = shared.wake.notified() => {}
        () = tokio::time::sleep(time) => {}
        () = shared.stopped(Stop::Draining) => {}
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
