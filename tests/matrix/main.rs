//! The fault matrix: everything that may go wrong at every commit and every call, on both engines, one cell each.
//!
//! The places are not written down by hand: each story is played once with nothing wrong, and what it comes by becomes
//! cells. A cell fails unless its fault really happened and what is expected of that very place was seen, besides what
//! must hold always ([`invariants`]):
//!
//! - [`kills`]: the service is a process of its own, dies right before or right after, and is started again;
//! - [`lives`]: a vendor, the store or the PSA misbehaves, and the service lives through it.
//!
//! `LATCHKEY_MATRIX_CELLS=…` runs those cells alone whose name has this in it, or one of several parts with `;`
//! between them, `LATCHKEY_MATRIX_SHARE=2/8` the second of
//! eight shares of all of them. When all eight of one build were run, their tables are joined.

#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it fails")]

use std::time::Instant;

use table::Row;

mod aftermath;
mod bench;
mod child;
mod clean;
mod commands;
mod customers;
mod expect;
mod expect_calls;
mod expect_chores;
mod expect_end;
mod expect_restored;
mod globals;
mod ground;
#[expect(dead_code, unused_imports, reason = "the harness of the journeys has more verbs than are needed here")]
#[path = "../journeys/harness/mod.rs"]
mod harness;
mod here;
mod invariants;
mod join;
mod kills;
mod lives;
#[allow(dead_code, reason = "the tests of the mailer itself need more")]
#[path = "../mail/server.rs"]
mod mail_server;
mod outage;
mod outcome;
mod people;
mod point;
mod pool;
mod post;
mod reach;
mod restored;
mod service;
mod starts;
mod still;
mod storm;
mod story;
mod table;
mod verbs;
mod view;
mod watched;
mod weather;
mod wrong;

/// Where the mail server's tests have their clock.
mod clock {
    pub(crate) use crate::harness::TestClock;
}

/// Not a test: the process that is killed, when this program calls itself. Without orders it has nothing to do.
#[test]
fn service() {
    let Ok(orders) = std::env::var(child::ORDERS) else { return };
    let orders = serde_json::from_str(&orders).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(child::serve(&orders));
    // Somebody may still be waiting for a line.
    runtime.shutdown_background();
}

/// Every cell of the matrix on every engine of this machine.
#[test]
fn whatever_breaks_wherever_everything_comes_out_as_it_should() {
    let start = Instant::now();
    let (mut cells, mut rows) = (Vec::new(), Vec::new());
    for on in ground::engines() {
        let cleans = clean::record(on);
        kills::everything_is_reached(&cleans);
        verbs::every_verb_that_writes_is_come_by(&cleans);
        reach::every_call_is_come_by(&cleans);
        cells.extend(kills::cells(on, &cleans));
        let (lived, never) = lives::cells(on, &cleans);
        cells.extend(lived);
        cells.extend(weather::cells(on));
        cells.extend(outage::cells(on));
        cells.push(starts::cell(on));
        rows.extend(never);
    }
    let live: Vec<Row> = cells.iter().map(|cell| cell.row.clone()).collect();
    rows.extend(globals::rows(&live));
    let build = join::build(live.iter().chain(&rows).map(Row::name).collect());
    cells.retain(|cell| cell.row.is_wanted());
    rows.retain(|row| row.is_wanted());
    rows.extend(pool::run(cells));
    assert!(!rows.is_empty(), "no cell has such a name");
    let failed = table::report(&rows, &build, start.elapsed());
    assert!(failed.is_empty(), "{} cells failed:\n{}", failed.len(), failed.join("\n"));
}
