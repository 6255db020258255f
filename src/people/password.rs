//! Passwords: long, not well known, and nothing else demanded of them. Stored as Argon2id.

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use latchkey_contract::{PersonId, Secret};

/// Characters, at least.
pub(super) const SHORTEST: usize = 15;
/// Characters, at most: a bound on the work of hashing.
pub(super) const LONGEST: usize = 128;

/// Long passwords that everybody tries, without digits and punctuation, in lower case.
const WELL_KNOWN: [&str; 16] = [
    "password",
    "passwordpassword",
    "passwort",
    "correcthorsebatterystaple",
    "qwertyuiop",
    "qwertyuiopasdfghjkl",
    "qwertyuiopasdfghjklzxcvbnm",
    "abcdefghijklmnop",
    "abcdefghijklmnopqrstuvwxyz",
    "administrator",
    "changeme",
    "changemeplease",
    "letmein",
    "letmeinletmein",
    "iloveyou",
    "trustnoone",
];

/// Why a password is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadPassword {
    /// Fewer than 15 characters.
    #[error("the password is too short: use at least {SHORTEST} characters; a few unrelated words do well")]
    Short,
    /// More than 128 characters.
    #[error("the password is too long: use at most {LONGEST} characters")]
    Long,
    /// Among the first that anybody would try.
    #[error("the password is one of the first that anybody would try; choose another one")]
    WellKnown,
    /// One short piece, over and over, or made of the person's or the product's name.
    #[error("the password is a repetition, or made of your name or this product's; choose another one")]
    Guessable,
}

/// Judges a new password. No composition rules: length and being unknown are what counts.
///
/// # Errors
/// [`BadPassword`], each saying what to do.
pub fn check_rules(password: &Secret<String>, person: &PersonId) -> Result<(), BadPassword> {
    let text = password.expose();
    let length = text.chars().count();
    if length < SHORTEST {
        return Err(BadPassword::Short);
    }
    if length > LONGEST {
        return Err(BadPassword::Long);
    }
    let lower = text.to_lowercase();
    let letters: String = lower.chars().filter(|c| c.is_alphabetic()).collect();
    if WELL_KNOWN.contains(&letters.as_str()) {
        return Err(BadPassword::WellKnown);
    }
    let bare: String = letters.replace("latchkey", "").replace(&person.as_str().replace('-', ""), "");
    let digits_only = letters.is_empty();
    if is_repetition(&lower) || (!digits_only && bare.chars().count() < 4) || distinct(&lower) < 5 {
        return Err(BadPassword::Guessable);
    }
    Ok(())
}

/// Hashes a password with a random salt; PHC text. Blocks for tens of milliseconds.
///
/// # Panics
/// Never for passwords of at most 128 characters.
#[must_use]
pub fn hash(password: &Secret<String>) -> String {
    let argon = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, Params::default());
    let hash = argon.hash_password(password.expose().as_bytes());
    hash.expect("Argon2id with its default parameters takes any password of this length").to_string()
}

/// True when the password is the one that was hashed. Blocks for tens of milliseconds.
#[must_use]
pub fn verify(password: &Secret<String>, phc: &str) -> bool {
    PasswordHash::new(phc)
        .is_ok_and(|hash| Argon2::default().verify_password(password.expose().as_bytes(), &hash).is_ok())
}

fn is_repetition(text: &str) -> bool {
    let chars: Vec<char> = text.chars().collect();
    (1..=chars.len() / 3).any(|n| chars.chunks(n).all(|piece| chars[..n].starts_with(piece)))
}

fn distinct(text: &str) -> usize {
    text.chars().collect::<std::collections::BTreeSet<_>>().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(text: &str) -> Result<(), BadPassword> {
        check_rules(&Secret::new(text.to_owned()), &PersonId::parse("jane-doe").unwrap())
    }

    #[test]
    fn length_counts_and_composition_does_not() {
        assert_eq!(judge("four words here"), Ok(()));
        assert_eq!(judge("fünfzehn zeichn"), Ok(()));
        assert_eq!(judge("fourteen chars"), Err(BadPassword::Short));
        assert_eq!(judge(&"unlike any other thing ".repeat(6)[..128]), Err(BadPassword::Guessable));
        assert_eq!(judge(&format!("{}x", "abcdefghijklm nopq".repeat(8))), Err(BadPassword::Long));
    }

    #[test]
    fn what_anybody_would_try_first_is_refused() {
        assert_eq!(judge("Password123456789!"), Err(BadPassword::WellKnown));
        assert_eq!(judge("correct horse battery staple"), Err(BadPassword::WellKnown));
        assert_eq!(judge("aaaaaaaaaaaaaaaaaaaa"), Err(BadPassword::Guessable));
        assert_eq!(judge("abc123abc123abc123"), Err(BadPassword::Guessable));
        assert_eq!(judge("janedoe-latchkey-2026"), Err(BadPassword::Guessable));
    }

    #[test]
    fn a_hash_is_argon2id_salted_and_fits_its_password_alone() {
        let password = Secret::new("four words here".to_owned());
        let (a, b) = (hash(&password), hash(&password));
        assert!(a.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{a}");
        assert_ne!(a, b);
        assert!(verify(&password, &a));
        assert!(!verify(&Secret::new("four words Here".to_owned()), &a));
        assert!(!verify(&password, "not a hash"));
    }
}
