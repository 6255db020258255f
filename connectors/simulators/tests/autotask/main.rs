//! The Autotask simulator, asked from outside: real HTTP over TLS on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod callouts;
mod rest;
mod world;
