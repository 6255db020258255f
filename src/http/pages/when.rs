//! Times for people: an instant, and how far away it is.

use std::time::Duration;

use latchkey_contract::Timestamp;

/// `2026-06-09 21:59 UTC (in 3 h 12 min)`, or `(18 min ago)`.
pub(super) fn around(at: Timestamp, now: Timestamp) -> String {
    let text = at.for_people();
    if at >= now {
        format!("{text} (in {})", long(at.since(now)))
    } else {
        format!("{text} ({} ago)", long(now.since(at)))
    }
}

/// To the second, for proofs: `2026-06-09 21:59:47 UTC`.
pub(super) fn exact(at: Timestamp) -> String {
    at.rfc3339().replace('T', " ").replace('Z', " UTC")
}

/// `3 h 12 min`, rounded down; `less than a minute`.
pub(super) fn long(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, 0) => "less than a minute".to_owned(),
        (0, 0, m) => format!("{m} min"),
        (0, h, 0) => format!("{h} h"),
        (0, h, m) => format!("{h} h {m} min"),
        (d, 0, _) => format!("{d} d"),
        (d, h, _) => format!("{d} d {h} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_span_is_said_in_its_two_largest_units() {
        for (seconds, text) in [
            (0, "less than a minute"),
            (59, "less than a minute"),
            (60, "1 min"),
            (3600, "1 h"),
            (11_520, "3 h 12 min"),
            (86_400, "1 d"),
            (100_000, "1 d 3 h"),
        ] {
            assert_eq!(long(Duration::from_secs(seconds)), text);
        }
        let at = Timestamp::from_millis(1_790_259_898_253);
        assert_eq!(exact(at), "2026-09-24 14:24:58 UTC");
        assert_eq!(around(at + Duration::from_secs(60), at), "2026-09-24 14:25 UTC (in 1 min)");
        assert_eq!(around(at, at + Duration::from_secs(60)), "2026-09-24 14:24 UTC (1 min ago)");
    }
}
