//! What we know about an account from our own acts, beside what can be observed.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Outcome, Step};
use crate::{EntitlementId, ObjectId, SecretId, Timestamp};

/// Which password the account has, as far as our acts tell. No directory reads a password back.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Password {
    /// None of ours, or a call that set one ended in an unknown way: it must be set again.
    #[default]
    Unknown,
    /// This sealed one.
    Set(SecretId),
    /// One that nobody knows.
    Scrambled,
}

/// Stored with the account: intents before a call, outcomes after it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Known {
    /// A create call was sent, at this time. The account may exist.
    pub create_sent: Option<Timestamp>,
    /// The directory's id.
    pub object: Option<ObjectId>,
    /// The password.
    pub password: Password,
    /// Sessions were cut by us at this time, and no step has let anybody in since.
    pub sessions_cut: Option<Timestamp>,
    /// Something was taken, or sign-in stopped, and the sessions from before are not cut yet.
    #[serde(default)]
    pub is_cut_owed: bool,
    /// Entitlements given by us: when, and whether the directory ends them itself.
    pub given: BTreeMap<EntitlementId, Given>,
    /// A step that the vendor will not do before a time, by [`Step::name`] and entitlement.
    pub not_before: BTreeMap<String, Timestamp>,
    /// A way the vendor refused for good, by the same key, with its code.
    pub no_way: BTreeMap<String, String>,
}

/// One entitlement given by us.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Given {
    /// When the call was sent.
    pub at: Timestamp,
    /// The native end asked for; `None` when given plainly.
    pub native_end: Option<Timestamp>,
    /// The call's success was seen.
    pub is_confirmed: bool,
}

impl Known {
    /// The knowledge to commit *before* a step is sent: it may or may not take effect.
    #[must_use]
    pub fn intending(mut self, step: &Step, now: Timestamp) -> Self {
        match step {
            Step::Create { .. } => self.create_sent = Some(now),
            Step::SetPassword { .. } | Step::ScramblePassword => self.password = Password::Unknown,
            Step::Give { entitlement, native_end, is_time_bound, .. } => {
                let native_end = is_time_bound.then_some(*native_end);
                self.given.insert(entitlement.clone(), Given { at: now, native_end, is_confirmed: false });
            }
            Step::Take(_) | Step::Disable => self.is_cut_owed = true,
            _ => {}
        }
        if step.is_giving() {
            self.sessions_cut = None;
        }
        self
    }

    /// The knowledge to commit once the step's outcome is known.
    #[must_use]
    pub fn after(mut self, step: &Step, outcome: &Outcome, now: Timestamp) -> Self {
        let key = step_key(step);
        match outcome {
            Outcome::NotBefore(at) => {
                self.not_before.insert(key, *at);
            }
            Outcome::NoWay { code } => {
                self.no_way.insert(key, code.clone());
            }
            Outcome::Done { object } => {
                self.not_before.remove(&key);
                self.no_way.remove(&key);
                if let Some(object) = object {
                    self.object = Some(object.clone());
                }
                self.done(step, now);
            }
        }
        self
    }

    /// What is owed anew when access begins to be taken: refusals from another time are forgotten, and sessions that
    /// were cut while somebody could still sign in count no longer.
    #[must_use]
    pub fn turning(mut self) -> Self {
        self.sessions_cut = None;
        self.not_before.clear();
        self.no_way.clear();
        self
    }

    fn done(&mut self, step: &Step, now: Timestamp) {
        match step {
            Step::Create { password } | Step::SetPassword { password } => {
                self.password = Password::Set(password.clone());
            }
            Step::ScramblePassword => self.password = Password::Scrambled,
            Step::CutSessions => {
                self.sessions_cut = Some(now);
                self.is_cut_owed = false;
            }
            Step::Give { entitlement, .. } => {
                if let Some(given) = self.given.get_mut(entitlement) {
                    given.is_confirmed = true;
                }
            }
            Step::Take(held) => {
                self.given.remove(&held.entitlement);
            }
            Step::Delete | Step::Purge { .. } => self.given.clear(),
            Step::Enable | Step::Disable | Step::Disown(_) | Step::RemoveMethod(_) => {}
        }
    }
}

/// Tells steps apart in [`Known::not_before`] and [`Known::no_way`].
#[must_use]
pub fn step_key(step: &Step) -> String {
    match step {
        Step::Give { entitlement, is_time_bound, .. } => format!("give {entitlement} {is_time_bound}"),
        Step::Take(held) => format!("take {} {}", held.entitlement, held.scope),
        Step::Disown(owned) => format!("disown {}", owned.object),
        Step::RemoveMethod(method) => format!("remove-method {}", method.id),
        other => other.name().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(id: &str) -> SecretId {
        SecretId::parse(id).unwrap()
    }

    #[test]
    fn a_password_call_of_unknown_outcome_leaves_the_password_unknown() {
        let step = Step::SetPassword { password: secret("s1") };
        let now = Timestamp::from_millis(5);
        let before = Known { password: Password::Set(secret("s0")), ..Known::default() };
        let intended = before.intending(&step, now);
        assert_eq!(intended.password, Password::Unknown);
        let done = intended.after(&step, &Outcome::Done { object: None }, now);
        assert_eq!(done.password, Password::Set(secret("s1")));
    }

    #[test]
    fn a_cut_is_owed_after_each_taking_until_it_is_made() {
        let now = Timestamp::from_millis(5);
        let owing = Known::default().intending(&Step::Disable, now);
        assert!(owing.is_cut_owed);
        assert!(!owing.after(&Step::CutSessions, &Outcome::Done { object: None }, now).is_cut_owed);
    }

    #[test]
    fn sessions_cut_before_a_giving_step_do_not_count_after_it() {
        let now = Timestamp::from_millis(5);
        let cut = Known::default().after(&Step::CutSessions, &Outcome::Done { object: None }, now);
        assert_eq!(cut.sessions_cut, Some(now));
        assert_eq!(cut.intending(&Step::Enable, now).sessions_cut, None);
    }
}
