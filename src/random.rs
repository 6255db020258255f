//! Randomness: a parameter for jobs and identifiers, always the operating system's for keys, nonces and tokens.

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use latchkey_contract::{AccountId, GrantId, Secret, SecretId, Timestamp};
use rand::{TryRng, rngs::SysRng};

/// Where random bytes come from: the operating system, or a seed in tests.
pub trait Random: Send + Sync + std::fmt::Debug {
    /// Fills the whole buffer.
    fn fill(&self, buffer: &mut [u8]);
}

/// The operating system's generator.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        fill(buffer);
    }
}

/// Fills a buffer from the operating system.
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

/// A time-ordered identifier (ULID): sorts by `now`, the rest is random.
#[must_use]
pub fn ulid(random: &dyn Random, now: Timestamp) -> String {
    let mut bytes = [0; 16];
    random.fill(&mut bytes);
    let ms = u64::try_from(now.millis()).unwrap_or(0);
    ulid::Ulid::from_parts(ms, u128::from_be_bytes(bytes)).to_string()
}

/// The least identifier of this time: whatever was made from then on is not below it.
#[must_use]
pub fn ulid_floor(at: Timestamp) -> String {
    ulid::Ulid::from_parts(u64::try_from(at.millis()).unwrap_or(0), 0).to_string()
}

/// A time-ordered identifier from the operating system's generator: 26 letters and digits.
#[must_use]
pub fn id(now: Timestamp) -> String {
    ulid(&SystemRandom, now)
}

/// A new grant's id.
#[must_use]
pub fn grant_id(random: &dyn Random, now: Timestamp) -> GrantId {
    GrantId::parse(ulid(random, now)).expect("a ULID is 26 letters and digits")
}

/// A new account's id.
#[must_use]
pub fn account_id(random: &dyn Random, now: Timestamp) -> AccountId {
    AccountId::parse(ulid(random, now)).expect("a ULID is 26 letters and digits")
}

/// A new sealed row's id.
#[must_use]
pub fn secret_id(random: &dyn Random, now: Timestamp) -> SecretId {
    SecretId::parse(ulid(random, now)).expect("a ULID is 26 letters and digits")
}
