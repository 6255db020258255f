//! What an operator does at the command line while the service is down.

use std::sync::Arc;

use latchkey::{
    audit::{AuditEntry, By, Code, Signer},
    config::Config,
    people::Enrolment,
    random::{SystemRandom, secret_id},
    registry::{SecretKind, SecretName, set_secrets},
    rulebook::{Hold, HoldCause, HoldOn},
    seal::{Seal, retire, rotate, unlock},
    store::{Chosen, Engine, Invitation, Store, sqlite::Options},
};
use latchkey_contract::{PersonId, Secret, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{harness::PASSWORD, story::MINUTE};

/// What there is in the database of an invitation's token.
const TOKEN_HASH: &str = "the-hash-of-a-token";

/// Each may be done again, and comes to the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command {
    /// Sets the tenant's client secret.
    Secret(String),
    /// Makes Mark an invitation.
    Invite,
    /// Mark opens it, and chooses a password.
    Choose,
    /// Takes it back.
    Uninvite,
    /// Enrols Mark, beside the operator.
    Enroll,
    /// Pauses the customer.
    Hold,
    /// Saves records in which Mark has another name.
    Rename,
    /// Resumes the customer.
    Lift,
    /// Another master key, and the former one goes.
    Rotate,
    /// Lets old entries of the audit log go.
    Prune,
}

impl Command {
    /// What an operator does now and then, and what does not touch access.
    pub(crate) const CHORES: [Self; 8] =
        [Self::Invite, Self::Choose, Self::Uninvite, Self::Enroll, Self::Hold, Self::Rename, Self::Lift, Self::Rotate];

    /// Whether it could be done.
    pub(crate) async fn is_done(
        &self,
        config: &Config,
        now: Timestamp,
        wrap: impl FnOnce(Arc<dyn Store>) -> Arc<dyn Store>,
    ) -> bool {
        let engine = Engine::open(&config.database, Options::default()).await.unwrap();
        let store = wrap(engine.store());
        let seal = unlock(&config.key_file, store.as_ref(), now).await.unwrap();
        let done = self.carry_out(config, store.as_ref(), &seal, now).await;
        drop(store);
        engine.close().await;
        done.is_ok()
    }

    async fn carry_out(&self, config: &Config, store: &dyn Store, seal: &Seal, now: Timestamp) -> anyhow::Result<()> {
        let (by, mark) = (By::operator("test"), PersonId::parse("mark")?);
        let customer = HoldOn::Customer("acme".parse()?);
        match self {
            Self::Secret(value) => {
                let name = SecretName::new("acme-entra".parse()?, SecretKind::ClientSecret);
                set_secrets(store, seal, &by, &[(name, Secret::new(value.clone()))], now).await?;
            }
            Self::Invite => {
                let beside = store.factors(&mark).await?.map(|factors| factors.totp);
                let (token_hash, until) = (TOKEN_HASH.to_owned(), now + 60 * MINUTE);
                let invitation = Invitation { person: mark, token_hash, beside, until, chosen: None };
                store.invite(&invitation, &by, now).await?;
            }
            Self::Choose => {
                let id = secret_id(&SystemRandom, now);
                let sealed = seal.seal(id, None, "one-time code", &Secret::new("never confirmed".to_owned()));
                let chosen = Chosen { password_hash: "never confirmed".to_owned(), sealed };
                store.choose(TOKEN_HASH, &chosen, now).await?;
            }
            Self::Uninvite => store.uninvite(&mark).await?,
            Self::Enroll => {
                let enrolment = Enrolment::begin(mark, Secret::new(PASSWORD.to_owned()))?;
                let code = enrolment.one_time().code(now);
                enrolment.finish(&code, by, store, seal, now).await?;
            }
            Self::Hold => {
                let (by, reason) = (by.to_string(), "paused for a moment".to_owned());
                store.set_hold(&Hold { on: customer, cause: HoldCause::Paused, since: now, by, reason }).await?;
            }
            Self::Rename => {
                let mut rules = store.rules().await?;
                for person in rules.records.people.iter_mut().filter(|person| person.id == mark) {
                    person.name = "Mark A. Smith".to_owned();
                }
                store.save_rules(&rules, &by.to_string(), "another name", now).await?;
            }
            Self::Lift => {
                store.lift_hold(&customer, HoldCause::Paused, &by.to_string(), "goes on", now).await?;
            }
            Self::Rotate => {
                rotate(&config.key_file, seal, store).await?;
                retire(&config.key_file, seal, store).await?;
            }
            Self::Prune => {
                // Whoever was not answered finds that it was done.
                let Some(gone) = store.audit_prunable(now).await? else { return Ok(()) };
                let checkpoint = Signer::new(seal).checkpoint(gone);
                let entry = AuditEntry::new(Code::AuditPruned, now, by, json!({ "checkpoint": checkpoint }));
                store.audit_prune(&checkpoint, entry).await?;
            }
        }
        Ok(())
    }
}
