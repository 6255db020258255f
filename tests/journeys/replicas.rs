//! Several processes on one database, which is PostgreSQL: they share the work, and each may die, lag, or be replaced.

use std::time::Duration;

use latchkey::{app::Duties, audit::Code, clock::SystemClock, config::Config};
use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::{
    fault::{Act, Fault},
    postgres::{Server, binaries},
};

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
    soon!("access", app.state_or_none(ticket).await == Some("active"));
    assert_eq!((app.creates(), app.entra.accounts().len()), (1, 1), "found by looking, not made again");
    app.minutes(61).await;
    soon!("the end", app.state_or_none(ticket).await == Some("ended"));
    takes_over.stop().await;
    app.end().await;
}

/// F126, F171: three processes, many tickets of two people: everything is done once, and whoever of them goes is not missed.
#[tokio::test(flavor = "multi_thread")]
async fn replicas_share_the_work_and_none_of_them_is_missed() {
    if !is_on_postgres() {
        return;
    }
    let app = TestApp::start().await;
    let (second, third) = (app.replica("second", Duties::All).await, app.replica("third", Duties::Work).await);
    let tickets: Vec<i64> = (0..12).map(|_| app.psa.ticket()).collect();
    for ticket in &tickets {
        app.psa.ask(*ticket);
    }
    app.run().await;
    third.stop().await;
    app.run().await;
    app.minutes(30).await;
    second.stop().await;
    app.minutes(40).await;
    for ticket in tickets {
        let state = app.state_or_none(ticket).await;
        assert!(matches!(state, None | Some("ended")), "{state:?}");
    }
    app.end().await;
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
    let moved = tokio::task::spawn_blocking(move || {
        let mut server = server;
        server.copy();
        server.fail_over();
        server
    });
    let _server = moved.await.unwrap();
    soon!("the comparison", app.settled().await > 0);
    soon!("the end of it", app.failing().await.is_empty());
    assert_eq!(app.state(ticket).await.name(), "active", "it is as it was given");
    app.minutes(61).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
    app.end().await;
}

/// I1, I13: the database server's standby takes over without what was acknowledged last. The service that runs notices, and
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
    let copied = tokio::task::spawn_blocking(move || {
        let mut server = server;
        server.copy();
        server
    });
    let mut server = copied.await.unwrap();
    let ticket = app.active().await;
    let _server = tokio::task::spawn_blocking(move || {
        server.fail_over();
        server
    })
    .await
    .unwrap();
    soon!("the comparison", app.failing().await.contains(&"reconcile".to_owned()));
    assert!(app.grants(ticket).await.is_empty(), "it is forgotten indeed");
    assert!(app.entra.is_enabled(), "and the account is there");
    soon!("the list", app.type_in(&["reconcile"], "").await.is_ok_and(|list| list.contains(JANE)));
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
    let copied = tokio::task::spawn_blocking(move || {
        let mut server = server;
        server.copy();
        server
    });
    let mut server = copied.await.unwrap();
    let ticket = app.psa.ticket();
    app.psa.ask(ticket);
    app.psa.sim.settled().await;
    let waits = async || app.store().tasks(1000).await.unwrap().iter().any(|task| task.slot.starts_with("intake:"));
    assert!(waits().await);
    let failed_over = tokio::task::spawn_blocking(move || {
        server.fail_over();
        server
    });
    let _server = failed_over.await.unwrap();
    soon!("the note", app.failing().await.contains(&"reconcile".to_owned()));
    assert!(!waits().await, "it is forgotten indeed");
    let worker = app.replica("worker", Duties::Work).await;
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

/// I11, I12: a replica whose clock is not the database server's gives nothing, and says so.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_not_the_servers_gives_nothing() {
    if !is_on_postgres() {
        return;
    }
    for (off, failing) in [(Duration::ZERO, Vec::new()), (Duration::from_secs(60), vec!["clock".to_owned()])] {
        let mut app = TestApp::installed(&[], |_, _| ()).await;
        app.up_with(|parts| parts.clock = std::sync::Arc::new(Wrong(SystemClock::new(), off))).await;
        assert_eq!(app.failing().await, failing, "{off:?}");
        app.down().await;
    }
}
