//! What can go wrong with an outside call, named for what the caller can do next.

use std::time::Duration;

/// The cause behind a [`CallError`], kept whole.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// One failed outside call.
///
/// A timeout is neither success nor failure: after [`CallError::Transient`] the next step is a read.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Worth trying again later: network, timeout, throttling, 5xx, replication lag.
    #[error("{op}: not reached or not ready")]
    Transient {
        /// The call, as vendor method and path template.
        op: &'static str,
        /// How long the vendor asked us to wait, if it did.
        retry_after: Option<Duration>,
        /// What happened.
        #[source]
        cause: Cause,
    },
    /// The connection's own credentials or rights do not suffice; an operator must act.
    #[error("{op}: the connection's credentials or rights were refused ({code})")]
    Unauthorized {
        /// The call.
        op: &'static str,
        /// The vendor's code, bounded and printable.
        code: String,
    },
    /// The vendor understood and said no; the same call will be refused again.
    #[error("{op}: refused with {status} {code}")]
    Refused {
        /// The call.
        op: &'static str,
        /// HTTP status.
        status: u16,
        /// The vendor's code, bounded and printable.
        code: String,
    },
    /// The account or group is protected: never touched. Refused by us before any call, or by the vendor: the sentence
    /// is the same.
    #[error("{op}: refused, for it is protected: {why}")]
    Protected {
        /// The step or call.
        op: &'static str,
        /// A sentence for the ticket.
        why: String,
    },
    /// The vendor's answer could not be read.
    #[error("{op}: the answer could not be read")]
    Malformed {
        /// The call.
        op: &'static str,
        /// What was wrong with it.
        #[source]
        cause: Cause,
    },
}

impl CallError {
    /// The call that failed, as vendor method and path template.
    #[must_use]
    pub const fn op(&self) -> &'static str {
        match self {
            Self::Transient { op, .. }
            | Self::Unauthorized { op, .. }
            | Self::Refused { op, .. }
            | Self::Protected { op, .. }
            | Self::Malformed { op, .. } => op,
        }
    }

    /// True where a repeat may succeed without anybody acting.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Transient { .. })
    }

    /// The wait the vendor asked for.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Transient { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// A transient failure with a plain reason.
    pub fn transient(op: &'static str, why: &'static str) -> Self {
        Self::Transient { op, retry_after: None, cause: why.into() }
    }

    /// A transient failure to be tried again after `wait`.
    pub fn not_yet(op: &'static str, wait: Duration, why: &'static str) -> Self {
        Self::Transient { op, retry_after: Some(wait), cause: why.into() }
    }

    /// An unreadable answer with a plain reason.
    pub fn malformed(op: &'static str, why: impl Into<Cause>) -> Self {
        Self::Malformed { op, cause: why.into() }
    }
}
