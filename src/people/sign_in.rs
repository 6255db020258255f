//! Signing in, and the fresh code before a reveal.
//!
//! Whoever asks learns one thing: it worked, it did not, or it was tried too often. An unknown name costs the
//! same time as a known one, and fails in the same words.

use std::{net::IpAddr, sync::Arc};

use latchkey_contract::{Clock, PersonId, Secret, SecretId};
use subtle::ConstantTimeEq;
use tokio::sync::Semaphore;

use super::{
    enroll::open_one_time,
    password,
    session::{self, IDLE, SignedIn},
    throttle::{Counted, Throttled},
};
use crate::{
    jobs::task::presence_of,
    random,
    registry::Live,
    rulebook::HoldOn,
    seal::Seal,
    store::{Factors, Session, Store, StoreError},
};

/// Password checks at one time: each takes 19 MiB and a core. Holding the permit over look, check and count also means
/// that a burst of attempts cannot slip between them.
const CHECKS_AT_ONCE: usize = 2;

/// Signs people in and out.
#[derive(Debug)]
pub struct People {
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) seal: Arc<Seal>,
    live: Arc<Live>,
    pub(super) checks: Semaphore,
    nobody: Nobody,
}

/// What stands in for the factors of a name that nobody has.
#[derive(Debug)]
struct Nobody {
    password_hash: String,
    totp: SecretId,
}

/// What somebody typed, and from where.
#[derive(Debug)]
pub struct Attempt {
    /// As typed.
    pub person: String,
    /// As typed.
    pub password: Secret<String>,
    /// As typed.
    pub code: String,
    /// From where.
    pub address: IpAddr,
}

/// Why somebody is not signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// Something did not fit; nobody is told what.
    #[error("the sign-in does not fit")]
    Refused,
    /// Too many failures of this person or from this address.
    #[error("too many failed sign-ins")]
    Throttled,
    /// The database failed.
    #[error("the sign-in could not be checked")]
    Store(#[from] StoreError),
}

/// Why a fresh code is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    /// Wrong, of another time, or used before.
    #[error("the code does not fit")]
    Refused,
    /// Too many failures of this person or from this address.
    #[error("too many failed codes")]
    Throttled,
    /// The database failed.
    #[error("the code could not be checked")]
    Store(#[from] StoreError),
}

impl People {
    /// Takes tens of milliseconds: it hashes a password that nobody has.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, seal: Arc<Seal>, live: Arc<Live>) -> Self {
        let nobody = Nobody {
            password_hash: password::hash(&random::token()),
            totp: SecretId::parse("nobody").expect("letters are a secret id"),
        };
        Self { store, clock, seal, live, checks: Semaphore::new(CHECKS_AT_ONCE), nobody }
    }

    /// Checks both factors and opens a session with a new token.
    ///
    /// # Errors
    /// [`SignInError`]; a refusal counts as a failure of the person and of the address.
    pub async fn sign_in(&self, attempt: Attempt) -> Result<SignedIn, SignInError> {
        let counted = Counted::new(named(&attempt.person), attempt.address);
        let _permit = self.checks.acquire().await.map_err(|_| StoreError::Busy)?;
        if let Err(Throttled) = counted.check(&*self.store, self.clock.now()).await? {
            tracing::warn!(person = named(&attempt.person), "sign-in refused: too many failures");
            count("throttled");
            return Err(SignInError::Throttled);
        }
        match self.check(&attempt).await? {
            Some(person) => {
                let now = self.clock.now();
                let watch = presence_of(&self.live.known().rules.records, &person, now);
                let signed_in = session::begin(person, now);
                match self.store.open_session(&signed_in.session, watch, now).await {
                    // Held since they were looked at.
                    Err(StoreError::Conflict) => return Err(SignInError::Refused),
                    opened => opened?,
                }
                tracing::info!(person = %signed_in.session.person, "signed in");
                count("ok");
                Ok(signed_in)
            }
            None => {
                counted.fail(&*self.store, self.clock.now()).await?;
                tracing::warn!(person = named(&attempt.person), "sign-in refused");
                count("refused");
                Err(SignInError::Refused)
            }
        }
    }

    /// The session of a token, unless it is over or its person may no longer be here. Being asked moves its idle end.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn session(&self, token: &str) -> Result<Option<Session>, StoreError> {
        let now = self.clock.now();
        let hash = session::token_hash(token);
        let Some(session) = self.store.session(&hash, now, now + IDLE).await? else { return Ok(None) };
        if self.is_welcome(&session.person).await {
            return Ok(Some(session));
        }
        self.store.close_session(&hash).await?;
        tracing::warn!(person = %session.person, "session ended: the person is blocked or no longer in the records");
        Ok(None)
    }

    /// Ends the session of a token.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn sign_out(&self, token: &str) -> Result<(), StoreError> {
        self.store.close_session(&session::token_hash(token)).await
    }

    /// Checks a fresh one-time code of somebody who is signed in, and uses it up.
    ///
    /// # Errors
    /// [`CodeError`]; a refusal counts like a failed sign-in.
    pub async fn check_code(&self, person: &PersonId, code: &str, address: IpAddr) -> Result<(), CodeError> {
        let counted = Counted::new(person.as_str(), address);
        let _permit = self.checks.acquire().await.map_err(|_| StoreError::Busy)?;
        if let Err(Throttled) = counted.check(&*self.store, self.clock.now()).await? {
            tracing::warn!(%person, "code refused: too many failures");
            count("throttled");
            return Err(CodeError::Throttled);
        }
        if let Some(factors) = self.store.factors(person).await?
            && self.use_code(person, &factors.totp, code).await?
        {
            return Ok(());
        }
        counted.fail(&*self.store, self.clock.now()).await?;
        tracing::warn!(%person, "code refused");
        count("refused");
        Err(CodeError::Refused)
    }

    async fn check(&self, attempt: &Attempt) -> Result<Option<PersonId>, StoreError> {
        let person = PersonId::parse(attempt.person.as_str()).ok();
        let factors = match &person {
            Some(person) => self.store.factors(person).await?,
            None => None,
        };
        let fits = self.password_fits(attempt.password.clone(), factors.as_ref()).await;
        let totp = factors.as_ref().map_or(&self.nobody.totp, |f| &f.totp);
        let Some(person) = person.filter(|_| fits && factors.is_some()) else {
            self.store.sealed(totp).await?;
            return Ok(None);
        };
        if !self.is_welcome(&person).await || !self.use_code(&person, totp, &attempt.code).await? {
            return Ok(None);
        }
        Ok(Some(person))
    }

    async fn password_fits(&self, password: Secret<String>, factors: Option<&Factors>) -> bool {
        let hash = factors.map_or(&self.nobody.password_hash, |f| &f.password_hash).clone();
        let length = password.expose().chars().count();
        metrics::counter!("password_checks_total").increment(1);
        let checked = tokio::task::spawn_blocking(move || password::verify(&password, &hash)).await;
        length <= password::LONGEST && checked.unwrap_or(false)
    }

    async fn use_code(&self, person: &PersonId, totp: &SecretId, code: &str) -> Result<bool, StoreError> {
        let one_time = match open_one_time(&*self.store, &self.seal, person, totp).await? {
            Some(one_time) => one_time,
            None => return Ok(false),
        };
        match one_time.step(code, self.clock.now()) {
            Some(step) => self.store.use_step(person, step).await,
            None => Ok(false),
        }
    }

    pub(super) async fn is_welcome(&self, person: &PersonId) -> bool {
        let world = self.live.current().await;
        let is_held = world.rules.hold(&HoldOn::Person(person.clone())).is_some();
        world.rules.records.person(person).is_some() && !is_held
    }
}

/// True when a form carries its session's token. Compares in constant time.
#[must_use]
pub fn form_fits(session: &Session, form_token: &str) -> bool {
    session.form_token.as_bytes().ct_eq(form_token.as_bytes()).into()
}

/// A name as it is counted and logged: what is no person id at all is one name together.
fn named(typed: &str) -> &str {
    if PersonId::parse(typed).is_ok() { typed } else { "?" }
}

fn count(result: &'static str) {
    metrics::counter!("sign_ins_total", "result" => result).increment(1);
}
