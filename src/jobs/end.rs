//! Ending a grant early, by the person who has it.

use latchkey_contract::{GrantId, PersonId};

use super::{Jobs, advance::advance};
use crate::{
    access::{Cause, Event},
    audit::By,
    http::{EndError, Ending},
    store::{CommitName, StoreError, Transition},
};

#[async_trait::async_trait]
impl Ending for Jobs {
    async fn end(&self, id: &GrantId, by: &PersonId) -> Result<(), EndError> {
        loop {
            let Some(grant) = self.store.grant(id).await?.filter(|g| g.person == *by) else {
                return Err(EndError::NotLiving);
            };
            let others = self.store.open_grants(&grant.account).await?;
            let mut transition = Transition::new(CommitName::EndAsked, self.clock.now());
            transition.is_removal = true;
            let event = Event::End(Cause::EndedByPerson);
            if advance(&mut transition, &grant, &event, &others, &By::Person(by.clone()), self.random.as_ref())
                .is_none()
            {
                return Err(EndError::NotLiving);
            }
            match self.store.commit(transition).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done?),
            }
        }
    }
}
