//! How many unproven deliveries one source may send, in bounded memory.
//!
//! Strangers, those who know the path secret and show nothing else, and those who show a proof that does not hold are counted
//! apart: neither strangers behind the same proxy nor a workflow rule that rings where no bell is can use up what the PSA
//! needs for what it signs. So is each connection: a vendor's cloud sends for many of its customers from one address. What
//! is called a connection by who does not know its path is not kept, and makes no count.

use std::{
    borrow::Cow,
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use latchkey_contract::ConnectionId;

/// Failures per [`WINDOW`] and source.
const MOST: u32 = 30;
const WINDOW: Duration = Duration::from_secs(60);
/// Sources remembered; beyond it all new ones share one count.
const SOURCES: usize = 10_000;
/// Looking through all of them takes time; not more often than this.
const SWEEP: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Unproven(Mutex<Counts>);

#[derive(Debug, Default)]
struct Counts {
    by_source: HashMap<Source, Count>,
    swept: Duration,
}

/// Who is counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Source {
    address: Option<IpAddr>,
    /// A connection whose path secret they know, and what else they showed there.
    caller: Option<(ConnectionId, Shown)>,
}

/// What a sender showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Shown {
    /// The path secret, and nothing that was to prove what the PSA signs; or a proof that fits, of what is not for us.
    Path,
    /// A proof, too, that does not hold: a signature, or the credentials that stand for one.
    Proof,
}

#[derive(Debug, Clone, Copy)]
struct Count {
    since: Duration,
    failures: u32,
}

impl Source {
    /// Who knows no path of ours.
    pub(super) fn stranger(address: IpAddr) -> Self {
        Self { address: Some(network(address)), caller: None }
    }

    /// Who knows the path of this connection.
    pub(super) fn caller(address: IpAddr, connection: &ConnectionId, shown: Shown) -> Self {
        Self { address: Some(network(address)), caller: Some((connection.clone(), shown)) }
    }
}

/// An IPv6 source is its /64: one customer has at least that.
fn network(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

impl Unproven {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// True when this source has failed too often. `now` is monotonic.
    pub(super) fn is_spent(&self, source: &Source, now: Duration) -> bool {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.by_source.get(&*counts.key(source));
        count.is_some_and(|count| !count.is_over(now) && count.failures >= MOST)
    }

    /// Counts a failure.
    pub(super) fn fail(&self, source: &Source, now: Duration) {
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.sweep(now);
        let key = counts.key(source).into_owned();
        let count = counts.by_source.entry(key).or_insert(Count { since: now, failures: 0 });
        if count.is_over(now) {
            *count = Count { since: now, failures: 0 };
        }
        count.failures = count.failures.saturating_add(1);
    }

    /// How long a source that is spent should wait.
    pub(super) const fn wait() -> Duration {
        WINDOW
    }
}

impl Counts {
    /// A source that is not known yet when the memory is full shares its count with the others like it.
    fn key<'s>(&self, source: &'s Source) -> Cow<'s, Source> {
        let is_new = self.by_source.len() >= SOURCES && !self.by_source.contains_key(source);
        if is_new { Cow::Owned(Source { address: None, caller: source.caller.clone() }) } else { Cow::Borrowed(source) }
    }

    fn sweep(&mut self, now: Duration) {
        if self.by_source.len() >= SOURCES && now.saturating_sub(self.swept) >= SWEEP {
            self.by_source.retain(|_, count| !count.is_over(now));
            self.swept = now;
        }
    }
}

impl Count {
    const fn is_over(self, now: Duration) -> bool {
        now.saturating_sub(self.since).as_secs() >= WINDOW.as_secs()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stranger(n: u32) -> Source {
        Source::stranger(IpAddr::V4(n.into()))
    }

    fn caller(n: u32, connection: &str, shown: Shown) -> Source {
        Source::caller(IpAddr::V4(n.into()), &connection.parse().unwrap(), shown)
    }

    fn second(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn a_source_is_spent_for_a_minute_and_no_other_one_with_it() {
        let unproven = Unproven::new();
        for _ in 0..MOST {
            assert!(!unproven.is_spent(&stranger(1), second(10)));
            unproven.fail(&stranger(1), second(10));
        }
        assert!(unproven.is_spent(&stranger(1), second(69)));
        assert!(!unproven.is_spent(&caller(1, "cw", Shown::Path), second(69)), "knowing the path is counted apart");
        assert!(!unproven.is_spent(&caller(1, "cw", Shown::Proof), second(69)), "and showing a proof");
        assert!(!unproven.is_spent(&stranger(2), second(69)));
        assert!(!unproven.is_spent(&stranger(1), second(70)));
    }

    #[test]
    fn each_connection_is_counted_by_itself() {
        let unproven = Unproven::new();
        for _ in 0..MOST {
            unproven.fail(&caller(1, "cw", Shown::Proof), second(10));
        }
        assert!(unproven.is_spent(&caller(1, "cw", Shown::Proof), second(10)));
        assert!(
            !unproven.is_spent(&caller(1, "cw-two", Shown::Proof), second(10)),
            "another customer of the same cloud"
        );
        assert!(!unproven.is_spent(&caller(1, "cw", Shown::Path), second(10)));
        assert!(!unproven.is_spent(&caller(2, "cw", Shown::Proof), second(10)));
    }

    #[test]
    fn a_million_sources_take_no_more_memory_than_ten_thousand() {
        let unproven = Unproven::new();
        for n in 0..1_000_000 {
            unproven.fail(&stranger(n), second(1));
        }
        for n in 0..100_000 {
            unproven.fail(&caller(n, "cw", Shown::Proof), second(1));
        }
        assert!(unproven.0.lock().unwrap().by_source.len() <= SOURCES + 2);
        assert!(unproven.is_spent(&stranger(2_000_000), second(1)), "newcomers share one count");
        assert!(unproven.is_spent(&caller(2_000_000, "cw", Shown::Proof), second(1)), "and one at each connection");
        assert!(!unproven.is_spent(&caller(2_000_000, "cw-two", Shown::Proof), second(1)));
        assert!(!unproven.is_spent(&caller(2_000_000, "cw", Shown::Path), second(1)));
        unproven.fail(&stranger(2_000_000), second(100));
        assert!(unproven.0.lock().unwrap().by_source.len() < 5, "what is over is forgotten");
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        let (a, b) = ("2001:db8:1:2::1".parse().unwrap(), "2001:db8:1:2:ffff::9".parse().unwrap());
        assert_eq!(Source::stranger(a), Source::stranger(b));
    }
}
