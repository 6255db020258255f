//! The server's clock misbehaves: time never lengthens a grant, and in doubt nothing new is given.

use std::time::Duration;

use latchkey_contract::Clock;

pub(crate) use crate::harness::TestClock;
use crate::harness::*;

/// Minutes that really pass, whatever the wall clock says; stops at each of them.
async fn real_minutes(app: &TestApp, minutes: u64) {
    for _ in 0..minutes {
        app.clock.pass(Duration::from_secs(60));
        app.run().await;
    }
}

async fn is_refused(app: &TestApp, sentence: &str) {
    let ticket = app.psa.ticket();
    app.psa.ask_as("msmith", ticket);
    app.run().await;
    let notes = app.psa.notes(ticket);
    let last = notes.last().unwrap();
    assert!(last.contains(sentence) && last.contains("Nothing was given."), "{last}");
    assert_eq!((app.state_or_none(ticket).await, app.psa.status(ticket)), (None, app.psa.desk.refused));
}

/// With a service it is that one's doctor who looks; without, one who takes the machine's clock for right.
async fn look(app: &TestApp) {
    let (Ok(seen) | Err(seen)) = app.type_in(&["doctor"], "").await;
    assert!(seen.contains("a row was written, durably"), "{seen}");
}

async fn is_granted(app: &TestApp) {
    let ticket = app.psa.ticket();
    app.psa.ask_as("msmith", ticket);
    app.run().await;
    assert_eq!(app.state(ticket).await.name(), "active", "{:?}", app.psa.notes(ticket));
    assert_eq!(app.entra.accounts().len(), 2);
}

/// F72, F117: the clock jumps forward: what lives ends early, nothing new is given for ten minutes, and both are said.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_forward_ends_early_and_gives_nothing_for_ten_minutes() {
    for jump_s in [3600, 86_400] {
        let app = TestApp::start().await;
        let ticket = app.active().await;
        app.minutes(5).await;
        app.clock.set_wall(jump_s);
        real_minutes(&app, 2).await;
        assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false), "{jump_s}");
        assert_eq!(app.ready().await, (503, vec!["clock".to_owned()]));
        is_refused(&app, "Why: the server's clock jumped forward, so nothing new is given; ask again later").await;
        real_minutes(&app, 7).await;
        is_refused(&app, "the server's clock jumped forward").await;
        real_minutes(&app, 2).await;
        assert_eq!(app.ready().await, (200, vec![]));
        is_granted(&app).await;
        app.end().await;
    }
}

/// F117: the clock is set back: a grant ends when its time has really passed.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_set_back_lengthens_nothing() {
    for back_s in [-3600, -86_400] {
        let app = TestApp::start().await;
        let ticket = app.active().await;
        real_minutes(&app, 10).await;
        app.clock.set_wall(back_s);
        real_minutes(&app, 1).await;
        assert_eq!(app.ready().await, (503, vec!["clock".to_owned()]));
        is_refused(&app, "Why: the server's clock was set back, so nothing new is given").await;
        real_minutes(&app, 48).await;
        assert!(app.entra.is_enabled(), "59 of 60 minutes have passed");
        real_minutes(&app, 2).await;
        assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false), "{back_s}");
        app.clock.set_wall(-back_s);
        real_minutes(&app, 1).await;
        assert_eq!(app.ready().await, (200, vec![]), "set right, it is trusted again");
        is_granted(&app).await;
        app.end().await;
    }
}

/// F117: the clock is set back, and the service is started again half an hour later: that half hour counts, whoever looks
/// at the database meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_while_the_clock_is_behind_lengthens_nothing() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    real_minutes(&app, 10).await;
    app.clock.set_wall(-86_400);
    real_minutes(&app, 15).await;
    for _ in 0..2 {
        look(&app).await;
        app.down().await;
        look(&app).await;
        app.up().await;
        real_minutes(&app, 10).await;
    }
    is_refused(&app, "Why: the server's clock is behind a time it showed before, so nothing new is given").await;
    real_minutes(&app, 13).await;
    assert!(app.entra.is_enabled(), "58 of 60 minutes have passed");
    real_minutes(&app, 4).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
    app.clock.set_wall(86_400);
    real_minutes(&app, 1).await;
    assert_eq!(app.ready().await, (200, vec![]), "set right, it is trusted again");
    is_granted(&app).await;
    app.end().await;
}

/// F117: started with a clock below a time seen before: nothing is given, and what lives ends by the time that passes.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_below_a_time_seen_before_gives_nothing_and_lengthens_nothing() {
    let mut app = TestApp::start().await;
    let ticket = app.active().await;
    real_minutes(&app, 10).await;
    app.down().await;
    app.clock.set_wall(-86_400);
    app.up().await;
    assert_eq!(app.ready().await, (503, vec!["clock".to_owned()]));
    is_refused(&app, "Why: the server's clock is behind a time it showed before, so nothing new is given").await;
    real_minutes(&app, 51).await;
    assert_eq!((app.state(ticket).await.name(), app.entra.is_enabled()), ("ended", false));
    app.clock.set_wall(86_400);
    real_minutes(&app, 1).await;
    assert_eq!(app.ready().await, (200, vec![]));
    is_granted(&app).await;
    assert!(app.clock.now() > app.grant(ticket).await.asked_at);
    app.end().await;
}
