//! A process that stands still, as a paused machine does: time goes by for everybody else, nothing here is renewed, and then
//! it goes on where it was.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    time::{Duration, Instant},
};

use latchkey::{
    access::State,
    app::WrapStore,
    jobs::task::Work,
    store::{Claim, Finish},
};
use latchkey_contract::Clock as _;
use latchkey_simulators::fault::{Act, Fault};

use crate::{
    child::TRACE,
    ground,
    harness::{TestApp, TestClock},
    watched::Watched,
};

/// Longer than a lease.
const STANDS: Duration = Duration::from_secs(90);

const NOT_YET: u8 = 0;
const NOW: u8 = 1;
const OVER: u8 = 2;

/// When it stands still.
#[derive(Debug)]
pub(crate) struct StandStill {
    /// At the first commit of this name, when it is written and nobody heard of it yet.
    at: &'static str,
    clock: TestClock,
    is: AtomicU8,
}

impl StandStill {
    fn new(at: &'static str, clock: &TestClock) -> Arc<Self> {
        Arc::new(Self { at, clock: clock.clone(), is: AtomicU8::new(NOT_YET) })
    }

    pub(crate) fn written(&self, name: &str) {
        if name == self.at {
            self.begin();
        }
    }

    fn begin(&self) {
        if self.is.compare_exchange(NOT_YET, NOW, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            self.clock.pass(STANDS);
        }
    }

    fn end(&self) {
        self.is.store(OVER, Ordering::SeqCst);
    }

    pub(crate) fn is_now(&self) -> bool {
        self.is.load(Ordering::SeqCst) == NOW
    }
}

async fn running(app: &mut TestApp, still: &Arc<StandStill>) {
    let (trace, still) = (app.place().0.join(TRACE), Arc::clone(still));
    let wrap: WrapStore = Box::new(move |inner| Arc::new(Watched::new(inner, &trace, None).standing(&still)));
    app.try_up_with(|parts| parts.wrap_store = Some(wrap)).await.unwrap();
    app.register_webhooks().await;
    app.entra.sim.faults().clear_calls();
}

async fn soon(what: &str, is_so: impl AsyncFn() -> bool) {
    let start = Instant::now();
    while !is_so().await {
        assert!(start.elapsed() < Duration::from_secs(60), "{what} does not come");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn calls(app: &TestApp, op: &str) -> usize {
    app.entra.sim.faults().calls().iter().filter(|call| call.op.starts_with(op)).count()
}

/// F126, F171, I1, I3: a process stands still for longer than its lease while what it is about to give is being written down. When
/// it goes on, it looks again before it sends anything.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_written_down_before_it_stood_still_is_not_sent_after() {
    for on in ground::engines() {
        let mut app = TestApp::installed_in(ground::fresh(on), &[], |_, _| ()).await;
        let still = StandStill::new("commit step-intent/create", &app.clock);
        running(&mut app, &still).await;
        let ticket = app.psa.ticket();
        app.psa.ask(ticket);
        soon("the standstill", async || still.is_now()).await;
        let store = app.store();
        let is_put_off = async || {
            let tasks = store.tasks(100).await.unwrap();
            tasks.iter().any(|task| task.slot.starts_with("converge:") && task.state == "pending")
        };
        soon("another look", async || calls(&app, "POST /users") > 0 || is_put_off().await).await;
        assert_eq!(calls(&app, "POST /users"), 0, "it was sent under a lease that had run out");
        still.end();
        app.minutes(5).await;
        assert_eq!((app.state(ticket).await.name(), app.entra.accounts().len()), ("active", 1));
        app.minutes(61).await;
        assert_eq!(app.state(ticket).await.name(), "ended");
        app.end().await;
    }
}

/// F126, I1, I3: somebody else had the account and was done with it while a call that gives was under way. It is looked at
/// again at once, and a minute later.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_sent_under_a_lease_that_is_lost_is_looked_at_again() {
    for on in ground::engines() {
        let mut app = TestApp::installed_in(ground::fresh(on), &[], |_, _| ()).await;
        let still = StandStill::new("", &app.clock);
        running(&mut app, &still).await;
        let sent = app.entra.sim.faults().add(Fault::on("POST /users", Act::Delay(2000)).once());
        let ticket = app.psa.ticket();
        app.psa.ask(ticket);
        soon("the call", async || sent.count() == 1).await;
        still.begin();
        take_over(&app).await;
        let looks = calls(&app, "GET /users");
        still.end();
        soon("a look at once", async || calls(&app, "GET /users") > looks).await;
        app.run().await;
        let looks = calls(&app, "GET /users");
        app.pass(Duration::from_secs(61)).await;
        assert!(calls(&app, "GET /users") > looks, "nobody looked a minute later");
        assert_eq!((app.state(ticket).await.name(), app.entra.accounts().len()), ("active", 1));
        app.minutes(61).await;
        assert_eq!(app.state(ticket).await.name(), "ended");
        app.end().await;
    }
}

/// F126, I2, I11: the same while a call that takes away was under way: whoever stood still writes nothing of it, and the end is
/// proven all the same.
#[tokio::test(flavor = "multi_thread")]
async fn what_takes_away_under_a_lease_that_is_lost_is_proven_all_the_same() {
    for on in ground::engines() {
        let mut app = TestApp::installed_in(ground::fresh(on), &[], |_, _| ()).await;
        let still = StandStill::new("", &app.clock);
        running(&mut app, &still).await;
        let ticket = app.active().await;
        app.minutes(59).await;
        let sent = app.entra.sim.faults().add(Fault::on("PATCH /users/{id}", Act::Delay(2000)).once());
        app.clock.pass(Duration::from_secs(61));
        soon("the call", async || sent.count() == 1).await;
        still.begin();
        take_over(&app).await;
        let looks = calls(&app, "GET /users");
        still.end();
        soon("a look at once", async || calls(&app, "GET /users") > looks).await;
        app.minutes(10).await;
        assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
        assert!(app.entra.roles().is_empty() && app.entra.groups().is_empty());
        app.end().await;
    }
}

/// F126, I11: the machine sleeps for hours, over the end of somebody's access. It ends when it wakes up, owed since it was due,
/// and what is asked for then is given.
#[tokio::test(flavor = "multi_thread")]
async fn a_machine_that_slept_over_an_end_ends_it_and_goes_on() {
    for on in ground::engines() {
        let mut app = TestApp::installed_in(ground::fresh(on), &[], |_, _| ()).await;
        let still = StandStill::new("", &app.clock);
        running(&mut app, &still).await;
        let slept = app.active().await;
        let due = app.state(slept).await.end().unwrap();
        app.clock.pass(Duration::from_secs(5 * 3600));
        app.minutes(1).await;
        let State::Ended { due: owed, .. } = app.state(slept).await else { panic!("{:?}", app.psa.notes(slept)) };
        assert_eq!((owed, app.entra.is_enabled()), (due, false));
        let next = app.active().await;
        app.minutes(61).await;
        assert_eq!(app.state(next).await.name(), "ended");
        app.end().await;
    }
}

/// Another hand takes the account whose lease has run out, and is done with it.
async fn take_over(app: &TestApp) {
    let (store, now) = (app.store(), app.clock.now());
    let lease_until = now + Duration::from_secs(60);
    let (busy, full) = (Vec::new(), Vec::new());
    let claim = Claim { now, free: 100, lease_until, busy, full, removals_only: false, spares_leases: false };
    let (mut taken, begun) = (false, Instant::now());
    while !taken {
        assert!(begun.elapsed() < Duration::from_secs(60), "there is nothing to take over");
        for task in store.claim(&claim).await.unwrap() {
            let is_it = matches!(task.work, Work::Converge { .. });
            let finish = if is_it { Finish::Done } else { Finish::At(now) };
            assert!(store.finish(&task.lease, finish).await.unwrap());
            taken |= is_it;
        }
    }
}
