//! Enrolment: factors, and the invitations by which people get them.

use async_trait::async_trait;
use latchkey_contract::{PersonId, Timestamp};
use serde_json::json;

use super::{
    Conn, Pool, StoreError,
    audit::Append,
    engine, keys, rules,
    write::{Room, Write},
};
use crate::{
    audit::{AuditEntry, By, Code},
    store::{Chosen, Enrolled, Invitation, row},
};

pub(super) struct Enroll(pub(super) Enrolled);

#[async_trait]
impl Write for Enroll {
    type Out = ();

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<(), StoreError> {
        let Enrolled { factors, sealed, step, invitation, by } = &self.0;
        let (person, totp, at) = (factors.person.as_str(), factors.totp.as_str(), factors.enrolled_at);
        rules::not_held(conn, &factors.person).await?;
        if let Some(token_hash) = invitation {
            let used = sqlx::query(
                "DELETE FROM invitations
                 WHERE token_hash = $1 AND person = $2 AND totp = $3 AND until_at > $4
                   AND beside IS NOT DISTINCT FROM (SELECT totp FROM factors WHERE person = $2)",
            )
            .bind(token_hash)
            .bind(person)
            .bind(totp)
            .bind(at.millis())
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
            if used.rows_affected() != 1 {
                return Err(StoreError::Conflict);
            }
        }
        // Before the new secret: the former one, and what was chosen elsewhere and not confirmed.
        let is_first = !forget(conn, &factors.person).await?;
        if let Some(sealed) = sealed {
            keys::put(conn, sealed).await?;
        }
        sqlx::query(
            "INSERT INTO factors (person, password_hash, totp, enrolled_at, last_step) VALUES ($1, $2, $3, $4, $5)",
        )
        .bind(person)
        .bind(&factors.password_hash)
        .bind(totp)
        .bind(at.millis())
        .bind(step)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
        let way = if invitation.is_some() { "invitation" } else { "terminal" };
        let detail = json!({ "way": way, "is_first": is_first });
        let entry = AuditEntry::new(Code::PersonEnrolled, at, by.clone(), detail);
        let entry = AuditEntry { person: Some(factors.person.clone()), ..entry };
        Append::default().run(conn, &[entry], room).await
    }
}

/// Everything by which a person could sign in, or come to be able to. Answers whether they could.
pub(super) async fn forget(conn: &mut Conn, person: &PersonId) -> Result<bool, StoreError> {
    shut_out(conn, person).await?;
    let sealed = "DELETE FROM sealed WHERE id = (SELECT totp FROM factors WHERE person = $1)";
    sqlx::query(sealed).bind(person.as_str()).execute(&mut *conn).await.map_err(engine)?;
    let factors = "DELETE FROM factors WHERE person = $1";
    let gone = sqlx::query(factors).bind(person.as_str()).execute(&mut *conn).await.map_err(engine)?;
    Ok(gone.rows_affected() == 1)
}

/// Sessions and links: what a person holds in their hands.
pub(super) async fn shut_out(conn: &mut Conn, person: &PersonId) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM sessions WHERE person = $1")
        .bind(person.as_str())
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
    uninvite(conn, person).await
}

/// Invitations whose time is over, and what was chosen under them.
pub(super) async fn forget_old(conn: &mut Conn, now: Timestamp) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM sealed WHERE id IN (SELECT totp FROM invitations WHERE until_at <= $1)",
        "DELETE FROM invitations WHERE until_at <= $1",
    ] {
        sqlx::query(sql).bind(now.millis()).execute(&mut *conn).await.map_err(engine)?;
    }
    Ok(())
}

pub(super) struct Invite {
    pub(super) invitation: Invitation,
    pub(super) by: By,
    pub(super) at: Timestamp,
}

#[async_trait]
impl Write for Invite {
    type Out = ();

    async fn run(&self, conn: &mut Conn, room: Room) -> Result<(), StoreError> {
        let Invitation { person, token_hash, beside, until, .. } = &self.invitation;
        uninvite(conn, person).await?;
        sqlx::query("INSERT INTO invitations (person, token_hash, beside, until_at) VALUES ($1, $2, $3, $4)")
            .bind(person.as_str())
            .bind(token_hash)
            .bind(beside.as_ref().map(latchkey_contract::SecretId::as_str))
            .bind(until.millis())
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
        let detail = json!({ "until": until.rfc3339() });
        let entry = AuditEntry::new(Code::PersonInvited, self.at, self.by.clone(), detail);
        let entry = AuditEntry { person: Some(person.clone()), ..entry };
        Append::default().run(conn, &[entry], room).await
    }
}

pub(super) struct Uninvite(pub(super) PersonId);

#[async_trait]
impl Write for Uninvite {
    type Out = ();

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<(), StoreError> {
        uninvite(conn, &self.0).await
    }
}

async fn uninvite(conn: &mut Conn, person: &PersonId) -> Result<(), StoreError> {
    for sql in [
        "DELETE FROM sealed WHERE id = (SELECT totp FROM invitations WHERE person = $1)",
        "DELETE FROM invitations WHERE person = $1",
    ] {
        sqlx::query(sql).bind(person.as_str()).execute(&mut *conn).await.map_err(engine)?;
    }
    Ok(())
}

pub(super) struct Choose {
    pub(super) token_hash: String,
    pub(super) chosen: Chosen,
    pub(super) now: Timestamp,
}

#[async_trait]
impl Write for Choose {
    type Out = ();

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<(), StoreError> {
        let Chosen { password_hash, sealed } = &self.chosen;
        sqlx::query("DELETE FROM sealed WHERE id = (SELECT totp FROM invitations WHERE token_hash = $1)")
            .bind(&self.token_hash)
            .execute(&mut *conn)
            .await
            .map_err(engine)?;
        let kept =
            sqlx::query("UPDATE invitations SET password_hash = $2, totp = $3 WHERE token_hash = $1 AND until_at > $4")
                .bind(&self.token_hash)
                .bind(password_hash)
                .bind(sealed.id.as_str())
                .bind(self.now.millis())
                .execute(&mut *conn)
                .await
                .map_err(engine)?;
        if kept.rows_affected() != 1 {
            return Err(StoreError::Conflict);
        }
        keys::put(conn, sealed).await
    }
}

/// An invitation that is good: its time is not over, and the person has not been enrolled since.
pub(super) async fn invitation(
    readers: &Pool,
    token_hash: &str,
    now: Timestamp,
) -> Result<Option<Invitation>, StoreError> {
    type Row = (String, Option<String>, i64, Option<String>, Option<String>);
    let found: Option<Row> = sqlx::query_as(
        "SELECT i.person, i.beside, i.until_at, i.password_hash, i.totp FROM invitations AS i
         WHERE i.token_hash = $1 AND i.until_at > $2
           AND i.beside IS NOT DISTINCT FROM (SELECT f.totp FROM factors AS f WHERE f.person = i.person)",
    )
    .bind(token_hash)
    .bind(now.millis())
    .fetch_optional(readers)
    .await
    .map_err(engine)?;
    let Some((person, beside, until, password_hash, totp)) = found else { return Ok(None) };
    let secret = |id: String| row::parse("invitations", &person, &id);
    Ok(Some(Invitation {
        token_hash: token_hash.to_owned(),
        beside: beside.map(secret).transpose()?,
        until: Timestamp::from_millis(until),
        chosen: password_hash.zip(totp.map(secret).transpose()?),
        person: row::parse("invitations", &person, &person)?,
    }))
}
