//! What a resource or a contact does in the vendor's pages, without going through REST.

use serde_json::{Value, json};

use super::Autotask;
use super::control::Refused;
use super::desk::Saver;
use super::errors::Refusal;
use super::state::Row;
use super::tickets;

/// What somebody does in the vendor's pages.
#[derive(Debug, Clone)]
pub struct Actor {
    sim: Autotask,
    pub(super) saver: Saver,
}

impl Actor {
    pub(super) fn new(sim: Autotask, saver: Saver) -> Self {
        Self { sim, saver }
    }

    /// # Errors
    /// When the vendor would refuse it.
    pub fn set_status(&self, ticket: i64, status: i64) -> Result<(), Refused> {
        self.change(ticket, &json!({ "status": status }))
    }

    /// # Errors
    /// When the vendor would refuse it.
    pub fn set_queue(&self, ticket: i64, queue: i64) -> Result<(), Refused> {
        self.change(ticket, &json!({ "queueID": queue }))
    }

    /// # Errors
    /// When the vendor would refuse it.
    pub fn set_title(&self, ticket: i64, title: &str) -> Result<(), Refused> {
        self.change(ticket, &json!({ "title": title }))
    }

    /// # Errors
    /// When the vendor would refuse it.
    pub fn assign(&self, ticket: i64, resource: Option<i64>) -> Result<(), Refused> {
        let role = resource.map(|_| 29_683_355);
        self.change(ticket, &json!({"assignedResourceID": resource, "assignedResourceRoleID": role}))
    }

    /// # Errors
    /// When the vendor would refuse it.
    pub fn set_udf(&self, ticket: i64, name: &str, value: Option<&str>) -> Result<(), Refused> {
        self.change(ticket, &json!({"userDefinedFields": [{"name": name, "value": value}]}))
    }

    /// Any properties at once.
    ///
    /// # Errors
    /// When the vendor would refuse it.
    pub fn change(&self, ticket: i64, body: &Value) -> Result<(), Refused> {
        self.sim.at_desk(self.saver, |desk| {
            let before: Row = desk.state.tickets.get(&ticket).cloned().ok_or_else(Refusal::no_record)?;
            let values = desk.state.values.get(&ticket).cloned().unwrap_or_default();
            let (row, values) = tickets::applied(desk.state, before, values, body)?;
            desk.save(ticket, row, values);
            Ok(())
        })
    }

    /// # Errors
    /// When there is no such ticket.
    pub fn delete(&self, ticket: i64) -> Result<(), Refused> {
        self.sim.at_desk(self.saver, |desk| if desk.remove(ticket) { Ok(()) } else { Err(Refusal::no_record()) })
    }

    /// # Errors
    /// When there is no such ticket.
    pub fn merge(&self, ticket: i64, into: i64) -> Result<(), Refused> {
        self.sim.at_desk(self.saver, |desk| if desk.merge(ticket, into) { Ok(()) } else { Err(Refusal::no_record()) })
    }

    /// # Errors
    /// When the vendor would refuse it.
    pub fn add_note(&self, ticket: i64, text: &str, publish: i64) -> Result<i64, Refused> {
        self.add_note_of(ticket, text, 1, publish)
    }

    /// A note of another type, such as what a mail brought.
    ///
    /// # Errors
    /// When the vendor would refuse it.
    pub fn add_note_of(&self, ticket: i64, text: &str, kind: i64, publish: i64) -> Result<i64, Refused> {
        self.sim.at_desk(self.saver, |desk| Ok(desk.note(ticket, text, kind, publish, "")))
    }

    /// # Errors
    /// When there is no such note.
    pub fn edit_note(&self, note: i64, text: &str) -> Result<(), Refused> {
        let changes = Row::from_iter([("description".to_owned(), json!(text))]);
        self.sim.at_desk(self.saver, |desk| match desk.change_note(note, changes) {
            true => Ok(()),
            false => Err(Refusal::no_record()),
        })
    }
}
