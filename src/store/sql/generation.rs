//! How old this copy of the database is.

use async_trait::async_trait;
use latchkey_contract::ConnectionId;

use super::{
    Conn, Pool, StoreError, commit, compared, engine,
    write::{Class, Room, Write},
};
use crate::{
    rulebook::AlertKind,
    store::{Alert, Comparing, Generation, MailState, OwedMail, row},
};

const NUMBER: &str = "generation";
const COMPARING: &str = "comparing";
const SO_FAR: &str = "compared";

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

/// Whether it is noted that this database is compared first.
pub(super) async fn is_compared(conn: &mut Conn) -> Result<bool, StoreError> {
    sqlx::query_scalar("SELECT EXISTS (SELECT 1 FROM meta WHERE name = $1)")
        .bind(COMPARING)
        .fetch_one(conn)
        .await
        .map_err(engine)
}

pub(super) struct Raise {
    pub(super) seen: i64,
    /// What was compared, when that ends with it.
    pub(super) settled: Option<Comparing>,
}

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
        .bind(self.seen)
        .fetch_one(&mut *conn)
        .await
        .map_err(engine)?;
        if let Some(settled) = &self.settled {
            end_comparing(conn, settled).await?;
        }
        row::parse("meta", NUMBER, &value)
    }

    /// What waits may be claimed.
    fn wakes(&self) -> bool {
        self.settled.is_some()
    }
}

/// Another note than the one that was settled was written meanwhile, and stays.
async fn end_comparing(conn: &mut Conn, settled: &Comparing) -> Result<(), StoreError> {
    let Some((noted, comparing)) = noted(conn).await? else { return Ok(()) };
    if comparing != *settled {
        return Err(StoreError::Conflict);
    }
    let done = sqlx::query("DELETE FROM meta WHERE name = $1 AND value = $2")
        .bind(COMPARING)
        .bind(noted)
        .execute(&mut *conn)
        .await
        .map_err(engine)?;
    commit::one(&done)?;
    forget(conn, SO_FAR).await?;
    compared(conn).await?;
    let_old_mails_be(conn).await
}

/// The note, and the same as it stands there.
async fn noted(conn: &mut Conn) -> Result<Option<(String, Comparing)>, StoreError> {
    let noted: Option<String> = sqlx::query_scalar("SELECT value FROM meta WHERE name = $1")
        .bind(COMPARING)
        .fetch_optional(conn)
        .await
        .map_err(engine)?;
    noted.map(|text| row::decode("meta", COMPARING, &text).map(|note| (text, note))).transpose()
}

async fn forget(conn: &mut Conn, name: &str) -> Result<(), StoreError> {
    sqlx::query("DELETE FROM meta WHERE name = $1").bind(name).execute(conn).await.map(|_| ()).map_err(engine)
}

/// A copy owes mails that were sent since it was made, or tell of what nobody remembers. What asks somebody to act is sent
/// all the same, as a repeat; everything else is given up, visibly.
async fn let_old_mails_be(conn: &mut Conn) -> Result<(), StoreError> {
    let open: Vec<(String, String)> =
        sqlx::query_as("SELECT id, doc FROM mails WHERE is_open = 1").fetch_all(&mut *conn).await.map_err(engine)?;
    for (id, doc) in open {
        let mail: OwedMail = row::decode("mails", &id, &doc)?;
        let state = match mail.words.alert() {
            Some(kind) if kind.asks_to_act() => MailState::Open { is_repeat: true },
            _ => MailState::GivenUp { why: "the database was restored: this may have been sent before".to_owned() },
        };
        commit::put_mail_state(conn, &OwedMail { state, ..mail }).await?;
    }
    let alerts: Vec<(String, String)> =
        sqlx::query_as("SELECT id, doc FROM alerts").fetch_all(&mut *conn).await.map_err(engine)?;
    for (id, doc) in alerts {
        let alert: Alert = row::decode("alerts", &id, &doc)?;
        if !alert.what.kind().is_some_and(AlertKind::asks_to_act) {
            sqlx::query("DELETE FROM alerts WHERE id = $1").bind(id).execute(&mut *conn).await.map_err(engine)?;
        }
    }
    Ok(())
}

pub(super) struct SoFar {
    pub(super) comparing: Comparing,
    pub(super) directories: Vec<ConnectionId>,
}

#[async_trait]
impl Write for SoFar {
    type Out = ();

    fn class(&self) -> Class {
        Class::Removal
    }

    async fn run(&self, conn: &mut Conn, _: Room) -> Result<(), StoreError> {
        if noted(conn).await?.is_none_or(|(_, comparing)| comparing != self.comparing) {
            return Err(StoreError::Conflict);
        }
        sqlx::query(
            "INSERT INTO meta (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
        )
        .bind(SO_FAR)
        .bind(row::encode(&self.directories)?)
        .execute(conn)
        .await
        .map(|_| ())
        .map_err(engine)
    }

    /// Removals in them may be claimed.
    fn wakes(&self) -> bool {
        true
    }
}

pub(super) struct CompareFirst(pub(super) Comparing);

#[async_trait]
impl Write for CompareFirst {
    type Out = Comparing;

    fn class(&self) -> Class {
        Class::Removal
    }

    /// Whoever starts compares anew: what was found so far may be a copy's.
    async fn run(&self, conn: &mut Conn, _: Room) -> Result<Comparing, StoreError> {
        forget(conn, SO_FAR).await?;
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
