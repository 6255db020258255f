//! Sends one mail. What the server refuses for good is given up, visibly; everything else is tried again for ever,
//! seldom: a mail server may be down for a day.

use std::{fmt, sync::Arc, time::Duration};

use latchkey_contract::{Clock, MailId, Secret, SecretId, text::one_line};
use tokio::sync::Mutex;
use url::Url;

use super::{JobError, Jobs};
use crate::{
    jobs::queue::{LeaseHandle, Ran},
    mail::{Mail, MailError, Mailer, Settings},
    registry::SecretName,
    seal::Seal,
    store::{CommitName, Finish, MailState, OwedMail, Store, StoreError, Transition},
};

/// How seldom it is tried while an operator has to mend something first.
const UNTIL_MENDED: Duration = Duration::from_secs(15 * 60);

/// The mailer of the `[mail]` table, made anew when its password changes.
pub struct Post {
    settings: Option<Settings>,
    public_url: Url,
    clock: Arc<dyn Clock>,
    kept: Mutex<Option<(Option<SecretId>, Arc<Mailer>)>>,
}

impl fmt::Debug for Post {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Post").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Post {
    /// Nothing is connected yet. Without settings no mail is sent.
    #[must_use]
    pub fn new(settings: Option<Settings>, public_url: Url, clock: Arc<dyn Clock>) -> Self {
        Self { settings, public_url, clock, kept: Mutex::default() }
    }

    /// True where the configuration names a mail server.
    #[must_use]
    pub const fn is_configured(&self) -> bool {
        self.settings.is_some()
    }

    /// The mailer; `None` where the configuration names no mail server.
    ///
    /// # Errors
    /// [`MailError::Setup`] for what an operator has to mend, or [`MailError::Later`] where the database fails.
    pub async fn mailer(&self, store: &dyn Store, seal: &Seal) -> Result<Option<Arc<Mailer>>, MailError> {
        let Some(settings) = &self.settings else { return Ok(None) };
        let later = |error: StoreError| MailError::Later { why: error.to_string(), may_have_arrived: false };
        let row = store.sealed_named(&SecretName::MailPassword.to_string()).await.map_err(later)?;
        let made_of = row.as_ref().map(|row| row.id.clone());
        let mut kept = self.kept.lock().await;
        if let Some((before, mailer)) = kept.as_ref()
            && *before == made_of
        {
            return Ok(Some(Arc::clone(mailer)));
        }
        let password: Option<Secret<String>> = match row {
            Some(row) => Some(seal.open_text(&row).map_err(|error| MailError::Setup { why: error.to_string() })?),
            None => None,
        };
        let mailer = Mailer::new(settings.clone(), &self.public_url, password.as_ref(), Arc::clone(&self.clock))?;
        let mailer = Arc::new(mailer);
        *kept = Some((made_of, Arc::clone(&mailer)));
        Ok(Some(mailer))
    }
}

impl Jobs {
    pub(super) async fn mail(&self, id: &MailId, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let Some(mail) = self.store.mail(id).await? else { return Ok(Ran::Finish(Finish::Done)) };
        let MailState::Open { is_repeat } = mail.state else { return Ok(Ran::Finish(Finish::Done)) };
        let mailer = match self.post.mailer(self.store.as_ref(), &self.seal).await {
            Ok(Some(mailer)) => mailer,
            Ok(None) => {
                let why = "no mail server is configured: write a [mail] table into the configuration".to_owned();
                return self.settle_mail(mail, MailState::GivenUp { why }, lease).await;
            }
            Err(error) => return self.unsent(mail, &error, lease).await,
        };
        let letter =
            Mail { id: mail.id.clone(), to: mail.to.clone(), written: mail.words.write(), at: mail.at, is_repeat };
        match mailer.send(&letter).await {
            Ok(()) => {
                let state = MailState::Sent { at: self.clock.now() };
                self.settle_mail(mail, state, lease).await
            }
            Err(error) => self.unsent(mail, &error, lease).await,
        }
    }

    async fn unsent(&self, mail: OwedMail, error: &MailError, lease: &LeaseHandle) -> Result<Ran, JobError> {
        match error {
            MailError::Refused { why } => {
                metrics::counter!("mails_refused_total").increment(1);
                tracing::error!(mail.id = %mail.id, why, "a mail was refused for good; whoever was to get it is not told");
                let state = MailState::GivenUp { why: one_line(why, 300) };
                self.settle_mail(mail, state, lease).await
            }
            MailError::Setup { why } => {
                tracing::error!(mail.id = %mail.id, why, "no mail is sent until this is mended");
                Ok(Ran::Finish(Finish::Retry { at: self.clock.now() + UNTIL_MENDED, error: one_line(why, 300) }))
            }
            MailError::Later { why, may_have_arrived } => {
                let failed = || Ran::Failed { error: one_line(why, 300), retry_after: None };
                if *may_have_arrived && mail.state == (MailState::Open { is_repeat: false }) {
                    let mut transition = Transition::new(CommitName::Mailed, self.clock.now());
                    transition.mails.push(OwedMail { state: MailState::Open { is_repeat: true }, ..mail });
                    transition.lease = Some((lease.lease(), Finish::Keep));
                    self.store.commit(transition).await?;
                }
                Ok(failed())
            }
        }
    }

    async fn settle_mail(&self, mail: OwedMail, state: MailState, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let mut transition = Transition::new(CommitName::Mailed, self.clock.now());
        transition.mails.push(OwedMail { state, ..mail });
        transition.lease = Some((lease.lease(), Finish::Done));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }
}
