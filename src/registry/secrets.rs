//! Secrets that operators set, by name: `<connection>/<kind>`, and `mail/password`.

use std::{fmt, str::FromStr};

use latchkey_contract::{BadId, ConnectionId, Secret, Timestamp};
use serde_json::json;

use crate::{
    audit::{AuditEntry, By, Code},
    random,
    rulebook::{ConnectionKind, Rules},
    seal::Seal,
    store::{CommitName, Store, StoreError, Transition},
};

macro_rules! kinds {
    ($($(#[$says:meta])+ $name:ident = $text:literal;)+) => {
        /// What a connection's secret is for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum SecretKind {
            $($(#[$says])+ $name,)+
        }

        impl SecretKind {
            /// All of them.
            pub const ALL: [Self; [$($text),+].len()] = [$(Self::$name),+];

            /// The second half of the name.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text,)+ }
            }
        }
    };
}

kinds! {
    /// ConnectWise: the API member's private key.
    PrivateKey = "private-key";
    /// Autotask: the API user's secret.
    ApiSecret = "api-secret";
    /// Autotask: the key that webhooks are signed with.
    WebhookKey = "webhook-key";
    /// Autotask: the one before it, with the end of its time.
    FormerWebhookKey = "former-webhook-key";
    /// Autotask: the password of extension callouts.
    CalloutPassword = "callout-password";
    /// Entra: the app registration's client secret. HaloPSA: the API application's.
    ClientSecret = "client-secret";
    /// HaloPSA: what the instance's webhook shows at the door.
    HookPassword = "hook-password";
    /// HaloPSA: what it showed before, with the end of its time.
    FormerHookPassword = "former-hook-password";
    /// Entra: the private key of the certificate, PEM.
    CertificateKey = "certificate-key";
    /// Entra: the certificate, PEM. Not secret, but kept with its key.
    Certificate = "certificate";
    /// Entra: the private key of the certificate that is to come. Not in force.
    NextCertificateKey = "next-certificate-key";
    /// Entra: the certificate that is to come. Not in force.
    NextCertificate = "next-certificate";
    /// The random part of the hook's URL.
    HookSecret = "hook-secret";
    /// The one before it, with the end of its time.
    FormerHookSecret = "former-hook-secret";
}

impl SecretKind {
    /// A connection of this kind can use it, whatever its settings say now.
    #[must_use]
    pub const fn belongs_to(self, kind: &ConnectionKind) -> bool {
        match self {
            Self::PrivateKey => matches!(kind, ConnectionKind::ConnectWise(_)),
            Self::ApiSecret | Self::WebhookKey | Self::FormerWebhookKey | Self::CalloutPassword => {
                matches!(kind, ConnectionKind::Autotask(_))
            }
            Self::HookSecret | Self::FormerHookSecret => kind.is_psa(),
            Self::HookPassword | Self::FormerHookPassword => matches!(kind, ConnectionKind::HaloPsa(_)),
            Self::ClientSecret => matches!(kind, ConnectionKind::Entra(_) | ConnectionKind::HaloPsa(_)),
            Self::CertificateKey | Self::Certificate | Self::NextCertificateKey | Self::NextCertificate => {
                kind.is_directory()
            }
        }
    }

    /// An operator has it; the others are made by Latchkey itself.
    #[must_use]
    pub const fn is_set_by_hand(self) -> bool {
        !matches!(self, Self::HookSecret | Self::FormerHookSecret | Self::FormerWebhookKey | Self::FormerHookPassword)
    }

    /// Where the one before this is kept: what webhooks carry cannot change everywhere at one moment.
    #[must_use]
    pub const fn former(self) -> Option<Self> {
        match self {
            Self::HookSecret => Some(Self::FormerHookSecret),
            Self::WebhookKey => Some(Self::FormerWebhookKey),
            Self::HookPassword => Some(Self::FormerHookPassword),
            _ => None,
        }
    }
}

/// Names one secret.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretName {
    /// One of one connection.
    Connection {
        /// Whose.
        connection: ConnectionId,
        /// What for.
        kind: SecretKind,
    },
    /// The password at the mail server. No connection can be called `mail`.
    MailPassword,
}

/// As it is written.
const MAIL_PASSWORD: &str = "mail/password";

/// Why a text is not such a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadSecretName {
    /// No slash, or an unknown kind.
    #[error("write CONNECTION/KIND with one of these kinds: {}; or {}", kinds_in_words(), MAIL_PASSWORD)]
    Shape,
    /// The connection.
    #[error(transparent)]
    Connection(#[from] BadId),
}

/// Those that are set by hand.
fn kinds_in_words() -> String {
    let by_hand = SecretKind::ALL.into_iter().filter(|kind| kind.is_set_by_hand());
    by_hand.map(SecretKind::as_str).collect::<Vec<_>>().join(", ")
}

impl SecretName {
    /// Names a connection's secret.
    #[must_use]
    pub const fn new(connection: ConnectionId, kind: SecretKind) -> Self {
        Self::Connection { connection, kind }
    }
}

impl fmt::Display for SecretName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connection { connection, kind } => write!(f, "{connection}/{}", kind.as_str()),
            Self::MailPassword => f.write_str(MAIL_PASSWORD),
        }
    }
}

impl FromStr for SecretName {
    type Err = BadSecretName;
    fn from_str(text: &str) -> Result<Self, BadSecretName> {
        if text == MAIL_PASSWORD {
            return Ok(Self::MailPassword);
        }
        let (connection, kind) = text.split_once('/').ok_or(BadSecretName::Shape)?;
        let kind = SecretKind::ALL.into_iter().find(|k| k.as_str() == kind).ok_or(BadSecretName::Shape)?;
        Ok(Self::new(ConnectionId::parse(connection)?, kind))
    }
}

/// Why secrets were not set, or not told of.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    /// They were not saved.
    #[error("the secrets could not be saved")]
    Save(#[source] StoreError),
    /// They are saved, but processes that run do not learn of it before their next start or the next revision.
    #[error("the secrets are saved, but a running service could not be told")]
    Tell(#[source] StoreError),
}

/// Sets secrets together, destroying those they replace, and counts a new revision: that is how every process learns to build its
/// connectors anew.
///
/// # Errors
/// [`NotSet`], by what is true afterwards. A [`StoreError::Conflict`] in [`NotSet::Save`] means that somebody else set
/// the same secret at the same moment.
pub async fn set_secrets(
    store: &dyn Store,
    seal: &Seal,
    by: &By,
    secrets: &[(SecretName, Secret<String>)],
    now: Timestamp,
) -> Result<(), NotSet> {
    let names: Vec<String> = secrets.iter().map(|(name, _)| name.to_string()).collect();
    let change = Change { secrets, forget: &[], reason: &format!("set {}", names.join(", ")) };
    change.put_in_force(store, seal, by, now, |_| ()).await
}

/// Secrets that change together.
#[derive(Debug)]
pub(crate) struct Change<'a> {
    /// What is set. Where a name has a value already, that is destroyed.
    pub(crate) secrets: &'a [(SecretName, Secret<String>)],
    /// What is destroyed.
    pub(crate) forget: &'a [SecretName],
    /// For the history of revisions.
    pub(crate) reason: &'a str,
}

impl Change<'_> {
    /// Commits it, and counts a revision with what `edit` makes of the rules: connectors are built anew from both at once.
    pub(crate) async fn put_in_force(
        &self,
        store: &dyn Store,
        seal: &Seal,
        by: &By,
        now: Timestamp,
        edit: impl Fn(&mut Rules),
    ) -> Result<(), NotSet> {
        let mut transition = Transition::new(CommitName::Command, now);
        let (set, forgotten) = self.names();
        for name in set.iter().chain(&forgotten) {
            let before = store.sealed_named(name).await.map_err(NotSet::Save)?;
            transition.destroy.extend(before.map(|row| row.id));
        }
        for ((_, value), name) in self.secrets.iter().zip(&set) {
            let id = random::secret_id(&random::SystemRandom, now);
            transition.seal.push(seal.seal(id, Some(name.clone()), name, value));
        }
        let mut detail = json!({ "names": set });
        if !forgotten.is_empty() {
            detail["forgotten"] = json!(forgotten);
        }
        transition.audit.push(AuditEntry::new(Code::SecretSet, now, by.clone(), detail));
        store.commit(transition).await.map_err(NotSet::Save)?;
        let changed: Vec<String> = set.iter().chain(&forgotten).map(|name| format!("secret {name}")).collect();
        tell(store, &by.to_string(), &changed, self.reason, now, edit).await.map_err(NotSet::Tell)
    }

    fn names(&self) -> (Vec<String>, Vec<String>) {
        let set = self.secrets.iter().map(|(name, _)| name.to_string()).collect();
        (set, self.forget.iter().map(SecretName::to_string).collect())
    }
}

/// Tried until nobody else saves between the reading and the saving: each turn lost is one that another saved.
async fn tell(
    store: &dyn Store,
    by: &str,
    changed: &[String],
    reason: &str,
    now: Timestamp,
    edit: impl Fn(&mut Rules),
) -> Result<(), StoreError> {
    loop {
        let before = store.rules().await?;
        let mut rules = before.clone();
        edit(&mut rules);
        if rules == before {
            return store.touch(changed, by, reason, now).await.map(drop);
        }
        match store.save_rules(&rules, by, reason, now).await {
            Err(StoreError::Conflict) => {}
            saved => return saved.map(drop),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        seal::{KeyFile, unlock},
        store::sqlite::{Options, Sqlite},
    };

    #[tokio::test]
    async fn secrets_set_at_the_same_moment_are_all_set_and_all_told_of() {
        let now = Timestamp::from_millis(1_790_000_000_000);
        let dir = tempfile::tempdir().unwrap();
        let store = Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap();
        let seal = unlock(&KeyFile::Own(dir.path().join("key")), &store, now).await.unwrap();
        let set = async |name: &str| {
            let secret = (name.parse().unwrap(), Secret::new("s".to_owned()));
            set_secrets(&store, &seal, &By::Service, &[secret], now).await.unwrap();
        };
        tokio::join!(set("a/client-secret"), set("b/client-secret"), set("c/client-secret"), set("d/client-secret"));
        assert_eq!(store.revision().await.unwrap(), 4);
        for name in ["a/client-secret", "b/client-secret", "c/client-secret", "d/client-secret"] {
            assert!(store.sealed_named(name).await.unwrap().is_some(), "{name}");
        }
    }

    #[test]
    fn a_name_is_one_of_a_closed_list() {
        for kind in SecretKind::ALL {
            let name: SecretName = format!("cw/{}", kind.as_str()).parse().unwrap();
            assert_eq!(name, SecretName::new("cw".parse().unwrap(), kind));
            assert_eq!(name.to_string(), format!("cw/{}", kind.as_str()));
        }
        let mail: SecretName = "mail/password".parse().unwrap();
        assert_eq!((&mail, mail.to_string().as_str()), (&SecretName::MailPassword, "mail/password"));
        for bad in [
            "cw",
            "cw/",
            "cw/password",
            "CW/private-key",
            "latchkey/root",
            "/private-key",
            "mail",
            "mail/private-key",
            "mail/Password",
        ] {
            assert!(bad.parse::<SecretName>().is_err(), "{bad}");
        }
    }
}
