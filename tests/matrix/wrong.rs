//! What goes wrong in a run: a death, one call to a vendor, one commit of the service's own, or what the PSA sends.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicUsize, Ordering},
};

use latchkey::store::StoreError;
use latchkey_simulators::{connectwise::Signature, fault::Act};
use serde_json::{Value, json};

use crate::{
    harness::{self, TestApp},
    point::Point,
    weather::Phase,
};

/// One thing, or nothing.
#[derive(Debug, Clone)]
pub(crate) enum Wrong {
    Nothing,
    /// The process dies there.
    Death(Point),
    /// The first call of this name.
    Call(String, CallFault),
    /// The first commit of this name.
    Commit(String, CommitFault),
    Delivery(DeliveryFault),
    /// Everything at once.
    Weather,
    /// The service is told to stop.
    Stopped(Phase),
    /// The service can open no file and no connection for a while.
    Starved(Phase),
    /// Nobody reads the service's log, and there is no room for one line of it.
    Unread,
    /// The service gets no more memory, until it dies of that or is started again.
    Squeezed(Phase),
    /// The service is killed whatever it does, and as it starts.
    Starts,
}

impl Wrong {
    /// Whether it goes wrong at this commit.
    pub(crate) fn is_at(&self, commit: &str) -> bool {
        match self {
            Self::Death(point) => point.name == commit,
            Self::Commit(name, _) => name == commit,
            _ => false,
        }
    }

    /// The service has to be a process of its own for it.
    pub(crate) const fn is_of_a_process(&self) -> bool {
        matches!(
            self,
            Self::Death(_) | Self::Stopped(_) | Self::Starved(_) | Self::Squeezed(_) | Self::Starts | Self::Unread
        )
    }
}

/// What is wrong with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CallFault {
    CutBefore,
    CutAfter,
    SilentBefore,
    SilentAfter,
    Slow,
    ThrottledFor,
    Throttled,
    Error,
    Down,
    Unauthorized,
    Forbidden,
    Garbled,
    Oversized,
}

/// The wait that a throttled answer asks for, in seconds.
pub(crate) const ASKED_TO_WAIT_S: u64 = 7;

/// How often in a row a vendor fails that is down.
const IN_A_ROW: usize = 3;

impl CallFault {
    pub(crate) const ALL: [Self; 13] = [
        Self::CutBefore,
        Self::CutAfter,
        Self::SilentBefore,
        Self::SilentAfter,
        Self::Slow,
        Self::ThrottledFor,
        Self::Throttled,
        Self::Error,
        Self::Down,
        Self::Unauthorized,
        Self::Forbidden,
        Self::Garbled,
        Self::Oversized,
    ];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::CutBefore => "connection cut, not done",
            Self::CutAfter => "connection cut, done",
            Self::SilentBefore => "timeout, not done",
            Self::SilentAfter => "timeout, done",
            Self::Slow => "slow answer",
            Self::ThrottledFor => "429 with Retry-After",
            Self::Throttled => "429 without",
            Self::Error => "500, three times",
            Self::Down => "503, three times",
            Self::Unauthorized => "401",
            Self::Forbidden => "403",
            Self::Garbled => "garbled answer, done",
            Self::Oversized => "24 MiB for an answer, done",
        }
    }

    /// How often it happens in a row.
    pub(crate) const fn times(self) -> usize {
        match self {
            Self::Error | Self::Down => IN_A_ROW,
            _ => 1,
        }
    }

    /// The vendor did what it was asked for, and the answer says otherwise or nothing.
    pub(crate) const fn is_done(self) -> bool {
        matches!(self, Self::CutAfter | Self::SilentAfter | Self::Slow | Self::Garbled | Self::Oversized)
    }

    /// Ends when the service has waited long enough in real time: connections with a short timeout are set up for it.
    pub(crate) const fn is_waited_out(self) -> bool {
        matches!(self, Self::SilentBefore | Self::SilentAfter)
    }

    pub(crate) fn act(self, vendor: &str) -> Act {
        let answer = |status: u16, retry_after| {
            let words = "It does not work today.";
            let body = match vendor {
                "entra" => json!({"error": {"code": "faulty", "message": words}}),
                _ => json!({"code": "Faulty", "message": words, "errors": null}),
            };
            Act::Answer { status, retry_after, body }
        };
        match self {
            Self::CutBefore => Act::ResetBefore,
            Self::CutAfter => Act::ResetAfter,
            Self::SilentBefore => Act::Delay(120_000),
            Self::SilentAfter => Act::SilentAfter,
            Self::Slow => Act::Delay(300),
            Self::ThrottledFor => Act::throttled(ASKED_TO_WAIT_S),
            Self::Throttled => Act::Answer { status: 429, retry_after: None, body: Value::Null },
            Self::Error => answer(500, None),
            Self::Down => answer(503, None),
            Self::Unauthorized => answer(401, None),
            Self::Forbidden => answer(403, None),
            Self::Garbled => Act::Garbage,
            Self::Oversized => Act::Huge,
        }
    }
}

/// What is wrong with a commit, as the store says it when its own tries are used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum CommitFault {
    /// A deadlock, a serialization failure, a lock that does not come, a statement's or a pool's time is up.
    Busy,
    /// What was compared had moved.
    Conflict,
    /// The answer of COMMIT is lost, and nothing was written.
    UnheardUndone,
    /// The answer of COMMIT is lost, and all was written.
    UnheardDone,
    /// No room.
    Full,
}

impl CommitFault {
    pub(crate) const ALL: [Self; 5] = [Self::Busy, Self::Conflict, Self::UnheardUndone, Self::UnheardDone, Self::Full];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy: lock, deadlock, serialization, statement timeout",
            Self::Conflict => "conflict: somebody was first",
            Self::UnheardUndone => "outcome unknown, not written",
            Self::UnheardDone => "outcome unknown, written",
            Self::Full => "disk full",
        }
    }

    fn error(self) -> StoreError {
        match self {
            Self::Busy => StoreError::Busy,
            Self::Conflict => StoreError::Conflict,
            Self::UnheardUndone | Self::UnheardDone => StoreError::Unknown,
            Self::Full => StoreError::Full,
        }
    }
}

/// What stands in the way of one commit.
#[derive(Debug)]
pub(crate) struct Obstacle {
    name: String,
    fault: CommitFault,
    met: AtomicUsize,
}

impl Obstacle {
    pub(crate) fn new(name: &str, fault: CommitFault) -> Self {
        Self { name: name.to_owned(), fault, met: AtomicUsize::new(0) }
    }

    pub(crate) fn fired(&self) -> usize {
        self.met.load(Ordering::SeqCst).min(1)
    }

    /// Somebody is about to commit: what they are told instead, and whether it is written all the same.
    pub(crate) fn meets(&self, name: &str) -> Option<(StoreError, bool)> {
        let is_first = name == self.name && self.met.fetch_add(1, Ordering::SeqCst) == 0;
        is_first.then(|| (self.fault.error(), self.fault == CommitFault::UnheardDone))
    }
}

/// What is wrong with what the PSA sends, until somebody asks a second time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum DeliveryFault {
    Twice,
    Lost,
    Late,
    Forged,
    Unsigned,
}

impl DeliveryFault {
    pub(crate) const ALL: [Self; 5] = [Self::Twice, Self::Lost, Self::Late, Self::Forged, Self::Unsigned];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Twice => "each one twice",
            Self::Lost => "lost on the way",
            Self::Late => "each once more after the end of access",
            Self::Forged => "with a forged signature",
            Self::Unsigned => "without a signature",
        }
    }

    /// At the PSA that is asked at.
    pub(crate) fn arm(self, app: &TestApp) {
        if let Some(desk) = app.beside() {
            return match self {
                Self::Twice => desk.goes_wrong(harness::Wrong::Twice),
                Self::Lost => desk.goes_wrong(harness::Wrong::Lost),
                Self::Late => {}
                Self::Forged => desk.goes_wrong(harness::Wrong::ByAnother),
                Self::Unsigned => desk.goes_wrong(harness::Wrong::Unproven),
            };
        }
        app.psa.sim.set_delivery(|rules| match self {
            Self::Twice => rules.duplicate = true,
            Self::Lost => rules.lose = usize::MAX,
            Self::Late => {}
            Self::Forged => rules.signature = Signature::Wrong,
            Self::Unsigned => rules.signature = Signature::Missing,
        });
    }

    /// How often it happened, by the PSA's own log.
    pub(crate) fn fired(self, app: &TestApp) -> usize {
        let (sent, lost) = match app.beside() {
            Some(desk) => (desk.sent(), desk.lost()),
            None => {
                let sent = app.psa.sim.deliveries().into_iter().map(|delivery| (delivery.body, delivery.status));
                (sent.collect(), app.psa.sim.lost())
            }
        };
        match self {
            Self::Lost => lost,
            Self::Forged | Self::Unsigned => sent.iter().filter(|(_, status)| *status == Some(401)).count(),
            Self::Twice | Self::Late => {
                let bodies: BTreeSet<&[u8]> = sent.iter().map(|(body, _)| body.as_slice()).collect();
                sent.len() - bodies.len()
            }
        }
    }
}
