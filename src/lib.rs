//! Latchkey.

pub mod access;
pub mod jobs;
pub mod rulebook;
pub mod store;
