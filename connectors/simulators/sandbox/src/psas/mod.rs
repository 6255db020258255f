//! The three pretend PSAs of Example MSP beside each other: the same people, companies and kinds of ticket in each, asked in
//! each vendor's own way; and what they have in common.

pub(crate) mod autotask;
pub(crate) mod connectwise;
pub(crate) mod halopsa;

use std::fmt;

use async_trait::async_trait;
use latchkey_simulators::fault::Faults;

/// What the custom field offers. The last one is more than the policies allow, to see it refused.
pub(crate) const LENGTHS: [&str; 6] = ["2 minutes", "5 minutes", "15 minutes", "1 hour", "8 hours", "3 days"];

/// The policy whose credentials come by claim link, and the one whose come in the ticket.
pub(crate) const BY_LINK: &str = "exchange";
pub(crate) const IN_TICKET: &str = "migration";

/// One of them.
#[async_trait]
pub(crate) trait Psa: fmt::Debug + Send + Sync {
    fn names(&self) -> &'static Names;

    /// What an operator writes to connect it.
    fn connected(&self) -> Connected;

    /// Addresses of the webhooks that are in force.
    fn hooks(&self) -> Vec<String>;

    /// What became of the last message about a ticket; `None` until one was answered.
    fn answered(&self, ticket: i64) -> Option<Answered>;

    /// The service's notes on a ticket, oldest first.
    fn told(&self, ticket: i64) -> Vec<Told>;

    /// Where a ticket stands; `None` in any other status, and when there is no such ticket.
    fn standing(&self, ticket: i64) -> Option<Standing>;

    fn ticket_ids(&self) -> Vec<i64>;

    /// Jane opens a ticket of ACME whose credentials come in the ticket; answers its number.
    fn open_for_acme(&self, summary: &str) -> anyhow::Result<i64>;

    /// The `n`th technician of the crowd, in turn, asks in such a ticket.
    fn ask(&self, ticket: i64, n: usize) -> anyhow::Result<()>;

    /// The calls that the service makes.
    fn faults(&self) -> &Faults;

    /// The last message, as it was sent.
    fn last_sent(&self) -> Option<Sent>;

    /// Waits until every message that is due was answered.
    async fn settled(&self);
}

/// A message to the service.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) url: String,
    pub(crate) body: Vec<u8>,
    /// The header that proves it.
    pub(crate) header: (&'static str, String),
}

/// What one of them is called.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Names {
    /// Its id in the records.
    pub(crate) connection: &'static str,
    /// What the records call its kind, and the first part of its pages' addresses.
    pub(crate) kind: &'static str,
    /// For people.
    pub(crate) product: &'static str,
}

/// What an operator writes to connect a PSA, and to let its tickets ask.
#[derive(Debug)]
pub(crate) struct Connected {
    pub(crate) settings: Vec<(&'static str, String)>,
    pub(crate) secrets: Vec<(&'static str, String)>,
    /// The customer's company.
    pub(crate) acme: i64,
    pub(crate) jane: i64,
    pub(crate) max: i64,
    /// In the order of their numbers.
    pub(crate) crowd: Vec<i64>,
    pub(crate) mappings: Vec<Mapping>,
}

/// Which tickets ask, and for what.
#[derive(Debug)]
pub(crate) struct Mapping {
    pub(crate) id: &'static str,
    pub(crate) board: Board,
    pub(crate) trigger: Trigger,
    pub(crate) length_field: i64,
    pub(crate) policy: &'static str,
}

/// The click that asks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Trigger {
    /// The board's status of that name.
    Status,
    /// A custom field that comes to hold a value.
    Field(i64, &'static str),
    /// Being moved to the board.
    Board,
}

/// A board, queue or team, with the statuses that matter to the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Board {
    pub(crate) id: i64,
    pub(crate) requested: i64,
    pub(crate) active: i64,
    pub(crate) done: i64,
    pub(crate) refused: i64,
}

impl Board {
    pub(crate) fn standing(&self, status: i64) -> Option<Standing> {
        let is = [
            (self.requested, Standing::Requested),
            (self.active, Standing::Active),
            (self.done, Standing::Done),
            (self.refused, Standing::Refused),
        ];
        is.into_iter().find(|(id, _)| *id == status).map(|(_, standing)| standing)
    }
}

/// A status, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Requested,
    Active,
    Done,
    Refused,
}

/// A note, as the PSA keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) id: i64,
    pub(crate) text: String,
    /// No customer sees it, by every flag that the vendor has for that.
    pub(crate) is_internal: bool,
}

/// A message that the service has answered.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// What proved it; `None` when that was not what the vendor was given to prove it by.
    pub(crate) proof: Option<&'static str>,
}
