//! Once a day the audit log's head leaves the house: what is below it cannot be rewritten unseen any more.

use std::time::Duration;

use latchkey_contract::Timestamp;
use serde_json::json;

use super::{JobError, Jobs, advance::alert};
use crate::{
    audit::{AuditEntry, By, Code, Signer},
    jobs::{
        queue::{LeaseHandle, Ran},
        task::{NewTask, Priority, Work},
    },
    store::{CommitName, Finish, Happening, Transition},
};

const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// Into the day in UTC: before most people's work begins.
const SLOT: Duration = Duration::from_secs(5 * 60 * 60);

/// For so long a mail that was given up is told of: a mail about each could be given up like the first.
pub(crate) const REMEMBERED: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The task at its next slot after `now`.
pub(crate) fn next(now: Timestamp) -> NewTask {
    let into = (now - SLOT).millis().rem_euclid(DAY_MS);
    let run_at = Timestamp::from_millis(now.millis() - into + DAY_MS);
    NewTask::new(Work::AuditHead, run_at, Priority::Telling)
}

impl Jobs {
    /// Whoever ships the log elsewhere has the head there; the entry says that it was sent.
    pub(super) async fn audit_head(&self, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let again = Finish::At(next(now).run_at);
        let Some(head) = self.store.audit_head().await? else { return Ok(Ran::Finish(again)) };
        let head = Signer::new(&self.seal).head(head);
        let mut transition = Transition::new(CommitName::AuditHead, now);
        let detail = json!({ "head": head.to_string() });
        transition.audit.push(AuditEntry::new(Code::AuditHead, now, By::Service, detail));
        let given_up = self.store.mails_given_up(now - REMEMBERED).await?;
        let what = Happening::AuditHead { entries: head.seq, head: head.to_string(), given_up };
        alert(&mut transition, what, self.random.as_ref());
        transition.lease = Some((lease.lease(), again));
        self.store.commit(transition).await?;
        tracing::info!(audit.head = %head, "the head of the audit log: keep it where the service cannot reach it");
        Ok(Ran::Committed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_is_the_next_one_wherever_the_day_stands() {
        let at = |text: &str| Timestamp::parse(text).unwrap();
        for (now, slot) in [
            ("2026-06-09T04:59:59Z", "2026-06-09T05:00:00Z"),
            ("2026-06-09T05:00:00Z", "2026-06-10T05:00:00Z"),
            ("2026-06-09T23:00:00Z", "2026-06-10T05:00:00Z"),
            ("1969-12-31T23:00:00Z", "1970-01-01T05:00:00Z"),
        ] {
            assert_eq!(next(at(now)).run_at, at(slot), "{now}");
        }
    }
}
