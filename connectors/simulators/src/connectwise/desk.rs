//! Every way a ticket changes ends here: the save. It stamps the record, follows the status into
//! closed and open, writes the audit trail and puts the callbacks into the outbox.
//!
//! Both the REST endpoints and the ordinary users of the control API save through a [`Desk`], so
//! that neither can do what the other could not.

use serde_json::Value;

use super::envelope::Message;
use super::state::{AuditEntry, Note, Saver, Tenant, Ticket, take};
use super::tables::FIELD_CHANGED;
use super::view::{self, Links};

/// One member at work in one tenant, at one moment.
#[derive(Debug)]
pub(super) struct Desk<'a> {
    pub(super) tenant: &'a mut Tenant,
    pub(super) saver: Saver,
    pub(super) now: i64,
    pub(super) links: &'a Links,
    /// Messages owed to callbacks; sent once the whole call is done.
    pub(super) outbox: &'a mut Vec<Message>,
}

/// What a note says before it has a number.
#[derive(Debug, Clone, Default)]
pub(super) struct Draft {
    pub(super) text: String,
    pub(super) discussion: bool,
    pub(super) internal: bool,
    pub(super) resolution: bool,
    pub(super) issue: bool,
    pub(super) member: Option<i64>,
    pub(super) contact: Option<Value>,
}

impl Desk<'_> {
    /// Stores a new ticket and gives it its number when it has none (0).
    pub(super) fn create(&mut self, mut ticket: Ticket, quiet: bool) -> i64 {
        if ticket.id == 0 {
            ticket.id = take(&mut self.tenant.next.ticket);
        } else {
            self.tenant.next.ticket = self.tenant.next.ticket.max(ticket.id + 1);
        }
        let id = ticket.id;
        self.stamp(&mut ticket);
        ticket.entered_ms = self.now;
        ticket.entered_by.clone_from(&self.saver.identifier);
        self.audit(id, "Ticket", format!("Ticket #{id} has been created."));
        self.tenant.tickets.insert(id, ticket);
        self.tell(id, "added", quiet);
        id
    }

    /// Stores a changed ticket. `quiet` is the save's `skipCallback`.
    pub(super) fn save(&mut self, mut ticket: Ticket, quiet: bool) {
        let id = ticket.id;
        self.stamp(&mut ticket);
        if let Some(before) = self.tenant.tickets.get(&id).cloned() {
            for (sub_type, text) in changes(self.tenant, &before, &ticket) {
                self.audit(id, sub_type, text);
            }
        }
        self.tenant.tickets.insert(id, ticket);
        self.tell(id, "updated", quiet);
    }

    /// Deletes a ticket with its notes; the audit trail stays. `false` when there is none.
    pub(super) fn remove(&mut self, id: i64) -> bool {
        if !self.tenant.tickets.contains_key(&id) {
            return false;
        }
        self.audit(id, "Ticket", format!("Ticket #{id} has been deleted."));
        self.tell(id, "deleted", false);
        self.tenant.tickets.remove(&id);
        self.tenant.notes.retain(|_, note| note.ticket != id);
        true
    }

    /// Adds a note, which is also a save of its ticket.
    pub(super) fn add_note(&mut self, ticket: &Ticket, draft: Draft) -> i64 {
        let id = take(&mut self.tenant.next.note);
        let by = self.saver.identifier.clone();
        let note = Note {
            id,
            ticket: ticket.id,
            text: draft.text,
            discussion: draft.discussion,
            internal: draft.internal,
            resolution: draft.resolution,
            issue: draft.issue,
            // A note belongs to a member or to a contact, not to both.
            member: draft.member.or(self.saver.member).filter(|_| draft.contact.is_none()),
            contact: draft.contact,
            created_ms: self.now,
            created_by: by.clone(),
            updated_ms: self.now,
            updated_by: by,
        };
        self.tenant.notes.insert(id, note);
        self.note_saved(ticket, "added");
        id
    }

    /// Moves the ticket's stamp, writes the trail and tells the callbacks that a note changed.
    pub(super) fn note_saved(&mut self, ticket: &Ticket, verb: &str) {
        self.audit(ticket.id, "Note", format!("A note has been {verb}."));
        self.save(ticket.clone(), false);
    }

    /// Merges `children` into `survivor` and gives them `status`; the caller has checked that all
    /// exist and that the status belongs to each child's board.
    pub(super) fn merge(&mut self, survivor: i64, children: &[i64], status: Option<i64>) {
        for id in children {
            let Some(mut child) = self.tenant.tickets.get(id).cloned() else { continue };
            child.merged_into = Some(survivor);
            child.status = status.unwrap_or(child.status);
            self.audit(*id, "Merge", format!("Ticket #{id} has been merged into ticket #{survivor}."));
            self.save(child, false);
        }
        if let Some(mut ticket) = self.tenant.tickets.get(&survivor).cloned() {
            ticket.has_merged_child = true;
            self.save(ticket, false);
        }
    }

    fn stamp(&self, ticket: &mut Ticket) {
        ticket.updated_ms = self.now;
        ticket.updated_by.clone_from(&self.saver.identifier);
        let closed = self.tenant.status(ticket.board, ticket.status).is_some_and(|s| s.closed);
        if !closed {
            ticket.closed_ms = None;
            ticket.closed_by = None;
        } else if ticket.closed_ms.is_none() {
            ticket.closed_ms = Some(self.now);
            ticket.closed_by = Some(self.saver.identifier.clone());
        }
    }

    fn audit(&mut self, ticket: i64, sub_type: &'static str, text: String) {
        let entry = AuditEntry { text, at_ms: self.now, by: self.saver.identifier.clone(), sub_type };
        self.tenant.audit.entry(ticket).or_default().push(entry);
    }

    /// One message for each callback entry that watches the ticket as it is now.
    fn tell(&mut self, id: i64, action: &'static str, quiet: bool) {
        let Some(ticket) = self.tenant.tickets.get(&id).filter(|_| !quiet) else { return };
        let whole = view::ticket(self.tenant, ticket, self.links);
        let (board, status) = (ticket.board, ticket.status);
        let watching = self.tenant.callbacks.iter().filter(|entry| {
            let level = match entry.level.as_str() {
                "owner" => true,
                "board" => entry.object_id == board,
                "status" => entry.object_id == status,
                _ => false,
            };
            let own_echo = entry.self_suppressed && self.saver.member == Some(entry.member);
            entry.kind == "ticket" && level && !entry.inactive && !own_echo
        });
        self.outbox.extend(watching.map(|entry| Message {
            company_id: self.tenant.company_id.clone(),
            url: entry.url.clone(),
            entry: entry.id,
            payload_version: entry.payload_version.clone(),
            member: self.saver.identifier.clone(),
            action,
            ticket: id,
            record: (action != "deleted").then(|| whole.clone()),
        }));
    }
}

/// What the audit trail says about the difference between two versions.
fn changes(tenant: &Tenant, before: &Ticket, after: &Ticket) -> Vec<(&'static str, String)> {
    let status = |t: &Ticket| tenant.status(t.board, t.status).map_or("", |s| &s.name).to_owned();
    let board = |t: &Ticket| tenant.board(t.board).map_or("", |b| &b.name).to_owned();
    let company = |t: &Ticket| tenant.company(t.company).map_or("", |c| &c.name).to_owned();
    let owner = |t: &Ticket| t.owner.and_then(|o| tenant.member(o)).map_or("", |m| &m.identifier).to_owned();
    let resources = |t: &Ticket| t.resources.join(", ");
    let summary = |t: &Ticket| t.summary.clone();
    let mut out = Vec::new();
    // Ids decide, names are shown: two boards may have statuses of one name.
    let mut note = |sub_type, differs: bool, shown: &dyn Fn(&Ticket) -> String| {
        if differs {
            out.push((sub_type, updated(sub_type, &shown(before), &shown(after))));
        }
    };
    note("Board", before.board != after.board, &board);
    note("Status", before.status != after.status, &status);
    note("Company", before.company != after.company, &company);
    note("Owner", before.owner != after.owner, &owner);
    note("Resources", before.resources != after.resources, &resources);
    note("Summary", before.summary != after.summary, &summary);
    for field in &tenant.fields {
        let value = |t: &Ticket| t.values.get(&field.id).map_or(String::new(), plain_text);
        if before.values.get(&field.id) != after.values.get(&field.id) {
            out.push((FIELD_CHANGED, updated(&field.caption, &value(before), &value(after))));
        }
    }
    out
}

fn updated(what: &str, old: &str, new: &str) -> String {
    format!("{what} has been updated from \"{old}\" to \"{new}\".")
}

fn plain_text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}
