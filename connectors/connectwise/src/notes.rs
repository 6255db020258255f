//! Notes: posted once, found again, overwritten, taken back.
//!
//! Creating a note cannot be repeated safely at the PSA, so every part carries a marker, and every part is looked
//! for before it is made. A marker is honoured only where its HMAC fits *and* our own API member created the note:
//! `member`, which any API user can set, is not looked at. The text is never logged.

use std::collections::HashSet;

use latchkey_contract::{
    CallError, NoteId, TicketId,
    outside::Answer,
    ticket::{NoteAt, NoteKey, NoteText, Posted},
};
use serde_json::json;

use crate::{
    api::{Api, Ask, number, number_or_refused},
    errors::{self, Missing, accepted},
    marker::{self, Marks},
    members::{Me, is_same},
    paging::Paging,
    tickets, wire,
};

/// The vendor's mails cut notes at 10,000 characters; ours stay below, marker included. In UTF-16 units, which is how
/// the vendor's platform counts.
const MAX_NOTE_UNITS: usize = 8_000;
const MAX_TEXT_UNITS: usize = MAX_NOTE_UNITS - marker::MAX_CHARS - 1;
/// How far a chain of merged tickets is followed.
const MAX_MERGES: usize = 4;
/// Notes can be long, and an answer is bounded.
const PAGE: Paging = Paging::Navigable(50);

const LIST: &str = "GET /service/tickets/{id}/notes";
const LIST_ALL: &str = "GET /service/tickets/{id}/allNotes";
const READ: &str = "GET /service/tickets/{id}/notes/{noteId}";
const CREATE: &str = "POST /service/tickets/{id}/notes";
const CHANGE: &str = "PATCH /service/tickets/{id}/notes/{noteId}";
const DELETE: &str = "DELETE /service/tickets/{id}/notes/{noteId}";

/// The notes of one connection.
#[derive(Debug)]
pub(crate) struct Notes<'c> {
    api: &'c Api,
    me: &'c Me,
    marks: &'c Marks,
}

/// A note of ours, by marker and author.
struct Ours {
    at: NoteAt,
    of: usize,
    is_visible: bool,
}

impl<'c> Notes<'c> {
    pub(crate) fn new(api: &'c Api, me: &'c Me, marks: &'c Marks) -> Self {
        Self { api, me, marks }
    }

    /// Posts what is missing of a text. After a [`CallError::Transient`] nothing is known; the next call looks.
    pub(crate) async fn post(&self, id: &TicketId, text: &NoteText, key: &NoteKey) -> Result<Posted, CallError> {
        let parts = split(text.0.expose(), MAX_TEXT_UNITS);
        let there = self.ours(id, key).await?;
        let mut posted = Posted { notes: Vec::new(), is_visible_to_customer: false, was_there: true };
        for (part, text) in parts.iter().enumerate() {
            let found = there.iter().find(|n| n.at.part == part && n.of == parts.len());
            let (at, is_visible) = match found {
                Some(note) => (note.at.clone(), note.is_visible),
                None => {
                    posted.was_there = false;
                    let line = self.marks.line(id, key, part + 1, parts.len());
                    let at = self.create(id, &format!("{text}\n{line}"), part).await?;
                    let is_visible = self.read_back(&at).await?;
                    (at, is_visible)
                }
            };
            posted.is_visible_to_customer |= is_visible;
            posted.notes.push(at);
        }
        Ok(posted)
    }

    /// Every note of ours with this key, here and where the ticket was merged into, in the order of its parts.
    pub(crate) async fn find(&self, id: &TicketId, key: &NoteKey) -> Result<Vec<NoteAt>, CallError> {
        Ok(self.ours(id, key).await?.into_iter().map(|n| n.at).collect())
    }

    /// Replaces the text and keeps the marker, or writes a new one where somebody removed it. A text that is too long
    /// for one note is cut: what stands there now must go, whatever stands there then.
    pub(crate) async fn overwrite(&self, note: &NoteAt, text: &str, key: &NoteKey) -> Result<bool, CallError> {
        let Some(present) = self.read(note).await? else { return Ok(false) };
        if !self.is_mine(present.created_by.as_deref()).await? {
            return Err(CallError::Refused { op: CHANGE, status: 403, code: "the note is not ours".into() });
        }
        let present = present.text.unwrap_or_default();
        let line = match marker::read(&present).filter(|m| m.is_for(key) && m.part == note.part + 1) {
            Some(_) => marker::last_line(&present).unwrap_or_default().to_owned(),
            None => self.marks.line(&note.ticket, key, note.part + 1, note.part + 1),
        };
        let kept = split(text, MAX_TEXT_UNITS).swap_remove(0);
        let change = json!([{"op": "replace", "path": "text", "value": format!("{kept}\n{line}")}]);
        let answer = self.api.send(&self.at(CHANGE, note)?.body(&change).removal()).await?;
        is_there(answer)
    }

    pub(crate) async fn take_back(&self, note: &NoteAt) -> Result<(), CallError> {
        let answer = self.api.send(&self.at(DELETE, note)?.removal()).await?;
        is_there(answer).map(|_| ())
    }

    async fn ours(&self, id: &TicketId, key: &NoteKey) -> Result<Vec<Ours>, CallError> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for ticket in self.family(id).await? {
            for note in self.list::<wire::Note>(LIST, &ticket, "notes").await? {
                seen.insert(note.id);
                found.extend(self.recognise(&ticket, note, id, key).await?);
            }
            for row in self.list::<wire::AnyNote>(LIST_ALL, &ticket, "allNotes").await? {
                if self.is_candidate(&row, id, key) && seen.insert(row.id) {
                    found.extend(self.look_closer(&ticket, &row, id, key).await?);
                }
            }
        }
        found.sort_by_key(|n| (n.at.part, number(n.at.note.as_str())));
        found.dedup_by(|a, b| a.at == b.at);
        Ok(found)
    }

    /// The ticket, and those that it was merged into.
    async fn family(&self, id: &TicketId) -> Result<Vec<TicketId>, CallError> {
        number_or_refused(LIST, id.as_str())?;
        let mut family = vec![id.clone()];
        while family.len() <= MAX_MERGES {
            let last = family.last().unwrap_or(id);
            match tickets::read(self.api, last).await?.and_then(|t| t.merged_into) {
                Some(parent) if !family.contains(&parent) => family.push(parent),
                _ => break,
            }
        }
        Ok(family)
    }

    /// Rows of a ticket; none when the ticket is gone.
    async fn list<T: serde::de::DeserializeOwned>(
        &self,
        op: &'static str,
        ticket: &TicketId,
        last: &str,
    ) -> Result<Vec<T>, CallError> {
        let ask = Ask::new(op, ["service", "tickets", ticket.as_str(), last]);
        Ok(self.api.list_if_any(&ask, PAGE).await?.unwrap_or_default())
    }

    async fn recognise(
        &self,
        listed_at: &TicketId,
        note: wire::Note,
        id: &TicketId,
        key: &NoteKey,
    ) -> Result<Option<Ours>, CallError> {
        let Some(marker) = note.text.as_deref().and_then(|text| self.marks.fitting(text, id, key)) else {
            return Ok(None);
        };
        if !self.is_mine(note.created_by.as_deref()).await? {
            tracing::warn!(ticket = %listed_at, note = note.id, "a note carries our marker but is not ours; left alone");
            return Ok(None);
        }
        let is_visible = is_visible(&note);
        let at = place(listed_at, note.ticket_id, note.id, marker.part - 1)?;
        Ok(Some(Ours { at, of: marker.of, is_visible }))
    }

    /// Rows of `allNotes` that are notes proper (time entries have ids of another kind) and carry the marker.
    fn is_candidate(&self, row: &wire::AnyNote, id: &TicketId, key: &NoteKey) -> bool {
        let is_note = row.note_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("TicketNote"));
        is_note && row.text.as_deref().is_some_and(|text| self.marks.fitting(text, id, key).is_some())
    }

    async fn look_closer(
        &self,
        listed_at: &TicketId,
        row: &wire::AnyNote,
        id: &TicketId,
        key: &NoteKey,
    ) -> Result<Option<Ours>, CallError> {
        let at = place(listed_at, row.ticket.as_ref().map(|t| t.id), row.id, 0)?;
        match self.read(&at).await? {
            Some(note) => self.recognise(&at.ticket, note, id, key).await,
            None => Ok(None),
        }
    }

    /// Creates one note: internal, silent, every flag said.
    async fn create(&self, id: &TicketId, text: &str, part: usize) -> Result<NoteAt, CallError> {
        let note = json!({
            "text": text,
            "detailDescriptionFlag": false,
            "internalAnalysisFlag": true,
            "resolutionFlag": false,
            "issueFlag": false,
            "customerUpdatedFlag": false,
            "processNotifications": false,
        });
        let ask = Ask::new(CREATE, ["service", "tickets", id.as_str(), "notes"]).body(&note);
        let answer = match self.api.send(&ask).await {
            Err(CallError::Malformed { .. }) => return Err(unclear()),
            other => accepted(other?)?,
        };
        let made: wire::Note = answer.json().map_err(|_| unclear())?;
        if !self.is_mine(made.created_by.as_deref()).await? {
            tracing::error!(
                ticket = %id,
                "the PSA names another author for our note than our API member: correct api_member, or notes will repeat"
            );
        }
        place(id, made.ticket_id, made.id, part)
    }

    /// Whether the customer can see the note, by the PSA's own word and not by what we asked for.
    async fn read_back(&self, at: &NoteAt) -> Result<bool, CallError> {
        let note = self.read(at).await?;
        note.as_ref().map(is_visible).ok_or_else(|| CallError::transient(READ, "the new note is not there yet"))
    }

    async fn read(&self, at: &NoteAt) -> Result<Option<wire::Note>, CallError> {
        self.api.call_if_any(&self.at(READ, at)?).await
    }

    fn at(&self, op: &'static str, note: &NoteAt) -> Result<Ask, CallError> {
        number_or_refused(op, note.ticket.as_str())?;
        number_or_refused(op, note.note.as_str())?;
        Ok(Ask::new(op, ["service", "tickets", note.ticket.as_str(), "notes", note.note.as_str()]))
    }

    async fn is_mine(&self, created_by: Option<&str>) -> Result<bool, CallError> {
        let me = self.me.name(self.api).await?;
        Ok(created_by.is_some_and(|by| is_same(by, &me)))
    }
}

fn place(listed_at: &TicketId, ticket: Option<i64>, note: i64, part: usize) -> Result<NoteAt, CallError> {
    let bad = |e| CallError::malformed(LIST, e);
    let ticket = match ticket {
        Some(id) => TicketId::parse(id.to_string()).map_err(bad)?,
        None => listed_at.clone(),
    };
    Ok(NoteAt { ticket, note: NoteId::parse(note.to_string()).map_err(bad)?, part })
}

/// A flag that is missing is taken for the worse: only a note that says that it is internal is.
fn is_visible(note: &wire::Note) -> bool {
    let is_set = |flag: Option<bool>| flag.unwrap_or(false);
    is_set(note.detail_description_flag)
        || is_set(note.resolution_flag)
        || is_set(note.external_flag)
        || !is_set(note.internal_analysis_flag)
}

fn unclear() -> CallError {
    CallError::transient(CREATE, "the note may be there: the answer could not be read")
}

/// `Ok(false)` for a note that is gone.
fn is_there(answer: Answer) -> Result<bool, CallError> {
    match errors::missing(&answer) {
        Some(Missing::Record) => Ok(false),
        _ => accepted(answer).map(|_| true),
    }
}

/// A text in parts of at most `max` UTF-16 units, cut between lines where that is possible. Never empty.
fn split(text: &str, max: usize) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut room = max;
    for line in text.split_inclusive('\n') {
        if units(line) > room && room < max {
            parts.push(String::new());
            room = max;
        }
        for c in line.chars() {
            if c.len_utf16() > room {
                parts.push(String::new());
                room = max;
            }
            if let Some(part) = parts.last_mut() {
                part.push(c);
            }
            room -= c.len_utf16();
        }
    }
    for part in &mut parts {
        part.truncate(part.trim_end().len());
    }
    parts.retain(|part| !part.is_empty());
    if parts.is_empty() { vec![String::new()] } else { parts }
}

fn units(text: &str) -> usize {
    text.chars().map(char::len_utf16).sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_short_text_is_one_part() {
        assert_eq!(split("one\ntwo\n", 100), ["one\ntwo"]);
        assert_eq!(split("", 100), [""]);
    }

    #[test]
    fn a_long_text_is_cut_between_lines() {
        assert_eq!(split("aaaa\nbbbb\ncc", 10), ["aaaa\nbbbb", "cc"]);
        assert_eq!(split("aaaa\nbbbbbbb", 10), ["aaaa", "bbbbbbb"]);
        assert_eq!(split("aaaaaaaaaaaa\nb", 10), ["aaaaaaaaaa", "aa\nb"]);
    }

    proptest! {
        #[test]
        fn parts_fit_and_lose_nothing_but_blanks(text in "(\\PC{0,30}\n?){0,20}", max in 2_usize..40) {
            let parts = split(&text, max);
            prop_assert!(parts.iter().all(|p| units(p) <= max));
            let solid = |t: &str| t.chars().filter(|c| !c.is_whitespace()).collect::<String>();
            prop_assert_eq!(solid(&parts.concat()), solid(&text));
        }
    }

    #[test]
    fn only_a_note_that_says_it_is_internal_is() {
        let read = |json: &str| is_visible(&serde_json::from_str(json).unwrap());
        assert!(!read(
            r#"{"id":1,"internalAnalysisFlag":true,"detailDescriptionFlag":false,"resolutionFlag":false,"externalFlag":false}"#
        ));
        assert!(!read(r#"{"id":1,"internalAnalysisFlag":true}"#));
        assert!(read(r#"{"id":1}"#));
        assert!(read(r#"{"id":1,"internalAnalysisFlag":null}"#));
        assert!(read(r#"{"id":1,"internalAnalysisFlag":true,"detailDescriptionFlag":true}"#));
        assert!(read(r#"{"id":1,"internalAnalysisFlag":true,"resolutionFlag":true}"#));
        assert!(read(r#"{"id":1,"internalAnalysisFlag":true,"externalFlag":true}"#));
    }
}
