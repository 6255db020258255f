//! Faults of everything at once, while nothing happens, while access is being given, while it is being taken away, and
//! while the service starts.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use latchkey_contract::Clock as _;
use latchkey_simulators::{
    fault::{Act, Fault},
    postgres::{Database, Server, binaries},
};
use tempfile::TempDir;

use crate::{
    bench::Bench,
    ground,
    harness::stranger::{On, choose},
    invariants,
    kills::PATIENCE,
    people::is_told,
    pool::{Cell, in_a_world_of_its_own},
    storm,
    story::{MINUTE, Story},
    table::Row,
    wrong::Wrong,
};

pub(crate) const PART: &str = "global";

/// How long it may take, in real time, until all is well again; some of it is a machine's on which other cells run as well.
const RECOVERY: Duration = Duration::from_secs(30);

/// What happens to everything at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Weather {
    ServerRestarts,
    ServerStopsAtOnce,
    SessionsEnded,
    NoConnectionLeft,
    FailedOver,
    Replays,
}

/// What the service is doing meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Idle,
    Provisioning,
    Removals,
    Restart,
}

impl Weather {
    const ALL: [Self; 6] = [
        Self::ServerRestarts,
        Self::ServerStopsAtOnce,
        Self::SessionsEnded,
        Self::NoConnectionLeft,
        Self::FailedOver,
        Self::Replays,
    ];

    /// As the list of global faults says it.
    const fn name(self) -> &'static str {
        match self {
            Self::ServerRestarts => "database server restarted",
            Self::ServerStopsAtOnce => "database server stopped at once",
            Self::SessionsEnded => "database sessions ended",
            Self::NoConnectionLeft => "no connection left",
            Self::FailedOver => "primary lost, standby promoted",
            Self::Replays => "10,000 old deliveries once more",
        }
    }

    fn is_on(self, on: On) -> bool {
        on == On::Postgres || self == Self::Replays
    }
}

impl Phase {
    pub(crate) const ALL: [Self; 4] = [Self::Idle, Self::Provisioning, Self::Removals, Self::Restart];

    /// The directory's call that shows that it is this phase.
    pub(crate) const fn call(self) -> Option<&'static str> {
        match self {
            Self::Provisioning => Some("POST /users"),
            Self::Removals => Some("POST /users/{id}/revokeSignInSessions"),
            Self::Idle | Self::Restart => None,
        }
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Idle => "idle",
            Self::Provisioning => "provisioning",
            Self::Removals => "removals due",
            Self::Restart => "restart",
        }
    }
}

pub(crate) fn cells(on: On) -> Vec<Cell> {
    let mut cells = Vec::new();
    for weather in Weather::ALL.into_iter().filter(|weather| weather.is_on(on)) {
        for phase in Phase::ALL {
            let row = Row::new(PART, ground::name(on), phase.name(), "everything", weather.name());
            let act = move || {
                in_a_world_of_its_own(async {
                    tokio::time::timeout(PATIENCE, live(on, weather, phase)).await.expect("a cell takes seconds")
                })
            };
            cells.push(Cell { row, waits: true, act: Box::new(act) });
        }
    }
    cells
}

/// What strikes, and how often it has.
#[derive(Clone)]
pub(crate) struct Storm {
    act: Arc<dyn Fn() + Send + Sync>,
    struck: Arc<AtomicUsize>,
}

impl Storm {
    pub(crate) fn new(act: impl Fn() + Send + Sync + 'static) -> Self {
        Self { act: Arc::new(act), struck: Arc::default() }
    }

    fn strike(&self) {
        (self.act)();
        self.struck.fetch_add(1, Ordering::SeqCst);
    }

    async fn strike_aside(&self) {
        let storm = self.clone();
        tokio::task::spawn_blocking(move || storm.strike()).await.unwrap();
    }

    /// It has struck: where that takes longer than the call which it struck at, that call has been given up by then.
    async fn is_over(&self) {
        let began = Instant::now();
        while self.struck.load(Ordering::SeqCst) == 0 {
            assert!(began.elapsed() < RECOVERY * 4, "nothing happened");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Strikes at the directory's next call of that kind, before it takes effect.
    fn strike_at(&self, bench: &Bench, op: &'static str) {
        let storm = self.clone();
        let act = Act::before(move |_| tokio::task::block_in_place(|| storm.strike()));
        bench.app.entra.sim.faults().add(Fault::on(op, act).once());
    }
}

/// A server of the cell's own, in a database of which the service works.
struct Site {
    dir: TempDir,
    server: Option<Arc<Mutex<Server>>>,
    database: Option<Database>,
}

impl Site {
    fn of(on: On, weather: Weather) -> Self {
        match weather {
            Weather::ServerRestarts | Weather::ServerStopsAtOnce | Weather::FailedOver | Weather::NoConnectionLeft => {
                let server = Server::start(&binaries().expect("PostgreSQL is on this machine"));
                let dir = tempfile::tempdir().unwrap();
                server.ask("postgres", "CREATE ROLE latchkey LOGIN");
                server.ask("postgres", "CREATE DATABASE storm OWNER latchkey");
                let database = Database { url: server.url("storm").replacen("postgres@", "latchkey@", 1) };
                choose(dir.path(), Some(&database.url));
                Self { dir, server: Some(Arc::new(Mutex::new(server))), database: Some(database) }
            }
            Weather::SessionsEnded | Weather::Replays => Self { dir: ground::fresh(on), server: None, database: None },
        }
    }
}

async fn live(on: On, weather: Weather, phase: Phase) -> String {
    let Site { dir, server, database: _own } =
        tokio::task::spawn_blocking(move || Site::of(on, weather)).await.unwrap();
    let mut bench = Bench::start_in(dir, Story::ClaimLink, Wrong::Weather).await;
    bench.up().await;
    bench.rest().await;
    let storm = storm::of(weather, &bench, phase, server.clone());
    // Somebody who may not has asked for something before.
    let refused = bench.app.psa.ticket();
    bench.app.psa.ask_as("unbound", refused);
    bench.rest().await;
    if weather == Weather::FailedOver {
        // The standby hears of nothing that comes later.
        copy(server.as_ref().expect("a server of its own")).await;
    }
    let mut tickets = Vec::new();
    match phase {
        Phase::Idle => {
            storm.strike_aside().await;
            recovered(&mut bench).await;
            tickets.extend(ask_all(&bench));
        }
        Phase::Provisioning => {
            storm.strike_at(&bench, phase.call().expect("a call"));
            tickets.extend(ask_all(&bench));
        }
        Phase::Removals => {
            tickets.extend(ask_all(&bench));
            bench.rest().await;
            storm.strike_at(&bench, phase.call().expect("a call"));
            bench.pass(61 * MINUTE).await;
        }
        Phase::Restart => {
            tickets.extend(ask_all(&bench));
            bench.rest().await;
            bench.app.down().await;
            let (aside, ()) = tokio::join!(
                tokio::spawn({
                    let storm = storm.clone();
                    async move { storm.strike_aside().await }
                }),
                bench.up_in_the_end()
            );
            aside.unwrap();
        }
    }
    storm.is_over().await;
    // While it idles nothing is committed that the standby lacks.
    let lost = (weather == Weather::FailedOver && phase != Phase::Idle).then(|| bench.app.clock.now());
    bench.rest_in_the_end().await;
    recovered(&mut bench).await;
    let said = over(&mut bench, weather, tickets).await;
    bench.stop().await;
    let said = match lost {
        None => {
            invariants::check(&bench).await;
            said
        }
        Some(lost) => {
            invariants::check_but_for_what_was_lost(&bench, lost).await;
            format!("{said}; {}", invariants::NOT_ASKED)
        }
    };
    bench.end().await;
    drop(server);
    said
}

async fn copy(server: &Arc<Mutex<Server>>) {
    let server = Arc::clone(server);
    tokio::task::spawn_blocking(move || server.lock().unwrap().copy()).await.unwrap();
}

/// Several people ask on several boards.
fn ask_all(bench: &Bench) -> Vec<i64> {
    let psa = &bench.app.psa;
    let mut tickets = Vec::new();
    for (who, board) in [("jdoe", psa.desk), ("msmith", psa.desk), ("jdoe", psa.desk), ("msmith", psa.desk)] {
        let ticket = psa.ticket_on(board);
        psa.ask_as(who, ticket);
        tickets.push(ticket);
    }
    tickets
}

/// All is well in time, or a person is asked and answers.
async fn recovered(bench: &mut Bench) {
    let began = Instant::now();
    loop {
        let (status, failing) = bench.app.ready().await;
        if status == 200 {
            return;
        }
        assert!(began.elapsed() < RECOVERY, "it is not well again: {failing:?}");
        if failing == ["reconcile"] {
            let said = bench.app.type_in(&["--yes", "reconcile", "--accept"], "").await;
            if said.is_err() {
                bench.pass(MINUTE).await;
            }
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Whatever was asked for came to its end: given and ended with proof, or never heard of, and then nothing of it is left.
async fn over(bench: &mut Bench, weather: Weather, tickets: Vec<i64>) -> String {
    // In small steps: what was lost is found by the poll, which nobody waits for.
    for _ in 0..35 {
        bench.pass(4 * MINUTE).await;
        // What a standby lacks may be noticed only now.
        recovered(bench).await;
    }
    let app = &bench.app;
    let ended = |ticket: &&i64| is_told(app, **ticket, "Latchkey: access has ended, proven off.");
    let proven = tickets.iter().filter(ended).count();
    let entra = &app.entra;
    let enabled = entra.accounts().iter().filter(|a| a["accountEnabled"] == true).count();
    let told: Vec<_> = tickets.iter().map(|ticket| app.psa.told(*ticket)).collect();
    assert_eq!(enabled, 0, "an account is left at {}: {told:?} {}", app.clock.now(), bench.log_tail());
    if weather != Weather::FailedOver {
        assert_eq!(
            proven,
            tickets.len(),
            "each was given and ended: {:?}",
            tickets.iter().map(|t| app.psa.notes(*t)).collect::<Vec<_>>()
        );
    }
    // It still works. Whose account was taken away as one that nobody knew has to ask for another name.
    let next = app.psa.ticket();
    app.psa.ask(next);
    let granted = is_granted_in_the_end(bench, next).await;
    assert!(granted || weather == Weather::FailedOver, "it works no more: {:?}", bench.app.psa.notes(next));
    bench.pass(75 * MINUTE).await;
    assert!(!bench.app.entra.is_enabled(), "access is left");
    format!("{proven} of {} ended with proof, nothing is left of the others, and it works", tickets.len())
}

/// Whether a request was granted; answered it is in any case.
async fn is_granted_in_the_end(bench: &mut Bench, ticket: i64) -> bool {
    let [granted, refused] = ["Latchkey: access granted.", "Latchkey: access was not granted."];
    bench.until(10 * MINUTE, "an answer", |app| [granted, refused].iter().any(|line| is_told(app, ticket, line))).await;
    is_told(&bench.app, ticket, granted)
}
