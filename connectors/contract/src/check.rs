//! One line of a doctor: what was looked at, and whether it is as it should be.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::{
    CallError, Timestamp,
    text::{chain, one_line},
};

/// A vendor's clock that is further off than this is an error: proofs and audit trails are compared by time.
const LARGEST_SKEW: Duration = Duration::from_secs(120);

/// One line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// What was looked at: the same text in every run, so that a line can be found again.
    pub what: String,
    /// What came of it.
    pub verdict: Verdict,
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// As it should be: what was found.
    Ok(String),
    /// Nothing is broken: an option that is not used, or something that cannot be seen by reading. What to know.
    Note(String),
    /// It must be mended: what is wrong, what to do, and the vendor's own path to it.
    Red(String),
}

impl Check {
    /// A line that is as it should be.
    pub fn ok(what: impl Into<String>, found: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Ok(found.into()) }
    }

    /// A line that breaks nothing, and is not simply well either.
    pub fn note(what: impl Into<String>, know: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Note(know.into()) }
    }

    /// A line that must be mended.
    pub fn red(what: impl Into<String>, to_do: impl Into<String>) -> Self {
        Self { what: what.into(), verdict: Verdict::Red(to_do.into()) }
    }

    /// A line that could not be judged, because its call failed for a reason that is not the line's own.
    pub fn failed(what: impl Into<String>, error: &CallError) -> Self {
        Self::red(what, to_do(error))
    }

    /// The vendor's clock against ours, from the `Date` of one of its answers.
    #[must_use]
    pub fn clock(theirs: Option<Timestamp>, ours: Timestamp) -> Self {
        const WHAT: &str = "clock";
        let Some(theirs) = theirs else { return Self::note(WHAT, "the answers carry no date to compare with") };
        let off = if theirs > ours { theirs.since(ours) } else { ours.since(theirs) };
        if off <= LARGEST_SKEW {
            return Self::ok(WHAT, format!("within {} s of the vendor's", off.as_secs()));
        }
        let way = if theirs > ours { "behind" } else { "ahead of" };
        let by = off.as_secs();
        Self::red(
            WHAT,
            format!("this machine is {by} s {way} the vendor's clock: set it by NTP (timedatectl set-ntp true)"),
        )
    }

    /// True when it must be mended.
    #[must_use]
    pub const fn is_red(&self) -> bool {
        matches!(self.verdict, Verdict::Red(_))
    }
}

impl Verdict {
    /// The sentence.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Ok(text) | Self::Note(text) | Self::Red(text) => text,
        }
    }
}

/// What failed, to its last cause, and what an operator can do about it: one bounded line.
#[must_use]
pub fn to_do(error: &CallError) -> String {
    let why = chain(error);
    let to_do = match error {
        // As rustls begins it, whatever is wrong with the certificate.
        CallError::Transient { .. } if why.contains("invalid peer certificate") => {
            "the certificate there is not believed; where the vendor's host has an authority of its own, name its \
             certificate in ca_file"
        }
        CallError::Transient { .. } => {
            "try again; if it stays, look at the address, the network and the vendor's status"
        }
        CallError::Malformed { .. } => "the address may be another product's, or the vendor has changed its answers",
        CallError::Unauthorized { .. } | CallError::Refused { .. } | CallError::Protected { .. } => {
            "compare the connection's credential and rights with the connector's README"
        }
    };
    one_line(&format!("{why}: {to_do}"), 500)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_is_red_from_two_minutes_on_in_either_direction() {
        let ours = Timestamp::from_millis(1_790_000_000_000);
        let at = |seconds: i64| Check::clock(Some(Timestamp::from_millis(ours.millis() + seconds * 1000)), ours);
        for fine in [0, 120, -120] {
            assert!(matches!(at(fine).verdict, Verdict::Ok(_)), "{fine}");
        }
        assert!(at(121).is_red() && at(121).verdict.text().contains("121 s behind"));
        assert!(at(-3600).is_red() && at(-3600).verdict.text().contains("3600 s ahead of"));
        assert!(matches!(Check::clock(None, ours).verdict, Verdict::Note(_)));
    }

    #[test]
    fn a_failed_call_is_a_red_line_with_its_cause() {
        let line = Check::failed("boards", &CallError::transient("GET /x", "timed\nout"));
        assert!(line.is_red());
        assert!(line.verdict.text().starts_with("GET /x: not reached or not ready: timed out: try again"), "{line:?}");
        let refused = CallError::transient("GET /x", "invalid peer certificate: UnknownIssuer");
        let untrusted = Check::failed("boards", &refused);
        assert!(untrusted.verdict.text().ends_with("name its certificate in ca_file"), "{untrusted:?}");
    }
}
