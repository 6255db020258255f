//! Connections as they are in force: connection id → connector.
//!
//! [`Live`] holds the rules of one revision with the connectors that were built from them, and builds anew when
//! the revision has moved. A connection that cannot be built is named with what to do, and does not stop the others.

mod former;
mod hook_path;
mod live;
mod secrets;
mod trial;
mod vendors;

use std::{collections::BTreeMap, sync::Arc};

use latchkey_contract::{ConnectionId, Directory, TicketSystem, Timestamp};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub use former::{end_formers, kept_beside, without_end};
pub use hook_path::{FORMER_LIVES, HookPath, PathError, Renewed};
pub use live::{Assemble, InForce, Live};
pub(crate) use secrets::Change;
pub use secrets::{BadSecretName, NotSet, SecretKind, SecretName, set_secrets};
pub use trial::NotAccepted;
pub use vendors::Vendors;

/// The connectors of one revision.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    built: BTreeMap<ConnectionId, Connector>,
    broken: BTreeMap<ConnectionId, String>,
    hooks: BTreeMap<ConnectionId, Hook>,
}

/// One vendor behind one of the two surfaces.
#[derive(Debug, Clone)]
pub enum Connector {
    /// A PSA.
    TicketSystem(Arc<dyn TicketSystem>),
    /// A directory.
    Directory(Arc<dyn Directory>),
}

/// Why there is no connector.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoConnector {
    /// The records name no such connection, or one of the other surface.
    #[error(
        "{0} is no connection that can be asked this: tickets, members and companies are a PSA's, accounts and domains a \
         directory's. Those that there are: latchkey connection list"
    )]
    Unknown(ConnectionId),
    /// It could not be built.
    #[error("connection {connection} cannot be used: {why}")]
    Broken {
        /// Which.
        connection: ConnectionId,
        /// What to do.
        why: String,
    },
}

/// A hook's path secret, as its hash: it has 256 random bits, so that its hash betrays nothing.
#[derive(Debug, Clone)]
pub struct HookSecret([u8; 32]);

/// What a connection's hook accepts: its path secret, and for a time the one before it.
#[derive(Debug, Clone)]
struct Hook {
    secret: HookSecret,
    former: Option<FormerHook>,
}

/// A path secret that webhooks are moved, or were moved, away from.
#[derive(Debug, Clone)]
pub struct FormerHook {
    secret: HookSecret,
    /// `None` while webhooks still lead to it.
    until: Option<Timestamp>,
}

impl FormerHook {
    /// Accepted until then; `None`: until the webhooks are moved.
    #[must_use]
    pub fn of(secret: &str, until: Option<Timestamp>) -> Self {
        Self { secret: HookSecret::of(secret), until }
    }

    fn is_over(&self, now: Timestamp) -> bool {
        self.until.is_some_and(|until| until <= now)
    }
}

impl HookSecret {
    /// Of a path secret in clear.
    #[must_use]
    pub fn of(secret: &str) -> Self {
        Self(Sha256::digest(secret.as_bytes()).into())
    }

    fn fits(&self, offered: &Self) -> Choice {
        self.0.ct_eq(&offered.0)
    }
}

impl Registry {
    /// Adds a connector.
    #[must_use]
    pub fn with(mut self, id: ConnectionId, connector: Connector) -> Self {
        self.built.insert(id, connector);
        self
    }

    /// Adds a connection that cannot be used, with what to do.
    #[must_use]
    pub fn with_broken(mut self, id: ConnectionId, why: String) -> Self {
        self.broken.insert(id, why);
        self
    }

    /// Adds the path secret of a connection's hook.
    #[must_use]
    pub fn with_hook(mut self, id: ConnectionId, secret: HookSecret) -> Self {
        self.hooks.insert(id, Hook { secret, former: None });
        self
    }

    /// Adds the one before it, to a hook that has one now.
    #[must_use]
    pub fn with_former_hook(mut self, id: &ConnectionId, former: FormerHook) -> Self {
        if let Some(hook) = self.hooks.get_mut(id) {
            hook.former = Some(former);
        }
        self
    }

    /// A PSA by id.
    ///
    /// # Errors
    /// [`NoConnector`].
    pub fn ticket_system(&self, id: &ConnectionId) -> Result<Arc<dyn TicketSystem>, NoConnector> {
        match self.connector(id)? {
            Connector::TicketSystem(system) => Ok(Arc::clone(system)),
            Connector::Directory(_) => Err(NoConnector::Unknown(id.clone())),
        }
    }

    /// A directory by id.
    ///
    /// # Errors
    /// [`NoConnector`].
    pub fn directory(&self, id: &ConnectionId) -> Result<Arc<dyn Directory>, NoConnector> {
        match self.connector(id)? {
            Connector::Directory(directory) => Ok(Arc::clone(directory)),
            Connector::TicketSystem(_) => Err(NoConnector::Unknown(id.clone())),
        }
    }

    /// True when `offered` is the path secret of this connection's hook, or the one before it in its time. Takes the same
    /// time for every connection, known or not.
    #[must_use]
    pub fn hook_fits(&self, connection: Option<&ConnectionId>, offered: &str, now: Timestamp) -> bool {
        let offered = HookSecret::of(offered);
        let nobody = HookSecret([0; 32]);
        let kept = connection.and_then(|id| self.hooks.get(id));
        let former = kept.and_then(|hook| hook.former.as_ref()).filter(|former| !former.is_over(now));
        let fits = |secret: Option<&HookSecret>| {
            secret.unwrap_or(&nobody).fits(&offered) & Choice::from(u8::from(secret.is_some()))
        };
        (fits(kept.map(|hook| &hook.secret)) | fits(former.map(|former| &former.secret))).into()
    }

    /// Connections that cannot be used, each with what to do.
    pub fn broken(&self) -> impl Iterator<Item = (&ConnectionId, &str)> {
        self.broken.iter().map(|(id, why)| (id, why.as_str()))
    }

    /// Whatever is behind an id.
    ///
    /// # Errors
    /// [`NoConnector`].
    pub fn connector(&self, id: &ConnectionId) -> Result<&Connector, NoConnector> {
        let broken = |why: &String| NoConnector::Broken { connection: id.clone(), why: why.clone() };
        self.built.get(id).ok_or_else(|| self.broken.get(id).map_or(NoConnector::Unknown(id.clone()), broken))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(text: &str) -> ConnectionId {
        ConnectionId::parse(text).unwrap()
    }

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[test]
    fn a_path_secret_fits_its_own_connection_alone() {
        let registry = Registry::default()
            .with_hook(id("cw"), HookSecret::of("right"))
            .with_hook(id("other"), HookSecret::of("theirs"));
        assert!(registry.hook_fits(Some(&id("cw")), "right", NOW));
        for (connection, secret) in [
            (Some(id("cw")), "theirs"),
            (Some(id("cw")), ""),
            (Some(id("cw")), "right2"),
            (Some(id("unknown")), "right"),
            (None, "right"),
        ] {
            assert!(!registry.hook_fits(connection.as_ref(), secret, NOW), "{connection:?} {secret}");
        }
    }

    #[test]
    fn a_former_path_secret_fits_until_its_end() {
        let with = |until| {
            let registry = Registry::default().with_hook(id("cw"), HookSecret::of("now"));
            registry.with_former_hook(&id("cw"), FormerHook::of("former", until))
        };
        let fits = |registry: &Registry, secret| registry.hook_fits(Some(&id("cw")), secret, NOW);
        let (moving, living) = (with(None), with(Some(Timestamp::from_millis(NOW.millis() + 1))));
        assert!(fits(&moving, "former") && fits(&moving, "now"));
        assert!(fits(&living, "former") && fits(&living, "now"));
        let over = with(Some(NOW));
        assert!(!fits(&over, "former") && fits(&over, "now"));
    }

    #[test]
    fn a_broken_connection_says_what_to_do() {
        let registry = Registry::default().with_broken(id("cw"), "set cw/private-key".to_owned());
        let error = registry.ticket_system(&id("cw")).unwrap_err().to_string();
        assert!(error.contains("set cw/private-key"), "{error}");
        assert!(matches!(registry.directory(&id("none")), Err(NoConnector::Unknown(_))));
    }
}
