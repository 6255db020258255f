//! The vendors, played from their documents.
//!
//! [`connectwise`], [`autotask`] and [`halopsa`] play three PSAs, `graph` plays Microsoft Entra and Microsoft Graph. All
//! are real HTTP servers on loopback, over TLS with a throw-away [`Authority`], strict where the
//! vendor is strict, and able to misbehave on request ([`fault`]). [`postgres`] is no play: it starts the real server.
//!
//! What does not live here: any type of ours. This package is the second opinion on the vendors'
//! wire shapes, so it imports no connector and no contract; if a connector misreads a vendor, the
//! simulator must not misread in step.

#![forbid(unsafe_code)]

pub mod authority;
pub mod autotask;
pub mod clock;
pub mod connectwise;
pub mod fault;
pub mod graph;
pub mod halopsa;
pub mod postgres;
pub mod server;

pub use authority::Authority;
pub use clock::SimClock;
pub use fault::{Act, Call, CallRecord, Fault, Faults};
pub use server::{Answer, Request, Response, Running};
