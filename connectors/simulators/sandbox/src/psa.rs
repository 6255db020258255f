//! The pretend ConnectWise PSA of Example MSP: boards, people, companies and a few tickets, and what
//! Jane Doe does in it.

use latchkey_simulators::connectwise::{ApiCredentials, ConnectWise, FieldKind, NewTicket, Options, Refused, Tenant};
use latchkey_simulators::{Authority, SimClock};

pub(crate) const LOGIN_COMPANY: &str = "examplemsp";

/// What the custom field offers. The last one is more than the policies allow, to see it refused.
pub(crate) const LENGTHS: [&str; 6] = ["2 minutes", "5 minutes", "15 minutes", "1 hour", "8 hours", "3 days"];

/// The running PSA, with the ids of everything in it.
#[derive(Debug)]
pub(crate) struct Psa {
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

/// A service board with the statuses that matter to the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Board {
    pub(crate) id: i64,
    pub(crate) requested: i64,
    pub(crate) active: i64,
    pub(crate) done: i64,
    pub(crate) refused: i64,
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

impl Psa {
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
        let api = msp.add_api_member(243, "LatchkeyApi");
        msp.set_member_name("LatchkeyApi", "Latchkey", "(API member)");
        let psa = Self {
            help_desk: Board::add(&msp, "Help Desk"),
            projects: Board::add(&msp, "Projects"),
            acme: msp.add_company_of_types("ACME", "ACME Ltd", &["Managed"]),
            globex: msp.add_company("GLOBEX", "Globex GmbH"),
            length_field: msp.add_field("JIT Duration", FieldKind::List, &LENGTHS),
            jane: JANE,
            max: MAX,
            crowd,
            sim,
            msp,
            api,
        };
        psa.open_tickets()?;
        Ok(psa)
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

    /// What the button does: the wanted length into the field, if one is wanted, then the status.
    pub(crate) fn request_access(&self, ticket: i64, length: Option<&str>) -> Result<(), Refused> {
        let board = self.board_of(ticket).ok_or_else(|| Refused(format!("Ticket {ticket} not found")))?;
        let jane = self.msp.acting(JANE.identifier);
        jane.set_field(ticket, self.length_field, length)?;
        jane.set_status(ticket, board.requested)
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

impl Board {
    fn add(msp: &Tenant, name: &str) -> Self {
        let id = msp.add_board(name);
        let status = |name, closed| msp.add_status(id, name, closed);
        status("New", false);
        let board = Self {
            id,
            requested: status("JIT Requested", false),
            active: status("JIT Active", false),
            done: status("JIT Done", false),
            refused: status("JIT Refused", false),
        };
        status("Closed", true);
        board
    }
}
