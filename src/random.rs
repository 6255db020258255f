//! Randomness for keys, nonces, tokens and identifiers: always the operating system's generator.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use latchkey_contract::{Secret, Timestamp};
use rand::{TryRng, rngs::SysRng};
use ulid::Ulid;

/// Fills a buffer.
///
/// # Panics
/// When the operating system has no randomness: nothing here could go on safely.
pub fn fill(buffer: &mut [u8]) {
    SysRng.try_fill_bytes(buffer).expect("an operating system without randomness cannot keep a secret");
}

/// An array of random bytes.
#[must_use]
pub fn bytes<const N: usize>() -> [u8; N] {
    let mut out = [0; N];
    fill(&mut out);
    out
}

/// A token of 256 random bits, as 43 characters that need no escaping in URLs, cookies and forms.
#[must_use]
pub fn token() -> Secret<String> {
    Secret::new(BASE64_URL_SAFE_NO_PAD.encode(bytes::<32>()))
}

/// A new identifier, ordered by time: 26 letters and digits.
#[must_use]
pub fn id(now: Timestamp) -> String {
    Ulid::from_parts(u64::try_from(now.millis()).unwrap_or(0), u128::from_be_bytes(bytes())).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_ordered_by_time_and_never_the_same() {
        let at = Timestamp::from_millis(1_790_000_000_000);
        let (a, b, later) = (id(at), id(at), id(Timestamp::from_millis(at.millis() + 1)));
        assert_ne!(a, b);
        assert!(a < later && b < later);
        assert_eq!(a.len(), 26);
        assert_ne!(token().expose(), token().expose());
        assert_eq!(token().expose().len(), 43);
    }
}
