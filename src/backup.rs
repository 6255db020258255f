//! Backups: one file that holds the database as it was at one moment, and says so. The one place that reads and writes
//! such files.
//!
//! A backup is a tar archive, so that anybody can look into it:
//!
//! | entry | is |
//! | --- | --- |
//! | `manifest.json` | version, migration, generation, time, and the SHA-256 of the database |
//! | `manifest.proof` | an HMAC-SHA256 over it, by a key that only an installation with this master key can derive |
//! | `latchkey.db` | the database: secrets are sealed in it as ever |
//!
//! The master key is not in it: who has both has every secret, so they are kept apart.

mod archive;
mod make;
mod restore;

use std::{io, path::PathBuf};

use hmac::{Hmac, KeyInit, Mac};
use latchkey_contract::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::{
    generation::CounterError,
    seal::{KeyFileError, Seal, SealError},
    store::{
        StoreError,
        sqlite::{OpenError, copy::Facts},
    },
};
pub use make::{Made, make};
pub use restore::{Ready, Restored, prepare};

/// The form of what follows; another one is another program's.
const FORM: u32 = 1;

/// The label that the proof's key is derived under.
const PROOF_LABEL: &str = "backup manifest";

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The form of the archive.
    pub form: u32,
    /// Latchkey's version that made it.
    pub version: String,
    /// The moment that the database is of.
    pub made_at: Timestamp,
    /// The database's id.
    pub database: String,
    /// Its newest migration.
    pub migration: i64,
    /// Its generation.
    pub generation: Option<i64>,
    /// Number and hash of its newest audit entry.
    pub audit: Option<(i64, String)>,
    /// Its length.
    pub bytes: u64,
    /// Its SHA-256 in hex.
    pub sha256: String,
}

impl Manifest {
    fn is_of(&self, facts: &Facts) -> bool {
        (&self.database, self.migration, self.generation, &self.audit)
            == (&facts.id, facts.migration, facts.generation, &facts.audit)
    }
}

/// Why there is no backup, or nothing was restored. Nothing was changed; each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The target is there.
    #[error("{0} is there already, and is not overwritten; name another file")]
    There(PathBuf),
    /// The copy is not what it should be.
    #[error(
        "the backup that was made does not read back ({0}); nothing was kept. Check the disk, and run the command again"
    )]
    Unsound(String),
    /// Not a whole backup.
    #[error("{path} is not a whole backup of Latchkey ({what}); nothing was changed")]
    NotWhole {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// Somebody changed it.
    #[error("{0} was altered since it was made; nothing was changed. Take another backup")]
    Altered(PathBuf),
    /// Made by a later release.
    #[error("{path} was made by a later release ({version}); nothing was changed. Restore it with that release")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Which.
        version: String,
    },
    /// The key file is not the one that belongs to it.
    #[error(
        "the master key file {key_file} does not open {path}; nothing was changed. Put the key file that belongs to the backup \
         in its place"
    )]
    ForeignKey {
        /// The file.
        path: PathBuf,
        /// The key file.
        key_file: PathBuf,
        /// What did not open.
        #[source]
        source: SealError,
    },
    /// The key file.
    #[error("nothing was changed")]
    KeyFile(#[from] KeyFileError),
    /// Somebody works on the database.
    #[error(
        "the database {0} is in use; nothing was changed. Stop the service first (systemctl stop latchkey), and wait for other \
         commands"
    )]
    InUse(PathBuf),
    /// The database.
    #[error("nothing was changed")]
    Database(#[from] OpenError),
    /// The generation.
    #[error("nothing was kept")]
    Generation(#[from] CounterError),
    /// The database that is in use.
    #[error("the database failed; nothing was kept")]
    Store(#[from] StoreError),
    /// A file.
    #[error("{path} cannot be written or read; nothing was changed")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Shows that a manifest was written by an installation with this seal's root: who has no master key cannot make one.
fn proof(seal: &Seal, manifest: &[u8]) -> String {
    let key = seal.derive(PROOF_LABEL);
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(key.expose()).expect("HMAC takes any key length");
    mac.update(manifest);
    archive::hex(&mac.finalize().into_bytes())
}

/// Removes a file that was begun, unless it was kept.
#[derive(Debug)]
struct Begun(Option<PathBuf>);

impl Begun {
    fn at(path: PathBuf) -> Self {
        Self(Some(path))
    }

    fn path(&self) -> &std::path::Path {
        self.0.as_deref().unwrap_or(std::path::Path::new(""))
    }

    /// It went where it belongs.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if let Some(path) = &self.0
            && let Err(error) = std::fs::remove_file(path)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::warn!(%error, path = %path.display(), "a file that was begun cannot be removed");
        }
    }
}

#[cfg(test)]
mod tests;
