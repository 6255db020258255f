//! From what a client sends to a changed ticket: JSON-Patch operations and new objects become
//! assignments, assignments are checked and resolved against the tenant.
//!
//! All problems of one request are collected, as the vendor reports them together. Nothing is
//! stored here.

use serde_json::{Value, json};

use super::errors::{FieldError, Refusal};
use super::state::{Tenant, Ticket};
use super::values::{PLAIN, Shape, Wanted, field_value, flag, text};

/// The vendor's limit for a ticket's summary, in characters.
const SUMMARY: usize = 100;

/// `path = value`; `None` clears. The path has no empty segments.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Assignment {
    pub(super) path: Vec<String>,
    pub(super) value: Option<Value>,
}

impl Assignment {
    fn head(&self) -> String {
        self.path[0].to_ascii_lowercase()
    }
}

/// Reads the bare array of a PATCH. Paths work with and without a slash in front.
pub(super) fn operations(body: Option<&Value>, resource: &str) -> Result<Vec<Assignment>, Refusal> {
    let Some(Value::Array(items)) = body else { return Err(Refusal::unreadable_body()) };
    let mut out = Vec::new();
    for item in items {
        let path: Vec<String> =
            item["path"].as_str().unwrap_or_default().split('/').filter(|p| !p.is_empty()).map(str::to_owned).collect();
        if path.is_empty() {
            return Err(FieldError::missing("path").of(resource));
        }
        let value = match (item["op"].as_str(), item.get("value")) {
            (Some("remove"), _) => None,
            (Some("replace" | "add"), Some(value)) => Some(value.clone()).filter(|value| !value.is_null()),
            (Some("replace" | "add"), None) => {
                return Err(FieldError::missing("value").of(resource));
            }
            _ => {
                let message = "The operation must be replace, add or remove.";
                return Err(FieldError::invalid("op", message).of(resource));
            }
        };
        out.push(Assignment { path, value });
    }
    Ok(out)
}

/// Reads the object of a POST: each property is an assignment; nulls are left out.
pub(super) fn properties(body: Option<&Value>) -> Result<Vec<Assignment>, Refusal> {
    let Some(Value::Object(map)) = body else { return Err(Refusal::unreadable_body()) };
    let known = map.iter().filter(|(name, value)| {
        // Clients that post a whole object send what the server alone decides; it is ignored.
        !value.is_null() && !name.eq_ignore_ascii_case("id") && name.as_str() != "_info"
    });
    Ok(known.map(|(name, value)| Assignment { path: vec![name.clone()], value: Some(value.clone()) }).collect())
}

/// A ticket being changed, and everything found wrong with the change.
pub(super) struct Edit<'a> {
    tenant: &'a Tenant,
    pub(super) ticket: Ticket,
    /// The save's `skipCallback`.
    pub(super) quiet: bool,
    errors: Vec<FieldError>,
}

impl<'a> Edit<'a> {
    pub(super) fn new(tenant: &'a Tenant, ticket: Ticket) -> Self {
        Self { tenant, ticket, quiet: false, errors: Vec::new() }
    }

    /// Applies everything, boards first because statuses and types are names within a board.
    pub(super) fn apply(mut self, assignments: &[Assignment]) -> Result<Self, Refusal> {
        let (boards, rest): (Vec<_>, Vec<_>) = assignments.iter().partition(|a| a.head() == "board");
        for assignment in boards.into_iter().chain(rest) {
            if let Err(error) = self.set(assignment) {
                self.errors.push(error);
            }
        }
        self.check();
        if self.errors.is_empty() { Ok(self) } else { Err(Refusal::invalid("ticket", &self.errors)) }
    }

    /// What must hold for every stored ticket.
    fn check(&mut self) {
        let (board, status) = (self.ticket.board, self.ticket.status);
        if self.ticket.summary.trim().is_empty() && !self.errors_in("summary") {
            self.errors.push(FieldError::missing("summary"));
        }
        if board == 0 {
            if !self.errors_in("board") {
                self.errors.push(FieldError::missing("board"));
            }
        } else if self.tenant.status(board, status).is_none() && !self.errors_in("status") {
            let error = self.no_status("status/id", &status.to_string());
            self.errors.push(error);
        }
        if self.ticket.company == 0 && !self.errors_in("company") {
            self.errors.push(FieldError::missing("company"));
        }
        if let Some(kind) = self.ticket.kind
            && !self.tenant.board(board).is_some_and(|b| b.kinds.iter().any(|k| k.id == kind))
        {
            // A board move leaves the old board's type behind.
            self.ticket.kind = None;
        }
    }

    fn set(&mut self, a: &Assignment) -> Result<(), FieldError> {
        let value = a.value.as_ref();
        match a.head().as_str() {
            "summary" => self.ticket.summary = text("summary", value, SUMMARY)?,
            "board" => self.set_board(a)?,
            "status" => self.set_status(a)?,
            "company" => self.set_company(a)?,
            "owner" => self.set_owner(a)?,
            "type" => self.set_kind(a)?,
            "resources" => self.set_resources(value)?,
            "customfields" => self.set_custom_fields(value)?,
            "parentticketid" => self.set_parent(value)?,
            "skipcallback" => self.quiet = flag("skipCallback", value)?,
            "processnotifications" => {
                flag("processNotifications", value)?;
            }
            _ => self.set_plain(a)?,
        }
        Ok(())
    }

    fn set_board(&mut self, a: &Assignment) -> Result<(), FieldError> {
        let wanted = Wanted::of("board", a)?.ok_or_else(|| FieldError::missing("board"))?;
        let found = self.tenant.boards.iter().find(|b| wanted.is(b.id, &[&b.name]));
        let board = found.ok_or_else(|| wanted.unknown("board", "Service Board"))?;
        if self.ticket.board == 0
            && let Some(first) = board.statuses.first()
        {
            // A new ticket starts in its board's default status.
            self.ticket.status = first.id;
        }
        self.ticket.board = board.id;
        Ok(())
    }

    fn set_status(&mut self, a: &Assignment) -> Result<(), FieldError> {
        let wanted = Wanted::of("status", a)?.ok_or_else(|| FieldError::missing("status"))?;
        let board = self.tenant.board(self.ticket.board);
        let found = board.and_then(|b| b.statuses.iter().find(|s| wanted.is(s.id, &[&s.name])));
        match (found, &wanted) {
            (Some(status), _) => self.ticket.status = status.id,
            (None, Wanted::Id(id)) => return Err(self.no_status("status/id", &id.to_string())),
            (None, Wanted::Name(name)) => return Err(self.no_status("status/name", name)),
        }
        Ok(())
    }

    fn set_company(&mut self, a: &Assignment) -> Result<(), FieldError> {
        let wanted = Wanted::of("company", a)?.ok_or_else(|| FieldError::missing("company"))?;
        let mut living = self.tenant.companies.iter().filter(|c| !c.deleted);
        let found = living.find(|c| wanted.is(c.id, &[&c.identifier, &c.name]));
        self.ticket.company = found.ok_or_else(|| wanted.unknown("company", "Company"))?.id;
        Ok(())
    }

    fn set_owner(&mut self, a: &Assignment) -> Result<(), FieldError> {
        let Some(wanted) = Wanted::of("owner", a)? else {
            self.ticket.owner = None;
            return Ok(());
        };
        let mut active = self.tenant.members.iter().filter(|m| !m.inactive);
        let found = active.find(|m| wanted.is(m.id, &[&m.identifier]));
        self.ticket.owner = Some(found.ok_or_else(|| wanted.unknown("owner", "Member"))?.id);
        Ok(())
    }

    fn set_kind(&mut self, a: &Assignment) -> Result<(), FieldError> {
        let Some(wanted) = Wanted::of("type", a)? else {
            self.ticket.kind = None;
            return Ok(());
        };
        let board = self.tenant.board(self.ticket.board);
        let found = board.and_then(|b| b.kinds.iter().find(|k| wanted.is(k.id, &[&k.name])));
        self.ticket.kind = Some(found.ok_or_else(|| wanted.unknown("type", "Service Type"))?.id);
        Ok(())
    }

    /// Member identifiers, separated by commas.
    fn set_resources(&mut self, value: Option<&Value>) -> Result<(), FieldError> {
        let listed = match value {
            None => String::new(),
            some => text("resources", some, 4000)?,
        };
        let mut out = Vec::new();
        for name in listed.split(',').map(str::trim).filter(|n| !n.is_empty()) {
            let member = self
                .tenant
                .member_named(name)
                .ok_or_else(|| FieldError::not_found("resources", format!("Member {name} not found")))?;
            out.push(member.identifier.clone());
        }
        self.ticket.resources = out;
        Ok(())
    }

    /// Only the listed fields change; an empty list changes nothing.
    fn set_custom_fields(&mut self, value: Option<&Value>) -> Result<(), FieldError> {
        let Some(Value::Array(items)) = value else {
            return Err(FieldError::invalid("customFields", "customFields must be a list."));
        };
        for item in items {
            let id = item["id"].as_i64().ok_or_else(|| FieldError::missing("customFields/id"))?;
            let field = self
                .tenant
                .fields
                .iter()
                .find(|f| f.id == id)
                .ok_or_else(|| FieldError::not_found("customFields/id", format!("Custom field {id} not found")))?;
            match field_value(field, &item["value"])? {
                Value::Null => self.ticket.values.remove(&id),
                value => self.ticket.values.insert(id, value),
            };
        }
        Ok(())
    }

    fn set_parent(&mut self, value: Option<&Value>) -> Result<(), FieldError> {
        self.ticket.parent = match value {
            None => None,
            Some(value) => {
                let parent = value.as_i64().filter(|p| self.tenant.tickets.contains_key(p));
                let message = || format!("Ticket {value} not found");
                Some(parent.ok_or_else(|| FieldError::not_found("parentTicketId", message()))?)
            }
        };
        Ok(())
    }

    /// Properties without rules: kept as they are once their type fits.
    fn set_plain(&mut self, a: &Assignment) -> Result<(), FieldError> {
        let head = a.head();
        let Some((name, shape)) = PLAIN.iter().find(|(n, _)| n.eq_ignore_ascii_case(&head)) else {
            let message = format!("{} cannot be written.", a.path.join("/"));
            return Err(FieldError::invalid(&a.path[0], message));
        };
        if a.value.is_none() {
            self.ticket.plain.remove(*name);
            return Ok(());
        }
        let value = match shape {
            Shape::Flag => json!(flag(name, a.value.as_ref())?),
            Shape::Text(max) => json!(text(name, a.value.as_ref(), *max)?),
            Shape::Grade => {
                let grade = text(name, a.value.as_ref(), 10)?;
                if !["Low", "Medium", "High"].contains(&grade.as_str()) {
                    let message = "The value must be Low, Medium or High.";
                    return Err(FieldError::invalid(name, message));
                }
                json!(grade)
            }
            Shape::Reference => match Wanted::of(name, a)? {
                Some(Wanted::Id(id)) => {
                    let called = a.value.as_ref().and_then(|v| v["name"].as_str());
                    let called = called.map_or_else(|| format!("{name} {id}"), str::to_owned);
                    json!({"id": id, "name": called})
                }
                _ => return Err(FieldError::missing(&format!("{name}/id"))),
            },
        };
        self.ticket.plain.insert((*name).to_owned(), value);
        Ok(())
    }

    fn errors_in(&self, field: &str) -> bool {
        self.errors.iter().any(|e| e.is_about(field))
    }

    fn no_status(&self, field: &str, called: &str) -> FieldError {
        let board = self.ticket.board;
        let message = format!("Service Status {called} not found for Service Board {board}");
        FieldError::not_found(field, message)
    }
}
