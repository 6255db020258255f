//! Connections as they are in force: connection id → connector.
//!
//! [`Live`] holds the rules of one revision with the connectors that were built from them, and builds anew when
//! the revision has moved. A connection that cannot be built is named with what to do, and does not stop the others.

mod live;
mod secrets;
mod vendors;

use std::{collections::BTreeMap, sync::Arc};

use latchkey_contract::{ConnectionId, Directory, TicketSystem};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

pub use live::{Assemble, InForce, Live};
pub use secrets::{BadSecretName, NotSet, SecretKind, SecretName, set_secrets};
pub use vendors::Vendors;

/// The connectors of one revision.
#[derive(Debug, Clone, Default)]
pub struct Registry {
    built: BTreeMap<ConnectionId, Connector>,
    broken: BTreeMap<ConnectionId, String>,
    hooks: BTreeMap<ConnectionId, HookSecret>,
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
    #[error("there is no such connection of this kind: {0}")]
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
        self.hooks.insert(id, secret);
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

    /// True when `offered` is the path secret of this connection's hook. Takes the same time for every connection,
    /// known or not.
    #[must_use]
    pub fn hook_fits(&self, connection: Option<&ConnectionId>, offered: &str) -> bool {
        let offered = HookSecret::of(offered);
        let nobody = HookSecret([0; 32]);
        let kept = connection.and_then(|id| self.hooks.get(id));
        let is_known = Choice::from(u8::from(kept.is_some()));
        (kept.unwrap_or(&nobody).fits(&offered) & is_known).into()
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

    #[test]
    fn a_path_secret_fits_its_own_connection_alone() {
        let registry = Registry::default()
            .with_hook(id("cw"), HookSecret::of("right"))
            .with_hook(id("other"), HookSecret::of("theirs"));
        assert!(registry.hook_fits(Some(&id("cw")), "right"));
        for (connection, secret) in [
            (Some(id("cw")), "theirs"),
            (Some(id("cw")), ""),
            (Some(id("cw")), "right2"),
            (Some(id("unknown")), "right"),
            (None, "right"),
        ] {
            assert!(!registry.hook_fits(connection.as_ref(), secret), "{connection:?} {secret}");
        }
    }

    #[test]
    fn a_broken_connection_says_what_to_do() {
        let registry = Registry::default().with_broken(id("cw"), "set cw/private-key".to_owned());
        let error = registry.ticket_system(&id("cw")).unwrap_err().to_string();
        assert!(error.contains("set cw/private-key"), "{error}");
        assert!(matches!(registry.directory(&id("none")), Err(NoConnector::Unknown(_))));
    }
}
