//! What stays of entries that went: the last one's number and hash, signed by this installation.

use hmac::{Hmac, KeyInit as _, Mac as _};
use latchkey_contract::{Secret, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{Head, hex};
use crate::seal::Seal;

/// Entries that may go together: the oldest there are, without a gap.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prunable {
    /// The last of them.
    pub seq: i64,
    /// Its hash: what the first entry that stays follows from.
    pub hash: String,
    /// How many.
    pub entries: i64,
    /// The earliest time among them.
    pub from: Timestamp,
    /// The latest time among them.
    pub to: Timestamp,
}

/// Entries that went, and who says so.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// What went.
    #[serde(flatten)]
    pub gone: Prunable,
    /// HMAC-SHA256 over all of it, in hex.
    pub signature: String,
}

/// Signs heads and checkpoints, and knows its own signatures again.
#[derive(Debug)]
pub struct Signer(Secret<Vec<u8>>);

impl Signer {
    /// With a key that only holders of the master key have.
    #[must_use]
    pub fn new(seal: &Seal) -> Self {
        Self(seal.derive("audit checkpoint"))
    }

    /// The head, with its signature.
    #[must_use]
    pub fn head(&self, head: Head) -> Head {
        let signature = hex(&self.mac(&head_text(&head)).finalize().into_bytes());
        Head { signature: Some(signature), ..head }
    }

    /// What went, with its signature.
    #[must_use]
    pub fn checkpoint(&self, gone: Prunable) -> Checkpoint {
        let signature = hex(&self.mac(&checkpoint_text(&gone)).finalize().into_bytes());
        Checkpoint { gone, signature }
    }

    /// True when the head carries a signature, and it is ours.
    #[must_use]
    pub fn has_signed_head(&self, head: &Head) -> bool {
        head.signature.as_ref().is_some_and(|signature| self.is_mine(&head_text(head), signature))
    }

    /// True when the checkpoint's signature is ours.
    #[must_use]
    pub fn has_signed(&self, checkpoint: &Checkpoint) -> bool {
        self.is_mine(&checkpoint_text(&checkpoint.gone), &checkpoint.signature)
    }

    fn mac(&self, text: &str) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.0.expose()).expect("HMAC takes any key length");
        mac.update(text.as_bytes());
        mac
    }

    fn is_mine(&self, text: &str, signature: &str) -> bool {
        let ours = Secret::new(hex(&self.mac(text).finalize().into_bytes()));
        ours.matches(signature.as_bytes())
    }
}

fn head_text(head: &Head) -> String {
    format!("latchkey audit head 1|{}|{}", head.seq, head.hash)
}

fn checkpoint_text(gone: &Prunable) -> String {
    let Prunable { seq, hash, entries, from, to } = gone;
    format!("latchkey audit checkpoint 1|{seq}|{hash}|{entries}|{}|{}", from.millis(), to.millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::{KeyRing, MasterKey};

    fn signer(root: u8) -> Signer {
        let ring = KeyRing::new(vec![MasterKey::generate()]).unwrap();
        Signer::new(&Seal::new(ring, Secret::new(vec![root; 32])))
    }

    fn gone() -> Prunable {
        let at = Timestamp::from_millis;
        Prunable { seq: 7, hash: "ab".repeat(32), entries: 7, from: at(1), to: at(2) }
    }

    #[test]
    fn a_signature_is_known_again_and_covers_every_part() {
        let signer = signer(7);
        let signed = signer.checkpoint(gone());
        assert!(signer.has_signed(&signed));
        let at = Timestamp::from_millis;
        for forged in [
            Prunable { seq: 8, ..gone() },
            Prunable { hash: "cd".repeat(32), ..gone() },
            Prunable { entries: 6, ..gone() },
            Prunable { from: at(0), ..gone() },
            Prunable { to: at(3), ..gone() },
        ] {
            assert!(!signer.has_signed(&Checkpoint { gone: forged, signature: signed.signature.clone() }));
        }
        assert!(!signer.has_signed(&Checkpoint { signature: String::new(), ..signed }));
    }

    #[test]
    fn another_installation_signs_otherwise_and_a_head_is_no_checkpoint() {
        let head = Head::new(7, "ab".repeat(32));
        let signed = signer(7).head(head.clone());
        assert!(signer(7).has_signed_head(&signed));
        assert!(!signer(8).has_signed_head(&signed));
        assert!(!signer(7).has_signed_head(&head), "no signature is no proof");
        assert!(!signer(7).has_signed_head(&Head { seq: 8, ..signed }));
    }
}
