//! The one next step, from target, observation and our own memory. Pure: no IO, no clock but `now`.
//!
//! Here: whose account it is, protection, and accounts that are not there. `giving` and `off` hold the two orders.

mod giving;
mod off;
#[cfg(test)]
mod tests;

use std::time::Duration;

use latchkey_contract::{
    Timestamp,
    directory::{Known, Next, Observation, Seen, Step, Target, step_key},
};

/// How long after a call its effect may be unseen: the vendor promises nothing, two minutes are the longest known.
const REPLICATION: Duration = Duration::from_secs(120);

/// How soon to look again for a role that leaves with its group.
const LINGERING: Duration = Duration::from_secs(10);

pub(crate) fn next(target: &Target, seen: &Observation, known: &Known, now: Timestamp) -> Next {
    let ours = seen.account.as_ref().filter(|account| is_ours(account, known));
    if let Some(why) = ours.and_then(|account| account.protection.as_ref()) {
        return Next::Impossible { why: why.clone() };
    }
    match (target, ours) {
        (Target::Enabled { password, entitlements, reason }, Some(account)) => {
            let has_native_end = seen.has_native_end;
            giving::Giving { password, entitlements, reason, account, has_native_end, known, now }.next()
        }
        (Target::Enabled { password, .. }, None) => match &seen.account {
            Some(other) => Next::Impossible { why: format!("The name {} is taken by another account.", other.name) },
            None => make(Step::Create { password: password.clone() }, known, now),
        },
        (Target::Disabled, Some(account)) => off::disabled(account, known, now),
        (Target::Absent, Some(account)) => off::absent(account, known, now),
        (Target::Disabled | Target::Absent, None) => gone(target, seen, known, now),
    }
}

/// Ours is what carries our mark, or has the id that a call of ours returned. Nothing else is ever changed.
fn is_ours(account: &Seen, known: &Known) -> bool {
    account.is_marked || known.object.as_ref() == Some(&account.object)
}

/// An account that should be there and is not.
fn make(create: Step, known: &Known, now: Timestamp) -> Next {
    let is_fresh = known.create_sent.filter(|sent| now < *sent + REPLICATION);
    match (is_fresh, &known.object) {
        (Some(sent), _) => Next::Wait { until: look_again(sent, now), why: "the new account is not seen yet" },
        (None, Some(_)) => Next::Impossible { why: "The account has vanished from the directory.".to_owned() },
        (None, None) => {
            let mut turn = Turn::new(known, now);
            turn.offer(create).unwrap_or_else(|| turn.end_giving())
        }
    }
}

/// An account that should be off and is not there. One whose create call was just sent may still appear.
fn gone(target: &Target, seen: &Observation, known: &Known, now: Timestamp) -> Next {
    if let (Target::Absent, Some(object)) = (target, &seen.recycled) {
        let mut turn = Turn::new(known, now);
        let purge = turn.offer(Step::Purge { object: object.clone() });
        // A refused purge is no failure: the observation says that the vendor purges by itself.
        return purge.unwrap_or_else(|| turn.wait().unwrap_or(Next::Reached));
    }
    match known.create_sent.filter(|sent| seen.account.is_none() && now < *sent + REPLICATION) {
        Some(sent) => Next::Wait { until: look_again(sent, now), why: "a create call may still take effect" },
        None => Next::Reached,
    }
}

/// When to look for an effect again: soon at first, then more and more rarely, last when replication must be over.
fn look_again(sent: Timestamp, now: Timestamp) -> Timestamp {
    let pause = match now.since(sent).as_secs() {
        0..10 => 2,
        10..30 => 5,
        _ => 10,
    };
    (now + Duration::from_secs(pause)).min((sent + REPLICATION).max(now + Duration::from_secs(1)))
}

/// Picks among steps: skips those whose time has not come or that were refused for good, and remembers why.
struct Turn<'a> {
    known: &'a Known,
    now: Timestamp,
    until: Option<(Timestamp, &'static str)>,
    refused: Option<String>,
}

impl<'a> Turn<'a> {
    const fn new(known: &'a Known, now: Timestamp) -> Self {
        Self { known, now, until: None, refused: None }
    }

    /// The step, unless it must wait or was refused for good.
    fn offer(&mut self, step: Step) -> Option<Next> {
        match self.known.no_way.get(&step_key(&step)) {
            Some(code) => {
                self.refused
                    .get_or_insert_with(|| format!("Entra refuses the step {:?} for good: {code}.", step.name()));
                None
            }
            None => self.offer_anyway(step),
        }
    }

    /// The step, unless it must wait; an earlier refusal does not count.
    fn offer_anyway(&mut self, step: Step) -> Option<Next> {
        match self.known.not_before.get(&step_key(&step)) {
            Some(at) if self.now < *at => {
                self.wait_until(*at, reason(&step));
                None
            }
            _ => Some(Next::Step(step)),
        }
    }

    fn wait_until(&mut self, at: Timestamp, why: &'static str) {
        if self.until.is_none_or(|(until, _)| at < until) {
            self.until = Some((at, why));
        }
    }

    const fn is_blocked(&self) -> bool {
        self.until.is_some() || self.refused.is_some()
    }

    fn wait(&self) -> Option<Next> {
        self.until.map(|(until, why)| Next::Wait { until, why })
    }

    /// Giving ends at the first refusal.
    fn end_giving(self) -> Next {
        match &self.refused {
            Some(why) => Next::Impossible { why: why.clone() },
            None => self.wait().unwrap_or(Next::Reached),
        }
    }

    /// Taking does all it can first.
    fn end_taking(self) -> Next {
        match (self.wait(), self.refused) {
            (Some(wait), _) => wait,
            (None, Some(why)) => Next::Impossible { why },
            (None, None) => Next::Reached,
        }
    }
}

/// Why the vendor may want a step later.
const fn reason(step: &Step) -> &'static str {
    match step {
        Step::Give { .. } => "role management is busy with an earlier request",
        Step::Take(_) => "a role cannot be taken in its first five minutes, or its removal was refused",
        Step::Disown(_) => "an ownership was refused to be taken: a group's only owner needs a successor",
        Step::RemoveMethod(_) => "a sign-in method was refused to be removed",
        _ => "the directory does not do this step before that time",
    }
}
