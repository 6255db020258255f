//! How much is said of what proves nothing: the first few of each minute, by their reason, then how many were left out.
//! Whoever knocks all the time fills no log; the metrics count every one.

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Lines per [`WINDOW`] and reason.
const MOST: u32 = 10;
const WINDOW: Duration = Duration::from_secs(60);

#[derive(Debug, Default)]
pub(super) struct Told(Mutex<BTreeMap<&'static str, Count>>);

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Duration,
    told: u32,
    left_out: u64,
}

impl Told {
    /// `None` when it is not to be said; otherwise how many of the same reason were left out before. `now` is monotonic.
    pub(super) fn say(&self, reason: &'static str, now: Duration) -> Option<u64> {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(reason).or_insert(Count { since: now, told: 0, left_out: 0 });
        if now.saturating_sub(count.since) >= WINDOW {
            *count = Count { since: now, told: 0, ..*count };
        }
        if count.told >= MOST {
            count.left_out += 1;
            return None;
        }
        count.told += 1;
        Some(std::mem::take(&mut count.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_few_of_a_minute_are_said_and_the_rest_counted() {
        let told = Told::default();
        let second = Duration::from_secs;
        for _ in 0..MOST {
            assert_eq!(told.say("bad-signature", second(5)), Some(0));
        }
        assert_eq!(told.say("bad-signature", second(64)), None);
        assert_eq!(told.say("bad-signature", second(64)), None);
        assert_eq!(told.say("unknown-path", second(64)), Some(0), "each reason by itself");
        assert_eq!(told.say("bad-signature", second(65)), Some(2), "and how many were left out");
        assert_eq!(told.say("bad-signature", second(65)), Some(0));
    }
}
