//! The connector against an Autotask that is played from its documents: real HTTP over TLS on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod compliance;
mod deliveries;
mod doctor;
mod history;
mod limits;
mod notes;
mod people;
mod tickets;
mod webhooks;
mod world;
mod zone;
