//! Sealed rows, and the master keys that wrap their data keys.

use async_trait::async_trait;
use latchkey_contract::SecretId;

use super::{
    Conn, Executor, Pool, StoreError, engine,
    write::{Room, Write},
};
use crate::store::{Rewrapped, SealedRow, row};

/// A sealed row as selected.
type Sealed = (String, Option<String>, String, String, Vec<u8>, Vec<u8>);

pub(super) async fn by_id(readers: &Pool, id: &SecretId) -> Result<Option<SealedRow>, StoreError> {
    let sql = "SELECT id, name, purpose, key_id, wrapped_key, sealed FROM sealed WHERE id = $1";
    let found = sqlx::query_as(sql).bind(id.as_str()).fetch_optional(readers).await.map_err(engine)?;
    found.map(read).transpose()
}

pub(super) async fn by_name(readers: impl Executor<'_>, name: &str) -> Result<Option<SealedRow>, StoreError> {
    let sql = "SELECT id, name, purpose, key_id, wrapped_key, sealed FROM sealed WHERE name = $1";
    let found = sqlx::query_as(sql).bind(name).fetch_optional(readers).await.map_err(engine)?;
    found.map(read).transpose()
}

pub(super) async fn page(readers: &Pool, after: Option<&SecretId>, limit: u32) -> Result<Vec<SealedRow>, StoreError> {
    let sql = "SELECT id, name, purpose, key_id, wrapped_key, sealed FROM sealed WHERE id > $1 ORDER BY id LIMIT $2";
    // Every id sorts after the empty text.
    let after = after.map_or("", SecretId::as_str);
    let rows: Vec<Sealed> =
        sqlx::query_as(sql).bind(after).bind(i64::from(limit)).fetch_all(readers).await.map_err(engine)?;
    rows.into_iter().map(read).collect()
}

fn read((id, name, purpose, key_id, wrapped_key, sealed): Sealed) -> Result<SealedRow, StoreError> {
    Ok(SealedRow { id: row::parse("sealed", &id, &id)?, name, purpose, key_id, wrapped_key, sealed })
}

/// Under a retired master key nothing is taken: its line may be gone from the key file, and the secret with it.
pub(super) async fn put(conn: &mut Conn, sealed: &SealedRow) -> Result<(), StoreError> {
    refuse_retired(conn, &sealed.key_id).await?;
    sqlx::query("INSERT INTO sealed (id, name, purpose, key_id, wrapped_key, sealed) VALUES ($1, $2, $3, $4, $5, $6)")
        .bind(sealed.id.as_str())
        .bind(&sealed.name)
        .bind(&sealed.purpose)
        .bind(&sealed.key_id)
        .bind(&sealed.wrapped_key)
        .bind(&sealed.sealed)
        .execute(conn)
        .await
        .map_err(engine)?;
    Ok(())
}

async fn refuse_retired(conn: &mut Conn, key_id: &str) -> Result<(), StoreError> {
    let retired: i64 = sqlx::query_scalar("SELECT count(*) FROM meta WHERE name = 'retired-key:' || $1")
        .bind(key_id)
        .fetch_one(conn)
        .await
        .map_err(engine)?;
    if retired == 0 { Ok(()) } else { Err(StoreError::Conflict) }
}

pub(super) struct Rewrap(pub(super) Vec<Rewrapped>);

#[async_trait]
impl Write for Rewrap {
    type Out = u64;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<u64, StoreError> {
        let mut changed = 0;
        for row in &self.0 {
            refuse_retired(conn, &row.key_id).await?;
            let done = sqlx::query("UPDATE sealed SET key_id = $3, wrapped_key = $4 WHERE id = $1 AND key_id = $2")
                .bind(row.id.as_str())
                .bind(&row.before)
                .bind(&row.key_id)
                .bind(&row.wrapped_key)
                .execute(&mut *conn)
                .await
                .map_err(engine)?;
            changed += done.rows_affected();
        }
        Ok(changed)
    }
}

pub(super) struct Retire(pub(super) String);

#[async_trait]
impl Write for Retire {
    type Out = u64;

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<u64, StoreError> {
        let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM sealed WHERE key_id = $1")
            .bind(&self.0)
            .fetch_one(&mut *conn)
            .await
            .map_err(engine)?;
        if rows == 0 {
            sqlx::query(
                "INSERT INTO meta (name, value) VALUES ('retired-key:' || $1, '') ON CONFLICT (name) DO NOTHING",
            )
            .bind(&self.0)
            .execute(conn)
            .await
            .map_err(engine)?;
        }
        Ok(u64::try_from(rows).unwrap_or(0))
    }
}
