//! What follows when a directory does not do what it was asked.
//!
//! Giving fails closed: what will not change by itself ends the grant. Taking never stops: it is tried again for ever, louder.

use std::time::Duration;

use latchkey_contract::{
    CallError, Timestamp,
    directory::{Step, step_key},
};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::{alert, tell},
    chain,
    converge::{Scene, act},
};
use crate::{
    access::{State, account::Overdue, grant::Telling},
    audit::{AuditEntry, Code},
    jobs::{
        backoff,
        queue::{LeaseHandle, Ran},
        task::Task,
    },
    random::secret_id,
    store::{CommitName, Finish, Happening, Transition},
};

/// How often a refused password is replaced by a fresh one before the grant is given up.
const PASSWORD_TRIES: u32 = 4;

/// An answer that cannot be read is often a proxy's page in bad minutes: asked so often before the grant is given up.
const UNREADABLE_TRIES: u32 = 5;

/// So many failed cuts in a row are put off at once, one after the other; then the directory as a whole is given time.
const OTHER_CUTS: u32 = 8;

/// The least time for which a cut that failed is put off.
const SHORT_WAIT: Duration = Duration::from_secs(5);

/// When an overdue removal is said aloud: first in the ticket, then again to the operator.
const OVERDUE_AFTER: [Duration; 2] = [Duration::from_secs(60), Duration::from_secs(300)];

/// And then every hour, for ever.
const OVERDUE_EVERY: Duration = Duration::from_secs(3600);

/// A removal may wait this long without a word: PIM keeps a role for its first five minutes, a new account may be
/// unseen for two.
const QUIET_WAIT: Duration = Duration::from_secs(600);

impl Jobs {
    pub(super) async fn trouble(
        &self,
        mut scene: Scene,
        step: Option<Step>,
        error: CallError,
        task: &Task,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        self.notice_refusal(&scene.account.directory, &error).await;
        let is_giving = scene.target.gives();
        let is_refused =
            matches!(error, CallError::Refused { .. } | CallError::Unauthorized { .. } | CallError::Protected { .. });
        if is_refused && matches!(step, Some(Step::Create { .. })) {
            // The vendor said no: nothing of this call can still appear.
            scene.account.known.create_sent = None;
        }
        let sets_password = matches!(step, Some(Step::Create { .. } | Step::SetPassword { .. }));
        let is_password_refused =
            sets_password && matches!(&error, CallError::Refused { code, .. } if code.contains("assword"));
        if is_password_refused && task.attempt < PASSWORD_TRIES {
            return self.fresh_password(scene, task, lease).await;
        }
        let may_pass =
            error.is_transient() || (matches!(error, CallError::Malformed { .. }) && task.attempt < UNREADABLE_TRIES);
        if is_giving && !may_pass {
            let why = sentence(&error, step.as_ref());
            let outcome = step.as_ref().map(|step| self.failed(&scene, step, &error));
            let of = match (&step, &error) {
                (Some(Step::Give { entitlement, .. }), CallError::Refused { .. }) => Some(entitlement),
                _ => None,
            };
            return self.impossible(scene, why, outcome, of, lease).await;
        }
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Looked, now);
        if let Some(step) = &step {
            transition.name = CommitName::StepOutcome;
            transition.audit.push(self.failed(&scene, step, &error));
        }
        transition.is_removal = !is_giving;
        if !is_giving || self.is_long_overdue(&scene, now) {
            self.grow_louder(&mut transition, &mut scene, &chain(&error));
        }
        // A directory that does one thing and not the next has not failed so many times in a row.
        let attempt = if scene.has_moved { 1 } else { task.attempt };
        let wait = backoff::wait(attempt, error.retry_after(), task.priority, self.random.as_ref());
        let again = |at| match scene.has_moved {
            true => Finish::At(at),
            false => Finish::Retry { at, error: chain(&error) },
        };
        let retry = match &step {
            // One cut that fails must not keep the others waiting: it is put off, and the next one is taken.
            Some(step) if !is_giving && attempt <= OTHER_CUTS => {
                scene.account.known.not_before.insert(step_key(step), now + wait.max(SHORT_WAIT));
                again(now)
            }
            _ => again(now + wait),
        };
        tracing::warn!(account = %scene.account.id, connection = %scene.account.directory, attempt = task.attempt,
            error = &error as &dyn std::error::Error, "the directory did not do it; it will be asked again");
        transition.lease = Some((lease.lease(), retry));
        self.save(transition, &mut scene.account).await?;
        Ok(Ran::Committed)
    }

    /// The outcome of a step that was sent: every intent has one.
    fn failed(&self, scene: &Scene, step: &Step, error: &CallError) -> AuditEntry {
        let code = if error.is_transient() { Code::StepUnknown } else { Code::StepFailed };
        act(scene, code, step.is_giving(), self.clock.now(), json!({ "step": step.name(), "error": chain(error) }))
    }

    /// The directory did not like the password: seal another one for every grant that lives on it.
    async fn fresh_password(&self, mut scene: Scene, task: &Task, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::StepOutcome, now);
        let fresh = secret_id(self.random.as_ref(), now);
        let password = scene.directory.password(&mut |buffer| self.random.fill(buffer));
        transition.seal.push(self.seal.seal(fresh.clone(), None, "account-password", &password));
        for grant in &scene.grants {
            let mut grant = grant.clone();
            if let State::Granting { secret, .. } | State::Delivering { secret, .. } | State::Active { secret, .. } =
                &mut grant.state
            {
                transition.destroy.push(std::mem::replace(secret, fresh.clone()));
                transition.grants.push(grant);
            }
        }
        transition.destroy.dedup();
        scene.account.secret = Some(fresh);
        let detail = json!({ "attempt": task.attempt });
        transition.audit.push(act(&scene, Code::StepPasswordRefused, true, now, detail));
        let retry = Finish::Retry { at: now, error: "the directory refused the password".to_owned() };
        transition.lease = Some((lease.lease(), retry));
        self.save(transition, &mut scene.account).await?;
        Ok(Ran::Committed)
    }

    /// The removal was owed so long ago that no known wait of a vendor explains it.
    pub(super) fn is_long_overdue(&self, scene: &Scene, now: Timestamp) -> bool {
        owed_since(scene).is_some_and(|since| now.since(since) >= QUIET_WAIT)
    }

    /// Says aloud that a removal is overdue: once in the ticket, and each time in the log for the operator.
    pub(super) fn grow_louder(&self, transition: &mut Transition, scene: &mut Scene, why: &str) {
        let now = transition.now;
        let since = owed_since(scene).unwrap_or(now);
        let mut overdue = scene.account.overdue.unwrap_or(Overdue { since, alerts: 0 });
        let said = usize::try_from(overdue.alerts).unwrap_or(usize::MAX);
        let hours = overdue.alerts.saturating_sub(1);
        let after = OVERDUE_AFTER.get(said).copied().unwrap_or(OVERDUE_EVERY * hours);
        if now.since(since) >= after {
            overdue.alerts += 1;
            metrics::counter!("grant_overdue_alerts_total").increment(1);
            tracing::error!(account = %scene.account.id, connection = %scene.account.directory,
                overdue_s = now.since(since).as_secs(), "access could not be taken away yet; removal goes on");
            let ending = scene.grants.iter().find(|g| matches!(g.state, State::Ending { .. })).map(|g| g.id.clone());
            if let Some(grant) = ending.or_else(|| scene.account.last.as_ref().map(|(grant, _)| grant.clone())) {
                let account = scene.account.id.clone();
                let what = Happening::FailedToDisable { account, grant, due: since, why: why.to_owned() };
                alert(transition, what, self.random.as_ref());
            }
            if overdue.alerts == 1 {
                for grant in scene.grants.iter().filter(|g| matches!(g.state, State::Ending { .. })) {
                    tell(transition, grant, Telling::Overdue, self.random.as_ref());
                }
            }
        }
        scene.account.overdue = Some(overdue);
    }
}

fn owed_since(scene: &Scene) -> Option<Timestamp> {
    let ending = scene.grants.iter().filter_map(|g| match g.state {
        State::Ending { since, .. } => Some(since),
        _ => None,
    });
    ending.min().or(scene.account.overdue.map(|o| o.since))
}

/// What the ticket says about a failure that will not pass by itself: our words, with the vendor's code.
fn sentence(error: &CallError, step: Option<&Step>) -> String {
    let doing = match step {
        Some(Step::Create { .. }) => "making the account".to_owned(),
        Some(Step::SetPassword { .. }) => "setting its password".to_owned(),
        Some(Step::Enable) => "enabling the account".to_owned(),
        Some(Step::Give { entitlement, .. }) => format!("giving {entitlement}"),
        Some(_) => "cleaning the account".to_owned(),
        None => "looking at the account".to_owned(),
    };
    match error {
        CallError::Unauthorized { code, .. } => {
            format!(
                "the directory refused Latchkey's own rights while {doing} ({code}); an admin has to look at the connection"
            )
        }
        CallError::Refused { code, .. } => {
            let at = if matches!(step, Some(Step::Give { .. })) { "policy" } else { "tenant" };
            format!("the directory refused {doing} ({code}); an admin has to look at the {at}")
        }
        CallError::Protected { why, .. } => why.clone(),
        CallError::Malformed { .. } => format!("the directory's answer could not be read while {doing}"),
        CallError::Transient { .. } => format!("the directory could not be reached while {doing}"),
    }
}
