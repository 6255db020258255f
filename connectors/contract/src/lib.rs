//! What every connector shares: the nouns of the trade, the two surfaces a vendor may offer
//! ([`TicketSystem`] and [`Directory`]), secrets that cannot print, and the one bounded way to
//! make an outside call ([`outside::Outside`]).
//!
//! What all ticket systems have in common is said here once: proof of a delivery ([`delivery`]), reading of text that
//! nobody has vouched for ([`json`]), notes ([`note`]), records of changes ([`trail`]), lists of saves ([`saved`]), addresses of webhooks
//! ([`hook_url`]), budgets and back-off ([`outside`]). `README.md` tells what another vendor has to bring.
//!
//! What is *not* here: grants, policies and storage (a connector knows none of them), and any
//! vendor's wire format (it stays inside the vendor's crate).

pub mod check;
pub mod clock;
pub mod delivery;
pub mod directory;
pub mod error;
pub mod hook_url;
pub mod ids;
pub mod json;
pub mod note;
pub mod outside;
pub mod saved;
pub mod secret;
pub mod text;
pub mod ticket;
pub mod trail;

pub use check::{Check, Verdict};
pub use clock::{Clock, Timestamp};
pub use delivery::{Delivery, Knock, Rejected, SenderProof, Verified};
pub use directory::Directory;
pub use error::CallError;
pub use ids::*;
pub use secret::{Former, Secret};
pub use ticket::TicketSystem;
