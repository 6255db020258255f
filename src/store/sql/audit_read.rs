//! The audit chain, read: its head, its rows, its checkpoints, and what of it may go.

use latchkey_contract::{TicketRef, Timestamp};
use serde::Deserialize;

use super::{Conn, Pool, StoreError, dialect, engine};
use crate::{
    audit::{AuditEntry, AuditFilter, AuditRow, Checkpoint, Code, Head, Prunable},
    store::row,
};

pub(super) const HEAD: &str = "SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1";

pub(super) async fn head(readers: &Pool) -> Result<Option<Head>, StoreError> {
    let found: Option<(i64, String)> = sqlx::query_as(HEAD).fetch_optional(readers).await.map_err(engine)?;
    Ok(found.map(|(seq, hash)| Head::new(seq, hash)))
}

/// A row as selected: number, time, code, grant, ticket, text, hash.
type Row = (i64, i64, String, Option<String>, Option<String>, String, String);

pub(super) async fn rows(
    readers: &Pool,
    filter: &AuditFilter,
    after: i64,
    limit: u32,
) -> Result<Vec<AuditRow>, StoreError> {
    // The columns are copies; who, and at which customer, stands in the texts alone.
    let rows: Vec<Row> = sqlx::query_as(dialect::AUDIT_ROWS)
        .bind(after)
        .bind(i64::from(limit))
        .bind(filter.from.map(Timestamp::millis))
        .bind(filter.to.map(Timestamp::millis))
        .bind(filter.grant.as_ref().map(latchkey_contract::GrantId::as_str))
        .bind(filter.ticket.as_ref().map(ToString::to_string))
        .bind(filter.code.as_deref())
        .bind(filter.person.as_ref().map(latchkey_contract::PersonId::as_str))
        .bind(filter.customer.as_ref().map(latchkey_contract::CustomerId::as_str))
        .fetch_all(readers)
        .await
        .map_err(engine)?;
    Ok(rows.into_iter().map(file).collect())
}

/// The newest entries with one of these codes, newest first.
pub(super) async fn newest(readers: &Pool, codes: &[Code], limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
    let rows: Vec<Row> = sqlx::query_as(dialect::AUDIT_NEWEST)
        .bind(row::encode(&codes)?)
        .bind(i64::from(limit))
        .fetch_all(readers)
        .await
        .map_err(engine)?;
    rows.into_iter().map(|found| file(found).entry()).collect()
}

/// What a text says of the columns beside it.
#[derive(Deserialize)]
struct Filed {
    seq: i64,
    at: i64,
    code: String,
    grant: Option<String>,
    ticket: Option<TicketRef>,
}

fn file((seq, at, code, grant, ticket, text, hash): Row) -> AuditRow {
    let says = serde_json::from_str::<Filed>(&text).ok();
    let is_filed_rightly = says.is_some_and(|f| {
        (f.seq, f.at, f.code, f.grant, f.ticket.map(|t| t.to_string())) == (seq, at, code, grant, ticket)
    });
    AuditRow { seq, text, hash, is_filed_rightly }
}

pub(super) async fn checkpoints(readers: &Pool) -> Result<Vec<Checkpoint>, StoreError> {
    let rows: Vec<(i64, String, i64, i64, i64, String)> =
        sqlx::query_as("SELECT seq, hash, entries, from_at, to_at, signature FROM audit_checkpoints ORDER BY seq")
            .fetch_all(readers)
            .await
            .map_err(engine)?;
    let read = |(seq, hash, entries, from, to, signature)| Checkpoint {
        gone: Prunable { seq, hash, entries, from: Timestamp::from_millis(from), to: Timestamp::from_millis(to) },
        signature,
    };
    Ok(rows.into_iter().map(read).collect())
}

pub(super) async fn owed(readers: &Pool) -> Result<u64, StoreError> {
    let count: i64 = sqlx::query_scalar("SELECT count(*) FROM audit_owed").fetch_one(readers).await.map_err(engine)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// How far entries may go.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bound {
    /// No entry of this time or later, and none that was chained after such a one.
    pub(super) before: Timestamp,
    /// None above this number.
    pub(super) up_to: i64,
}

/// The oldest entries within the bound, without those from the first one of an open grant on, and without the newest of
/// all: the next one follows from it.
pub(super) async fn prunable(conn: &mut Conn, bound: Bound) -> Result<Option<Prunable>, StoreError> {
    let (base, last): (i64, Option<i64>) = sqlx::query_as(
        "SELECT coalesce((SELECT max(seq) FROM audit_checkpoints), 0), (
             SELECT min(seq) - 1 FROM (
                 SELECT max(seq) AS seq FROM audit
                 UNION ALL
                 SELECT min(a.seq) FROM grants AS g JOIN audit AS a ON a.grant_id = g.id WHERE g.is_open = 1
                 UNION ALL
                 SELECT min(seq) FROM audit WHERE at >= $1) AS bounds)",
    )
    .bind(bound.before.millis())
    .fetch_one(&mut *conn)
    .await
    .map_err(engine)?;
    let Some(last) = last.map(|last| last.min(bound.up_to)).filter(|last| *last > base) else { return Ok(None) };
    let (entries, from, to): (i64, Option<i64>, Option<i64>) =
        sqlx::query_as("SELECT count(*), min(at), max(at) FROM audit WHERE seq > $1 AND seq <= $2")
            .bind(base)
            .bind(last)
            .fetch_one(&mut *conn)
            .await
            .map_err(engine)?;
    let hash: Option<String> = sqlx::query_scalar("SELECT hash FROM audit WHERE seq = $1")
        .bind(last)
        .fetch_optional(conn)
        .await
        .map_err(engine)?;
    match (hash, from, to) {
        (Some(hash), Some(from), Some(to)) if entries == last - base => {
            let (from, to) = (Timestamp::from_millis(from), Timestamp::from_millis(to));
            Ok(Some(Prunable { seq: last, hash, entries, from, to }))
        }
        // Some are missing: nobody may cover that with a checkpoint.
        _ => Err(StoreError::Corrupt { table: "audit", id: last.to_string() }),
    }
}
