//! The pretend ConnectWise PSA's pages: a board's status asks, and a custom field says for how long.

use askama::Template;
use latchkey_simulators::connectwise::Tab;
use latchkey_simulators::server::{Request, Response};
use serde_json::Value;

use super::{
    field, page,
    psa::{Change, Note, Pages, Refused, Row, Shown, Words, own_page, text},
    show::{self, Piece},
};
use crate::psas::{
    LENGTHS, Psa as _, Standing,
    connectwise::{Desk, NAMES},
};

#[derive(Debug, Template)]
#[template(path = "connectwise.html")]
struct Ticket {
    shown: Shown,
    length: String,
    updated: String,
    updated_by: String,
    lengths: &'static [&'static str],
    asks: bool,
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
        let fields = ticket["customFields"].as_array();
        let length = fields.into_iter().flatten().find(|f| f["id"] == self.length_field);
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
                length: length.map(|f| text(&f["value"])).unwrap_or_default(),
                updated: show::moment_of(&text(&ticket["_info"]["lastUpdated"])),
                updated_by: text(&ticket["_info"]["updatedBy"]),
                lengths: &LENGTHS,
                asks: matches!(standing, Some(Standing::Requested | Standing::Active)),
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
            "request" => match field(form, "length") {
                Some(other) if !LENGTHS.contains(&other.as_str()) => Err("The field offers no such length.".into()),
                length => self.request_access(ticket, length.as_deref()).map_err(Refused::from),
            },
            "close" => jane.close(ticket).map_err(Refused::from),
            "reopen" => jane.reopen(ticket).map_err(Refused::from),
            _ => return None,
        })
    }

    fn write_note(&self, ticket: i64, text: &str) -> Result<(), Refused> {
        self.msp.acting(self.jane.identifier).add_note(ticket, text, Tab::Internal)?;
        Ok(())
    }
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
