//! `kill -9` between any two commits and calls: the service runs as a process of its own, dies at one place, is started
//! again, and everything must come out as it should.
//!
//! The places are not written down by hand: a run without a death records the commits and calls of each story, and each
//! becomes two cells. A cell fails unless the death really happened there and what is expected of that very place was
//! seen ([`expect`]), besides what must hold always ([`invariants`]).

#![allow(clippy::unwrap_used, reason = "a test that unwraps says where it fails")]

mod bench;
mod cells;
mod child;
mod expect;
#[expect(dead_code, reason = "the harness of the journeys has more verbs than are needed here")]
#[path = "../journeys/harness/mod.rs"]
mod harness;
mod invariants;
mod point;
mod service;
mod story;
mod view;
mod watched;

/// Not a test: the process that is killed, when this program calls itself. Without orders it has nothing to do.
#[test]
fn service() {
    let Ok(orders) = std::env::var(child::ORDERS) else { return };
    let orders = serde_json::from_str(&orders).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(child::serve(&orders));
}
