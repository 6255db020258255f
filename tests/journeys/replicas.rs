//! Several processes on one database, which is PostgreSQL: they share the work, and each may die, lag, or be replaced.

use std::{
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use latchkey::{
    app::{Duties, Parts},
    audit::Code,
    clock::SystemClock,
    config::Config,
};
use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::{
    fault::{Act, Call, Fault},
    postgres::{Server, binaries},
};
use rustix::process::{Pid, Signal, kill_process};

use crate::harness::{stranger::is_on_postgres, *};

const JANE: &str = "jit-jane@contoso.onmicrosoft.com";

impl TestApp {
    /// What fails of the process that has the pages.
    async fn failing(&self) -> Vec<String> {
        self.ready().await.1
    }

    /// How many were settled.
    async fn settled(&self) -> usize {
        let log = self.store().audit(0, 10_000).await.unwrap_or_default();
        log.iter().filter(|entry| entry.code == Code::ReconcileDone).count()
    }

    fn creates(&self) -> usize {
        self.entra.sim.faults().calls().iter().filter(|call| call.op == "POST /users").count()
    }
}

/// F171: pages and webhooks in one process, the work in another; what one records, the other does at once, and where nobody
/// does it, the pages' process says so.
#[tokio::test(flavor = "multi_thread")]
async fn pages_and_work_may_be_two_processes() {
    if !is_on_postgres() {
        return;
    }
    let mut app = TestApp::start().await;
    app.down().await;
    app.up_with(|parts| parts.duties = Duties::Web).await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.psa.sim.settled().await;
    assert_eq!(app.failing().await, Vec::<String>::new());
    app.clock.pass(Duration::from_secs(61));
    assert_eq!(app.failing().await, ["worker"]);
    assert!(app.psa.notes(ticket).is_empty(), "nobody does anything");

    let worker = app.replica("worker", Duties::Work).await;
    soon!("access", app.state_or_none(ticket).await == Some("active"));
    assert_eq!(app.failing().await, Vec::<String>::new(), "who joins holds nobody up");
    app.minutes(61).await;
    soon!("the end", app.state_or_none(ticket).await == Some("ended"));
    worker.stop().await;
    app.end().await;
}

/// Halves are for several processes.
#[tokio::test(flavor = "multi_thread")]
async fn half_a_service_is_refused_where_the_database_is_a_file() {
    if is_on_postgres() {
        return;
    }
    let app = TestApp::installed(&[], |_, _| ()).await;
    let (clock, config): (_, &Config) = (std::sync::Arc::new(app.clock.clone()), app.config());
    let parts = latchkey::app::Parts { duties: Duties::Work, ..latchkey::app::Parts::new(clock) };
    let error = latchkey::app::App::start(config, parts).await.unwrap_err().to_string();
    assert!(error.contains("leave --web and --worker out"), "{error}");
}

/// F126, F171, I3, I4: a process dies with a call under way. Another one takes its work up when the lease has run out, looks
/// first, and does nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_dies_is_made_good_within_its_lease() {
    if !is_on_postgres() {
        return;
    }
    let mut app = TestApp::start().await;
    app.down().await;
    app.up_with(|parts| parts.duties = Duties::Web).await;
    let dies = app.replica("dies", Duties::Work).await;
    let fired = app.entra.sim.faults().add(Fault::on("POST /users", Act::Delay(1500)).once());
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    soon!("the call", fired.count() == 1);
    drop(dies);
    let takes_over = app.replica("takes over", Duties::Work).await;
    soon!("the effect", app.creates() == 1 && app.entra.accounts().len() == 1);
    app.clock.pass(Duration::from_secs(59));
    soon!("a look", app.failing().await.is_empty());
    assert_eq!(app.state_or_none(ticket).await, Some("granting"), "its lease has not run out");
    // The lease, and what the two clocks may differ.
    app.clock.pass(Duration::from_secs(12));
    // Whoever was comparing its clock with the database's as the time passed gives nothing until it has compared them again.
    let mut looks = 0;
    while app.state_or_none(ticket).await != Some("active") {
        looks += 1;
        assert!(looks < 600, "access does not come");
        tokio::time::sleep(Duration::from_millis(100)).await;
        if looks % 100 == 0 {
            app.clock.pass(Duration::from_secs(11));
        }
    }
    assert_eq!((app.creates(), app.entra.accounts().len()), (1, 1), "found by looking, not made again");
    app.minutes(61).await;
    soon!("the end", app.state_or_none(ticket).await == Some("ended"));
    takes_over.stop().await;
    app.end().await;
}

/// The first lines of a ticket's notes, once its access has ended.
const TOLD: [&str; 3] =
    ["Latchkey: request received.", "Latchkey: access granted.", "Latchkey: access has ended, proven off."];

/// Notes who claims: each process does on one connection of its own.
const CLAIMS: &str = "CREATE TABLE claims (pid INT NOT NULL);
    CREATE FUNCTION note_claim() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN INSERT INTO claims VALUES (pg_backend_pid()); RETURN NEW; END $$;
    CREATE TRIGGER claimed AFTER UPDATE ON tasks FOR EACH ROW
        WHEN (OLD.state = 'pending' AND NEW.state = 'leased') EXECUTE FUNCTION note_claim()";

/// F126, F171: three processes, many tickets of two people: everything is done once, and whoever of them goes is not missed.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_work_and_none_of_them_is_missed() {
    if !is_on_postgres() {
        return;
    }
    let app = TestApp::start().await;
    let mut stranger = app.stranger().await;
    stranger.on_both(CLAIMS).await;
    let (second, third) = (app.replica("second", Duties::All).await, app.replica("third", Duties::Work).await);
    let people = ["jdoe", "msmith"];
    let tickets: Vec<(i64, &str)> = (0..12).map(|n| (app.psa.ticket(), people[n % 2])).collect();
    for (ticket, person) in &tickets {
        app.psa.ask_as(person, *ticket);
    }
    app.run().await;
    assert_eq!(stranger.number("SELECT count(DISTINCT pid) FROM claims").await, Some(3), "each did some of it");
    third.stop().await;
    // Who was second to commit comes again within the second.
    app.minutes(2).await;
    assert_eq!((app.creates(), app.entra.accounts().len()), (2, 2), "one account a person");
    for (ticket, _) in &tickets {
        assert_eq!(app.state_or_none(*ticket).await, Some("active"), "{:?}", app.psa.notes(*ticket));
    }
    app.minutes(30).await;
    second.stop().await;
    app.minutes(40).await;
    for person in people {
        for (ticket, _) in tickets.iter().filter(|(_, by)| *by == person) {
            assert_eq!(app.state_or_none(*ticket).await, Some("ended"), "{ticket}");
            assert_eq!(app.psa.told(*ticket), TOLD, "{ticket}");
            assert_eq!(app.grants(*ticket).await.len(), 1, "{ticket}");
        }
    }
    assert_eq!(app.creates(), 2);
    stranger.close().await;
    app.end().await;
}

/// The shipped program as a replica that only works, on the machine's own clock. It goes with the test, paused or not.
struct Shipped(Child);

impl Shipped {
    fn begin(app: &TestApp) -> Self {
        let mut program = Command::new(env!("CARGO_BIN_EXE_latchkey"));
        program.args(["serve", "--worker", "--config"]).arg(app.replica_in("shipped"));
        program.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        Self(program.spawn().unwrap())
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }
}

impl Drop for Shipped {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// F126, F171, I3, I4: a process is paused with one call that gives under way, and with another one's ground just looked at,
/// for longer than its leases. Another one takes both up. When the first goes on, it does nothing of what it was about to.
/// Its leases run out in real time: this takes 75 s.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_paused_and_goes_on_does_no_harm() {
    if !is_on_postgres() {
        return;
    }
    let mut app = TestApp::installed(&[], |_, _| ()).await;
    let real = app.clock.follow();
    app.up_with(|parts| parts.duties = Duties::Web).await;
    app.register_webhooks().await;
    let mut shipped = Shipped::begin(&app);
    let (jane, mark) = (app.psa.ticket(), app.psa.ticket());
    let giving = app.entra.sim.faults().add(Fault::on("POST /users", Act::Delay(6000)).once());
    app.psa.ask(jane);
    soon!("the call that gives", giving.count() == 1);
    let pid = shipped.pid();
    let pause = move |_: &Call| kill_process(pid, Signal::STOP).unwrap();
    let looking = app.entra.fail(|call| call.op == "GET /users/{id}", Act::before(pause));
    app.psa.ask_as("msmith", mark);
    soon!("the look", looking.count() == 1);
    app.entra.sim.faults().clear();
    soon!("the effect", app.creates() == 1 && app.entra.accounts().len() == 1);

    let other = app.replica("other", Duties::Work).await;
    let paused = Instant::now();
    let both = async || (app.state_or_none(jane).await, app.state_or_none(mark).await);
    while both().await != (Some("active"), Some("active")) {
        assert!(paused.elapsed() < Duration::from_secs(180), "nobody takes it up: {:?}", both().await);
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(paused.elapsed() > Duration::from_secs(55), "its leases stand that long");
    assert_eq!((app.creates(), app.entra.accounts().len()), (2, 2));
    let given = app.entra.writes();
    kill_process(pid, Signal::CONT).unwrap();
    // It alone is left, and does what comes next: so it has gone on.
    other.stop().await;
    let third = app.psa.ticket();
    app.psa.ask(third);
    soon!("what the one that was paused does", app.state_or_none(third).await == Some("active"));
    assert!(shipped.0.try_wait().unwrap().is_none(), "it runs");
    assert_eq!(app.entra.writes(), given, "nothing was made, enabled or given again");
    for ticket in [jane, mark] {
        assert_eq!(app.psa.told(ticket), TOLD[..2], "{ticket}");
    }
    kill_process(pid, Signal::TERM).unwrap();
    assert!(shipped.0.wait().unwrap().success());
    real.abort();

    let last = app.replica("last", Duties::Work).await;
    app.minutes(61).await;
    for ticket in [jane, mark, third] {
        soon!("the end", app.state_or_none(ticket).await == Some("ended"));
    }
    last.stop().await;
    app.end().await;
}

/// What is done to a server takes seconds, in which the service goes on.
async fn aside(mut server: Server, act: fn(&mut Server)) -> Server {
    let acted = tokio::task::spawn_blocking(move || {
        act(&mut server);
        server
    });
    acted.await.unwrap()
}

/// F171: the standby that takes over has everything: that is compared, and everybody goes on by themselves.
#[tokio::test(flavor = "multi_thread")]
async fn a_failover_that_loses_nothing_needs_nobody() {
    if !is_on_postgres() {
        return;
    }
    let server = Server::start(&binaries().unwrap());
    let database = server.database("used");
    let app = TestApp::start_on(&database).await;
    let ticket = app.active().await;
    let server = aside(server, Server::copy).await;
    let _server = aside(server, Server::fail_over).await;
    soon!("the comparison", app.failing().await == ["reconcile"]);
    app.clock.pass(Duration::from_secs(61));
    soon!("another comparison", app.settled().await > 0);
    soon!("the end of it", app.failing().await.is_empty());
    assert_eq!(app.state(ticket).await.name(), "active", "it is as it was given");
    app.minutes(61).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
    app.end().await;
}

/// F171, I1, I13: the database server's standby takes over without what was acknowledged last. The service that runs notices, and
/// takes away what it gave and no longer knows of. Whose it was asks again, and gets another account.
#[tokio::test(flavor = "multi_thread")]
async fn access_that_the_server_forgot_in_a_failover_is_found_and_taken_away() {
    if !is_on_postgres() {
        return;
    }
    let server = Server::start(&binaries().unwrap());
    let database = server.database("used");
    let app = TestApp::start_on(&database).await;
    app.run().await;
    let server = aside(server, Server::copy).await;
    let ticket = app.active().await;
    let _server = aside(server, Server::fail_over).await;
    soon!("the comparison", app.failing().await.contains(&"reconcile".to_owned()));
    assert!(app.grants(ticket).await.is_empty(), "it is forgotten indeed");
    assert!(app.entra.is_enabled(), "and the account is there");
    soon!("the list", app.type_in(&["reconcile"], "").await.is_ok_and(|list| list.contains(JANE)));
    let early = app.type_in(&["reconcile", "--accept", "--yes"], "").await.unwrap_err();
    assert!(early.contains("calls that were under way"), "{early}");
    app.clock.pass(Duration::from_secs(70));
    app.type_in(&["reconcile", "--accept", "--yes"], "").await.unwrap();
    soon!("the end of it", app.failing().await.is_empty());
    app.minutes(2).await;
    assert!(app.entra.accounts().iter().all(|account| account["accountEnabled"] == false));
    app.active().await;
    let accounts = app.entra.accounts();
    let on: Vec<_> = accounts.iter().filter(|account| account["accountEnabled"] == true).collect();
    assert_eq!(on.len(), 1, "what was forgotten is off");
    let name = on[0]["userPrincipalName"].as_str().unwrap();
    assert!(name.starts_with("jit-jane-") && name != JANE, "{name}");
    let mut app = app;
    app.down().await;
}

/// F171, I1, I2: a call that gives was under way as the server changed, and takes effect when the directory has been looked at and
/// nobody knows of it any more. It is found all the same, since what counts is what is compared a minute after.
#[tokio::test(flavor = "multi_thread")]
async fn a_call_under_way_in_a_failover_is_found_by_the_second_comparison() {
    if !is_on_postgres() {
        return;
    }
    let server = Server::start(&binaries().unwrap());
    let database = server.database("used");
    let app = TestApp::start_on(&database).await;
    let ticket = app.active().await;
    app.minutes(61).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
    app.minutes(24 * 60).await;
    let comparisons = || {
        let calls = app.entra.sim.faults().calls();
        calls.iter().filter(|call| call.op == "GET /users").count()
    };
    let before = comparisons();
    let server = aside(server, Server::copy).await;
    let _server = aside(server, Server::fail_over).await;
    soon!("the comparison", app.failing().await == ["reconcile"] && comparisons() > before);
    assert_eq!(app.settled().await, 0, "calls may be under way");
    app.entra.sim.by_hand(TENANT).enable(JANE);
    app.clock.pass(Duration::from_secs(61));
    soon!("another comparison", app.settled().await > 0);
    soon!("the end of it", app.failing().await.is_empty());
    app.minutes(2).await;
    assert!(!app.entra.is_enabled(), "what took effect late is off");
    app.end().await;
}

/// F10, I7: the standby that takes over lacks a delivery that was acknowledged, and nobody has done anything about it yet. The
/// poll finds its ticket.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_the_server_forgot_in_a_failover_is_found_by_the_poll() {
    if !is_on_postgres() {
        return;
    }
    let server = Server::start(&binaries().unwrap());
    let database = server.database("used");
    let mut app = TestApp::start_on(&database).await;
    app.run().await;
    app.down().await;
    app.up_with(|parts| parts.duties = Duties::Web).await;
    let server = aside(server, Server::copy).await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.psa.sim.settled().await;
    let waits = async || app.store().tasks(1000).await.unwrap().iter().any(|task| task.slot.starts_with("intake:"));
    assert!(waits().await);
    let _server = aside(server, Server::fail_over).await;
    soon!("the note", app.failing().await.contains(&"reconcile".to_owned()));
    assert!(!waits().await, "it is forgotten indeed");
    let worker = app.replica("worker", Duties::Work).await;
    app.clock.pass(Duration::from_secs(61));
    soon!("the comparison", app.settled().await > 0);
    app.minutes(10).await;
    assert_eq!(app.state_or_none(ticket).await, Some("active"), "{:?}", app.psa.notes(ticket));
    app.minutes(61).await;
    assert_eq!(app.state_or_none(ticket).await, Some("ended"));
    worker.stop().await;
    app.down().await;
}

/// A wall clock that nobody moves by hand, and that is wrong.
#[derive(Debug)]
struct Wrong(SystemClock, Duration);

#[async_trait::async_trait]
impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        self.0.now() + self.1
    }
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
    async fn sleep_until(&self, at: Timestamp) {
        self.0.sleep_until(at - self.1).await;
    }
}

fn wrong(off: Duration) -> impl FnOnce(&mut Parts) {
    move |parts: &mut Parts| parts.clock = std::sync::Arc::new(Wrong(SystemClock::new(), off))
}

/// I11, I12: a replica whose clock is not the database server's records who asks, gives nothing, and says so. Who comes with
/// the right time does what it left.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_not_the_servers_gives_nothing() {
    if !is_on_postgres() {
        return;
    }
    let mut app = TestApp::installed(&[], |_, _| ()).await;
    let real = app.clock.follow();
    app.up_with(wrong(Duration::from_secs(7))).await;
    app.register_webhooks().await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.psa.sim.settled().await;
    assert!(app.deliveries().1 > 0, "it is recorded");
    assert_eq!(app.failing().await, ["clock"]);
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!((app.state_or_none(ticket).await, app.creates(), app.psa.notes(ticket).len()), (None, 0, 0));
    }
    app.down().await;
    app.up_with(wrong(Duration::ZERO)).await;
    assert_eq!(app.failing().await, Vec::<String>::new());
    soon!("access", app.state_or_none(ticket).await == Some("active"));
    app.down().await;
    real.abort();
}

/// How long the leases run, by the server's clock.
const LEASED: &str = "SELECT max(lease_until) - CAST(extract(epoch FROM clock_timestamp()) * 1000 AS BIGINT)
    FROM tasks WHERE state = 'leased'";

/// F126, I11, I12: a replica whose clock is an hour ahead of the database server's takes away what is over by it, early and not
/// late, under leases that would end for others when they should; and gives nothing.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ahead_of_the_servers_takes_away_and_gives_nothing() {
    if !is_on_postgres() {
        return;
    }
    let mut app = TestApp::installed(&[], |_, _| ()).await;
    let real = app.clock.follow();
    app.up_with(wrong(Duration::ZERO)).await;
    app.register_webhooks().await;
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    soon!("access", app.state_or_none(ticket).await == Some("active"));
    app.down().await;
    let taking = app.entra.sim.faults().add(Fault::on("PATCH /users/{id}", Act::Delay(3000)).once());
    app.up_with(wrong(Duration::from_secs(3601))).await;
    soon!("the call that takes", taking.count() == 1);
    let mut stranger = app.stranger().await;
    let leased = stranger.number(LEASED).await.expect("what is under way has a lease");
    assert!((1..=60_000).contains(&leased), "dead now, nobody would follow it for {leased} ms");
    soon!("the cut", !app.entra.is_enabled());
    let given = app.creates();
    let asked = app.psa.ticket();
    app.psa.ask_as("msmith", asked);
    app.psa.sim.settled().await;
    let (_, failing) = app.ready().await;
    assert!(failing.contains(&"clock".to_owned()), "{failing:?}");
    assert_eq!((app.state_or_none(asked).await, app.creates()), (None, given));
    stranger.close().await;
    app.down().await;
    real.abort();
}
