//! Killed as it works, then again and again as it starts, sooner or later, with one access overdue and another one asked for.

use std::time::{Duration, Instant};

use latchkey_contract::Clock as _;

use crate::{
    bench::Bench,
    ground,
    harness::stranger::On,
    invariants::{self, Struck},
    kills::PATIENCE,
    people::{ended, is_told},
    pool::{Cell, in_a_world_of_its_own},
    story::{MINUTE, Story},
    table::Row,
    weather::{PART, Phase},
    wrong::Wrong,
};

/// As the list of global faults says it.
const NAME: &str = "kill -9 at any time";

/// How long after the process was there it is killed, whatever it does by then.
const AFTER: [Duration; 4] =
    [Duration::from_millis(1), Duration::from_millis(5), Duration::from_millis(20), Duration::from_millis(100)];

/// And in these quarters of the time that a start takes.
const QUARTERS: [u32; 3] = [1, 2, 3];

const GRANTED: &str = "Latchkey: access granted.";

pub(crate) fn cell(on: On) -> Cell {
    let row = Row::new(PART, ground::name(on), Phase::Restart.name(), "everything", NAME);
    let act = move || {
        in_a_world_of_its_own(async { tokio::time::timeout(PATIENCE, live(on)).await.expect("a cell takes seconds") })
    };
    Cell { row, waits: false, act: Box::new(act) }
}

async fn live(on: On) -> String {
    let mut bench = Bench::start(on, Story::ClaimLink, Wrong::Starts).await;
    let began = Instant::now();
    bench.up().await;
    let start = began.elapsed();
    bench.rest().await;
    let first = bench.app.psa.ticket();
    bench.app.psa.ask_as("jdoe", first);
    bench.until(10 * MINUTE, GRANTED, |app| is_told(app, first, GRANTED)).await;
    bench.pass(59 * MINUTE).await;
    // Heard, and perhaps begun.
    let second = bench.app.psa.ticket();
    bench.app.psa.ask_as("msmith", second);
    bench.app.psa.sim.settled().await;
    let heard = bench.app.psa.sim.deliveries().into_iter().filter(|delivery| delivery.ticket == second);
    assert!(heard.map(|delivery| delivery.status).all(|status| status == Some(202)), "it was taken");
    let at = bench.app.clock.now();
    bench.kill().await;
    // The first one is due.
    bench.app.clock.pass(MINUTE + Duration::from_secs(5));
    let quarters = QUARTERS.map(|quarter| start * quarter / 4);
    let (mut begun, mut ready) = (0, 0);
    for after in AFTER.iter().chain(&quarters) {
        let (has_begun, was_ready) = bench.killed_as_it_starts(*after).await;
        begun += usize::from(has_begun && !was_ready);
        ready += usize::from(was_ready);
    }
    assert!(begun > 0, "no start was met in its midst: a start takes {start:?}");
    bench.up().await;
    bench.rest_in_the_end().await;
    bench.until(10 * MINUTE, GRANTED, |app| is_told(app, second, GRANTED)).await;
    ended(&mut bench, first, 10 * MINUTE).await;
    ended(&mut bench, second, 70 * MINUTE).await;
    bench.stop().await;
    let kills = 1 + AFTER.len() + QUARTERS.len();
    invariants::check_after(&bench, Struck { at, times: kills, lost: None }).await;
    bench.end().await;
    format!(
        "killed {} times as it started, {begun} times in the midst of it and {ready} times just after; what was due ended and \
         what was heard was given, once",
        kills - 1
    )
}
