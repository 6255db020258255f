//! The pretend ConnectWise PSA of Example MSP: boards, people, companies and a few tickets, and what
//! Jane Doe does in it.

use latchkey_simulators::connectwise::{
    ApiCredentials, ConnectWise, FieldKind, NewTicket, Options, Refused, SIGNATURE_HEADER, Tenant,
};
use latchkey_simulators::{Authority, SimClock, fault::Faults};
use serde_json::Value;

use super::{
    Answered, BY_LINK, Board, Connected, IN_TICKET, LENGTHS, Mapping, Names, Psa, Sent, Standing, Told, Trigger,
};

pub(crate) const LOGIN_COMPANY: &str = "examplemsp";

pub(crate) const NAMES: Names = Names { connection: "cw", kind: "connectwise", product: "ConnectWise PSA" };

/// A board's statuses, in the order in which they are offered. In the first a ticket is new, in the last it is closed.
pub(crate) const STATUSES: [&str; 6] = [NEW, REQUESTED, ACTIVE, DONE, REFUSED, CLOSED];
const NEW: &str = "New";
pub(crate) const REQUESTED: &str = "JIT Requested";
const ACTIVE: &str = "JIT Active";
const DONE: &str = "JIT Done";
const REFUSED: &str = "JIT Refused";
const CLOSED: &str = "Closed";

/// What the field that asks offers.
pub(crate) const WANTED: [&str; 1] = ["Wanted"];

/// Who the service's notes are by.
const API_MEMBER: &str = "LatchkeyApi";

/// The running PSA, with the ids of everything in it.
#[derive(Debug)]
pub(crate) struct Desk {
    pub(crate) sim: ConnectWise,
    pub(crate) msp: Tenant,
    pub(crate) api: ApiCredentials,
    /// Credentials come by claim link.
    pub(crate) help_desk: Board,
    /// Credentials come in the ticket.
    pub(crate) projects: Board,
    pub(crate) acme: i64,
    /// Bound to no customer.
    pub(crate) globex: i64,
    pub(crate) length_field: i64,
    /// It asks on the Help Desk, beside the status.
    pub(crate) access_field: i64,
    pub(crate) jane: Member,
    pub(crate) max: Member,
    pub(crate) crowd: Vec<Technician>,
}

/// One of many, known by nothing but a number.
#[derive(Debug, Clone)]
pub(crate) struct Technician {
    pub(crate) id: i64,
    pub(crate) identifier: String,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Member {
    pub(crate) id: i64,
    pub(crate) identifier: &'static str,
    pub(crate) first: &'static str,
    pub(crate) last: &'static str,
}

const JANE: Member = Member { id: 176, identifier: "jdoe", first: "Jane", last: "Doe" };
const MAX: Member = Member { id: 177, identifier: "msmith", first: "Max", last: "Smith" };

impl Desk {
    /// Starts it and fills it.
    pub(crate) async fn start(authority: &Authority, clock: SimClock, crowd: usize) -> anyhow::Result<Self> {
        let sim = ConnectWise::start(Options::secure(authority, clock)).await?;
        let msp = sim.add_tenant(LOGIN_COMPANY, "Example MSP");
        for member in [JANE, MAX] {
            msp.add_member(member.id, member.identifier, "F", false);
            msp.set_member_name(member.identifier, member.first, member.last);
        }
        let crowd: Vec<Technician> =
            (1..).map(|n| Technician { id: 1000 + n, identifier: format!("tech{n:03}") }).take(crowd).collect();
        for technician in &crowd {
            msp.add_member(technician.id, &technician.identifier, "F", false);
        }
        let api = msp.add_api_member(243, API_MEMBER);
        msp.set_member_name(API_MEMBER, "Latchkey", "(API member)");
        let desk = Self {
            help_desk: board(&msp, "Help Desk"),
            projects: board(&msp, "Projects"),
            acme: msp.add_company_of_types("ACME", "ACME Ltd", &["Managed"]),
            globex: msp.add_company("GLOBEX", "Globex GmbH"),
            length_field: msp.add_field("JIT Duration", FieldKind::List, &LENGTHS),
            access_field: msp.add_field("JIT Access", FieldKind::List, &WANTED),
            jane: JANE,
            max: MAX,
            crowd,
            sim,
            msp,
            api,
        };
        desk.open_tickets()?;
        Ok(desk)
    }

    fn open_tickets(&self) -> Result<(), Refused> {
        for (summary, board, company, owner) in [
            ("Shared mailbox of finance has vanished", self.help_desk, self.acme, JANE),
            ("New hire cannot send as support@", self.help_desk, self.acme, JANE),
            ("Printer on floor 2 prints backwards", self.help_desk, self.globex, MAX),
            ("Tenant clean-up: stale accounts", self.projects, self.acme, JANE),
            ("Laptop rollout, phase 2", self.projects, self.acme, MAX),
        ] {
            self.open_ticket(summary, board, company, owner)?;
        }
        Ok(())
    }

    /// Opens a ticket in its board's first status; answers its number.
    pub(crate) fn open_ticket(&self, summary: &str, board: Board, company: i64, owner: Member) -> Result<i64, Refused> {
        let new = NewTicket::new(summary, board.id, company);
        self.msp.add_ticket(new.entered_by(JANE.identifier).owner(owner.identifier))
    }

    /// A ticket of ACME's that no webhook is told of.
    pub(crate) fn open_unheard(&self, summary: &str) -> Result<i64, Refused> {
        let new = NewTicket::new(summary, self.projects.id, self.acme).without_callback();
        self.msp.add_ticket(new.entered_by(JANE.identifier))
    }

    /// Jane chooses one of [`STATUSES`].
    pub(crate) fn choose_status(&self, ticket: i64, name: &str) -> Result<(), Refused> {
        let board = self.board_of(ticket).ok_or_else(|| Refused(format!("Ticket {ticket} not found")))?;
        let jane = self.msp.acting(JANE.identifier);
        match name {
            NEW => jane.reopen(ticket),
            REQUESTED => jane.set_status(ticket, board.requested),
            ACTIVE => jane.set_status(ticket, board.active),
            DONE => jane.set_status(ticket, board.done),
            REFUSED => jane.set_status(ticket, board.refused),
            CLOSED => jane.close(ticket),
            other => Err(Refused(format!("{other} is no status of the ticket's board"))),
        }
    }

    /// What a custom field of a ticket holds; nothing where it is not set.
    pub(crate) fn value_of(&self, ticket: i64, field: i64) -> String {
        let ticket = self.msp.ticket(ticket).unwrap_or_default();
        let fields = ticket["customFields"].as_array();
        let found = fields.into_iter().flatten().find(|f| f["id"] == field);
        found.and_then(|f| f["value"].as_str()).unwrap_or_default().to_owned()
    }

    /// The board a ticket is on; `None` when there is no such ticket.
    pub(crate) fn board_of(&self, ticket: i64) -> Option<Board> {
        let id = self.msp.ticket(ticket)?["board"]["id"].as_i64()?;
        [self.help_desk, self.projects].into_iter().find(|b| b.id == id)
    }

    /// The id of a ticket's status; `None` when there is no such ticket.
    pub(crate) fn status_of(&self, ticket: i64) -> Option<i64> {
        self.msp.ticket(ticket)?["status"]["id"].as_i64()
    }
}

#[async_trait::async_trait]
impl Psa for Desk {
    fn names(&self) -> &'static Names {
        &NAMES
    }

    fn connected(&self) -> Connected {
        let mapping = |id, board, trigger, policy| {
            let length_field = self.length_field;
            Mapping { id, board, trigger, length_field, policy }
        };
        let by_field = Trigger::Field(self.access_field, WANTED[0]);
        Connected {
            settings: vec![
                ("site", self.sim.base_url()),
                ("company", LOGIN_COMPANY.to_owned()),
                ("client_id", self.api.client_id.clone()),
                ("public_key", self.api.public_key.clone()),
            ],
            secrets: vec![("private-key", self.api.private_key.clone())],
            acme: self.acme,
            jane: self.jane.id,
            max: self.max.id,
            crowd: self.crowd.iter().map(|technician| technician.id).collect(),
            mappings: vec![
                mapping("help-desk", self.help_desk, Trigger::Status, BY_LINK),
                mapping("help-desk-field", self.help_desk, by_field, BY_LINK),
                mapping("projects", self.projects, Trigger::Status, IN_TICKET),
            ],
        }
    }

    fn hooks(&self) -> Vec<String> {
        let callbacks = self.msp.callbacks();
        let active = callbacks.iter().filter(|callback| callback["inactiveFlag"] == false);
        active.filter_map(|callback| callback["url"].as_str().map(str::to_owned)).collect()
    }

    fn answered(&self, ticket: i64) -> Option<Answered> {
        let sent = self.sim.deliveries().into_iter().rfind(|sent| sent.ticket == ticket && sent.status.is_some())?;
        let is_signed = sent.signature == Some(self.msp.sign(&sent.body));
        Some(Answered { status: sent.status?, proof: is_signed.then_some("signed with the PSA's key") })
    }

    fn told(&self, ticket: i64) -> Vec<Told> {
        let mut notes = self.msp.notes(ticket);
        notes.retain(|note| note["createdBy"] == API_MEMBER);
        notes.sort_by_key(|note| note["id"].as_i64());
        let told = |note: &Value| Told {
            id: note["id"].as_i64().unwrap_or_default(),
            text: note["text"].as_str().unwrap_or_default().to_owned(),
            is_internal: note["internalAnalysisFlag"] == true
                && note["detailDescriptionFlag"] == false
                && note["resolutionFlag"] == false,
        };
        notes.iter().map(told).collect()
    }

    fn standing(&self, ticket: i64) -> Option<Standing> {
        self.board_of(ticket)?.standing(self.status_of(ticket)?)
    }

    fn ticket_ids(&self) -> Vec<i64> {
        self.msp.ticket_ids()
    }

    fn open_for_acme(&self, summary: &str) -> anyhow::Result<i64> {
        Ok(self.open_ticket(summary, self.projects, self.acme, self.jane)?)
    }

    fn ask(&self, ticket: i64, n: usize) -> anyhow::Result<()> {
        let technician = &self.crowd[n % self.crowd.len()].identifier;
        Ok(self.msp.acting(technician).set_status(ticket, self.projects.requested)?)
    }

    fn faults(&self) -> &Faults {
        self.sim.faults()
    }

    fn last_sent(&self) -> Option<Sent> {
        let sent = self.sim.deliveries().pop()?;
        Some(Sent { url: sent.url, body: sent.body, header: (SIGNATURE_HEADER, sent.signature?) })
    }

    async fn settled(&self) {
        self.sim.settled().await;
    }
}

fn board(msp: &Tenant, name: &str) -> Board {
    let id = msp.add_board(name);
    let status = |name, closed| msp.add_status(id, name, closed);
    status(NEW, false);
    let board = Board {
        id,
        requested: status(REQUESTED, false),
        active: status(ACTIVE, false),
        done: status(DONE, false),
        refused: status(REFUSED, false),
    };
    status(CLOSED, true);
    board
}
