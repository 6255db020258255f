//! Journeys: the whole service against the simulators over real HTTP, told from outside, on a clock that the test moves.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

/// Waits, in real time, for what does not come by the test's clock.
macro_rules! soon {
    ($what:expr, $condition:expr) => {{
        let start = std::time::Instant::now();
        while !$condition {
            assert!(start.elapsed() < std::time::Duration::from_secs(60), "{} does not come", $what);
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }};
}

mod access_ends;
mod alerts;
mod asking;
mod audit;
mod bad_days;
mod canary;
mod clock;
mod closing;
mod commands;
mod correcting;
mod delivering;
mod directory_trouble;
mod doctor;
mod door;
mod following;
#[expect(dead_code, unused_imports, reason = "some verbs are for the tests that kill the service")]
mod harness;
mod intake;
#[allow(dead_code, reason = "the tests of the mailer itself need more")]
#[path = "../mail/server.rs"]
mod mail_server;
mod operating;
mod psa_trouble;
mod refusing;
mod replicas;
mod restore;
mod secrets;
mod spent;
mod storage;
mod terms;
mod the_main_job;
mod three_psas;
mod tls;
mod two_clocks;
mod watching;
