//! Names for the places at which the service can die: its own commits, and its calls to vendors.

use std::fmt;

use latchkey::store::Transition;
use latchkey_simulators::fault::Faults;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::harness::TestApp;

/// On which side of a commit or of a call's effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Side {
    /// It never happened.
    Before,
    /// It happened, and nobody heard of it.
    After,
}

/// A place in the life of the service: the `nth` time that it comes by.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Point {
    /// `commit decided`, `entra POST /users`: the first word says where.
    pub(crate) name: String,
    /// From 1.
    pub(crate) nth: usize,
    pub(crate) side: Side,
}

impl Point {
    /// True for commits of the service, false for calls to vendors.
    pub(crate) fn is_commit(&self) -> bool {
        self.name.starts_with("commit ")
    }
}

impl fmt::Display for Point {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let side = match self.side {
            Side::Before => "before",
            Side::After => "after",
        };
        write!(f, "{side} {} #{}", self.name, self.nth)
    }
}

/// A commit's name, with what it is about: `step-intent/create`, `told/ended`.
pub(crate) fn of_commit(transition: &Transition) -> String {
    let name = serde_json::to_value(transition.name).unwrap();
    let name = name.as_str().unwrap();
    let about = match name {
        "step-intent" | "step-outcome" => step(transition),
        "told" | "delivered" => notice(transition),
        "seen" => transition.delivery_done.as_ref().map(|(_, outcome)| outcome.clone()),
        _ => transition.grants.first().map(|grant| grant.state.name().to_owned()),
    };
    about.map_or_else(|| format!("commit {name}"), |about| format!("commit {name}/{about}"))
}

fn step(transition: &Transition) -> Option<String> {
    let step = &transition.audit.iter().find(|entry| entry.code.as_str().starts_with("step."))?.detail["step"];
    let name = match step {
        Value::String(name) => name.clone(),
        Value::Object(step) => step.keys().next()?.clone(),
        _ => return None,
    };
    Some(kebab(&name))
}

/// What was told, and whether its status is still owed.
fn notice(transition: &Transition) -> Option<String> {
    let detail = &transition.audit.iter().find(|entry| entry.code == "ticket.told")?.detail;
    let kind = detail["kind"]["telling"].as_str().or(detail["kind"]["kind"].as_str())?;
    Some(format!("{kind}-{}", detail["state"]["state"].as_str()?))
}

fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(c.to_ascii_lowercase());
    }
    kebab
}

/// Everybody whom the service calls, by the first word of those calls' names.
pub(crate) fn vendors(app: &TestApp) -> Vec<(&'static str, Faults)> {
    let mut vendors = vec![("psa", app.psa.sim.faults().clone()), ("entra", app.entra.sim.faults().clone())];
    vendors.extend(app.others().map(|desk| (desk.vendor(), desk.faults().clone())));
    vendors
}

/// The calls that take a password out of a ticket.
pub(crate) const TIDYING: [&str; 3] = [
    "psa PATCH /service/tickets/{id}/notes/{noteId}",
    "autotask PATCH /Tickets/{id}/Notes",
    "halopsa POST /Actions (this access has ended)",
];

/// A call's name: whose it is, its operation, and what in its body tells one step from another.
pub(crate) fn of_call(vendor: &str, op: &str, body: Option<&Value>) -> String {
    let about = match (op, body) {
        ("PATCH /users/{id}", Some(body)) if body["accountEnabled"].is_boolean() => {
            format!(" accountEnabled={}", body["accountEnabled"])
        }
        ("PATCH /users/{id}", Some(body)) if body["passwordProfile"].is_object() => " passwordProfile".to_owned(),
        ("POST /roleManagement/directory/roleAssignmentScheduleRequests", Some(body)) => {
            format!(" {}", body["action"].as_str().unwrap_or_default())
        }
        ("POST /service/tickets/{id}/notes", Some(body)) => {
            let text = body["text"].as_str().unwrap_or_default();
            let what = text.lines().next().unwrap_or_default().trim_start_matches("Latchkey: ");
            let what: String = what.chars().take_while(|c| !",.:;".contains(*c)).collect();
            format!(" ({what})")
        }
        ("POST /Tickets/{id}/Notes", Some(body)) => said(&body["description"]),
        // As rows, of HTML or of text; a note that is overwritten is another row of the same number.
        ("POST /Actions", Some(body)) if body[0]["note_html"].is_string() => said(&body[0]["note_html"]),
        ("POST /Actions", Some(body)) => said(&body[0]["note"]),
        _ => String::new(),
    };
    format!("{vendor} {op}{about}")
}

/// What a note tells, in brackets.
fn said(text: &Value) -> String {
    let text = text.as_str().unwrap_or_default();
    let (_, said) = text.split_once("Latchkey: ").unwrap_or_default();
    let what: String = said.chars().take_while(|c| !",.:;<".contains(*c)).collect();
    format!(" ({what})")
}

#[test]
fn a_note_is_named_alike_at_each_of_them() {
    let of = |vendor, op, body| of_call(vendor, op, Some(&body));
    let text = "Latchkey: access granted.\nUser name: jit";
    let named = of("psa", "POST /service/tickets/{id}/notes", json!({ "text": text }));
    assert_eq!(named, "psa POST /service/tickets/{id}/notes (access granted)");
    let named = of("autotask", "POST /Tickets/{id}/Notes", json!({ "description": text }));
    assert_eq!(named, "autotask POST /Tickets/{id}/Notes (access granted)");
    for row in [json!({ "note": text }), json!({ "note_html": "<p>Latchkey: access granted.<br>User name: jit</p>" })] {
        assert_eq!(of("halopsa", "POST /Actions", json!([row])), "halopsa POST /Actions (access granted)");
    }
    let over = json!([{ "id": 4, "note_html": "<p>Latchkey: this access has ended; what stood here is gone.</p>" }]);
    assert_eq!(of("halopsa", "POST /Actions", over), TIDYING[2]);
}
