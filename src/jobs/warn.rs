//! A grant's end is near: the ticket and the person are told, once for each end.

use latchkey_contract::GrantId;

use super::{
    JobError, Jobs,
    advance::{alert, tell},
};
use crate::{
    access::{Grant, State, grant::Telling},
    jobs::queue::{LeaseHandle, Ran},
    store::{CommitName, Finish, Happening, Transition},
};

impl Jobs {
    /// The grant remembers of which end it warned, in the transaction that owes the note: a second run owes none, and one
    /// that finds the end moved waits for the new one.
    pub(super) async fn warn(&self, id: &GrantId, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let Some(grant) = self.store.grant(id).await? else { return Ok(Ran::Finish(Finish::Done)) };
        let now = self.clock.now();
        let State::Active { until, .. } = grant.state else { return Ok(Ran::Finish(Finish::Done)) };
        match grant.warn_at() {
            Some(at) if now < at => return Ok(Ran::Finish(Finish::At(at))),
            Some(_) if now < until => {}
            _ => return Ok(Ran::Finish(Finish::Done)),
        }
        let next = Grant { warned_of: Some(until), ..grant };
        let mut transition = Transition::new(CommitName::Warned, now);
        tell(&mut transition, &next, Telling::EndsSoon, self.random.as_ref());
        alert(&mut transition, Happening::EndsSoon { grant: next.id.clone(), until }, self.random.as_ref());
        transition.grants.push(next);
        transition.lease = Some((lease.lease(), Finish::Done));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }
}
