//! The connector against a ConnectWise that is played from its documents: real HTTP over TLS on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod callbacks;
mod canary;
mod compliance;
mod doctor;
mod hook;
mod keys;
mod notes;
mod people;
mod poll;
mod status;
mod tickets;
mod world;
