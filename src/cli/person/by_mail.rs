//! Invitations by the mail server of the configuration.

use anyhow::Context;
use latchkey_contract::MailId;

use super::super::Desk;
use crate::{
    mail::{Invitation, Mail, Mailer, Named},
    people::{Invitations, Letter, NotSent},
    random,
    registry::SecretName,
};

/// Goes out at once and is kept nowhere: an owed mail would be a stored link.
#[derive(Debug)]
struct ByMail<'a> {
    desk: &'a Desk,
    mailer: Mailer,
}

/// `None` where no mail is configured.
pub(super) async fn of(desk: &Desk) -> anyhow::Result<Option<Box<dyn Invitations + '_>>> {
    let Some(settings) = desk.config.mail.clone() else { return Ok(None) };
    let password = match desk.store.sealed_named(&SecretName::MailPassword.to_string()).await? {
        Some(row) => Some(desk.seal().await?.open_text(&row)?),
        None => None,
    };
    let mailer = Mailer::new(settings, &desk.config.public_url, password.as_ref(), desk.clock.clone());
    let mailer = mailer.context("mail cannot be sent; nothing was changed")?;
    Ok(Some(Box::new(ByMail { desk, mailer })))
}

#[async_trait::async_trait]
impl Invitations for ByMail<'_> {
    async fn send(&self, letter: &Letter) -> Result<(), NotSent> {
        let invitation = Invitation {
            person: Named { id: letter.person.clone(), name: letter.name.clone() },
            by: letter.by.clone(),
            link: letter.link.clone(),
            until: letter.until,
        };
        let now = self.desk.clock.now();
        let mail = Mail {
            id: MailId::parse(random::id(now)).map_err(|e| NotSent(e.to_string()))?,
            to: letter.to.clone(),
            written: invitation.write(),
            at: now,
            is_repeat: false,
        };
        self.mailer.send(&mail).await.map_err(|e| NotSent(e.to_string()))
    }
}
