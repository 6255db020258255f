//! What is wrong with a connection: told once when it begins, and once when it ends, whoever notices it how often.
//!
//! Trouble is a row for as long as it lasts. What nobody else would see the end of (rights that were refused, a connection
//! that cannot be built) is looked at again until it is over.

use std::time::Duration;

use latchkey_contract::{
    CallError, Check, ConnectionId, Timestamp, directory::DirectoryWants, text::one_line, ticket::WantedChecks,
};
use serde_json::json;

use super::{JobError, Jobs, advance::alert};
use crate::{
    audit::{AuditEntry, By, Code},
    jobs::{
        queue::{LeaseHandle, Ran},
        task::{NewTask, Priority, Work},
    },
    random::Random,
    registry::{Connector, NoConnector},
    store::{CommitName, Finish, Happening, StoreError, Transition, Trouble, TroubleKind, Watched},
};

/// Between two looks whether trouble is over.
const RECHECKED: Duration = Duration::from_secs(300);

/// Trouble as somebody found it.
pub(super) struct Found<'a> {
    pub(super) connection: &'a ConnectionId,
    pub(super) kind: TroubleKind,
    pub(super) what: String,
    pub(super) remedy: String,
    /// A request was lost just now.
    pub(super) is_loss: bool,
}

impl Jobs {
    /// Writes trouble with whatever else the job writes, and tells of it when it is new.
    pub(super) async fn in_trouble(&self, transition: &mut Transition, found: Found<'_>) -> Result<(), JobError> {
        let before = self.store.trouble(found.connection, found.kind).await?;
        let Some((watched, news)) = follows(before, found, transition.now) else { return Ok(()) };
        transition.watched.push(watched);
        if let Some(trouble) = news {
            tell(transition, &trouble, false, self.random.as_ref());
        }
        Ok(())
    }

    /// Nothing of this kind is wrong with the connection: trouble, if there was any, has ended.
    pub(super) async fn is_well(
        &self,
        transition: &mut Transition,
        connection: &ConnectionId,
        kind: TroubleKind,
    ) -> Result<(), JobError> {
        let Some(trouble) = self.store.trouble(connection, kind).await? else { return Ok(()) };
        if trouble.is_told {
            tell(transition, &trouble, true, self.random.as_ref());
        }
        transition.watched.push(Watched::Ended(trouble));
        Ok(())
    }

    /// What a failed job says of its connection.
    pub(super) async fn notice(&self, connection: &ConnectionId, error: &JobError) {
        match error {
            JobError::Call(error) => self.notice_refusal(connection, error).await,
            JobError::Connection(NoConnector::Broken { connection, why }) => self.notice_broken(connection, why).await,
            _ => {}
        }
    }

    /// The vendor refused the connection's own credentials or rights.
    pub(super) async fn notice_refusal(&self, connection: &ConnectionId, error: &CallError) {
        if let CallError::Unauthorized { .. } = error {
            let what = one_line(&error.to_string(), 200);
            let remedy = format!("To see what is missing, run: latchkey connection test {connection}");
            self.noticed(Found { connection, kind: TroubleKind::Rights, what, remedy, is_loss: false }).await;
        }
    }

    /// It cannot be built.
    pub(super) async fn notice_broken(&self, connection: &ConnectionId, why: &str) {
        self.noticed(unbuilt(connection, why)).await;
    }

    /// In a transaction of its own: what is told about a failure must not add to it.
    async fn noticed(&self, found: Found<'_>) {
        match self.store.trouble(found.connection, found.kind).await {
            Ok(None) => {}
            Ok(Some(_)) => return,
            Err(error) => return tracing::warn!(%error, "whether a connection's trouble is known could not be read"),
        }
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Trouble, now);
        let work = Work::Recheck { connection: found.connection.clone() };
        transition.tasks.push(NewTask::new(work, now + RECHECKED, Priority::Telling));
        let connection = found.connection.clone();
        let written = match self.in_trouble(&mut transition, found).await {
            Ok(()) => self.store.commit(transition).await.map_err(JobError::from),
            Err(error) => Err(error),
        };
        match written {
            // Somebody else has told of it.
            Ok(()) | Err(JobError::Store(StoreError::Conflict)) => {}
            Err(error) => tracing::warn!(%connection, %error, "a connection's trouble could not be written down"),
        }
    }

    /// Whether what was refused is granted, and what could not be built can be.
    pub(super) async fn recheck(&self, connection: &ConnectionId, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let world = self.live.current().await;
        let mut transition = Transition::new(CommitName::Trouble, self.clock.now());
        let is_over = match world.registry.connector(connection) {
            Err(NoConnector::Broken { why, .. }) => {
                self.in_trouble(&mut transition, unbuilt(connection, &why)).await?;
                false
            }
            Err(NoConnector::Unknown(_)) => true,
            Ok(connector) => {
                self.is_well(&mut transition, connection, TroubleKind::Setup).await?;
                self.store.trouble(connection, TroubleKind::Rights).await?.is_none() || takes_us(connector).await
            }
        };
        if is_over {
            self.is_well(&mut transition, connection, TroubleKind::Rights).await?;
        }
        transition.now = self.clock.now();
        let finish = if is_over { Finish::Done } else { Finish::At(transition.now + RECHECKED) };
        transition.lease = Some((lease.lease(), finish));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }
}

fn unbuilt<'a>(connection: &'a ConnectionId, why: &str) -> Found<'a> {
    let (kind, what) = (TroubleKind::Setup, "it cannot be built from its record and secrets".to_owned());
    Found { connection, kind, what, remedy: one_line(why, 400), is_loss: false }
}

/// Every right that can be seen by asking is there.
async fn takes_us(connector: &Connector) -> bool {
    let checks = match connector {
        Connector::TicketSystem(psa) => psa.checks(&WantedChecks::default()).await,
        Connector::Directory(directory) => directory.preflight(&DirectoryWants::default()).await,
    };
    !checks.iter().any(Check::is_red)
}

/// What is written of trouble that was found, and what of it is news to people.
fn follows(before: Option<Trouble>, found: Found<'_>, now: Timestamp) -> Option<(Watched, Option<Trouble>)> {
    let lost_at = found.is_loss.then_some(now);
    let Some(before) = before else {
        let is_told = quiet(found.kind) == Duration::ZERO;
        let (connection, kind) = (found.connection.clone(), found.kind);
        let trouble =
            Trouble { connection, kind, since: now, lost_at, what: found.what, remedy: found.remedy, is_told };
        return Some((Watched::Began(trouble.clone()), is_told.then_some(trouble)));
    };
    let is_news = !before.is_told && now.since(before.since) >= quiet(before.kind);
    let is_told = before.is_told || is_news;
    let (lost_at, what, remedy) = (lost_at.or(before.lost_at), found.what, found.remedy);
    let trouble = Trouble { lost_at, what, remedy, is_told, ..before.clone() };
    (trouble != before).then(|| (Watched::GoesOn(trouble.clone()), is_news.then_some(trouble)))
}

/// For so long trouble of this kind may pass by itself, and nobody is told.
const fn quiet(kind: TroubleKind) -> Duration {
    match kind {
        TroubleKind::Answers => Duration::from_secs(600),
        TroubleKind::Webhooks | TroubleKind::Rights | TroubleKind::Setup => Duration::ZERO,
    }
}

/// Everything that people are told of trouble, and of its end, is told here.
fn tell(transition: &mut Transition, trouble: &Trouble, is_over: bool, random: &dyn Random) {
    let Trouble { connection, kind, since, what, remedy, .. } = trouble;
    let code = match (kind, is_over) {
        (TroubleKind::Webhooks, false) => Code::WebhookTrouble,
        (TroubleKind::Webhooks, true) => Code::WebhookWell,
        (_, false) => Code::ConnectorTrouble,
        (_, true) => Code::ConnectorWell,
    };
    let detail = json!({ "connection": connection, "kind": kind, "since": since, "what": what });
    transition.audit.push(AuditEntry::new(code, transition.now, By::Service, detail));
    if is_over {
        tracing::info!(%connection, kind = kind.name(), %since, "the connection's trouble is over");
        return;
    }
    tracing::error!(%connection, kind = kind.name(), what, remedy, "the connection is in trouble");
    let (connection, what, remedy) = (connection.clone(), what.clone(), remedy.clone());
    let happening = match kind {
        TroubleKind::Webhooks => Happening::WebhookTrouble { connection, what, remedy },
        _ => Happening::ConnectorTrouble { connection, what, remedy },
    };
    alert(transition, happening, random);
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    /// Finds the same trouble again and again; answers what is written and what is news.
    fn found(before: Option<&Trouble>, kind: TroubleKind, what: &str, after_s: u64) -> Option<(Watched, bool)> {
        let connection = "cw".parse().unwrap();
        let (what, remedy) = (what.to_owned(), "Look.".to_owned());
        let found = Found { connection: &connection, kind, what, remedy, is_loss: false };
        follows(before.cloned(), found, START + Duration::from_secs(after_s)).map(|(w, news)| (w, news.is_some()))
    }

    #[test]
    fn trouble_is_news_once_and_written_again_only_when_it_differs() {
        let Some((Watched::Began(first), true)) = found(None, TroubleKind::Rights, "401", 0) else { panic!() };
        assert_eq!(found(Some(&first), TroubleKind::Rights, "401", 9000), None);
        let Some((Watched::GoesOn(other), false)) = found(Some(&first), TroubleKind::Rights, "403", 9000) else {
            panic!()
        };
        assert_eq!((other.since, other.what.as_str()), (START, "403"));
    }

    /// F31
    #[test]
    fn an_outage_of_minutes_is_no_news() {
        let kind = TroubleKind::Answers;
        let Some((Watched::Began(quiet), false)) = found(None, kind, "503", 0) else { panic!() };
        assert_eq!(found(Some(&quiet), kind, "503", 599), None);
        let Some((Watched::GoesOn(told), true)) = found(Some(&quiet), kind, "503", 600) else { panic!() };
        assert_eq!(found(Some(&told), kind, "503", 1200), None);
    }
}
