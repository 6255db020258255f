//! What is in force: rulebook, records, holds, and the one number that counts their changes.

use async_trait::async_trait;
use latchkey_contract::{GrantId, PersonId, Timestamp};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::json;

use super::{
    Conn, Executor, StoreError,
    audit::Append,
    dialect, engine, enroll, sweep, tasks,
    write::{Class, Room, Write},
};
use crate::{
    audit::{AuditEntry, By, Code},
    jobs::task::{NewTask, Priority, Work},
    rulebook::{Hold, HoldCause, HoldOn, Rebound, Records, Rulebook, Rules},
    store::{Revision, Scope, row},
};

pub(super) async fn revision<'e>(conn: impl Executor<'e>) -> Result<i64, StoreError> {
    sqlx::query_scalar("SELECT coalesce(max(revision), 0) FROM revisions").fetch_one(conn).await.map_err(engine)
}

/// Everything that is in force, read in one transaction.
pub(super) async fn read(conn: &mut Conn) -> Result<Rules, StoreError> {
    let revision = revision(&mut *conn).await?;
    let rulebook = rulebook_at(&mut *conn, i64::MAX).await?.unwrap_or_default();
    let records = Records {
        connections: of_kind(conn, "connection").await?,
        customers: of_kind(conn, "customer").await?,
        people: of_kind(conn, "person").await?,
    };
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT target, doc FROM holds ORDER BY target").fetch_all(&mut *conn).await.map_err(engine)?;
    let holds = rows.iter().map(|(target, doc)| row::decode("holds", target, doc)).collect::<Result<_, _>>()?;
    Ok(Rules { revision, rulebook, records, holds, was_bound: was_bound(conn).await? })
}

/// Also where the records of today bind nobody: removed ones stay in the history.
async fn was_bound(conn: &mut Conn) -> Result<bool, StoreError> {
    sqlx::query_scalar(dialect::WAS_BOUND).fetch_one(conn).await.map_err(engine)
}

/// The rulebook as it was at a revision.
pub(super) async fn rulebook_at<'e>(conn: impl Executor<'e>, revision: i64) -> Result<Option<Rulebook>, StoreError> {
    let found: Option<(i64, String)> =
        sqlx::query_as("SELECT revision, doc FROM rulebooks WHERE revision <= $1 ORDER BY revision DESC LIMIT 1")
            .bind(revision)
            .fetch_optional(conn)
            .await
            .map_err(engine)?;
    found.map(|(revision, doc)| row::decode("rulebooks", &revision.to_string(), &doc)).transpose()
}

async fn of_kind<T: DeserializeOwned>(conn: &mut Conn, kind: &str) -> Result<Vec<T>, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as(
        "SELECT r.id, r.doc FROM records AS r
         WHERE r.kind = $1 AND r.doc IS NOT NULL
           AND r.revision = (SELECT max(n.revision) FROM records AS n WHERE n.kind = r.kind AND n.id = r.id)
         ORDER BY r.id",
    )
    .bind(kind)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    rows.iter().map(|(id, doc)| row::decode("records", id, doc)).collect()
}

/// The newest revisions, newest first.
pub(super) async fn history<'e>(conn: impl Executor<'e>, limit: u32) -> Result<Vec<Revision>, StoreError> {
    const SQL: &str =
        "SELECT revision, author, reason, saved_at, changed FROM revisions ORDER BY revision DESC LIMIT $1";
    revisions(conn, SQL, limit).await
}

/// Those that changed the rulebook.
pub(super) async fn rulebook_history<'e>(conn: impl Executor<'e>, limit: u32) -> Result<Vec<Revision>, StoreError> {
    const SQL: &str = "SELECT revision, author, reason, saved_at, changed FROM revisions
         WHERE revision IN (SELECT revision FROM rulebooks) ORDER BY revision DESC LIMIT $1";
    revisions(conn, SQL, limit).await
}

async fn revisions<'e>(conn: impl Executor<'e>, sql: &'static str, limit: u32) -> Result<Vec<Revision>, StoreError> {
    let rows: Vec<(i64, String, String, i64, String)> =
        sqlx::query_as(sql).bind(i64::from(limit)).fetch_all(conn).await.map_err(engine)?;
    let read = |(revision, author, reason, at, changed): (i64, String, String, i64, String)| {
        let changed = row::decode("revisions", &revision.to_string(), &changed)?;
        Ok(Revision { revision, author, reason, at: Timestamp::from_millis(at), changed })
    };
    rows.into_iter().map(read).collect()
}

/// Grants of a scope that were asked for since, as brakes count them: what was never given does not count, what waits does.
pub(super) async fn count_grants<'e>(
    conn: impl Executor<'e>,
    scope: &Scope,
    since: &str,
    before: Option<&str>,
) -> Result<u32, StoreError> {
    let sql = match scope {
        Scope::Person(_) => {
            "SELECT count(*) FROM grants WHERE person = $2 AND id >= $1 AND ($3 IS NULL OR id < $3) AND state NOT IN ('refused', 'denied', 'lapsed')"
        }
        Scope::Customer(_) => {
            "SELECT count(*) FROM grants WHERE customer = $2 AND id >= $1 AND ($3 IS NULL OR id < $3) AND state NOT IN ('refused', 'denied', 'lapsed')"
        }
        Scope::Everything => {
            "SELECT count(*) FROM grants WHERE id >= $1 AND $2 = '' AND ($3 IS NULL OR id < $3) AND state NOT IN ('refused', 'denied', 'lapsed')"
        }
    };
    let count: i64 =
        sqlx::query_scalar(sql).bind(since).bind(scope.of()).bind(before).fetch_one(conn).await.map_err(engine)?;
    Ok(u32::try_from(count).unwrap_or(u32::MAX))
}

/// Who changed something, and why: bounded where it comes from outside.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) at: Timestamp,
}

impl Change {
    /// Counts one more change, tells the audit, and looks again at what stands.
    async fn write(&self, conn: &mut Conn, changed: &[String]) -> Result<i64, StoreError> {
        let next = revision(&mut *conn).await? + 1;
        sqlx::query("INSERT INTO revisions (revision, author, reason, saved_at, changed) VALUES ($1, $2, $3, $4, $5)")
            .bind(next)
            .bind(&self.by)
            .bind(&self.reason)
            .bind(self.at.millis())
            .bind(row::encode(&changed)?)
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
        Ok(next)
    }

    fn entry(&self, code: Code, revision: i64, mut detail: serde_json::Value) -> AuditEntry {
        if let Some(map) = detail.as_object_mut() {
            map.insert("revision".to_owned(), json!(revision));
            map.insert("reason".to_owned(), json!(self.reason));
        }
        AuditEntry::new(code, self.at, By::told(&self.by), detail)
    }
}

/// Most accounts looked at by one transaction while only the reserve is left; the sweep goes on.
const ON_RESERVE: i64 = 500;

/// A change of what is in force acts at once: whoever has access that it may be about is looked at again.
async fn look_again(conn: &mut Conn, scope: &Scope, at: Timestamp, room: Room) -> Result<(), StoreError> {
    let accounts: Vec<(String, String, i64)> = sqlx::query_as(
        "SELECT a.id, a.directory, min(g.risk) AS risk FROM accounts AS a JOIN grants AS g ON g.account = a.id
         WHERE g.is_open = 1 AND g.state <> 'ending'
           AND ($1 = '' OR ($2 = 'customer' AND g.customer = $1) OR ($2 = 'person' AND g.person = $1))
         GROUP BY a.id, a.directory
         ORDER BY risk LIMIT $3",
    )
    .bind(scope.of())
    .bind(if matches!(scope, Scope::Customer(_)) { "customer" } else { "person" })
    .bind(if room == Room::Reserved { ON_RESERVE } else { i64::MAX })
    .fetch_all(&mut *conn)
    .await
    .map_err(engine)?;
    for (id, directory, risk) in accounts {
        let (account, directory) = (row::parse("accounts", &id, &id)?, row::parse("accounts", &id, &directory)?);
        let work = Work::Converge { account, directory };
        let task = NewTask::new(work, at, Priority::Removal).of(row::risk("grants", &id, risk)?);
        tasks::add(conn, &task, at).await?;
    }
    Ok(())
}

pub(super) struct SaveRules {
    pub(super) rules: Rules,
    pub(super) change: Change,
}

#[async_trait]
impl Write for SaveRules {
    type Out = i64;

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<i64, StoreError> {
        let before = read(conn).await?;
        if before.revision != self.rules.revision {
            return Err(StoreError::Conflict);
        }
        // In this transaction: a request may be decided in the moment after somebody looked.
        let gone = gone(&self.rules.records, &before.records);
        let still_used = used(conn, &gone).await?;
        if let Some((record, grant)) = still_used {
            return Err(StoreError::StillUsed { record, grant });
        }
        let mut changed = self.rules.records.changed(&before.records);
        let is_new_book = before.revision == 0 || before.rulebook != self.rules.rulebook;
        if is_new_book {
            changed.push("rulebook".to_owned());
        }
        let next = self.change.write(conn, &changed).await?;
        if is_new_book {
            sqlx::query("INSERT INTO rulebooks (revision, doc) VALUES ($1, $2)")
                .bind(next)
                .bind(row::encode(&self.rules.rulebook)?)
                .execute(&mut *conn)
                .await
                .map_err(engine)?;
        }
        let (now, old) = (&self.rules.records, &before.records);
        put_records(conn, next, "connection", &now.connections, &old.connections, |c| c.id.as_str()).await?;
        put_records(conn, next, "customer", &now.customers, &old.customers, |c| c.id.as_str()).await?;
        put_records(conn, next, "person", &now.people, &old.people, |p| p.id.as_str()).await?;
        for gone in old.people.iter().filter(|person| now.person(&person.id).is_none()) {
            enroll::forget(conn, &gone.id).await?;
        }
        let mut entries = vec![self.change.entry(Code::RulesSaved, next, json!({ "changed": changed }))];
        for (what, binding) in now.rebound(old) {
            let detail = json!({ "member": format!("{}/{}", binding.connection, binding.member) });
            let code = match what {
                Rebound::Added => Code::BindingAdded,
                Rebound::Confirmed => Code::BindingConfirmed,
                Rebound::Removed => Code::BindingRemoved,
            };
            let entry = self.change.entry(code, next, detail);
            entries.push(AuditEntry { person: Some(binding.person), ..entry });
        }
        Append::default().run(conn, &entries, room).await?;
        look_again(conn, &Scope::Everything, self.change.at, room).await?;
        for task in sweep::polls(conn, self.change.at).await? {
            tasks::add(conn, &task, self.change.at).await?;
        }
        Ok(next)
    }
}

/// The records that are there no longer, by kind and id.
fn gone<'a>(now: &Records, old: &'a Records) -> Vec<(&'static str, &'a str)> {
    let connections = old.connections.iter().filter(|c| now.connection(&c.id).is_none());
    let customers = old.customers.iter().filter(|c| now.customer(&c.id).is_none());
    let people = old.people.iter().filter(|p| now.person(&p.id).is_none());
    let connections = connections.map(|c| ("connection", c.id.as_str()));
    let customers = customers.map(|c| ("customer", c.id.as_str()));
    connections.chain(customers).chain(people.map(|p| ("person", p.id.as_str()))).collect()
}

/// The first of these records that a grant which is not over needs, and that grant.
async fn used(conn: &mut Conn, records: &[(&'static str, &str)]) -> Result<Option<(String, GrantId)>, StoreError> {
    for (kind, id) in records {
        let sql = match *kind {
            "connection" => {
                "SELECT g.id FROM grants AS g JOIN accounts AS a ON a.id = g.account
                 WHERE g.is_open = 1 AND (a.directory = $1 OR substr(g.ticket, 1, length($1) + 1) = $1 || '/') LIMIT 1"
            }
            "customer" => "SELECT id FROM grants WHERE is_open = 1 AND customer = $1 LIMIT 1",
            _ => "SELECT id FROM grants WHERE is_open = 1 AND person = $1 LIMIT 1",
        };
        let found: Option<String> =
            sqlx::query_scalar(sql).bind(id).fetch_optional(&mut *conn).await.map_err(engine)?;
        if let Some(grant) = found {
            return Ok(Some((format!("{kind}/{id}"), row::parse("grants", &grant, &grant)?)));
        }
    }
    Ok(None)
}

/// Writes the records that differ, and for those that are gone a row that says so.
async fn put_records<T: Serialize + PartialEq>(
    conn: &mut Conn,
    revision: i64,
    kind: &str,
    now: &[T],
    old: &[T],
    id: impl Fn(&T) -> &str,
) -> Result<(), StoreError> {
    let mut rows: Vec<(&str, Option<String>)> = Vec::new();
    for record in now.iter().filter(|r| !old.contains(r)) {
        rows.push((id(record), Some(row::encode(record)?)));
    }
    rows.extend(old.iter().filter(|o| now.iter().all(|n| id(n) != id(o))).map(|gone| (id(gone), None)));
    for (id, doc) in rows {
        sqlx::query("INSERT INTO records (kind, id, revision, doc) VALUES ($1, $2, $3, $4)")
            .bind(kind)
            .bind(id)
            .bind(revision)
            .bind(doc)
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
    }
    Ok(())
}

/// Sets a hold: goes first, may use what is reserved, never loses a race.
pub(super) struct SetHold {
    hold: Hold,
    /// By whom and when it is taken over from another database, where it is.
    pub(super) taken_over: Option<Change>,
    append: Append,
}

impl SetHold {
    pub(super) fn new(hold: Hold) -> Self {
        Self { hold, taken_over: None, append: Append::removal(true) }
    }

    /// Whether it is to stand in the place of another hold on the same.
    pub(super) fn replaces(&self, before: &Hold) -> bool {
        before.cause < self.hold.cause
            || (self.taken_over.is_some() && before.cause == self.hold.cause && before.since < self.hold.since)
    }
}

#[async_trait]
impl Write for SetHold {
    type Out = i64;

    fn class(&self) -> Class {
        Class::Removal
    }

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<i64, StoreError> {
        let hold = &self.hold;
        let target = hold.on.to_string();
        let before = hold_on(conn, &target).await?;
        let set = || Change { by: hold.by.clone(), reason: hold.reason.clone(), at: hold.since };
        let change = self.taken_over.clone().unwrap_or_else(set);
        let next = change.write(conn, &[format!("hold {target}")]).await?;
        if before.is_none_or(|before| self.replaces(&before)) {
            sqlx::query(
                "INSERT INTO holds (target, doc) VALUES ($1, $2) ON CONFLICT (target) DO UPDATE SET doc = excluded.doc",
            )
            .bind(&target)
            .bind(row::encode(hold)?)
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
        }
        let mut entry = change.entry(Code::HoldSet, next, json!({ "on": target, "cause": hold.cause }));
        if let HoldOn::Person(person) = &hold.on {
            enroll::shut_out(conn, person).await?;
            entry.person = Some(person.clone());
        }
        if hold.cause == HoldCause::Left && self.taken_over.is_none() {
            // The PSA said so; nobody was at the command line.
            entry.by = Some(By::Service);
        }
        self.append.run(conn, &[entry], room).await?;
        look_again(conn, &hold.on.scope(), change.at, room).await?;
        Ok(next)
    }
}

/// Lifts a hold; `false` when there was none of this cause or a lesser one.
pub(super) struct LiftHold {
    pub(super) on: HoldOn,
    pub(super) up_to: HoldCause,
    pub(super) change: Change,
}

#[async_trait]
impl Write for LiftHold {
    type Out = bool;

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<bool, StoreError> {
        let target = self.on.to_string();
        if hold_on(conn, &target).await?.is_none_or(|hold| hold.cause > self.up_to) {
            return Ok(false);
        }
        let next = self.change.write(conn, &[format!("hold {target}")]).await?;
        sqlx::query("DELETE FROM holds WHERE target = $1").bind(&target).execute(&mut *conn).await.map_err(engine)?;
        let entry = self.change.entry(Code::HoldLifted, next, json!({ "on": target }));
        Append::default().run(conn, &[entry], room).await?;
        Ok(true)
    }
}

pub(super) async fn hold_on(conn: &mut Conn, target: &str) -> Result<Option<Hold>, StoreError> {
    let doc: Option<String> = sqlx::query_scalar("SELECT doc FROM holds WHERE target = $1")
        .bind(target)
        .fetch_optional(conn)
        .await
        .map_err(engine)?;
    doc.map(|doc| row::decode("holds", target, &doc)).transpose()
}

/// Nobody who is held is let in or enrolled, whatever was looked at before.
pub(super) async fn not_held(conn: &mut Conn, person: &PersonId) -> Result<(), StoreError> {
    match hold_on(conn, &HoldOn::Person(person.clone()).to_string()).await? {
        None => Ok(()),
        Some(_) => Err(StoreError::Conflict),
    }
}

/// Tells every process that something outside the rules has changed (a secret), by a revision of its own.
pub(super) struct Touch {
    pub(super) changed: Vec<String>,
    pub(super) change: Change,
}

#[async_trait]
impl Write for Touch {
    type Out = i64;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<i64, StoreError> {
        let next = self.change.write(conn, &self.changed).await?;
        Ok(next)
    }
}
