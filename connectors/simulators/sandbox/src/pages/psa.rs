//! The pretend PSA's pages: the list of tickets, and a ticket with its notes and buttons.

use askama::Template;
use latchkey_simulators::connectwise::Refused;
use latchkey_simulators::server::{Request, Response};
use serde_json::Value;

use super::{field, page, see_other, show, show::Piece, trouble};
use crate::{
    psa::{LENGTHS, Psa},
    vendors::Vendors,
};

#[derive(Debug, Template)]
#[template(path = "tickets.html")]
struct Tickets {
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    id: i64,
    summary: String,
    board: String,
    company: String,
    status: String,
    is_closed: bool,
}

#[derive(Debug, Template)]
#[template(path = "ticket.html")]
struct Ticket {
    row: Row,
    owner: String,
    length: String,
    updated: String,
    updated_by: String,
    notes: Vec<Note>,
    trail: Vec<Change>,
    lengths: &'static [&'static str],
    asks: bool,
    is_moving: bool,
}

#[derive(Debug)]
struct Note {
    by: String,
    at: String,
    edited: Option<String>,
    is_internal: bool,
    text: Vec<Piece>,
}

/// The PSA's own page of a ticket, as the service links to it. It is not played: ours takes its place.
fn own_page(psa: &Psa, address: &str) -> Option<String> {
    let query = address.strip_prefix(&psa.sim.base_url())?.split_once("service_recid=")?.1;
    let id: i64 = query.split('&').next()?.parse().ok()?;
    Some(format!("/psa/tickets/{id}"))
}

#[derive(Debug)]
struct Change {
    at: String,
    by: String,
    text: String,
}

pub(super) fn tickets(vendors: &Vendors) -> Response {
    let msp = &vendors.psa.msp;
    let rows = msp.ticket_ids().into_iter().rev().filter_map(|id| msp.ticket(id)).map(|t| row(&t)).collect();
    page(200, &Tickets { rows })
}

pub(super) fn ticket(vendors: &Vendors, id: &str) -> Response {
    let psa = &vendors.psa;
    let found = id.parse().ok().and_then(|id| psa.msp.ticket(id));
    match found {
        Some(ticket) => page(200, &whole(psa, &ticket)),
        None => trouble(404, "There is no such ticket."),
    }
}

pub(super) fn open(vendors: &Vendors, request: &Request) -> Response {
    let psa = &vendors.psa;
    let Some(summary) = field(request, "summary") else { return trouble(400, "Say what the ticket is about.") };
    let board = if field(request, "board").as_deref() == Some("projects") { psa.projects } else { psa.help_desk };
    let company = if field(request, "company").as_deref() == Some("globex") { psa.globex } else { psa.acme };
    let summary: String = summary.chars().take(100).collect();
    match psa.open_ticket(&summary, board, company, psa.jane) {
        Ok(id) => see_other(&format!("/psa/tickets/{id}")),
        Err(refused) => trouble(400, &refused.to_string()),
    }
}

pub(super) fn request_access(vendors: &Vendors, id: &str, request: &Request) -> Response {
    let length = field(request, "length");
    if length.as_deref().is_some_and(|l| !LENGTHS.contains(&l)) {
        return trouble(400, "The field offers no such length.");
    }
    acted(vendors, id, |psa, id| psa.request_access(id, length.as_deref()))
}

pub(super) fn close(vendors: &Vendors, id: &str) -> Response {
    acted(vendors, id, |psa, id| psa.msp.acting(psa.jane.identifier).close(id))
}

pub(super) fn reopen(vendors: &Vendors, id: &str) -> Response {
    acted(vendors, id, |psa, id| psa.msp.acting(psa.jane.identifier).reopen(id))
}

/// Jane does something to a ticket; then the ticket is shown.
fn acted(vendors: &Vendors, id: &str, act: impl FnOnce(&Psa, i64) -> Result<(), Refused>) -> Response {
    let psa = &vendors.psa;
    let Some(id) = id.parse().ok().filter(|id| psa.msp.ticket(*id).is_some()) else {
        return trouble(404, "There is no such ticket.");
    };
    match act(psa, id) {
        Ok(()) => see_other(&format!("/psa/tickets/{id}")),
        Err(refused) => trouble(400, &refused.to_string()),
    }
}

fn row(ticket: &Value) -> Row {
    Row {
        id: ticket["id"].as_i64().unwrap_or_default(),
        summary: text(&ticket["summary"]),
        board: text(&ticket["board"]["name"]),
        company: text(&ticket["company"]["name"]),
        status: text(&ticket["status"]["name"]),
        is_closed: ticket["closedFlag"] == true,
    }
}

fn whole(psa: &Psa, ticket: &Value) -> Ticket {
    let row = row(ticket);
    let fields = ticket["customFields"].as_array();
    let length = fields.into_iter().flatten().find(|f| f["id"] == psa.length_field);
    let status = ticket["status"]["id"].as_i64();
    let board = psa.board_of(row.id);
    let in_status = |of: fn(&crate::psa::Board) -> i64| status.is_some() && status == board.as_ref().map(of);
    Ticket {
        owner: text(&ticket["owner"]["name"]),
        length: length.map(|f| text(&f["value"])).unwrap_or_default(),
        updated: show::moment_of(&text(&ticket["_info"]["lastUpdated"])),
        updated_by: text(&ticket["_info"]["updatedBy"]),
        notes: psa.msp.notes(row.id).iter().rev().map(|n| note(psa, n)).collect(),
        trail: psa.msp.audit(row.id).iter().rev().map(change).collect(),
        lengths: &LENGTHS,
        asks: in_status(|b| b.requested) || in_status(|b| b.active),
        is_moving: in_status(|b| b.requested) || in_status(|b| b.active) || in_status(|b| b.done),
        row,
    }
}

fn note(psa: &Psa, note: &Value) -> Note {
    let (created, updated) = (text(&note["dateCreated"]), text(&note["_info"]["lastUpdated"]));
    let author = text(&note["member"]["name"]);
    Note {
        by: if author.is_empty() { text(&note["createdBy"]) } else { author },
        at: show::moment_of(&created),
        edited: (created != updated).then(|| show::moment_of(&updated)),
        is_internal: note["internalAnalysisFlag"] == true,
        text: show::pieces(&text(&note["text"]), |address| own_page(psa, address)),
    }
}

fn change(entry: &Value) -> Change {
    Change {
        at: show::moment_of(&text(&entry["enteredDate"])),
        by: text(&entry["enteredBy"]),
        text: text(&entry["text"]),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
