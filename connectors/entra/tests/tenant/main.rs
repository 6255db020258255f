//! The connector against the simulated tenant: real HTTP over TLS, the real order of steps, a movable clock.
//!
//! The simulator imports nothing of ours; what it shows is what the tenant would show.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

mod bad_days;
mod burner;
mod by_hand;
mod doctor;
mod end_in_the_tenant;
mod harness;
mod overview;
mod standard;
mod without_the_role;
