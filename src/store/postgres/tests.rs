//! The common story, and what only this engine has to prove.

mod chain;
mod failover;
mod lost;
mod migrating;
mod open;
mod shared;
mod tls;

use std::time::{Duration, Instant};

use latchkey_simulators::postgres::{Database, database};
use sqlx::{Connection as _, PgConnection};

use super::{Look, OpenError, Postgres, Server};
use crate::store::{Recorded, Store, StoreError, Transition, story, story::*};

const SUITE: &str = "the store on PostgreSQL";

fn server(database: &Database) -> Server {
    Server::parse(&database.url.parse().unwrap(), None, None).unwrap()
}

async fn open(database: &Database) -> Postgres {
    Postgres::open(&server(database)).await.unwrap()
}

async fn fresh() -> Option<(Database, Postgres)> {
    let database = database(SUITE)?;
    let store = open(&database).await;
    Some((database, store))
}

/// A connection like a stranger's.
async fn stranger(database: &Database) -> PgConnection {
    PgConnection::connect(&database.url).await.unwrap()
}

async fn execute(conn: &mut PgConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(conn).await.unwrap();
}

story::tell_all!(fresh);
