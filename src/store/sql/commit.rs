//! One transition: everything that is checked against a version.

use async_trait::async_trait;
use latchkey_contract::{Timestamp, directory::Mode};

use super::{
    Conn, Done, StoreError,
    audit::Append,
    engine, generation, keys, rules, tasks, watched,
    write::{Class, Room, Write},
};
use crate::{
    access::{
        Account, Grant, risk,
        trigger::{Sighted, Sighting},
    },
    jobs::task::{NewTask, Priority, Work},
    store::{Alert, MailState, Notice, OwedMail, Transition, row},
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

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<(), StoreError> {
        let t = &self.transition;
        if let Some((lease, _)) = &t.lease {
            tasks::held(conn, lease).await?.ok_or(StoreError::LeaseLost)?;
        }
        if let Some(expected) = t.revision
            && rules::revision(&mut *conn).await? != expected
        {
            return Err(StoreError::Conflict);
        }
        // What was claimed before the note was written is in hand still.
        if t.gives() && generation::is_compared(&mut *conn).await? {
            return Err(StoreError::Conflict);
        }
        for brake in &t.brakes {
            let counted = rules::count_grants(&mut *conn, &brake.scope, &brake.since, None).await?;
            if counted >= brake.most {
                return Err(StoreError::Conflict);
            }
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
            keys::put(conn, sealed).await?;
        }
        for sighting in &t.sightings {
            put_sighting(conn, sighting).await?;
        }
        for notice in &t.notices {
            put_notice(conn, notice).await?;
        }
        for seen in &t.watched {
            watched::put(conn, seen).await?;
        }
        for alert in &t.alerts {
            put_alert(conn, alert).await?;
        }
        if let Some(alert) = &t.alert_done {
            let sql = "DELETE FROM alerts WHERE id = $1";
            sqlx::query(sql).bind(alert).execute(&mut *conn).await.map_err(engine)?;
        }
        for mail in &t.mails {
            put_mail(conn, mail, t.now).await?;
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

/// A row that was to be changed has moved, or is not there.
pub(super) fn one(done: &Done) -> Result<(), StoreError> {
    if done.rows_affected() == 1 { Ok(()) } else { Err(StoreError::Conflict) }
}

async fn put_grant(conn: &mut Conn, grant: &Grant) -> Result<(), StoreError> {
    let stored = Grant { version: grant.version + 1, ..grant.clone() };
    let sql = if grant.version == 0 {
        "INSERT INTO grants (id, version, ticket, account, person, state, is_open, due_at, doc, customer, risk)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)"
    } else {
        "UPDATE grants SET version = $2, ticket = $3, account = $4, person = $5, state = $6, is_open = $7,
             due_at = $8, doc = $9, customer = $10, risk = $11
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
        .bind(grant.due_at().map(Timestamp::millis))
        .bind(row::encode(&stored)?)
        .bind(grant.customer.as_str())
        .bind(risk(&grant.policy) as i64)
        .execute(conn)
        .await
        .map_err(engine)?;
    one(&done)
}

async fn put_account(conn: &mut Conn, account: &Account) -> Result<(), StoreError> {
    let stored = Account { version: account.version + 1, ..account.clone() };
    let sql = if account.version == 0 {
        "INSERT INTO accounts (id, version, directory, person, mode, look_at, is_overdue, doc, name)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)"
    } else {
        "UPDATE accounts SET version = $2, directory = $3, person = $4, mode = $5, look_at = $6,
             is_overdue = $7, doc = $8, name = $9
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
        .bind(account.name.to_ascii_lowercase())
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

/// How often a sighting is read again that another writer set between our reading and our writing.
const READ_AGAIN: usize = 3;

async fn put_sighting(conn: &mut Conn, sighted: &Sighted) -> Result<(), StoreError> {
    let (ticket, mapping) = (sighted.sighting().ticket.to_string(), sighted.sighting().mapping.as_str());
    for _ in 0..READ_AGAIN {
        let doc: Option<String> = sqlx::query_scalar("SELECT doc FROM sightings WHERE ticket = $1 AND mapping = $2")
            .bind(&ticket)
            .bind(mapping)
            .fetch_optional(&mut *conn)
            .await
            .map_err(engine)?;
        let stored: Option<Sighting> = doc.as_deref().map(|doc| row::decode("sightings", &ticket, doc)).transpose()?;
        let next = sighted.over(stored.as_ref()).ok_or(StoreError::Conflict)?;
        let put = sqlx::query(
            "INSERT INTO sightings (ticket, mapping, doc) VALUES ($1, $2, $3)
             ON CONFLICT (ticket, mapping) DO UPDATE SET doc = excluded.doc WHERE sightings.doc = $4",
        )
        .bind(&ticket)
        .bind(mapping)
        .bind(row::encode(&next)?)
        .bind(doc.unwrap_or_default())
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        if put.rows_affected() == 1 {
            return Ok(());
        }
    }
    Err(StoreError::Conflict)
}

async fn put_notice(conn: &mut Conn, notice: &Notice) -> Result<(), StoreError> {
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

/// A new mail gets its task; one that is settled needs none.
async fn put_mail(conn: &mut Conn, mail: &OwedMail, now: Timestamp) -> Result<(), StoreError> {
    let is_open = matches!(mail.state, MailState::Open { .. });
    let sql = "INSERT INTO mails (id, at, is_open, doc) VALUES ($1, $2, $3, $4)
         ON CONFLICT (id) DO UPDATE SET is_open = excluded.is_open, doc = excluded.doc
         RETURNING (SELECT count(*) FROM tasks WHERE slot = 'mail:' || $1)";
    let tasks: i64 = sqlx::query_scalar(sql)
        .bind(mail.id.as_str())
        .bind(mail.at.millis())
        .bind(i64::from(is_open))
        .bind(row::encode(mail)?)
        .fetch_one(&mut *conn)
        .await
        .map_err(engine)?;
    if !is_open || tasks > 0 {
        return Ok(());
    }
    let work = Work::Mail { mail: mail.id.clone() };
    tasks::add(conn, &NewTask::new(work, now, Priority::Telling), now).await
}

/// A mail that is there already, as it stands now.
pub(super) async fn put_mail_state(conn: &mut Conn, mail: &OwedMail) -> Result<(), StoreError> {
    let is_open = matches!(mail.state, MailState::Open { .. });
    sqlx::query("UPDATE mails SET is_open = $2, doc = $3 WHERE id = $1")
        .bind(mail.id.as_str())
        .bind(i64::from(is_open))
        .bind(row::encode(mail)?)
        .execute(conn)
        .await
        .map_err(engine)?;
    Ok(())
}

async fn put_alert(conn: &mut Conn, alert: &Alert) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO alerts (id, at, doc) VALUES ($1, $2, $3)")
        .bind(&alert.id)
        .bind(alert.at.millis())
        .bind(row::encode(alert)?)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
    let work = Work::Alert { alert: alert.id.clone() };
    tasks::add(conn, &NewTask::new(work, alert.at, Priority::Telling), alert.at).await
}
