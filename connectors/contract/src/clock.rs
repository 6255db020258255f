//! Time as a value, and the one trait through which it is read.

use std::{fmt, time::Duration};

use serde::{Deserialize, Serialize};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// An instant in UTC, in whole milliseconds since 1970: one zone, one precision, in every database.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The largest instant that prints as a date; later ones saturate here.
    pub const MAX: Self = Self(253_402_300_799_999);

    /// From epoch milliseconds.
    #[must_use]
    pub const fn from_millis(ms: i64) -> Self {
        Self(ms)
    }

    /// Epoch milliseconds.
    #[must_use]
    pub const fn millis(self) -> i64 {
        self.0
    }

    /// Epoch seconds, rounded down.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        self.0.div_euclid(1000)
    }

    /// Reads an RFC 3339 instant (`2026-06-09T21:59:47Z`, with or without a fraction).
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Self)
    }

    /// RFC 3339 in UTC with whole seconds, the form both Graph and ConnectWise accept.
    #[must_use]
    pub fn rfc3339(self) -> String {
        let at = OffsetDateTime::from_unix_timestamp(self.seconds()).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        at.format(&Rfc3339).unwrap_or_default()
    }

    /// For people: `2026-06-09 21:59 UTC`.
    #[must_use]
    pub fn for_people(self) -> String {
        let text = self.rfc3339();
        match (text.get(..10), text.get(11..16)) {
            (Some(day), Some(time)) => format!("{day} {time} UTC"),
            _ => text,
        }
    }

    /// The time from `earlier` to `self`; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Self;
    fn add(self, by: Duration) -> Self {
        let ms = i64::try_from(by.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(ms).min(Self::MAX.0))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Self;
    fn sub(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rfc3339())
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+{}ms", self.rfc3339(), self.0.rem_euclid(1000))
    }
}

/// The only source of time. Wall and monotonic time are both offered so that a jump can be seen.
#[async_trait::async_trait]
pub trait Clock: Send + Sync + fmt::Debug {
    /// Wall time.
    fn now(&self) -> Timestamp;

    /// Time since an arbitrary start, never set back.
    fn monotonic(&self) -> Duration;

    /// Returns when [`Clock::now`] has reached `at`, or shortly after. May return early: callers look again.
    async fn sleep_until(&self, at: Timestamp);

    /// True for one that somebody moves by hand: no other clock agrees with it, and none has to.
    fn is_moved_by_hand(&self) -> bool {
        false
    }
}

#[async_trait::async_trait]
impl<C: Clock + ?Sized> Clock for std::sync::Arc<C> {
    fn now(&self) -> Timestamp {
        (**self).now()
    }

    fn monotonic(&self) -> Duration {
        (**self).monotonic()
    }

    async fn sleep_until(&self, at: Timestamp) {
        (**self).sleep_until(at).await;
    }

    fn is_moved_by_hand(&self) -> bool {
        (**self).is_moved_by_hand()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_survives_the_round_through_text() {
        let at = Timestamp::parse("2026-09-24T14:24:58.253Z").unwrap();
        assert_eq!(at.millis(), 1_790_259_898_253);
        assert_eq!(at.rfc3339(), "2026-09-24T14:24:58Z");
        assert_eq!(at.for_people(), "2026-09-24 14:24 UTC");
    }

    #[test]
    fn sums_saturate_instead_of_wrapping() {
        assert_eq!(Timestamp::MAX + Duration::MAX, Timestamp::MAX);
    }
}
