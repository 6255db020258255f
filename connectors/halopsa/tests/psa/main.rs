//! The connector against a HaloPSA that is played from its documents: real HTTP on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod budget;
mod compliance;
mod doctor;
mod hook;
mod notes;
mod people;
mod poll;
mod signing_in;
mod status;
mod tickets;
mod webhooks;
mod world;
