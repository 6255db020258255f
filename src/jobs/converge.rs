//! Brings an account nearer to its target: observe, name the one next step, commit the intent, take it, commit the
//! outcome (`steps`), look again. Create, enable, extend, overlap, expire, retry, crash recovery
//! and drift repair are this same loop with another target.

use std::{sync::Arc, time::Duration};

use latchkey_contract::{
    AccountId, Directory, EntitlementId, GrantId, Timestamp,
    directory::{Known, Next, Observation, Step, Target, step_key},
    outside::Urgency,
};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::{advance, alert, tell},
};
use crate::{
    access::{
        Account, Cause, Event, Grant, Holds, Proof, State,
        account::{lasts, looks_after, owed, target},
        grant::Telling,
        proof::NotOff,
    },
    audit::{AuditEntry, By, Code},
    jobs::{
        queue::{LeaseHandle, Ran},
        task::Task,
    },
    registry::InForce,
    store::{CommitName, Finish, Happening, Transition},
};

/// Why an extension comes to nothing where the directory is as it can be, and takes access sooner.
const KEEPS_ITS_END: &str = "the directory ends this access by its own clock, and does not let that be later";

/// One account as this run found it.
pub(super) struct Scene {
    pub(super) revision: i64,
    pub(super) holds: Holds,
    pub(super) directory: Arc<dyn Directory>,
    pub(super) account: Account,
    pub(super) grants: Vec<Grant>,
    pub(super) target: Target,
    /// A step of this run was done.
    pub(super) has_moved: bool,
}

impl Jobs {
    pub(super) async fn converge(&self, id: &AccountId, task: &Task, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let Some(account) = self.store.account(id).await? else { return Ok(Ran::Finish(Finish::Done)) };
        let grants = self.store.open_grants(id).await?;
        let world = self.live.current().await;
        if let Some(ran) = self.held(&world, &grants, lease).await? {
            return Ok(ran);
        }
        let directory = world.registry.directory(&account.directory)?;
        let holds = Holds::of(&world.rules);
        let target = target(&account, &grants, &holds, self.clock.now());
        let is_ending = grants.iter().any(|g| matches!(g.state, State::Ending { .. }));
        let urgency = if target.gives() && !is_ending { Urgency::Ordinary } else { Urgency::Removal };
        let looked_at = self.clock.now();
        let account = account.under(&target);
        let revision = world.rules.revision;
        let mut scene = Scene { revision, holds, directory, account, grants, target, has_moved: false };
        let seen = match scene.directory.observe(&scene.account.reference(), urgency).await {
            // The heart lives by our clock: a connector's may be the machine's own, when that is in doubt.
            Ok(seen) => Observation { at: looked_at, ..seen },
            Err(error) => {
                return match blind_cut(&scene, looked_at) {
                    Some(step) => self.take(scene, step, None, task, lease).await,
                    None => self.trouble(scene, None, error, task, lease).await,
                };
            }
        };
        let now = self.clock.now();
        if scene.target.gives() && !is_ending && seen.account.is_none() && nothing_sent(&scene) {
            // Deleted since its last period of access: what is known is about an account that is no more.
            scene.account.known = Known::default();
        }
        match scene.directory.next(&scene.target, &seen, &scene.account.known, now) {
            Next::Step(step) if step.is_giving() => match self.dead(&scene).await {
                Ok(dead) if dead.is_empty() => self.take(scene, step, None, task, lease).await,
                Ok(dead) => self.refuse_dead(scene, &dead, lease).await,
                Err(error) => self.trouble(scene, None, error, task, lease).await,
            },
            Next::Step(step) => self.take(scene, step, Some(seen), task, lease).await,
            Next::Wait { until, why } => self.wait(scene, until, why, lease).await,
            Next::Reached => self.reached(scene, seen, lease).await,
            Next::Impossible { why } => self.impossible(scene, why, None, None, lease).await,
        }
    }

    /// Nothing can be done yet. A removal that waits for longer than any vendor makes us wait is said aloud.
    async fn wait(
        &self,
        mut scene: Scene,
        until: Timestamp,
        why: &'static str,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let now = self.clock.now();
        tracing::debug!(account = %scene.account.id, why, "waiting for the directory");
        if !self.is_long_overdue(&scene, now) {
            return Ok(Ran::Finish(Finish::At(until)));
        }
        let mut transition = Transition::new(CommitName::Looked, now);
        transition.is_removal = true;
        transition.lease = Some((lease.lease(), Finish::At(until)));
        self.grow_louder(&mut transition, &mut scene, why);
        self.save(transition, &mut scene.account).await?;
        Ok(Ran::Committed)
    }

    /// A hold ends what it names before anything else is done.
    async fn held(&self, world: &InForce, grants: &[Grant], lease: &LeaseHandle) -> Result<Option<Ran>, JobError> {
        let now = self.clock.now();
        let holds = Holds::of(&world.rules);
        let mut transition = Transition::new(CommitName::EndAsked, now);
        for grant in grants.iter().filter(|g| g.state.is_wanted()) {
            if let Some(why) = holds.stops(&grant.customer, &grant.person) {
                let event = Event::End(Cause::Held { why });
                advance(&mut transition, grant, &event, grants, &By::Service, self.random.as_ref());
            }
        }
        if transition.grants.is_empty() {
            return Ok(None);
        }
        transition.lease = Some((lease.lease(), Finish::At(now)));
        self.store.commit(transition).await?;
        Ok(Some(Ran::Committed))
    }

    async fn reached(&self, mut scene: Scene, seen: Observation, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Reached, now);
        if scene.target.gives() {
            for grant in scene.grants.iter().filter(|g| matches!(g.state, State::Granting { .. })) {
                if let Some(what) = came_up(&scene, grant) {
                    alert(&mut transition, what, self.random.as_ref());
                }
                advance(&mut transition, grant, &Event::Reached, &scene.grants, &By::Service, self.random.as_ref());
            }
            for grant in scene.grants.iter().filter(|g| g.extending.is_some()) {
                if lasts(grant, &seen) {
                    self.extended(&mut transition, grant);
                } else {
                    // That it would not be given for so long says nothing about a shorter time.
                    scene.account.known.no_way.retain(|key, _| !key.starts_with("give "));
                    self.not_extended(&mut transition, grant, KEEPS_ITS_END);
                }
            }
        }
        let again = self.prove(&mut transition, &mut scene, &seen).await?;
        scene.account.overdue = None;
        if again.is_none() {
            scene.account.looks.retain(|at| *at > now);
        }
        let finish = match again.or_else(|| scene.account.next_look(now)) {
            Some(at) => Finish::At(at),
            None => Finish::Done,
        };
        transition.lease = Some((lease.lease(), finish));
        self.save(transition, &mut scene.account).await?;
        Ok(Ran::Committed)
    }

    /// Ends the grants whose removal this look proves; answers when to look again if a second look is needed.
    async fn prove(
        &self,
        transition: &mut Transition,
        scene: &mut Scene,
        seen: &Observation,
    ) -> Result<Option<Timestamp>, JobError> {
        let now = transition.now;
        let mut again = None;
        let first = scene.account.first_off.take();
        let ending: Vec<Grant> =
            scene.grants.iter().filter(|g| matches!(g.state, State::Ending { .. })).cloned().collect();
        for grant in &ending {
            let owed = owed(&scene.account, grant, &scene.grants, &scene.holds, now);
            match Proof::of(first.as_ref(), seen, &scene.account.known, &owed) {
                Ok(proof) => self.ended(transition, scene, grant, proof),
                Err(NotOff::ReadAgain(at)) => again = Some(again.unwrap_or(at).min(at)),
                Err(NotOff::Left(what)) => {
                    tracing::warn!(grant.id = %grant.id, what, "removal is not complete");
                    if self.is_long_overdue(scene, now) {
                        self.grow_louder(transition, scene, &what);
                    }
                    again = Some(again.unwrap_or(now + Duration::from_secs(5)));
                }
            }
        }
        let is_cut_again = scene.grants.is_empty() && scene.account.is_surprised;
        if is_cut_again {
            let owed = crate::access::proof::Owed::Whole(scene.account.mode);
            match Proof::of(first.as_ref(), seen, &scene.account.known, &owed) {
                Ok(proof) => self.off_again(transition, scene, &proof).await?,
                Err(NotOff::ReadAgain(at)) => again = Some(at),
                Err(NotOff::Left(_)) => again = Some(now + Duration::from_secs(5)),
            }
        }
        if again.is_some() {
            scene.account.first_off = Some(match first {
                Some(first) if first.same_as(seen) => first,
                _ => seen.clone(),
            });
            if transition.grants.is_empty() {
                transition.name = CommitName::OffSeen;
            }
            transition.is_removal = true;
        }
        Ok(again)
    }

    fn ended(&self, transition: &mut Transition, scene: &mut Scene, grant: &Grant, proof: Proof) {
        let now = transition.now;
        let State::Ending { since, .. } = &grant.state else { return };
        let overhang = proof.seen_at().since(*since);
        let event = Event::Off(proof);
        if advance(transition, grant, &event, &scene.grants, &By::Service, self.random.as_ref()).is_none() {
            return;
        }
        transition.name = CommitName::OffProven;
        metrics::histogram!("grant_overhang_seconds").record(overhang.as_secs_f64());
        tracing::info!(grant.id = %grant.id, ticket.r#ref = %grant.ticket, overhang_ms = overhang.as_millis(), "ended, proven off");
        scene.account.looks = looks_after(now);
        if !scene.target.gives() {
            scene.account.off_since = Some(now);
            // Grants that end together each saw the other one still using it.
            transition.destroy.extend(scene.account.secret.take());
        }
    }

    async fn off_again(&self, transition: &mut Transition, scene: &mut Scene, proof: &Proof) -> Result<(), JobError> {
        let now = transition.now;
        transition.name = CommitName::OffProven;
        transition.is_removal = true;
        transition.audit.push(act(scene, Code::AccountOffAgain, false, now, json!({ "proof": proof })));
        scene.account.off_since = Some(now);
        scene.account.is_surprised = false;
        scene.account.looks = looks_after(now);
        if let Some(grant) = self.last_grant(&scene.account).await? {
            tell(transition, &grant, Telling::CutAgain, self.random.as_ref());
        }
        Ok(())
    }

    async fn last_grant(&self, account: &Account) -> Result<Option<Grant>, JobError> {
        match &account.last {
            Some((id, _)) => Ok(self.store.grant(id).await?),
            None => Ok(None),
        }
    }

    /// The account must not or cannot be what it should: giving ends, removal goes on and grows louder.
    /// `outcome` is that of the step which showed it, if one was sent; `of` what that step was to give, so that grants
    /// which do not want it go on.
    pub(super) async fn impossible(
        &self,
        mut scene: Scene,
        why: String,
        outcome: Option<AuditEntry>,
        of: Option<&EntitlementId>,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Impossible, now);
        transition.audit.extend(outcome);
        let gives = scene.target.gives();
        transition.audit.push(act(&scene, Code::AccountImpossible, gives, now, json!({ "why": why })));
        let nothing_sent = nothing_sent(&scene);
        let is_hit = |g: &&Grant| g.state.is_living() && of.is_none_or(|of| g.policy.entitlements.contains(of));
        let extending: Vec<&Grant> = scene.grants.iter().filter(is_hit).filter(|g| g.extending.is_some()).collect();
        if !extending.is_empty() {
            // What stood before may still be had: that is seen without what was to be added.
            extending.into_iter().for_each(|grant| self.not_extended(&mut transition, grant, &why));
            transition.lease = Some((lease.lease(), Finish::At(now)));
            self.save(transition, &mut scene.account).await?;
            return Ok(Ran::Committed);
        }
        for grant in scene.grants.iter().filter(is_hit) {
            let event = match grant.state {
                State::Granting { .. } => Event::GrantingFailed { why: why.clone(), nothing_sent },
                _ => Event::End(Cause::GrantingFailed { why: why.clone() }),
            };
            advance(&mut transition, grant, &event, &scene.grants, &By::Service, self.random.as_ref());
        }
        let finish = if scene.target.gives() {
            Finish::At(now)
        } else {
            tracing::error!(account = %scene.account.id, connection = %scene.account.directory, why,
                "access cannot be taken away; a person has to act");
            self.grow_louder(&mut transition, &mut scene, &why);
            transition.is_removal = true;
            Finish::At(now + Duration::from_secs(300))
        };
        transition.lease = Some((lease.lease(), finish));
        self.save(transition, &mut scene.account).await?;
        Ok(Ran::Committed)
    }

    /// Commits with the account in it, and keeps its version true for the next commit of this run.
    pub(super) async fn save(&self, mut transition: Transition, account: &mut Account) -> Result<(), JobError> {
        transition.accounts.push(account.clone());
        self.store.commit(transition).await?;
        account.version += 1;
        Ok(())
    }
}

/// The fastest cut, taken without looking, where an account of ours is owed removal and the directory cannot be read whole:
/// a part of it that is down must not keep sign-in open.
fn blind_cut(scene: &Scene, now: Timestamp) -> Option<Step> {
    let known = &scene.account.known;
    if scene.target.gives() || known.object.is_none() || known.sessions_cut.is_some() {
        return None;
    }
    let step = if known.is_cut_owed { Step::CutSessions } else { Step::Disable };
    let key = step_key(&step);
    let is_put_off = known.not_before.get(&key).is_some_and(|at| *at > now) || known.no_way.contains_key(&key);
    (!is_put_off).then_some(step)
}

/// The account was made or enabled for this grant; nothing of the sort where another access stood on it already.
fn came_up(scene: &Scene, grant: &Grant) -> Option<Happening> {
    let stood = |g: &Grant| matches!(g.state, State::Delivering { .. } | State::Active { .. });
    if scene.grants.iter().any(stood) {
        return None;
    }
    let (id, latest_end) = (grant.id.clone(), grant.state.end()?);
    let is_made = scene.account.known.create_sent.is_some_and(|at| begun(grant).is_some_and(|since| at >= since));
    Some(if is_made {
        Happening::Created { grant: id, latest_end }
    } else {
        Happening::Enabled { grant: id, latest_end }
    })
}

/// No giving step was committed to be sent since the oldest living grant began.
fn nothing_sent(scene: &Scene) -> bool {
    let asked: Option<Timestamp> = scene.grants.iter().filter_map(begun).min();
    match (scene.account.gave_at, asked) {
        (None, _) => true,
        (Some(gave), Some(asked)) => gave < asked,
        (Some(_), None) => false,
    }
}

/// When a living grant was begun: what lies before it cannot have been sent for it.
pub(super) fn begun(grant: &Grant) -> Option<Timestamp> {
    match &grant.state {
        State::Granting { latest_end, .. } => {
            Some(*latest_end - grant.length.duration() - crate::access::grant::GIVING_MARGIN)
        }
        State::Delivering { .. } | State::Active { .. } => Some(grant.asked_at),
        _ => None,
    }
}

/// An audit entry about an act on the account: under the grant that is the reason for it. What is given is given for the
/// newest grant that lives, what is taken is taken for the oldest that ends, and after them all for the last there was.
pub(super) fn act(
    scene: &Scene,
    code: Code,
    is_giving: bool,
    now: Timestamp,
    mut detail: serde_json::Value,
) -> AuditEntry {
    let living = || scene.grants.iter().rfind(|g| g.state.is_living());
    let ending = || scene.grants.iter().find(|g| !g.state.is_living());
    let grant = if is_giving { living().or_else(ending) } else { ending().or_else(living) };
    let reason = grant.map(|g| (g.id.clone(), g.ticket.clone())).or_else(|| scene.account.last.clone());
    let (grant, ticket): (Option<GrantId>, _) = reason.map_or((None, None), |(g, t)| (Some(g), Some(t)));
    if let Some(map) = detail.as_object_mut() {
        map.insert("account".to_owned(), json!(scene.account.id));
        map.insert("directory".to_owned(), json!(scene.account.directory));
    }
    AuditEntry {
        person: Some(scene.account.person.clone()),
        grant,
        ticket,
        ..AuditEntry::new(code, now, By::Service, detail)
    }
}
