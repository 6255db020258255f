//! The heart as tables and properties: no runtime, no clock, no IO.

mod decisions;
mod earlier;
mod extensions;
mod life;
mod proofs;
mod replays;
pub(crate) mod samples;
mod union;
