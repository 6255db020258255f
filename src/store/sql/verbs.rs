//! The verbs, as both engines carry them out: reads on connections that only read, writes by way of `write`.

use std::sync::Arc;

use latchkey_contract::{
    AccountId, ConnectionId, GrantId, MailId, MappingId, PersonId, SecretId, TicketId, TicketRef, Timestamp,
    directory::Mode, ticket::TicketChanged,
};
use tokio::sync::Notify;

use super::{
    Arguments, Db, Engine, audit, audit_read, commit, dialect, engine, enroll, generation, intake, keys, people, rules,
    sweep, tasks, watched, write::Room,
};
use crate::{
    access::{Account, Grant, trigger::Sighting},
    audit::{AuditFilter, AuditRow, By, Checkpoint, Code, Head, Prunable},
    jobs::task::{Lease, NewTask, Task},
    rulebook::{Hold, HoldCause, HoldOn, Rulebook, Rules},
    store::{
        Alert, AuditEntry, Chosen, Claim, Comparing, Cursor, Enrolled, Factors, Finish, Generation, Invitation,
        NewDelivery, Notice, OwedMail, QueueState, Recorded, Revision, Rewrapped, Scope, SealedRow, Session, Store,
        StoreError, StoredDelivery, TaskRow, Transition, Trouble, TroubleKind, row,
    },
};

impl Engine {
    async fn docs<T: serde::de::DeserializeOwned>(
        &self,
        table: &'static str,
        query: sqlx::query::QueryAs<'_, Db, (String, String), Arguments>,
    ) -> Result<Vec<T>, StoreError> {
        let rows = query.fetch_all(&self.readers).await.map_err(engine)?;
        rows.iter().map(|(id, doc)| row::decode(table, id, doc)).collect()
    }
}

#[async_trait::async_trait]
impl Store for Engine {
    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded, StoreError> {
        self.record(delivery).await
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        let sql = "SELECT id, connection, received_at, event, outcome FROM deliveries WHERE id = $1";
        let found = sqlx::query_as(sql).bind(id).fetch_optional(&self.readers).await.map_err(engine)?;
        found.map(intake::read).transpose()
    }

    async fn deliveries(&self, only_open: bool, limit: u32) -> Result<Vec<StoredDelivery>, StoreError> {
        let sql = if only_open {
            "SELECT id, connection, received_at, event, outcome FROM deliveries WHERE outcome IS NULL
             ORDER BY received_at DESC LIMIT $1"
        } else {
            "SELECT id, connection, received_at, event, outcome FROM deliveries ORDER BY id DESC LIMIT $1"
        };
        let rows = sqlx::query_as(sql).bind(i64::from(limit)).fetch_all(&self.readers).await.map_err(engine)?;
        rows.into_iter().map(intake::read).collect()
    }

    async fn tasks(&self, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        let rows: Vec<(String, i64, String, i64, i64, Option<String>)> = sqlx::query_as(
            "SELECT slot, priority, state, coalesce(lease_until, run_at) AS at, attempts, last_error FROM tasks
             ORDER BY state <> 'dead', at, id LIMIT $1",
        )
        .bind(i64::from(limit))
        .fetch_all(&self.readers)
        .await
        .map_err(engine)?;
        let read = |(slot, priority, state, at, attempts, last_error)| TaskRow {
            slot,
            priority,
            state,
            at: Timestamp::from_millis(at),
            attempts,
            last_error,
        };
        Ok(rows.into_iter().map(read).collect())
    }

    async fn alert(&self, id: &str) -> Result<Option<Alert>, StoreError> {
        let query = sqlx::query_as("SELECT id, doc FROM alerts WHERE id = $1").bind(id);
        Ok(self.docs("alerts", query).await?.pop())
    }

    async fn mail(&self, id: &MailId) -> Result<Option<OwedMail>, StoreError> {
        let query = sqlx::query_as("SELECT id, doc FROM mails WHERE id = $1").bind(id.as_str());
        Ok(self.docs("mails", query).await?.pop())
    }

    async fn mails(&self, limit: u32) -> Result<Vec<OwedMail>, StoreError> {
        self.docs("mails", sqlx::query_as("SELECT id, doc FROM mails ORDER BY id DESC LIMIT $1").bind(i64::from(limit)))
            .await
    }

    async fn mails_given_up(&self, since: Timestamp) -> Result<u64, StoreError> {
        let count: i64 = sqlx::query_scalar(dialect::MAILS_GIVEN_UP)
            .bind(since.millis())
            .fetch_one(&self.readers)
            .await
            .map_err(engine)?;
        Ok(u64::try_from(count).unwrap_or(0))
    }

    async fn rules(&self) -> Result<Rules, StoreError> {
        let mut snapshot = self.readers.begin().await.map_err(engine)?;
        rules::read(&mut snapshot).await
    }

    async fn revision(&self) -> Result<i64, StoreError> {
        rules::revision(&self.readers).await
    }

    async fn save_rules(&self, rules: &Rules, by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError> {
        let change = rules::Change { by: by.to_owned(), reason: reason.to_owned(), at };
        self.write(rules::SaveRules { rules: rules.clone(), change }).await
    }

    async fn touch(&self, changed: &[String], by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError> {
        let change = rules::Change { by: by.to_owned(), reason: reason.to_owned(), at };
        self.write(rules::Touch { changed: changed.to_vec(), change }).await
    }

    async fn history(&self, limit: u32) -> Result<Vec<Revision>, StoreError> {
        rules::history(&self.readers, limit).await
    }

    async fn rulebook_history(&self, limit: u32) -> Result<Vec<Revision>, StoreError> {
        rules::rulebook_history(&self.readers, limit).await
    }

    async fn rulebook_at(&self, revision: i64) -> Result<Option<Rulebook>, StoreError> {
        rules::rulebook_at(&self.readers, revision).await
    }

    async fn set_hold(&self, hold: &Hold) -> Result<i64, StoreError> {
        self.write(rules::SetHold::new(hold.clone())).await
    }

    async fn lift_hold(
        &self,
        on: &HoldOn,
        up_to: HoldCause,
        by: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = rules::Change { by: by.to_owned(), reason: reason.to_owned(), at };
        self.write(rules::LiftHold { on: on.clone(), up_to, change }).await
    }

    async fn count_grants(&self, scope: &Scope, since: &str, before: Option<&str>) -> Result<u32, StoreError> {
        rules::count_grants(&self.readers, scope, since, before).await
    }

    async fn open_grants_in(
        &self,
        scope: &Scope,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        let sql = match scope {
            Scope::Person(_) => {
                "SELECT id, doc FROM grants WHERE person = $1 AND is_open = 1 AND id > $2 ORDER BY id LIMIT $3"
            }
            Scope::Customer(_) => {
                "SELECT id, doc FROM grants WHERE customer = $1 AND is_open = 1 AND id > $2 ORDER BY id LIMIT $3"
            }
            Scope::Everything => {
                "SELECT id, doc FROM grants WHERE is_open = 1 AND $1 = '' AND id > $2 ORDER BY id LIMIT $3"
            }
        };
        let after = after.map_or("", GrantId::as_str);
        self.docs("grants", sqlx::query_as(sql).bind(scope.of()).bind(after).bind(i64::from(limit))).await
    }

    async fn newest_grants(&self, scope: &Scope, limit: u32) -> Result<Vec<Grant>, StoreError> {
        let sql = match scope {
            Scope::Person(_) => "SELECT id, doc FROM grants WHERE person = $1 ORDER BY id DESC LIMIT $2",
            Scope::Customer(_) => "SELECT id, doc FROM grants WHERE customer = $1 ORDER BY id DESC LIMIT $2",
            Scope::Everything => "SELECT id, doc FROM grants WHERE $1 = '' ORDER BY id DESC LIMIT $2",
        };
        self.docs("grants", sqlx::query_as(sql).bind(scope.of()).bind(i64::from(limit))).await
    }

    async fn account_named(&self, directory: &ConnectionId, name: &str) -> Result<Option<Account>, StoreError> {
        let sql = "SELECT id, doc FROM accounts WHERE directory = $1 AND name = $2 ORDER BY id DESC LIMIT 1";
        let query = sqlx::query_as(sql).bind(directory.as_str()).bind(name.to_ascii_lowercase());
        Ok(self.docs("accounts", query).await?.pop())
    }

    async fn commit(&self, transition: Transition) -> Result<(), StoreError> {
        self.write(commit::Commit::new(transition)).await
    }

    async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        let query = sqlx::query_as("SELECT id, doc FROM grants WHERE id = $1").bind(id.as_str());
        Ok(self.docs("grants", query).await?.pop())
    }

    async fn open_grants(&self, account: &AccountId) -> Result<Vec<Grant>, StoreError> {
        let sql = "SELECT id, doc FROM grants WHERE account = $1 AND is_open = 1 ORDER BY rowid";
        self.docs("grants", sqlx::query_as(sql).bind(account.as_str())).await
    }

    async fn grants_of_ticket(&self, ticket: &TicketRef) -> Result<Vec<Grant>, StoreError> {
        let sql = "SELECT id, doc FROM grants WHERE ticket = $1 ORDER BY rowid DESC";
        self.docs("grants", sqlx::query_as(sql).bind(ticket.to_string())).await
    }

    async fn grants_of_person(&self, person: &PersonId, limit: u32) -> Result<Vec<Grant>, StoreError> {
        let sql = "SELECT id, doc FROM grants WHERE person = $1 ORDER BY rowid DESC LIMIT $2";
        self.docs("grants", sqlx::query_as(sql).bind(person.as_str()).bind(i64::from(limit))).await
    }

    async fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        let query = sqlx::query_as("SELECT id, doc FROM accounts WHERE id = $1").bind(id.as_str());
        Ok(self.docs("accounts", query).await?.pop())
    }

    async fn accounts_in(
        &self,
        directory: &ConnectionId,
        after: Option<&AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let sql = "SELECT id, doc FROM accounts WHERE directory = $1 AND id > $2 ORDER BY id LIMIT $3";
        let after = after.map_or("", AccountId::as_str);
        self.docs("accounts", sqlx::query_as(sql).bind(directory.as_str()).bind(after).bind(i64::from(limit))).await
    }

    async fn accounts_of(
        &self,
        person: &PersonId,
        directory: &ConnectionId,
        mode: Mode,
    ) -> Result<Vec<Account>, StoreError> {
        let sql = "SELECT id, doc FROM accounts AS a
             WHERE person = $1 AND directory = $2 AND mode = $3
               AND (mode = 'standard'
                    OR EXISTS (SELECT 1 FROM grants AS g WHERE g.account = a.id AND g.is_open = 1))
             ORDER BY id";
        let query = sqlx::query_as(sql).bind(person.as_str()).bind(directory.as_str()).bind(commit::mode_name(mode));
        self.docs("accounts", query).await
    }

    async fn accounts(&self, after: Option<&AccountId>, limit: u32) -> Result<Vec<Account>, StoreError> {
        let sql = "SELECT id, doc FROM accounts WHERE id > $1 ORDER BY id LIMIT $2";
        self.docs("accounts", sqlx::query_as(sql).bind(after.map_or("", AccountId::as_str)).bind(i64::from(limit)))
            .await
    }

    async fn sighting(&self, ticket: &TicketRef, mapping: &MappingId) -> Result<Option<Sighting>, StoreError> {
        let sql = "SELECT ticket, doc FROM sightings WHERE ticket = $1 AND mapping = $2";
        let query = sqlx::query_as(sql).bind(ticket.to_string()).bind(mapping.as_str());
        Ok(self.docs("sightings", query).await?.pop())
    }

    async fn open_notices(&self, ticket: &TicketRef) -> Result<Vec<Notice>, StoreError> {
        let sql = "SELECT id, doc FROM notices WHERE ticket = $1 AND is_open = 1 ORDER BY seq";
        self.docs("notices", sqlx::query_as(sql).bind(ticket.to_string())).await
    }

    async fn notices_of(&self, grant: &GrantId) -> Result<Vec<Notice>, StoreError> {
        let sql = "SELECT id, doc FROM notices WHERE grant_id = $1 ORDER BY seq";
        self.docs("notices", sqlx::query_as(sql).bind(grant.as_str())).await
    }

    async fn sealed(&self, id: &SecretId) -> Result<Option<SealedRow>, StoreError> {
        keys::by_id(&self.readers, id).await
    }

    async fn sealed_named(&self, name: &str) -> Result<Option<SealedRow>, StoreError> {
        keys::by_name(&self.readers, name).await
    }

    async fn sealed_names(&self) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar("SELECT name FROM sealed WHERE name IS NOT NULL ORDER BY name")
            .fetch_all(&self.readers)
            .await
            .map_err(engine)
    }

    async fn sealed_page(&self, after: Option<&SecretId>, limit: u32) -> Result<Vec<SealedRow>, StoreError> {
        keys::page(&self.readers, after, limit).await
    }

    async fn rewrap(&self, rows: Vec<Rewrapped>) -> Result<u64, StoreError> {
        self.write(keys::Rewrap(rows)).await
    }

    async fn retire_key(&self, key_id: &str) -> Result<u64, StoreError> {
        self.write(keys::Retire(key_id.to_owned())).await
    }

    async fn audit(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let rows = self.audit_rows(&AuditFilter::default(), after, limit).await?;
        rows.iter().map(AuditRow::entry).collect()
    }

    async fn newest_audit(&self, codes: &[Code], limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        audit_read::newest(&self.readers, codes, limit).await
    }

    async fn audit_rows(&self, filter: &AuditFilter, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        audit_read::rows(&self.readers, filter, after, limit).await
    }

    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        audit_read::head(&self.readers).await
    }

    async fn audit_checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        audit_read::checkpoints(&self.readers).await
    }

    async fn audit_prunable(&self, before: Timestamp) -> Result<Option<Prunable>, StoreError> {
        let mut conn = self.readers.acquire().await.map_err(engine)?;
        audit_read::prunable(&mut conn, audit_read::Bound { before, up_to: i64::MAX }).await
    }

    async fn audit_prune(&self, checkpoint: &Checkpoint, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(audit::Prune { checkpoint: checkpoint.clone(), entry }).await?;
        while self.write(audit::Forget).await? {}
        Ok(())
    }

    async fn audit_owed(&self) -> Result<u64, StoreError> {
        audit_read::owed(&self.readers).await
    }

    async fn chain_owed(&self) -> Result<(), StoreError> {
        if self.audit_owed().await? > 0 {
            while self.write(audit::Pay).await? > 0 {}
        }
        Ok(())
    }

    async fn factors(&self, person: &PersonId) -> Result<Option<Factors>, StoreError> {
        let found: Option<(String, String, i64)> =
            sqlx::query_as("SELECT password_hash, totp, enrolled_at FROM factors WHERE person = $1")
                .bind(person.as_str())
                .fetch_optional(&self.readers)
                .await
                .map_err(engine)?;
        let Some((password_hash, totp, enrolled_at)) = found else { return Ok(None) };
        Ok(Some(Factors {
            person: person.clone(),
            password_hash,
            totp: row::parse("factors", person.as_str(), &totp)?,
            enrolled_at: Timestamp::from_millis(enrolled_at),
        }))
    }

    async fn enroll(&self, enrolled: &Enrolled) -> Result<(), StoreError> {
        self.write(enroll::Enroll(enrolled.clone())).await
    }

    async fn invite(&self, invitation: &Invitation, by: &By, at: Timestamp) -> Result<(), StoreError> {
        self.write(enroll::Invite { invitation: invitation.clone(), by: by.clone(), at }).await
    }

    async fn uninvite(&self, person: &PersonId) -> Result<(), StoreError> {
        self.write(enroll::Uninvite(person.clone())).await
    }

    async fn invitation(&self, token_hash: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        enroll::invitation(&self.readers, token_hash, now).await
    }

    async fn choose(&self, token_hash: &str, chosen: &Chosen, now: Timestamp) -> Result<(), StoreError> {
        self.write(enroll::Choose { token_hash: token_hash.to_owned(), chosen: chosen.clone(), now }).await
    }

    async fn use_step(&self, person: &PersonId, step: i64) -> Result<bool, StoreError> {
        self.write(people::UseStep(person.clone(), step)).await
    }

    async fn count_failure(&self, key: &str, at: Timestamp, since: Timestamp) -> Result<u32, StoreError> {
        self.write(people::CountFailure { key: key.to_owned(), at, since }).await
    }

    async fn failures(&self, key: &str, since: Timestamp) -> Result<u32, StoreError> {
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM failures WHERE key = $1 AND at >= $2")
            .bind(key)
            .bind(since.millis())
            .fetch_one(&self.readers)
            .await
            .map_err(engine)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }

    async fn open_session(&self, session: &Session, tasks: Vec<NewTask>, now: Timestamp) -> Result<(), StoreError> {
        self.write(people::OpenSession { session: session.clone(), tasks, now }).await
    }

    async fn session(
        &self,
        token_hash: &str,
        now: Timestamp,
        idle_end: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        // A made-up token never reaches the writer.
        let Some(found) = people::session(&self.readers, token_hash, now).await? else { return Ok(None) };
        let seen = people::SeeSession { token_hash: token_hash.to_owned(), now, idle_end };
        match self.write(seen).await {
            // Who is signed in can still end an access while nothing else can be written.
            Err(StoreError::Full | StoreError::Busy) => Ok(Some(found)),
            other => other,
        }
    }

    async fn close_session(&self, token_hash: &str) -> Result<(), StoreError> {
        self.write(people::CloseSession(token_hash.to_owned())).await
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>, StoreError> {
        self.write(tasks::Claim(claim.clone())).await
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool, StoreError> {
        self.write(tasks::Renew(lease.clone(), until)).await
    }

    async fn finish(&self, lease: &Lease, finish: Finish) -> Result<bool, StoreError> {
        self.write(tasks::End(lease.clone(), finish)).await
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        let (pending, leased): (Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT min(run_at) FROM tasks WHERE state = 'pending'),
                    (SELECT min(lease_until) FROM tasks WHERE state = 'leased')",
        )
        .fetch_one(&self.readers)
        .await
        .map_err(engine)?;
        let leased = leased.map(|until| until + dialect::LEASE_GRACE_MS);
        Ok(pending.into_iter().chain(leased).min().map(Timestamp::from_millis))
    }

    async fn queue(&self, now: Timestamp) -> Result<QueueState, StoreError> {
        let (ready, leased, future, dead, oldest): (i64, i64, i64, i64, Option<i64>) = sqlx::query_as(
            "SELECT (SELECT count(*) FROM tasks WHERE state = 'pending' AND run_at <= $1),
                    (SELECT count(*) FROM tasks WHERE state = 'leased'),
                    (SELECT count(*) FROM tasks WHERE state = 'pending' AND run_at > $1),
                    (SELECT count(*) FROM tasks WHERE state = 'dead'),
                    (SELECT min(run_at) FROM tasks WHERE state = 'pending' AND run_at <= $1)",
        )
        .bind(now.millis())
        .fetch_one(&self.readers)
        .await
        .map_err(engine)?;
        let count = |n: i64| u64::try_from(n).unwrap_or(0);
        Ok(QueueState {
            ready: count(ready),
            leased: count(leased),
            future: count(future),
            dead: count(dead),
            oldest_due: oldest.map(Timestamp::from_millis),
        })
    }

    async fn cursor(&self, connection: &ConnectionId) -> Result<Option<Cursor>, StoreError> {
        watched::cursor(&self.readers, connection).await
    }

    async fn trouble(&self, connection: &ConnectionId, kind: TroubleKind) -> Result<Option<Trouble>, StoreError> {
        watched::trouble(&self.readers, connection, kind).await
    }

    async fn troubles(&self) -> Result<Vec<Trouble>, StoreError> {
        watched::troubles(&self.readers).await
    }

    async fn unseen(&self, connection: &ConnectionId, changed: &[TicketChanged]) -> Result<Vec<TicketId>, StoreError> {
        watched::unseen(&self.readers, connection, changed).await
    }

    async fn looks_ahead(&self, connection: &ConnectionId) -> Result<u64, StoreError> {
        watched::looks_ahead(&self.readers, connection).await
    }

    async fn tickets_with_access(
        &self,
        connection: &ConnectionId,
        turn: i64,
        at_once: u32,
    ) -> Result<Vec<TicketRef>, StoreError> {
        watched::tickets_with_access(&self.readers, connection, turn, at_once).await
    }

    async fn people_here(&self, now: Timestamp) -> Result<Vec<PersonId>, StoreError> {
        watched::people_here(&self.readers, now).await
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let looked = async {
            let mut reader = self.readers.acquire().await.map_err(engine)?;
            sweep::missing(&mut reader, now, Room::Free).await
        };
        // Where it cannot be read in this way, who writes looks.
        let makes = looked.await.map_or(true, |missing| !missing.is_empty());
        self.write(sweep::Sweep { now, makes }).await
    }

    async fn heartbeat(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(people::Heartbeat(now)).await
    }

    async fn last_seen(&self) -> Result<Option<Timestamp>, StoreError> {
        people::time(&self.readers, people::LAST_SEEN).await
    }

    async fn heartbeat_in_doubt(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(people::HeartbeatInDoubt(now)).await
    }

    async fn counted_since(&self) -> Result<Option<Timestamp>, StoreError> {
        people::time(&self.readers, people::IN_DOUBT).await
    }

    async fn generation(&self) -> Result<Generation, StoreError> {
        generation::read(&self.readers).await
    }

    async fn raise_generation(&self, seen: i64) -> Result<i64, StoreError> {
        self.write(generation::Raise { seen, settled: None }).await
    }
    async fn end_comparing(&self, seen: i64, settled: Comparing) -> Result<i64, StoreError> {
        self.write(generation::Raise { seen, settled: Some(settled) }).await
    }

    async fn compared_so_far(&self, comparing: Comparing, directories: &[ConnectionId]) -> Result<(), StoreError> {
        self.write(generation::SoFar { comparing, directories: directories.to_vec() }).await
    }

    async fn compare_first(&self, comparing: Comparing) -> Result<Comparing, StoreError> {
        self.write(generation::CompareFirst(comparing)).await
    }
}
