//! Invitations: a link in a mail to the person's own address, by which they choose their factors themselves. Nobody
//! else sees the link, and nobody at all sees what they choose.
//!
//! The link is good for a day, for one person, once; an invitation made later, an enrolment and a hold void it. Opening
//! it changes nothing, since scanners open the links of mails.

use std::{fmt, net::IpAddr, time::Duration};

use latchkey_contract::{PersonId, Secret, Timestamp};

use super::{
    BadPassword, OneTime, People, check_rules,
    enroll::{open_one_time, sealed},
    hash,
    session::token_hash,
    throttle::{Counted, Throttled},
};
use crate::{
    audit::By,
    mail::MailAddress,
    random,
    store::{Chosen, Enrolled, Factors, Invitation, StoreError},
};

/// How long a link is good.
pub const GOOD_FOR: Duration = Duration::from_secs(24 * 3600);

/// How an invitation reaches its person. Keeps nothing of it.
#[async_trait::async_trait]
pub trait Invitations: Send + Sync + fmt::Debug {
    /// Hands it over for the person's own address.
    ///
    /// # Errors
    /// [`NotSent`]: whoever asked takes the invitation back.
    async fn send(&self, letter: &Letter) -> Result<(), NotSent>;
}

/// What an invitation says.
#[derive(Debug)]
pub struct Letter {
    /// Who.
    pub person: PersonId,
    /// To whom.
    pub to: MailAddress,
    /// How they are called.
    pub name: String,
    /// Who invites.
    pub by: String,
    /// Worth an account until it is used.
    pub link: Secret<String>,
    /// Until when it is good.
    pub until: Timestamp,
}

/// Why an invitation did not go out: a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotSent(pub String);

/// A new invitation, with the token that stands in its link and nowhere else.
#[must_use]
pub fn invitation(person: PersonId, before: Option<&Factors>, now: Timestamp) -> (Secret<String>, Invitation) {
    let token = random::token();
    let made = Invitation {
        person,
        token_hash: token_hash(token.expose()),
        beside: before.map(|factors| factors.totp.clone()),
        until: now + GOOD_FOR,
        chosen: None,
    };
    (token, made)
}

/// Somebody with a good link and a secret for their app, not confirmed yet.
#[derive(Debug)]
pub struct Invited {
    /// Who.
    pub person: PersonId,
    /// For their app.
    pub one_time: OneTime,
}

/// Why an invitation does not go on.
#[derive(Debug, thiserror::Error)]
pub enum InvitationError {
    /// It never was, is used, replaced, over, or its person may not be here: nobody is told which.
    #[error("the link is not good")]
    NotGood,
    /// Too many failures of this person or from this address.
    #[error("too many failed attempts")]
    Throttled,
    /// The password.
    #[error(transparent)]
    Password(#[from] BadPassword),
    /// The app shows another code.
    #[error("the code does not fit")]
    Code(Box<Invited>),
    /// The database.
    #[error("the invitation could not be looked at")]
    Store(#[from] StoreError),
}

impl People {
    /// Whose link this is, if it is good.
    ///
    /// # Errors
    /// [`InvitationError::NotGood`], or the database's.
    pub async fn invited(&self, token: &Secret<String>) -> Result<PersonId, InvitationError> {
        Ok(self.good(token).await?.ok_or(InvitationError::NotGood)?.person)
    }

    /// Keeps a password with the invitation, and makes a secret for the app. Both count from [`People::confirm`] on.
    ///
    /// # Errors
    /// [`InvitationError`]. A link that is not good counts as a failure of the address.
    pub async fn choose(
        &self,
        token: &Secret<String>,
        password: Secret<String>,
        address: IpAddr,
    ) -> Result<Invited, InvitationError> {
        let _permit = self.checks.acquire().await.map_err(|_| StoreError::Busy)?;
        let Invitation { person, token_hash, .. } = self.counted(token, address).await?;
        check_rules(&password, &person)?;
        let hashed = tokio::task::spawn_blocking(move || hash(&password)).await;
        let (one_time, now) = (OneTime::generate(&person), self.clock.now());
        let chosen = Chosen {
            password_hash: hashed.map_err(|e| StoreError::Engine(Box::new(e)))?,
            sealed: sealed(&self.seal, &one_time, now),
        };
        match self.store.choose(&token_hash, &chosen, now).await {
            Ok(()) => Ok(Invited { person, one_time }),
            Err(StoreError::Conflict) => Err(InvitationError::NotGood),
            Err(error) => Err(error.into()),
        }
    }

    /// Enrols the person with what they chose, if their app shows the right code. The link is used up, and every session
    /// ends.
    ///
    /// # Errors
    /// [`InvitationError`]. A wrong code counts like a failed sign-in.
    pub async fn confirm(
        &self,
        token: &Secret<String>,
        code: &str,
        address: IpAddr,
    ) -> Result<PersonId, InvitationError> {
        let _permit = self.checks.acquire().await.map_err(|_| StoreError::Busy)?;
        let invitation = self.counted(token, address).await?;
        let (password_hash, totp) = invitation.chosen.ok_or(InvitationError::NotGood)?;
        let (person, now) = (invitation.person, self.clock.now());
        let one_time = open_one_time(&*self.store, &self.seal, &person, &totp).await?;
        let one_time = one_time.ok_or(InvitationError::NotGood)?;
        let Some(step) = one_time.step(code, now) else {
            Counted::new(person.as_str(), address).fail(&*self.store, now).await?;
            tracing::warn!(%person, "enrolment refused: the code does not fit");
            return Err(InvitationError::Code(Box::new(Invited { person, one_time })));
        };
        let enrolled = Enrolled {
            factors: Factors { person: person.clone(), password_hash, totp, enrolled_at: now },
            sealed: None,
            step,
            invitation: Some(invitation.token_hash),
            by: By::Person(person.clone()),
        };
        match self.store.enroll(&enrolled).await {
            Ok(()) => {
                tracing::info!(%person, "enrolled by invitation");
                Ok(person)
            }
            Err(StoreError::Conflict) => Err(InvitationError::NotGood),
            Err(error) => Err(error.into()),
        }
    }

    /// A good invitation, unless whoever shows it has failed too often.
    async fn counted(&self, token: &Secret<String>, address: IpAddr) -> Result<Invitation, InvitationError> {
        let good = self.good(token).await?;
        let counted = match &good {
            Some(invitation) => Counted::new(invitation.person.as_str(), address),
            None => Counted::stranger(address),
        };
        if let Err(Throttled) = counted.check(&*self.store, self.clock.now()).await? {
            tracing::warn!("invitation refused: too many failures");
            return Err(InvitationError::Throttled);
        }
        if good.is_none() {
            counted.fail(&*self.store, self.clock.now()).await?;
            tracing::warn!("an invitation's link was refused: it is not good, or not good any more");
        }
        good.ok_or(InvitationError::NotGood)
    }

    async fn good(&self, token: &Secret<String>) -> Result<Option<Invitation>, StoreError> {
        let hash = token_hash(token.expose());
        let Some(invitation) = self.store.invitation(&hash, self.clock.now()).await? else { return Ok(None) };
        Ok(self.is_welcome(&invitation.person).await.then_some(invitation))
    }
}
