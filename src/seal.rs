//! Secrets at rest: XChaCha20-Poly1305 with a data key per row, wrapped by a master key.
//!
//! The row's identity (`id|purpose`) is associated data of both layers, so that a ciphertext moved to
//! another row does not open. Destroying the wrapped data key destroys the secret. Master keys have ids:
//! any key of the ring opens, the first one seals. The ring follows its file: a key that was put first there seals from
//! then on, in every process that runs. What is *not* here: where rows are kept (the store), and which secret belongs to
//! whom (the registry, the grants).

mod key_change;
mod key_file;
mod ring;
mod rotate;
mod unlock;

use std::sync::Arc;

use chacha20poly1305::{
    KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Payload},
};
use hmac::{Hmac, Mac};
use latchkey_contract::{Secret, SecretId};
use sha2::Sha256;
use zeroize::{Zeroize, Zeroizing};

use crate::{
    random,
    store::{Rewrapped, SealedRow},
};
pub use key_file::{KeyFile, KeyFileError, KeyRing, MasterKey};
use ring::Ring;
pub use rotate::{RotateError, Rotated, Tally, retire, rewrap_all, rewrap_some, rotate, tally};
pub use unlock::{ROOT_NAME, UnlockError, unlock};

const NONCE: usize = 24;

/// Seals and opens rows. Clones share one ring.
#[derive(Debug, Clone)]
pub struct Seal {
    ring: Arc<Ring>,
    root: Secret<Vec<u8>>,
}

/// Why a row does not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// Sealed under a master key that the ring does not hold.
    #[error(
        "sealed row {row} needs master key {key_id}, which is not in the key file; add that key's line to the file"
    )]
    UnknownKey {
        /// Which row.
        row: SecretId,
        /// Which key it needs.
        key_id: String,
    },
    /// The ciphertext was changed, moved from another row, or its data key was destroyed.
    #[error("sealed row {0} does not open: it was changed, moved from another row, or destroyed")]
    Broken(SecretId),
    /// Opened, but not text.
    #[error("sealed row {0} is not text")]
    NotText(SecretId),
}

impl Seal {
    /// A seal over a ring that stays as it is. `root` is what [`Seal::derive`] derives from; it outlives a change of
    /// master keys.
    #[must_use]
    pub fn new(ring: KeyRing, root: Secret<Vec<u8>>) -> Self {
        Self { ring: Arc::new(Ring::fixed(ring)), root }
    }

    fn following(ring: Ring, root: Secret<Vec<u8>>) -> Self {
        Self { ring: Arc::new(ring), root }
    }

    /// The ring as its file has it now.
    #[must_use]
    pub fn ring(&self) -> Arc<KeyRing> {
        self.ring.now()
    }

    /// Seals a value under a fresh data key, wrapped by the ring's first master key.
    #[must_use]
    pub fn seal<T: Zeroize + AsRef<[u8]>>(
        &self,
        id: SecretId,
        name: Option<String>,
        purpose: &str,
        value: &Secret<T>,
    ) -> SealedRow {
        self.ring.now().seal(id, name, purpose, value.expose().as_ref())
    }

    /// Opens a row.
    ///
    /// # Errors
    /// [`SealError`] when the key is not in the ring or the row is not what was sealed.
    pub fn open(&self, row: &SealedRow) -> Result<Secret<Vec<u8>>, SealError> {
        match self.ring.known().open(row) {
            // Sealed under a key that came into the file since it was read.
            Err(SealError::UnknownKey { .. }) => self.ring.now().open(row),
            other => other,
        }
    }

    /// Opens a row that holds text.
    ///
    /// # Errors
    /// As [`Seal::open`], and [`SealError::NotText`].
    pub fn open_text(&self, row: &SealedRow) -> Result<Secret<String>, SealError> {
        let bytes = self.open(row)?;
        let text = std::str::from_utf8(bytes.expose()).map_err(|_| SealError::NotText(row.id.clone()))?;
        Ok(Secret::new(text.to_owned()))
    }

    /// A key of 32 bytes for one use, the same in every process of this installation (HMAC-SHA256 of the label).
    #[must_use]
    pub fn derive(&self, label: &str) -> Secret<Vec<u8>> {
        let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(self.root.expose()).expect("HMAC takes any key length");
        mac.update(b"latchkey derive 1|");
        mac.update(label.as_bytes());
        Secret::new(mac.finalize().into_bytes().to_vec())
    }
}

impl KeyRing {
    fn seal(&self, id: SecretId, name: Option<String>, purpose: &str, value: &[u8]) -> SealedRow {
        let aad = aad(&id, purpose);
        let data_key = Zeroizing::new(random::bytes::<32>());
        let master = self.first();
        SealedRow {
            wrapped_key: encrypt(master.bytes(), data_key.as_slice(), &aad),
            sealed: encrypt(&data_key, value, &aad),
            key_id: master.id().to_owned(),
            purpose: purpose.to_owned(),
            id,
            name,
        }
    }

    fn open(&self, row: &SealedRow) -> Result<Secret<Vec<u8>>, SealError> {
        let data_key = self.data_key(row)?;
        let value = decrypt(&data_key, &row.sealed, &aad(&row.id, &row.purpose));
        value.map(Secret::new).ok_or_else(|| SealError::Broken(row.id.clone()))
    }

    /// The row's data key, wrapped by the first master key instead of another one; the value's ciphertext stays. `None`
    /// when the first one wraps it already.
    fn rewrap(&self, row: &SealedRow) -> Result<Option<Rewrapped>, SealError> {
        let master = self.first();
        if row.key_id == master.id() {
            return Ok(None);
        }
        let data_key = self.data_key(row)?;
        Ok(Some(Rewrapped {
            id: row.id.clone(),
            before: row.key_id.clone(),
            key_id: master.id().to_owned(),
            wrapped_key: encrypt(master.bytes(), data_key.as_slice(), &aad(&row.id, &row.purpose)),
        }))
    }

    fn data_key(&self, row: &SealedRow) -> Result<Zeroizing<[u8; 32]>, SealError> {
        let unknown = || SealError::UnknownKey { row: row.id.clone(), key_id: row.key_id.clone() };
        let broken = || SealError::Broken(row.id.clone());
        let master = self.key(&row.key_id).ok_or_else(unknown)?;
        let data_key = decrypt(master.bytes(), &row.wrapped_key, &aad(&row.id, &row.purpose));
        let data_key = Zeroizing::new(data_key.ok_or_else(broken)?);
        Ok(Zeroizing::new(data_key.as_slice().try_into().map_err(|_| broken())?))
    }
}

fn aad(id: &SecretId, purpose: &str) -> Vec<u8> {
    format!("{id}|{purpose}").into_bytes()
}

/// nonce ‖ ciphertext. A random nonce of 192 bits does not repeat.
fn encrypt(key: &[u8; 32], msg: &[u8], aad: &[u8]) -> Vec<u8> {
    let nonce = random::bytes::<NONCE>();
    let cipher = XChaCha20Poly1305::new(&(*key).into());
    let sealed = cipher.encrypt(&XNonce::from(nonce), Payload { msg, aad });
    [nonce.as_slice(), &sealed.expect("a secret is far shorter than the cipher's limit of 256 GiB")].concat()
}

fn decrypt(key: &[u8; 32], sealed: &[u8], aad: &[u8]) -> Option<Vec<u8>> {
    let (nonce, msg) = sealed.split_first_chunk::<NONCE>()?;
    XChaCha20Poly1305::new(&(*key).into()).decrypt(&XNonce::from(*nonce), Payload { msg, aad }).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seal() -> Seal {
        Seal::new(KeyRing::new(vec![MasterKey::generate()]).unwrap(), Secret::new(vec![7; 32]))
    }

    fn id(text: &str) -> SecretId {
        SecretId::parse(text).unwrap()
    }

    fn password() -> Secret<String> {
        Secret::new("hunter2-and-more".to_owned())
    }

    #[test]
    fn what_was_sealed_opens_and_shows_nothing_in_between() {
        let seal = seal();
        let row = seal.seal(id("s1"), None, "account password", &password());
        assert_eq!(seal.open_text(&row).unwrap().expose(), "hunter2-and-more");
        assert!(!format!("{row:?}").contains("hunter2"));
        assert!(!row.sealed.windows(7).any(|w| w == b"hunter2"));
        let again = seal.seal(id("s1"), None, "account password", &password());
        assert_ne!((row.wrapped_key, row.sealed), (again.wrapped_key, again.sealed), "data key and nonces are fresh");
    }

    #[test]
    fn a_ciphertext_moved_to_another_row_or_purpose_does_not_open() {
        let seal = seal();
        let row = seal.seal(id("s1"), None, "account password", &password());
        for moved in [
            SealedRow { id: id("s2"), ..row.clone() },
            SealedRow { purpose: "one-time code".to_owned(), ..row.clone() },
        ] {
            assert!(matches!(seal.open(&moved), Err(SealError::Broken(_))));
        }
        let other = seal.seal(id("s2"), None, "account password", &password());
        let swapped = SealedRow { sealed: other.sealed, ..row };
        assert!(matches!(seal.open(&swapped), Err(SealError::Broken(_))));
    }

    #[test]
    fn every_changed_byte_is_noticed() {
        let seal = seal();
        let row = seal.seal(id("s1"), None, "p", &password());
        for n in 0..row.sealed.len() {
            let mut bad = row.clone();
            bad.sealed[n] ^= 1;
            assert!(seal.open(&bad).is_err(), "byte {n} of the value");
        }
        for n in 0..row.wrapped_key.len() {
            let mut bad = row.clone();
            bad.wrapped_key[n] ^= 1;
            assert!(seal.open(&bad).is_err(), "byte {n} of the data key");
        }
    }

    #[test]
    fn a_row_without_its_data_key_is_gone_for_good() {
        let seal = seal();
        let row = seal.seal(id("s1"), None, "p", &password());
        let destroyed = SealedRow { wrapped_key: vec![], ..row };
        assert_eq!(seal.open(&destroyed).unwrap_err(), SealError::Broken(id("s1")));
    }

    #[test]
    fn an_older_master_key_still_opens_and_the_first_one_seals() {
        let (old, new) = (MasterKey::generate(), MasterKey::generate());
        let before = Seal::new(KeyRing::new(vec![old.clone()]).unwrap(), Secret::new(vec![7; 32]));
        let row = before.seal(id("s1"), None, "p", &password());
        let after = Seal::new(KeyRing::new(vec![new.clone(), old]).unwrap(), Secret::new(vec![7; 32]));
        assert!(after.open(&row).is_ok());
        assert_eq!(after.seal(id("s2"), None, "p", &password()).key_id, new.id());
        let without = Seal::new(KeyRing::new(vec![new]).unwrap(), Secret::new(vec![7; 32]));
        assert!(matches!(without.open(&row), Err(SealError::UnknownKey { .. })));
    }

    #[test]
    fn derived_keys_differ_by_label_and_survive_a_change_of_master_keys() {
        let (a, b) = (seal(), seal());
        assert_eq!(a.derive("note marker").expose(), b.derive("note marker").expose());
        assert_ne!(a.derive("note marker").expose(), a.derive("another").expose());
        assert_eq!(a.derive("note marker").expose().len(), 32);
    }
}
