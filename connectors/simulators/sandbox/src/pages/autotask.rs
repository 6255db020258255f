//! The pretend Autotask PSA's pages: a ticket is edited and saved, and its status, queue or user-defined field asks.

use askama::Template;
use latchkey_simulators::server::{Request, Response};
use serde_json::{Value, json};

use super::{
    page,
    psa::{Change, Note, Pages, Refused, Row, Shown, Way, Words, own_page, text},
    show::{self, Choice, Piece, choices, optional},
};
use crate::psas::{
    LENGTHS, Psa as _, Standing,
    autotask::{
        ACCESS_FIELD, ACME, COMPLETE, Desk, GLOBEX, HELP_DESK, INTERNAL, JANE, LENGTH_FIELD, MAX, MINUTES, NAMES, NEW,
        PROJECTS, QUEUES, WANTED,
    },
};

const COMPANIES: [(i64, &str); 2] = [(ACME, "ACME Ltd"), (GLOBEX, "Globex GmbH")];

#[derive(Debug, Template)]
#[template(path = "autotask.html")]
struct Ticket {
    shown: Shown,
    access: String,
    length: String,
    activity: String,
    /// What the form offers, each with its value and label; the present one is chosen.
    statuses: Vec<Choice>,
    queues: Vec<Choice>,
    accesses: Vec<Choice>,
    lengths: Vec<Choice>,
}

impl Pages for Desk {
    fn words(&self) -> Words {
        let boards = &[
            ("help-desk", "Help Desk (its status asks; credentials by claim link)"),
            ("projects", "Projects (JIT Access asks; credentials in the ticket)"),
        ];
        Words { summary: "Title", board: "Queue", company: "Company", boards }
    }

    fn row(&self, ticket: i64) -> Option<Row> {
        let ticket = self.sim.ticket(ticket)?;
        let label = |list: &str| ticket[list].as_i64().map(|id| self.sim.label(list, id)).unwrap_or_default();
        let company = COMPANIES.into_iter().find(|(id, _)| ticket["companyID"] == *id);
        Some(Row {
            id: ticket["id"].as_i64()?,
            number: text(&ticket["ticketNumber"]),
            summary: text(&ticket["title"]),
            board: label("queueID"),
            company: company.map(|(_, name)| name.to_owned()).unwrap_or_default(),
            status: label("status"),
            is_closed: ticket["status"] == COMPLETE,
        })
    }

    fn ticket(&self, row: Row, stands_still: bool) -> Response {
        let ticket = self.sim.ticket(row.id).unwrap_or_default();
        let udf = |name: &str| {
            let udfs = ticket["userDefinedFields"].as_array();
            let udf = udfs.into_iter().flatten().find(|udf| udf["name"] == name);
            udf.map(|udf| text(&udf["value"])).unwrap_or_default()
        };
        let (access, length) = (udf(ACCESS_FIELD), udf(LENGTH_FIELD));
        let queues = QUEUES.into_iter().map(|(queue, name)| (queue.id.to_string(), name.to_owned()));
        let statuses = self.statuses().into_iter().map(|(id, name)| (id.to_string(), name));
        let lengths: Vec<(&str, &str)> = MINUTES.into_iter().zip(LENGTHS).collect();
        let shown = Shown {
            names: &NAMES,
            words: self.words(),
            owner: self.name_of(&ticket["assignedResourceID"]),
            notes: self.sim.notes(row.id).iter().rev().map(|n| note(self, n)).collect(),
            trail: self.sim.history(row.id).iter().rev().map(|entry| change(self, entry)).collect(),
            is_moving: self.standing(row.id).is_some_and(|at| at != Standing::Refused) && !stands_still,
            row,
        };
        page(
            200,
            &Ticket {
                shown,
                activity: show::moment_of(&text(&ticket["lastActivityDate"])),
                statuses: choices(statuses, &ticket["status"].to_string()),
                queues: choices(queues, &ticket["queueID"].to_string()),
                accesses: optional(&[WANTED], &access),
                lengths: optional(&lengths, &length),
                access: label(&[WANTED], &access),
                length: label(&lengths, &length),
            },
        )
    }

    fn open(&self, summary: &str, board: &str, is_acme: bool) -> Result<i64, Refused> {
        let queue = if board == "projects" { PROJECTS } else { HELP_DESK };
        Ok(self.open_ticket(summary, queue, if is_acme { ACME } else { GLOBEX }, JANE)?)
    }

    fn act(&self, ticket: i64, act: &str, form: &Request) -> Option<Result<(), Refused>> {
        let done = match act {
            "save" => self.jane().change(ticket, &saved(form)),
            "complete" => self.jane().set_status(ticket, COMPLETE),
            "reopen" => self.jane().set_status(ticket, NEW),
            _ => return None,
        };
        Some(done.map_err(Refused::from))
    }

    fn take_away(&self, ticket: i64, way: Way) -> Result<(), Refused> {
        let jane = self.jane();
        let done = match way {
            Way::Assign => jane.assign(ticket, Some(MAX)),
            Way::Move => jane.change(ticket, &json!({ "companyID": GLOBEX })),
            Way::Merge(into) => jane.merge(ticket, into),
            Way::Delete => jane.delete(ticket),
        };
        done.map_err(Refused::from)
    }

    fn write_note(&self, ticket: i64, text: &str) -> Result<(), Refused> {
        self.jane().add_note(ticket, text, INTERNAL)?;
        Ok(())
    }
}

/// What the form says, as one save. What is not in the form stays; an empty choice clears its field.
fn saved(form: &Request) -> Value {
    let mut change = json!({});
    let mut udfs = Vec::new();
    for (name, value) in form.form() {
        match name.as_str() {
            // The PSA refuses what is not on its lists, and numbers that are none.
            "status" => change["status"] = json!(value),
            "queue" => change["queueID"] = json!(value),
            "access" => udfs.push(json!({"name": ACCESS_FIELD, "value": value})),
            "length" => udfs.push(json!({"name": LENGTH_FIELD, "value": value})),
            _ => {}
        }
    }
    change["userDefinedFields"] = json!(udfs);
    change
}

fn label(offered: &[(&str, &str)], present: &str) -> String {
    offered.iter().find(|(value, _)| *value == present).map(|(_, label)| (*label).to_owned()).unwrap_or_default()
}

fn note(psa: &Desk, note: &Value) -> Note {
    let site = psa.sim.base_url();
    let at = |name: &str| show::moment_of(&text(&note[name]));
    let (created, edited) = (at("createDateTime"), at("lastActivityDate"));
    Note {
        by: psa.name_of(&note["creatorResourceID"]),
        edited: (created != edited).then_some(edited),
        at: created,
        is_internal: note["publish"] == INTERNAL,
        text: show::pieces(&text(&note["description"]), |link| own_page(&NAMES, &site, "TicketID=", link)),
    }
}

fn change(psa: &Desk, entry: &Value) -> Change {
    Change {
        at: show::moment_of(&text(&entry["date"])),
        by: psa.name_of(&entry["resourceID"]),
        text: text(&entry["detail"]),
    }
}
