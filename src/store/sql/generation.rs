//! How old this copy of the database is.

use async_trait::async_trait;

use super::{
    Conn, Pool, StoreError, engine,
    write::{Class, Room, Write},
};
use crate::store::{Comparing, Generation, row};

const NUMBER: &str = "generation";
const COMPARING: &str = "comparing";

pub(super) async fn read(readers: &Pool) -> Result<Generation, StoreError> {
    let rows: Vec<(String, String)> = sqlx::query_as("SELECT name, value FROM meta WHERE name IN ($1, $2)")
        .bind(NUMBER)
        .bind(COMPARING)
        .fetch_all(readers)
        .await
        .map_err(engine)?;
    let mut generation = Generation::default();
    for (name, value) in rows {
        if name == NUMBER {
            generation.number = Some(row::parse("meta", NUMBER, &value)?);
        } else {
            generation.comparing = Some(row::decode("meta", COMPARING, &value)?);
        }
    }
    Ok(generation)
}

pub(super) struct Raise(pub(super) i64);

#[async_trait]
impl Write for Raise {
    type Out = i64;

    /// One small row, without which a service that starts on a full disk would not be able to end anything.
    fn class(&self) -> Class {
        Class::Removal
    }

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<i64, StoreError> {
        let value: String = sqlx::query_scalar(
            "INSERT INTO meta (name, value) VALUES ($1, CAST($2 + 1 AS TEXT))
             ON CONFLICT (name) DO UPDATE SET value = CAST(
                 CASE WHEN CAST(meta.value AS BIGINT) > $2 THEN CAST(meta.value AS BIGINT) ELSE $2 END + 1 AS TEXT)
             RETURNING value",
        )
        .bind(NUMBER)
        .bind(self.0)
        .fetch_one(&mut *conn)
        .await
        .map_err(engine)?;
        sqlx::query("DELETE FROM meta WHERE name = $1").bind(COMPARING).execute(conn).await.map_err(engine)?;
        row::parse("meta", NUMBER, &value)
    }
}

pub(super) struct CompareFirst(pub(super) Comparing);

#[async_trait]
impl Write for CompareFirst {
    type Out = Comparing;

    fn class(&self) -> Class {
        Class::Removal
    }

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<Comparing, StoreError> {
        sqlx::query("INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING")
            .bind(COMPARING)
            .bind(row::encode(&self.0)?)
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
        let noted: String = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
            .bind(COMPARING)
            .fetch_one(conn)
            .await
            .map_err(engine)?;
        row::decode("meta", COMPARING, &noted)
    }
}
