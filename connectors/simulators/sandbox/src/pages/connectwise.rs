//! The pretend ConnectWise PSA's pages: a ticket is edited and saved, and its status or a custom field asks.

use askama::Template;
use latchkey_simulators::connectwise::Tab;
use latchkey_simulators::server::{Request, Response};
use serde_json::Value;

use super::{
    page,
    psa::{Change, Note, Pages, Refused, Row, Shown, Way, Words, own_page, text},
    show::{self, Choice, Piece, choices, optional},
};
use crate::psas::{
    LENGTHS, Psa as _, Standing,
    connectwise::{Desk, NAMES, STATUSES, WANTED},
};

#[derive(Debug, Template)]
#[template(path = "connectwise.html")]
struct Ticket {
    shown: Shown,
    access: String,
    length: String,
    updated: String,
    updated_by: String,
    /// What the form offers; the present value is chosen.
    statuses: Vec<Choice>,
    accesses: Vec<Choice>,
    lengths: Vec<Choice>,
}

impl Pages for Desk {
    fn words(&self) -> Words {
        let boards = &[
            ("help-desk", "Help Desk (credentials by claim link)"),
            ("projects", "Projects (credentials in the ticket)"),
        ];
        Words { summary: "Summary", board: "Board", company: "Company", boards }
    }

    fn row(&self, ticket: i64) -> Option<Row> {
        let ticket = self.msp.ticket(ticket)?;
        let id = ticket["id"].as_i64()?;
        Some(Row {
            id,
            number: format!("#{id}"),
            summary: text(&ticket["summary"]),
            board: text(&ticket["board"]["name"]),
            company: text(&ticket["company"]["name"]),
            status: text(&ticket["status"]["name"]),
            is_closed: ticket["closedFlag"] == true,
        })
    }

    fn ticket(&self, row: Row, stands_still: bool) -> Response {
        let ticket = self.msp.ticket(row.id).unwrap_or_default();
        let standing = self.standing(row.id);
        let (access, length) = (self.value_of(row.id, self.access_field), self.value_of(row.id, self.length_field));
        let statuses = STATUSES.map(|name| (name.to_owned(), name.to_owned()));
        let shown = Shown {
            names: &NAMES,
            words: self.words(),
            owner: text(&ticket["owner"]["name"]),
            notes: self.msp.notes(row.id).iter().rev().map(|n| note(self, n)).collect(),
            trail: self.msp.audit(row.id).iter().rev().map(change).collect(),
            is_moving: standing.is_some_and(|at| at != Standing::Refused) && !stands_still,
            row,
        };
        page(
            200,
            &Ticket {
                shown,
                statuses: choices(statuses, &text(&ticket["status"]["name"])),
                accesses: optional(&WANTED.map(|value| (value, value)), &access),
                lengths: optional(&LENGTHS.map(|value| (value, value)), &length),
                access,
                length,
                updated: show::moment_of(&text(&ticket["_info"]["lastUpdated"])),
                updated_by: text(&ticket["_info"]["updatedBy"]),
            },
        )
    }

    fn open(&self, summary: &str, board: &str, is_acme: bool) -> Result<i64, Refused> {
        let board = if board == "projects" { self.projects } else { self.help_desk };
        let company = if is_acme { self.acme } else { self.globex };
        Ok(self.open_ticket(summary, board, company, self.jane)?)
    }

    fn act(&self, ticket: i64, act: &str, form: &Request) -> Option<Result<(), Refused>> {
        let jane = self.msp.acting(self.jane.identifier);
        Some(match act {
            "save" => save(self, ticket, form),
            "close" => jane.close(ticket).map_err(Refused::from),
            "reopen" => jane.reopen(ticket).map_err(Refused::from),
            _ => return None,
        })
    }

    fn take_away(&self, ticket: i64, way: Way) -> Result<(), Refused> {
        let jane = self.msp.acting(self.jane.identifier);
        let done = match way {
            Way::Assign => jane.assign(ticket, Some(self.max.identifier)),
            Way::Move => jane.move_company(ticket, self.globex),
            Way::Merge(into) => jane.merge(into, &[ticket]),
            Way::Delete => jane.delete(ticket),
        };
        done.map_err(Refused::from)
    }

    fn write_note(&self, ticket: i64, text: &str) -> Result<(), Refused> {
        self.msp.acting(self.jane.identifier).add_note(ticket, text, Tab::Internal)?;
        Ok(())
    }
}

/// What the form says, each as a save of its own, what asks after the length. What is not in the form, or stands there
/// already, stays; an empty choice clears its field.
fn save(psa: &Desk, ticket: i64, form: &Request) -> Result<(), Refused> {
    let jane = psa.msp.acting(psa.jane.identifier);
    let said = |name: &str| form.form().into_iter().find(|(n, _)| n == name).map(|(_, value)| value);
    for (name, field, offers) in [("length", psa.length_field, &LENGTHS[..]), ("access", psa.access_field, &WANTED[..])]
    {
        let Some(value) = said(name) else { continue };
        if !value.is_empty() && !offers.contains(&value.as_str()) {
            return Err("The field offers no such choice.".into());
        }
        if value != psa.value_of(ticket, field) {
            jane.set_field(ticket, field, Some(value).filter(|value| !value.is_empty()))?;
        }
    }
    if let Some(status) = said("status")
        && psa.row(ticket).is_some_and(|row| row.status != status)
    {
        psa.choose_status(ticket, &status)?;
    }
    Ok(())
}

fn note(psa: &Desk, note: &Value) -> Note {
    let (created, updated) = (text(&note["dateCreated"]), text(&note["_info"]["lastUpdated"]));
    let author = text(&note["member"]["name"]);
    let site = psa.sim.base_url();
    Note {
        by: if author.is_empty() { text(&note["createdBy"]) } else { author },
        at: show::moment_of(&created),
        edited: (created != updated).then(|| show::moment_of(&updated)),
        is_internal: note["internalAnalysisFlag"] == true,
        text: show::pieces(&text(&note["text"]), |link| own_page(&NAMES, &site, "service_recid=", link)),
    }
}

fn change(entry: &Value) -> Change {
    Change {
        at: show::moment_of(&text(&entry["enteredDate"])),
        by: text(&entry["enteredBy"]),
        text: text(&entry["text"]),
    }
}
