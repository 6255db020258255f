//! How long to wait before a failed job is tried again, and when it is given up.

use std::time::Duration;

use super::task::{Priority, Task, Work};
use crate::random::Random;

/// The ceiling of the first wait; it doubles with each attempt.
const FIRST: Duration = Duration::from_secs(1);

/// No wait is longer, whatever a vendor asks for: where access may still stand, nobody is left alone for longer.
pub const LONGEST: Duration = Duration::from_secs(5 * 60);

/// No wait before a removal is tried again is longer, unless a vendor asks for it: where calls fail at once, what is owed in a
/// directory is off a minute after it is back.
pub const REMOVAL: Duration = Duration::from_secs(45);

/// Attempts of a delivery's intake, or of giving, before it is given up: four to eight hours of failures.
/// Taking away, telling and watching are never given up.
pub const ATTEMPTS: u32 = 100;

/// The wait after attempt `attempt` (from 1).
///
/// Without a wish it is drawn evenly from nothing to the ceiling (full jitter: those that failed together
/// do not come back together). A wish (`Retry-After`, or "at once") is kept, with a little jitter that grows
/// with the attempts, so that a wish for zero cannot become a busy loop.
pub fn wait(attempt: u32, asked: Option<Duration>, priority: Priority, random: &dyn Random) -> Duration {
    let longest = if priority == Priority::Removal { REMOVAL } else { LONGEST };
    let ceiling = FIRST.saturating_mul(2_u32.saturating_pow(attempt.saturating_sub(1))).min(longest);
    match asked {
        None => fraction(ceiling, random),
        Some(asked) => asked.saturating_add(fraction(ceiling / 10, random)).min(LONGEST),
    }
}

/// True when this failure was the last: nothing is owed to anybody but a visible dead letter.
#[must_use]
pub fn is_given_up(task: &Task) -> bool {
    let may_be = match task.work {
        Work::Intake { .. } | Work::Look { .. } | Work::Converge { .. } => task.priority != Priority::Removal,
        Work::Missing { .. }
        | Work::Unheard { .. }
        | Work::Due { .. }
        | Work::Warn { .. }
        | Work::Tell { .. }
        | Work::Alert { .. }
        | Work::Mail { .. }
        | Work::AuditHead
        | Work::Poll { .. }
        | Work::Webhooks { .. }
        | Work::Presence { .. }
        | Work::Recheck { .. } => false,
    };
    may_be && task.attempt >= ATTEMPTS
}

fn fraction(of: Duration, random: &dyn Random) -> Duration {
    let mut bytes = [0; 4];
    random.fill(&mut bytes);
    of.mul_f64(f64::from(u32::from_be_bytes(bytes)) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use latchkey_contract::Timestamp;

    use super::*;
    use crate::jobs::task::Lease;

    /// Always draws the same byte.
    #[derive(Debug)]
    struct Always(u8);

    impl Random for Always {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(self.0);
        }
    }

    #[test]
    fn the_ceiling_doubles_up_to_five_minutes() {
        let highest = |attempt| wait(attempt, None, Priority::Giving, &Always(255)).as_secs();
        assert_eq!([1, 2, 3, 4, 9, 10, 50, u32::MAX].map(highest), [1, 2, 4, 8, 256, 300, 300, 300]);
        assert_eq!(wait(50, None, Priority::Giving, &Always(0)), Duration::ZERO);
    }

    #[test]
    fn a_removal_is_tried_again_within_a_minute_unless_the_vendor_asks_for_more() {
        let highest = |attempt| wait(attempt, None, Priority::Removal, &Always(255)).as_secs();
        assert_eq!([1, 6, 7, 50].map(highest), [1, 32, 45, 45]);
        let asked = wait(7, Some(Duration::from_secs(120)), Priority::Removal, &Always(0));
        assert_eq!(asked, Duration::from_secs(120));
    }

    #[test]
    fn a_wish_is_kept_but_bounded_and_never_a_busy_loop() {
        let asked = |attempt, s| wait(attempt, Some(Duration::from_secs(s)), Priority::Giving, &Always(255));
        assert_eq!(asked(1, 30), Duration::from_millis(30_100));
        assert_eq!(asked(1, 86_400), LONGEST);
        assert_eq!(asked(1, 0), Duration::from_millis(100));
        assert_eq!(asked(20, 0), Duration::from_secs(30));
    }

    #[test]
    fn only_giving_and_reading_are_ever_given_up() {
        let task = |work, priority| Task {
            lease: Lease { task: "1".into(), fence: 1, until: Timestamp::from_millis(0) },
            work,
            priority,
            run_at: Timestamp::from_millis(0),
            attempt: ATTEMPTS,
        };
        let converge = || Work::Converge { account: "a".parse().unwrap(), directory: "d".parse().unwrap() };
        assert!(is_given_up(&task(converge(), Priority::Giving)));
        assert!(!is_given_up(&task(converge(), Priority::Removal)));
        assert!(!is_given_up(&task(Work::Due { grant: "g".parse().unwrap() }, Priority::Removal)));
        let ticket = latchkey_contract::TicketRef { connection: "cw".parse().unwrap(), ticket: "1".parse().unwrap() };
        assert!(!is_given_up(&task(Work::Tell { ticket }, Priority::Telling)));
    }
}
