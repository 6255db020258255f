//! Work at the desk: every change of a ticket adds an entry to its history and raises events. One way for the user
//! interface and for the API alike, since changes made through the API raise events too.

use serde_json::{Value, json};
use uuid::Uuid;

use super::behaviour::Behaviour;
use super::envelope::Message;
use super::notifications::is_wanted;
use super::state::{Action, Instance, PRIVATE_NOTE, Ticket, UNASSIGNED};
use super::values::{Row, html_to_text, text_to_html};
use super::view::{self, Shown, is_set};

/// Who works.
#[derive(Debug, Clone, Default)]
pub(super) struct Saver {
    /// 0 for nobody of the desk.
    pub(super) agent: i64,
    /// 0 for nobody outside.
    pub(super) user: i64,
    /// Empty for the user interface.
    pub(super) application: String,
    pub(super) name: String,
}

/// An entry of the history, about to be made.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) outcome: String,
    pub(super) outcome_id: i64,
    pub(super) note: Option<String>,
    pub(super) note_html: Option<String>,
    pub(super) is_hidden: bool,
    pub(super) email_to: String,
    pub(super) customfields: Vec<Value>,
    pub(super) merged_from: Option<i64>,
    /// Another name than the saver's.
    pub(super) who: Option<String>,
    pub(super) on_behalf_of: i64,
    pub(super) system: i64,
}

impl Draft {
    pub(super) fn named(outcome: &str, outcome_id: i64) -> Self {
        Self { outcome: outcome.to_owned(), outcome_id, is_hidden: true, ..Self::default() }
    }

    pub(super) fn private_note(text: &str) -> Self {
        Self { note: Some(text.to_owned()), ..Self::named("Private Note", PRIVATE_NOTE) }
    }
}

/// An instance with somebody at work in it.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) inst: &'a mut Instance,
    pub(super) saver: Saver,
    pub(super) now: i64,
    pub(super) behaviour: &'a Behaviour,
    pub(super) outbox: &'a mut Vec<Message>,
}

impl Desk<'_> {
    /// Stores a new ticket under the next number.
    pub(super) fn create(&mut self, mut ticket: Ticket) -> i64 {
        let id = if ticket.id > 0 { ticket.id } else { self.inst.next_ticket };
        self.inst.next_ticket = self.inst.next_ticket.max(id + 1);
        ticket.id = id;
        (ticket.occurred_ms, ticket.updated_ms) = (self.now, self.now);
        let status = ticket.status;
        self.inst.tickets.insert(id, ticket);
        let action = self.entry(id, Draft::named("Opened", 0), 0, status);
        self.tell(3, "new ticket logged", &format!("A new ticket has been logged. Ticket ID: {id:07}."), id, action);
        self.tell(1004, "action added", "An action has been added.", id, action);
        id
    }

    /// Stores a changed ticket with the entry that tells of it; the entry's number.
    pub(super) fn save(&mut self, mut after: Ticket, draft: Draft) -> i64 {
        let id = after.id;
        let before = self.inst.tickets.get(&id).cloned().unwrap_or_else(|| after.clone());
        after.updated_ms = self.now;
        let (was_closed, is_closed) = (self.inst.is_closed(before.status), self.inst.is_closed(after.status));
        if is_closed && !was_closed {
            (after.closed_ms, after.has_been_closed) = (Some(self.now), true);
        } else if !is_closed && was_closed && !self.behaviour.keeps_date_closed {
            after.closed_ms = None;
        }
        let (old, new) = (before.status, after.status);
        self.inst.tickets.insert(id, after.clone());
        let action = self.entry(id, draft, old, new);
        let said = |what: &str| format!("{what} for Ticket ID: {id:07}.");
        if old != new {
            self.tell(76, "ticket status changed", &said("The status has been changed"), id, action);
        }
        if is_closed && !was_closed {
            self.tell(39, "closed", &said("The ticket has been closed"), id, action);
        }
        if (before.agent, before.team) != (after.agent, after.team) {
            let event = self.behaviour.reassigned_event;
            self.tell(event, "ticket reassigned", &said("The agent has been changed"), id, action);
        }
        let is_updated = before.values != after.values
            || (before.client, before.kind, &before.summary) != (after.client, after.kind, &after.summary);
        if is_updated {
            self.tell(self.behaviour.updated_event, "ticket updated", &said("Fields have been changed"), id, action);
        }
        self.tell(1004, "action added", "An action has been added.", id, action);
        action
    }

    /// Deletes a ticket; `false` when there is none.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        let Some(mut ticket) = self.inst.tickets.get(&id).filter(|t| !t.is_deleted).cloned() else { return false };
        self.tell(1072, "ticket deleted", &format!("Ticket ID: {id:07} has been deleted."), id, 0);
        (ticket.is_deleted, ticket.is_inactive) = (true, true);
        self.inst.tickets.insert(id, ticket);
        true
    }

    /// The child's history is copied to the survivor; no event tells of it.
    pub(super) fn merge(&mut self, survivor: i64, child: i64, status: Option<i64>) {
        let Some(mut ticket) = self.inst.tickets.get(&child).cloned() else { return };
        for copied in self.inst.actions_of(child).to_vec() {
            let id = self.inst.actions_of(survivor).len() as i64 + 1;
            let copy = Action { id, guid: Uuid::new_v4(), merged_from: Some(child), ..copied };
            self.inst.actions.entry(survivor).or_default().push(copy);
        }
        let old = ticket.status;
        (ticket.merged_into, ticket.is_inactive) = (Some(survivor), true);
        (ticket.status, ticket.updated_ms) = (status.unwrap_or(old), self.now);
        let new = ticket.status;
        self.inst.tickets.insert(child, ticket);
        self.entry(child, Draft::named("Merged", 0), old, new);
    }

    fn entry(&mut self, ticket: i64, draft: Draft, old_status: i64, new_status: i64) -> i64 {
        let Saver { agent, user, application, name } = self.saver.clone();
        let who = draft.who.unwrap_or(name);
        let who_agent = self.inst.agents.iter().find(|a| a.name == who && a.id != UNASSIGNED).map_or(0, |a| a.id);
        let note = draft.note.clone().or_else(|| draft.note_html.as_deref().map(html_to_text)).unwrap_or_default();
        let html = draft.note_html.or_else(|| draft.note.as_deref().map(text_to_html)).unwrap_or_default();
        let id = self.inst.actions_of(ticket).iter().map(|a| a.id).max().unwrap_or(0) + 1;
        let action = Action {
            id,
            guid: Uuid::new_v4(),
            outcome: draft.outcome,
            outcome_id: draft.outcome_id,
            who,
            who_agent,
            by_agent: agent,
            by_user: user,
            by_application: application,
            on_behalf_of: draft.on_behalf_of,
            system: draft.system,
            note,
            note_html: html,
            is_hidden: draft.is_hidden,
            email_to: draft.email_to.clone(),
            old_status,
            new_status,
            customfields: draft.customfields,
            merged_from: draft.merged_from,
            at_ms: self.now,
            created_ms: self.now,
        };
        self.inst.actions.entry(ticket).or_default().push(action);
        if !draft.email_to.is_empty() {
            self.inst.mails.push((ticket, id));
        }
        id
    }

    /// One delivery for each binding of the event whose conditions hold and whose webhook is in force.
    fn tell(&mut self, number: i64, event: &str, message: &str, id: i64, action: i64) {
        let Some(ticket) = self.inst.tickets.get(&id) else { return };
        let shown = Shown { details: true, names: true };
        let full = view::ticket(self.inst, ticket, shown, self.behaviour);
        let entry = self.inst.actions_of(id).iter().find(|a| a.id == action);
        let entry = entry.map(|a| view::action(self.inst, id, a, false, self.behaviour));
        let occurrence = Uuid::new_v4();
        for binding in self.inst.notifications.iter().filter(|row| is_wanted(row, number, ticket)) {
            let Some(webhook) = binding.get("webhook_id").and_then(Value::as_str).and_then(|id| self.webhook(id))
            else {
                continue;
            };
            self.outbox.push(Message {
                webhook: webhook.get("id").and_then(Value::as_str).unwrap_or_default().to_owned(),
                notification: binding.get("id").and_then(Value::as_i64).unwrap_or_default(),
                occurrence,
                event: event.to_owned(),
                message: message.to_owned(),
                ticket: id,
                agent: ticket.agent,
                at_ms: self.now,
                small: view::small(ticket),
                full: full.clone(),
                action: entry.clone(),
            });
        }
    }

    /// An outgoing webhook that is in force.
    fn webhook(&self, id: &str) -> Option<&Row> {
        self.inst.webhooks.iter().find(|row| {
            let is_this = row.get("id").and_then(Value::as_str) == Some(id);
            is_this && row.get("type") == Some(&json!(0)) && is_set(row, "active") && !is_set(row, "disabled")
        })
    }
}
