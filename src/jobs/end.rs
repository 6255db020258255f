//! Ending a grant early: by the person who has it, or by an operator.

use latchkey_contract::{GrantId, PersonId, text::one_line};

use super::{Jobs, advance::advance};
use crate::{
    access::{Cause, Event, Grant, Length},
    audit::By,
    http::{EndError, Ending, ExtendError},
    store::{CommitName, StoreError, Transition},
};

#[async_trait::async_trait]
impl Ending for Jobs {
    async fn end(&self, id: &GrantId, by: &PersonId) -> Result<(), EndError> {
        self.end_if(id, |grant| grant.person == *by, &Cause::EndedByPerson, &By::Person(by.clone())).await
    }

    async fn extend(&self, id: &GrantId, by: &PersonId, length: Length) -> Result<(), ExtendError> {
        self.extend_by_page(id, by, length).await
    }
}

impl Jobs {
    /// Ends a grant because an operator says so; a request that waits is refused.
    ///
    /// # Errors
    /// [`EndError::NotLiving`] when there is nothing left to end.
    pub async fn end_by_operator(&self, id: &GrantId, by: &str, reason: &str) -> Result<(), EndError> {
        let cause = Cause::Revoked { by: one_line(by, 80), reason: one_line(reason, 200) };
        self.end_if(id, |_| true, &cause, &By::operator(by)).await
    }

    async fn end_if(
        &self,
        id: &GrantId,
        may: impl Fn(&Grant) -> bool + Send + Sync,
        cause: &Cause,
        by: &By,
    ) -> Result<(), EndError> {
        loop {
            let Some(grant) = self.store.grant(id).await?.filter(|g| may(g)) else {
                return Err(EndError::NotLiving);
            };
            let others = self.store.open_grants(&grant.account).await?;
            let mut transition = Transition::new(CommitName::EndAsked, self.clock.now());
            transition.is_removal = true;
            let event = Event::End(cause.clone());
            if advance(&mut transition, &grant, &event, &others, by, self.random.as_ref()).is_none() {
                return Err(EndError::NotLiving);
            }
            match self.store.commit(transition).await {
                Err(StoreError::Conflict) => {}
                done => return Ok(done?),
            }
        }
    }
}
