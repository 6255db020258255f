//! What the service sees by itself: up to where each PSA was asked, what is wrong with whom, and who has access now.

use latchkey_contract::{ConnectionId, PersonId, TicketId, TicketRef, Timestamp, ticket::TicketChanged};
use serde::de::DeserializeOwned;

use super::{Conn, Pool, StoreError, commit::one, dialect, engine};
use crate::store::{Cursor, Trouble, TroubleKind, Watched, row, turn_begins};

const POLL: &str = "poll";

/// Writes it; what somebody else wrote meanwhile is a conflict.
pub(super) async fn put(conn: &mut Conn, watched: &Watched) -> Result<(), StoreError> {
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

async fn put_trouble(conn: &mut Conn, sql: &'static str, trouble: &Trouble) -> Result<(), StoreError> {
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
async fn forget(conn: &mut Conn, connection: &ConnectionId, kind: &str) -> Result<bool, StoreError> {
    let done = sqlx::query("DELETE FROM watched WHERE connection = $1 AND kind = $2")
        .bind(connection.as_str())
        .bind(kind)
        .execute(conn)
        .await
        .map_err(engine)?;
    Ok(done.rows_affected() == 1)
}

pub(super) async fn cursor(readers: &Pool, connection: &ConnectionId) -> Result<Option<Cursor>, StoreError> {
    doc(readers, connection, POLL).await
}

pub(super) async fn trouble(
    readers: &Pool,
    connection: &ConnectionId,
    kind: TroubleKind,
) -> Result<Option<Trouble>, StoreError> {
    doc(readers, connection, kind.name()).await
}

async fn doc<T: DeserializeOwned>(
    readers: &Pool,
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

pub(super) async fn troubles(readers: &Pool) -> Result<Vec<Trouble>, StoreError> {
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
    readers: &Pool,
    connection: &ConnectionId,
    changed: &[TicketChanged],
) -> Result<Vec<TicketId>, StoreError> {
    let reference =
        |ticket: &TicketId| TicketRef { connection: connection.clone(), ticket: ticket.clone() }.to_string();
    let saves: Vec<_> = changed.iter().map(|c| (&c.id, reference(&c.id), c.at.millis())).collect();
    let rows: Vec<String> =
        sqlx::query_scalar(dialect::UNSEEN).bind(row::encode(&saves)?).fetch_all(readers).await.map_err(engine)?;
    rows.iter().map(|id| row::parse("sightings", id, id)).collect()
}

/// Looks that a poll asked for and nobody has begun.
pub(super) async fn looks_ahead(readers: &Pool, connection: &ConnectionId) -> Result<u64, StoreError> {
    let sql = "SELECT count(*) FROM tasks WHERE kind = 'look' AND attempts = 0 AND connection = $1";
    let count: i64 = sqlx::query_scalar(sql).bind(connection.as_str()).fetch_one(readers).await.map_err(engine)?;
    Ok(u64::try_from(count).unwrap_or(0))
}

/// Both questions are answered by an index of nothing else.
pub(super) async fn tickets_with_access(
    readers: &Pool,
    connection: &ConnectionId,
    turn: i64,
    at_once: u32,
) -> Result<Vec<TicketRef>, StoreError> {
    // Whatever is a ticket of this connection lies between these.
    let (from, to) = (format!("{connection}/"), format!("{connection}0"));
    let count: i64 = sqlx::query_scalar(
        "SELECT count(DISTINCT ticket) FROM grants
         WHERE is_open = 1 AND state <> 'ending' AND ticket >= $1 AND ticket < $2",
    )
    .bind(&from)
    .bind(&to)
    .fetch_one(readers)
    .await
    .map_err(engine)?;
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT DISTINCT ticket FROM grants
         WHERE is_open = 1 AND state <> 'ending' AND ticket >= $1 AND ticket < $2
         ORDER BY ticket LIMIT $3 OFFSET $4",
    )
    .bind(&from)
    .bind(to)
    .bind(i64::from(at_once))
    .bind(turn_begins(count, turn, at_once))
    .fetch_all(readers)
    .await
    .map_err(engine)?;
    let read = |reference: &String| {
        let number = reference.strip_prefix(&from).unwrap_or_default();
        let read = row::parse("grants", reference, number);
        // One that nobody can read keeps no other from being looked at.
        let ticket = read.inspect_err(|error| tracing::error!(reference, %error, "no ticket")).ok()?;
        Some(TicketRef { connection: connection.clone(), ticket })
    };
    Ok(rows.iter().filter_map(read).collect())
}

/// Who has access, waits for it, or is signed in.
pub(super) async fn people_here(readers: &Pool, now: Timestamp) -> Result<Vec<PersonId>, StoreError> {
    let rows: Vec<String> = sqlx::query_scalar(
        "SELECT person FROM grants WHERE is_open = 1 AND state <> 'ending'
         UNION SELECT person FROM sessions WHERE until_at > $1 AND idle_until > $1 ORDER BY person",
    )
    .bind(now.millis())
    .fetch_all(readers)
    .await
    .map_err(engine)?;
    rows.iter().map(|id| row::parse("grants", id, id)).collect()
}
