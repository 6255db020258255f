//! The ConnectWise simulator, asked from outside: real HTTP over TLS on loopback.

#![allow(clippy::unwrap_used, reason = "helpers of tests may panic like tests")]

mod callbacks;
mod golden;
mod lists;
mod rest;
mod rights;
mod rules;
mod world;
