//! The pretend HaloPSA's pages: an action's button asks, with a field on its screen that says for how long; or the status
//! does, chosen on the ticket's details.

use askama::Template;
use latchkey_simulators::server::{Request, Response};
use serde_json::Value;

use super::{
    field, page,
    psa::{Change, Note, Pages, Refused, Row, Shown, Way, Words, own_page, text},
    show::{self, Choice, Piece, choices, optional},
};
use crate::psas::{
    LENGTHS, Psa as _, Standing,
    halopsa::{BUTTON, Desk, JANE, LENGTH_FIELD, MAX, NAMES},
};

#[derive(Debug, Template)]
#[template(path = "halopsa.html")]
struct Ticket {
    shown: Shown,
    button: &'static str,
    field: &'static str,
    length: String,
    kind: &'static str,
    updated: String,
    /// What the forms offer; the present value is chosen.
    statuses: Vec<Choice>,
    lengths: Vec<Choice>,
    asks: bool,
}

impl Pages for Desk {
    fn words(&self) -> Words {
        let boards = &[
            ("service-desk", "Service Desk (credentials by claim link)"),
            ("projects", "Projects (credentials in the ticket)"),
        ];
        Words { summary: "Summary", board: "Team", company: "Client", boards }
    }

    fn row(&self, ticket: i64) -> Option<Row> {
        let ticket = self.sim.ticket(ticket)?;
        let id = ticket["id"].as_i64()?;
        Some(Row {
            id,
            number: format!("{id:07}"),
            summary: text(&ticket["summary"]),
            board: text(&ticket["team"]),
            company: text(&ticket["client_name"]),
            status: text(&ticket["status_name"]),
            is_closed: text(&ticket["status_name"]) == "Closed",
        })
    }

    fn ticket(&self, row: Row, stands_still: bool) -> Response {
        let ticket = self.sim.ticket(row.id).unwrap_or_default();
        let standing = self.standing(row.id);
        let length = length_of(self, &ticket);
        let statuses = self.sim.statuses().into_iter().map(|(id, name)| (id.to_string(), name));
        let shown = Shown {
            names: &NAMES,
            words: self.words(),
            owner: text(&ticket["agent_name"]),
            notes: self.sim.notes(row.id).iter().rev().map(|n| note(self, n)).collect(),
            trail: self.sim.actions(row.id).iter().rev().map(action).collect(),
            is_moving: standing.is_some_and(|at| at != Standing::Refused) && !stands_still,
            row,
        };
        page(
            200,
            &Ticket {
                shown,
                button: BUTTON,
                field: LENGTH_FIELD,
                kind: "Incident",
                updated: show::moment_of(&text(&ticket["last_update"])),
                statuses: choices(statuses, &ticket["status_id"].to_string()),
                lengths: optional(&LENGTHS.map(|value| (value, value)), &length),
                length,
                asks: matches!(standing, Some(Standing::Requested | Standing::Active)),
            },
        )
    }

    fn open(&self, summary: &str, board: &str, is_acme: bool) -> Result<i64, Refused> {
        let team = if board == "projects" { self.projects } else { self.service_desk };
        Ok(self.open_ticket(summary, team, if is_acme { self.acme } else { self.globex }, JANE)?)
    }

    fn act(&self, ticket: i64, act: &str, form: &Request) -> Option<Result<(), Refused>> {
        Some(match act {
            "request" => offered(field(form, "length"))
                .and_then(|length| self.request_access(ticket, length.as_deref()).map_err(Refused::from)),
            "save" => save(self, ticket, form),
            "close" => self.jane().close(ticket).map_err(Refused::from),
            "reopen" => self.jane().reopen(ticket).map_err(Refused::from),
            _ => return None,
        })
    }

    fn take_away(&self, ticket: i64, way: Way) -> Result<(), Refused> {
        let jane = self.jane();
        let done = match way {
            Way::Assign => jane.assign(ticket, MAX),
            Way::Move => jane.move_client(ticket, self.globex),
            Way::Merge(into) => jane.merge(into, ticket),
            Way::Delete => jane.delete(ticket),
        };
        done.map_err(Refused::from)
    }

    fn write_note(&self, ticket: i64, text: &str) -> Result<(), Refused> {
        self.jane().add_note(ticket, text, true)?;
        Ok(())
    }
}

/// What the details say, each as a save of its own, what asks after the length. What is not in the form, or stands there
/// already, stays; an empty choice clears its field.
fn save(psa: &Desk, ticket: i64, form: &Request) -> Result<(), Refused> {
    let said = |name: &str| form.form().into_iter().find(|(n, _)| n == name).map(|(_, value)| value);
    let present = psa.sim.ticket(ticket).unwrap_or_default();
    if let Some(length) = said("length").filter(|length| *length != length_of(psa, &present)) {
        let length = offered(Some(length).filter(|length| !length.is_empty()))?;
        psa.choose_length(ticket, length.as_deref())?;
    }
    if let Some(status) = said("status").filter(|status| status.parse().ok() != present["status_id"].as_i64()) {
        psa.jane().set_status(ticket, status.parse()?)?;
    }
    Ok(())
}

fn offered(length: Option<String>) -> Result<Option<String>, Refused> {
    match length {
        Some(other) if !LENGTHS.contains(&other.as_str()) => Err("The field offers no such length.".into()),
        length => Ok(length),
    }
}

/// What the field shows; nothing where it is not set.
fn length_of(psa: &Desk, ticket: &Value) -> String {
    let fields = ticket["customfields"].as_array();
    let found = fields.into_iter().flatten().find(|f| f["id"] == psa.length_field);
    found.map(|f| text(&f["display"])).unwrap_or_default()
}

fn note(psa: &Desk, note: &Value) -> Note {
    let site = psa.sim.base_url();
    Note {
        by: text(&note["who"]),
        at: show::moment_of(&text(&note["datetime"])),
        edited: None,
        is_internal: note["hiddenfromuser"] == true,
        text: show::pieces(&text(&note["note"]), |link| own_page(&NAMES, &site, "/tickets?id=", link)),
    }
}

/// An entry of the history: the action's outcome, and the status that it led to.
fn action(action: &Value) -> Change {
    let outcome = text(&action["outcome"]);
    let is_moved = action["old_status"] != action["new_status"];
    let status = is_moved.then(|| text(&action["new_status_name"]));
    Change {
        at: show::moment_of(&text(&action["datetime"])),
        by: text(&action["who"]),
        text: status.map_or(outcome.clone(), |status| format!("{outcome}: status {status}")),
    }
}
