//! Randomness for keys, nonces, tokens and identifiers: always the operating system's generator.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use latchkey_contract::Secret;
use rand::{TryRng, rngs::SysRng};

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
