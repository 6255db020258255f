//! The way in: password, clean, enable, and power last. A half-done account is a harmless one.

use std::{collections::BTreeMap, time::Duration};

use latchkey_contract::{
    EntitlementId, SecretId, Timestamp,
    directory::{Held, How, Known, Next, Password, Seen, Step, step_key},
};

use super::{LINGERING, REPLICATION, Turn, look_again};

/// PIM assigns nothing shorter than five minutes, counted by its own clock.
const SHORTEST: Duration = Duration::from_secs(6 * 60);

pub(super) struct Giving<'a> {
    pub(super) password: &'a SecretId,
    pub(super) entitlements: &'a BTreeMap<EntitlementId, Timestamp>,
    pub(super) reason: &'a str,
    pub(super) account: &'a Seen,
    pub(super) has_native_end: bool,
    pub(super) known: &'a Known,
    pub(super) now: Timestamp,
}

impl Giving<'_> {
    pub(super) fn next(&self) -> Next {
        let mut turn = Turn::new(self.known, self.now);
        if self.known.password != Password::Set(self.password.clone()) {
            let step = Step::SetPassword { password: self.password.clone() };
            // A refusal from a time when the account had power says nothing about one that has none.
            let is_bare = self.account.held.is_empty();
            let step = if is_bare { turn.offer_anyway(step) } else { turn.offer(step) };
            return step.unwrap_or_else(|| turn.end_giving());
        }
        if let Some(step) = self.clean(&mut turn) {
            return step;
        }
        if !self.account.is_enabled {
            let enable = if turn.is_blocked() { None } else { turn.offer(Step::Enable) };
            return enable.unwrap_or_else(|| turn.end_giving());
        }
        for (entitlement, end) in self.entitlements {
            if let Some(step) = self.give(&mut turn, entitlement, *end) {
                return step;
            }
        }
        turn.end_giving()
    }

    /// Takes what no living grant wants. Methods and ownerships count only before somebody is let in: during a grant
    /// the person may well register a second factor.
    fn clean(&self, turn: &mut Turn<'_>) -> Option<Next> {
        for held in &self.account.held {
            if held.how == How::Inherited {
                if !self.comes_with_a_wanted_group(held) {
                    turn.wait_until(self.now + LINGERING, "a role lingers after its group was left");
                }
            } else if !self.wants(held)
                && let Some(step) = turn.offer(Step::Take(held.clone()))
            {
                return Some(step);
            }
        }
        if !self.account.is_enabled {
            let owned = self.account.owned.iter().cloned().map(Step::Disown);
            let methods = self.account.methods.iter().cloned().map(Step::RemoveMethod);
            for step in owned.chain(methods) {
                if let Some(step) = turn.offer(step) {
                    return Some(step);
                }
            }
        }
        // Tokens issued before a taking still carry what was taken. Where the vendor does not let us cut an
        // administrator's sessions, they end by themselves.
        let may_cut = !self.known.no_way.contains_key(Step::CutSessions.name());
        if self.known.is_cut_owed && may_cut { turn.offer(Step::CutSessions) } else { None }
    }

    fn give(&self, turn: &mut Turn<'_>, entitlement: &EntitlementId, end: Timestamp) -> Option<Next> {
        let give = |is_time_bound| Step::Give {
            entitlement: entitlement.clone(),
            native_end: end.max(self.now + SHORTEST),
            is_time_bound,
            reason: self.reason.to_owned(),
        };
        let is_role = matches!(entitlement, EntitlementId::Role(_));
        let bound = is_role && self.has_native_end && !self.known.no_way.contains_key(&step_key(&give(true)));

        let active = self.account.held.iter().find(|held| held.entitlement == *entitlement && is_active(held));
        let is_enough = |has: Timestamp| !bound || has.seconds() >= end.seconds();
        let is_held = active.is_some_and(|held| match held.how {
            How::TimeBound { end: Some(has) } => is_enough(has),
            _ => true,
        });
        if is_held {
            return None;
        }
        let given = self.known.given.get(entitlement).filter(|g| g.is_confirmed && g.native_end.is_none_or(is_enough));
        match given.filter(|given| self.now < given.at + REPLICATION) {
            Some(given) => {
                turn.wait_until(look_again(given.at, self.now), "what was given is not seen yet");
                None
            }
            None => turn.offer(give(bound)),
        }
    }

    fn wants(&self, held: &Held) -> bool {
        is_active(held) && self.entitlements.contains_key(&held.entitlement)
    }

    /// Comes through a group that a grant gave; where the vendor does not name the group, any wanted one will do.
    fn comes_with_a_wanted_group(&self, inherited: &Held) -> bool {
        self.entitlements.keys().any(|id| match id {
            EntitlementId::Group(group) => inherited.holding.as_deref().is_none_or(|named| named == group.as_str()),
            EntitlementId::Role(_) => false,
        })
    }
}

/// Held by the account itself, in force, for the whole directory: what a grant gives.
fn is_active(held: &Held) -> bool {
    held.scope == "/" && matches!(held.how, How::Plain | How::TimeBound { .. })
}
