//! A value that cannot print, serialise, or be compared in variable time.

use std::fmt;

use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::Timestamp;

/// Holds a secret. Leaving it takes the visible call [`Secret::expose`]; memory is wiped on drop.
#[derive(Clone)]
pub struct Secret<T: Zeroize>(T);

impl<T: Zeroize> Secret<T> {
    /// Wraps a value; from here on it prints as `***`.
    pub const fn new(value: T) -> Self {
        Self(value)
    }

    /// The value in clear. Every call of this is a place to look at in a review.
    pub const fn expose(&self) -> &T {
        &self.0
    }
}

impl<T: Zeroize + AsRef<[u8]>> Secret<T> {
    /// Compares in constant time (for equal lengths).
    pub fn matches(&self, other: &[u8]) -> bool {
        self.0.as_ref().ct_eq(other).into()
    }
}

impl<T: Zeroize> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<T: Zeroize> Drop for Secret<T> {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl From<String> for Secret<String> {
    fn from(value: String) -> Self {
        Self(value)
    }
}

/// A secret that was replaced. Until its end it is believed beside its successor, for what is under way.
#[derive(Debug, Clone)]
pub struct Former {
    /// In clear.
    pub value: Secret<String>,
    /// `None` while the vendor may still use it for what is new.
    pub until: Option<Timestamp>,
}

impl Former {
    /// The secret, while it is believed.
    #[must_use]
    pub fn at(&self, now: Timestamp) -> Option<&Secret<String>> {
        self.until.is_none_or(|until| now < until).then_some(&self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_prints_as_stars_and_still_compares() {
        let secret = Secret::new("hunter2".to_owned());
        assert_eq!(format!("{secret:?}"), "***");
        assert!(secret.matches(b"hunter2"));
        assert!(!secret.matches(b"hunter3"));
    }
}
