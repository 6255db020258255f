//! Proof of "off". Only two equal observations, seconds apart, make one.

use std::{collections::BTreeSet, time::Duration};

use latchkey_contract::{
    EntitlementId, Timestamp,
    directory::{How, Known, Mode, Observation, Password, Seen, Step, Unread, step_key},
};
use serde::{Deserialize, Serialize};

/// The least time between the two reads: against replicas that lag.
pub const READS_APART: Duration = Duration::from_secs(5);

/// What was seen when access was off. Cannot be made but from observations ([`Proof::of`]); read back from storage as it was.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Proof {
    first_seen: Timestamp,
    confirmed: Timestamp,
    sessions_cut: Option<Timestamp>,
    facts: Vec<String>,
    unchecked: Vec<String>,
}

/// What must be gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Owed {
    /// Everything: no living grant is left on the account.
    Whole(Mode),
    /// These, while other grants go on.
    Part(BTreeSet<EntitlementId>),
}

/// Why it is not off yet.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotOff {
    /// Something is left.
    #[error("{0}")]
    Left(String),
    /// One good read; a second one is needed, not before this time.
    #[error("a second read is needed")]
    ReadAgain(Timestamp),
}

impl Proof {
    /// Judges two reads. `known` adds what no directory tells: that the password is one nobody knows, and when sessions were cut.
    ///
    /// # Errors
    /// [`NotOff`] naming what is left, or when to read again.
    pub fn of(first: Option<&Observation>, second: &Observation, known: &Known, owed: &Owed) -> Result<Self, NotOff> {
        let facts = check(second, known, owed)?;
        let again = NotOff::ReadAgain(second.at + READS_APART);
        let Some(first) = first else { return Err(again) };
        if check(first, known, owed).is_err() || !first.same_as(second) {
            return Err(again);
        }
        if second.at < first.at + READS_APART {
            return Err(NotOff::ReadAgain(first.at + READS_APART));
        }
        Ok(Self {
            first_seen: first.at,
            confirmed: second.at,
            sessions_cut: known.sessions_cut,
            facts,
            unchecked: unchecked(second, known, owed),
        })
    }

    /// When off was first seen: what the overhang is counted to.
    #[must_use]
    pub const fn seen_at(&self) -> Timestamp {
        self.first_seen
    }

    /// When it was seen again.
    #[must_use]
    pub const fn confirmed_at(&self) -> Timestamp {
        self.confirmed
    }

    /// When sessions were cut, if the account was ever there.
    #[must_use]
    pub const fn sessions_cut(&self) -> Option<Timestamp> {
        self.sessions_cut
    }

    /// What was seen, one short sentence each.
    #[must_use]
    pub fn facts(&self) -> &[String] {
        &self.facts
    }

    /// What could not be checked, one short sentence each.
    #[must_use]
    pub fn unchecked(&self) -> &[String] {
        &self.unchecked
    }
}

fn check(seen: &Observation, known: &Known, owed: &Owed) -> Result<Vec<String>, NotOff> {
    let left = |what: &str| Err(NotOff::Left(what.to_owned()));
    // Somebody else's account under our name is not ours to judge: ours is not there.
    let ours = seen.account.as_ref().filter(|a| a.is_marked || known.object.as_ref() == Some(&a.object));
    match (owed, ours) {
        (_, None) => Ok(vec!["the account does not exist".to_owned()]),
        (Owed::Whole(Mode::Burner), Some(_)) => left("the account still exists"),
        (Owed::Whole(Mode::Standard), Some(account)) => whole(account, known),
        (Owed::Part(entitlements), Some(account)) => {
            if let Some(held) = account.held.iter().find(|h| entitlements.contains(&h.entitlement)) {
                return left(&format!("{} is still held", held.entitlement));
            }
            let mut facts: Vec<String> = entitlements.iter().map(|e| format!("{e} no longer held")).collect();
            if entitlements.is_empty() {
                facts.push("everything it gave is held by another living grant".to_owned());
            }
            // Where the directory never lets us cut sessions, that is said in the proof instead of holding it up for ever.
            if known.is_cut_owed && !may_not_cut(known) {
                return left("sessions are not cut");
            }
            if !entitlements.is_empty() && !may_not_cut(known) {
                facts.push("sessions revoked".to_owned());
            }
            facts.push("the account stays enabled for another grant".to_owned());
            Ok(facts)
        }
    }
}

fn unchecked(seen: &Observation, known: &Known, owed: &Owed) -> Vec<String> {
    let mut gaps = seen.unchecked.clone();
    if matches!(owed, Owed::Part(_)) && known.is_cut_owed && may_not_cut(known) {
        gaps.push("sessions: the directory does not let Latchkey cut them while the other grant goes on".to_owned());
    }
    gaps
}

fn may_not_cut(known: &Known) -> bool {
    known.no_way.contains_key(&step_key(&Step::CutSessions))
}

fn whole(account: &Seen, known: &Known) -> Result<Vec<String>, NotOff> {
    let left = |what: String| Err(NotOff::Left(what));
    if account.is_enabled {
        return left("the account is enabled".to_owned());
    }
    if let Some(held) = account.held.first() {
        let how = if held.how == How::Eligible { "eligible" } else { "held" };
        return left(format!("{} is still {how}", held.entitlement));
    }
    if let Some(owned) = account.owned.first() {
        return left(format!("it still owns {} {}", owned.kind, owned.object));
    }
    if let Some(method) = account.methods.first() {
        return left(format!("the sign-in method {} is still there", method.kind));
    }
    if known.password != Password::Scrambled {
        return left("the password is not rotated".to_owned());
    }
    if known.sessions_cut.is_none() {
        return left("sessions are not cut".to_owned());
    }
    let is_read = |what| !account.unread.contains(&what);
    let roles = if is_read(Unread::Eligible) { "no role active or eligible" } else { "no role active" };
    let mut facts = vec!["account disabled", roles, "no group"];
    if is_read(Unread::Owned) {
        facts.push("no ownership");
    }
    if is_read(Unread::Methods) {
        facts.push("no sign-in method");
    }
    facts.extend(["password rotated", "sessions revoked"]);
    Ok(facts.into_iter().map(str::to_owned).collect())
}
