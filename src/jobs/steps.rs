//! Taking steps: the intent is committed, the call is made, its outcome is committed.
//!
//! What gives is looked at after each step. What takes goes on from one look: nothing is risked by taking it, a person
//! with access is not kept waiting for reads between two cuts, and no vendor's quota is spent on them. What was taken in
//! this way is proven by new looks alone.

use std::time::Duration;

use latchkey_contract::{
    AccountId, Secret, SecretId, Timestamp,
    directory::{Next, Observation, Outcome, Password, Risk, Step, step_key},
};
use serde_json::json;

use super::{
    JobError, Jobs,
    converge::{Scene, act},
};
use crate::{
    audit::Code,
    clock_guard::Doubt,
    jobs::{
        queue::{LeaseHandle, Ran},
        task::{NewTask, Priority, Task, Work},
    },
    store::{CommitName, Finish, StoreError, Transition},
};

/// How soon a step is tried again that only lacked time.
const SOON: Duration = Duration::from_secs(2);

/// When a step that gives is thought of again while the database is compared with the directories.
const COMPARED_LATER: Duration = Duration::from_secs(60);

/// A giving step is sent only if the lease outlives the call by this much.
const LEASE_MARGIN: Duration = Duration::from_secs(5);

/// What was sent without a lease has come to pass after so long, or never will.
const LATE_EFFECT: Duration = Duration::from_secs(60);

/// How often it is tried to write down that an account is owed looks, where somebody else works on it.
const LOOKS_TRIED: u32 = 10;

/// So long after a look steps that take may still be named from it.
const LOOK_HOLDS: Duration = Duration::from_secs(5);

impl Jobs {
    /// Takes the step, and where it takes something, those that follow from the same look.
    pub(super) async fn take(
        &self,
        mut scene: Scene,
        mut step: Step,
        mut seen: Option<Observation>,
        task: &Task,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let now = self.clock.now();
        // A task that once was a removal is claimed as one also where the clock is nobody else's.
        if step.is_giving() && self.trust.doubt().is_some_and(Doubt::is_apart) {
            return Ok(Ran::Finish(Finish::At(now + SOON)));
        }
        if step.is_giving() && is_too_short(lease, &scene, now) {
            tracing::warn!(account = %scene.account.id, step = step.name(), "the lease is too short for this step now; looking again");
            return Ok(Ran::Finish(Finish::At(now + SOON)));
        }
        let mut secret = self.secret_of(&scene, &step).await?;
        let mut intent = Transition::new(CommitName::StepIntent, now);
        self.notice_surprise(&mut intent, &mut scene);
        intend(&mut intent, &mut scene, &step, lease);
        if step.is_giving() {
            scene.account.gave_at = Some(now);
            // Nothing is given on the strength of a grant or a rule that has changed since it was looked at.
            intent.revision = Some(scene.revision);
            intent.grants = scene.grants.iter().filter(|g| g.state.is_living()).cloned().collect();
        }
        match self.save(intent, &mut scene.account).await {
            // There it would be refused again and again.
            Err(JobError::Store(StoreError::Conflict)) if self.store.generation().await?.comparing.is_some() => {
                return Ok(Ran::Finish(Finish::At(now + COMPARED_LATER)));
            }
            saved => saved?,
        }
        if step.is_giving() {
            scene.grants.iter_mut().filter(|g| g.state.is_living()).for_each(|g| g.version += 1);
            // Whoever stood still while this was written may wake when somebody else has the account.
            let now = self.clock.now();
            if is_too_short(lease, &scene, now) {
                tracing::warn!(account = %scene.account.id, step = step.name(), "writing this step down took the lease's time: it is not sent");
                return Ok(Ran::Finish(Finish::At(now + SOON)));
            }
        }
        let account = scene.account.id.clone();
        let mut pause = None;
        loop {
            let outcome = match scene.directory.perform(&step, &scene.account.reference(), secret.as_ref()).await {
                Ok(outcome) => outcome,
                Err(error) => {
                    let settled = self.trouble(scene, Some(step), error, task, lease).await;
                    return self.or_looked_at_again(&account, settled).await;
                }
            };
            // Only the first step was named by a look: that it is named again and again is what calls for a pause.
            let pause = *pause.get_or_insert_with(|| scene.account.took(&step));
            scene.has_moved = true;
            let settled = self.performed(&mut scene, (&step, &outcome), &mut seen, pause, lease).await;
            match self.or_looked_at_again(&account, settled).await? {
                Some(next) => step = next,
                None => return Ok(Ran::Committed),
            }
            secret = self.secret_of(&scene, &step).await?;
            let mut intent = Transition::new(CommitName::StepIntent, self.clock.now());
            intend(&mut intent, &mut scene, &step, lease);
            self.save(intent, &mut scene.account).await?;
        }
    }

    /// What was sent under a lease that somebody else has by now may come to pass after they looked: the account is owed
    /// two more looks, whoever takes them.
    async fn or_looked_at_again<T>(&self, account: &AccountId, settled: Result<T, JobError>) -> Result<T, JobError> {
        if !matches!(settled, Err(JobError::Store(StoreError::LeaseLost))) {
            return settled;
        }
        tracing::warn!(%account, "a step was sent and its lease was lost meanwhile; the account is to be looked at again");
        for _ in 0..LOOKS_TRIED {
            match self.owe_looks(account).await {
                Err(StoreError::Conflict | StoreError::Busy) => {}
                Err(error) => {
                    tracing::error!(%account, error = &error as &dyn std::error::Error, "that it has to be looked at again was not written");
                    break;
                }
                Ok(()) => break,
            }
        }
        settled
    }

    async fn owe_looks(&self, id: &AccountId) -> Result<(), StoreError> {
        let Some(mut account) = self.store.account(id).await? else {
            // A server took over that never heard of it; the comparison that follows finds what was made.
            tracing::error!(account = %id, "the database does not know the account of a step that was sent: see latchkey reconcile");
            return Ok(());
        };
        let now = self.clock.now();
        account.looks.push(now + LATE_EFFECT);
        let work = Work::Converge { account: id.clone(), directory: account.directory.clone() };
        let mut transition = Transition::new(CommitName::Looked, now);
        transition.is_removal = true;
        // Nobody knows what was given.
        transition.tasks.push(NewTask::new(work, now, Priority::Removal).of(Risk::Everything));
        transition.accounts.push(account);
        self.store.commit(transition).await
    }

    /// Commits the outcome. Answers the next step that takes, if the look still names one.
    async fn performed(
        &self,
        scene: &mut Scene,
        (step, outcome): (&Step, &Outcome),
        seen: &mut Option<Observation>,
        pause: Duration,
        lease: &LeaseHandle,
    ) -> Result<Option<Step>, JobError> {
        let now = self.clock.now();
        scene.account.known = scene.account.known.clone().after(step, outcome, now);
        let mut transition = Transition::new(CommitName::StepOutcome, now);
        transition.is_removal = !step.is_giving();
        if !step.is_giving() && self.is_long_overdue(scene, now) {
            self.grow_louder(&mut transition, scene, "the directory goes on showing it");
        }
        let code = match outcome {
            Outcome::Done { .. } => Code::StepDone,
            Outcome::NotBefore(_) => Code::StepNotBefore,
            Outcome::NoWay { .. } => Code::StepNoWay,
        };
        let detail = json!({ "step": step.name(), "outcome": outcome });
        transition.audit.push(act(scene, code, step.is_giving(), now, detail));
        tracing::info!(account = %scene.account.id, connection = %scene.account.directory, step = step.name(), %code, "step");
        *seen = seen.take().and_then(|seen| match outcome {
            Outcome::Done { .. } => seen.without(step),
            Outcome::NotBefore(_) | Outcome::NoWay { .. } => (!step.is_giving()).then_some(seen),
        });
        let next = seen.as_ref().and_then(|seen| self.next_cut(scene, seen));
        let next = next.filter(|next| step_key(next) != step_key(step));
        let finish = if next.is_some() { Finish::Keep } else { Finish::At(now + pause) };
        transition.lease = Some((lease.lease(), finish));
        self.save(transition, &mut scene.account).await?;
        Ok(next)
    }

    /// The next step that takes, as far as the look still tells.
    fn next_cut(&self, scene: &Scene, seen: &Observation) -> Option<Step> {
        let now = self.clock.now();
        if now.since(seen.at) >= LOOK_HOLDS {
            return None;
        }
        match scene.directory.next(&scene.target, seen, &scene.account.known, now) {
            Next::Step(step) if !step.is_giving() => Some(step),
            _ => None,
        }
    }

    /// The password that a step sets.
    async fn secret_of(&self, scene: &Scene, step: &Step) -> Result<Option<Secret<String>>, JobError> {
        Ok(match step {
            Step::Create { password } | Step::SetPassword { password } => Some(self.open_password(password).await?),
            Step::ScramblePassword => Some(scene.directory.password(&mut |buffer| self.random.fill(buffer))),
            _ => None,
        })
    }

    async fn open_password(&self, id: &SecretId) -> Result<Secret<String>, JobError> {
        let row = self.store.sealed(id).await?.ok_or(JobError::Sealed)?;
        self.seal.open_text(&row).map_err(|_| JobError::Sealed)
    }

    /// Something has to be done although off was proven and nobody asked: somebody gave it back outside Latchkey.
    fn notice_surprise(&self, transition: &mut Transition, scene: &mut Scene) {
        if !scene.grants.is_empty() || scene.account.off_since.is_none() {
            return;
        }
        scene.account.off_since = None;
        scene.account.is_surprised = true;
        scene.account.known.sessions_cut = None;
        scene.account.known.password = Password::Unknown;
        tracing::error!(account = %scene.account.id, connection = %scene.account.directory,
            "the account was changed outside Latchkey after its access had ended; it is cut again");
        metrics::counter!("accounts_cut_again_total").increment(1);
        transition.audit.push(act(scene, Code::AccountCutAgain, false, transition.now, json!({})));
    }
}

/// A call that gives may still be under way when the lease has run out.
fn is_too_short(lease: &LeaseHandle, scene: &Scene, now: Timestamp) -> bool {
    lease.remaining(now) < scene.directory.call_timeout() + LEASE_MARGIN
}

/// What is about to be done is committed before it is done.
fn intend(intent: &mut Transition, scene: &mut Scene, step: &Step, lease: &LeaseHandle) {
    scene.account.known = scene.account.known.clone().intending(step, intent.now);
    scene.account.first_off = None;
    intent.is_removal = !step.is_giving();
    intent.lease = Some((lease.lease(), Finish::Keep));
    let detail = json!({ "step": step });
    intent.audit.push(act(scene, Code::StepIntent, step.is_giving(), intent.now, detail));
}
