//! When the clock matters to a grant: its end, the grace of a ticket that has left, the warning, more time.

use latchkey_contract::Timestamp;

use super::{DELIVER_WITHIN, Event, Grant, State};
use crate::access::{extend::Extending, follow::Departure};

/// When the clock next matters; each commit writes it, and one task with it.
///
/// While Ending there is no next time: the account's own task goes on until off is seen.
#[must_use]
pub fn due_at(state: &State) -> Option<Timestamp> {
    match state {
        State::Held { until, .. } => Some(*until),
        State::Granting { latest_end, .. } => Some(*latest_end),
        State::Delivering { since, latest_end, .. } => Some((*since + DELIVER_WITHIN).min(*latest_end)),
        State::Active { until, .. } => Some(*until),
        State::Ending { .. }
        | State::Ended { .. }
        | State::Refused { .. }
        | State::Denied { .. }
        | State::Lapsed { .. } => None,
    }
}

impl Grant {
    /// When the clock next matters for it ([`due_at`]), or its ticket's grace is over.
    #[must_use]
    pub fn due_at(&self) -> Option<Timestamp> {
        let due = due_at(&self.state)?;
        Some(self.grace_end().map_or(due, |(_, ends_at)| due.min(ends_at)))
    }

    /// What its time having come means at this moment.
    #[must_use]
    pub fn due_event(&self, now: Timestamp) -> Event {
        let is_sooner = |ends_at| due_at(&self.state).is_some_and(|due| ends_at < due);
        match self.grace_end() {
            Some((how, since)) if since <= now && is_sooner(since) => Event::Left { how, since },
            _ => Event::Due,
        }
    }

    /// With the end that was on its way. `None` where none was, and where the end that stands has come.
    #[must_use]
    pub fn extended(&self, now: Timestamp) -> Option<Self> {
        let extending = self.extending.as_ref()?;
        let State::Active { secret, since, .. } = &self.state else { return None };
        if self.due_at().is_none_or(|due| due <= now) {
            return None;
        }
        let Extending { until, latest_end } = *extending;
        let state = State::Active { secret: secret.clone(), since: *since, until, latest_end };
        Some(Self { state, extending: None, ..self.clone() })
    }

    /// When its end is to be warned of. `None` where it was, where nobody wants that, where so little time was given that a
    /// warning would come with it, and where the ticket that has left ends it sooner, which it was told.
    #[must_use]
    pub fn warn_at(&self) -> Option<Timestamp> {
        let State::Active { since, until, .. } = &self.state else { return None };
        let before = self.policy.warns().filter(|before| until.since(*since) > *before)?;
        let is_told = self.is_warned() || self.leaving.as_ref().is_some_and(|l| l.ends_at <= *until);
        (!is_told).then(|| *until - before)
    }

    /// The end that it has now is the one that was warned of.
    #[must_use]
    pub fn is_warned(&self) -> bool {
        matches!(self.state, State::Active { until, .. } if self.warned_of == Some(until))
    }

    fn grace_end(&self) -> Option<(Departure, Timestamp)> {
        let leaving = self.leaving.as_ref().filter(|_| matches!(self.state, State::Active { .. }))?;
        Some((leaving.how, leaving.ends_at))
    }
}
