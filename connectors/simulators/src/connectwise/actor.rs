//! Ordinary people at work: what a member does to tickets in the user interface.

use serde_json::{Value, json};

use super::control::Tenant;
use super::desk::{Desk, Draft};
use super::errors::Refusal;
use super::patch::{Assignment, Edit};
use super::state::Ticket;

/// A member of a tenant, about to do something.
#[derive(Debug, Clone)]
pub struct Actor {
    tenant: Tenant,
    identifier: String,
}

/// The vendor would not have allowed this; the text is its error body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub String);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Refused {}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal.text())
    }
}

/// Where a note is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tab {
    /// The customer sees it.
    Discussion,
    Internal,
    Resolution,
}

/// Every action is refused when the ticket does not exist or the vendor's rules forbid it.
impl Actor {
    pub(super) fn new(tenant: Tenant, identifier: &str) -> Self {
        Self { tenant, identifier: identifier.to_owned() }
    }

    /// The status must belong to the ticket's board.
    pub fn set_status(&self, ticket: i64, status: i64) -> Result<(), Refused> {
        self.set(ticket, "status", json!({"id": status}))
    }

    /// A custom field; null clears it.
    pub fn set_field(&self, ticket: i64, field: i64, value: impl Into<Value>) -> Result<(), Refused> {
        self.set(ticket, "customFields", json!([{"id": field, "value": value.into()}]))
    }

    pub fn set_summary(&self, ticket: i64, summary: &str) -> Result<(), Refused> {
        self.set(ticket, "summary", json!(summary))
    }

    /// Gives the ticket an owner, or none.
    pub fn assign(&self, ticket: i64, owner: Option<&str>) -> Result<(), Refused> {
        let value = owner.map(|identifier| json!({"identifier": identifier}));
        self.change(ticket, &[Assignment { path: vec!["owner".into()], value }])
    }

    pub fn add_note(&self, ticket: i64, text: &str, tab: Tab) -> Result<i64, Refused> {
        let draft = Draft {
            text: text.to_owned(),
            discussion: tab == Tab::Discussion,
            internal: tab == Tab::Internal,
            resolution: tab == Tab::Resolution,
            ..Draft::default()
        };
        self.tenant.at_desk(&self.identifier, |desk| {
            let ticket = stored(desk, ticket)?;
            Ok(desk.add_note(&ticket, draft))
        })
    }

    /// An internal note that shows this member as its author, as any API user can make one.
    pub fn add_note_for(&self, ticket: i64, text: &str, member: i64) -> Result<i64, Refused> {
        let draft = Draft { text: text.to_owned(), internal: true, member: Some(member), ..Draft::default() };
        self.tenant.at_desk(&self.identifier, |desk| {
            let ticket = stored(desk, ticket)?;
            Ok(desk.add_note(&ticket, draft))
        })
    }

    pub fn edit_note(&self, note: i64, text: &str) -> Result<(), Refused> {
        self.tenant.at_desk(&self.identifier, |desk| {
            let (now, by) = (desk.now, desk.saver.identifier.clone());
            let found = desk.tenant.notes.get_mut(&note);
            let found = found.ok_or_else(|| Refusal::not_found("ServiceNote", note))?;
            text.clone_into(&mut found.text);
            found.updated_ms = now;
            found.updated_by = by;
            let ticket = found.ticket;
            let ticket = stored(desk, ticket)?;
            desk.note_saved(&ticket, "updated");
            Ok(())
        })
    }

    /// Moves a note to another tab, and to no other.
    pub fn move_note(&self, note: i64, tab: Tab) -> Result<(), Refused> {
        self.tenant.at_desk(&self.identifier, |desk| {
            let (now, by) = (desk.now, desk.saver.identifier.clone());
            let found = desk.tenant.notes.get_mut(&note);
            let found = found.ok_or_else(|| Refusal::not_found("ServiceNote", note))?;
            found.discussion = tab == Tab::Discussion;
            found.internal = tab == Tab::Internal;
            found.resolution = tab == Tab::Resolution;
            (found.updated_ms, found.updated_by) = (now, by);
            let ticket = found.ticket;
            let ticket = stored(desk, ticket)?;
            desk.note_saved(&ticket, "updated");
            Ok(())
        })
    }

    pub fn delete_note(&self, note: i64) -> Result<(), Refused> {
        self.tenant.at_desk(&self.identifier, |desk| {
            let found = desk.tenant.notes.remove(&note);
            let found = found.ok_or_else(|| Refusal::not_found("ServiceNote", note))?;
            let ticket = stored(desk, found.ticket)?;
            desk.note_saved(&ticket, "deleted");
            Ok(())
        })
    }

    /// Into the first closed status of the ticket's board.
    pub fn close(&self, ticket: i64) -> Result<(), Refused> {
        self.first_status(ticket, true)
    }

    /// Into the first open status of the ticket's board.
    pub fn reopen(&self, ticket: i64) -> Result<(), Refused> {
        self.first_status(ticket, false)
    }

    /// Merges `children` into `survivor`; they are closed if their board has a closed status.
    pub fn merge(&self, survivor: i64, children: &[i64]) -> Result<(), Refused> {
        self.tenant.at_desk(&self.identifier, |desk| {
            stored(desk, survivor)?;
            for child in children {
                let child = stored(desk, *child)?;
                let status = status_of(desk, child.board, true);
                desk.merge(survivor, &[child.id], status);
            }
            Ok(())
        })
    }

    /// To another board and one of its statuses.
    pub fn move_board(&self, ticket: i64, board: i64, status: i64) -> Result<(), Refused> {
        let to = |name: &str, id: i64| Assignment { path: vec![name.to_owned()], value: Some(json!({ "id": id })) };
        self.change(ticket, &[to("board", board), to("status", status)])
    }

    pub fn move_company(&self, ticket: i64, company: i64) -> Result<(), Refused> {
        self.set(ticket, "company", json!({"id": company}))
    }

    /// Any other writable property by its wire name, such as `contactName`.
    pub fn set(&self, ticket: i64, property: &str, value: Value) -> Result<(), Refused> {
        let value = Some(value).filter(|v| !v.is_null());
        self.change(ticket, &[Assignment { path: vec![property.to_owned()], value }])
    }

    /// Saves the ticket as it is, as a careless click does.
    pub fn touch(&self, ticket: i64) -> Result<(), Refused> {
        self.change(ticket, &[])
    }

    pub fn delete(&self, ticket: i64) -> Result<(), Refused> {
        self.tenant.at_desk(&self.identifier, |desk| {
            stored(desk, ticket)?;
            desk.remove(ticket);
            Ok(())
        })
    }

    fn first_status(&self, ticket: i64, closed: bool) -> Result<(), Refused> {
        let status = self.tenant.at_desk(&self.identifier, |desk| {
            let board = stored(desk, ticket)?.board;
            let missing = || Refused(format!("Service Board {board} has no such status"));
            status_of(desk, board, closed).ok_or_else(missing)
        })?;
        self.set_status(ticket, status)
    }

    fn change(&self, ticket: i64, assignments: &[Assignment]) -> Result<(), Refused> {
        self.tenant.at_desk(&self.identifier, |desk| {
            let before = stored(desk, ticket)?;
            let edit = Edit::new(desk.tenant, before).apply(assignments)?;
            let (after, quiet) = (edit.ticket, edit.quiet);
            desk.save(after, quiet);
            Ok(())
        })
    }
}

fn stored(desk: &Desk<'_>, id: i64) -> Result<Ticket, Refused> {
    let ticket = desk.tenant.tickets.get(&id).cloned();
    Ok(ticket.ok_or_else(|| Refusal::not_found("Ticket", id))?)
}

fn status_of(desk: &Desk<'_>, board: i64, closed: bool) -> Option<i64> {
    let statuses = &desk.tenant.board(board)?.statuses;
    statuses.iter().find(|s| s.closed == closed && !s.inactive).map(|s| s.id)
}
