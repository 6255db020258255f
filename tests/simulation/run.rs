//! One world from its seed to its end: plays the story, lets processes live and die, and asks whether all held.

use std::sync::{Arc, Mutex, OnceLock};

use futures::FutureExt as _;
use latchkey_contract::{Clock as _, ConnectionId, Secret, ticket::TicketEvent};
use latchkey_entra::{Credential, Entra, Settings};

use crate::{
    check,
    directory::Tenant,
    disk::Disk,
    ledger::Ledger,
    model::Model,
    plant::Plant,
    process::{Outside, Process, Seeded},
    psa::Psa,
    registry::{Assemble, Connector, Registry},
    rulebook::Rules,
    rules::{self, TENANTS},
    seal::{KeyRing, MasterKey, Seal},
    store::{NewDelivery, Recorded, Store, StoreError},
    story::{self, Act},
    world::{Broken, Dice, Event, HOUR, MINUTE, SECOND, World},
};

/// When a world is over, whatever still stands.
const END: i64 = story::QUIET + 56 * HOUR;

/// How soon a PSA sends again what was not answered with 202.
const RESENT: [i64; 3] = [30 * SECOND, 2 * MINUTE, 10 * MINUTE];

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Outcome {
    pub(crate) seed: u64,
    pub(crate) grants: u64,
    pub(crate) broken: Option<Broken>,
    pub(crate) history: Vec<String>,
    pub(crate) faults: std::collections::BTreeMap<&'static str, u64>,
    pub(crate) checks: std::collections::BTreeMap<&'static str, u64>,
    pub(crate) steps: u64,
    /// By how much access stood longer than its grants, in milliseconds, by the directories' own records.
    pub(crate) overhangs: Vec<i64>,
    /// What the world came to in one number, and the audit chain's last hash: two runs of one seed have the same.
    pub(crate) trace: u64,
    pub(crate) head: String,
}

impl Outcome {
    /// The same to the last draw of chance, the last step and the last audit entry.
    pub(crate) fn is_as(&self, other: &Self) -> bool {
        let all = |o: &Self| (o.seed, o.grants, o.steps, o.trace, o.head.clone(), o.broken.clone());
        all(self) == all(other)
    }
}

/// All that there is.
pub(crate) struct Scene {
    pub(crate) world: Arc<World>,
    pub(crate) rows: Arc<Model>,
    pub(crate) ledger: Arc<Ledger>,
    pub(crate) tenants: Vec<Arc<Tenant>>,
    pub(crate) psa: Arc<Psa>,
    outside: Outside,
    process: Option<Process>,
    died_at: Option<i64>,
    is_booked: bool,
    looked_at: i64,
}

#[derive(Debug)]
struct Models {
    tenants: Vec<Arc<Tenant>>,
    psa: Arc<Psa>,
}

#[async_trait::async_trait]
impl Assemble for Models {
    async fn assemble(&self, _: &Rules) -> Result<Registry, StoreError> {
        let psa: Arc<dyn latchkey_contract::TicketSystem> = Arc::<Psa>::clone(&self.psa);
        let registry = Registry::default().with(connection("cw"), Connector::TicketSystem(psa));
        Ok(self.tenants.iter().fold(registry, |registry, tenant| {
            let directory: Arc<dyn latchkey_contract::Directory> = Arc::<Tenant>::clone(tenant);
            registry.with(tenant.id.clone(), Connector::Directory(directory))
        }))
    }
}

fn connection(id: &str) -> ConnectionId {
    id.parse().unwrap_or_else(|_| panic!("{id} is a connection id"))
}

/// The product's connector, for what it says without asking anybody.
fn pure() -> Arc<Entra> {
    static PURE: OnceLock<Arc<Entra>> = OnceLock::new();
    let make = || {
        let settings: Settings = toml::from_str(
            "tenant = \"6b1f0c3e-0000-4000-8000-000000000001\"\n\
             client_id = \"6b1f0c3e-0000-4000-8000-000000000002\"\ncredential = \"secret\"\n",
        )
        .unwrap_or_else(|error| panic!("{error}"));
        let clock = Arc::new(crate::clock::SystemClock::new());
        let credential = Credential::Secret(Secret::new("unused".to_owned()));
        let made = Entra::new(connection("pure"), settings, credential, None, clock);
        Arc::new(made.unwrap_or_else(|error| panic!("{error}")))
    };
    Arc::clone(PURE.get_or_init(make))
}

impl Scene {
    fn new(seed: u64, tickets: u64, plant: Option<Plant>, is_told: bool) -> Self {
        let world = Arc::new(World::new(seed, is_told));
        let rows = Arc::new(if plant == Some(Plant::NotSynced) { Model::lazy() } else { Model::default() });
        let ledger = Arc::new(Ledger::new(Arc::clone(&world)));
        let tenant = |(n, id): (usize, &&str)| {
            Arc::new(Tenant::new(connection(id), Arc::clone(&world), Arc::clone(&rows), pure(), n != 1))
        };
        let tenants: Vec<_> = TENANTS.iter().enumerate().map(tenant).collect();
        ledger.ask(tenants.clone());
        let psa = Arc::new(Psa::new(Arc::clone(&world)));
        let disk = Disk::new(Arc::clone(&rows), Arc::clone(&world), Arc::clone(&ledger), plant);
        let ring = KeyRing::new(vec![MasterKey::generate()]).unwrap_or_else(|| panic!("a ring of one key"));
        let outside = Outside {
            world: Arc::clone(&world),
            store: Arc::new(disk),
            rows: Arc::clone(&rows),
            assemble: Arc::new(Models { tenants: tenants.clone(), psa: Arc::clone(&psa) }),
            seal: Arc::new(Seal::new(ring, Secret::new(vec![7; 32]))),
            random: Arc::new(Seeded(Mutex::new(Dice::new(seed ^ 0x5eed)))),
        };
        let first = rules::first(&world);
        let saved = rows.save_rules(&first, "owner", "first", world.at(0)).now_or_never();
        assert!(matches!(saved, Some(Ok(1))), "{saved:?}");
        story::tell(&world, seed, tickets);
        world.schedule(SECOND, Event::Start);
        Self { world, rows, ledger, tenants, psa, outside, process: None, died_at: None, is_booked: true, looked_at: 0 }
    }

    fn play(&mut self) {
        while self.world.broken().is_none() {
            if let Some(process) = &mut self.process {
                process.go_on();
            }
            if self.world.take_death() {
                self.die();
                continue;
            }
            let now = self.world.now();
            let claim = self.process.as_ref().and_then(Process::next_claim);
            if claim.is_some_and(|at| at <= now) && self.process.as_mut().is_some_and(Process::claim) {
                continue;
            }
            if let Some(event) = self.world.take_event() {
                self.happen(event);
                continue;
            }
            let claim = self.process.as_ref().and_then(Process::next_claim).map(|at| at.max(now + 1));
            let Some(next) = self.world.next().into_iter().chain(claim).min() else { return };
            if next > END || (now > story::QUIET && self.is_over()) {
                return;
            }
            self.world.advance(next);
        }
    }

    /// Nothing is owed to anybody any more.
    fn is_over(&mut self) -> bool {
        let now = self.world.now();
        if now < self.looked_at + 10 * MINUTE {
            return false;
        }
        self.looked_at = now;
        let open = self.ledger.lock().values().any(|told| !check::is_final(told.state));
        !open && check::nothing_owed(&self.rows)
    }

    fn die(&mut self) {
        let now = self.world.now();
        self.process = None;
        self.rows.crash();
        let lost = self.psa.desk().acknowledged.clone();
        check::acknowledged_is_kept(&self.world, &self.rows, &lost);
        let down = if self.world.chance(500) {
            self.world.between(MINUTE, 15 * MINUTE)
        } else {
            self.world.between(SECOND, 30 * SECOND)
        };
        self.world.tell(|| format!("== the process dies, for {down} ms"));
        // Its leases run out first.
        self.world.excuse("all", now, now + down + 2 * MINUTE);
        self.died_at = Some(now);
        self.book(now + down);
    }

    /// Where the wall clock is behind at a start, also when it was set back meanwhile, nobody knows for how long nothing ran,
    /// until it is right.
    fn excuse_what_nobody_counted(&mut self) {
        let now = self.world.now();
        let long_ago = self.died_at.take().filter(|at| now - at > MINUTE);
        if let Some(died_at) = long_ago.filter(|_| self.world.wall() < 0) {
            self.world.excuse("all", died_at, now + 35 * MINUTE);
        }
    }

    fn book(&mut self, at: i64) {
        if !std::mem::replace(&mut self.is_booked, true) {
            self.world.schedule(at, Event::Start);
        }
    }

    fn happen(&mut self, event: Event) {
        match event {
            Event::Effect(effect) => effect(),
            Event::Start => {
                self.is_booked = false;
                self.excuse_what_nobody_counted();
                self.process = Process::start(&self.outside);
                self.world.tell(|| "== the process starts".to_owned());
                if self.process.is_none() {
                    self.book(self.world.now() + SECOND);
                }
            }
            Event::Act(act) => self.act(&act),
        }
    }

    fn act(&mut self, act: &Act) {
        self.world.tell(|| match act {
            Act::Deliver { message, .. } => format!("delivery {} of ticket {:?}", message.message_id, message.ticket),
            Act::Make { ticket, .. } | Act::End { ticket, .. } => format!("ticket {ticket}: {act:?}"),
            Act::Approve => "somebody looks at what waits".to_owned(),
            Act::Kill | Act::Clock { .. } | Act::Quiet => format!("== {act:?}"),
            act => match act.on_ticket() {
                Some((ticket, ..)) => format!("ticket {ticket}: {act:?}"),
                None => format!("== {act:?}"),
            },
        });
        let now = self.world.now();
        match act {
            Act::Make { ticket, case } => {
                let made = (**case).clone();
                let message = self.psa.save(*ticket, "tech0", |case| *case = made);
                self.send(&message);
            }
            Act::Ask { ticket, may, .. } => {
                if *may && let Some(case) = self.psa.desk().tickets.get_mut(ticket) {
                    case.asked += 1;
                }
                self.on_ticket(act);
            }
            Act::Again { ticket, by } => {
                self.on_ticket(act);
                let again = Act::Ask { ticket: *ticket, by: by.clone(), may: true };
                self.world.schedule(now + self.world.between(SECOND, 5 * MINUTE), Event::Act(again));
            }
            Act::Down { tenant, ms } => {
                self.vendors(*tenant, now + ms, |condition, until| condition.down_until = until)
            }
            Act::Refuse { tenant, ms } => {
                self.vendors(*tenant, now + ms, |condition, until| condition.refused_until = until);
            }
            Act::Dead { tenant, is_dead } => {
                self.world.fault("role gone from a directory");
                let role = rules::role();
                let mut accounts = self.tenants[*tenant].accounts();
                if *is_dead {
                    accounts.dead.insert(role)
                } else {
                    accounts.dead.remove(&role)
                };
            }
            Act::Clock { ms } => {
                self.world.fault(match *ms {
                    0 => "wall clock set right",
                    1.. => "wall clock jumps forward",
                    _ => "wall clock set back",
                });
                self.world.set_wall(*ms);
            }
            Act::Chain { is_broken } => {
                self.world.fault(if *is_broken { "audit chain broken" } else { "audit chain mended" });
                self.rows.break_chain(*is_broken);
            }
            Act::Kill => {
                self.world.fault("process killed");
                self.world.kill();
            }
            Act::ByHand { tenant, nth } => self.by_hand(*tenant, *nth),
            Act::Deliver { message, tries } => self.deliver(message, *tries),
            Act::Leave { person, has_left } => {
                let name = format!("tech{person}");
                let mut desk = self.psa.desk();
                if *has_left {
                    desk.inactive.insert(name)
                } else {
                    desk.inactive.remove(&name)
                };
            }
            Act::Quiet => {
                self.world.quiet();
                self.vendors(None, now, |condition, until| {
                    (condition.down_until, condition.refused_until) = (until, until);
                });
                for tenant in &self.tenants {
                    tenant.condition().down_until = now;
                    tenant.condition().refused_until = now;
                    tenant.accounts().dead.clear();
                }
                self.rows.break_chain(false);
                if self.world.wall() < 0 {
                    self.world.set_wall(0);
                }
            }
            act if act.on_ticket().is_some() => self.on_ticket(act),
            act => {
                if let Some(process) = &mut self.process {
                    let (jobs, store) = (Arc::clone(&process.jobs), Arc::clone(&self.outside.store));
                    process.spawn(crate::operator::act(jobs, store, act.clone()));
                }
            }
        }
    }

    fn on_ticket(&self, act: &Act) {
        let Some((ticket, by, change)) = act.on_ticket() else { return };
        if self.psa.desk().tickets.contains_key(&ticket) {
            let message = self.psa.save(ticket, by, |case| change(case, act));
            self.send(&message);
        }
    }

    fn vendors(&self, tenant: Option<usize>, until: i64, set: impl Fn(&mut crate::call::Condition, i64)) {
        let now = self.world.now();
        match tenant {
            Some(n) => {
                let tenant = &self.tenants[n];
                set(&mut tenant.condition(), until);
                self.world.excuse(tenant.id.as_str(), now, until + 370 * SECOND);
            }
            None => set(&mut self.psa.condition(), until),
        }
    }

    /// Whoever enables an account by hand gives what nobody granted: it is cut again when it is next looked at.
    fn by_hand(&self, tenant: usize, nth: u64) {
        let tenant = &self.tenants[tenant];
        let mut accounts = tenant.accounts();
        let mut off: Vec<_> = accounts.all.iter_mut().filter(|a| !a.is_deleted && !a.has_power()).collect();
        let n = usize::try_from(nth % off.len().max(1) as u64).unwrap_or(0);
        let Some(account) = off.get_mut(n) else { return };
        let stored = self.rows.account(&account.mark).now_or_never().and_then(Result::ok).flatten();
        let Some(last) = stored.and_then(|stored| stored.looks.iter().max().copied()) else { return };
        let (now, last) = (self.world.now(), self.world.since_start(last));
        if last <= now + 10 * MINUTE {
            return;
        }
        self.world.fault("account enabled by hand");
        self.world.excuse(account.mark.as_str(), now - 30 * HOUR, last + 10 * MINUTE);
        account.enable(now);
    }

    /// The PSA tells of a save: once, twice, late, or never.
    fn send(&self, message: &TicketEvent) {
        let late = if self.world.chance(500) {
            self.world.between(MINUTE, 15 * MINUTE)
        } else {
            self.world.between(100, 5 * SECOND)
        };
        let now = self.world.now();
        let deliver = |at: i64| {
            let message = Box::new(message.clone());
            self.world.schedule(at, Event::Act(Act::Deliver { message, tries: 0 }));
        };
        if self.world.chance(400) {
            return self.world.fault("webhook lost");
        }
        if late >= MINUTE {
            self.world.fault("webhook late");
        }
        deliver(now + late);
        if self.world.chance(500) {
            self.world.fault("webhook repeated");
            deliver(now + late + self.world.between(0, MINUTE));
        }
    }

    fn deliver(&self, message: &TicketEvent, tries: u32) {
        let now = self.world.now();
        let again = || {
            let Some(wait) = RESENT.get(tries as usize) else { return };
            let message = Box::new(message.clone());
            self.world.schedule(now + wait, Event::Act(Act::Deliver { message, tries: tries + 1 }));
        };
        let Some(process) = &self.process else { return again() };
        let received_at = process.jobs.clock.now();
        let new = NewDelivery {
            id: crate::random::ulid(self.outside.random.as_ref(), received_at),
            connection: connection("cw"),
            message_id: message.message_id.clone(),
            body_hash: message.message_id.clone(),
            received_at,
            event: message.clone(),
        };
        match self.outside.store.record_delivery(new).now_or_never() {
            Some(Ok(Recorded::New | Recorded::Repeat)) => {
                self.psa.desk().acknowledged.insert(message.message_id.clone());
            }
            _ => again(),
        }
    }
}

/// Plays one world.
pub(crate) fn run(seed: u64, tickets: u64, plant: Option<Plant>, is_told: bool) -> Outcome {
    let mut scene = Scene::new(seed, tickets, plant, is_told);
    scene.play();
    let overhangs = if scene.world.broken().is_none() { check::at_the_end(&scene) } else { Vec::new() };
    let (faults, checks, steps) = scene.world.counts();
    let broken = scene.world.broken();
    let told = scene.ledger.lock();
    Outcome {
        seed,
        grants: told.values().filter(|told| told.begun.is_some()).count() as u64,
        history: broken.as_ref().map(|broken| scene.world.history(&broken.about)).unwrap_or_default(),
        broken,
        faults,
        checks,
        steps,
        overhangs,
        trace: scene.world.trace(),
        head: scene.rows.audit_head().now_or_never().and_then(Result::ok).flatten().map(|h| h.hash).unwrap_or_default(),
    }
}
