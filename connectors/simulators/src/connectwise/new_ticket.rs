//! A ticket on its way into the system, as a test or the sandbox describes it.

use serde_json::{Value, json};

use super::patch::Assignment;

/// A ticket to be made; board, company and summary are needed, the rest has the vendor's defaults.
#[derive(Debug, Clone)]
pub struct NewTicket {
    pub(super) id: i64,
    pub(super) entered_by: String,
    pub(super) assignments: Vec<Assignment>,
}

impl NewTicket {
    pub fn new(summary: &str, board: i64, company: i64) -> Self {
        let empty = Self { id: 0, entered_by: "zAdmin".to_owned(), assignments: Vec::new() };
        empty.set("board", json!({"id": board})).set("company", json!({"id": company})).set("summary", json!(summary))
    }

    /// A number of the test's choosing instead of the next one.
    #[must_use]
    pub fn id(mut self, id: i64) -> Self {
        self.id = id;
        self
    }

    /// Who makes it; a name without a member stands for the mail connector and its like.
    #[must_use]
    pub fn entered_by(mut self, identifier: &str) -> Self {
        self.entered_by = identifier.to_owned();
        self
    }

    /// Saved with `skipCallback`.
    #[must_use]
    pub fn without_callback(self) -> Self {
        self.set("skipCallback", json!(true))
    }

    #[must_use]
    pub fn status(self, id: i64) -> Self {
        self.set("status", json!({"id": id}))
    }

    #[must_use]
    pub fn owner(self, identifier: &str) -> Self {
        self.set("owner", json!({"identifier": identifier}))
    }

    /// The service type, one of the board's.
    #[must_use]
    pub fn kind(self, id: i64) -> Self {
        self.set("type", json!({"id": id}))
    }

    /// Where it comes from.
    #[must_use]
    pub fn source(self, id: i64) -> Self {
        self.set("source", json!({"id": id}))
    }

    #[must_use]
    pub fn field(self, id: i64, value: impl Into<Value>) -> Self {
        self.set("customFields", json!([{"id": id, "value": value.into()}]))
    }

    /// Any other writable property by its wire name, such as `contactEmailAddress`.
    #[must_use]
    pub fn set(mut self, property: &str, value: Value) -> Self {
        self.assignments.push(Assignment { path: vec![property.to_owned()], value: Some(value) });
        self
    }
}
