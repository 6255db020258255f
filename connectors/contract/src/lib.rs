//! What every connector shares: the nouns of the trade, the two surfaces a vendor may offer
//! ([`TicketSystem`] and [`Directory`]), secrets that cannot print, and the one bounded way to
//! make an outside call ([`outside::Outside`]).
//!
//! What is *not* here: grants, policies and storage (a connector knows none of them), and any
//! vendor's wire format (it stays inside the vendor's crate).

pub mod check;
pub mod clock;
pub mod delivery;
pub mod directory;
pub mod error;
pub mod ids;
pub mod outside;
pub mod secret;
pub mod text;
pub mod ticket;

pub use check::{Check, Verdict};
pub use clock::{Clock, Timestamp};
pub use delivery::{Delivery, Rejected, SenderProof, Verified};
pub use directory::Directory;
pub use error::CallError;
pub use ids::*;
pub use secret::Secret;
pub use ticket::TicketSystem;
