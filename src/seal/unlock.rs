//! From key file and database to a [`Seal`], at start.

use latchkey_contract::{SecretId, Timestamp};

use super::{KeyFile, KeyFileError, Ring, Seal, SealError};
use crate::{
    random,
    store::{CommitName, Store, StoreError, Transition},
};
use latchkey_contract::Secret;

/// The sealed row that every other key is derived from. It also shows at each start whether the key file belongs to
/// the database.
pub const ROOT_NAME: &str = "latchkey/root";

const ROOT_ID: &str = "latchkey-root";

/// Why the secrets cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum UnlockError {
    /// The key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// The key file is there, but it is another installation's.
    #[error("the master key file {path} does not belong to this database; put the right one back from its backup")]
    ForeignKey {
        /// The file.
        path: std::path::PathBuf,
        /// What did not open.
        #[source]
        source: SealError,
    },
    /// The database.
    #[error("the database could not be asked for its secrets")]
    Store(#[from] StoreError),
}

/// Loads (or at first start makes) the master key and the root secret, and shows that they fit the database.
///
/// # Errors
/// [`UnlockError`], each saying what to do.
pub async fn unlock(file: &KeyFile, store: &dyn Store, now: Timestamp) -> Result<Seal, UnlockError> {
    if let Some(seal) = open(file, store).await? {
        return Ok(seal);
    }
    let (ring, kept) = Ring::of(file, false)?;
    let root = Secret::new(random::bytes::<32>().to_vec());
    let id = SecretId::parse(ROOT_ID).expect("a constant of letters and a hyphen");
    let row = kept.seal(id, Some(ROOT_NAME.to_owned()), ROOT_NAME, root.expose());
    let first = Transition { seal: vec![row], ..Transition::new(CommitName::Command, now) };
    match store.commit(first).await {
        Ok(()) => Ok(Seal::following(ring, root)),
        Err(StoreError::Conflict) => open(file, store).await?.ok_or(UnlockError::Store(StoreError::Conflict)),
        Err(e) => Err(e.into()),
    }
}

async fn open(file: &KeyFile, store: &dyn Store) -> Result<Option<Seal>, UnlockError> {
    let Some(row) = store.sealed_named(ROOT_NAME).await? else { return Ok(None) };
    let (ring, kept) = Ring::of(file, true)?;
    match kept.open(&row) {
        Ok(root) => Ok(Some(Seal::following(ring, root))),
        Err(source) => Err(UnlockError::ForeignKey { path: file.path().to_owned(), source }),
    }
}
