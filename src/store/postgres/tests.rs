//! The common story, and what only this engine has to prove.

use latchkey_simulators::postgres::{Database, database};

use super::{Postgres, Server};
use crate::store::{Store, story, story::*};

const SUITE: &str = "the store on PostgreSQL";

fn server(database: &Database) -> Server {
    Server::parse(&database.url.parse().unwrap(), None, None).unwrap()
}

async fn fresh() -> Option<(Database, Postgres)> {
    let database = database(SUITE)?;
    let store = Postgres::open(&server(&database)).await.unwrap();
    Some((database, store))
}

story::tell_all!(fresh);
