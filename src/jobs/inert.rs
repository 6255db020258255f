//! A policy may name a role or group that died after it was written. Nothing is made for a grant of which only a part could
//! be given: it is refused before the first call, with a sentence that names what is dead, and whatever else lives on the
//! account goes on.

use std::collections::BTreeSet;

use latchkey_contract::{CallError, EntitlementId};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::advance,
    converge::{Scene, act, begun},
};
use crate::{
    access::{Event, Grant, State},
    audit::{By, Code},
    jobs::queue::{LeaseHandle, Ran},
    store::{CommitName, Finish, Transition},
};

impl Jobs {
    /// What the grants for which nothing was sent yet would be given, and the directory does not have. Asks the directory
    /// only where there is such a grant.
    ///
    /// # Errors
    /// When the directory cannot be asked: nothing is given on a guess.
    pub(super) async fn dead(&self, scene: &Scene) -> Result<BTreeSet<EntitlementId>, CallError> {
        let wanted: BTreeSet<&EntitlementId> = new(scene).flat_map(|g| &g.policy.entitlements).collect();
        if wanted.is_empty() {
            return Ok(BTreeSet::new());
        }
        let wanted: Vec<EntitlementId> = wanted.into_iter().cloned().collect();
        Ok(scene.directory.missing(&wanted).await?.into_iter().collect())
    }

    /// Refuses the grants that would be given something dead, and those alone.
    pub(super) async fn refuse_dead(
        &self,
        mut scene: Scene,
        dead: &BTreeSet<EntitlementId>,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Impossible, now);
        for grant in new(&scene) {
            let Some(gone) = grant.policy.entitlements.iter().find(|e| dead.contains(e)) else { continue };
            let why = sentence(gone, grant);
            tracing::error!(grant.id = %grant.id, connection = %grant.directory, policy = %grant.policy.id, %gone,
                "a policy names what the directory does not have; an admin has to change the policy");
            transition.audit.push(act(&scene, Code::AccountImpossible, true, now, json!({ "why": why })));
            let event = Event::GrantingFailed { why, nothing_sent: true };
            advance(&mut transition, grant, &event, &scene.grants, &By::Service, self.random.as_ref());
        }
        transition.lease = Some((lease.lease(), Finish::At(now)));
        self.save(transition, &mut scene.account).await?;
        Ok(Ran::Committed)
    }
}

/// Grants for which no giving step was committed to be sent.
fn new(scene: &Scene) -> impl Iterator<Item = &Grant> {
    let gave_at = scene.account.gave_at;
    let is_new = move |g: &&Grant| {
        matches!(g.state, State::Granting { .. }) && gave_at.is_none_or(|gave| begun(g).is_some_and(|at| gave < at))
    };
    scene.grants.iter().filter(is_new)
}

fn sentence(gone: &EntitlementId, grant: &Grant) -> String {
    format!("the directory has no {gone}, which policy {} gives; an admin has to look at the policy", grant.policy.id)
}
