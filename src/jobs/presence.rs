//! Whether somebody who has access has left: asked of the PSA twice a minute while somebody is here, and by nobody
//! otherwise.
//!
//! Somebody has left when *every* member that they are, in every PSA where they are bound, may no longer sign in, each asked
//! in the same run. One old login, or one PSA of two that an admin has cleared, is no leaving: the person is still let in
//! by the other, and would be held for nothing. And one PSA that cannot be asked decides nothing: nobody is held for an
//! outage. Who has left stays held when they are active again, until an admin lifts it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey_contract::{CallError, ConnectionId, MemberId, Timestamp};

use super::{JobError, Jobs, chain, watch::Found};
use crate::{
    jobs::{
        backoff,
        queue::{LeaseHandle, Ran},
    },
    registry::{InForce, NoConnector},
    rulebook::{Hold, HoldCause, HoldOn, Person},
    store::{CommitName, Finish, Transition, TroubleKind},
};

/// Between two questions.
const EVERY: Duration = Duration::from_secs(30);

/// Those of the members asked about who may no longer sign in, by connection.
type Gone = BTreeMap<ConnectionId, BTreeSet<MemberId>>;

impl Jobs {
    pub(super) async fn presence(&self, connection: &ConnectionId, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let world = self.live.current().await;
        let here = self.store.people_here(self.clock.now()).await?;
        let concerned = |person: &&Person| {
            person.members.iter().any(|m| m.connection == *connection && !m.ids.is_empty())
                && here.contains(&person.id)
                && world.rules.hold(&HoldOn::Person(person.id.clone())).is_none()
        };
        let people: Vec<&Person> = world.rules.records.people.iter().filter(concerned).collect();
        if people.is_empty() {
            return self.answered(connection, Finish::Done, lease).await;
        }
        let mut gone = Gone::new();
        match ask(&world, connection, &people).await {
            Ok(inactive) => drop(gone.insert(connection.clone(), inactive)),
            Err(error) => return self.unanswered(connection, error, lease).await,
        }
        let maybe = people.into_iter().filter(|person| is_gone_from(person, connection, &gone)).collect::<Vec<_>>();
        for other in bound_elsewhere(&maybe, connection) {
            match ask(&world, &other, &maybe).await {
                Ok(inactive) => drop(gone.insert(other, inactive)),
                // Whoever is bound there too is not held for an outage; this one goes on asking.
                Err(error) => tracing::warn!(connection = %other, %error, "whether somebody has left is not known"),
            }
        }
        for person in maybe.into_iter().filter(|person| has_left(person, &gone)) {
            self.has_left(person, connection).await?;
        }
        self.answered(connection, Finish::At(self.clock.now() + EVERY), lease).await
    }

    async fn has_left(&self, person: &Person, connection: &ConnectionId) -> Result<(), JobError> {
        self.store.set_hold(&left(person, connection, self.clock.now())).await?;
        tracing::warn!(person = %person.id, %connection, "somebody has left: whatever they have is taken away");
        Ok(())
    }

    async fn answered(&self, connection: &ConnectionId, finish: Finish, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let mut transition = Transition::new(CommitName::Trouble, self.clock.now());
        self.is_well(&mut transition, connection, TroubleKind::Answers).await?;
        if transition.watched.is_empty() {
            return Ok(Ran::Finish(finish));
        }
        transition.lease = Some((lease.lease(), finish));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }

    /// Asked again soon, however often: somebody has access meanwhile. Credentials that are refused, and a connection that
    /// cannot be built, are troubles of their own.
    async fn unanswered(
        &self,
        connection: &ConnectionId,
        error: JobError,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        self.notice(connection, &error).await;
        let is_told_otherwise = matches!(
            error,
            JobError::Call(CallError::Unauthorized { .. }) | JobError::Connection(NoConnector::Broken { .. })
        );
        let now = self.clock.now();
        let wait = error.retry_after().unwrap_or(EVERY).clamp(EVERY, backoff::LONGEST);
        let mut transition = Transition::new(CommitName::Trouble, now);
        transition.lease = Some((lease.lease(), Finish::Retry { at: now + wait, error: chain(&error) }));
        if !is_told_otherwise {
            let kind = TroubleKind::Answers;
            let what = "it does not say whether technicians have left; nobody loses access for that".to_owned();
            let remedy = "See whether the PSA can be reached from here, and what the log says.".to_owned();
            let found = Found { connection, kind, what, remedy, is_loss: false };
            self.in_trouble(&mut transition, found).await?;
        }
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }
}

/// The hold on somebody who has left.
pub(crate) fn left(person: &Person, connection: &ConnectionId, now: Timestamp) -> Hold {
    Hold {
        on: HoldOn::Person(person.id.clone()),
        cause: HoldCause::Left,
        since: now,
        by: format!("the PSA {connection}"),
        reason: "inactive in the PSA, or gone from it".to_owned(),
    }
}

/// Asks about one person now; `Some` of a PSA that says so where they have left. One PSA where they are let in is enough,
/// whatever the others do; an error where that is not known. Who is bound nowhere cannot be asked after.
pub(crate) async fn gone_now(world: &InForce, person: &Person) -> Result<Option<ConnectionId>, JobError> {
    let (mut gone, mut silent) = (Gone::new(), None);
    let bound: BTreeSet<&ConnectionId> =
        person.members.iter().filter(|m| !m.ids.is_empty()).map(|m| &m.connection).collect();
    for connection in &bound {
        match ask(world, connection, &[person]).await {
            Ok(inactive) => drop(gone.insert((*connection).clone(), inactive)),
            Err(error) => {
                silent = Some(error);
                continue;
            }
        }
        if !is_gone_from(person, connection, &gone) {
            return Ok(None);
        }
    }
    match silent {
        Some(error) => Err(error),
        None => Ok(bound.first().map(|connection| (*connection).clone())),
    }
}

async fn ask(world: &InForce, connection: &ConnectionId, people: &[&Person]) -> Result<BTreeSet<MemberId>, JobError> {
    let members = people.iter().flat_map(|p| &p.members).filter(|m| m.connection == *connection);
    let ids: BTreeSet<MemberId> = members.flat_map(|m| m.ids.iter().cloned()).collect();
    let ids: Vec<MemberId> = ids.into_iter().collect();
    let psa = world.registry.ticket_system(connection)?;
    Ok(psa.inactive_members(&ids).await?.into_iter().collect())
}

fn bound_elsewhere(people: &[&Person], connection: &ConnectionId) -> BTreeSet<ConnectionId> {
    let all = people.iter().flat_map(|p| &p.members).filter(|m| !m.ids.is_empty());
    all.map(|m| m.connection.clone()).filter(|other| other != connection).collect()
}

/// Every member that somebody is at this PSA is gone from it; `false` where it was not asked.
fn is_gone_from(person: &Person, connection: &ConnectionId, gone: &Gone) -> bool {
    let mut members = person.members.iter().filter(|m| m.connection == *connection).flat_map(|m| &m.ids);
    gone.get(connection).is_some_and(|gone| members.all(|id| gone.contains(id)))
}

fn has_left(person: &Person, gone: &Gone) -> bool {
    let bound = person.members.iter().filter(|m| !m.ids.is_empty());
    bound.map(|m| &m.connection).all(|connection| is_gone_from(person, connection, gone))
}
