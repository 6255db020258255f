//! Notes of ours on any PSA: posted once, found again, overwritten.
//!
//! Creating a note cannot be repeated safely at any of the vendors, so every part of a text carries a marker, and every
//! part is looked for before it is made. A vendor brings a [`NoteDesk`]: how its notes are listed, made, read and
//! changed, and which of them are ours. What is done with them is here, once.

mod marker;
mod split;

pub use marker::{MAX_CHARS, Marker, Marks, ShortKey, last_line, read};
pub use split::split;

use crate::{
    CallError, TicketId,
    outside::Urgency,
    ticket::{NoteAt, NoteKey, NoteText, Posted},
};

/// The first line of a note that is not empty, where it speaks to Latchkey: `/jit`, and nothing before it. So nothing does
/// that is quoted.
#[must_use]
pub fn addressed(text: &str) -> Option<&str> {
    let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
    let first = line.split_whitespace().next()?;
    first.eq_ignore_ascii_case("/jit").then_some(line)
}

/// A note of ours, by marker and author.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ours {
    /// Where it hangs, and which part it is.
    pub at: NoteAt,
    /// Of how many parts.
    pub of: usize,
    /// The customer can see it.
    pub is_visible: bool,
}

/// A note as it stands at the PSA. May hold a secret: does not print.
pub struct Present {
    /// Its text.
    pub text: String,
    /// Our own API identity made it. Never judged by a property that others can set.
    pub is_mine: bool,
    /// The customer can see it; a flag that is missing counts for the worse.
    pub is_visible: bool,
}

impl std::fmt::Debug for Present {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Present(mine: {}, visible: {})", self.is_mine, self.is_visible)
    }
}

/// A vendor's notes.
#[async_trait::async_trait]
pub trait NoteDesk: Send + Sync {
    /// The most that one note may hold, marker included, in UTF-16 units.
    const LONGEST: usize;
    /// The call behind [`NoteDesk::read`], as vendor method and path template.
    const READ: &'static str;
    /// The call behind [`NoteDesk::replace`].
    const CHANGE: &'static str;

    /// The connection's markers.
    fn marks(&self) -> &Marks;

    /// Every note with this key's marker that is ours, here and where the ticket was merged into, in the order of its
    /// parts. Every call that this takes has this urgency.
    async fn ours(&self, id: &TicketId, key: &NoteKey, urgency: Urgency) -> Result<Vec<Ours>, CallError>;

    /// Makes one note: internal, silent, every flag said. An answer that cannot be read is [`CallError::Transient`]: the
    /// note may be there.
    async fn create(&self, id: &TicketId, text: &str, part: usize) -> Result<NoteAt, CallError>;

    /// The note as it is now; `None` when it is gone. Every call that this takes has this urgency.
    async fn read(&self, at: &NoteAt, urgency: Urgency) -> Result<Option<Present>, CallError>;

    /// Replaces its text, as a removal. `Ok(false)` when it is gone.
    async fn replace(&self, at: &NoteAt, text: &str) -> Result<bool, CallError>;
}

const fn room<D: NoteDesk>() -> usize {
    D::LONGEST - MAX_CHARS - 1
}

/// Posts what is missing of a text, and reads back whether the customer can see it. After a [`CallError::Transient`]
/// nothing is known; the next call looks.
///
/// # Errors
/// As the desk's calls.
pub async fn post<D: NoteDesk>(desk: &D, id: &TicketId, text: &NoteText, key: &NoteKey) -> Result<Posted, CallError> {
    let parts = split(text.0.expose(), room::<D>());
    let there = desk.ours(id, key, Urgency::Ordinary).await?;
    let mut posted = Posted { notes: Vec::new(), is_visible_to_customer: false, was_there: true };
    for (part, text) in parts.iter().enumerate() {
        let found = there.iter().find(|n| n.at.part == part && n.of == parts.len());
        let (at, is_visible) = match found {
            Some(note) => (note.at.clone(), note.is_visible),
            None => {
                posted.was_there = false;
                let line = desk.marks().line(id, key, part + 1, parts.len());
                let at = desk.create(id, &format!("{text}\n{line}"), part).await?;
                let is_visible = is_visible(desk, &at).await?;
                (at, is_visible)
            }
        };
        posted.is_visible_to_customer |= is_visible;
        posted.notes.push(at);
    }
    Ok(posted)
}

/// Whether the customer can see the note, by the PSA's own word and not by what we asked for. Of one that the customer sees
/// the secret must be taken away, so the look is a removal's.
async fn is_visible<D: NoteDesk>(desk: &D, at: &NoteAt) -> Result<bool, CallError> {
    let note = desk.read(at, Urgency::Removal).await?;
    note.map(|n| n.is_visible).ok_or_else(|| CallError::transient(D::READ, "the new note is not there yet"))
}

/// Every note of ours with this key, in the order of its parts: for what must go out of a ticket, as a removal.
///
/// # Errors
/// As the desk's calls.
pub async fn find<D: NoteDesk>(desk: &D, id: &TicketId, key: &NoteKey) -> Result<Vec<NoteAt>, CallError> {
    Ok(desk.ours(id, key, Urgency::Removal).await?.into_iter().map(|n| n.at).collect())
}

/// Replaces the text and keeps the marker, or writes a new one where somebody removed it. A text that is too long for one
/// note is cut: what stands there now must go, whatever stands there then.
///
/// # Errors
/// [`CallError::Refused`] for a note that is not ours; else as the desk's calls.
pub async fn overwrite<D: NoteDesk>(desk: &D, note: &NoteAt, text: &str, key: &NoteKey) -> Result<bool, CallError> {
    let Some(present) = desk.read(note, Urgency::Removal).await? else { return Ok(false) };
    if !present.is_mine {
        return Err(CallError::Refused { op: D::CHANGE, status: 403, code: "the note is not ours".into() });
    }
    let line = match read(&present.text).filter(|m| m.is_for(key) && m.part == note.part + 1) {
        Some(_) => last_line(&present.text).unwrap_or_default().to_owned(),
        None => desk.marks().line(&note.ticket, key, note.part + 1, note.part + 1),
    };
    let kept = split(text, room::<D>()).swap_remove(0);
    desk.replace(note, &format!("{kept}\n{line}")).await
}
