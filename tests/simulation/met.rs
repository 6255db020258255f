//! What a long run has to have met: a fault that is never put in and a question that is never asked prove nothing.

use std::collections::BTreeMap;

/// From so many grants on all of it is met: some 75 worlds at least, as one gives about 130 at most. The rarest are a clock
/// that jumps forward, or is set back, which one world in six has each; and an account that is enabled by hand, which is
/// tried in two of nine and does not always find one. (5/6)^75 is one in 900,000. Faults of calls and of commits come by
/// the dozen in a world, where its weather has them at all, which two of three have.
pub(crate) const LONG: u64 = 10_000;

/// Every kind of fault.
const FAULTS: [&str; 32] = [
    "a read failed",
    "account enabled by hand",
    "account shown late",
    "answer unreadable",
    "audit chain broken",
    "audit chain mended",
    "call failed",
    "call throttled",
    "call timed out without effect",
    "commit made, answer lost",
    "database busy",
    "database failed",
    "effect made, answer lost",
    "note shown to the customer",
    "panic in a job",
    "process killed",
    "process killed after a commit",
    "process killed before a commit",
    "process killed during a call without effect",
    "process killed during a call, which takes effect",
    "rights refused",
    "role gone from a directory",
    "role not taken in its first five minutes",
    "role shown late",
    "slow answer",
    "vendor down",
    "wall clock jumps forward",
    "wall clock set back",
    "wall clock set right",
    "webhook late",
    "webhook lost",
    "webhook repeated",
];

/// Every invariant that is asked.
const ASKED: [&str; 14] = ["I1", "I2", "I3", "I4", "I5", "I6", "I7", "I8", "I9", "I10", "I11", "I12", "I13", "I14"];

/// What was not met, or not asked, a single time.
pub(crate) fn missing(faults: &BTreeMap<&'static str, u64>, checks: &BTreeMap<&'static str, u64>) -> Vec<&'static str> {
    let never = |counts: &BTreeMap<&'static str, u64>, kind: &str| counts.get(kind).is_none_or(|times| *times == 0);
    let faults = FAULTS.into_iter().filter(|kind| never(faults, kind));
    faults.chain(ASKED.into_iter().filter(|invariant| never(checks, invariant))).collect()
}

/// What was met and is in no list, so that nobody would miss it.
pub(crate) fn unlisted(
    faults: &BTreeMap<&'static str, u64>,
    checks: &BTreeMap<&'static str, u64>,
) -> Vec<&'static str> {
    let all = faults.keys().chain(checks.keys()).copied();
    all.filter(|kind| !FAULTS.contains(kind) && !ASKED.contains(kind)).collect()
}
