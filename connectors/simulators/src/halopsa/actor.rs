//! Ordinary people at work: what somebody does to tickets in the user interface.

use serde_json::{Value, json};

use super::HaloPsa;
use super::actions;
use super::desk::{Desk, Draft, Saver};
use super::errors::Refusal;
use super::state::Ticket;
use super::tickets;
use super::values::Row;

/// Somebody about to do something.
#[derive(Debug, Clone)]
pub struct Actor {
    sim: HaloPsa,
    saver: Saver,
}

/// The vendor would not have allowed this; the text is its answer.
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
        Self(refusal.words())
    }
}

/// Every action is refused when the ticket does not exist or the vendor's rules forbid it.
impl Actor {
    pub(super) fn new(sim: HaloPsa, saver: Saver) -> Self {
        Self { sim, saver }
    }

    /// Presses an action button, with the fields on its screen filled in.
    pub fn run_action(&self, ticket: i64, outcome: i64, fields: &[(i64, Value)]) -> Result<i64, Refused> {
        self.act(ticket, json!({"outcome_id": outcome}), fields)
    }

    /// Presses an action button that says more: who, on whose behalf.
    pub fn run_action_with(&self, ticket: i64, outcome: i64, extra: &Value) -> Result<i64, Refused> {
        let mut row = json!({"outcome_id": outcome});
        if let (Some(row), Some(extra)) = (row.as_object_mut(), extra.as_object()) {
            row.extend(extra.clone());
        }
        self.act(ticket, row, &[])
    }

    fn act(&self, ticket: i64, mut row: Value, fields: &[(i64, Value)]) -> Result<i64, Refused> {
        let fields: Vec<Value> = fields.iter().map(|(id, value)| json!({"id": id, "value": value})).collect();
        if let Some(object) = row.as_object_mut()
            && !fields.is_empty()
        {
            object.insert("customfields".into(), Value::Array(fields));
        }
        let Value::Object(row) = row else { return Err(Refused("no record".into())) };
        self.at_desk(|desk| {
            stored(desk, ticket)?;
            Ok(actions::create(desk, ticket, &row)?)
        })
    }

    pub fn set_status(&self, ticket: i64, status: i64) -> Result<(), Refused> {
        self.set(ticket, "status_id", json!(status))
    }

    /// A custom field on the ticket's details; null clears it.
    pub fn set_field(&self, ticket: i64, field: i64, value: impl Into<Value>) -> Result<(), Refused> {
        self.set(ticket, "customfields", json!([{"id": field, "value": value.into()}]))
    }

    pub fn set_summary(&self, ticket: i64, summary: &str) -> Result<(), Refused> {
        self.set(ticket, "summary", json!(summary))
    }

    pub fn assign(&self, ticket: i64, agent: i64) -> Result<(), Refused> {
        self.set(ticket, "agent_id", json!(agent))
    }

    pub fn move_client(&self, ticket: i64, client: i64) -> Result<(), Refused> {
        self.set(ticket, "client_id", json!(client))
    }

    pub fn move_team(&self, ticket: i64, team: &str) -> Result<(), Refused> {
        self.set(ticket, "team", json!(team))
    }

    pub fn move_type(&self, ticket: i64, kind: i64) -> Result<(), Refused> {
        self.set(ticket, "tickettype_id", json!(kind))
    }

    /// Any property by its wire name.
    pub fn set(&self, ticket: i64, name: &str, value: Value) -> Result<(), Refused> {
        self.at_desk(|desk| {
            let before = stored(desk, ticket)?;
            let row = Row::from_iter([(name.to_owned(), value)]);
            let (after, customfields) = tickets::applied(desk.inst, before, &row)?;
            let customfields = if desk.behaviour.edits_tell_no_fields { Vec::new() } else { customfields };
            desk.save(after, Draft { customfields, ..Draft::named("Changed", 0) });
            Ok(())
        })
    }

    /// Status changes are refused from now on, or allowed again.
    pub fn freeze(&self, ticket: i64, is_frozen: bool) -> Result<(), Refused> {
        self.at_desk(|desk| {
            let before = stored(desk, ticket)?;
            desk.save(Ticket { is_frozen, ..before }, Draft::named("Changed", 0));
            Ok(())
        })
    }

    /// A note; a private one where it is hidden.
    pub fn add_note(&self, ticket: i64, text: &str, is_hidden: bool) -> Result<i64, Refused> {
        self.at_desk(|desk| {
            let before = stored(desk, ticket)?;
            let draft = match is_hidden {
                true => Draft::private_note(text),
                false => Draft { is_hidden: false, ..Draft::private_note(text) },
            };
            Ok(desk.save(before, draft))
        })
    }

    /// A private note that was mailed to somebody.
    pub fn mail_note(&self, ticket: i64, text: &str, to: &str) -> Result<i64, Refused> {
        self.at_desk(|desk| {
            let before = stored(desk, ticket)?;
            Ok(desk.save(before, Draft { email_to: to.to_owned(), ..Draft::private_note(text) }))
        })
    }

    pub fn edit_note(&self, ticket: i64, note: i64, text: &str) -> Result<(), Refused> {
        self.at_desk(|desk| {
            let list = desk.inst.actions.entry(ticket).or_default();
            let action = list.iter_mut().find(|a| a.id == note);
            let action = action.ok_or_else(|| Refused("Record not found".into()))?;
            (action.note, action.note_html) = (text.to_owned(), super::values::text_to_html(text));
            Ok(())
        })
    }

    /// The customer sees it from now on.
    pub fn show_note(&self, ticket: i64, note: i64) -> Result<(), Refused> {
        self.at_desk(|desk| {
            let list = desk.inst.actions.entry(ticket).or_default();
            list.iter_mut().filter(|a| a.id == note).for_each(|a| a.is_hidden = false);
            Ok(())
        })
    }

    pub fn delete_note(&self, ticket: i64, note: i64) -> Result<(), Refused> {
        self.at_desk(|desk| {
            desk.inst.actions.entry(ticket).or_default().retain(|a| a.id != note);
            Ok(())
        })
    }

    /// Into the first closed status.
    pub fn close(&self, ticket: i64) -> Result<(), Refused> {
        self.first_status(ticket, true)
    }

    /// Into the first open status.
    pub fn reopen(&self, ticket: i64) -> Result<(), Refused> {
        self.first_status(ticket, false)
    }

    fn first_status(&self, ticket: i64, is_closed: bool) -> Result<(), Refused> {
        let status = self.sim.with(|i| i.statuses.iter().find(|s| s.is_closed == is_closed).map(|s| s.id));
        self.set_status(ticket, status.ok_or_else(|| Refused("no such status".into()))?)
    }

    /// The child's history is copied to the survivor, and the child is closed.
    pub fn merge(&self, survivor: i64, child: i64) -> Result<(), Refused> {
        self.at_desk(|desk| {
            stored(desk, survivor)?;
            stored(desk, child)?;
            let closed = desk.inst.statuses.iter().find(|s| s.is_closed).map(|s| s.id);
            desk.merge(survivor, child, closed);
            Ok(())
        })
    }

    pub fn delete(&self, ticket: i64) -> Result<(), Refused> {
        self.at_desk(|desk| {
            stored(desk, ticket)?;
            desk.remove(ticket);
            Ok(())
        })
    }

    fn at_desk<T>(&self, work: impl FnOnce(&mut Desk<'_>) -> Result<T, Refused>) -> Result<T, Refused> {
        self.sim.at_desk(self.saver.clone(), work)
    }
}

fn stored(desk: &Desk<'_>, id: i64) -> Result<Ticket, Refused> {
    let found = desk.inst.tickets.get(&id).filter(|t| !t.is_deleted).cloned();
    found.ok_or_else(|| Refused("Record not found".into()))
}
