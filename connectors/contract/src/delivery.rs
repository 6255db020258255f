//! One HTTP request from a PSA, before and after it is proven: two different types.

use std::fmt;

use crate::{ConnectionId, Timestamp};

/// A request as it came: headers, raw body, time of receipt. Nothing about it is believed.
pub struct Delivery {
    /// The connection named by the path; the path secret was checked before this was built.
    pub connection: ConnectionId,
    /// Header names in lower case.
    pub headers: Vec<(String, Vec<u8>)>,
    /// The raw bytes as received; any re-encoding breaks a signature.
    pub body: Vec<u8>,
    /// When the last byte arrived.
    pub received_at: Timestamp,
}

impl Delivery {
    /// The one value of a header; `None` when it is missing or sent twice.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&[u8]> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }
}

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Delivery({}, {} bytes)", self.connection, self.body.len())
    }
}

/// How far a proof reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// A keyed hash over the raw body: these bytes come from the PSA.
    Body,
    /// A shared credential: the sender is the PSA, the bytes are only its word.
    Sender,
}

/// Evidence that a delivery is the PSA's own. Made here, by a comparison in constant time, and nowhere else.
#[derive(Debug, Clone, Copy)]
pub struct SenderProof {
    reach: Reach,
}

impl SenderProof {
    /// Compares an HMAC-SHA256 over the raw body.
    ///
    /// # Errors
    /// [`Rejected::BadSignature`] when it differs.
    pub fn hmac_sha256(key: &[u8], body: &[u8], claimed: &[u8]) -> Result<Self, Rejected> {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(key).map_err(|_| Rejected::BadSignature)?;
        mac.update(body);
        mac.verify_slice(claimed).map_err(|_| Rejected::BadSignature)?;
        Ok(Self { reach: Reach::Body })
    }

    /// What the proof covers.
    #[must_use]
    pub const fn reach(&self) -> Reach {
        self.reach
    }
}

/// A value that was read from a proven delivery. "Unproven but accepted" has no spelling.
#[derive(Debug, Clone)]
pub struct Verified<T> {
    value: T,
    proof: SenderProof,
}

impl<T> Verified<T> {
    /// Binds a value to the proof of the bytes it was read from.
    pub const fn new(value: T, proof: SenderProof) -> Self {
        Self { value, proof }
    }

    /// The value.
    pub const fn get(&self) -> &T {
        &self.value
    }

    /// The proof.
    pub const fn proof(&self) -> SenderProof {
        self.proof
    }

    /// The value alone.
    pub fn into_inner(self) -> T {
        self.value
    }
}

/// Why a delivery was not proven. The sender learns none of it; the log does.
#[derive(Debug, thiserror::Error)]
pub enum Rejected {
    /// The signature header is missing, doubled or not of the right shape.
    #[error("no usable signature header")]
    NoSignature,
    /// The signature differs.
    #[error("the signature does not fit the body")]
    BadSignature,
    /// The delivery points at a key that is not ours.
    #[error("the key reference does not belong to this connection: {0}")]
    ForeignKey(&'static str),
    /// The signature fits, but the body speaks of another installation or cannot be read.
    #[error("the signed body does not belong to this connection: {0}")]
    ForeignBody(&'static str),
    /// Too many attempts with unknown keys.
    #[error("the budget for unknown keys is used up")]
    OverBudget,
    /// The key could not be fetched: no verdict, so the sender should try again.
    #[error("the signing key could not be fetched")]
    KeyUnreachable(#[source] crate::CallError),
}

impl Rejected {
    /// True when the sender should be asked to try again (503) instead of being refused (401).
    #[must_use]
    pub const fn is_for_later(&self) -> bool {
        matches!(self, Self::KeyUnreachable(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubled_header_is_no_header() {
        let delivery = Delivery {
            connection: ConnectionId::parse("cw").unwrap(),
            headers: vec![("x-sig".into(), b"a".to_vec()), ("x-sig".into(), b"b".to_vec())],
            body: vec![],
            received_at: Timestamp::from_millis(0),
        };
        assert!(delivery.header("x-sig").is_none());
    }

    #[test]
    fn a_tampered_byte_is_refused() {
        let key = [7; 32];
        let sign = |body: &[u8]| {
            use hmac::{Hmac, KeyInit, Mac};
            let mut mac = <Hmac<sha2::Sha256> as KeyInit>::new_from_slice(&key).unwrap();
            mac.update(body);
            mac.finalize().into_bytes().to_vec()
        };
        assert!(SenderProof::hmac_sha256(&key, b"body", &sign(b"body")).is_ok());
        assert!(SenderProof::hmac_sha256(&key, b"bodY", &sign(b"body")).is_err());
        assert!(SenderProof::hmac_sha256(&key, b"body", b"").is_err());
    }
}
