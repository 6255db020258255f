//! The master key's file: a line per key, `latchkey-key ID BASE64`, the first one seals.
//!
//! Made at first start, mode 0600, outside the data directory. A systemd credential is only read: systemd makes it.

use std::{
    fmt,
    fs::{self, OpenOptions},
    io::{self, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::{Path, PathBuf},
};

use base64::{Engine, prelude::BASE64_STANDARD};
use latchkey_contract::Secret;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{durable, random};

pub(super) const WORD: &str = "latchkey-key";

/// One master key of 256 bits. Its id is made from it, so that a mistyped key is noticed when it is read.
#[derive(Clone)]
pub struct MasterKey {
    id: String,
    bytes: Zeroizing<[u8; 32]>,
}

impl MasterKey {
    /// A new one.
    #[must_use]
    pub fn generate() -> Self {
        Self::from_bytes(Zeroizing::new(random::bytes()))
    }

    /// Names the key in sealed rows; says nothing about it.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn bytes(&self) -> &[u8; 32] {
        &self.bytes
    }

    fn from_bytes(bytes: Zeroizing<[u8; 32]>) -> Self {
        let digest = Sha256::new().chain_update(b"latchkey key id|").chain_update(bytes.as_slice()).finalize();
        let id = digest[..6].iter().map(|b| format!("{b:02x}")).collect();
        Self { id, bytes }
    }

    pub(super) fn line(&self) -> Secret<String> {
        Secret::new(format!("{WORD} {} {}\n", self.id, BASE64_STANDARD.encode(self.bytes.as_slice())))
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MasterKey({})", self.id)
    }
}

/// The keys of one file: never empty.
#[derive(Debug, Clone)]
pub struct KeyRing(Vec<MasterKey>);

impl KeyRing {
    /// `None` without a key.
    #[must_use]
    pub fn new(keys: Vec<MasterKey>) -> Option<Self> {
        (!keys.is_empty()).then_some(Self(keys))
    }

    pub(super) fn first(&self) -> &MasterKey {
        self.0.first().expect("a ring is never empty")
    }

    pub(super) fn key(&self, id: &str) -> Option<&MasterKey> {
        self.0.iter().find(|key| key.id == id)
    }

    /// The ids of its keys, the one that seals first.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(MasterKey::id)
    }

    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut keys = Vec::new();
        for (n, line) in text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty() && !l.starts_with('#')) {
            let fault = |what: &str| format!("line {}: {what}", n + 1);
            let words: Vec<&str> = line.split_whitespace().collect();
            let [WORD, id, encoded] = words.as_slice() else {
                return Err(fault("expected \"latchkey-key ID BASE64\""));
            };
            let decoded = Zeroizing::new(BASE64_STANDARD.decode(encoded).map_err(|_| fault("the key is not base64"))?);
            let bytes = decoded.as_slice().try_into().map_err(|_| fault("the key is not 32 bytes long"))?;
            let key = MasterKey::from_bytes(Zeroizing::new(bytes));
            if key.id != *id {
                return Err(fault("the key does not belong to its id: it was changed or mistyped"));
            }
            keys.push(key);
        }
        Self::new(keys).ok_or_else(|| "there is no key in it".to_owned())
    }
}

/// Where a key comes from: the master key, or the one of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFile {
    /// A file of ours: made at first start, for nobody but us.
    Own(PathBuf),
    /// A systemd credential: never made here; systemd shows its group bits because of its access list.
    Credential(PathBuf),
}

/// Why the master key cannot be used. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum KeyFileError {
    /// There is no such file.
    #[error(
        "the master key file {0} is missing, but the database holds secrets sealed with it; \
         put the file back from its own backup (the database alone cannot be opened)"
    )]
    Missing(PathBuf),
    /// A credential that systemd did not provide.
    #[error("the credential {0} is missing; name it in the unit with LoadCredentialEncrypted= or LoadCredential=")]
    NoCredential(PathBuf),
    /// Others may read it.
    #[error("the master key file {path} may be read by others (mode {mode:04o}); run: chmod 600 {path}")]
    Open {
        /// The file.
        path: PathBuf,
        /// Its mode.
        mode: u32,
    },
    /// Not a key file.
    #[error("the master key file {path} cannot be used: {what}; put it back from its backup")]
    Bad {
        /// The file.
        path: PathBuf,
        /// What is wrong with it; never its content.
        what: String,
    },
    /// Somebody else changed it at the same moment.
    #[error("the master key file {0} was changed by somebody else meanwhile; run the command again")]
    Moved(PathBuf),
    /// A credential, which only systemd's own tools make.
    #[error("{0} is a systemd credential, which cannot be changed from here")]
    ReadOnly(PathBuf),
    /// It cannot be replaced.
    #[error(
        "the master key file {path} cannot be replaced: its directory must belong to the service's user, \
         and stand in ReadWritePaths= of the systemd unit; nothing was changed"
    )]
    Locked {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The system refused.
    #[error("the master key file {path} cannot be read or made")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl KeyFile {
    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Self::Own(path) | Self::Credential(path) => path,
        }
    }

    /// Whether others may read a file of this mode.
    #[must_use]
    pub const fn is_open(&self, mode: u32) -> bool {
        match self {
            Self::Own(_) => mode & 0o077 != 0,
            Self::Credential(_) => mode & 0o007 != 0,
        }
    }

    /// Reads the ring. A missing file of our own is made, unless `is_needed`: then the secrets in the database were
    /// sealed with a key that is lost, and a new one would only hide that.
    ///
    /// # Errors
    /// [`KeyFileError`], each saying what to do.
    pub fn load(&self, is_needed: bool) -> Result<KeyRing, KeyFileError> {
        let path = self.path();
        let io = |source| KeyFileError::Io { path: path.to_owned(), source };
        let mode = match fs::metadata(path) {
            Ok(meta) => meta.mode() & 0o7777,
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                return match self {
                    Self::Credential(_) => Err(KeyFileError::NoCredential(path.to_owned())),
                    Self::Own(_) if is_needed => Err(KeyFileError::Missing(path.to_owned())),
                    Self::Own(_) => create(path).map_err(io),
                };
            }
            Err(e) => return Err(io(e)),
        };
        if self.is_open(mode) {
            return Err(KeyFileError::Open { path: path.to_owned(), mode });
        }
        KeyRing::parse(self.text()?.expose()).map_err(|what| KeyFileError::Bad { path: path.to_owned(), what })
    }

    pub(super) fn text(&self) -> Result<Secret<String>, KeyFileError> {
        let io = |source| KeyFileError::Io { path: self.path().to_owned(), source };
        fs::read_to_string(self.path()).map(Secret::new).map_err(io)
    }

    /// Tells whether it is still the file that was read: a replaced file has another inode or another time.
    pub(super) fn stamp(&self) -> Option<Stamp> {
        let found = fs::metadata(self.path()).ok()?;
        Some(Stamp { inode: found.ino(), changed: (found.mtime(), found.mtime_nsec()), length: found.len() })
    }
}

/// One state of the file, as far as the file system tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    inode: u64,
    changed: (i64, i64),
    length: u64,
}

fn create(path: &Path) -> io::Result<KeyRing> {
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let key = MasterKey::generate();
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(key.line().expose().as_bytes())?;
    file.sync_all()?;
    durable::sync_directory_of(path)?;
    Ok(KeyRing(vec![key]))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn place() -> (tempfile::TempDir, KeyFile) {
        let dir = tempfile::tempdir().unwrap();
        let file = KeyFile::Own(dir.path().join("keys/master.key"));
        (dir, file)
    }

    #[test]
    fn the_first_start_makes_a_key_for_us_alone_and_the_next_one_finds_it() {
        let (_dir, file) = place();
        let made = file.load(false).unwrap();
        assert_eq!(fs::metadata(file.path()).unwrap().mode() & 0o777, 0o600);
        let found = file.load(true).unwrap();
        assert_eq!(made.first().id(), found.first().id());
        assert_eq!(made.first().bytes(), found.first().bytes());
    }

    #[test]
    fn a_lost_key_is_not_replaced_by_a_new_one() {
        let (_dir, file) = place();
        let error = file.load(true).unwrap_err();
        assert!(matches!(error, KeyFileError::Missing(_)));
        assert!(error.to_string().contains("put the file back"));
        assert!(!file.path().exists());
    }

    #[test]
    fn a_key_that_others_may_read_is_refused() {
        let (_dir, file) = place();
        file.load(false).unwrap();
        for mode in [0o640, 0o604, 0o660] {
            fs::set_permissions(file.path(), fs::Permissions::from_mode(mode)).unwrap();
            let error = file.load(true).unwrap_err().to_string();
            assert!(error.contains("chmod 600"), "{error}");
        }
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o440)).unwrap();
        let credential = KeyFile::Credential(file.path().to_owned());
        assert!(credential.load(true).is_ok(), "systemd shows group bits for its access list");
    }

    #[test]
    fn a_mistyped_key_is_named_by_its_line_and_never_printed() {
        let (_dir, file) = place();
        file.load(false).unwrap();
        let good = fs::read_to_string(file.path()).unwrap();
        let key = good.split_whitespace().nth(2).unwrap().to_owned();
        let flipped = if key.starts_with('A') { key.replacen('A', "B", 1) } else { format!("A{}", &key[1..]) };
        for bad in
            [good.replace(&key, &flipped), good.replace(WORD, "key"), good.replace(&key, "c2hvcnQ="), String::new()]
        {
            fs::write(file.path(), &bad).unwrap();
            let error = file.load(true).unwrap_err().to_string();
            assert!(error.contains("put it back"), "{error}");
            assert!(!error.contains(&key[2..20]));
        }
    }

    #[test]
    fn a_credential_is_never_made() {
        let (_dir, file) = place();
        let credential = KeyFile::Credential(file.path().to_owned());
        assert!(matches!(credential.load(false), Err(KeyFileError::NoCredential(_))));
    }
}
