//! A grant's time has come.

use latchkey_contract::GrantId;

use super::{JobError, Jobs, advance::advance};
use crate::{
    audit::By,
    jobs::queue::{LeaseHandle, Ran},
    store::{CommitName, Finish, Transition},
};

impl Jobs {
    pub(super) async fn due(&self, id: &GrantId, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let Some(grant) = self.store.grant(id).await? else { return Ok(Ran::Finish(Finish::Done)) };
        let now = self.clock.now();
        let Some(due) = grant.due_at() else { return Ok(Ran::Finish(Finish::Done)) };
        if now < due {
            return Ok(Ran::Finish(Finish::At(due)));
        }
        let others = self.store.open_grants(&grant.account).await?;
        let mut transition = Transition::new(CommitName::Due, now);
        transition.lease = Some((lease.lease(), Finish::Done));
        transition.is_removal = true;
        if advance(&mut transition, &grant, &grant.due_event(now), &others, &By::Service, self.random.as_ref())
            .is_none()
        {
            return Ok(Ran::Finish(Finish::Done));
        }
        self.store.commit(transition).await?;
        metrics::histogram!("grant_end_lateness_seconds").record(now.since(due).as_secs_f64());
        tracing::info!(grant.id = %grant.id, ticket.r#ref = %grant.ticket, "the grant's time is over: removal begins");
        Ok(Ran::Committed)
    }
}
