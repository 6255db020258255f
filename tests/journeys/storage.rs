//! The service stops and starts, its database is locked or full, its worker dies: nothing that was answered is lost, and
//! access ends all the same.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use latchkey::{access::State, app::database, store::sqlite::Options};
use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::fault::{Act, Fault};

use crate::harness::{stranger::is_on_postgres, *};

async fn restart(app: &mut TestApp) {
    app.down().await;
    app.up().await;
}

async fn is_over(app: &TestApp, ticket: i64) {
    assert_eq!(app.state(ticket).await.name(), "ended", "{:?}", app.psa.notes(ticket));
    assert_eq!((app.entra.is_enabled(), app.entra.roles(), app.entra.groups()), (false, vec![], vec![]));
    assert_eq!(app.psa.told(ticket).last().unwrap(), "Latchkey: access has ended, proven off.");
}

fn last_answer(app: &TestApp) -> Option<u16> {
    app.psa.sim.deliveries().last().and_then(|d| d.status)
}

/// F126, F171: stopped while an account is half given: it goes on with what is there.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_granting_it_goes_on() {
    let mut app = TestApp::start().await;
    app.entra.sim.faults().add(Fault::on("POST /roleManagement/directory/roleAssignments", Act::ResetBefore));
    let ticket = app.psa.ticket_on(app.psa.projects);
    app.psa.ask(ticket);
    app.minutes(1).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("granting", true));
    restart(&mut app).await;
    app.entra.sim.faults().clear();
    app.minutes(5).await;
    assert_eq!(app.state(ticket).await.name(), "active");
    let (name, password) = app.credentials(ticket);
    assert!(app.entra.sim.sign_in(TENANT, &name, &password).is_ok());
    app.minutes(62).await;
    is_over(&app, ticket).await;
    assert_eq!(app.entra.accounts().len(), 1);
    app.end().await;
}

/// F107, F171: stopped before the person could be told: told afterwards, once; or taken back when it is too late.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_delivering_it_tells_or_takes_back() {
    for (down_min, is_in_time) in [(2, true), (20, false)] {
        let mut app = TestApp::start().await;
        app.psa.sim.faults().add(Fault::on("POST /service/tickets/{id}/notes", Act::ResetBefore));
        let ticket = app.psa.ticket_on(app.psa.projects);
        app.psa.ask(ticket);
        app.minutes(1).await;
        assert_eq!(app.state(ticket).await.name(), "delivering");
        app.down().await;
        app.clock.pass(Duration::from_secs(down_min * 60));
        app.psa.sim.faults().clear();
        app.up().await;
        app.minutes(6).await;
        let granted = app.psa.notes(ticket).iter().filter(|n| n.contains("access granted")).count();
        assert_eq!(granted, usize::from(is_in_time), "{:?}", app.psa.told(ticket));
        if is_in_time {
            assert_eq!(app.state(ticket).await.name(), "active");
            app.minutes(62).await;
        } else {
            let notes = app.psa.notes(ticket);
            assert!(notes.iter().any(|n| n.contains("could not be delivered in time")), "{notes:?}");
        }
        is_over(&app, ticket).await;
        app.end().await;
    }
}

/// F117, F126, F127: stopped while access stands, and started after its time: removal is the first thing, counted from
/// when it was due.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_over_the_end_removal_is_owed_from_the_due_time() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    let due = app.state(ticket).await.end().unwrap();
    app.down().await;
    app.clock.pass(Duration::from_secs(3 * 3600));
    app.up().await;
    app.minutes(1).await;
    is_over(&app, ticket).await;
    let State::Ended { due: owed, proof, .. } = app.state(ticket).await else { panic!("not ended") };
    assert_eq!(owed, due);
    assert_eq!(proof.seen_at().since(due).as_secs() / 3600, 2);
    app.end().await;
}

/// F126, F127: stopped in the middle of taking away: it goes on, and proves.
#[tokio::test(flavor = "multi_thread")]
async fn stopped_while_ending_it_goes_on_and_proves() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.entra.sim.faults().add(Fault::on("DELETE /groups/{id}/members/{member}/$ref", Act::ResetBefore));
    app.minutes(61).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ending", false));
    restart(&mut app).await;
    app.entra.sim.faults().clear();
    app.minutes(6).await;
    is_over(&app, ticket).await;
    app.end().await;
}

/// Two seconds, and room for a machine that does something else.
const ANSWERED: Duration = Duration::from_secs(6);

const HOLD: &str = "BEGIN; LOCK TABLE deliveries, meta, tasks IN ACCESS EXCLUSIVE MODE";

/// F7, F171: another program holds the database: deliveries are answered 503, `/readyz` is red, and afterwards
/// everything goes on, with nothing lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_locked_database_answers_503_and_recovers() {
    let app = TestApp::start().await;
    let living = app.active().await;
    app.minutes(59).await;
    let mut other = app.stranger().await;
    other.execute("BEGIN IMMEDIATE", HOLD).await;
    let ticket = app.psa.ticket();
    let asked = Instant::now();
    app.psa.ask_as("msmith", ticket);
    app.psa.sim.settled().await;
    assert_eq!(last_answer(&app), Some(503));
    assert!(asked.elapsed() < ANSWERED, "the PSA was kept waiting: {:?}", asked.elapsed());
    assert!(app.psa.notes(ticket).is_empty());
    let (status, failing) = app.ready().await;
    assert_eq!(status, 503);
    assert!(failing.contains(&"database".to_owned()), "{failing:?}");
    app.clock.pass(Duration::from_secs(120));
    other.execute("COMMIT", "COMMIT").await;
    soon!("the worker's recovery", app.ready().await == (200, vec![]));
    app.minutes(2).await;
    is_over(&app, living).await;
    let lost = app.psa.sim.deliveries().len();
    assert!(app.psa.sim.replay(lost), "the sender tries again");
    app.run().await;
    assert_eq!((last_answer(&app), app.state(ticket).await.name()), (Some(202), "active"));
    app.end().await;
}

/// F126, F171: the disk is full: nothing new is taken in, what stands is still taken away; the rest follows when there
/// is room. A server's disk is not ours to reserve of.
#[tokio::test(flavor = "multi_thread")]
async fn on_a_full_disk_nothing_new_is_taken_in_and_removal_goes_on() {
    if is_on_postgres() {
        return;
    }
    let mut app = TestApp::start().await;
    let living = app.active().await;
    app.down().await;
    let size = std::fs::metadata(database(app.config())).unwrap().len();
    app.up_with(|parts| parts.storage = Options { reserve_bytes: 4 << 20, max_bytes: Some(size) }).await;
    let mut asked = 0;
    while last_answer(&app) != Some(503) {
        asked += 1;
        assert!(asked < 100, "the disk does not become full");
        let ticket = app.psa.ticket_on(app.psa.projects);
        app.psa.ask_as("gone", ticket);
        app.psa.sim.settled().await;
    }
    let due = app.state(living).await.end().unwrap();
    app.clock.pass(due.since(app.clock.now()));
    soon!("the end", !app.entra.is_enabled());
    soon!("the second look", {
        app.clock.pass(Duration::from_secs(6));
        app.state(living).await.name() == "ended"
    });
    assert!(app.entra.roles().is_empty() && app.entra.groups().is_empty());
    assert_eq!(app.ready().await.0, 503, "and red");
    app.down().await;
    // What was under way could not even be handed back: its leases have to run out.
    app.clock.pass(Duration::from_secs(61));
    app.up().await;
    app.minutes(10).await;
    is_over(&app, living).await;
    assert_eq!(app.ready().await, (200, vec![]));
    app.end().await;
}

/// A clock on which nobody can wait any more: whoever tries dies.
#[derive(Debug)]
struct Deadly {
    clock: TestClock,
    is_deadly: Arc<AtomicBool>,
}

#[async_trait::async_trait]
impl Clock for Deadly {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }
    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }
    fn is_moved_by_hand(&self) -> bool {
        true
    }
    async fn sleep_until(&self, at: Timestamp) {
        assert!(!self.is_deadly.load(Ordering::SeqCst), "this task dies on purpose");
        self.clock.sleep_until(at).await;
    }
}

/// F126, F171: a dead worker, and a dead sweep, are seen from outside; started again, nothing is forgotten.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_worker_and_a_dead_sweep_are_seen() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    app.down().await;
    let is_deadly = Arc::new(AtomicBool::new(false));
    let clock = Deadly { clock: app.clock.clone(), is_deadly: Arc::clone(&is_deadly) };
    app.up_with(|parts| parts.clock = Arc::new(clock)).await;
    app.run().await;
    assert_eq!(app.ready().await, (200, vec![]));
    is_deadly.store(true, Ordering::SeqCst);
    soon!("the worker's death", app.ready().await == (503, vec!["worker".to_owned()]));
    soon!("the sweep's death", {
        app.clock.pass(Duration::from_secs(61));
        app.ready().await == (503, vec!["worker".to_owned(), "sweep".to_owned()])
    });
    assert_eq!(app.browser().get("/livez").await.status, 200);
    app.down().await;
    app.up().await;
    app.minutes(60).await;
    is_over(&app, ticket).await;
    app.end().await;
}
