//! The HaloPSA simulator, asked from outside: real HTTP on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod events;
mod golden;
mod rest;
mod token;
mod world;
