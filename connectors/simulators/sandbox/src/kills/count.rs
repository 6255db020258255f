//! What became of every request, counted where it can be seen: at the pretend PSA and in the pretend tenant. The
//! service's own records are looked at last, and only for what nobody else can know.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey::{
    access::State,
    config::Config,
    store::{Engine, Scope, sqlite::Options, verify_chain},
};
use latchkey_contract::Timestamp;
use latchkey_simulators::{connectwise::Delivery, graph::What};
use serde_json::Value;

use super::crowd::Asked;
use crate::{
    psas::Board,
    sandbox::Sandbox,
    tenant::{Directory, TENANT},
    vendors::Vendors,
};

/// More rows than any run leaves.
const ALL: u32 = 1_000_000;

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
    received: usize,
    granted: usize,
    refused: usize,
    could_not: usize,
    ended: usize,
    /// Marker lines that stand in more than one note.
    repeated: usize,
    notes: usize,
}

impl Told {
    fn of(notes: &[Value]) -> Self {
        let mut told = Self::default();
        let mut markers = BTreeMap::<&str, usize>::new();
        for text in notes.iter().filter_map(|note| note["text"].as_str()) {
            let Some(said) = text.strip_prefix("Latchkey: ") else { continue };
            told.notes += 1;
            for marker in text.lines().filter(|line| line.starts_with("[latchkey ")) {
                *markers.entry(marker).or_default() += 1;
            }
            // The note with the credentials is overwritten at the end.
            let said = said.replace("this access has ended; the credentials", "access granted");
            let kinds = [
                ("request received", &mut told.received),
                ("access granted", &mut told.granted),
                ("access was not granted", &mut told.refused),
                ("access could not be given", &mut told.could_not),
                ("access has ended, proven off", &mut told.ended),
            ];
            if let Some((_, count)) = kinds.into_iter().find(|(opening, _)| said.starts_with(opening)) {
                *count += 1;
            }
        }
        told.repeated = markers.values().filter(|times| **times > 1).count();
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
    let mut counted = Counted::default();
    counted.tickets(&sandbox.vendors, asked);
    counted.tenant(&sandbox.vendors.directory, asked, &sandbox.vendors);
    counted.records(sandbox, end).await?;
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

    fn doubled(&mut self, sentence: String) {
        self.doubled += 1;
        self.wrong.push(format!("doubled: {sentence}"));
    }

    fn tickets(&mut self, vendors: &Vendors, asked: &[Asked]) {
        for asked in asked {
            let ticket = asked.ticket;
            let told = Told::of(&vendors.connectwise.msp.notes(ticket));
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
            if told.repeated > 0 {
                self.doubled(format!("{} notes stand twice in ticket {ticket}", told.repeated));
            }
            if [told.received, told.granted, told.refused, told.could_not, told.ended].iter().any(|n| *n > 1) {
                self.doubled(format!("ticket {ticket} was told the same thing twice: {told:?}"));
            }
            if told.refused > 0 && told.granted > 0 {
                self.doubled(format!("ticket {ticket} was granted and refused: {told:?}"));
            }
        }
    }

    /// Every account there is or was; how often it was let in, against how often somebody could ask for that.
    fn tenant(&mut self, directory: &Directory, asked: &[Asked], vendors: &Vendors) {
        for user in ours(directory) {
            if let Some(what) = left(directory, &user) {
                self.orphaned(format!("{} {what}", name(&user)));
            }
            if is_burner(&user) {
                self.orphaned(format!("{}, made for one time, still exists", name(&user)));
            }
        }
        let events = directory.sim.events();
        let made = events.iter().filter(|e| e.what == What::UserCreated);
        let mut made_for = BTreeMap::<String, Vec<String>>::new();
        for event in made {
            let Some(upn) = event.detail["userPrincipalName"].as_str().filter(|upn| upn.starts_with("jit-")) else {
                continue;
            };
            self.accounts += 1;
            made_for.entry(upn.to_owned()).or_default().push(event.object.clone());
        }
        for (upn, objects) in &made_for {
            if objects.len() > 1 {
                self.doubled(format!("{upn} was made {} times", objects.len()));
            }
        }
        let could_be = |by: &str, is_burner: bool| {
            let mine = asked.iter().filter(|a| a.by == by && a.is_burner == is_burner);
            mine.filter(|a| Told::of(&vendors.connectwise.msp.notes(a.ticket)).refused == 0).count()
        };
        let technicians: BTreeSet<&str> = asked.iter().map(|a| a.by.as_str()).collect();
        for by in technicians {
            let (standard, burner) = (format!("jit-{by}@"), format!("jit-{by}-"));
            let burners: Vec<_> = made_for.iter().filter(|(upn, _)| upn.starts_with(&burner)).collect();
            let most = could_be(by, true);
            if burners.len() > most {
                self.doubled(format!("{} accounts were made for {most} requests of {by}", burners.len()));
            }
            let standing = made_for.iter().filter(|(upn, _)| upn.starts_with(&standard));
            let accounts = standing.map(|(upn, o)| (upn, o, could_be(by, false)));
            for (upn, objects, most) in accounts.chain(burners.into_iter().map(|(upn, objects)| (upn, objects, 1))) {
                self.let_in(directory, upn, objects, most);
            }
        }
    }

    fn let_in(&mut self, directory: &Directory, upn: &str, objects: &[String], most: usize) {
        for object in objects {
            let spans = directory.sim.enabled_spans(TENANT, object);
            if spans.len() > most {
                self.doubled(format!("{upn} was enabled {} times for {most} requests", spans.len()));
            }
            let events = directory.sim.events();
            let mut given = BTreeMap::<String, usize>::new();
            for event in events.iter().filter(|e| e.object == *object) {
                let what = match event.what {
                    What::RoleAssigned => &event.detail["roleDefinitionId"],
                    What::MemberAdded => &event.detail["group"],
                    _ => continue,
                };
                *given.entry(what.to_string()).or_default() += 1;
            }
            for (what, times) in given.into_iter().filter(|(_, times)| *times > most) {
                self.doubled(format!("{upn} was given {what} {times} times for {most} requests"));
            }
        }
    }

    /// What was acknowledged and what is owed stands in the service's own records alone.
    async fn records(&mut self, sandbox: &Sandbox, end: Timestamp) -> anyhow::Result<()> {
        let config = Config::load(&sandbox.config())?;
        let engine = Engine::open(&config.database, Options::default()).await?;
        let store = engine.store();
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
        engine.close().await;
        Ok(())
    }
}

fn message(delivery: &Delivery) -> Option<String> {
    serde_json::from_slice::<Value>(&delivery.body).ok()?["MessageId"].as_str().map(str::to_owned)
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

    use super::*;
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
        let mut counted = Counted::default();
        counted.tickets(vendors, std::slice::from_ref(asked));
        counted.tenant(&vendors.directory, std::slice::from_ref(asked), vendors);
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
        let sim = &vendors.directory.sim;
        let upn = format!("jit-tech001@{DOMAIN}");
        let add = || sim.add_user(TENANT, UserSeed { enabled: false, ..UserSeed::new(&upn) });
        let object = add();
        assert_eq!(counted(&vendors, &asked), (0, 0, 0));
        for turn in 1..=2 {
            sim.by_hand(TENANT).assign_role(&object, EXCHANGE_ADMINISTRATOR, "/");
            assert_eq!(counted(&vendors, &asked), (0, 1, turn - 1), "given twice for one request, the second time");
            sim.by_hand(TENANT).remove_role(&object, EXCHANGE_ADMINISTRATOR);
        }
        sim.by_hand(TENANT).enable(&object);
        assert_eq!(counted(&vendors, &asked), (0, 1, 1));
        sim.by_hand(TENANT).purge(&object);
        add();
        assert_eq!(counted(&vendors, &asked), (0, 0, 2));
        sim.add_user(TENANT, UserSeed { enabled: false, ..UserSeed::new(&format!("jit-tech001-abc@{DOMAIN}")) });
        assert_eq!(counted(&vendors, &asked), (0, 1, 3), "one for a single time that nobody asked for");
    }
}
