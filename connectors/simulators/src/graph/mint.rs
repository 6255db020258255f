//! Where ids come from: a counter behind a hash, so that a seeded run repeats itself exactly.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

#[derive(Debug)]
pub(super) struct Mint {
    seed: u64,
    made: u64,
}

impl Mint {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, made: 0 }
    }

    pub(super) fn guid(&mut self) -> String {
        let bytes = self.bytes();
        let mut head = [0; 16];
        head.copy_from_slice(&bytes[..16]);
        uuid::Builder::from_random_bytes(head).into_uuid().to_string()
    }

    /// The shape of a `unifiedRoleAssignment` id: 32 bytes of base64url and `-1`.
    pub(super) fn assignment_id(&mut self) -> String {
        format!("{}-1", URL_SAFE_NO_PAD.encode(self.bytes()))
    }

    /// Text nobody can guess who does not know the seed: signatures, pass codes.
    pub(super) fn opaque(&mut self) -> String {
        URL_SAFE_NO_PAD.encode(self.bytes())
    }

    fn bytes(&mut self) -> [u8; 32] {
        self.made += 1;
        let mut hash = Sha256::new();
        hash.update(self.seed.to_be_bytes());
        hash.update(self.made.to_be_bytes());
        hash.finalize().into()
    }
}

/// A seed for runs that nobody needs to repeat.
pub(super) fn fresh_seed() -> u64 {
    Uuid::new_v4().as_u64_pair().0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_ids_and_another_seed_others() {
        let (mut a, mut b, mut c) = (Mint::new(1), Mint::new(1), Mint::new(2));
        let first = a.guid();
        assert_eq!(first, b.guid());
        assert_ne!(first, c.guid());
        assert_ne!(first, a.guid());
    }
}
