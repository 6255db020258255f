//! Latchkey.

pub mod access;
pub mod app;
pub mod cli;
pub mod clock;
pub mod clock_guard;
pub mod config;
pub mod http;
pub mod jobs;
pub mod people;
pub mod random;
pub mod registry;
pub mod rulebook;
pub mod seal;
pub mod store;
pub mod telemetry;
