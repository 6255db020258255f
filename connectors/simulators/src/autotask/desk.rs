//! Every way a ticket changes ends here: the save. It follows the status into completed and open, stamps the record, writes
//! the history, and owes the webhooks their callouts.
//!
//! Both the REST endpoints and the people of the control API save through a [`Desk`], so that neither can do what the other
//! could not.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{
    behaviour::{Behaviour, HistoryText, NoUdfs, UdfPlace, Values},
    envelope,
    metadata::WEBHOOK_FIELDS,
    post_office::Event,
    state::{Row, State, flag, int, text},
};
use crate::clock::{to_millis_text, to_seconds_text};

/// *Complete*, a system status.
pub(super) const COMPLETE: i64 = 5;
/// The note on a ticket that was merged away, and on the one it went into.
pub(super) const MERGED: i64 = 93;
const ABSORBED: i64 = 94;

/// Who saves.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Saver {
    pub(super) resource: Option<i64>,
    pub(super) contact: Option<i64>,
    /// Who acts as `resource`.
    pub(super) impersonator: Option<i64>,
}

/// One identity at work, at one moment.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) state: &'a mut State,
    pub(super) settings: &'a Behaviour,
    pub(super) saver: Saver,
    pub(super) now: i64,
    /// Callouts owed; sent once the whole call is done.
    pub(super) outbox: &'a mut Vec<Event>,
}

impl Desk<'_> {
    /// A date as the vendor writes it in records: without a zone.
    fn date(&self) -> Value {
        json!(to_millis_text(self.now).trim_end_matches('Z'))
    }

    pub(super) fn create(&mut self, mut ticket: Row, values: BTreeMap<String, String>) -> i64 {
        let id = self.state.take("ticket", 351_181);
        let day: String = to_seconds_text(self.now)[..10].replace('-', "");
        let number = self.state.take("ticketNumber", 1);
        ticket.insert("id".into(), json!(id));
        ticket.insert("ticketNumber".into(), json!(format!("T{day}.{number:04}")));
        ticket.insert("createDate".into(), self.date());
        ticket.insert("creatorResourceID".into(), json!(self.saver.resource));
        ticket.insert("createdByContactID".into(), json!(self.saver.contact));
        ticket.insert("impersonatorCreatorResourceID".into(), json!(self.saver.impersonator));
        self.complete(&mut ticket, None);
        self.stamp(&mut ticket);
        self.state.tickets.insert(id, ticket);
        self.state.values.insert(id, values);
        self.wrote(id, "Created", "Ticket created".to_owned());
        self.tell(id, "Create", &[]);
        id
    }

    /// Stores a changed ticket.
    pub(super) fn save(&mut self, id: i64, mut after: Row, values: BTreeMap<String, String>) {
        let Some(before) = self.state.tickets.get(&id).cloned() else { return };
        let former = self.state.values.get(&id).cloned().unwrap_or_default();
        self.complete(&mut after, int(&before, "status"));
        let mut changed = Vec::new();
        for (field, value) in &after {
            let was = before.get(field).cloned().unwrap_or_default();
            if was != *value {
                let (was, is) = (self.shown(field, &was), self.shown(field, value));
                self.wrote(id, "Edited", self.worded(field, &was, &is));
                changed.push(field.clone());
            }
        }
        for udf in self.state.udfs.clone() {
            let (was, is) = (former.get(&udf.name), values.get(&udf.name));
            if was != is {
                let shown = |value: Option<&String>| {
                    let value = value.cloned().unwrap_or_default();
                    udf.options.iter().find(|(own, _)| *own == value).map_or(value.clone(), |(_, label)| label.clone())
                };
                self.wrote(id, "Edited", self.worded(&udf.name, &shown(was), &shown(is)));
                changed.push(udf.name.clone());
            }
        }
        self.stamp(&mut after);
        self.state.tickets.insert(id, after);
        self.state.values.insert(id, values);
        if !changed.is_empty() {
            self.tell(id, "Update", &changed);
        }
    }

    /// Deletes a ticket with its notes; `false` when there is none.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        if !self.state.tickets.contains_key(&id) {
            return false;
        }
        self.tell(id, "Delete", &[]);
        self.state.tickets.remove(&id);
        self.state.notes.retain(|_, note| int(note, "ticketID") != Some(id));
        true
    }

    /// The source is completed; both get a note by the system, and no field names the other.
    pub(super) fn merge(&mut self, source: i64, into: i64) -> bool {
        let numbers = [source, into].map(|id| self.state.tickets.get(&id).map(|t| text(t, "ticketNumber").to_owned()));
        let [Some(own), Some(other)] = numbers else { return false };
        let Some(mut ticket) = self.state.tickets.get(&source).cloned() else { return false };
        ticket.insert("status".into(), json!(COMPLETE));
        let values = self.state.values.get(&source).cloned().unwrap_or_default();
        self.save(source, ticket, values);
        self.note(source, &format!("This ticket was merged into ticket {other}."), MERGED, 2, "Merged");
        self.note(into, &format!("Ticket {own} was absorbed."), ABSORBED, 2, "Absorbed");
        true
    }

    /// Adds a note, which is an activity of its ticket.
    pub(super) fn note(&mut self, ticket: i64, description: &str, kind: i64, publish: i64, title: &str) -> i64 {
        let id = self.state.take("note", 29_926_287);
        let date = self.date();
        let row = json!({
            "id": id, "ticketID": ticket, "title": title, "description": description, "noteType": kind,
            "publish": publish, "createDateTime": date, "lastActivityDate": date,
            "creatorResourceID": self.saver.resource, "createdByContactID": self.saver.contact,
            "impersonatorCreatorResourceID": self.saver.impersonator, "impersonatorUpdaterResourceID": null,
        });
        self.state.notes.insert(id, super::state::row(row));
        if let Some(mut row) = self.state.tickets.get(&ticket).cloned() {
            self.stamp(&mut row);
            self.state.tickets.insert(ticket, row);
        }
        id
    }

    /// Changes a note; `false` when there is none. When is kept, and the program where one acts as somebody: nothing else.
    pub(super) fn change_note(&mut self, id: i64, changes: Row) -> bool {
        let (date, impersonator) = (self.date(), self.saver.impersonator);
        let Some(note) = self.state.notes.get_mut(&id) else { return false };
        note.extend(changes);
        note.insert("lastActivityDate".into(), date);
        if let Some(program) = impersonator {
            note.insert("impersonatorUpdaterResourceID".into(), json!(program));
        }
        true
    }

    /// A status of completion sets the date and the resource; leaving it clears both.
    fn complete(&self, ticket: &mut Row, before: Option<i64>) {
        let now = int(ticket, "status");
        if now == Some(COMPLETE) && before != Some(COMPLETE) {
            ticket.insert("completedDate".into(), self.date());
            ticket.insert("completedByResourceID".into(), json!(self.saver.resource));
        } else if now != Some(COMPLETE) && before == Some(COMPLETE) {
            ticket.insert("completedDate".into(), Value::Null);
            ticket.insert("completedByResourceID".into(), Value::Null);
        }
    }

    fn stamp(&self, ticket: &mut Row) {
        ticket.insert("lastActivityDate".into(), self.date());
        ticket.insert("lastTrackedModificationDateTime".into(), self.date());
        ticket.insert("lastActivityResourceID".into(), json!(self.saver.resource));
        ticket.insert("lastActivityPersonType".into(), json!(if self.saver.contact.is_some() { 2 } else { 1 }));
    }

    fn wrote(&mut self, ticket: i64, action: &str, detail: String) {
        let id = self.state.take("history", 900_001);
        let row = json!({"id": id, "ticketID": ticket, "action": action, "date": self.date(), "detail": detail,
            "resourceID": self.saver.resource});
        self.state.history.insert(id, super::state::row(row));
    }

    fn worded(&self, field: &str, was: &str, is: &str) -> String {
        let name = self.settings.history_words.get(field).cloned().unwrap_or_else(|| match field {
            "status" => "Status".to_owned(),
            "queueID" => "Queue".to_owned(),
            "assignedResourceID" => "Primary Resource".to_owned(),
            "title" => "Title".to_owned(),
            other => other.to_owned(),
        });
        match self.settings.history {
            HistoryText::English => format!("{name} changed from \"{was}\" to \"{is}\""),
            HistoryText::German => format!("{name} geändert von „{was}“ in „{is}“"),
            HistoryText::Unquoted => format!("Changed {name} from {was} to {is}"),
            HistoryText::Mute => "Ticket edited".to_owned(),
        }
    }

    /// A value for people.
    fn shown(&self, field: &str, value: &Value) -> String {
        match value {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            Value::Number(n) => n.as_i64().map_or_else(|| n.to_string(), |n| self.state.label(field, n)),
            other => other.to_string(),
        }
    }

    /// Owes every webhook that wants to hear of it one callout.
    fn tell(&mut self, ticket: i64, action: &'static str, changed: &[String]) {
        let hooks: Vec<Row> = self.state.webhooks.values().cloned().collect();
        for hook in hooks {
            let Some(id) = int(&hook, "id") else { continue };
            let wants = match action {
                "Create" => flag(&hook, "isSubscribedToCreateEvents"),
                "Update" => flag(&hook, "isSubscribedToUpdateEvents"),
                _ => flag(&hook, "isSubscribedToDeleteEvents"),
            };
            let is_ours = self
                .state
                .excluded
                .values()
                .any(|row| int(row, "webhookID") == Some(id) && int(row, "resourceID") == self.saver.resource);
            if !wants || is_ours || !flag(&hook, "isActive") || !is_ready(self.state, id) {
                continue;
            }
            let Some(fields) = self.fields(id, ticket, action, changed) else { continue };
            let body = self.body(&hook, ticket, action, fields);
            self.outbox.push(Event { webhook: id, action, ticket, body, off_url: None });
        }
    }

    /// `None` for an update in which nothing changed that is subscribed.
    fn fields(&self, hook: i64, ticket: i64, action: &str, changed: &[String]) -> Option<Vec<(String, Value)>> {
        let row = self.state.tickets.get(&ticket)?;
        let values = self.state.values.get(&ticket);
        let (mut fields, mut udfs, mut is_told) = (Vec::new(), Vec::new(), action != "Update");
        let of = |table: &super::state::Table| {
            table.values().filter(|row| int(row, "webhookID") == Some(hook)).cloned().collect::<Vec<Row>>()
        };
        for child in of(&self.state.hook_fields) {
            let Some((_, label, name)) = WEBHOOK_FIELDS.iter().find(|f| Some(f.0) == int(&child, "fieldID")) else {
                continue;
            };
            let is_changed = changed.iter().any(|field| field == name) && flag(&child, "isSubscribedField");
            is_told |= is_changed;
            let value = row.get(*name).cloned().unwrap_or_default();
            if is_changed || flag(&child, "isDisplayAlwaysField") || (action == "Create" && !value.is_null()) {
                fields.push(((*label).to_owned(), self.told(name, &value)));
            }
        }
        for child in of(&self.state.hook_udfs) {
            let Some(udf) = self.state.udfs.iter().find(|udf| Some(udf.id) == int(&child, "udfFieldID")) else {
                continue;
            };
            let is_changed = changed.contains(&udf.name) && flag(&child, "isSubscribedField");
            is_told |= is_changed;
            let value = values.and_then(|values| values.get(&udf.name));
            if is_changed || flag(&child, "isDisplayAlwaysField") || (action == "Create" && value.is_some()) {
                udfs.push((udf.name.clone(), json!(value)));
            }
        }
        match self.settings.udfs {
            UdfPlace::Flat => fields.extend(udfs),
            UdfPlace::Nested => {
                let list: Vec<Value> = udfs.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
                fields.push(("userDefinedFields".to_owned(), json!(list)));
            }
            UdfPlace::Absent => {}
        }
        is_told.then_some(fields)
    }

    fn told(&self, field: &str, value: &Value) -> Value {
        match (value.as_i64(), self.settings.values) {
            (Some(n), Values::Text) => json!(n.to_string()),
            (Some(n), Values::Label) => json!(self.state.label(field, n)),
            _ => value.clone(),
        }
    }

    fn body(&mut self, hook: &Row, ticket: i64, action: &str, fields: Vec<(String, Value)>) -> Vec<u8> {
        let sequence = self.state.sequence.entry(int(hook, "id").unwrap_or_default()).or_insert(0);
        *sequence += 1;
        let sequence = *sequence;
        let head = envelope::object(&[
            ("Action", json!(action)),
            ("Guid", hook["webhookGUID"].clone()),
            ("EntityType", json!("Ticket")),
            ("Id", json!(ticket)),
        ]);
        let spelling = if self.settings.person_id_spelling { "PersonId" } else { "PersonID" };
        let person = self.saver.resource.or(self.saver.contact);
        let tail = envelope::object(&[
            ("EventTime", json!(to_seconds_text(self.now))),
            ("SequenceNumber", json!(sequence)),
            (spelling, json!(person)),
        ]);
        let fields: Vec<(&str, Value)> = match action {
            "Delete" => vec![],
            _ => fields.iter().map(|(name, value)| (name.as_str(), value.clone())).collect(),
        };
        let fields = match action == "Delete" && self.settings.delete_without_fields {
            true => String::new(),
            false => format!("\"Fields\":{},", envelope::object(&fields)),
        };
        format!("{},{fields}{}", head.trim_end_matches('}'), tail.trim_start_matches('{')).into_bytes()
    }
}

/// A definition is complete once it has a field or a user-defined one.
pub(super) fn is_ready(state: &State, webhook: i64) -> bool {
    let has = |table: &super::state::Table| table.values().any(|row| int(row, "webhookID") == Some(webhook));
    has(&state.hook_fields) || has(&state.hook_udfs)
}

/// A ticket as REST shows it.
pub(super) fn shown(state: &State, settings: &Behaviour, id: i64) -> Option<Value> {
    let mut row = state.tickets.get(&id)?.clone();
    let values = state.values.get(&id).cloned().unwrap_or_default();
    if !values.is_empty() {
        let all = state.udfs.iter().map(|udf| json!({"name": udf.name, "value": values.get(&udf.name)}));
        row.insert("userDefinedFields".into(), json!(all.collect::<Vec<_>>()));
    } else {
        match settings.no_udfs {
            NoUdfs::Absent => {}
            NoUdfs::EmptyList => drop(row.insert("userDefinedFields".into(), json!([]))),
            NoUdfs::EmptyObject => drop(row.insert("userDefinedFields".into(), json!({}))),
        }
    }
    Some(Value::Object(row))
}
