//! What the service sees of its connections by itself: up to where a PSA was asked, and what is wrong with whom.

use latchkey_contract::{ConnectionId, Timestamp};
use serde::{Deserialize, Serialize};

/// Up to where a PSA was asked for saved tickets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cursor {
    /// Which PSA.
    pub connection: ConnectionId,
    /// The next question begins here.
    pub from: Timestamp,
    /// The newest save that was seen, by the PSA's clock.
    pub newest: Timestamp,
    /// When its webhooks were last compared with what the mappings want, or are to be.
    pub compared_at: Timestamp,
    /// When tickets with access were last looked at, whoever saved them or not.
    #[serde(default = "never")]
    pub looked_at: Timestamp,
}

const fn never() -> Timestamp {
    Timestamp::from_millis(0)
}

/// What may be wrong with a connection. Each begins and ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TroubleKind {
    /// The PSA's webhooks are missing, switched off, or lose deliveries.
    Webhooks,
    /// Its credentials or rights were refused.
    Rights,
    /// It cannot be built from its record and secrets.
    Setup,
    /// The PSA does not say whether somebody has left.
    Answers,
}

impl TroubleKind {
    /// As stored.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Webhooks => "webhooks",
            Self::Rights => "rights",
            Self::Setup => "setup",
            Self::Answers => "answers",
        }
    }
}

/// One trouble of a connection, for as long as it lasts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// Whose.
    pub connection: ConnectionId,
    /// Of what.
    pub kind: TroubleKind,
    /// Since when.
    pub since: Timestamp,
    /// The newest request that no webhook told of, where that is the trouble or part of it.
    pub lost_at: Option<Timestamp>,
    /// What is wrong: our words, with a vendor's code at most.
    pub what: String,
    /// What to do, as a sentence.
    pub remedy: String,
    /// People were told. What passes within minutes is told to nobody.
    pub is_told: bool,
}

/// What one transaction writes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Watched {
    /// A PSA was asked up to here.
    Asked(Cursor),
    /// A PSA is asked no more.
    NotAsked(ConnectionId),
    /// Trouble began. Where somebody else told of it meanwhile: [`super::StoreError::Conflict`].
    Began(Trouble),
    /// It goes on. Where it has ended meanwhile: a conflict.
    GoesOn(Trouble),
    /// It has ended. Where somebody else told of that meanwhile: a conflict.
    Ended(Trouble),
}

/// How many of `count` come before those whose turn it is, where `at_once` of them have it.
#[must_use]
pub fn turn_begins(count: i64, turn: i64, at_once: u32) -> i64 {
    let at_once = i64::from(at_once).max(1);
    let turns = (count.max(0) / at_once + i64::from(count.max(0) % at_once > 0)).max(1);
    turn.rem_euclid(turns) * at_once
}
