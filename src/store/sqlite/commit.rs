//! One transition, and the rules: everything that is checked against a version.

use async_trait::async_trait;
use latchkey_contract::{Timestamp, directory::Mode};
use sqlx::{SqliteConnection, sqlite::SqliteQueryResult};

use super::{
    StoreError,
    audit::Append,
    engine, tasks,
    writer::{Class, Room, Write},
};
use crate::{
    access::{Account, Grant, grant::due_at, trigger::Sighting},
    jobs::task::{NewTask, Priority, Work},
    rulebook::Rules,
    store::{Notice, SealedRow, Transition, row},
};

pub(super) struct Commit {
    transition: Transition,
    append: Append,
}

impl Commit {
    pub(super) fn new(transition: Transition) -> Self {
        Self { append: Append::removal(transition.is_removal), transition }
    }
}

#[async_trait]
impl Write for Commit {
    type Out = ();

    fn class(&self) -> Class {
        if self.transition.is_removal { Class::Removal } else { Class::Ordinary }
    }

    fn wakes(&self) -> bool {
        true
    }

    async fn run(&self, conn: &mut SqliteConnection, room: Room) -> Result<(), StoreError> {
        let t = &self.transition;
        if let Some((lease, _)) = &t.lease {
            tasks::held(conn, lease).await?.ok_or(StoreError::LeaseLost)?;
        }
        if let Some(expected) = t.revision
            && revision(conn).await? != expected
        {
            return Err(StoreError::Conflict);
        }
        for grant in &t.grants {
            put_grant(conn, grant).await?;
        }
        for account in &t.accounts {
            put_account(conn, account).await?;
        }
        // Before the new ones: an operator's secret is replaced under its name.
        for id in &t.destroy {
            sqlx::query("DELETE FROM sealed WHERE id = $1")
                .bind(id.as_str())
                .execute(&mut *conn)
                .await
                .map_err(engine)?;
        }
        for sealed in &t.seal {
            put_sealed(conn, sealed).await?;
        }
        for sighting in &t.sightings {
            put_sighting(conn, sighting).await?;
        }
        for notice in &t.notices {
            put_notice(conn, notice).await?;
        }
        self.append.run(conn, &t.audit, room).await?;
        // Before the lease ends: what is asked for again while it runs is kept, not overwritten.
        for task in &t.tasks {
            tasks::add(conn, task, t.now).await?;
        }
        if let Some((lease, finish)) = &t.lease {
            let held = tasks::held(conn, lease).await?.ok_or(StoreError::LeaseLost)?;
            tasks::end(conn, &held, finish, Room::Free).await?;
        }
        if let Some((delivery, outcome)) = &t.delivery_done {
            let done = sqlx::query("UPDATE deliveries SET outcome = $2 WHERE id = $1")
                .bind(delivery)
                .bind(outcome)
                .execute(&mut *conn)
                .await
                .map_err(engine)?;
            one(&done)?;
        }
        Ok(())
    }
}

pub(super) async fn revision(conn: &mut SqliteConnection) -> Result<i64, StoreError> {
    sqlx::query_scalar("SELECT coalesce(max(revision), 0) FROM rules").fetch_one(conn).await.map_err(engine)
}

/// A row that was to be changed has moved, or is not there.
fn one(done: &SqliteQueryResult) -> Result<(), StoreError> {
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

async fn put_grant(conn: &mut SqliteConnection, grant: &Grant) -> Result<(), StoreError> {
    let stored = Grant { version: grant.version + 1, ..grant.clone() };
    let sql = if grant.version == 0 {
        "INSERT INTO grants (id, version, ticket, account, person, state, is_open, due_at, doc)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    } else {
        "UPDATE grants SET version = $2, ticket = $3, account = $4, person = $5, state = $6, is_open = $7,
             due_at = $8, doc = $9
         WHERE id = $1 AND version = $2 - 1"
    };
    let done = sqlx::query(sql)
        .bind(grant.id.as_str())
        .bind(stored.version)
        .bind(grant.ticket.to_string())
        .bind(grant.account.as_str())
        .bind(grant.person.as_str())
        .bind(grant.state.name())
        .bind(i64::from(!grant.state.is_final()))
        .bind(due_at(&grant.state).map(Timestamp::millis))
        .bind(row::encode(&stored)?)
        .execute(conn)
        .await
        .map_err(engine)?;
    one(&done)
}

async fn put_account(conn: &mut SqliteConnection, account: &Account) -> Result<(), StoreError> {
    let stored = Account { version: account.version + 1, ..account.clone() };
    let sql = if account.version == 0 {
        "INSERT INTO accounts (id, version, directory, person, mode, look_at, is_overdue, doc)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)"
    } else {
        "UPDATE accounts SET version = $2, directory = $3, person = $4, mode = $5, look_at = $6,
             is_overdue = $7, doc = $8
         WHERE id = $1 AND version = $2 - 1"
    };
    let done = sqlx::query(sql)
        .bind(account.id.as_str())
        .bind(stored.version)
        .bind(account.directory.as_str())
        .bind(account.person.as_str())
        .bind(mode_name(account.mode))
        .bind(row::look_at(account))
        .bind(i64::from(account.overdue.is_some()))
        .bind(row::encode(&stored)?)
        .execute(conn)
        .await
        .map_err(engine)?;
    one(&done)
}

pub(super) const fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Standard => "standard",
        Mode::Burner => "burner",
    }
}

async fn put_sealed(conn: &mut SqliteConnection, sealed: &SealedRow) -> Result<(), StoreError> {
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

async fn put_sighting(conn: &mut SqliteConnection, sighting: &Sighting) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO sightings (ticket, mapping, doc) VALUES ($1, $2, $3)
         ON CONFLICT (ticket, mapping) DO UPDATE SET doc = excluded.doc",
    )
    .bind(sighting.ticket.to_string())
    .bind(sighting.mapping.as_str())
    .bind(row::encode(sighting)?)
    .execute(conn)
    .await
    .map_err(engine)?;
    Ok(())
}

async fn put_notice(conn: &mut SqliteConnection, notice: &Notice) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO notices (id, ticket, grant_id, is_open, doc) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, doc = excluded.doc",
    )
    .bind(&notice.id)
    .bind(notice.ticket.to_string())
    .bind(notice.grant.as_str())
    .bind(i64::from(!notice.state.is_closed()))
    .bind(row::encode(notice)?)
    .execute(conn)
    .await
    .map_err(engine)?;
    Ok(())
}

/// A hold acts at once: whoever has access is looked at again under the new rules.
async fn look_at_what_stands(conn: &mut SqliteConnection, at: Timestamp) -> Result<(), StoreError> {
    let accounts: Vec<(String, String)> =
        sqlx::query_as("SELECT id, directory FROM accounts WHERE id IN (SELECT account FROM grants WHERE is_open = 1)")
            .fetch_all(&mut *conn)
            .await
            .map_err(engine)?;
    for (id, directory) in accounts {
        let (account, directory) = (row::parse("accounts", &id, &id)?, row::parse("accounts", &id, &directory)?);
        let work = Work::Converge { account, directory };
        tasks::add(conn, &NewTask { work, run_at: at, priority: Priority::Removal }, at).await?;
    }
    Ok(())
}

pub(super) struct SaveRules {
    pub(super) rules: Rules,
    pub(super) by: String,
    pub(super) reason: String,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Write for SaveRules {
    type Out = i64;

    async fn run(&self, conn: &mut SqliteConnection, _: Room) -> Result<i64, StoreError> {
        if revision(conn).await? != self.rules.revision {
            return Err(StoreError::Conflict);
        }
        let next = self.rules.revision + 1;
        sqlx::query(
            "INSERT INTO rules (revision, author, reason, saved_at, rulebook, records) VALUES ($1, $2, $3, $4, $5, $6)",
        )
        .bind(next)
        .bind(&self.by)
        .bind(&self.reason)
        .bind(self.at.millis())
        .bind(row::encode(&self.rules.rulebook)?)
        .bind(row::encode(&self.rules.records)?)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        look_at_what_stands(conn, self.at).await?;
        Ok(next)
    }
}
