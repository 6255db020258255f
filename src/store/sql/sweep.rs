//! The sweep: rows are the truth, and a task that a row needs and that is missing is made again.

use async_trait::async_trait;
use latchkey_contract::{ConnectionId, TicketRef, Timestamp, directory::Risk};

use super::{
    Conn, StoreError, dialect, engine, enroll, intake, tasks,
    write::{Class, Room, Write},
};
use crate::{
    jobs,
    jobs::task::{NewTask, Priority, Work},
    store::row,
};

/// Most tasks of each kind that one sweep makes; the next goes on.
const SWEPT: i64 = 500;

pub(super) struct Sweep {
    pub(super) now: Timestamp,
    /// Something was missing to who only read.
    pub(super) makes: bool,
}

#[async_trait]
impl Write for Sweep {
    type Out = u64;

    fn class(&self) -> Class {
        Class::Removal
    }

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<u64, StoreError> {
        enroll::forget_old(conn, self.now).await?;
        if room == Room::Free {
            forget_mails(conn, self.now).await?;
        }
        if !self.makes {
            return Ok(0);
        }
        let missing = missing(conn, self.now, room).await?;
        for task in &missing {
            tasks::add(conn, task, self.now).await?;
        }
        Ok(missing.len() as u64)
    }
}

/// What rows need and is not there. It takes the longer the more is stored: who writes asks only if there is something.
pub(super) async fn missing(conn: &mut Conn, now: Timestamp, room: Room) -> Result<Vec<NewTask>, StoreError> {
    let mut missing = due(conn).await?;
    missing.extend(converge(conn, now).await?);
    missing.extend(presence(conn, now).await?);
    if room == Room::Free {
        missing.extend(tell(conn, now).await?);
        missing.extend(deliveries(conn).await?);
        missing.extend(polls(conn, now).await?);
        missing.extend(rechecks(conn, now).await?);
        missing.extend(alerts(conn, now).await?);
        missing.extend(mails(conn, now).await?);
        missing.extend(audit_head(conn, now).await?);
    }
    Ok(missing)
}

/// Removals, and tellings, are asked for again also where their task lies dead: they are never given up.
async fn due(conn: &mut Conn) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<(String, i64, i64)> = sqlx::query_as(
        "SELECT g.id, g.due_at, g.risk FROM grants AS g
         LEFT JOIN tasks AS t ON t.slot = 'due:' || g.id
         WHERE g.is_open = 1 AND g.due_at IS NOT NULL AND (t.id IS NULL OR t.state = 'dead')
         ORDER BY g.due_at LIMIT $1",
    )
    .bind(SWEPT)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    Ok(readable(rows, |(id, at, risk)| {
        let grant = row::parse("grants", &id, &id)?;
        let due = NewTask::new(Work::Due { grant }, Timestamp::from_millis(at), Priority::Removal);
        Ok(due.of(row::risk("grants", &id, risk)?))
    }))
}

/// Id, directory, whether removal and giving are owed, when to look again, the greatest risk of its open grants.
type Lacking = (String, String, bool, bool, Option<i64>, Option<i64>);

async fn converge(conn: &mut Conn, now: Timestamp) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<Lacking> = sqlx::query_as(
        "SELECT id, directory, is_removal, is_giving, look_at, risk FROM (
             SELECT a.id, a.directory, a.look_at, t.id AS task, t.state,
                    EXISTS (SELECT 1 FROM grants AS g
                            WHERE g.account = a.id AND g.is_open = 1 AND g.state = 'ending')
                        OR EXISTS (SELECT 1 FROM grants AS g JOIN holds AS h
                                   ON h.target IN ('all', 'customer/' || g.customer, 'person/' || g.person)
                                   WHERE g.account = a.id AND g.is_open = 1)
                        OR a.is_overdue = 1 AS is_removal,
                    EXISTS (SELECT 1 FROM grants AS g
                            WHERE g.account = a.id AND g.is_open = 1 AND g.state IN ('granting', 'delivering'))
                        AS is_giving,
                    (SELECT min(g.risk) FROM grants AS g WHERE g.account = a.id AND g.is_open = 1) AS risk
             FROM accounts AS a
             LEFT JOIN tasks AS t ON t.slot = 'converge:' || a.id
             WHERE a.look_at IS NOT NULL OR a.is_overdue = 1
                OR a.id IN (SELECT account FROM grants WHERE is_open = 1)) AS wanted
         WHERE ((is_removal OR is_giving OR look_at IS NOT NULL) AND task IS NULL)
            OR ((is_removal OR look_at IS NOT NULL) AND state = 'dead')
         ORDER BY is_removal DESC, id LIMIT $1",
    )
    .bind(SWEPT)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    Ok(readable(rows, |(id, directory, is_removal, is_giving, look_at, risk)| {
        let (account, directory) = (row::parse("accounts", &id, &id)?, row::parse("accounts", &id, &directory)?);
        let (priority, run_at) = match look_at {
            _ if is_removal => (Priority::Removal, now),
            _ if is_giving => (Priority::Giving, now),
            // A look may find something that must be cut again.
            Some(at) => (Priority::Removal, Timestamp::from_millis(at).max(now)),
            None => (Priority::Giving, now),
        };
        let risk = risk.filter(|_| is_removal).map_or(Ok(Risk::Other), |risk| row::risk("grants", &id, risk))?;
        Ok(NewTask::new(Work::Converge { account, directory }, run_at, priority).of(risk))
    }))
}

async fn tell(conn: &mut Conn, now: Timestamp) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT n.ticket FROM notices AS n
         LEFT JOIN tasks AS t ON t.slot = 'tell:' || n.ticket
         WHERE n.is_open = 1 AND (t.id IS NULL OR t.state = 'dead')
         LIMIT $1",
    )
    .bind(SWEPT)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    Ok(readable(rows, |text| {
        let corrupt = || StoreError::Corrupt { table: "notices", id: text.clone() };
        let (connection, ticket) = text.split_once('/').ok_or_else(corrupt)?;
        let ticket = TicketRef {
            connection: row::parse("notices", &text, connection)?,
            ticket: row::parse("notices", &text, ticket)?,
        };
        Ok(NewTask::new(Work::Tell { ticket }, now, Priority::Telling))
    }))
}

/// Sent and refused mails are kept this long, so that one can see what went out.
const MAILS_KEPT_MS: i64 = 30 * 24 * 60 * 60 * 1000;

/// Mails that were settled long ago go.
async fn forget_mails(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM mails WHERE id IN (SELECT id FROM mails WHERE is_open = 0 AND at < $1 LIMIT $2)")
        .bind(now.millis() - MAILS_KEPT_MS)
        .bind(SWEPT)
        .execute(conn)
        .await
        .map_err(engine)?;
    Ok(())
}

/// Mails whose task is missing or dead.
async fn mails(conn: &mut Conn, now: Timestamp) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT m.id FROM mails AS m LEFT JOIN tasks AS t ON t.slot = 'mail:' || m.id
         WHERE m.is_open = 1 AND (t.id IS NULL OR t.state = 'dead') ORDER BY m.at LIMIT $1",
    )
    .bind(SWEPT)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    Ok(readable(rows, |id| {
        let mail = row::parse("mails", &id, &id)?;
        Ok(NewTask::new(Work::Mail { mail }, now, Priority::Telling))
    }))
}

/// Alerts whose task is missing or dead: somebody is to be told.
async fn alerts(conn: &mut Conn, now: Timestamp) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT a.id FROM alerts AS a LEFT JOIN tasks AS t ON t.slot = 'alert:' || a.id
         WHERE t.id IS NULL OR t.state = 'dead' ORDER BY a.at LIMIT $1",
    )
    .bind(SWEPT)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    let task = |alert| NewTask::new(Work::Alert { alert }, now, Priority::Telling);
    Ok(rows.into_iter().map(task).collect())
}

/// A dead intake stays dead: it was tried often, and is visible.
async fn deliveries(conn: &mut Conn) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<(String, String, String, i64)> = sqlx::query_as(
        "SELECT d.id, d.connection, d.event, d.received_at FROM deliveries AS d
         LEFT JOIN tasks AS t ON t.slot = 'intake:' || d.id
         WHERE d.outcome IS NULL AND t.id IS NULL
         ORDER BY d.received_at LIMIT $1",
    )
    .bind(SWEPT)
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    Ok(readable(rows, |(id, connection, event, at)| {
        let connection: ConnectionId = row::parse("deliveries", &id, &connection)?;
        let event = row::decode("deliveries", &id, &event)?;
        Ok(intake::task(id, connection, &event, Timestamp::from_millis(at)))
    }))
}

/// A PSA is polled while a mapping watches it.
pub(super) async fn polls(conn: &mut Conn, now: Timestamp) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(dialect::POLLS).fetch_all(conn).await.map_err(engine)?;
    Ok(readable(rows, |id| {
        let work = Work::Poll { connection: row::parse("rulebooks", &id, &id)? };
        Ok(NewTask::new(work, now, Priority::Telling))
    }))
}

/// Whether somebody has left is asked while somebody is here: wherever they are bound.
async fn presence(conn: &mut Conn, now: Timestamp) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<String> =
        sqlx::query_scalar(dialect::PRESENCE).bind(now.millis()).fetch_all(conn).await.map_err(engine)?;
    Ok(readable(rows, |id| {
        let work = Work::Presence { connection: row::parse("records", &id, &id)? };
        Ok(NewTask::new(work, now, Priority::Removal).of(Risk::Everything))
    }))
}

/// Trouble whose end nobody else would notice is looked at until it is over.
async fn rechecks(conn: &mut Conn, now: Timestamp) -> Result<Vec<NewTask>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT w.connection FROM watched AS w
         WHERE w.kind IN ('rights', 'setup')
           AND NOT EXISTS (SELECT 1 FROM tasks AS t WHERE t.slot = 'recheck:' || w.connection AND t.state <> 'dead')",
    )
    .fetch_all(conn)
    .await
    .map_err(engine)?;
    Ok(readable(rows, |id| {
        let work = Work::Recheck { connection: row::parse("watched", &id, &id)? };
        Ok(NewTask::new(work, now, Priority::Telling))
    }))
}

/// The one task that no row asks for: it is there from the first sweep on.
async fn audit_head(conn: &mut Conn, now: Timestamp) -> Result<Option<NewTask>, StoreError> {
    let task = jobs::audit_head::next(now);
    let is_there: bool = sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM tasks WHERE slot = $1 AND state <> 'dead')")
        .bind(task.work.slot())
        .fetch_one(conn)
        .await
        .map_err(engine)?;
    Ok((!is_there).then_some(task))
}

/// A row that cannot be read must not keep the others from their tasks; it was logged.
fn readable<R>(rows: Vec<R>, task: impl Fn(R) -> Result<NewTask, StoreError>) -> Vec<NewTask> {
    rows.into_iter().filter_map(|row| task(row).ok()).collect()
}
