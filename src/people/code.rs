//! One-time codes (RFC 6238: SHA-1, 6 digits, 30 s, one step of tolerance), as every authenticator app makes them.

use std::fmt;

use latchkey_contract::{PersonId, Secret, Timestamp};
use totp_rs::{Algorithm, Builder, Totp};

use crate::random;

/// RFC 4226 asks for 160 bits.
const SECRET_BYTES: usize = 20;

/// A person's one-time-code secret.
#[derive(Clone)]
pub struct OneTime(Totp);

impl OneTime {
    /// A new one, from the operating system's randomness.
    #[must_use]
    pub fn generate(person: &PersonId) -> Self {
        let secret = Secret::new(random::bytes::<SECRET_BYTES>().to_vec());
        Self::new(&secret, person).expect("a secret of 160 bits and a person id are accepted")
    }

    /// From the sealed bytes; `None` when they are no such secret.
    #[must_use]
    pub fn new(secret: &Secret<Vec<u8>>, person: &PersonId) -> Option<Self> {
        Builder::new()
            .with_algorithm(Algorithm::SHA1)
            .with_digits(6)
            .with_skew(1)
            .with_step_duration(30)
            .with_secret(secret.expose().clone())
            .with_account_name(person.as_str())
            .with_issuer(Some("Latchkey"))
            .build()
            .ok()
            .map(Self)
    }

    /// The step that this code is good for at this time, if any. The caller marks it as used.
    #[must_use]
    pub fn step(&self, code: &str, now: Timestamp) -> Option<i64> {
        let digits: String = code.chars().filter(|c| !c.is_whitespace()).collect();
        let seconds = u64::try_from(now.seconds()).ok()?;
        i64::try_from(self.0.check(&digits, seconds)?).ok()
    }

    /// The code at this time.
    #[must_use]
    pub fn code(&self, now: Timestamp) -> String {
        self.0.generate(u64::try_from(now.seconds()).unwrap_or(0)).to_string()
    }

    /// What is sealed.
    #[must_use]
    pub fn bytes(&self) -> Secret<Vec<u8>> {
        Secret::new(self.0.secret().as_bytes().to_vec())
    }

    /// For typing into an app.
    #[must_use]
    pub fn base32(&self) -> Secret<String> {
        Secret::new(self.0.secret().to_base32())
    }

    /// For an app that takes a link: `otpauth://totp/…`.
    #[must_use]
    pub fn uri(&self) -> Secret<String> {
        Secret::new(self.0.to_url().expect("an account name was set"))
    }
}

impl fmt::Debug for OneTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OneTime(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person() -> PersonId {
        PersonId::parse("jdoe").unwrap()
    }

    #[test]
    fn the_codes_are_those_of_rfc_6238() {
        let one_time = OneTime::new(&Secret::new(b"12345678901234567890".to_vec()), &person()).unwrap();
        assert_eq!(one_time.code(Timestamp::from_millis(59_000)), "287082");
        assert_eq!(one_time.code(Timestamp::from_millis(1_111_111_109_000)), "081804");
    }

    #[test]
    fn one_step_of_tolerance_and_no_more() {
        let one_time = OneTime::generate(&person());
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let code = one_time.code(at(3_000_000));
        assert_eq!(one_time.step(&code, at(3_000_000)), Some(100_000));
        assert_eq!(one_time.step(&code, at(3_000_030)), Some(100_000));
        assert_eq!(one_time.step(&code, at(2_999_970)), Some(100_000));
        assert_eq!(one_time.step(&code, at(3_000_060)), None);
        assert_eq!(one_time.step(&format!(" {} {}", &code[..3], &code[3..]), at(3_000_000)), Some(100_000));
        for bad in ["", "12345", "1234567", "abcdef", "１２３４５６"] {
            assert_eq!(one_time.step(bad, at(3_000_000)), None, "{bad:?}");
        }
    }

    #[test]
    fn a_secret_is_shown_on_demand_alone() {
        let one_time = OneTime::generate(&person());
        assert_eq!(format!("{one_time:?}"), "OneTime(***)");
        assert!(one_time.uri().expose().starts_with("otpauth://totp/Latchkey:jdoe?secret="));
        assert_eq!(one_time.base32().expose().len(), 32);
        let again = OneTime::new(&one_time.bytes(), &person()).unwrap();
        let now = Timestamp::from_millis(1_790_000_000_000);
        assert_eq!(again.code(now), one_time.code(now));
    }
}
