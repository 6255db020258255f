//! The simulators' clock and the time formats the vendors speak.

use std::fmt;
use std::sync::Arc;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Where a simulator gets its time: epoch milliseconds, UTC. It is asked at every use, so a test
/// that moves its own clock moves the vendor's with it.
#[derive(Clone)]
pub struct SimClock(Arc<dyn Fn() -> i64 + Send + Sync>);

impl SimClock {
    pub fn new(now_ms: impl Fn() -> i64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(now_ms))
    }

    /// The machine's clock.
    #[expect(clippy::disallowed_methods, reason = "the one place where a simulator reads the machine's clock")]
    pub fn system() -> Self {
        Self::new(|| to_ms(OffsetDateTime::now_utc()))
    }

    pub fn now_ms(&self) -> i64 {
        (self.0)()
    }
}

impl fmt::Debug for SimClock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SimClock({})", self.now_ms())
    }
}

/// `2026-06-09T21:59:47Z`: whole seconds, as both vendors print most times.
pub fn to_seconds_text(ms: i64) -> String {
    let at = from_ms(ms);
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}Z",
        at.year(),
        u8::from(at.month()),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// `2026-06-09T21:59:47.123Z`.
pub fn to_millis_text(ms: i64) -> String {
    let seconds = to_seconds_text(ms);
    format!("{}.{:03}Z", seconds.trim_end_matches('Z'), ms.rem_euclid(1000))
}

/// `Tue, 01 Sep 2026 10:00:00 GMT`, as in the `Date` header.
pub(crate) fn http_date(ms: i64) -> String {
    let shape =
        format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
    from_ms(ms).format(&shape).unwrap_or_default()
}

/// Reads an RFC 3339 instant with any offset and any fraction; `None` for anything else.
pub fn parse_ms(text: &str) -> Option<i64> {
    OffsetDateTime::parse(text, &Rfc3339).ok().map(to_ms)
}

fn to_ms(at: OffsetDateTime) -> i64 {
    i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000))
        .expect("years up to 9999 fit 64 bits of milliseconds")
}

/// Out-of-range input (a test clock gone wild) reads as the epoch instead of panicking.
fn from_ms(ms: i64) -> OffsetDateTime {
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(ms) * 1_000_000).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_go_out_and_come_back() {
        let ms = parse_ms("2026-06-09T21:59:47.250Z").unwrap();
        assert_eq!(to_seconds_text(ms), "2026-06-09T21:59:47Z");
        assert_eq!(to_millis_text(ms), "2026-06-09T21:59:47.250Z");
        assert_eq!(parse_ms("2026-06-09T23:59:47.25+02:00"), Some(ms));
        assert_eq!(parse_ms("yesterday"), None);
        assert_eq!(http_date(ms), "Tue, 09 Jun 2026 21:59:47 GMT");
    }

    #[test]
    fn the_clock_is_asked_at_every_use() {
        let now = Arc::new(std::sync::atomic::AtomicI64::new(1));
        let seen = now.clone();
        let clock = SimClock::new(move || seen.load(std::sync::atomic::Ordering::SeqCst));
        assert_eq!(clock.now_ms(), 1);
        now.store(2, std::sync::atomic::Ordering::SeqCst);
        assert_eq!(clock.now_ms(), 2);
    }
}
