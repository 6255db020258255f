//! Tasks: adding, claiming, renewing, finishing.
//!
//! A task is `pending`, `leased` or `dead`. What asks for a slot again moves the one task it has:
//!
//! | it is | asked for again | its run ends |
//! | --- | --- | --- |
//! | pending | moved to the new time; the more urgent priority and the greater risk stay | |
//! | leased | the earliest such time is kept in `again_at` | done: gone, or pending at `again_at` |
//! | dead | pending again, attempts from 0 | |

use async_trait::async_trait;
use latchkey_contract::{ConnectionId, Timestamp};

use super::{
    Conn, StoreError, dialect, engine,
    write::{Class, Room, Write},
};
use crate::{
    jobs::task::{Lease, NewTask, Priority, Task, Work},
    store::{self, row},
};

/// Adds a task, or moves the one that its slot has.
pub(super) async fn add(conn: &mut Conn, new: &NewTask, now: Timestamp) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO tasks (slot, key, connection, kind, work, priority, state, run_at, created_at, risk)
         VALUES ($1, $2, $3, $4, $5, $6, 'pending', $7, $8, $9)
         ON CONFLICT (slot) DO UPDATE SET
             work = excluded.work,
             priority = CASE WHEN tasks.priority < excluded.priority THEN tasks.priority ELSE excluded.priority END,
             risk = CASE WHEN tasks.risk < excluded.risk THEN tasks.risk ELSE excluded.risk END,
             run_at = CASE tasks.state WHEN 'leased' THEN tasks.run_at ELSE excluded.run_at END,
             again_at = CASE
                 WHEN tasks.state <> 'leased' OR tasks.again_at < excluded.run_at THEN tasks.again_at
                 ELSE excluded.run_at END,
             attempts = CASE tasks.state WHEN 'dead' THEN 0 ELSE tasks.attempts END,
             state = CASE tasks.state WHEN 'dead' THEN 'pending' ELSE tasks.state END",
    )
    .bind(new.work.slot())
    .bind(new.work.key())
    .bind(new.work.connection().map(ConnectionId::as_str))
    .bind(new.work.name())
    .bind(row::encode(&new.work)?)
    .bind(new.priority as i64)
    .bind(new.run_at.millis())
    .bind(now.millis())
    .bind(new.risk as i64)
    .execute(conn)
    .await
    .map_err(engine)?;
    Ok(())
}

/// What a lease still holds.
#[derive(Debug)]
pub(super) struct Held {
    id: i64,
    priority: i64,
    again_at: Option<i64>,
    lease_until: i64,
}

/// The task of a lease; `None` when the lease was lost.
pub(super) async fn held(conn: &mut Conn, lease: &Lease) -> Result<Option<Held>, StoreError> {
    let Ok(id) = lease.task.parse::<i64>() else { return Ok(None) };
    let found: Option<(i64, Option<i64>, Option<i64>)> =
        sqlx::query_as(dialect::HELD).bind(id).bind(lease.fence).fetch_optional(conn).await.map_err(engine)?;
    Ok(found.map(|(priority, again_at, until)| Held { id, priority, again_at, lease_until: until.unwrap_or(0) }))
}

/// Ends the run of a held task.
pub(super) async fn end(conn: &mut Conn, held: &Held, finish: &store::Finish, room: Room) -> Result<(), StoreError> {
    use store::Finish;
    if room == Room::Reserved && held.priority != Priority::Removal as i64 {
        return Err(StoreError::Full);
    }
    let sooner = |at: i64| held.again_at.map_or(at, |again| again.min(at));
    match (finish, held.again_at) {
        (Finish::Keep, _) => Ok(()),
        (Finish::Done, None) => {
            sqlx::query("DELETE FROM tasks WHERE id = $1").bind(held.id).execute(conn).await.map_err(engine)?;
            Ok(())
        }
        (Finish::Done, Some(again)) => wait(conn, held.id, again, Some(0), None).await,
        (Finish::At(at), _) => wait(conn, held.id, sooner(at.millis()), Some(0), None).await,
        (Finish::Retry { at, error }, _) => wait(conn, held.id, sooner(at.millis()), None, Some(error)).await,
        // A removal is never given up, whoever says so: it is tried again when its lease would have run out.
        (Finish::Dead { error }, _) if held.priority == Priority::Removal as i64 => {
            wait(conn, held.id, sooner(held.lease_until), None, Some(error)).await
        }
        // Somebody asked for it meanwhile, knowing more than the run that gave it up.
        (Finish::Dead { error }, Some(again)) => wait(conn, held.id, again, Some(0), Some(error)).await,
        (Finish::Dead { error }, None) => {
            sqlx::query("UPDATE tasks SET state = 'dead', lease_until = NULL, last_error = $2 WHERE id = $1")
                .bind(held.id)
                .bind(row::bounded(error))
                .execute(conn)
                .await
                .map_err(engine)?;
            Ok(())
        }
    }
}

async fn wait(
    conn: &mut Conn,
    id: i64,
    run_at: i64,
    attempts: Option<i64>,
    error: Option<&String>,
) -> Result<(), StoreError> {
    sqlx::query(
        "UPDATE tasks SET state = 'pending', run_at = $2, again_at = NULL, lease_until = NULL,
             attempts = coalesce($3, attempts), last_error = $4
         WHERE id = $1",
    )
    .bind(id)
    .bind(run_at)
    .bind(attempts)
    .bind(error.map(|text| row::bounded(text)))
    .execute(conn)
    .await
    .map_err(engine)?;
    Ok(())
}

pub(super) struct Claim(pub(super) store::Claim);

#[async_trait]
impl Write for Claim {
    type Out = Vec<Task>;

    fn class(&self) -> Class {
        Class::Claim
    }

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<Self::Out, StoreError> {
        let claim = &self.0;
        let removals_only = claim.removals_only || room == Room::Reserved;
        if !claim.spares_leases {
            release(conn, claim.now, removals_only).await?;
        }
        let free = i64::try_from(claim.free).unwrap_or(i64::MAX);
        // Removals pass a connection's limit: what else is running there must never hold up an end.
        let rows: Vec<Leased> = sqlx::query_as(dialect::CLAIM)
            .bind(claim.now.millis())
            .bind(claim.lease_until.millis())
            .bind(if removals_only { Priority::Removal } else { Priority::Telling } as i64)
            .bind(row::encode(&claim.busy)?)
            .bind(free)
            .bind(row::encode(&claim.full)?)
            .bind(row::encode(&Work::KINDS)?)
            .fetch_all(&mut *conn)
            .await
            .map_err(engine)?;
        let mut tasks = Vec::with_capacity(rows.len());
        for leased in rows {
            match task(&leased, claim.lease_until) {
                Ok(task) => tasks.push((leased.6, task)),
                Err(error) => bury(conn, leased.0, &error).await?,
            }
        }
        tasks.sort_by_key(|(risk, task)| (task.priority, *risk, task.run_at));
        Ok(tasks.into_iter().map(|(_, task)| task).collect())
    }
}

/// Id, work, priority, time, attempts, fence, risk.
type Leased = (i64, String, i64, i64, i64, i64, i64);

fn task(row: &Leased, until: Timestamp) -> Result<Task, StoreError> {
    let (id, work, priority, run_at, attempts, fence, _) = row;
    Ok(Task {
        lease: Lease { task: id.to_string(), fence: *fence, until },
        work: row::decode("tasks", &id.to_string(), work)?,
        priority: row::priority(*id, *priority)?,
        run_at: Timestamp::from_millis(*run_at),
        attempt: u32::try_from(*attempts).unwrap_or(u32::MAX),
    })
}

/// Leases that ran out. Their tasks wait again, and `again_at` with them: it may lie in the future.
async fn release(conn: &mut Conn, now: Timestamp, removals_only: bool) -> Result<(), StoreError> {
    sqlx::query(dialect::RELEASE)
        .bind(now.millis() - dialect::LEASE_GRACE_MS)
        .bind(if removals_only { Priority::Removal } else { Priority::Telling } as i64)
        .execute(conn)
        .await
        .map_err(engine)?;
    Ok(())
}

/// A row that cannot be read must not stop the others from being claimed. The sweep makes a removal anew.
async fn bury(conn: &mut Conn, id: i64, error: &StoreError) -> Result<(), StoreError> {
    tracing::error!(task.id = id, %error, "a task cannot be read and is set aside");
    sqlx::query("UPDATE tasks SET state = 'dead', lease_until = NULL, last_error = $2 WHERE id = $1")
        .bind(id)
        .bind(error.to_string())
        .execute(conn)
        .await
        .map_err(engine)?;
    Ok(())
}

pub(super) struct Renew(pub(super) Lease, pub(super) Timestamp);

#[async_trait]
impl Write for Renew {
    type Out = bool;

    fn class(&self) -> Class {
        Class::Queue
    }

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<bool, StoreError> {
        let Some(held) = held(conn, &self.0).await? else { return Ok(false) };
        if room == Room::Reserved && held.priority != Priority::Removal as i64 {
            return Err(StoreError::Full);
        }
        sqlx::query("UPDATE tasks SET lease_until = $2 WHERE id = $1")
            .bind(held.id)
            .bind(self.1.millis())
            .execute(conn)
            .await
            .map_err(engine)?;
        Ok(true)
    }
}

pub(super) struct End(pub(super) Lease, pub(super) store::Finish);

#[async_trait]
impl Write for End {
    type Out = bool;

    fn class(&self) -> Class {
        Class::Queue
    }

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<bool, StoreError> {
        let Some(held) = held(conn, &self.0).await? else { return Ok(false) };
        end(conn, &held, &self.1, room).await?;
        Ok(true)
    }
}
