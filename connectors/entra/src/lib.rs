//! Microsoft Entra ID as a directory, through Microsoft Graph.
//!
//! Reading order: [`settings`] (what an admin writes), `next` (pure: which step comes next), `observe` (what the
//! tenant says), `perform` (one step), then the plumbing: `api`, `refusal`, `token`, `assertion`, `wire`.
//!
//! Not here: when access is given and for how long, storage, and any decision by a person's name. An account is
//! ours when it carries our mark under our name, or has the object id that a create call of ours returned;
//! nothing else is ever changed.

mod api;
mod assertion;
mod catalogue;
mod emergency;
mod missing;
mod need;
mod next;
mod observe;
mod password;
mod perform;
mod preflight;
mod random;
mod refusal;
mod risk;
pub mod settings;
mod token;
mod warning;
mod wire;

use std::{
    sync::{Arc, atomic::AtomicI64},
    time::Duration,
};

use latchkey_contract::{
    CallError, Check, Clock, ConnectionId, Directory, EntitlementId, Secret, Timestamp,
    directory::{
        AccountRef, DirectoryWants, Domain, Entitlement, Known, Marked, Next, Observation, Outcome, ProtectedAccount,
        Step, Target,
    },
    outside::{self, Outside, OutsideSettings, Urgency, base_url},
};
use tokio::sync::Mutex;
use url::Url;

use api::Graph;
pub use assertion::{KeyError, make_certificate};
pub use refusal::{
    GROUP_NOT_FOUND, GROUP_RESTRICTED, LISTED, NAME_TAKEN, PASSWORD_REFUSED, RESTRICTED, ROLE_NOT_FOUND,
};
pub use risk::risk;
pub use settings::{Credential, CredentialKind, Settings};
use token::{Proof, Tokens};
pub use warning::warning;

/// One customer's Entra tenant.
#[derive(Debug)]
pub struct Entra {
    settings: Settings,
    graph: Graph,
    /// Until when (epoch milliseconds) the tenant is taken as not licensed for PIM.
    no_pim_until: AtomicI64,
}

/// Why a connection cannot be built.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// An address, the CA file or the TLS stack.
    #[error(transparent)]
    Outside(#[from] outside::SetupError),
    /// The private key or the certificate.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// Settings and credential do not belong together.
    #[error("the connection says credential = {0:?}, but the credential that is stored for it is of the other kind")]
    OtherCredential(CredentialKind),
}

impl Entra {
    /// Builds the connection. Makes no call; needs a process-wide rustls provider.
    ///
    /// `ca_pem` is the text of [`Settings::ca_file`], read by the caller.
    ///
    /// # Errors
    /// [`SetupError`], with what to mend.
    pub fn new(
        id: ConnectionId,
        settings: Settings,
        credential: Credential,
        ca_pem: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let proof = match (settings.credential, credential) {
            (CredentialKind::Secret, Credential::Secret(secret)) => Proof::Secret(secret),
            (CredentialKind::Certificate, Credential::Certificate { key_pem, cert_pem }) => {
                Proof::Certificate(Box::new(assertion::Signer::new(&key_pem, &cert_pem)?))
            }
            (kind, _) => return Err(SetupError::OtherCredential(kind)),
        };
        let base = base_url(settings.graph.clone(), settings.network)?;
        let authority = base_url(settings.authority.clone(), settings.network)?;
        let (timeout, network) = (settings.timeout(), settings.network);
        let to = OutsideSettings { connection: id, vendor: "entra", network, ca_pem, timeout };
        let outside = Outside::new(&to, Arc::clone(&clock))?;
        let tokens = Tokens {
            outside: outside.clone(),
            endpoint: token_endpoint(authority, settings.tenant.as_str()),
            client_id: settings.client_id.to_string(),
            scope: format!("{base}.default"),
            proof,
            clock: Arc::clone(&clock),
            held: Mutex::default(),
        };
        let graph = Graph { outside, tokens, base, clock };
        Ok(Self { settings, graph, no_pim_until: AtomicI64::new(i64::MIN) })
    }

    fn now(&self) -> Timestamp {
        self.graph.clock.now()
    }
}

#[async_trait::async_trait]
impl Directory for Entra {
    async fn observe(&self, account: &AccountRef, urgency: Urgency) -> Result<Observation, CallError> {
        self.look(account, urgency).await
    }

    fn next(&self, target: &Target, seen: &Observation, known: &Known, now: Timestamp) -> Next {
        next::next(target, seen, known, now)
    }

    async fn perform(
        &self,
        step: &Step,
        account: &AccountRef,
        secret: Option<&Secret<String>>,
    ) -> Result<Outcome, CallError> {
        tokio::time::timeout(self.call_timeout(), self.act(step, account, secret)).await.unwrap_or_else(|_| {
            Err(CallError::transient(step.name(), "the step took too long; whether it was done is not known"))
        })
    }

    fn password(&self, random: &mut dyn FnMut(&mut [u8])) -> Secret<String> {
        password::password(random)
    }

    async fn catalogue(&self) -> Result<Vec<Entitlement>, CallError> {
        self.list_entitlements().await
    }

    async fn missing(&self, entitlements: &[EntitlementId]) -> Result<Vec<EntitlementId>, CallError> {
        self.not_there(entitlements).await
    }

    async fn preflight(&self, want: &DirectoryWants) -> Vec<Check> {
        self.check(want).await
    }

    fn warning(&self, entitlement: &EntitlementId) -> Option<&'static str> {
        warning::warning(entitlement)
    }

    async fn protected(&self) -> Result<Vec<ProtectedAccount>, CallError> {
        self.list_protected().await
    }

    async fn domains(&self) -> Result<Vec<Domain>, CallError> {
        self.list_domains().await
    }

    async fn find_marked(&self) -> Result<Vec<Marked>, CallError> {
        self.list_marked().await
    }

    /// Room for a token, the call itself, and the reads that make sure of a conflict.
    fn call_timeout(&self) -> Duration {
        self.settings.timeout() * 3
    }

    /// Access tokens live 60 to 90 minutes, and not every service asks whether they were revoked.
    fn token_tail(&self) -> Duration {
        Duration::from_secs(90 * 60)
    }
}

fn token_endpoint(mut authority: Url, tenant: &str) -> Url {
    if let Ok(mut segments) = authority.path_segments_mut() {
        segments.pop_if_empty().extend([tenant, "oauth2", "v2.0", "token"]);
    }
    authority
}
