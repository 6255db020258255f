//! The desks of the three PSAs beside each other in one installation: what technicians do there in the vendor's own way,
//! what the vendor sends, and what stands in its tickets.

mod autotask;
mod connectwise;
mod halopsa;

use std::sync::Arc;

use async_trait::async_trait;
use latchkey::{
    access::Grant,
    rulebook::{Bound, Companies, ConnectionKind, Mapping, Members},
};
use latchkey_contract::{Clock, ConnectionId, MemberId, TicketRef, Timestamp};
use latchkey_simulators::fault::{Act, Call, Faults, Fired};

use super::TestApp;

/// One PSA, whichever vendor's.
#[async_trait]
pub(crate) trait Desk: Send + Sync {
    /// Its id in the records.
    fn connection(&self) -> &'static str;

    /// Its vendor, in one word.
    fn vendor(&self) -> &'static str;

    /// What goes wrong with its calls, and their log.
    fn faults(&self) -> &Faults;

    /// What we were given to be let in and to prove its messages.
    fn secrets(&self) -> Vec<String>;

    /// The mapping of the board that its tickets are on.
    fn mapping(&self) -> String {
        format!("{}-desk", self.connection())
    }

    /// A new ticket of this company.
    fn ticket(&self, of: Whose) -> i64;

    /// All its tickets.
    fn tickets(&self) -> Vec<i64>;

    /// The click that asks for access, as this vendor has it.
    fn click(&self, who: Who, ticket: i64);

    /// What else can ask here.
    fn other_ways(&self) -> Vec<Way>;

    /// The click that asks in one of these ways.
    fn click_by(&self, way: &Way, who: Who, ticket: i64);

    /// The field that can ask here, with another text.
    fn another_text(&self) -> Way;

    /// Somebody empties that field.
    fn clears(&self, who: Who, ticket: i64);

    /// The member whom the records bind to nobody.
    fn unbound(&self) -> i64;

    /// Jane saves the ticket, and changes nothing that asks.
    fn touch(&self, ticket: i64);

    /// Jane does this to the ticket.
    fn leaves(&self, how: Leaves, ticket: i64);

    /// The PSA says of the next ticket that it is asked for that there is none.
    fn misses_once(&self) -> Fired;

    /// A status that closes a ticket.
    fn closing(&self) -> i64;

    /// Somebody writes a note.
    fn writes(&self, who: Who, how: Writes, ticket: i64, text: &str);

    /// Somebody changes the note that Jane wrote last.
    fn edits(&self, who: Who, ticket: i64, text: &str);

    /// Whether anything tells that a note was changed.
    fn tells_of_an_edit(&self) -> bool {
        true
    }

    /// Whether a note that a trusted program writes in somebody's name is heard as theirs.
    fn hears_in_anothers_name(&self) -> bool {
        false
    }

    /// Whether a message comes when a ticket is merged away.
    fn tells_of_a_merge(&self) -> bool {
        true
    }

    /// Where the ticket stands.
    fn stands(&self, ticket: i64) -> Standing;

    /// How often we set its status.
    fn statuses_set(&self, ticket: i64) -> usize;

    /// Our notes on the ticket, oldest first.
    fn notes(&self, ticket: i64) -> Vec<Told>;

    /// The markers of our notes on it.
    fn markers(&self, ticket: i64) -> Vec<String>;

    /// Where its webhook leads, path secret included.
    fn hook(&self) -> String;

    /// In which ways a message of this vendor can be forged.
    fn forgeries(&self) -> &'static [Wrong];

    /// From now on its messages come like this.
    fn goes_wrong(&self, how: Wrong);

    /// From now on they come as they should.
    fn is_honest(&self);

    /// Its messages wait from now on, or go, together where the vendor can do that.
    fn holds(&self, is_held: bool);

    /// The vendor switches our webhook off, as it does after failures; `false` where none does.
    fn switches_off(&self) -> bool;

    /// Each message so far, and what was answered.
    fn sent(&self) -> Vec<(Vec<u8>, Option<u16>)>;

    /// What was answered to each message so far.
    fn answers(&self) -> Vec<Option<u16>> {
        self.sent().into_iter().map(|(_, status)| status).collect()
    }

    /// How many messages were lost on their way.
    fn lost(&self) -> usize;

    /// The vendor sends every message once more, byte for byte.
    fn replay(&self);

    /// The last message, with the header that proves it.
    fn proven(&self) -> Message;

    /// A message of this vendor's with any body.
    fn proves(&self, body: Vec<u8>) -> Message;

    /// The largest body that this vendor sends.
    fn largest(&self) -> usize;

    /// Whatever it is asked from now on, this happens instead; until [`Desk::recovers`].
    fn fails(&self, how: Act) -> Fired;

    /// Its list of saves is this from now on, and everything else is as ever; until [`Desk::recovers`].
    fn lists_no_saves(&self, how: Act) -> Fired;

    /// Whenever it is asked for a ticket's notes, this happens instead; until [`Desk::recovers`].
    fn lists_no_notes(&self, how: Act) -> Fired;

    /// The vendor's calls are spent: it lets nobody do more than take away, from the next poll on and for less than half an hour.
    fn spends(&self);

    /// The note with the credentials is refused, in the vendor's own words for one that is too long; until [`Desk::recovers`].
    fn refuses_credentials(&self) -> Fired;

    /// Whenever a ticket's status is to be set through its API, this happens instead; until [`Desk::recovers`].
    fn sets_no_status(&self, how: Act) -> Fired;

    /// It answers again.
    fn recovers(&self);

    /// What the settings call the PSA's own automation.
    fn automation(&self) -> &'static str;

    /// Names it in the connection's settings.
    fn set_automation(&self, kind: &mut ConnectionKind);

    /// A rule of the PSA's own asks for access on a ticket that is Jane's.
    fn automates(&self, ticket: i64);

    /// Somebody deletes our webhook at the PSA.
    fn loses_its_webhook(&self);

    /// Waits until every message that is due was answered.
    async fn settled(&self);
}

/// Somebody at a desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who {
    /// A technician of the records.
    Jane,
    /// A member whom the records bind to nobody.
    Unbound,
    /// A member of the records who may no longer sign in at the PSA.
    Gone,
    /// The customer's own contact.
    Contact,
    /// Another product with an API identity.
    Program,
    /// Our own API identity.
    Us,
}

/// How a note is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Writes {
    /// Where no customer reads it.
    Internal,
    /// Where the customer does.
    Shown,
    /// By mail, or sent by mail.
    Mailed,
    /// Through the API, in Jane's name.
    AsJane,
}

/// A company at a desk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The customer.
    Acme,
    /// A company that is no customer.
    Stranger,
}

/// Another way to ask than the usual one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// A custom field that comes to hold this text.
    Field(i64, &'static str),
    /// Being moved to this board.
    Board(i64),
}

/// What can be done to a ticket that has access.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Leaves {
    Closed,
    Reopened,
    Deleted,
    /// Moved to the company that is no customer.
    Company,
    /// Assigned to the member who is nobody.
    Reassigned,
    /// Merged into another ticket of the customer.
    Merged,
    /// Moved to a board, queue or team that asks nothing there.
    Board,
}

/// A ticket's status, by what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Requested,
    Active,
    Refused,
    Done,
    Else,
}

/// What can be wrong with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wrong {
    /// It carries no proof.
    Unproven,
    /// It is proven by what nobody gave us.
    ByAnother,
    /// It was changed after it was signed.
    Changed,
    /// It never comes.
    Lost,
    /// It comes twice.
    Twice,
}

/// A PSA beside the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Beside {
    Autotask,
    HaloPsa,
}

impl Beside {
    /// As its desk says it.
    pub(crate) const fn vendor(self) -> &'static str {
        match self {
            Self::Autotask => autotask::VENDOR,
            Self::HaloPsa => halopsa::VENDOR,
        }
    }
}

/// A note of ours, as the PSA keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    /// Without its marker.
    pub(crate) text: String,
    /// No customer sees it, by every flag that the vendor has for that.
    pub(crate) is_internal: bool,
}

/// A message, as somebody else could send it.
#[derive(Debug, Clone)]
pub(crate) struct Message {
    pub(crate) header: (&'static str, String),
    pub(crate) body: Vec<u8>,
}

/// The statuses of a desk.
#[derive(Debug, Clone, Copy)]
struct Statuses {
    requested: i64,
    active: i64,
    refused: i64,
    done: i64,
}

impl Statuses {
    fn of(&self, status: &serde_json::Value) -> Standing {
        match status.as_i64() {
            Some(id) if id == self.requested => Standing::Requested,
            Some(id) if id == self.active => Standing::Active,
            Some(id) if id == self.refused => Standing::Refused,
            Some(id) if id == self.done => Standing::Done,
            _ => Standing::Else,
        }
    }
}

/// What an operator puts in to connect a PSA.
struct Plan {
    kind: &'static str,
    settings: Vec<String>,
    secrets: Vec<(&'static str, String)>,
    acme: i64,
    jane: i64,
    gone: i64,
    board: i64,
    statuses: Statuses,
}

/// A call that writes credentials into a ticket.
fn has_credentials(call: &Call) -> bool {
    call.method == "POST" && call.body_json.as_ref().is_some_and(|body| body.to_string().contains("Password:"))
}

const MARKER: &str = "[latchkey ";

fn without_marker(text: &str) -> String {
    text.lines().filter(|line| !line.trim().starts_with(MARKER)).collect::<Vec<_>>().join("\n").trim().to_owned()
}

fn markers_in<'t>(texts: impl IntoIterator<Item = &'t str>) -> Vec<String> {
    let lines = texts.into_iter().flat_map(str::lines).map(str::trim);
    lines.filter(|line| line.starts_with(MARKER)).map(str::to_owned).collect()
}

impl TestApp {
    /// The usual installation, with all three PSAs: the two others are connected at the command line.
    pub(crate) async fn with_three_psas() -> Self {
        let mut app = Self::start().await;
        app.desks.push(Arc::new(connectwise::Desk::new("cw", app.psa.clone())));
        let others = [autotask::Desk::open(&app, "at").await, halopsa::Desk::open(&app, "halo").await];
        app.connect_all(others).await;
        app
    }

    /// Connects this one as well, which tickets are at from now on.
    pub(crate) async fn connect_beside(&mut self, psa: Beside) {
        let other = match psa {
            Beside::Autotask => autotask::Desk::open(self, "at").await,
            Beside::HaloPsa => halopsa::Desk::open(self, "halo").await,
        };
        self.connect_all([other]).await;
    }

    /// The PSA that was connected beside the first, where there is one.
    pub(crate) fn beside(&self) -> Option<&dyn Desk> {
        self.others().next()
    }

    /// All that were.
    pub(crate) fn others(&self) -> impl Iterator<Item = &dyn Desk> {
        self.desks.iter().map(|desk| &**desk).filter(|desk| desk.connection() != "cw")
    }

    /// And another one of each kind, whose tickets, companies and people have the numbers of the first.
    pub(crate) async fn with_two_of_each() -> Self {
        let mut app = Self::with_three_psas().await;
        let others = [
            connectwise::Desk::open(&app, "cw-two").await,
            autotask::Desk::open(&app, "at-two").await,
            halopsa::Desk::open(&app, "halo-two").await,
        ];
        app.connect_all(others).await;
        app
    }

    async fn connect_all(&mut self, others: impl IntoIterator<Item = (Arc<dyn Desk>, Plan)>) {
        for (desk, plan) in others {
            self.connect(&*desk, plan).await;
            self.desks.push(desk);
        }
    }

    async fn connect(&self, desk: &dyn Desk, plan: Plan) {
        let id = desk.connection();
        let ca_file = format!("ca_file={}", self.place().0.join("ca.pem").display());
        let mut words = vec!["connection", "add", id, plan.kind, "network=private", &ca_file];
        words.extend(plan.settings.iter().map(String::as_str));
        let said = self.type_in(&words, "").await.unwrap();
        let (first, _) = plan.secrets[0];
        assert!(said.contains(&format!("latchkey secret set {id}/{first}")), "what is still to do is said: {said}");
        for (kind, value) in &plan.secrets {
            self.type_in(&["secret", "set", &format!("{id}/{kind}")], value).await.unwrap();
        }
        self.bind(id.parse().unwrap(), &plan).await;
        let said = self.type_in(&["webhook", "sync", id], "").await.unwrap();
        assert!(said.contains("1 created, 0 repaired, 0 removed"), "{said}");
        let tested = self.type_in(&["connection", "test", id], "").await;
        assert!(tested.is_ok(), "{tested:?}");
    }

    /// The customer's company, the technicians, and a mapping like that of the ConnectWise projects board.
    async fn bind(&self, connection: ConnectionId, plan: &Plan) {
        let now = Timestamp::from_millis(self.clock.now().millis() / 1000 * 1000);
        let member = |id: i64| -> Members {
            let id: MemberId = id.to_string().parse().unwrap();
            let bound = Bound { since: Timestamp::from_millis(0), is_confirmed: true };
            Members { connection: connection.clone(), ids: vec![id.clone()], bound: [(id, bound)].into() }
        };
        self.change_rules(|rules| {
            let ids = vec![plan.acme.to_string().parse().unwrap()];
            rules.records.customers[0].companies.push(Companies { connection: connection.clone(), ids });
            for (person, id) in [("jane", plan.jane), ("mark", plan.gone)] {
                let person = rules.records.people.iter_mut().find(|p| p.id.as_str() == person).unwrap();
                person.members.push(member(id));
            }
            let projects = rules.rulebook.mappings.iter().find(|m| m.id.as_str() == "projects").unwrap().clone();
            let status = |id: i64| id.to_string().parse().unwrap();
            let mut mapping = Mapping {
                id: format!("{connection}-desk").parse().unwrap(),
                connection: connection.clone(),
                boards: vec![plan.board.to_string().parse().unwrap()],
                trigger_statuses: vec![status(plan.statuses.requested)],
                length_field: None,
                watched_since: Some(now),
                ..projects
            };
            mapping.statuses.granted = Some(status(plan.statuses.active));
            mapping.statuses.refused = Some(status(plan.statuses.refused));
            mapping.statuses.ended = Some(status(plan.statuses.done));
            rules.rulebook.mappings.push(mapping);
        })
        .await;
    }

    /// The grants of a ticket at any PSA, newest first.
    pub(crate) async fn grants_at(&self, desk: &dyn Desk, ticket: i64) -> Vec<Grant> {
        let (connection, ticket) = (desk.connection().parse().unwrap(), ticket.to_string().parse().unwrap());
        self.store().grants_of_ticket(&TicketRef { connection, ticket }).await.unwrap()
    }

    /// The state of the newest one.
    pub(crate) async fn state_at(&self, desk: &dyn Desk, ticket: i64) -> &'static str {
        self.grants_at(desk, ticket).await.first().map_or("none", |grant| grant.state.name())
    }

    /// Jane's click was heard, and she has access.
    pub(crate) async fn active_at(&self, desk: &dyn Desk) -> i64 {
        let ticket = desk.ticket(Whose::Acme);
        desk.click(Who::Jane, ticket);
        self.run().await;
        let at = desk.connection();
        assert_eq!(self.state_at(desk, ticket).await, "active", "{at}: {:?}", desk.notes(ticket));
        ticket
    }
}
