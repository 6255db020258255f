//! What the pretend PSAs' pages have in common: the list of tickets, a ticket with its notes, and what Jane does to it.
//! What a ticket has beside that, and how it asks, is each vendor's own.

use std::fmt;

use askama::Template;
use latchkey_simulators::server::{Request, Response};
use serde_json::Value;

use super::{field, page, see_other, show::Piece, trouble};
use crate::psas::{Names, Psa};

/// No PSA takes a longer one.
const SUMMARY: usize = 100;
const NOTE: usize = 2000;

/// One PSA's pages.
pub(super) trait Pages: Psa {
    fn words(&self) -> Words;

    /// `None` when there is no such ticket.
    fn row(&self, ticket: i64) -> Option<Row>;

    /// A ticket's page: as it goes on by itself, or standing still to be written on.
    fn ticket(&self, row: Row, stands_still: bool) -> Response;

    /// Jane opens a ticket of ACME, or of the company that is no customer.
    fn open(&self, summary: &str, board: &str, is_acme: bool) -> Result<i64, Refused>;

    /// What Jane does beside writing notes and taking a ticket away; `None` when the vendor has no such button.
    fn act(&self, ticket: i64, act: &str, form: &Request) -> Option<Result<(), Refused>>;

    /// Jane takes a ticket away from what it asked for.
    fn take_away(&self, ticket: i64, way: Way) -> Result<(), Refused>;

    /// Jane writes a note that no customer sees.
    fn write_note(&self, ticket: i64, text: &str) -> Result<(), Refused>;
}

/// How a ticket leaves, beside being closed.
#[derive(Debug, Clone, Copy)]
pub(super) enum Way {
    /// To Max.
    Assign,
    /// To the company that is no customer.
    Move,
    /// Into this ticket.
    Merge(i64),
    Delete,
}

impl Way {
    /// What a button says. A ticket is merged into the first other one that is open.
    fn of(psa: &dyn Pages, ticket: i64, button: &str) -> Option<Self> {
        let is_other = |row: &Row| row.id != ticket && !row.is_closed;
        let other = || psa.ticket_ids().into_iter().filter_map(|id| psa.row(id)).find(is_other);
        match button {
            "assign" => Some(Self::Assign),
            "move" => Some(Self::Move),
            "merge" => other().map(|row| Self::Merge(row.id)),
            "delete" => Some(Self::Delete),
            _ => None,
        }
    }
}

/// What the vendor calls things.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words {
    pub(super) summary: &'static str,
    pub(super) board: &'static str,
    pub(super) company: &'static str,
    /// The boards to choose from: what the form sends, and what is read.
    pub(super) boards: &'static [(&'static str, &'static str)],
}

/// The vendor's own answer.
#[derive(Debug)]
pub(super) struct Refused(pub(super) String);

impl<E: fmt::Display> From<E> for Refused {
    fn from(said: E) -> Self {
        Self(said.to_string())
    }
}

#[derive(Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    /// As the vendor writes it.
    pub(super) number: String,
    pub(super) summary: String,
    pub(super) board: String,
    pub(super) company: String,
    pub(super) status: String,
    pub(super) is_closed: bool,
}

/// What each ticket's page shows.
#[derive(Debug)]
pub(super) struct Shown {
    pub(super) names: &'static Names,
    pub(super) words: Words,
    pub(super) row: Row,
    pub(super) owner: String,
    pub(super) notes: Vec<Note>,
    pub(super) trail: Vec<Change>,
    /// The page is drawn again by itself, so that nothing can be written on it.
    pub(super) is_moving: bool,
}

#[derive(Debug)]
pub(super) struct Note {
    pub(super) by: String,
    pub(super) at: String,
    pub(super) edited: Option<String>,
    pub(super) is_internal: bool,
    pub(super) text: Vec<Piece>,
}

#[derive(Debug)]
pub(super) struct Change {
    pub(super) at: String,
    pub(super) by: String,
    pub(super) text: String,
}

#[derive(Debug, Template)]
#[template(path = "tickets.html")]
struct Tickets {
    names: &'static Names,
    words: Words,
    rows: Vec<Row>,
}

/// The pages below the PSA's own address.
pub(super) fn route(psa: &dyn Pages, wanted: (&str, &[&str]), request: &Request) -> Response {
    let found = |id: &str| id.parse().ok().and_then(|id| psa.row(id));
    match wanted {
        ("GET", []) => list(psa),
        ("POST", ["tickets"]) => open(psa, request),
        ("GET", ["tickets", id]) => found(id).map_or_else(no_ticket, |row| psa.ticket(row, false)),
        ("GET", ["tickets", id, "edit"]) => found(id).map_or_else(no_ticket, |row| psa.ticket(row, true)),
        ("POST", ["tickets", id, act]) => found(id).map_or_else(no_ticket, |row| acted(psa, &row, act, request)),
        _ => trouble(404, "There is no such page."),
    }
}

fn no_ticket() -> Response {
    trouble(404, "There is no such ticket.")
}

fn list(psa: &dyn Pages) -> Response {
    let rows = psa.ticket_ids().into_iter().rev().filter_map(|id| psa.row(id)).collect();
    page(200, &Tickets { names: psa.names(), words: psa.words(), rows })
}

fn open(psa: &dyn Pages, request: &Request) -> Response {
    let Some(summary) = field(request, "summary") else { return trouble(400, "Say what the ticket is about.") };
    let board = field(request, "board").unwrap_or_default();
    let is_acme = field(request, "company").as_deref() != Some("globex");
    let summary: String = summary.chars().take(SUMMARY).collect();
    match psa.open(&summary, &board, is_acme) {
        Ok(id) => see_other(&address(psa, id)),
        Err(Refused(said)) => trouble(400, &said),
    }
}

/// Jane does something to a ticket; then the ticket is shown, or what is left without it.
fn acted(psa: &dyn Pages, row: &Row, act: &str, request: &Request) -> Response {
    let done = match act {
        "note" => {
            let Some(text) = field(request, "text") else { return trouble(400, "Write something.") };
            Some(psa.write_note(row.id, &text.chars().take(NOTE).collect::<String>()))
        }
        act => match Way::of(psa, row.id, act) {
            Some(way) => Some(psa.take_away(row.id, way)),
            None => psa.act(row.id, act, request),
        },
    };
    match done {
        Some(Ok(())) if psa.row(row.id).is_none() => see_other(&format!("/{}", psa.names().kind)),
        Some(Ok(())) => see_other(&address(psa, row.id)),
        Some(Err(Refused(said))) => trouble(400, &said),
        None => trouble(404, "There is no such button."),
    }
}

fn address(psa: &dyn Pages, ticket: i64) -> String {
    format!("/{}/tickets/{ticket}", psa.names().kind)
}

/// The vendor's own page of a ticket, as the service links to it: it is not played, ours takes its place.
pub(super) fn own_page(names: &Names, site: &str, before_id: &str, link: &str) -> Option<String> {
    let query = link.strip_prefix(site)?.split_once(before_id)?.1;
    let id: i64 = query.split('&').next()?.parse().ok()?;
    Some(format!("/{}/tickets/{id}", names.kind))
}

pub(super) fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use latchkey_simulators::server::HeaderMap;

    use super::{super::of_the_vendors, *};
    use crate::{
        clock::MovableClock,
        psas::{
            Standing,
            autotask::{ACCESS_FIELD, WANTED},
            halopsa::JANE,
        },
        sandbox::{Plan, Psas},
        vendors::Vendors,
    };

    async fn vendors() -> Vendors {
        Vendors::start(&MovableClock::new(Duration::ZERO), &Plan::default()).await.unwrap()
    }

    /// What the page answers; a form is sent where there is one.
    fn asked(vendors: &Vendors, path: &str, form: Option<&str>) -> (u16, String) {
        let segments: Vec<&str> = path.split('/').filter(|segment| !segment.is_empty()).collect();
        let method = if form.is_some() { "POST" } else { "GET" };
        let request = Request {
            method: method.to_owned(),
            path: path.to_owned(),
            segments: segments.iter().map(|segment| (*segment).to_owned()).collect(),
            raw_query: String::new(),
            query: Vec::new(),
            headers: HeaderMap::new(),
            body: form.unwrap_or_default().to_owned().into(),
        };
        let answer = of_the_vendors(vendors, (method, &segments), &request);
        (answer.status, String::from_utf8(answer.body).unwrap())
    }

    #[tokio::test]
    async fn each_psa_says_that_it_is_pretended_and_asks_in_its_own_words() {
        let vendors = vendors().await;
        let clicks = [
            ("connectwise", "save", "status=JIT+Requested&length=1+hour", ["JIT Access", "Board", "Audit trail"]),
            ("autotask", "save", "status=21&length=60", ["User-Defined", "Queue", "Ticket history"]),
            ("halopsa", "request", "length=1+hour", ["Request JIT access", "Team", "Client"]),
        ];
        for (psa, (kind, button, form, words)) in vendors.psas(Psas::All).into_iter().zip(clicks) {
            let ticket = psa.ticket_ids()[0];
            let (status, list) = asked(&vendors, &format!("/{kind}"), None);
            assert!(status == 200 && list.contains(&format!("Pretend {}", psa.names().product)), "{list}");
            let (_, before) = asked(&vendors, &format!("/{kind}/tickets/{ticket}"), None);
            for word in words {
                assert!(before.to_lowercase().contains(&word.to_lowercase()), "{kind} has no {word}: {before}");
            }
            assert!(!before.contains("1 hour</dd>"), "{kind}: {before}");
            let (status, _) = asked(&vendors, &format!("/{kind}/tickets/{ticket}/{button}"), Some(form));
            assert_eq!((status, psa.standing(ticket)), (303, Some(Standing::Requested)), "{kind}");
            let (_, after) = asked(&vendors, &format!("/{kind}/tickets/{ticket}"), None);
            assert!(after.contains("1 hour</dd>") && after.contains("refresh"), "{kind}: {after}");
            let (_, still) = asked(&vendors, &format!("/{kind}/tickets/{ticket}/edit"), None);
            assert!(!still.contains("refresh") && still.contains("Add note"), "{kind}: {still}");
        }
    }

    #[tokio::test]
    async fn what_is_not_in_a_form_stays_and_an_empty_choice_clears() {
        let vendors = vendors().await;
        let psa = &vendors.autotask;
        let ticket = psa.ticket_ids()[0];
        let save = |form| asked(&vendors, &format!("/autotask/tickets/{ticket}/save"), Some(form)).0;
        let field = || psa.sim.ticket(ticket).unwrap()["userDefinedFields"].to_string();
        assert_eq!(save("access=1&length=60"), 303);
        assert_eq!(save("status=8"), 303);
        assert!(field().contains(&format!("\"name\":\"{ACCESS_FIELD}\",\"value\":\"{}\"", WANTED.0)), "{}", field());
        assert_eq!(save("access="), 303);
        assert!(!field().contains(&format!("\"name\":\"{ACCESS_FIELD}\",\"value\":\"")), "{}", field());
        assert!(field().contains("60"), "{}", field());
        assert_eq!(save("status=nonsense"), 400);
        assert_eq!(save("status=77"), 400, "the PSA has no such status");
    }

    #[tokio::test]
    async fn a_custom_field_of_connectwise_is_set_and_cleared_and_takes_only_what_it_offers() {
        let vendors = vendors().await;
        let psa = &vendors.connectwise;
        let ticket = psa.ticket_ids()[0];
        let save = |form| asked(&vendors, &format!("/connectwise/tickets/{ticket}/save"), Some(form)).0;
        let access = || psa.value_of(ticket, psa.access_field);
        assert_eq!((save("access=Wanted"), access().as_str()), (303, "Wanted"));
        assert_eq!((save("status=Closed"), access().as_str()), (303, "Wanted"), "what is not in the form stays");
        assert!(psa.row(ticket).unwrap().is_closed);
        assert_eq!((save("status=New&access="), access().as_str()), (303, ""));
        assert!(!psa.row(ticket).unwrap().is_closed);
        assert_eq!((save("length=a+year"), save("status=nonsense")), (400, 400));
    }

    #[tokio::test]
    async fn a_status_of_halopsa_asks_as_the_button_does_and_only_what_is_offered_is_taken() {
        let vendors = vendors().await;
        let psa = &vendors.halopsa;
        let ticket = psa.ticket_ids()[0];
        let page = |path: &str| asked(&vendors, &format!("/halopsa/tickets/{ticket}{path}"), None).1;
        let save = |form: &str| asked(&vendors, &format!("/halopsa/tickets/{ticket}/save"), Some(form)).0;
        let requested = psa.service_desk.board.requested;
        assert!(page("").contains(&format!("<option value=\"{requested}\">JIT requested</option>")), "{}", page(""));
        assert_eq!(save(&format!("status={requested}&length=1+hour")), 303);
        assert_eq!(psa.standing(ticket), Some(Standing::Requested));
        let last = psa.sim.actions(ticket).pop().unwrap();
        assert_eq!(
            (&last["actionby_agent_id"], &last["outcome_id"]),
            (&Value::from(JANE), &Value::from(0)),
            "no button"
        );
        assert!(!page("").contains(">Save<") && page("/edit").contains(">Save<"), "{}", page(""));
        assert_eq!(save("status=1"), 303);
        assert!(psa.standing(ticket).is_none() && page("").contains("1 hour</dd>"), "what is not in the form stays");
        let entries = psa.sim.actions(ticket).len();
        assert_eq!((save("status=1&length=1+hour"), psa.sim.actions(ticket).len()), (303, entries), "nothing is new");
        assert_eq!(save("length="), 303);
        assert!(page("").contains("not set</dd>"), "{}", page(""));
        assert_eq!((save("length=a+year"), save("status=nonsense"), save("status=777")), (400, 400, 400));
    }

    #[tokio::test]
    async fn a_ticket_can_be_assigned_moved_merged_and_deleted_in_each_psa() {
        let vendors = vendors().await;
        for psa in vendors.psas(Psas::All) {
            let at = |n: usize| format!("/{}/tickets/{}", psa.names().kind, psa.ticket_ids()[n]);
            let (first, second) = (at(0), at(1));
            let press = |ticket: &str, button: &str| asked(&vendors, &format!("{ticket}/{button}"), Some("")).0;
            let page = || asked(&vendors, &first, None);
            assert_eq!(press(&first, "assign"), 303, "{first}");
            assert!(page().1.contains("Max Smith</dd>"), "{}", page().1);
            assert_eq!(press(&first, "move"), 303, "{first}");
            assert!(page().1.contains("Globex GmbH</dd>"), "{}", page().1);
            assert_eq!(press(&second, "merge"), 303, "{second}");
            assert_eq!(press(&first, "delete"), 303, "{first}");
            assert_eq!(page().0, 404, "{first}");
        }
    }

    #[tokio::test]
    async fn a_note_is_internal_and_shown_as_it_was_written() {
        let vendors = vendors().await;
        for psa in vendors.psas(Psas::All) {
            let at = format!("/{}/tickets/{}", psa.names().kind, psa.ticket_ids()[0]);
            assert_eq!(asked(&vendors, &format!("{at}/note"), Some("text=%3Cb%3Ehello")).0, 303, "{at}");
            let (_, page) = asked(&vendors, &at, None);
            assert!(page.contains("&#60;b&#62;hello") && page.contains("note internal"), "{at}: {page}");
            assert_eq!(asked(&vendors, &format!("{at}/note"), Some("text=")).0, 400, "{at}");
            assert_eq!(asked(&vendors, &format!("{at}/nonsense"), Some("")).0, 404, "{at}");
        }
        assert_eq!(asked(&vendors, "/halopsa/tickets/1", None).0, 404);
    }
}
