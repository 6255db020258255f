//! The audit chain: appended to, owed to, pruned. Who writes is alone, so its head cannot move meanwhile.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use latchkey_contract::Timestamp;

use super::{
    Conn, StoreError,
    audit_read::{Bound, HEAD, prunable},
    engine, is_damage,
    write::{Room, Write},
};
use crate::{
    audit::{AuditEntry, AuditRow, Checkpoint, canonical, link},
    store::row,
};

/// So many entries that are owed are chained in one transaction, so many that went are deleted in one: removals come in between.
const TOGETHER: i64 = 1000;

/// How one commit appends: whether its entries may be owed, and what was learnt when it was tried before.
#[derive(Debug, Default)]
pub(super) struct Append {
    pub(super) is_removal: bool,
    /// Appending undid the whole transaction, and would again.
    undoes: AtomicBool,
}

impl Append {
    pub(super) fn removal(is_removal: bool) -> Self {
        Self { is_removal, undoes: AtomicBool::new(false) }
    }

    /// Chains the entries. Where that fails, those of a removal are owed; anything else fails.
    pub(super) async fn run(&self, conn: &mut Conn, entries: &[AuditEntry], room: Room) -> Result<(), StoreError> {
        if entries.is_empty() {
            return Ok(());
        }
        if self.is_removal && self.undoes.load(Ordering::Relaxed) {
            return owe(conn, entries, "appending undoes the transaction").await;
        }
        match Self::try_chain(conn, entries, room).await {
            Ok(true) => Ok(()),
            Ok(false) if self.is_removal => owe(conn, entries, "earlier ones are owed").await,
            // The heartbeat chains what is owed; then this comes after it.
            Ok(false) => Err(StoreError::Busy),
            Err(Failed::Alone(error)) if self.is_removal && may_be_owed(&error, room) => {
                owe(conn, entries, &text(&error)).await
            }
            Err(Failed::Alone(error)) => Err(error),
            // Nothing of the transaction is left; the writer tries it once more.
            Err(Failed::WithAll(error)) => {
                self.undoes.store(may_be_owed(&error, room), Ordering::Relaxed);
                Err(error)
            }
        }
    }

    /// `false` when what is owed comes first. Where it fails it leaves nothing behind.
    async fn try_chain(conn: &mut Conn, entries: &[AuditEntry], room: Room) -> Result<bool, Failed> {
        execute(conn, "SAVEPOINT chain").await.map_err(Failed::Alone)?;
        let came = after_what_is_owed(conn, entries, room).await;
        let is_undone = came.is_err() && execute(conn, "ROLLBACK TO chain").await.is_err();
        if is_undone || came.as_ref().is_err_and(is_damage) {
            return came.map_err(Failed::WithAll);
        }
        execute(conn, "RELEASE chain").await.map_err(Failed::WithAll)?;
        came.map_err(Failed::Alone)
    }
}

/// What a failure to append took with it.
enum Failed {
    /// Nothing.
    Alone(StoreError),
    /// The whole transaction.
    WithAll(StoreError),
}

/// A want of room is first met by the reserve; a lock passes.
fn may_be_owed(error: &StoreError, room: Room) -> bool {
    match error {
        StoreError::Busy => false,
        StoreError::Full => room == Room::Reserved,
        _ => true,
    }
}

async fn after_what_is_owed(conn: &mut Conn, entries: &[AuditEntry], room: Room) -> Result<bool, StoreError> {
    let left = match room {
        Room::Free => pay(conn).await?,
        // What is reserved is for removals to come.
        Room::Reserved => owed(conn).await?,
    };
    if left == 0 {
        chain(conn, entries).await?;
    }
    Ok(left == 0)
}

/// Numbers the entries and links each to the one before.
async fn chain(conn: &mut Conn, entries: &[AuditEntry]) -> Result<(), StoreError> {
    let (mut seq, mut hash) = last(conn).await?;
    for entry in entries {
        seq += 1;
        let text = canonical(&AuditEntry { seq, ..entry.clone() })?;
        hash = link(&hash, &text);
        let done = sqlx::query(
            "INSERT INTO audit (seq, at, code, grant_id, ticket, doc, hash) VALUES ($1, $2, $3, $4, $5, $6, $7)",
        )
        .bind(seq)
        .bind(entry.at.millis())
        .bind(entry.code.as_str())
        .bind(entry.grant.as_ref().map(latchkey_contract::GrantId::as_str))
        .bind(entry.ticket.as_ref().map(ToString::to_string))
        .bind(&text)
        .bind(&hash)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        // Somebody's trigger can swallow a row without a word.
        if done.rows_affected() != 1 {
            return Err(StoreError::Corrupt { table: "audit", id: seq.to_string() });
        }
    }
    Ok(())
}

/// What the next entry follows from.
async fn last(conn: &mut Conn) -> Result<(i64, String), StoreError> {
    let found: Option<(i64, String)> = sqlx::query_as(HEAD).fetch_optional(conn).await.map_err(engine)?;
    Ok(found.unwrap_or_default())
}

/// Keeps the entries of a removal until they can be chained.
async fn owe(conn: &mut Conn, entries: &[AuditEntry], why: &str) -> Result<(), StoreError> {
    for entry in entries {
        sqlx::query("INSERT INTO audit_owed (doc) VALUES ($1)")
            .bind(canonical(entry)?)
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
    }
    metrics::counter!("audit_owed_total").increment(entries.len() as u64);
    tracing::error!(
        entries = entries.len(),
        why,
        "a removal's audit entries cannot be chained: removal goes on, nothing is given, and the entries are owed"
    );
    Ok(())
}

async fn owed(conn: &mut Conn) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_owed").fetch_one(conn).await.map_err(engine)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Chains what is owed, oldest first, as much as goes together; answers how much is left.
async fn pay(conn: &mut Conn) -> Result<u64, StoreError> {
    let rows: Vec<(i64, String)> = sqlx::query_as("SELECT id, doc FROM audit_owed ORDER BY id LIMIT $1")
        .bind(TOGETHER)
        .fetch_all(&mut *conn)
        .await
        .map_err(engine)?;
    let Some((newest, _)) = rows.last() else { return Ok(0) };
    let entries = rows.iter().map(|(id, doc)| read_owed(*id, doc)).collect::<Result<Vec<_>, _>>()?;
    chain(conn, &entries).await?;
    sqlx::query("DELETE FROM audit_owed WHERE id <= $1").bind(newest).execute(&mut *conn).await.map_err(engine)?;
    tracing::info!(entries = entries.len(), "audit entries that were owed are chained");
    owed(conn).await
}

fn read_owed(id: i64, doc: &str) -> Result<AuditEntry, StoreError> {
    let row = AuditRow { seq: id, text: doc.to_owned(), hash: String::new(), is_filed_rightly: true };
    row.entry().map_err(|_| StoreError::Corrupt { table: "audit_owed", id: id.to_string() })
}

async fn execute(conn: &mut Conn, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(conn).await.map(|_| ()).map_err(engine)
}

fn text(error: &StoreError) -> String {
    let mut line = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        line.push_str(": ");
        line.push_str(&cause.to_string());
    }
    row::bounded(&line)
}

/// Chains what is owed, as much as goes together.
pub(super) struct Pay;

#[async_trait]
impl Write for Pay {
    type Out = u64;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<u64, StoreError> {
        pay(conn).await
    }
}

/// Writes the checkpoint and the entry that tells of it; what it covers goes afterwards, with [`Forget`].
pub(super) struct Prune {
    pub(super) checkpoint: Checkpoint,
    pub(super) entry: AuditEntry,
}

#[async_trait]
impl Write for Prune {
    type Out = ();

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<(), StoreError> {
        let Checkpoint { gone, signature } = &self.checkpoint;
        // Looked at once more where nobody can come in between.
        let up_to = Bound { before: Timestamp::MAX, up_to: gone.seq };
        if prunable(conn, up_to).await?.as_ref() != Some(gone) {
            return Err(StoreError::Conflict);
        }
        sqlx::query(
            "INSERT INTO audit_checkpoints (seq, hash, entries, from_at, to_at, signature) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(gone.seq)
        .bind(&gone.hash)
        .bind(gone.entries)
        .bind(gone.from.millis())
        .bind(gone.to.millis())
        .bind(signature)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        Append::default().run(conn, std::slice::from_ref(&self.entry), room).await
    }
}

/// Deletes entries that a checkpoint covers, as many as go together; answers whether there are more.
pub(super) struct Forget;

#[async_trait]
impl Write for Forget {
    type Out = bool;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<bool, StoreError> {
        let done = sqlx::query(
            "DELETE FROM audit WHERE seq IN (
                 SELECT seq FROM audit WHERE seq <= (SELECT max(seq) FROM audit_checkpoints) ORDER BY seq LIMIT $1)",
        )
        .bind(TOGETHER)
        .execute(conn)
        .await
        .map_err(engine)?;
        Ok(done.rows_affected() >= TOGETHER as u64)
    }
}
