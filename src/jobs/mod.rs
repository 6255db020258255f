//! Work behind the scenes: each job loads, checks that it still applies, makes one outside act, and
//! brings back one event in one transaction.

pub mod task;
