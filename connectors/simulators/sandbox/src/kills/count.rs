//! What became of every request, counted where it can be seen: at the pretend PSA and in the pretend tenant. The
//! service's own records are looked at last, and only for what nobody else can know.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey::{
    access::State,
    config::Config,
    store::{Engine, Scope, Store, sqlite::Options, verify_chain},
};
use latchkey_contract::Timestamp;
use latchkey_simulators::{
    connectwise::Delivery,
    graph::{Event, What},
};
use serde_json::Value;

use super::{
    crowd::Asked,
    doubles::{self, ALL, Books, Made, beyond},
};
use crate::{
    psas::Board,
    sandbox::Sandbox,
    tenant::{Directory, TENANT},
    vendors::Vendors,
};

/// Where an account carries its mark, unless the connection says otherwise.
const MARK: &str = "extensionAttribute15";

/// What was counted.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// Tickets that were told that access was granted.
    pub(super) granted: usize,
    pub(super) refused: usize,
    pub(super) could_not: usize,
    /// Tickets that were told that access has ended, with proof.
    pub(super) ended: usize,
    pub(super) notes: usize,
    pub(super) accounts: usize,
    /// Callbacks sent, and those of them that nobody took.
    pub(super) callbacks: usize,
    pub(super) untaken: usize,
    /// How long after their time removals were proven, those of a dead service included.
    pub(super) overhangs: Vec<Duration>,
    pub(super) lost: usize,
    pub(super) orphaned: usize,
    pub(super) doubled: usize,
    /// One sentence for each thing that is not as it must be.
    pub(super) wrong: Vec<String>,
}

/// What a ticket was told, by the first lines of our notes.
#[derive(Debug, Default)]
struct Told {
    granted: usize,
    refused: usize,
    could_not: usize,
    ended: usize,
    notes: usize,
}

impl Told {
    fn of(notes: &[Value]) -> Self {
        let mut told = Self::default();
        for text in notes.iter().filter_map(|note| note["text"].as_str()) {
            let Some(said) = doubles::opening(text) else { continue };
            told.notes += 1;
            let kinds = [
                ("access granted", &mut told.granted),
                ("access was not granted", &mut told.refused),
                ("access could not be given", &mut told.could_not),
                ("access has ended, proven off", &mut told.ended),
            ];
            if let Some((_, count)) = kinds.into_iter().find(|(opening, _)| said.starts_with(opening)) {
                *count += 1;
            }
        }
        told
    }

    /// Nothing more is to be said.
    const fn is_over(&self) -> bool {
        self.ended > 0 || self.refused > 0
    }
}

/// The board a request was made on.
pub(super) const fn board(vendors: &Vendors, asked: &Asked) -> Board {
    if asked.is_burner { vendors.connectwise.projects } else { vendors.connectwise.help_desk }
}

/// Every ticket knows how it ended, and no account of ours opens anything.
pub(super) fn is_over(sandbox: &Sandbox, asked: &[Asked]) -> bool {
    let psa = &sandbox.vendors.connectwise;
    asked.iter().all(|a| Told::of(&psa.msp.notes(a.ticket)).is_over())
        && ours(&sandbox.vendors.directory).iter().all(|user| left(&sandbox.vendors.directory, user).is_none())
}

/// Counts everything. The service has ended by now, well, and was told to at `end`.
pub(super) async fn count(sandbox: &Sandbox, asked: &[Asked], end: Timestamp) -> anyhow::Result<Counted> {
    let config = Config::load(&sandbox.config())?;
    let engine = Engine::open(&config.database, Options::default()).await?;
    let store = engine.store();
    let books = Books::read(store.as_ref()).await?;
    let mut counted = Counted::default();
    counted.tickets(&sandbox.vendors, asked, &books);
    counted.tenant(&sandbox.vendors.directory, &books);
    counted.records(sandbox, store.as_ref(), end).await?;
    engine.close().await;
    Ok(counted)
}

impl Counted {
    fn lost(&mut self, sentence: String) {
        self.lost += 1;
        self.wrong.push(format!("lost: {sentence}"));
    }

    fn orphaned(&mut self, sentence: String) {
        self.orphaned += 1;
        self.wrong.push(format!("orphaned: {sentence}"));
    }

    fn doubled(&mut self, sentences: impl IntoIterator<Item = String>) {
        for sentence in sentences {
            self.doubled += 1;
            self.wrong.push(format!("doubled: {sentence}"));
        }
    }

    fn tickets(&mut self, vendors: &Vendors, asked: &[Asked], books: &Books) {
        let mut times = BTreeMap::<String, usize>::new();
        for asked in asked {
            let ticket = asked.ticket;
            *times.entry(ticket.to_string()).or_default() += 1;
            let notes = vendors.connectwise.msp.notes(ticket);
            let told = Told::of(&notes);
            let texts: Vec<&str> = notes.iter().filter_map(|note| note["text"].as_str()).collect();
            self.doubled(doubles::notes(&ticket.to_string(), &texts, books));
            self.notes += told.notes;
            self.granted += told.granted;
            self.refused += told.refused;
            self.could_not += told.could_not;
            self.ended += told.ended;
            if !told.is_over() {
                self.lost(format!("ticket {ticket} of {} was never told how it ended: {told:?}", asked.by));
            }
            if told.granted > 0 && told.ended == 0 {
                self.lost(format!("ticket {ticket} was granted access, and not told that it has ended"));
            }
            if told.refused > 0 && told.granted > 0 {
                self.doubled([format!("ticket {ticket} was granted and refused: {told:?}")]);
            }
        }
        self.doubled(doubles::grants(books, &times));
    }

    /// Every account there is or was; how often it was let in, against the grants that it had.
    fn tenant(&mut self, directory: &Directory, books: &Books) {
        for user in ours(directory) {
            if let Some(what) = left(directory, &user) {
                self.orphaned(format!("{} {what}", name(&user)));
            }
            if is_burner(&user) {
                self.orphaned(format!("{}, made for one time, still exists", name(&user)));
            }
        }
        let events = directory.sim.events();
        let made = made(&events);
        self.accounts = made.len();
        self.doubled(doubles::accounts(&made, books));
        let mut given = BTreeMap::<&str, BTreeMap<String, usize>>::new();
        for event in &events {
            let what = match event.what {
                What::RoleAssigned => &event.detail["roleDefinitionId"],
                What::MemberAdded => &event.detail["group"],
                _ => continue,
            };
            *given.entry(&event.object).or_default().entry(what.to_string()).or_default() += 1;
        }
        for account in &made {
            let (upn, most) = (&account.name, books.grants_of(account));
            let spans = directory.sim.enabled_spans(TENANT, &account.object).len();
            let sentence = format!("{upn} was enabled {spans} times for {most} grants");
            self.doubled(beyond(most, spans, &sentence));
            for (what, times) in given.get(account.object.as_str()).into_iter().flatten() {
                let sentence = format!("{upn} was given {what} {times} times for {most} grants");
                self.doubled(beyond(most, *times, &sentence));
            }
        }
    }

    /// What was acknowledged and what is owed stands in the service's own records alone.
    async fn records(&mut self, sandbox: &Sandbox, store: &dyn Store, end: Timestamp) -> anyhow::Result<()> {
        let recorded = store.deliveries(false, ALL).await?;
        let known: BTreeSet<&str> = recorded.iter().map(|d| d.event.message_id.as_str()).collect();
        let sent = sandbox.vendors.connectwise.sim.deliveries();
        self.callbacks = sent.len();
        self.untaken = sent.iter().filter(|d| d.status != Some(202)).count();
        for id in sent.iter().filter(|d| d.status == Some(202)).filter_map(message) {
            if !known.contains(id.as_str()) {
                self.lost(format!("callback {id} was answered 202 and is not recorded"));
            }
        }
        for open in recorded.iter().filter(|d| d.outcome.is_none()) {
            self.lost(format!("callback {} was recorded and came to nothing", open.event.message_id));
        }
        let queue = store.queue(end).await?;
        if (queue.ready, queue.leased, queue.dead) != (0, 0, 0) {
            self.wrong.push(format!("work is left: {queue:?}"));
        }
        for grant in store.newest_grants(&Scope::Everything, ALL).await? {
            match &grant.state {
                State::Ended { due, proof, .. } => self.overhangs.push(proof.seen_at().since(*due)),
                state if !state.is_final() => {
                    self.wrong.push(format!("grant {} of ticket {} is {}", grant.id, grant.ticket, state.name()));
                }
                _ => {}
            }
        }
        self.overhangs.sort();
        if let Err(broken) = verify_chain((0, ""), &store.audit(0, ALL).await?) {
            self.wrong.push(format!("the audit log is not whole: {broken}"));
        }
        Ok(())
    }
}

fn message(delivery: &Delivery) -> Option<String> {
    serde_json::from_slice::<Value>(&delivery.body).ok()?["MessageId"].as_str().map(str::to_owned)
}

/// The accounts that were ever made under a mark or a name of ours.
fn made(events: &[Event]) -> Vec<Made> {
    let made = events.iter().filter(|event| event.what == What::UserCreated);
    let as_made = |event: &Event| Made {
        object: event.object.clone(),
        name: event.detail["userPrincipalName"].as_str().unwrap_or_default().to_owned(),
        mark: event.detail["onPremisesExtensionAttributes"][MARK].as_str().map(str::to_owned),
    };
    made.map(as_made).filter(|made| made.mark.is_some() || made.name.starts_with("jit-")).collect()
}

/// The accounts that the service has made and that are still there.
fn ours(directory: &Directory) -> Vec<Value> {
    let mut users = directory.sim.users(TENANT);
    users.retain(|user| name(user).starts_with("jit-"));
    users
}

fn name(user: &Value) -> &str {
    user["userPrincipalName"].as_str().unwrap_or_default()
}

/// `jit-tech001-xxxxxxxx@…`, where `jit-tech001@…` stays.
fn is_burner(user: &Value) -> bool {
    name(user).split('@').next().is_some_and(|local| local.matches('-').count() > 1)
}

/// What an account can still do, as the end of a sentence.
fn left(directory: &Directory, user: &Value) -> Option<String> {
    let id = user["id"].as_str().unwrap_or_default();
    let roles = directory.sim.assignments(TENANT, id).iter().filter(|r| r["is_active"] == true).count();
    let groups = directory.sim.groups_of(TENANT, id).len();
    match (user["accountEnabled"] == true, roles, groups) {
        (false, 0, 0) => None,
        (is_enabled, roles, groups) => {
            let enabled = if is_enabled { "is enabled and" } else { "is disabled and" };
            Some(format!("{enabled} has {roles} roles and {groups} groups"))
        }
    }
}

#[cfg(test)]
mod tests {
    use latchkey_simulators::{
        connectwise::Tab,
        graph::{Licence, UserSeed},
    };

    use super::{
        super::doubles::{Given, Owner},
        *,
    };
    use crate::{
        clock::MovableClock,
        sandbox::Plan,
        tenant::{DOMAIN, EXCHANGE_ADMINISTRATOR},
    };

    async fn vendors() -> (Vendors, Asked) {
        let plan = Plan { crowd: 1, licence: Licence::Free, ..Plan::default() };
        let vendors = Vendors::start(&MovableClock::new(Duration::ZERO), &plan).await.unwrap();
        let psa = &vendors.connectwise;
        let ticket = psa.open_ticket("Broken", psa.help_desk, psa.acme, psa.jane).unwrap();
        (vendors, Asked { ticket, by: "tech001".to_owned(), is_burner: false })
    }

    fn note(vendors: &Vendors, ticket: i64, text: &str) {
        vendors.connectwise.msp.acting("LatchkeyApi").add_note(ticket, text, Tab::Internal).unwrap();
    }

    fn counted(vendors: &Vendors, asked: &Asked) -> (usize, usize, usize) {
        counted_by(vendors, asked, &Books::default())
    }

    fn counted_by(vendors: &Vendors, asked: &Asked, books: &Books) -> (usize, usize, usize) {
        let mut counted = Counted::default();
        counted.tickets(vendors, std::slice::from_ref(asked), books);
        counted.tenant(&vendors.directory, books);
        assert_eq!(counted.wrong.len(), counted.lost + counted.orphaned + counted.doubled, "{:?}", counted.wrong);
        (counted.lost, counted.orphaned, counted.doubled)
    }

    #[tokio::test]
    async fn a_request_that_was_never_answered_is_lost() {
        let (vendors, asked) = vendors().await;
        note(&vendors, asked.ticket, "Latchkey: request received.\n[latchkey a 1/1]");
        assert_eq!(counted(&vendors, &asked), (1, 0, 0));
        note(&vendors, asked.ticket, "Latchkey: access granted.\n[latchkey b 1/1]");
        assert_eq!(counted(&vendors, &asked), (2, 0, 0), "and one that is granted has to end");
        note(&vendors, asked.ticket, "Latchkey: access has ended, proven off.\n[latchkey c 1/1]");
        assert_eq!(counted(&vendors, &asked), (0, 0, 0));
    }

    #[tokio::test]
    async fn what_is_told_twice_is_doubled() {
        let (vendors, asked) = vendors().await;
        for marker in ["a", "b"] {
            note(&vendors, asked.ticket, &format!("Latchkey: access was not granted.\n[latchkey {marker} 1/1]"));
        }
        assert_eq!(counted(&vendors, &asked), (0, 0, 1), "whatever the marker says");
        note(&vendors, asked.ticket, "Latchkey: something else.\n[latchkey b 1/1]");
        assert_eq!(counted(&vendors, &asked), (0, 0, 2), "one marker, two notes");
    }

    #[tokio::test]
    async fn an_account_that_opens_something_is_orphaned_and_a_second_one_is_doubled() {
        let (vendors, asked) = vendors().await;
        note(&vendors, asked.ticket, "Latchkey: access has ended, proven off.\n[latchkey a 1/1]");
        let (person, customer, directory) = ("tech001".to_owned(), "acme".to_owned(), "entra".to_owned());
        let grant = Given { ticket: asked.ticket.to_string(), asked_at: 1, account: "mark-1".to_owned() };
        let books = Books {
            owners: [("mark-1".to_owned(), Owner::Standing { person, customer, directory })].into(),
            grants: vec![grant],
            ..Books::default()
        };
        let counted = || counted_by(&vendors, &asked, &books);
        let sim = &vendors.directory.sim;
        let add = |name: &str, mark: &str| {
            let mut properties = serde_json::Map::new();
            properties.insert("onPremisesExtensionAttributes".to_owned(), serde_json::json!({MARK: mark}));
            let upn = format!("{name}@{DOMAIN}");
            sim.add_user(TENANT, UserSeed { enabled: false, properties, ..UserSeed::new(&upn) })
        };
        let object = add("jit-tech001", "mark-1");
        assert_eq!(counted(), (0, 0, 0));
        for turn in 1..=2 {
            sim.by_hand(TENANT).assign_role(&object, EXCHANGE_ADMINISTRATOR, "/");
            assert_eq!(counted(), (0, 1, turn - 1), "given twice for one grant, the second time");
            sim.by_hand(TENANT).remove_role(&object, EXCHANGE_ADMINISTRATOR);
        }
        sim.by_hand(TENANT).enable(&object);
        assert_eq!(counted(), (0, 1, 1));
        sim.by_hand(TENANT).purge(&object);
        add("jit-tech001", "mark-1");
        assert_eq!(counted(), (0, 0, 2), "a second one of hers, though the first is gone");
        add("jit-tech001-abc", "mark-2");
        assert_eq!(counted(), (0, 1, 3), "one for a single time that nobody asked for");
    }
}
