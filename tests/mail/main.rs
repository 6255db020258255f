//! Mail against a mail server of other people's making, with TLS and login: aiosmtpd, and Python's own mail parser for what
//! arrives.
//!
//! The server is installed by `tests/run`. Where it is missing, these tests say so and prove nothing; with
//! `LATCHKEY_TEST_REQUIRE=all` they fail.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod arriving;
#[allow(dead_code, reason = "the journeys set it back too")]
#[path = "../journeys/harness/clock.rs"]
mod clock;
mod failing;
mod keeping;
mod server;
