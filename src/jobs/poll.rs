//! The poll: which tickets were saved since the last one, whoever told us or not. A webhook that was lost loses no request.
//!
//! Slow and bounded: one page at a time, and no further page before what was found was looked at.

use std::time::Duration;

use latchkey_contract::{BoardId, ConnectionId, TicketRef, Timestamp, ticket::TicketChanged};

use super::{JobError, Jobs};
use crate::{
    jobs::{
        queue::{LeaseHandle, Ran},
        task::{NewTask, Priority, Work},
    },
    store::{CommitName, Cursor, Finish, Transition, TroubleKind, Watched},
};

/// Saves asked for at once.
const PAGE: usize = 200;

/// Between two pages, and between two looks whether what was found is worked off.
pub(super) const PACE: Duration = Duration::from_secs(10);

/// A delivery may be under way for so long before its ticket is looked at without it.
pub(super) const LATE: Duration = Duration::from_secs(60);

/// A PSA may show a save only so long after the time that it gives it; and its clock may be behind ours. So long, too, a
/// poll comes back to a save whose delivery was still to be worked on.
const OVERLAP: Duration = Duration::from_secs(120);

/// Between two comparisons of the webhooks.
const COMPARED: Duration = Duration::from_secs(3600);

const SECOND: Duration = Duration::from_secs(1);

impl Jobs {
    pub(super) async fn poll(&self, connection: &ConnectionId, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let world = self.live.current().await;
        for (broken, why) in world.registry.broken() {
            self.notice_broken(broken, why).await;
        }
        let boards: Vec<BoardId> = world.rules.rulebook.boards(connection).into_iter().collect();
        let every = world.rules.rulebook.settings.poll_every();
        if boards.is_empty() || world.rules.records.connection(connection).is_none() {
            return self.only_look_after(connection, now + every, lease).await;
        }
        let Some(cursor) = self.store.cursor(connection).await? else {
            // What was saved before is nobody's request.
            let first =
                Cursor { connection: connection.clone(), from: now, newest: now, compared_at: now, looked_at: now };
            return self.asked(first, Vec::new(), now + every, lease).await;
        };
        if self.store.looks_ahead(connection).await? > 0 {
            self.look_after_in_time(&cursor, every, lease).await?;
            return Ok(Ran::Finish(Finish::At(now + PACE)));
        }
        let psa = world.registry.ticket_system(connection)?;
        let found = match psa.changed_since(cursor.from, &boards, PAGE).await {
            Ok(found) => found,
            Err(error) => {
                self.look_after_in_time(&cursor, every, lease).await?;
                return Err(error.into());
            }
        };
        let unseen = self.store.unseen(connection, &found).await?;
        let looks = found.iter().filter(|saved| unseen.contains(&saved.id)).map(|saved| {
            let ticket = TicketRef { connection: connection.clone(), ticket: saved.id.clone() };
            let run_at = (saved.at + LATE).clamp(now, now + LATE);
            NewTask::new(Work::Look { ticket }, run_at, Priority::Telling)
        });
        let mut tasks: Vec<NewTask> = looks.collect();
        let mut next = after(&cursor, &found, now);
        // However much there is to catch up with: what ends access does not wait for it.
        if found.len() < PAGE || now.since(cursor.looked_at) >= every {
            next.looked_at = now;
            // Whatever was saved just now is looked at for that, and not before its delivery had its time.
            let is_seen_to = |at: &TicketRef| {
                let is_late = |saved: &TicketChanged| now.since(saved.at) >= LATE && !unseen.contains(&saved.id);
                found.iter().any(|saved| saved.id == at.ticket && !is_late(saved))
            };
            tasks.extend(self.looks_after(connection, now, turn(now, every), is_seen_to).await?);
        }
        let is_in_trouble = self.store.trouble(connection, TroubleKind::Webhooks).await?.is_some();
        if is_in_trouble || now.since(cursor.compared_at) >= COMPARED {
            next.compared_at = now;
            let work = Work::Webhooks { connection: connection.clone() };
            tasks.push(NewTask::new(work, now, Priority::Telling));
        }
        let again = if found.len() < PAGE { every } else { PACE };
        tracing::debug!(%connection, found = found.len(), looks = tasks.len(), "polled");
        self.asked(next, tasks, self.clock.now() + again, lease).await
    }

    async fn asked(
        &self,
        cursor: Cursor,
        tasks: Vec<NewTask>,
        next: Timestamp,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let mut transition = Transition::new(CommitName::Polled, self.clock.now());
        transition.watched.push(Watched::Asked(cursor));
        transition.tasks = tasks;
        transition.lease = Some((lease.lease(), Finish::At(next)));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }

    /// Whatever keeps the list of saves from being read, or from being asked for: what ends access waits for neither.
    async fn look_after_in_time(&self, cursor: &Cursor, every: Duration, lease: &LeaseHandle) -> Result<(), JobError> {
        let now = self.clock.now();
        if now.since(cursor.looked_at) < every {
            return Ok(());
        }
        let mut transition = Transition::new(CommitName::Polled, now);
        transition.tasks = self.looks_after(&cursor.connection, now, turn(now, every), |_| false).await?;
        transition.watched.push(Watched::Asked(Cursor { looked_at: now, ..cursor.clone() }));
        transition.lease = Some((lease.lease(), Finish::Keep));
        Ok(self.store.commit(transition).await?)
    }

    /// No mapping watches it any more: tickets with access are looked at for as long as there are any, and no others. When
    /// one watches it again, the poll begins anew.
    async fn only_look_after(
        &self,
        connection: &ConnectionId,
        next: Timestamp,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Polled, now);
        transition.watched.push(Watched::NotAsked(connection.clone()));
        self.is_well(&mut transition, connection, TroubleKind::Webhooks).await?;
        transition.tasks = self.looks_after(connection, now, turn(now, next.since(now)), |_| false).await?;
        let finish = if transition.tasks.is_empty() { Finish::Done } else { Finish::At(next) };
        transition.lease = Some((lease.lease(), finish));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }
}

/// Where the next question begins: right behind this page if it is full, or else behind the newest save that was ever
/// found, since the PSA's own clock may have come no further; but never later than a little before this one was asked.
fn after(cursor: &Cursor, found: &[TicketChanged], asked_at: Timestamp) -> Cursor {
    let newest = found.iter().map(|saved| saved.at).max().unwrap_or(cursor.newest).max(cursor.newest);
    let last = found.last().filter(|_| found.len() >= PAGE).map_or(newest, |last| last.at);
    let from = (whole_second(last) + SECOND).min(asked_at - OVERLAP);
    Cursor { from: from.max(cursor.from), newest, ..cursor.clone() }
}

/// Which of the tickets with access have their turn.
fn turn(now: Timestamp, every: Duration) -> i64 {
    now.seconds() / i64::try_from(every.as_secs()).unwrap_or(i64::MAX).max(1)
}

const fn whole_second(at: Timestamp) -> Timestamp {
    Timestamp::from_millis(at.seconds() * 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: i64) -> Timestamp {
        Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
    }

    fn cursor(from: i64, newest: i64) -> Cursor {
        let (compared_at, looked_at) = (at(0), at(0));
        Cursor { connection: "cw".parse().unwrap(), from: at(from), newest: at(newest), compared_at, looked_at }
    }

    fn saved(times: impl IntoIterator<Item = i64>) -> Vec<TicketChanged> {
        let ticket = |(n, seconds): (usize, i64)| TicketChanged { id: n.to_string().parse().unwrap(), at: at(seconds) };
        times.into_iter().enumerate().map(ticket).collect()
    }

    #[test]
    fn after_a_full_page_the_next_question_begins_right_behind_it() {
        let full = saved((0..200).map(|n| 1000 + n / 10));
        assert_eq!(after(&cursor(900, 900), &full, at(5000)), cursor(1020, 1019));
    }

    /// A delivery that waits may turn out to tell of another save: its ticket is found once more.
    #[test]
    fn after_a_full_page_of_new_saves_it_comes_back_to_them() {
        let full = saved((0..200).map(|n| 1000 + n / 10));
        assert_eq!(after(&cursor(900, 900), &full, at(1030)), cursor(910, 1019));
        assert_eq!(after(&cursor(910, 1019), &full, at(1135)), cursor(1015, 1019));
    }

    #[test]
    fn otherwise_it_begins_a_little_before_this_one_was_asked() {
        assert_eq!(after(&cursor(0, 0), &saved([100, 999]), at(1000)), cursor(880, 999), "it may show late");
        assert_eq!(after(&cursor(880, 999), &saved([999]), at(1300)), cursor(1000, 999), "quiet since then");
        assert_eq!(after(&cursor(1000, 999), &[], at(9000)), cursor(1000, 999));
    }

    /// Whatever our clock says, nothing is skipped that the PSA's clock has not come to.
    #[test]
    fn a_psa_whose_clock_is_behind_loses_nothing() {
        assert_eq!(after(&cursor(0, 0), &saved([400]), at(1000)), cursor(401, 400));
        assert_eq!(after(&cursor(401, 400), &saved([450]), at(700)).from, at(451));
        assert_eq!(after(&cursor(401, 400), &[], at(420)).from, at(401), "it never goes back");
    }
}
