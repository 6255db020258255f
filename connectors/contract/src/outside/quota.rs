//! So many calls in a span of time, some of them kept for removals.
//!
//! The span slides in sixty steps. What others spend of the same quota is told by the vendor, where it tells.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::Urgency;
use crate::CallError;

const STEPS: u32 = 60;

/// So many calls in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
    /// Calls.
    pub calls: u32,
    /// In any span of this length.
    pub per: Duration,
    /// Of those, kept for removals alone.
    pub for_removals: u32,
}

/// What is spent of a quota.
#[derive(Debug)]
pub(super) struct Spent {
    quota: Quota,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Our own calls by step, oldest first.
    ours: VecDeque<(u128, u32)>,
    /// Everybody else's, and when the vendor told.
    others: Option<(Duration, u32)>,
}

impl Spent {
    pub(super) fn new(quota: Quota) -> Self {
        Self { quota, state: Mutex::default() }
    }

    /// Counts a call; an ordinary one only while there is more left than is kept for removals. A removal is never held
    /// back: the vendor may still take it.
    pub(super) fn take(&self, op: &'static str, urgency: Urgency, now: Duration) -> Result<(), CallError> {
        let mut state = self.at(now);
        let room = self.quota.calls.saturating_sub(self.quota.for_removals);
        if urgency == Urgency::Ordinary && state.used() >= room {
            let wait = self.until_a_step_is_over(&state, now);
            return Err(CallError::not_yet(op, wait, "the connection has spent the calls that the vendor allows"));
        }
        let step = self.step(now);
        match state.ours.back_mut() {
            Some((last, calls)) if *last == step => *calls += 1,
            _ => state.ours.push_back((step, 1)),
        }
        Ok(())
    }

    pub(super) fn told(&self, used: u32, now: Duration) {
        let mut state = self.at(now);
        let ours: u32 = state.ours.iter().map(|(_, calls)| calls).sum();
        state.others = Some((now, used.saturating_sub(ours)));
    }

    /// The state without what has left the span.
    fn at(&self, now: Duration) -> MutexGuard<'_, State> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let step = self.step(now);
        while state.ours.front().is_some_and(|(first, _)| first + u128::from(STEPS) < step) {
            state.ours.pop_front();
        }
        if state.others.is_some_and(|(at, _)| now.saturating_sub(at) >= self.quota.per) {
            state.others = None;
        }
        state
    }

    fn step(&self, now: Duration) -> u128 {
        now.as_nanos() / self.length().as_nanos()
    }

    fn length(&self) -> Duration {
        (self.quota.per / STEPS).max(Duration::from_millis(1))
    }

    fn until_a_step_is_over(&self, state: &State, now: Duration) -> Duration {
        let length = self.length();
        let first = state.ours.front().map_or_else(|| self.step(now), |(first, _)| *first);
        let steps = u32::try_from((first + u128::from(STEPS) + 1).saturating_sub(self.step(now))).unwrap_or(STEPS);
        let is_ours = state.others.is_none_or(|(_, others)| others == 0);
        if is_ours { length * steps.min(STEPS) } else { length * steps.min(1) }
    }
}

impl State {
    fn used(&self) -> u32 {
        let ours: u32 = self.ours.iter().map(|(_, calls)| calls).sum();
        ours.saturating_add(self.others.map_or(0, |(_, others)| others))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    fn spent() -> Spent {
        Spent::new(Quota { calls: 10, per: HOUR, for_removals: 3 })
    }

    fn take(spent: &Spent, urgency: Urgency, minute: u64) -> Result<(), CallError> {
        spent.take("GET /x", urgency, Duration::from_secs(60 * minute))
    }

    #[test]
    fn the_last_calls_are_kept_for_removals() {
        let spent = spent();
        for _ in 0..7 {
            take(&spent, Urgency::Ordinary, 0).unwrap();
        }
        let refused = take(&spent, Urgency::Ordinary, 0).unwrap_err();
        assert!(refused.is_transient() && refused.retry_after().is_some_and(|wait| wait <= HOUR && !wait.is_zero()));
        for _ in 0..20 {
            take(&spent, Urgency::Removal, 0).unwrap();
        }
        assert!(take(&spent, Urgency::Ordinary, 59).is_err());
        assert!(take(&spent, Urgency::Ordinary, 61).is_ok());
    }

    #[test]
    fn what_others_spend_counts_while_it_is_news() {
        let spent = spent();
        take(&spent, Urgency::Ordinary, 0).unwrap();
        spent.told(7, Duration::ZERO);
        assert!(take(&spent, Urgency::Ordinary, 1).is_err());
        spent.told(6, Duration::from_secs(60));
        assert!(take(&spent, Urgency::Ordinary, 1).is_ok());
        assert!(take(&spent, Urgency::Ordinary, 1).is_err());
        assert!(take(&spent, Urgency::Ordinary, 62).is_ok());
    }
}
