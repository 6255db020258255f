//! Notes: actions that no end user sees and that send no mail. How they are listed, made, read, changed and deleted here.
//!
//! Every flag is said, since what is left out is decided by the action's own settings. A marker is honoured only where its
//! HMAC fits *and* our own agent made the note: `who`, which a caller can set, is not looked at. The text is never logged.

use latchkey_contract::{
    CallError, MemberId, NoteId, TicketId,
    note::{Marks, NoteDesk, Ours, Present, addressed},
    outside::{Answer, Urgency},
    ticket::{NoteAt, NoteKey, Said},
};
use serde_json::{Value, json};

use crate::{
    api::{Ask, number, number_or_refused, posted, real},
    errors::{self, Missing, accepted},
    history,
    html::{escaped, marked_lines, plain},
    settings::NoteFormat,
    tickets::Reader,
    wire,
};

/// No length of a note is published; this is far below what is seen. Counted before it is written as HTML.
const LONGEST: usize = 8_000;
/// How far a chain of merged tickets is followed.
const MAX_MERGES: usize = 4;

const READ: &str = "GET /Actions/{id}";
const CREATE: &str = "POST /Actions";
const DELETE: &str = "DELETE /Actions/{id}";
/// What a note that is taken back says, should it stay.
const COVERED: &str = "Latchkey: taken back.";
const NO_OUTCOME: &str = "An Outcome must be entered for this Action";

/// The notes of one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Notes<'c> {
    pub(crate) reader: Reader<'c>,
    pub(crate) marks: &'c Marks,
    pub(crate) format: NoteFormat,
    pub(crate) desk: history::Desk<'c>,
}

impl Notes<'_> {
    /// Overwritten and hidden first: to change a note is another right than to delete one, and what is owed before all is
    /// that nobody can read it. One that is hidden, without its text, and may not be deleted stays.
    pub(crate) async fn take_back(&self, note: &NoteAt) -> Result<(), CallError> {
        // Without a marker, so that it is not taken for one that stands.
        let is_covered = match self.replace(note, COVERED).await {
            Ok(false) => return Ok(()),
            Ok(true) => {
                self.fetch(note, Urgency::Removal).await?.is_none_or(|after| after.hiddenfromuser == Some(true))
            }
            Err(error) => {
                tracing::warn!(ticket = %note.ticket, error = &error as &dyn std::error::Error,
                    "a note could not be overwritten; it is deleted as it is");
                false
            }
        };
        let deleted = match self.reader.api.send(&self.at(DELETE, note)?.urgent(Urgency::Removal)).await {
            Ok(answer) => is_there(answer).map(|_| ()),
            Err(error) => Err(error),
        };
        match deleted {
            Err(CallError::Unauthorized { code, .. } | CallError::Refused { code, .. }) if is_covered => {
                tracing::warn!(ticket = %note.ticket, note = %note.note, code,
                    "a note may not be deleted; it is hidden, and its text is overwritten");
                Ok(())
            }
            other => other,
        }
    }

    /// Whoever did it must be an agent at a keyboard: no application but the desk's own, not in another's name. What a mail
    /// brought or sent is seen by others. Nothing tells whether an action was changed since.
    pub(crate) async fn commands(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<Said>, CallError> {
        let mut said = Vec::new();
        for action in history::own(history::list(self.reader.api, id.as_str(), urgency).await?) {
            let (text, at) = (text(&action), history::entered_at(&action));
            let (Some(line), Some(at), Some(by)) = (addressed(&text), at, history::agent(&action, self.desk)) else {
                continue;
            };
            if is_visible(&action) || self.is_mine(&action, urgency).await? {
                continue;
            }
            let by = MemberId::parse(by.to_string()).map_err(|e| CallError::malformed(history::LIST, e))?;
            said.push(Said {
                note: place(id, action.id, 0)?.note,
                by,
                is_certain: history::is_by_hand(&action),
                at,
                line: line.to_owned(),
            });
        }
        Ok(said)
    }

    /// The ticket, and those that it was merged into.
    async fn family(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<TicketId>, CallError> {
        number_or_refused(history::LIST, id.as_str())?;
        let mut family = vec![id.clone()];
        while family.len() <= MAX_MERGES {
            let last = family.last().unwrap_or(id);
            let parent = self.reader.fetch(last, urgency).await?.and_then(|t| real(t.merged_into_id));
            match parent.and_then(|parent| TicketId::parse(parent.to_string()).ok()) {
                Some(parent) if !family.contains(&parent) => family.push(parent),
                _ => break,
            }
        }
        Ok(family)
    }

    async fn is_mine(&self, action: &wire::Action, urgency: Urgency) -> Result<bool, CallError> {
        let me = self.reader.tables.me(self.reader.api, urgency).await?;
        Ok(real(action.actionby_agent_id) == Some(me))
    }

    async fn recognise(
        &self,
        at: &TicketId,
        action: &wire::Action,
        (id, key): (&TicketId, &NoteKey),
        urgency: Urgency,
    ) -> Result<Option<Ours>, CallError> {
        let Some(marker) = self.marks.fitting(&text(action), id, key) else { return Ok(None) };
        if !self.is_mine(action, urgency).await? {
            tracing::warn!(ticket = %at, note = action.id, "a note carries our marker but is not ours; left alone");
            return Ok(None);
        }
        let at = place(at, action.id, marker.part - 1)?;
        Ok(Some(Ours { at, of: marker.of, is_visible: is_visible(action) }))
    }

    async fn fetch(&self, at: &NoteAt, urgency: Urgency) -> Result<Option<wire::Action>, CallError> {
        let ask = self.at(READ, at)?.query("includehtmlnote", "true").urgent(urgency);
        match self.reader.api.call_if_any::<wire::Action>(&ask).await? {
            Some(other) if Some(other.id) != number(at.note.as_str()) => {
                Err(CallError::malformed(READ, "another action was answered"))
            }
            found => Ok(found),
        }
    }

    /// An action's number counts within its ticket, so both are needed.
    fn at(&self, op: &'static str, note: &NoteAt) -> Result<Ask, CallError> {
        let (ticket, id) = (number_or_refused(op, note.ticket.as_str())?, number_or_refused(op, note.note.as_str())?);
        Ok(Ask::new(op, ["Actions", &id.to_string()]).query("ticket_id", ticket.to_string()))
    }

    /// What every note of ours says of itself. `timetaken` is left out: it would be billed.
    fn row(&self, ticket: i64, outcome: Option<i64>, text: &str) -> Value {
        let mut row = json!({
            "ticket_id": ticket,
            "hiddenfromuser": true,
            "sendemail": false,
            "actisbillable": false,
            "dont_do_rules": true,
            "_ignore_ai": true,
            "_ignore_translate": true,
        });
        if let Some(outcome) = outcome {
            row["outcome_id"] = json!(outcome);
        }
        match self.format {
            NoteFormat::Html => row["note_html"] = json!(escaped(text)),
            NoteFormat::Text => row["note"] = json!(text),
        }
        row
    }
}

#[async_trait::async_trait]
impl NoteDesk for Notes<'_> {
    const LONGEST: usize = LONGEST;
    const READ: &'static str = READ;
    const CHANGE: &'static str = CREATE;

    fn marks(&self) -> &Marks {
        self.marks
    }

    async fn ours(&self, id: &TicketId, key: &NoteKey, urgency: Urgency) -> Result<Vec<Ours>, CallError> {
        let mut found = Vec::new();
        for ticket in self.family(id, urgency).await? {
            for action in history::list(self.reader.api, ticket.as_str(), urgency).await? {
                found.extend(self.recognise(&ticket, &action, (id, key), urgency).await?);
            }
        }
        found.sort_by_key(|n| (n.at.part, n.at.ticket != *id, number(n.at.note.as_str())));
        found.dedup_by(|a, b| a.at == b.at);
        Ok(found)
    }

    async fn create(&self, id: &TicketId, text: &str, part: usize) -> Result<NoteAt, CallError> {
        let ticket = number_or_refused(CREATE, id.as_str())?;
        let outcome = self.reader.tables.note_action(self.reader.api, Urgency::Ordinary).await?;
        let ask = Ask::new(CREATE, ["Actions"]).row(self.row(ticket, Some(outcome), text));
        let answer = match self.reader.api.send(&ask).await {
            Err(CallError::Malformed { .. }) => return Err(unclear()),
            other => other?,
        };
        if errors::says(&answer, NO_OUTCOME) && !answer.status.is_success() {
            self.reader.tables.forget_note_action().await;
        }
        let made: wire::Action = posted(&accepted(answer)?)?;
        if !self.is_mine(&made, Urgency::Ordinary).await? {
            tracing::error!(
                ticket = %id,
                "the PSA names another agent for our note than our own: correct api_agent, or notes will repeat"
            );
        }
        place(id, made.id, part)
    }

    async fn read(&self, at: &NoteAt, urgency: Urgency) -> Result<Option<Present>, CallError> {
        let Some(action) = self.fetch(at, urgency).await? else { return Ok(None) };
        Ok(Some(Present {
            is_mine: self.is_mine(&action, urgency).await?,
            is_visible: is_visible(&action),
            text: text(&action),
        }))
    }

    /// Text and HTML both, since either may keep what the other loses; then read back.
    async fn replace(&self, at: &NoteAt, text: &str) -> Result<bool, CallError> {
        let ticket = number_or_refused(CREATE, at.ticket.as_str())?;
        let id = number_or_refused(CREATE, at.note.as_str())?;
        let Some(present) = self.fetch(at, Urgency::Removal).await? else { return Ok(false) };
        let mut row = self.row(ticket, real(present.outcome_id), text);
        row["id"] = json!(id);
        row["note"] = json!(text);
        row["note_html"] = json!(escaped(text));
        let answer = self.reader.api.send(&Ask::new(CREATE, ["Actions"]).row(row).urgent(Urgency::Removal)).await?;
        if !is_there(answer)? {
            return Ok(false);
        }
        match self.fetch(at, Urgency::Removal).await? {
            None => Ok(false),
            Some(after) if is_replaced(&after, text) => Ok(true),
            Some(_) => {
                Err(CallError::transient(CREATE, "the PSA accepted the new text but still shows the former one"))
            }
        }
    }
}

/// The note's text with its marker on a line of its own. The plain text may have lost its line breaks; what was sent as HTML
/// has not.
fn text(action: &wire::Action) -> String {
    let html = action.note_html.as_deref().filter(|html| !html.trim().is_empty()).map(plain);
    marked_lines(&html.or_else(|| action.note.clone()).unwrap_or_default())
}

/// Neither form holds anything else than this text.
fn is_replaced(action: &wire::Action, text: &str) -> bool {
    let solid = |text: &str| text.split_whitespace().collect::<String>();
    let is_it = |shown: &str| shown.trim().is_empty() || solid(shown) == solid(text);
    let plain_is = action.note.as_deref().is_none_or(|note| is_it(note) || is_it(&plain(note)));
    plain_is && action.note_html.as_deref().is_none_or(|html| is_it(&plain(html)))
}

/// A flag that is missing is taken for the worse; so is a mail that went out.
fn is_visible(action: &wire::Action) -> bool {
    let mails = [&action.emailto, &action.emailcc, &action.emailbcc];
    let is_mailed = mails.into_iter().flatten().any(|mail| !mail.trim().is_empty());
    is_mailed || action.hiddenfromuser != Some(true)
}

fn place(ticket: &TicketId, note: i64, part: usize) -> Result<NoteAt, CallError> {
    let note = NoteId::parse(note.to_string()).map_err(|e| CallError::malformed(history::LIST, e))?;
    Ok(NoteAt { ticket: ticket.clone(), note, part })
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

    fn action(json: &str) -> wire::Action {
        serde_json::from_str(json).unwrap()
    }

    #[test]
    fn only_a_note_that_says_it_is_hidden_and_mailed_nobody_is() {
        let is_visible = |json: &str| is_visible(&action(json));
        assert!(!is_visible(r#"{"id":1,"hiddenfromuser":true,"emailto":""}"#));
        assert!(is_visible(r#"{"id":1}"#));
        assert!(is_visible(r#"{"id":1,"hiddenfromuser":null}"#));
        assert!(is_visible(r#"{"id":1,"hiddenfromuser":false}"#));
        assert!(is_visible(r#"{"id":1,"hiddenfromuser":true,"emailcc":"ann@acme.example"}"#));
    }

    #[test]
    fn a_former_text_in_either_form_is_no_replacement() {
        let is = |json: &str| is_replaced(&action(json), "Removed. a < b\n[latchkey k]");
        assert!(is(
            r#"{"id":1,"note":"Removed. a < b [latchkey k]","note_html":"<p>Removed. a &lt; b<br>[latchkey k]</p>"}"#
        ));
        assert!(is(r#"{"id":1,"note":"Removed. a &lt; b<br>[latchkey k]"}"#));
        assert!(!is(r#"{"id":1,"note":"hunter2","note_html":"<p>Removed. a &lt; b<br>[latchkey k]</p>"}"#));
        assert!(!is(r#"{"id":1,"note":"Removed. a < b\n[latchkey k]","note_html":"<p>hunter2</p>"}"#));
    }
}
