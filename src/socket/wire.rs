//! The conversation: JSON lines, each a verb and its data in base64. What is longer than a line comes in pieces before it.

use std::{ops::Range, path::PathBuf};

use base64::{Engine, prelude::BASE64_STANDARD};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::cli::{LARGEST_FILE, Overwrite, Piece as FilePiece};

/// The program's version, and this conversation's.
pub(super) const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (conversation 2)");

/// The longest line, with room for a piece in base64 and its verb.
pub(super) const LONGEST_LINE: usize = 512 * 1024;

/// How much goes into one line.
const PIECE: usize = 192 * 1024;

/// From the service.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Order {
    /// First of all: who is there.
    Welcome {
        version: String,
    },
    /// Belongs before the data of what follows.
    Piece,
    Say,
    Hint,
    Ask,
    AskHidden,
    Rest,
    Read {
        path: PathBuf,
        limit: u64,
    },
    Write {
        path: PathBuf,
        overwrite: Overwrite,
    },
    Append {
        path: PathBuf,
        piece: FilePiece,
    },
    /// The command is done.
    Done,
    /// The command failed, with its sentence.
    Failed,
}

/// From the client.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Answer {
    /// The command.
    Words { version: String, words: Vec<String>, is_interactive: bool },
    /// Belongs before the data of what follows.
    Piece,
    /// What was asked for; empty where it was done.
    Value,
    /// Why it could not be done.
    Failed,
}

/// What comes in pieces.
pub(super) trait Verb: Serialize + for<'a> Deserialize<'a> + PartialEq {
    const PIECE: Self;
}

impl Verb for Order {
    const PIECE: Self = Self::Piece;
}

impl Verb for Answer {
    const PIECE: Self = Self::Piece;
}

/// Why a conversation ends early.
#[derive(Debug, thiserror::Error)]
pub(super) enum Broken {
    #[error("the other end is gone")]
    Gone,
    #[error("the other end did not answer in time, or is gone")]
    Io(#[from] std::io::Error),
    #[error("what the other end said is not understood; do both ends run the same Latchkey?")]
    NotUnderstood,
    #[error("what was to be sent is longer than {} MiB", LARGEST_FILE / 1024 / 1024)]
    TooLong,
}

#[derive(Serialize, Deserialize)]
struct Line<'a, V> {
    verb: V,
    data: &'a str,
}

/// One line, with its end.
pub(super) fn line<V: Verb>(verb: &V, data: &[u8]) -> Result<Zeroizing<Vec<u8>>, Broken> {
    // With room for all of it: what grows leaves copies behind.
    let mut text = Zeroizing::new(String::with_capacity(data.len() / 3 * 4 + 4));
    BASE64_STANDARD.encode_string(data, &mut text);
    let mut line = Zeroizing::new(Vec::with_capacity(text.len() + 4096));
    serde_json::to_writer(&mut *line, &Line { verb, data: &text }).map_err(|_| Broken::NotUnderstood)?;
    line.push(b'\n');
    if line.len() > LONGEST_LINE { Err(Broken::TooLong) } else { Ok(line) }
}

/// The lines that carry a verb and its data.
pub(super) fn lines<V: Verb>(
    verb: &V,
    data: &[u8],
) -> Result<impl Iterator<Item = Result<Zeroizing<Vec<u8>>, Broken>>, Broken> {
    if data.len() as u64 > LARGEST_FILE {
        return Err(Broken::TooLong);
    }
    let (pieces, last) = data.split_at(data.len().saturating_sub(1) / PIECE * PIECE);
    Ok(pieces.chunks(PIECE).map(|piece| line(&V::PIECE, piece)).chain(std::iter::once_with(move || line(verb, last))))
}

/// A verb, and its data whole.
pub(super) type Heard<V> = (V, Zeroizing<Vec<u8>>);

/// What is being received: fills up with bytes, and yields verbs with their data.
pub(super) struct Incoming {
    buffer: Zeroizing<Vec<u8>>,
    unread: Range<usize>,
    pieces: Zeroizing<Vec<u8>>,
}

impl Incoming {
    pub(super) fn new() -> Self {
        let buffer = Zeroizing::new(vec![0; LONGEST_LINE]);
        Self { buffer, unread: 0..0, pieces: Zeroizing::default() }
    }

    /// Where the next bytes belong; [`Incoming::came`] says how many came.
    pub(super) fn space(&mut self) -> Result<&mut [u8], Broken> {
        self.buffer.copy_within(self.unread.clone(), 0);
        self.unread = 0..self.unread.len();
        match &mut self.buffer[self.unread.end..] {
            [] => Err(Broken::NotUnderstood),
            space => Ok(space),
        }
    }

    pub(super) fn came(&mut self, bytes: usize) -> Result<(), Broken> {
        self.unread.end += bytes;
        if bytes == 0 { Err(Broken::Gone) } else { Ok(()) }
    }

    /// The next verb that is there with all of its data.
    pub(super) fn next<V: Verb>(&mut self) -> Result<Option<Heard<V>>, Broken> {
        while let Some(length) = self.buffer[self.unread.clone()].iter().position(|byte| *byte == b'\n') {
            let line = self.unread.start..self.unread.start + length;
            self.unread.start = line.end + 1;
            let Line::<V> { verb, data } =
                serde_json::from_slice(&self.buffer[line]).map_err(|_| Broken::NotUnderstood)?;
            let data = BASE64_STANDARD.decode(data).map(Zeroizing::new).map_err(|_| Broken::NotUnderstood)?;
            if (self.pieces.len() + data.len()) as u64 > LARGEST_FILE {
                return Err(Broken::TooLong);
            }
            if verb == V::PIECE {
                self.pieces.extend_from_slice(&data);
                continue;
            }
            if self.pieces.is_empty() {
                return Ok(Some((verb, data)));
            }
            let mut whole = std::mem::take(&mut self.pieces);
            whole.extend_from_slice(&data);
            return Ok(Some((verb, whole)));
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(verb: &Order, data: &[u8]) -> (Order, Zeroizing<Vec<u8>>) {
        let mut incoming = Incoming::new();
        for line in lines(verb, data).unwrap() {
            let line = line.unwrap();
            incoming.space().unwrap()[..line.len()].copy_from_slice(&line);
            incoming.came(line.len()).unwrap();
            if let Some(whole) = incoming.next().unwrap() {
                return whole;
            }
        }
        panic!("it never came")
    }

    #[test]
    fn what_is_sent_arrives_whole_whatever_its_length() {
        for length in [0, 1, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE, 3 * PIECE + 7] {
            let data: Vec<u8> = (0..length).map(|n| (n % 251) as u8).collect();
            let (verb, arrived) = through(&Order::Say, &data);
            assert!(verb == Order::Say && *arrived == data, "{length}");
        }
    }

    #[test]
    fn a_line_that_does_not_end_is_not_waited_for() {
        let mut incoming = Incoming::new();
        let room = incoming.space().unwrap().len();
        incoming.came(room).unwrap();
        assert!(matches!(incoming.next::<Answer>(), Ok(None)));
        assert!(matches!(incoming.space(), Err(Broken::NotUnderstood)));
    }

    #[test]
    fn more_than_the_largest_file_is_neither_sent_nor_taken() {
        let data = vec![0; usize::try_from(LARGEST_FILE).unwrap() + 1];
        assert!(matches!(lines(&Order::Say, &data).err(), Some(Broken::TooLong)));
        let mut incoming = Incoming::new();
        incoming.pieces = Zeroizing::new(data[1..].to_vec());
        let line = line(&Order::Piece, b"x").unwrap();
        incoming.space().unwrap()[..line.len()].copy_from_slice(&line);
        incoming.came(line.len()).unwrap();
        assert!(matches!(incoming.next::<Order>(), Err(Broken::TooLong)));
    }

    #[test]
    fn nonsense_is_not_understood() {
        for nonsense in ["\n", "{}\n", "{\"verb\":\"fly\",\"data\":\"\"}\n", "{\"verb\":\"say\",\"data\":\"*\"}\n"] {
            let mut incoming = Incoming::new();
            incoming.space().unwrap()[..nonsense.len()].copy_from_slice(nonsense.as_bytes());
            incoming.came(nonsense.len()).unwrap();
            assert!(matches!(incoming.next::<Order>(), Err(Broken::NotUnderstood)), "{nonsense}");
        }
    }
}
