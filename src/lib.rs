//! Latchkey.

pub mod access;
pub mod jobs;
pub mod random;
pub mod rulebook;
pub mod store;
