//! Notes: how they are listed, made, read and changed here.
//!
//! They are made under their ticket, never at `/TicketNotes`. [facts 4.3] None can be deleted, so what must go is overwritten.
//! A marker is honoured only where its HMAC fits *and* our own resource created the note, not somebody who acted as it.

use std::time::Duration;

use latchkey_contract::{
    CallError, MemberId, NoteId, TicketId, Timestamp,
    note::{Marks, NoteDesk, Ours, Present, addressed},
    outside::Urgency,
    ticket::{NoteAt, NoteKey, Said},
};
use serde_json::json;

use crate::{
    Tenant,
    api::{Ask, number_or_refused},
    filter::Filter,
    tickets, time, wire,
};

const LIST: &str = "POST /TicketNotes/query";
const READ: &str = "GET /TicketNotes/{id}";
const CREATE: &str = "POST /Tickets/{id}/Notes";
const CHANGE: &str = "PATCH /Tickets/{id}/Notes";
/// Notes can be long, and an answer is bounded.
const PAGE: usize = 50;
const PAGES: usize = 100;
/// How far a chain of merged tickets is followed.
const MAX_MERGES: usize = 4;
/// Whether a title is required is a setting of the ticket's category, so there always is one. [facts 4.3]
const TITLE: &str = "Latchkey";
/// Workflow, duplicates, outsourcing, survey, portal, mails, merges and the like: nobody typed it in. [facts 4.3]
const SYSTEM_TYPES: &[i64] = &[13, 15, 16, 17, 18, 19, 91, 92, 93, 94, 95, 99, 100, 101];
/// The two dates of a note's first save are within it.
const ONE_SAVE: Duration = Duration::from_secs(1);
/// What stays of a note that was taken back.
const TAKEN_BACK: &str = "[taken back]";

/// The notes of one connection.
#[derive(Debug)]
pub(crate) struct Notes<'c> {
    pub(crate) tenant: &'c Tenant,
    pub(crate) marks: &'c Marks,
}

impl Notes<'_> {
    /// Leaves nothing of it but that there was one, and makes it internal.
    pub(crate) async fn take_back(&self, note: &NoteAt) -> Result<(), CallError> {
        let internal = self.tenant.settings.internal_publish;
        let id = number_or_refused(CHANGE, note.note.as_str())?;
        let change = json!({"id": id, "title": TITLE, "description": TAKEN_BACK, "publish": internal});
        self.change(note, &change, TAKEN_BACK).await.map(|_| ())
    }

    /// Where a program acts as somebody, the note names that somebody as its creator, and the program beside it: nothing is
    /// given on its word. Nor on that of a note that was changed: by whom, nothing tells. What the vendor writes by itself, of
    /// mails and of its portal too, has a type of its own.
    pub(crate) async fn commands(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<Said>, CallError> {
        let me = self.tenant.resources.me(&self.tenant.api, urgency).await?;
        let mut said = Vec::new();
        for note in self.list(id, urgency).await? {
            let line = note.description.as_deref().and_then(addressed);
            let (Some(line), Some(by), None) = (line, note.creator_resource_id, note.created_by_contact_id) else {
                continue;
            };
            let Some(at) = note.create_date_time.as_deref().and_then(time::parse) else { continue };
            let is_typed = note.note_type.is_some_and(|kind| !SYSTEM_TYPES.contains(&kind));
            if !is_typed || self.is_visible(&note) || by == me {
                continue;
            }
            let by = MemberId::parse(by.to_string()).map_err(|e| CallError::malformed(LIST, e))?;
            let place = place(id, note.ticket_id, note.id, 0)?;
            let is_certain = note.impersonator_creator_resource_id.is_none() && !is_changed(&note, at);
            said.push(Said { note: place.note, by, is_certain, at, line: line.to_owned() });
        }
        said.sort_by_key(|said| (said.at, said.note.as_str().len(), said.note.clone()));
        Ok(said)
    }

    async fn list(&self, ticket: &TicketId, urgency: Urgency) -> Result<Vec<wire::Note>, CallError> {
        let filters = [Filter::is("ticketID", number_or_refused(LIST, ticket.as_str())?)];
        let rows =
            self.tenant.api.query_up_to::<wire::Note>(LIST, &filters, wire::NOTE, (PAGE, PAGES), urgency).await?;
        rows.ok_or_else(|| CallError::malformed(LIST, "the list does not end"))
    }

    /// Changes a note and looks whether it stuck. `Ok(false)` when it is gone.
    async fn change(&self, at: &NoteAt, change: &serde_json::Value, text: &str) -> Result<bool, CallError> {
        number_or_refused(CHANGE, at.ticket.as_str())?;
        let ask =
            Ask::new(CHANGE, ["Tickets", at.ticket.as_str(), "Notes"]).body(change).secret().urgent(Urgency::Removal);
        let is_done = self.tenant.api.write(&ask).await?.is_some();
        let Some(after) = self.fetch(at, Urgency::Removal).await? else { return Ok(false) };
        if !is_done {
            let code = "the note is there and was not changed: look at the right to edit notes".into();
            return Err(CallError::Unauthorized { op: CHANGE, code });
        }
        let solid = |text: &str| text.split_whitespace().collect::<String>();
        if solid(after.description.as_deref().unwrap_or_default()) == solid(text) {
            Ok(true)
        } else {
            Err(CallError::transient(CHANGE, "the PSA accepted the note's text but did not keep it"))
        }
    }

    async fn fetch(&self, at: &NoteAt, urgency: Urgency) -> Result<Option<wire::Note>, CallError> {
        let id = number_or_refused(READ, at.note.as_str())?;
        self.tenant.api.item(&Ask::new(READ, ["TicketNotes", &id.to_string()]).secret().urgent(urgency)).await
    }

    /// The ticket, and those that it was merged into.
    async fn family(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<TicketId>, CallError> {
        let mut family = vec![id.clone()];
        while family.len() <= MAX_MERGES {
            let last = family.last().unwrap_or(id);
            match tickets::read(self.tenant, last, urgency).await?.and_then(|ticket| ticket.merged_into) {
                Some(other) if !family.contains(&other) => family.push(other),
                _ => break,
            }
        }
        Ok(family)
    }

    fn is_mine(&self, note: &wire::Note, me: i64) -> bool {
        note.creator_resource_id == Some(me)
            && note.impersonator_creator_resource_id.is_none()
            && note.created_by_contact_id.is_none()
    }

    /// A note that does not say that it is internal is visible.
    fn is_visible(&self, note: &wire::Note) -> bool {
        note.publish != Some(self.tenant.settings.internal_publish)
    }
}

#[async_trait::async_trait]
impl NoteDesk for Notes<'_> {
    /// Older documents say 3,200 characters, newer measurements 32,000: below both. [facts 4.3]
    const LONGEST: usize = 3_000;
    const READ: &'static str = READ;
    const CHANGE: &'static str = CHANGE;

    fn marks(&self) -> &Marks {
        self.marks
    }

    async fn ours(&self, id: &TicketId, key: &NoteKey, urgency: Urgency) -> Result<Vec<Ours>, CallError> {
        let me = self.tenant.resources.me(&self.tenant.api, urgency).await?;
        let mut found = Vec::new();
        for ticket in self.family(id, urgency).await? {
            for note in self.list(&ticket, urgency).await? {
                let text = note.description.as_deref().unwrap_or_default();
                let Some(marker) = self.marks.fitting(text, id, key) else { continue };
                if !self.is_mine(&note, me) {
                    tracing::warn!(%ticket, note = note.id, "a note carries our marker but is not ours; left alone");
                    continue;
                }
                let at = place(&ticket, note.ticket_id, note.id, marker.part - 1)?;
                found.push(Ours { at, of: marker.of, is_visible: self.is_visible(&note) });
            }
        }
        found.sort_by_key(|note| note.at.part);
        Ok(found)
    }

    async fn create(&self, id: &TicketId, text: &str, part: usize) -> Result<NoteAt, CallError> {
        let number = number_or_refused(CREATE, id.as_str())?;
        let note = json!({
            "ticketID": number,
            "title": TITLE,
            "description": text,
            "noteType": self.tenant.settings.note_type,
            "publish": self.tenant.settings.internal_publish,
        });
        let ask = Ask::new(CREATE, ["Tickets", &number.to_string(), "Notes"]).body(&note).secret();
        place(id, None, self.tenant.api.must_write(&ask).await?, part)
    }

    async fn read(&self, at: &NoteAt, urgency: Urgency) -> Result<Option<Present>, CallError> {
        let Some(note) = self.fetch(at, urgency).await? else { return Ok(None) };
        let me = self.tenant.resources.me(&self.tenant.api, urgency).await?;
        Ok(Some(Present {
            is_mine: self.is_mine(&note, me),
            is_visible: self.is_visible(&note),
            text: note.description.unwrap_or_default(),
        }))
    }

    async fn replace(&self, at: &NoteAt, text: &str) -> Result<bool, CallError> {
        let id = number_or_refused(CHANGE, at.note.as_str())?;
        self.change(at, &json!({"id": id, "description": text}), text).await
    }
}

fn is_changed(note: &wire::Note, written_at: Timestamp) -> bool {
    let last = note.last_activity_date.as_deref().and_then(time::parse);
    note.impersonator_updater_resource_id.is_some() || last.is_some_and(|last| written_at + ONE_SAVE <= last)
}

fn place(listed_at: &TicketId, ticket: Option<i64>, note: i64, part: usize) -> Result<NoteAt, CallError> {
    let bad = |e| CallError::malformed(LIST, e);
    let ticket = match ticket {
        Some(id) => TicketId::parse(id.to_string()).map_err(bad)?,
        None => listed_at.clone(),
    };
    Ok(NoteAt { ticket, note: NoteId::parse(note.to_string()).map_err(bad)?, part })
}
