//! The way out: sign-in is cut first, then power is taken, then every way back in.
//!
//! A step that must wait holds up no other; what is refused for good is told last, when all else is done.

use latchkey_contract::{
    Timestamp,
    directory::{Held, How, Known, Next, Password, Seen, Step},
};

use super::{LINGERING, Turn};

/// The account stays, with nothing and nobody in it.
pub(super) fn disabled(account: &Seen, known: &Known, now: Timestamp) -> Next {
    let mut off = Off::new(account, known, now);
    off.strip().or_else(|| off.scramble()).unwrap_or_else(|| off.turn.end_taking())
}

/// The account goes. Roles go before it, since a restored account gets its relationships back.
pub(super) fn absent(account: &Seen, known: &Known, now: Timestamp) -> Next {
    let mut off = Off::new(account, known, now);
    if let Some(step) = off.strip() {
        return step;
    }
    if account.is_enabled
        && let Some(step) = off.scramble()
    {
        return step;
    }
    if off.has_power {
        return off.turn.end_taking();
    }
    off.turn.offer_anyway(Step::Delete).unwrap_or_else(|| off.turn.end_taking())
}

struct Off<'a> {
    account: &'a Seen,
    known: &'a Known,
    /// Holds something that can be taken: the vendor may then refuse to act on it without a directory role.
    has_power: bool,
    turn: Turn<'a>,
}

impl<'a> Off<'a> {
    fn new(account: &'a Seen, known: &'a Known, now: Timestamp) -> Self {
        let has_power = account.held.iter().any(is_takeable);
        Self { account, known, has_power, turn: Turn::new(known, now) }
    }

    fn strip(&mut self) -> Option<Next> {
        // Refused once and disabled by another hand since: sessions that were cut before that may be followed by new
        // ones, so it is disabled by us as well, after which a cut is owed.
        let is_refused = self.known.no_way.contains_key(Step::Disable.name());
        if (self.account.is_enabled || is_refused)
            && let Some(step) = self.sensitive(Step::Disable)
        {
            return Some(step);
        }
        if self.known.sessions_cut.is_none()
            && let Some(step) = self.sensitive(Step::CutSessions)
        {
            return Some(step);
        }
        let taken = self.account.held.iter().filter(|held| is_takeable(held)).cloned().map(Step::Take);
        let owned = self.account.owned.iter().cloned().map(Step::Disown);
        let methods = self.account.methods.iter().cloned().map(Step::RemoveMethod);
        for step in taken.chain(owned).chain(methods) {
            if let Some(step) = self.turn.offer(step) {
                return Some(step);
            }
        }
        if self.account.held.iter().any(|held| held.how == How::Inherited) {
            self.turn.wait_until(self.turn.now + LINGERING, "a role lingers after its group was left");
        }
        if self.known.is_cut_owed { self.sensitive(Step::CutSessions) } else { None }
    }

    fn scramble(&mut self) -> Option<Next> {
        if self.known.password == Password::Scrambled {
            return None;
        }
        self.sensitive(Step::ScramblePassword)
    }

    /// A step that the vendor may refuse while the account has power: then power is taken first, and the step is
    /// asked for again.
    fn sensitive(&mut self, step: Step) -> Option<Next> {
        let was_refused = self.known.no_way.contains_key(step.name());
        if was_refused && self.has_power { None } else { self.turn.offer_anyway(step) }
    }
}

/// What goes by itself with its group is not taken.
fn is_takeable(held: &Held) -> bool {
    held.how != How::Inherited
}
