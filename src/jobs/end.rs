//! Ending a grant early, by the person who has it.

use latchkey_contract::{GrantId, PersonId};

use super::{JobError, Jobs, advance::advance};
use crate::{
    access::{Cause, Event},
    store::{CommitName, StoreError, Transition},
};

/// What asking for the end came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndAsked {
    /// Removal has begun.
    Begun,
    /// It had begun, or was over, before.
    Already,
    /// There is no such grant of this person.
    NotTheirs,
}

impl Jobs {
    /// Ends a grant now. Only its own person may; to everybody else it does not exist.
    ///
    /// # Errors
    /// [`JobError`] when the store cannot be written; nothing was changed.
    pub async fn end(&self, id: &GrantId, by: &PersonId) -> Result<EndAsked, JobError> {
        loop {
            let Some(grant) = self.store.grant(id).await?.filter(|g| g.person == *by) else {
                return Ok(EndAsked::NotTheirs);
            };
            let others = self.store.open_grants(&grant.account).await?;
            let mut transition = Transition::new(CommitName::EndAsked, self.clock.now());
            transition.is_removal = true;
            let event = Event::End(Cause::EndedByPerson);
            if advance(&mut transition, &grant, &event, &others, Some(by), self.random.as_ref()).is_none() {
                return Ok(EndAsked::Already);
            }
            match self.store.commit(transition).await {
                Err(StoreError::Conflict) => {}
                Err(e) => return Err(e.into()),
                Ok(()) => return Ok(EndAsked::Begun),
            }
        }
    }
}
