//! The last line of our notes: which of our notes it is, signed so that nobody else can write it.
//!
//! `[latchkey grant-7.granted 1/2 k3…]`: label, part of how many, 128 bits of an HMAC over connection, ticket, label
//! and part. A marker counts only in a note that our own API identity created; who asks checks that.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::{ConnectionId, Secret, TicketId, ticket::NoteKey};

const OPEN: &str = "[latchkey ";
const LABEL_CHARS: usize = 80;
const MAC_BYTES: usize = 16;
/// No marker line is longer, in characters.
pub const MAX_CHARS: usize = 160;

/// Writes and recognises markers of one connection.
#[derive(Debug)]
pub struct Marks {
    connection: ConnectionId,
    key: Secret<Vec<u8>>,
}

/// The marker key is too short to protect anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("connection {0}: the marker key must have at least 32 bytes")]
pub struct ShortKey(ConnectionId);

/// A marker as it stands in a text: nothing about it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    label: String,
    /// Which part of the text, from 1.
    pub part: usize,
    /// Of how many.
    pub of: usize,
    mac: Vec<u8>,
}

impl Marks {
    /// Of one connection. With another `key`, older notes are no longer found.
    ///
    /// # Errors
    /// [`ShortKey`] for a key of less than 32 bytes.
    pub fn checked(connection: ConnectionId, key: Secret<Vec<u8>>) -> Result<Self, ShortKey> {
        if key.expose().len() < 32 { Err(ShortKey(connection)) } else { Ok(Self::new(connection, key)) }
    }

    pub(super) fn new(connection: ConnectionId, key: Secret<Vec<u8>>) -> Self {
        Self { connection, key }
    }

    /// The marker line of part `part` (from 1) of `of`.
    #[must_use]
    pub fn line(&self, ticket: &TicketId, key: &NoteKey, part: usize, of: usize) -> String {
        let label = label(key);
        let mac = self.mac(ticket, &label, part, of).finalize().into_bytes();
        format!("{OPEN}{label} {part}/{of} {}]", URL_SAFE_NO_PAD.encode(&mac[..MAC_BYTES]))
    }

    /// The marker of `text`, if this connection wrote it for this ticket and key.
    #[must_use]
    pub fn fitting(&self, text: &str, ticket: &TicketId, key: &NoteKey) -> Option<Marker> {
        let marker = read(text).filter(|m| m.is_for(key))?;
        let mac = self.mac(ticket, &marker.label, marker.part, marker.of);
        mac.verify_truncated_left(&marker.mac).ok()?;
        Some(marker)
    }

    /// Of what must be recognised and must not be guessed by who sees the print: these very parts, under the key.
    #[must_use]
    pub fn fingerprint(&self, parts: &[&str]) -> [u8; 32] {
        let mut mac = self.keyed();
        for part in ["latchkey print", self.connection.as_str()].iter().chain(parts) {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }

    fn keyed(&self) -> Hmac<Sha256> {
        <Hmac<Sha256> as KeyInit>::new_from_slice(self.key.expose()).expect("HMAC takes a key of any length")
    }

    fn mac(&self, ticket: &TicketId, label: &str, part: usize, of: usize) -> Hmac<Sha256> {
        let mut mac = self.keyed();
        // None of the parts can hold a bar, so no two of them can be taken for each other.
        mac.update(format!("latchkey note|{}|{ticket}|{label}|{part}|{of}", self.connection).as_bytes());
        mac
    }
}

impl Marker {
    /// Whether it names this key; says nothing about who wrote it.
    #[must_use]
    pub fn is_for(&self, key: &NoteKey) -> bool {
        self.label == label(key)
    }
}

/// The marker in the last line that is not empty. Text further up may quote anything.
#[must_use]
pub fn read(text: &str) -> Option<Marker> {
    let inner = last_line(text)?.strip_prefix(OPEN)?.strip_suffix(']')?;
    let [label, place, mac] = inner.split(' ').collect::<Vec<_>>().try_into().ok()?;
    let (part, of) = place.split_once('/')?;
    let (part, of) = (part.parse().ok()?, of.parse().ok()?);
    let mac = URL_SAFE_NO_PAD.decode(mac).ok().filter(|mac| mac.len() == MAC_BYTES)?;
    (1 <= part && part <= of).then(|| Marker { label: label.to_owned(), part, of, mac })
}

/// The last line of a text that is not empty, without the blanks around it.
#[must_use]
pub fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}

/// A key as one word: itself where it is one, else its hash.
fn label(key: &NoteKey) -> String {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':' | '/');
    if (1..=LABEL_CHARS).contains(&key.0.len()) && key.0.chars().all(is_word) {
        key.0.clone()
    } else {
        format!("~{}", URL_SAFE_NO_PAD.encode(Sha256::digest(&key.0)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn marks(connection: &str, key: u8) -> Marks {
        Marks::new(ConnectionId::parse(connection).unwrap(), Secret::new(vec![key; 32]))
    }

    fn ticket(id: &str) -> TicketId {
        TicketId::parse(id).unwrap()
    }

    fn key(text: &str) -> NoteKey {
        NoteKey(text.into())
    }

    #[test]
    fn our_own_marker_is_found_again() {
        let marks = marks("cw", 7);
        for name in ["grant-7.granted", "with a blank", "b|a|r", "[x]", "ünïcode", "", &"x".repeat(300)] {
            let line = marks.line(&ticket("4711"), &key(name), 2, 3);
            assert!(line.chars().count() <= MAX_CHARS && !line.contains('|'));
            for text in [line.clone(), format!("text\n{line}"), format!("text\r\n{line}\r\n \r\n")] {
                let found = marks.fitting(&text, &ticket("4711"), &key(name)).unwrap();
                assert_eq!((found.part, found.of), (2, 3));
            }
        }
    }

    /// A stranger may copy, move, or alter a marker; he may not make one.
    #[test]
    fn a_marker_fits_its_own_place_alone() {
        let ours = marks("cw", 7);
        let line = ours.line(&ticket("4711"), &key("k"), 1, 2);
        let fits = |marks: &Marks, text: &str, t: &str, k: &str| marks.fitting(text, &ticket(t), &key(k)).is_some();
        assert!(fits(&ours, &line, "4711", "k"));
        assert!(!fits(&ours, &line, "4712", "k"));
        assert!(!fits(&ours, &line, "4711", "k2"));
        assert!(!fits(&marks("cw-two", 7), &line, "4711", "k"));
        assert!(!fits(&marks("cw", 8), &line, "4711", "k"));
        assert!(!fits(&ours, &line.replace("1/2", "2/2"), "4711", "k"));
        assert!(!fits(&ours, &line.replace("1/2", "1/1"), "4711", "k"));
        assert!(!fits(&ours, &line.replace("latchkey k ", "latchkey other "), "4711", "other"));
        assert!(!fits(&ours, &format!("{line}\nand more"), "4711", "k"));
        let short = format!("{}]", &line[..line.len() - 3]);
        assert!(!fits(&ours, &short, "4711", "k"));
        let empty = format!("[latchkey k 1/2 {}]", "");
        assert!(!fits(&ours, &empty, "4711", "k"));
        let zero = format!("[latchkey k 1/2 {}]", URL_SAFE_NO_PAD.encode([0; 16]));
        assert!(!fits(&ours, &zero, "4711", "k"));
    }

    proptest! {
        #[test]
        fn no_text_of_a_stranger_fits(text in "(\\PC|\n){0,60}(\\[latchkey k 1/1 [A-Za-z0-9_-]{22}\\])?") {
            prop_assert!(marks("cw", 7).fitting(&text, &ticket("4711"), &key("k")).is_none());
        }
    }
}
