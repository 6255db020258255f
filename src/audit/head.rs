//! The newest entry's number and hash: what leaves the house, so that the rest cannot be rewritten unseen.

use std::{fmt, str::FromStr};

use super::is_hex;

/// So many hex digits of the hash are enough to check by: 128 bits, for which nobody finds another log.
const DIGITS: usize = 32;

/// Digits of a whole hash, and of a signature.
const WHOLE: usize = 64;

/// A head of the chain, as stored, or as somebody read it in a note.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The entry's number.
    pub seq: i64,
    /// Its hash in hex; where it was read from a note, the beginning of it.
    pub hash: String,
    /// What shows that this installation said so, where it came along.
    pub signature: Option<String>,
}

impl Head {
    /// A head without a signature.
    #[must_use]
    pub const fn new(seq: i64, hash: String) -> Self {
        Self { seq, hash, signature: None }
    }

    /// For notes: short, and long enough to check.
    #[must_use]
    pub fn short(&self) -> String {
        format!("{}:{}…", self.seq, self.hash.get(..DIGITS).unwrap_or(&self.hash))
    }

    /// True when an entry's whole hash is the one that was meant.
    #[must_use]
    pub fn is_of(&self, hash: &str) -> bool {
        hash.len() == WHOLE && hash.starts_with(&self.hash)
    }
}

impl fmt::Display for Head {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.seq, self.hash)?;
        match &self.signature {
            Some(signature) => write!(f, ":{signature}"),
            None => Ok(()),
        }
    }
}

/// Not a head.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("write NUMBER:HASH as a note or `latchkey audit head` says it, with at least {DIGITS} digits of the hash")]
pub struct BadHead;

impl FromStr for Head {
    type Err = BadHead;

    /// As [`Head`] prints, whole or [`Head::short`], dots or none at the end.
    fn from_str(text: &str) -> Result<Self, BadHead> {
        let text = text.trim().trim_end_matches(['…', '.']);
        let mut parts = text.split(':');
        let seq: i64 = parts.next().and_then(|n| n.parse().ok()).filter(|n| *n > 0).ok_or(BadHead)?;
        let is_hash = |hash: &&str| is_hex(hash) && (DIGITS..=WHOLE).contains(&hash.len());
        let hash = parts.next().filter(is_hash).ok_or(BadHead)?;
        let signature = match parts.next() {
            Some(text) if is_hex(text) && text.len() == WHOLE && hash.len() == WHOLE => Some(text.to_owned()),
            Some(_) => return Err(BadHead),
            None => None,
        };
        if parts.next().is_some() {
            return Err(BadHead);
        }
        Ok(Self { seq, hash: hash.to_owned(), signature })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_is_read_as_it_is_written_long_short_and_signed() {
        let hash = "0123456789abcdef".repeat(4);
        let head = Head::new(1234, hash.clone());
        assert_eq!(head.to_string().parse::<Head>().unwrap(), head);
        assert_eq!(head.short(), format!("1234:{}…", &hash[..32]));
        for text in [head.short(), format!(" 1234:{}...\n", &hash[..40]), format!("1234:{}", &hash[..32])] {
            let short: Head = text.parse().unwrap();
            assert!(short.seq == 1234 && short.is_of(&hash), "{text}");
            assert!(!short.is_of(&"f".repeat(64)));
        }
        let signed = Head { signature: Some("a".repeat(64)), ..head };
        assert_eq!(signed.to_string().parse::<Head>().unwrap(), signed);
    }

    #[test]
    fn what_is_too_little_to_check_by_is_no_head() {
        let hash = "0123456789abcdef".repeat(4);
        for bad in [
            String::new(),
            "1234".into(),
            "1234:".into(),
            format!("1234:{}", &hash[..31]),
            format!("0:{hash}"),
            format!("-1:{hash}"),
            format!("1234:{hash}0"),
            format!("1234:{}", hash.to_uppercase()),
            format!("1234:{hash}:ff"),
            format!("1234:{}:{hash}", &hash[..32]),
            format!("1234:{hash}:{hash}:"),
            format!("1234:{}", "…".repeat(40)),
        ] {
            assert_eq!(bad.parse::<Head>(), Err(BadHead), "{bad}");
        }
    }
}
