//! Sign-in: used steps, failures, sessions; and the heartbeat.

use async_trait::async_trait;
use latchkey_contract::{PersonId, Timestamp};

use super::{
    Conn, Executor, Pool, StoreError, engine, rules, tasks,
    write::{Room, Write},
};
use crate::{
    jobs::task::NewTask,
    store::{Session, row},
};

/// Failures older than this count for nobody and are forgotten.
const FAILURES_KEPT_MS: i64 = 7 * 24 * 60 * 60 * 1000;

pub(super) struct UseStep(pub(super) PersonId, pub(super) i64);

#[async_trait]
impl Write for UseStep {
    type Out = bool;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "UPDATE factors SET last_step = $2 WHERE person = $1 AND (last_step IS NULL OR last_step < $2)",
        )
        .bind(self.0.as_str())
        .bind(self.1)
        .execute(conn)
        .await
        .map_err(engine)?;
        Ok(done.rows_affected() == 1)
    }
}

pub(super) struct CountFailure {
    pub(super) key: String,
    pub(super) at: Timestamp,
    pub(super) since: Timestamp,
}

#[async_trait]
impl Write for CountFailure {
    type Out = u32;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<u32, StoreError> {
        sqlx::query("DELETE FROM failures WHERE at < $1")
            .bind(self.at.millis() - FAILURES_KEPT_MS)
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
        sqlx::query("INSERT INTO failures (key, at) VALUES ($1, $2)")
            .bind(&self.key)
            .bind(self.at.millis())
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
        let count: i64 = sqlx::query_scalar("SELECT count(*) FROM failures WHERE key = $1 AND at >= $2")
            .bind(&self.key)
            .bind(self.since.millis())
            .fetch_one(conn)
            .await
            .map_err(engine)?;
        Ok(u32::try_from(count).unwrap_or(u32::MAX))
    }
}

pub(super) struct OpenSession {
    pub(super) session: Session,
    pub(super) tasks: Vec<NewTask>,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for OpenSession {
    type Out = ();

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<(), StoreError> {
        let session = &self.session;
        rules::not_held(conn, &session.person).await?;
        sqlx::query(
            "INSERT INTO sessions (token_hash, person, form_token, until_at, idle_until) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(&session.token_hash)
        .bind(session.person.as_str())
        .bind(&session.form_token)
        .bind(session.until.millis())
        .bind(session.idle_until.millis())
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        for task in &self.tasks {
            tasks::add(conn, task, self.now).await?;
        }
        Ok(())
    }
}

pub(super) struct SeeSession {
    pub(super) token_hash: String,
    pub(super) now: Timestamp,
    pub(super) idle_end: Timestamp,
}

#[async_trait]
impl Write for SeeSession {
    type Out = Option<Session>;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<Option<Session>, StoreError> {
        let found: Option<Row> = sqlx::query_as(
            "UPDATE sessions SET idle_until = $3 WHERE token_hash = $1 AND until_at > $2 AND idle_until > $2
             RETURNING person, form_token, until_at, idle_until",
        )
        .bind(&self.token_hash)
        .bind(self.now.millis())
        .bind(self.idle_end.millis())
        .fetch_optional(&mut *conn)
        .await
        .map_err(engine)?;
        sqlx::query("DELETE FROM sessions WHERE until_at <= $1")
            .bind(self.now.millis())
            .execute(conn)
            .await
            .map_err(engine)?;
        found.map(|row| read(&self.token_hash, row)).transpose()
    }
}

/// A session that is not over, as it stands.
pub(super) async fn session(readers: &Pool, token_hash: &str, now: Timestamp) -> Result<Option<Session>, StoreError> {
    let found: Option<Row> = sqlx::query_as(
        "SELECT person, form_token, until_at, idle_until FROM sessions
         WHERE token_hash = $1 AND until_at > $2 AND idle_until > $2",
    )
    .bind(token_hash)
    .bind(now.millis())
    .fetch_optional(readers)
    .await
    .map_err(engine)?;
    found.map(|row| read(token_hash, row)).transpose()
}

type Row = (String, String, i64, i64);

fn read(token_hash: &str, (person, form_token, until, idle_until): Row) -> Result<Session, StoreError> {
    Ok(Session {
        token_hash: token_hash.to_owned(),
        person: row::parse("sessions", "(by token)", &person)?,
        form_token,
        until: Timestamp::from_millis(until),
        idle_until: Timestamp::from_millis(idle_until),
    })
}

pub(super) struct CloseSession(pub(super) String);

#[async_trait]
impl Write for CloseSession {
    type Out = ();

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<(), StoreError> {
        sqlx::query("DELETE FROM sessions WHERE token_hash = $1").bind(&self.0).execute(conn).await.map_err(engine)?;
        Ok(())
    }
}

pub(super) struct Heartbeat(pub(super) Timestamp);

#[async_trait]
impl Write for Heartbeat {
    type Out = ();

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<(), StoreError> {
        sqlx::query(
            "DELETE FROM meta
             WHERE name = $1 AND $2 > coalesce((SELECT CAST(value AS BIGINT) FROM meta WHERE name = $3), -1)",
        )
        .bind(IN_DOUBT)
        .bind(self.0.millis())
        .bind(LAST_SEEN)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        note_time(conn, LAST_SEEN, self.0).await
    }
}

pub(super) struct HeartbeatInDoubt(pub(super) Timestamp);

#[async_trait]
impl Write for HeartbeatInDoubt {
    type Out = ();

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<(), StoreError> {
        note_time(conn, IN_DOUBT, self.0).await
    }
}

pub(super) const LAST_SEEN: &str = "last-seen";
pub(super) const IN_DOUBT: &str = "last-seen-in-doubt";

/// Writes the row whatever the time, and never takes it back.
async fn note_time(conn: &mut Conn, name: &str, at: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO meta (name, value) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET value =
             CASE WHEN CAST(excluded.value AS BIGINT) > CAST(meta.value AS BIGINT) THEN excluded.value ELSE meta.value END",
    )
    .bind(name)
    .bind(at.millis().to_string())
    .execute(conn)
    .await
    .map_err(engine)?;
    Ok(())
}

pub(super) async fn time<'e>(conn: impl Executor<'e>, name: &str) -> Result<Option<Timestamp>, StoreError> {
    let found: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
        .bind(name)
        .fetch_optional(conn)
        .await
        .map_err(engine)?;
    found.map(|ms| row::parse("meta", name, &ms).map(Timestamp::from_millis)).transpose()
}
