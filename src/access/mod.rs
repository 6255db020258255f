//! The pure heart: what is asked, what is decided, what a grant is and becomes, what an account
//! must be, and what must have been seen before "off" may be said.
//!
//! Nothing under `access` awaits, reads a clock, draws a random number, or knows a vendor. Time comes
//! in as a parameter; identifiers are made outside and handed in.

pub mod account;
mod choose;
pub mod command;
pub mod decide;
pub mod extend;
pub mod follow;
pub mod grant;
pub mod length;
pub mod proof;
pub mod replay;
pub mod request;
pub mod risk;
pub mod trigger;

#[cfg(test)]
pub(crate) mod tests;

pub use account::{Account, Holds, target};
pub use decide::{Decision, Refusal, decide};
pub use grant::{Cause, Effect, Event, Grant, State, step};
pub use length::Length;
pub use proof::Proof;
pub use request::Request;
pub use risk::risk;
