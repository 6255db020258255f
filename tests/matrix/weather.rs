//! Faults of everything at once, while nothing happens, while access is being given, while it is being taken away, and
//! while the service starts.

use std::{
    sync::{
        Arc, Mutex, OnceLock,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use latchkey_contract::{Clock as _, Timestamp};
use latchkey_simulators::{
    fault::{Act, Fault},
    postgres::{Database, Server, binaries},
};
use tempfile::TempDir;

use crate::{
    aftermath::{Asked, Effects, over, recovered, taken_in_a_row},
    bench::Bench,
    ground,
    harness::{
        TestClock,
        stranger::{On, choose},
    },
    invariants::{self, Struck},
    kills::PATIENCE,
    pool::{Cell, in_a_world_of_its_own},
    storm,
    story::{MINUTE, Story},
    table::Row,
    wrong::Wrong,
};

pub(crate) const PART: &str = "global";

/// How long it may take, in real time, until all is well again; some of it is a machine's on which other cells run as well.
pub(crate) const RECOVERY: Duration = Duration::from_secs(30);

/// How often all sessions are ended.
pub(crate) const SESSIONS_ENDED: usize = 3;

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

    /// The database is away for a while.
    fn is_of_a_server(self) -> bool {
        self != Self::Replays
    }

    /// How often an account's call may be under way as it breaks something off.
    const fn breaks_off(self) -> usize {
        match self {
            Self::ServerRestarts | Self::ServerStopsAtOnce | Self::NoConnectionLeft | Self::FailedOver => 1,
            Self::SessionsEnded => SESSIONS_ENDED,
            // It takes longer than the call at which it begins.
            Self::Replays => 1,
        }
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
    clock: TestClock,
    began: Arc<OnceLock<Timestamp>>,
    struck: Arc<AtomicUsize>,
}

impl Storm {
    pub(crate) fn new(clock: &TestClock, act: impl Fn() + Send + Sync + 'static) -> Self {
        Self { act: Arc::new(act), clock: clock.clone(), began: Arc::default(), struck: Arc::default() }
    }

    fn strike(&self) {
        self.began.get_or_init(|| self.clock.now());
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
    let refused = Effects::of(&bench.app, refused).await;
    if weather == Weather::FailedOver {
        // The standby hears of nothing that comes later.
        copy(server.as_ref().expect("a server of its own")).await;
    }
    let (mut tickets, mut in_a_row) = (Vec::new(), Vec::new());
    match phase {
        Phase::Idle => {
            storm.strike_aside().await;
            if weather.is_of_a_server() {
                in_a_row = taken_in_a_row(&bench).await;
            }
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
    if weather.is_of_a_server() && phase != Phase::Idle {
        in_a_row = taken_in_a_row(&bench).await;
    }
    // While it idles nothing is committed that the standby lacks.
    let lost = (weather == Weather::FailedOver && phase != Phase::Idle).then(|| bench.app.clock.now());
    bench.rest_in_the_end().await;
    recovered(&mut bench).await;
    let asked = Asked { tickets, refused, in_a_row };
    let mut said = over(&mut bench, (weather, phase), &asked).await;
    bench.stop().await;
    let at = *storm.began.get().expect("it struck");
    invariants::check_after(&bench, Struck { at, times: weather.breaks_off(), lost }).await;
    if lost.is_some() {
        said = format!("{said}; {}", invariants::NOT_ASKED);
    }
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
