//! Enrolment: a person gets a password and a one-time-code secret, both confirmed before anything is kept.

use latchkey_contract::{PersonId, Secret, SecretId, Timestamp};

use super::{BadPassword, OneTime, check_rules, hash};
use crate::{
    audit::By,
    random,
    seal::Seal,
    store::{Enrolled, Factors, SealedRow, Store, StoreError},
};

const PURPOSE: &str = "one-time code";

/// An enrolment that is not kept yet.
#[derive(Debug)]
pub struct Enrolment {
    person: PersonId,
    password: Secret<String>,
    one_time: OneTime,
}

/// Why somebody is not enrolled.
#[derive(Debug, thiserror::Error)]
pub enum EnrollError {
    /// The password.
    #[error(transparent)]
    Password(#[from] BadPassword),
    /// The app shows another code: wrong secret, or a clock that is off.
    #[error(
        "the code does not fit: type the secret into the app again, and compare this machine's clock with the phone's"
    )]
    Code,
    /// The database.
    #[error("the enrolment could not be saved; nothing was changed")]
    Store(#[from] StoreError),
}

impl Enrolment {
    /// Checks the password and makes a one-time-code secret.
    ///
    /// # Errors
    /// [`BadPassword`].
    pub fn begin(person: PersonId, password: Secret<String>) -> Result<Self, BadPassword> {
        check_rules(&password, &person)?;
        let one_time = OneTime::generate(&person);
        Ok(Self { person, password, one_time })
    }

    /// What the app is to be given.
    #[must_use]
    pub const fn one_time(&self) -> &OneTime {
        &self.one_time
    }

    /// Keeps it if the app shows the right code. Ends every session of the person; the code cannot be used again.
    ///
    /// # Errors
    /// [`EnrollError`]; nobody's factors were changed then.
    pub async fn finish(
        &self,
        code: &str,
        by: By,
        store: &dyn Store,
        seal: &Seal,
        now: Timestamp,
    ) -> Result<(), EnrollError> {
        let step = self.one_time.step(code, now).ok_or(EnrollError::Code)?;
        let sealed = sealed(seal, &self.one_time, now);
        let (password, person) = (self.password.clone(), self.person.clone());
        let password_hash =
            tokio::task::spawn_blocking(move || hash(&password)).await.map_err(|e| StoreError::Engine(Box::new(e)))?;
        let factors = Factors { person: person.clone(), password_hash, totp: sealed.id.clone(), enrolled_at: now };
        let enrolled = Enrolled { factors, sealed: Some(sealed), step, invitation: None, by };
        store.enroll(&enrolled).await?;
        tracing::info!(%person, "enrolled");
        Ok(())
    }
}

/// The secret as it is kept.
pub(super) fn sealed(seal: &Seal, one_time: &OneTime, now: Timestamp) -> SealedRow {
    seal.seal(random::secret_id(&random::SystemRandom, now), None, PURPOSE, &one_time.bytes())
}

/// A person's one-time-code secret; `None` when it is not there or does not open (which is logged).
///
/// # Errors
/// When the database fails.
pub async fn open_one_time(
    store: &dyn Store,
    seal: &Seal,
    person: &PersonId,
    totp: &SecretId,
) -> Result<Option<OneTime>, StoreError> {
    let Some(row) = store.sealed(totp).await? else { return Ok(None) };
    match seal.open(&row) {
        Ok(bytes) => Ok(OneTime::new(&bytes, person)),
        Err(error) => {
            tracing::error!(%person, %error, "the one-time-code secret does not open: enrol the person again");
            Ok(None)
        }
    }
}
