//! The vendors' own time: when a call's effect begins and ends there, so that it can be taken off.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use latchkey_simulators::fault::{Act, Call, Fault, Faults};

/// Stretches of time in which a vendor was at work.
#[derive(Debug, Clone, Default)]
pub(super) struct VendorTime(Arc<Mutex<Noted>>);

#[derive(Debug, Default)]
struct Noted {
    begun: Vec<(String, Instant)>,
    worked: Vec<(Instant, Instant)>,
}

impl VendorTime {
    /// Listens at a vendor from now on.
    pub(super) fn listen(&self, faults: &Faults) {
        let (begins, ends) = (self.clone(), self.clone());
        faults.add(Fault::always(Act::before(move |call| begins.lock().begun.push((key(call), Instant::now())))));
        faults.add(Fault::always(Act::after(move |call| ends.end(call))));
    }

    fn end(&self, call: &Call) {
        let mut noted = self.lock();
        let key = key(call);
        if let Some(at) = noted.begun.iter().position(|(begun, _)| *begun == key) {
            let (_, since) = noted.begun.swap_remove(at);
            noted.worked.push((since, Instant::now()));
        }
    }

    /// How much of this stretch a vendor was at work; what two did at once counts once.
    pub(super) fn within(&self, from: Instant, until: Instant) -> Duration {
        let mut worked: Vec<_> = self.lock().worked.iter().map(|(a, b)| ((*a).max(from), (*b).min(until))).collect();
        worked.retain(|(a, b)| a < b);
        worked.sort();
        let (mut total, mut seen) = (Duration::ZERO, from);
        for (a, b) in worked {
            total += b.saturating_duration_since(a.max(seen));
            seen = seen.max(b);
        }
        total
    }

    fn lock(&self) -> MutexGuard<'_, Noted> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(call: &Call) -> String {
    format!("{} {}", call.method, call.path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_two_vendors_did_at_once_counts_once() {
        let time = VendorTime::default();
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        time.lock().worked.extend([(at(10), at(30)), (at(20), at(40)), (at(25), at(28)), (at(90), at(200))]);
        assert_eq!(time.within(at(0), at(100)), Duration::from_millis(40));
        assert_eq!(time.within(at(15), at(35)), Duration::from_millis(20));
    }
}
