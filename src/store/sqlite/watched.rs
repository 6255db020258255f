//! What the service sees by itself: up to where each PSA was asked, what is wrong with whom, and who has access now.

use latchkey_contract::{ConnectionId, PersonId, TicketId, TicketRef, Timestamp, ticket::TicketChanged};
use serde::de::DeserializeOwned;
use sqlx::{SqliteConnection, SqlitePool};

use super::{StoreError, commit::one, engine};
use crate::store::{Cursor, Trouble, TroubleKind, Watched, row};

const POLL: &str = "poll";

/// Writes it; what somebody else wrote meanwhile is a conflict.
pub(super) async fn put(conn: &mut SqliteConnection, watched: &Watched) -> Result<(), StoreError> {
    match watched {
        Watched::Asked(cursor) => {
            let sql = "INSERT INTO watched (connection, kind, doc) VALUES ($1, $2, $3)
                       ON CONFLICT (connection, kind) DO UPDATE SET doc = excluded.doc";
            let done = sqlx::query(sql).bind(cursor.connection.as_str()).bind(POLL).bind(row::encode(cursor)?);
            one(&done.execute(conn).await.map_err(engine)?)
        }
        Watched::NotAsked(connection) => forget(conn, connection, POLL).await.map(drop),
        Watched::Began(trouble) => {
            let sql = "INSERT INTO watched (connection, kind, doc) VALUES ($1, $2, $3)";
            put_trouble(conn, sql, trouble).await
        }
        Watched::GoesOn(trouble) => {
            let sql = "UPDATE watched SET doc = $3 WHERE connection = $1 AND kind = $2";
            put_trouble(conn, sql, trouble).await
        }
        Watched::Ended(trouble) => match forget(conn, &trouble.connection, trouble.kind.name()).await? {
            true => Ok(()),
            false => Err(StoreError::Conflict),
        },
    }
}

async fn put_trouble(conn: &mut SqliteConnection, sql: &'static str, trouble: &Trouble) -> Result<(), StoreError> {
    let done = sqlx::query(sql)
        .bind(trouble.connection.as_str())
        .bind(trouble.kind.name())
        .bind(row::encode(trouble)?)
        .execute(conn)
        .await
        .map_err(engine)?;
    one(&done)
}

/// `false` when there was nothing.
async fn forget(conn: &mut SqliteConnection, connection: &ConnectionId, kind: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM watched WHERE connection = $1 AND kind = $2")
        .bind(connection.as_str())
        .bind(kind)
        .execute(conn)
        .await
        .map_err(engine)?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn cursor(readers: &SqlitePool, connection: &ConnectionId) -> Result<Option<Cursor>, StoreError> {
    doc(readers, connection, POLL).await
}

pub(super) async fn trouble(
    readers: &SqlitePool,
    connection: &ConnectionId,
    kind: TroubleKind,
) -> Result<Option<Trouble>, StoreError> {
    doc(readers, connection, kind.name()).await
}

async fn doc<T: DeserializeOwned>(
    readers: &SqlitePool,
    connection: &ConnectionId,
    kind: &str,
) -> Result<Option<T>, StoreError> {
    let doc: Option<String> = sqlx::query_scalar("SELECT doc FROM watched WHERE connection = $1 AND kind = $2")
        .bind(connection.as_str())
        .bind(kind)
        .fetch_optional(readers)
        .await
        .map_err(engine)?;
    doc.map(|doc| row::decode("watched", connection.as_str(), &doc)).transpose()
}

pub(super) async fn troubles(readers: &SqlitePool) -> Result<Vec<Trouble>, StoreError> {
    let rows: Vec<(String, String)> =
        sqlx::query_as("SELECT connection, doc FROM watched WHERE kind <> $1 ORDER BY connection, kind")
            .bind(POLL)
            .fetch_all(readers)
            .await
            .map_err(engine)?;
    rows.iter().map(|(connection, doc)| row::decode("watched", connection, doc)).collect()
}

/// Which of these nobody has looked at since they were saved, and nobody is about to. A task that runs may have read
/// its ticket before the save; one that waits will read it after.
pub(super) async fn unseen(
    readers: &SqlitePool,
    connection: &ConnectionId,
    changed: &[TicketChanged],
) -> Result<Vec<TicketId>, StoreError> {
    let reference =
        |ticket: &TicketId| TicketRef { connection: connection.clone(), ticket: ticket.clone() }.to_string();
    let saves: Vec<_> = changed.iter().map(|c| (&c.id, reference(&c.id), c.at.millis())).collect();
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT c.value ->> 0 FROM json_each($1) AS c
         WHERE NOT EXISTS (SELECT 1 FROM tasks AS t
                           WHERE t.state = 'pending' AND t.key = 'ticket:' || (c.value ->> 1))
           AND NOT EXISTS (SELECT 1 FROM sightings AS s
                           WHERE s.ticket = c.value ->> 1 AND s.doc ->> 'covers' >= c.value ->> 2)
         ORDER BY c.key",
    )
    .bind(row::encode(&saves)?)
    .fetch_all(readers)
    .await
    .map_err(engine)?;
    rows.iter().map(|id| row::parse("sightings", id, id)).collect()
}

/// Looks that a poll asked for and nobody has begun.
pub(super) async fn looks_ahead(readers: &SqlitePool, connection: &ConnectionId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM tasks WHERE kind = 'look' AND attempts = 0 AND connection = $1";
    let count: i64 = sqlx::query_scalar(sql).bind(connection.as_str()).fetch_one(readers).await.map_err(engine)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Who has access, waits for it, or is signed in.
pub(super) async fn people_here(readers: &SqlitePool, now: Timestamp) -> Result<Vec<PersonId>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT person FROM grants WHERE is_open = 1 AND state <> 'ending'
         UNION SELECT person FROM sessions WHERE until_at > $1 AND idle_until > $1",
    )
    .bind(now.millis())
    .fetch_all(readers)
    .await
    .map_err(engine)?;
    rows.iter().map(|id| row::parse("grants", id, id)).collect()
}
