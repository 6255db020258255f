//! One HTTP request from a PSA, before and after it is proven: two different types.

use std::fmt;

use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

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
        self.knock().header(name)
    }

    /// What was known of it before its body was read.
    #[must_use]
    pub fn knock(&self) -> Knock<'_> {
        Knock { headers: &self.headers, at: self.received_at }
    }
}

/// A request before its body is read. Nothing about it is believed.
#[derive(Clone, Copy)]
pub struct Knock<'h> {
    /// Header names in lower case.
    pub headers: &'h [(String, Vec<u8>)],
    /// When it came.
    pub at: Timestamp,
}

impl<'h> Knock<'h> {
    /// The one value of a header; `None` when it is missing or sent twice.
    #[must_use]
    pub fn header(self, name: &str) -> Option<&'h [u8]> {
        let mut found = self.headers.iter().filter(|(n, _)| n == name);
        match (found.next(), found.next()) {
            (Some((_, value)), None) => Some(value),
            _ => None,
        }
    }

    /// Whether a header was sent at all, be it more than once.
    #[must_use]
    pub fn has(self, name: &str) -> bool {
        self.headers.iter().any(|(n, _)| n == name)
    }
}

impl fmt::Debug for Knock<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Knock({} headers)", self.headers.len())
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
    /// The path secret alone: a doorbell. Of the bytes nothing counts but which ticket to look at.
    Path,
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

    /// Compares an HMAC-SHA1 over the raw body, for the vendor that offers nothing newer. As a keyed hash it still holds.
    ///
    /// # Errors
    /// [`Rejected::BadSignature`] when it differs.
    pub fn hmac_sha1(key: &[u8], body: &[u8], claimed: &[u8]) -> Result<Self, Rejected> {
        use hmac::{Hmac, KeyInit, Mac};
        let mut mac = <Hmac<sha1::Sha1> as KeyInit>::new_from_slice(key).map_err(|_| Rejected::BadSignature)?;
        mac.update(body);
        mac.verify_slice(claimed).map_err(|_| Rejected::BadSignature)?;
        Ok(Self { reach: Reach::Body })
    }

    /// Compares credentials that sender and receiver share, pair by pair (`(ours, offered)`), all of them whatever the
    /// first ones said. Their hashes are compared, so that not even a length can be measured.
    ///
    /// # Errors
    /// [`Rejected::BadSignature`] when one differs, when one of ours is empty, or when there are none.
    pub fn shared(pairs: &[(&[u8], &[u8])]) -> Result<Self, Rejected> {
        let mut is_same = Choice::from(u8::from(!pairs.is_empty()));
        for (ours, offered) in pairs {
            is_same &= Sha256::digest(ours).ct_eq(&Sha256::digest(offered)) & Choice::from(u8::from(!ours.is_empty()));
        }
        if is_same.into() { Ok(Self { reach: Reach::Sender }) } else { Err(Rejected::BadSignature) }
    }

    /// Of a delivery that came to the right path and proves nothing else. What is read from it may ring, not tell.
    #[must_use]
    pub const fn path(_: &Delivery) -> Self {
        Self { reach: Reach::Path }
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
    /// The signature header is missing, doubled or not of the right shape; or what only rings has not the right credentials.
    #[error("no usable signature header, and no credentials that let it ring")]
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
    /// Too many with unknown keys, or that only ring: no verdict, so the sender should try again.
    #[error("the budget for unknown keys, or for what only rings, is used up")]
    OverBudget,
    /// The key could not be fetched: no verdict, so the sender should try again.
    #[error("the signing key could not be fetched")]
    KeyUnreachable(#[source] crate::CallError),
}

impl Rejected {
    /// True when the sender should be asked to try again (503) instead of being refused (401).
    #[must_use]
    pub const fn is_for_later(&self) -> bool {
        matches!(self, Self::KeyUnreachable(_) | Self::OverBudget)
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
        assert!(delivery.header("x-sig").is_none() && delivery.knock().has("x-sig"));
        assert!(!delivery.knock().has("x-other"));
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

    /// RFC 2202, case 2.
    #[test]
    fn the_older_hash_is_checked_the_same_way() {
        let tag = [
            0xef, 0xfc, 0xdf, 0x6a, 0xe5, 0xeb, 0x2f, 0xa2, 0xd2, 0x74, 0x16, 0xd5, 0xf1, 0x84, 0xdf, 0x9c, 0x25, 0x9a,
            0x7c, 0x79,
        ];
        let check = |body: &[u8], tag: &[u8]| SenderProof::hmac_sha1(b"Jefe", body, tag);
        assert_eq!(check(b"what do ya want for nothing?", &tag).unwrap().reach(), Reach::Body);
        assert!(check(b"what do ya want for nothing!", &tag).is_err());
        assert!(check(b"what do ya want for nothing?", &tag[..19]).is_err());
    }

    #[test]
    fn a_shared_credential_proves_the_sender_alone() {
        let shared = |pairs: &[(&[u8], &[u8])]| SenderProof::shared(pairs);
        assert_eq!(shared(&[(b"a", b"a"), (b"bb", b"bb")]).unwrap().reach(), Reach::Sender);
        for wrong in [&[(&b"a"[..], &b"b"[..])][..], &[(b"a", b"a"), (b"b", b"")], &[(b"", b"")], &[]] {
            assert!(shared(wrong).is_err(), "{wrong:?}");
        }
    }
}
