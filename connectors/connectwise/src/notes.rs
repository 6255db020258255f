//! Notes: how they are listed, made, read, changed and deleted here.
//!
//! A marker is honoured only where its HMAC fits *and* our own API member created the note: `member`, which any API
//! user can set, is not looked at. The text is never logged.

use std::collections::HashSet;

use latchkey_contract::{
    CallError, NoteId, TicketId, Timestamp,
    note::{Marks, NoteDesk, Ours, Present, addressed},
    outside::{Answer, Urgency},
    text::is_same_name,
    ticket::{NoteAt, NoteKey, Said},
};
use serde_json::json;

use crate::{
    api::{Api, Ask, number, number_or_refused},
    errors::{self, Missing, accepted},
    members::{self, Me},
    paging::Paging,
    tickets, wire,
};

/// The vendor's mails cut notes at 10,000 characters; ours stay below, marker included. In UTF-16 units, which is how
/// the vendor's platform counts.
const LONGEST: usize = 8_000;
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

impl<'c> Notes<'c> {
    pub(crate) fn new(api: &'c Api, me: &'c Me, marks: &'c Marks) -> Self {
        Self { api, me, marks }
    }

    pub(crate) async fn take_back(&self, note: &NoteAt) -> Result<(), CallError> {
        let answer = self.api.send(&self.at(DELETE, note)?.urgent(Urgency::Removal)).await?;
        is_there(answer).map(|_| ())
    }

    /// Whoever a note shows as its author must be who made it: what the mail connector or another program writes in somebody's
    /// name is theirs. What somebody else saved since is not certain.
    pub(crate) async fn commands(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<Said>, CallError> {
        number_or_refused(LIST, id.as_str())?;
        let mut said = Vec::new();
        for note in self.list::<wire::Note>(LIST, id, "notes", urgency).await? {
            let line = note.text.as_deref().and_then(addressed);
            let (Some(line), Some(by), None) = (line, note.created_by.as_deref(), &note.contact) else { continue };
            let Some(at) = note.date_created.as_deref().and_then(Timestamp::parse) else { continue };
            if is_visible(&note) || self.is_mine(Some(by), urgency).await? {
                continue;
            }
            let member = match members::by_name(self.api, by, urgency).await {
                Err(error @ (CallError::Malformed { .. } | CallError::Refused { .. })) => {
                    tracing::warn!(ticket = %id, note = note.id, error = &error as &dyn std::error::Error,
                        "whose note this is cannot be told; it is left out");
                    continue;
                }
                found => found?,
            };
            let Some(member) = member else { continue };
            if note.member.as_ref().is_some_and(|shown| shown.id.to_string() != member.id.as_str()) {
                continue;
            }
            let place = place(id, note.ticket_id, note.id, 0)?;
            if place.ticket == *id {
                let is_certain = !is_anothers(&note, by, at);
                said.push(Said { note: place.note, by: member.id, is_certain, at, line: line.to_owned() });
            }
        }
        said.sort_by_key(|said| number(said.note.as_str()));
        Ok(said)
    }

    /// The ticket, and those that it was merged into.
    async fn family(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<TicketId>, CallError> {
        number_or_refused(LIST, id.as_str())?;
        let mut family = vec![id.clone()];
        while family.len() <= MAX_MERGES {
            let last = family.last().unwrap_or(id);
            match tickets::read(self.api, last, urgency).await?.and_then(|t| t.merged_into) {
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
        urgency: Urgency,
    ) -> Result<Vec<T>, CallError> {
        let ask = Ask::new(op, ["service", "tickets", ticket.as_str(), last]).urgent(urgency);
        Ok(self.api.list_if_any(&ask, PAGE).await?.unwrap_or_default())
    }

    async fn recognise(
        &self,
        listed_at: &TicketId,
        note: wire::Note,
        (id, key): (&TicketId, &NoteKey),
        urgency: Urgency,
    ) -> Result<Option<Ours>, CallError> {
        let Some(marker) = note.text.as_deref().and_then(|text| self.marks.fitting(text, id, key)) else {
            return Ok(None);
        };
        if !self.is_mine(note.created_by.as_deref(), urgency).await? {
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
        (id, key): (&TicketId, &NoteKey),
        urgency: Urgency,
    ) -> Result<Option<Ours>, CallError> {
        let at = place(listed_at, row.ticket.as_ref().map(|t| t.id), row.id, 0)?;
        match self.fetch(&at, urgency).await? {
            Some(note) => self.recognise(&at.ticket, note, (id, key), urgency).await,
            None => Ok(None),
        }
    }

    async fn fetch(&self, at: &NoteAt, urgency: Urgency) -> Result<Option<wire::Note>, CallError> {
        self.api.call_if_any(&self.at(READ, at)?.urgent(urgency)).await
    }

    fn at(&self, op: &'static str, note: &NoteAt) -> Result<Ask, CallError> {
        number_or_refused(op, note.ticket.as_str())?;
        number_or_refused(op, note.note.as_str())?;
        Ok(Ask::new(op, ["service", "tickets", note.ticket.as_str(), "notes", note.note.as_str()]))
    }

    async fn is_mine(&self, created_by: Option<&str>, urgency: Urgency) -> Result<bool, CallError> {
        let me = self.me.name(self.api, urgency).await?;
        Ok(created_by.is_some_and(|by| is_same_name(by, &me)))
    }
}

#[async_trait::async_trait]
impl NoteDesk for Notes<'_> {
    const LONGEST: usize = LONGEST;
    const READ: &'static str = READ;
    const CHANGE: &'static str = CHANGE;

    fn marks(&self) -> &Marks {
        self.marks
    }

    async fn ours(&self, id: &TicketId, key: &NoteKey, urgency: Urgency) -> Result<Vec<Ours>, CallError> {
        let (mut found, mut seen) = (Vec::new(), HashSet::new());
        for ticket in self.family(id, urgency).await? {
            for note in self.list::<wire::Note>(LIST, &ticket, "notes", urgency).await? {
                seen.insert(note.id);
                found.extend(self.recognise(&ticket, note, (id, key), urgency).await?);
            }
            for row in self.list::<wire::AnyNote>(LIST_ALL, &ticket, "allNotes", urgency).await? {
                if self.is_candidate(&row, id, key) && seen.insert(row.id) {
                    found.extend(self.look_closer(&ticket, &row, (id, key), urgency).await?);
                }
            }
        }
        found.sort_by_key(|n| (n.at.part, number(n.at.note.as_str())));
        found.dedup_by(|a, b| a.at == b.at);
        Ok(found)
    }

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
        if !self.is_mine(made.created_by.as_deref(), Urgency::Ordinary).await? {
            tracing::error!(
                ticket = %id,
                "the PSA names another author for our note than our API member: correct api_member, or notes will repeat"
            );
        }
        place(id, made.ticket_id, made.id, part)
    }

    async fn read(&self, at: &NoteAt, urgency: Urgency) -> Result<Option<Present>, CallError> {
        let Some(note) = self.fetch(at, urgency).await? else { return Ok(None) };
        Ok(Some(Present {
            is_mine: self.is_mine(note.created_by.as_deref(), urgency).await?,
            is_visible: is_visible(&note),
            text: note.text.unwrap_or_default(),
        }))
    }

    async fn replace(&self, at: &NoteAt, text: &str) -> Result<bool, CallError> {
        let change = json!([{"op": "replace", "path": "text", "value": text}]);
        let answer = self.api.send(&self.at(CHANGE, at)?.body(&change).urgent(Urgency::Removal)).await?;
        is_there(answer)
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

/// Somebody else saved it after its author, or somebody who is not named.
fn is_anothers(note: &wire::Note, author: &str, written_at: Timestamp) -> bool {
    let Some(info) = &note.info else { return false };
    match info.updated_by.as_deref().filter(|by| !by.trim().is_empty()) {
        Some(by) => !is_same_name(by, author),
        None => info.last_updated.as_deref().and_then(Timestamp::parse).is_some_and(|at| written_at < at),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

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

    /// F18, F121
    #[test]
    fn a_note_is_its_authors_until_somebody_else_saves_it() {
        let written_at = Timestamp::parse("2026-06-09T22:01:03Z").unwrap();
        let is = |info: &str| {
            let note = serde_json::from_str(&format!(r#"{{"id":1,"_info":{info}}}"#)).unwrap();
            is_anothers(&note, "jdoe", written_at)
        };
        for own in [
            "null",
            "{}",
            r#"{"lastUpdated":"2026-06-09T22:01:03Z","updatedBy":"jdoe"}"#,
            r#"{"lastUpdated":"2026-06-09T23:00:00Z","updatedBy":"JDoe"}"#,
            r#"{"lastUpdated":"2026-06-09T22:01:03Z"}"#,
        ] {
            assert!(!is(own), "{own}");
        }
        for anothers in [
            r#"{"lastUpdated":"2026-06-09T22:01:03Z","updatedBy":"msmith"}"#,
            r#"{"updatedBy":"msmith"}"#,
            r#"{"lastUpdated":"2026-06-09T22:01:04Z"}"#,
            r#"{"lastUpdated":"2026-06-09T22:01:04Z","updatedBy":" "}"#,
        ] {
            assert!(is(anothers), "{anothers}");
        }
    }
}
