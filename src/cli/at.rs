//! Something of one PSA by its immutable id, as it is typed: `cw/250`.

use std::{fmt, str::FromStr};

use anyhow::{anyhow, bail};
use latchkey_contract::{BadId, ConnectionId};

use crate::rulebook::Records;

/// A company or a member, and the PSA it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct At<T> {
    pub(super) connection: ConnectionId,
    pub(super) id: T,
}

/// Why a text is no such thing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotAt {
    #[error("write the connection, a slash, and the id that the PSA has for it, such as cw/250")]
    Shape,
    #[error(transparent)]
    Id(#[from] BadId),
}

impl<T: FromStr<Err = BadId>> FromStr for At<T> {
    type Err = NotAt;
    fn from_str(text: &str) -> Result<Self, NotAt> {
        let (connection, id) = text.split_once('/').ok_or(NotAt::Shape)?;
        Ok(Self { connection: connection.parse()?, id: id.parse()? })
    }
}

impl<T: fmt::Display> fmt::Display for At<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.connection, self.id)
    }
}

/// Refuses what is no PSA of the records.
pub(super) fn is_psa(records: &Records, id: &ConnectionId) -> anyhow::Result<()> {
    match records.connection(id) {
        Some(connection) if connection.kind.is_psa() => Ok(()),
        Some(_) => bail!("{id} is a directory; companies and members are a PSA's"),
        None => Err(anyhow!("there is no connection {id}; those that there are: latchkey connection list")),
    }
}
