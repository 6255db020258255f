//! The path secret of a connection's hook, and its move to another one without losing a delivery.
//!
//! First both are accepted; then the webhooks are moved; an hour later the old one ends by itself. A move that breaks off
//! goes on with the next `webhook sync`: until the webhooks have moved the old one has no end.

use std::time::Duration;

use latchkey_contract::{ConnectionId, Former, Secret, Timestamp};

use super::{Change, FormerHook, NotSet, SecretKind, SecretName, former};
use crate::{
    audit::By,
    random,
    seal::{Seal, SealError},
    store::{SealedRow, Store, StoreError},
};

/// How long the old path is accepted after the webhooks were moved: longer than any delivery is under way.
pub const FORMER_LIVES: Duration = Duration::from_secs(3600);

/// Why a path secret could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PathError {
    /// It does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// It could not be saved.
    #[error(transparent)]
    NotSet(#[from] NotSet),
    /// The database.
    #[error("the path secret could not be read")]
    Store(#[from] StoreError),
    /// Too many former ones are believed already.
    #[error(
        "{0} was changed {most} times, and it is not known that the PSA has the present one, so all of them are accepted. \
         First run: latchkey webhook sync {1}; or, to accept the new one alone: latchkey secret set {0} --at-once",
        most = former::MOST
    )]
    Waiting(SecretName, ConnectionId),
}

/// What [`HookPath::renew`] came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewed {
    /// There was none; there is one now.
    First,
    /// There is a new one, and the former one is still accepted.
    Another,
    /// An earlier move is under way: its path secret is the new one, and no third one is made.
    UnderWay,
}

/// One connection's path secrets.
#[derive(Debug)]
pub struct HookPath<'a> {
    store: &'a dyn Store,
    seal: &'a Seal,
    connection: &'a ConnectionId,
}

impl<'a> HookPath<'a> {
    /// Of this connection.
    #[must_use]
    pub fn new(store: &'a dyn Store, seal: &'a Seal, connection: &'a ConnectionId) -> Self {
        Self { store, seal, connection }
    }

    /// The one that webhooks are to lead to.
    ///
    /// # Errors
    /// [`PathError`].
    pub async fn secret(&self) -> Result<Option<Secret<String>>, PathError> {
        match self.row(SecretKind::HookSecret).await? {
            Some(row) => Ok(Some(self.seal.open_text(&row)?)),
            None => Ok(None),
        }
    }

    /// The one before it. One that does not open is left out, and said in the log: the new path works without it.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn former(&self) -> Result<Option<FormerHook>, StoreError> {
        let Some(row) = self.row(SecretKind::FormerHookSecret).await? else { return Ok(None) };
        match self.seal.open_text(&row) {
            Ok(text) => {
                let former = former::read(&text).into_iter().next();
                Ok(former.map(|former| FormerHook::of(former.value.expose(), former.until)))
            }
            Err(error) => {
                tracing::error!(connection = %self.connection, %error, "the former path secret cannot be used");
                Ok(None)
            }
        }
    }

    /// Makes a new path secret; the present one is accepted as well until the webhooks have moved, and an hour longer.
    ///
    /// # Errors
    /// [`PathError`].
    pub async fn renew(&self, by: &By, now: Timestamp) -> Result<Renewed, PathError> {
        let Some(present) = self.secret().await? else {
            let secrets = [(self.name(SecretKind::HookSecret), random::token())];
            self.save(by, &secrets, &format!("made {}", secrets[0].0), now).await?;
            return Ok(Renewed::First);
        };
        if self.moving().await?.is_some() {
            return Ok(Renewed::UnderWay);
        }
        let former = Former { value: present, until: None };
        let secrets = [
            (self.name(SecretKind::HookSecret), random::token()),
            (self.name(SecretKind::FormerHookSecret), former::text(&[former])),
        ];
        self.save(by, &secrets, &format!("rotated {}", secrets[0].0), now).await?;
        Ok(Renewed::Another)
    }

    /// The webhooks lead to the present path secret: the former one gets its end, which is answered. One whose end has
    /// passed is forgotten.
    ///
    /// # Errors
    /// [`PathError`].
    pub async fn moved(&self, by: &By, now: Timestamp) -> Result<Option<Timestamp>, PathError> {
        let Some(former) = self.moving().await? else {
            if self.former().await?.is_some_and(|former| former.is_over(now)) {
                let name = self.name(SecretKind::FormerHookSecret);
                let reason = format!("{name} is over");
                let change = Change { secrets: &[], forget: std::slice::from_ref(&name), reason: &reason };
                change.put_in_force(self.store, self.seal, by, now, |_| ()).await?;
            }
            return Ok(None);
        };
        let until = now + FORMER_LIVES;
        let ending = Former { until: Some(until), ..former };
        let secrets = [(self.name(SecretKind::FormerHookSecret), former::text(&[ending]))];
        self.save(by, &secrets, &format!("the webhooks of {} were moved", self.connection), now).await?;
        Ok(Some(until))
    }

    /// The former one, while it has no end yet.
    async fn moving(&self) -> Result<Option<Former>, PathError> {
        let Some(row) = self.row(SecretKind::FormerHookSecret).await? else { return Ok(None) };
        Ok(former::read(&self.seal.open_text(&row)?).into_iter().next().filter(|former| former.until.is_none()))
    }

    async fn row(&self, kind: SecretKind) -> Result<Option<SealedRow>, StoreError> {
        self.store.sealed_named(&self.name(kind).to_string()).await
    }

    async fn save(
        &self,
        by: &By,
        secrets: &[(SecretName, Secret<String>)],
        reason: &str,
        now: Timestamp,
    ) -> Result<(), NotSet> {
        Change { secrets, forget: &[], reason }.put_in_force(self.store, self.seal, by, now, |_| ()).await
    }

    fn name(&self, kind: SecretKind) -> SecretName {
        SecretName::new(self.connection.clone(), kind)
    }
}
