//! Latchkey: a PSA ticket asks for privileged access; Latchkey decides, hands over an account, tells the ticket,
//! takes the account away on time, and proves it.
//!
//! # One way the data flows
//!
//! ```text
//! PSA ── POST ──▶ delivery ── prove ──▶ recorded once, with a task, in one transaction ──▶ 202      http::hooks
//!                                              │
//!                      read the ticket; which mapping, which trigger edge, who set it?             jobs::intake
//!                                              │                                                   access::trigger
//!              decide(rules, holds, request, living)  ── pure ──▶ refuse / grant                   access::decide
//!                                              │
//!          step(state, event, now) ── pure ──▶ new state + audit entries + tasks, one transaction  access::grant
//!                                              │                                                   jobs::advance
//!        ┌── observe ──▶ next(target, seen, known) ── pure ──▶ commit intent ──▶ perform one call ──▶ commit outcome ──┐
//!        │                  └──────────── the next step that takes, for a few seconds from the same look ◀─────────────┤
//!        └──────────────────────────── until nothing is left to do ◀───────────────────── jobs::converge ──────────────┘
//!                                              │
//!                 event for each grant: reached / ended with proof / failed ──▶ step
//!                                              │
//!                     credentials · notes · statuses, in order, each until it is done              jobs::tell
//! ```
//!
//! Every arrow is one transaction or one outside call, never both. Nothing flows back up except as an event.
//! A webhook is a doorbell: it can start work, and decides nothing.
//!
//! # The rooms, in reading order
//!
//! | room | what lives there |
//! | --- | --- |
//! | [`access`] | the pure heart: states, decisions, targets, proofs |
//! | [`rulebook`] | policies and mappings; connections, customers, people: two checked documents; what changes between two, what of one is inert |
//! | [`store`] | what is remembered, in our verbs; SQLite or PostgreSQL, which commit together what waits; the way from one to the other |
//! | [`audit`] | who did what, chained: the closed list of codes, verifying, heads, exports |
//! | [`jobs`] | the work: intake, converge, tell, due; the queue they run on; the sweep under it |
//! | [`registry`] | connection records → connectors; the one list of vendors |
//! | [`http`] | hooks, pages, health |
//! | [`mail`] | what mails say, and the way to the mail server |
//! | [`doctor`] | what is looked at live, line by line, and what to do about it |
//! | [`people`] | who may sign in: passwords, one-time codes, sessions |
//! | [`seal`] | secrets at rest |
//! | [`backup`], [`generation`], [`reconcile`] | copies of the database, made and put back; an older one is noticed, and compared before it acts |
//! | `replicas` | what several processes on one database owe each other: clocks, failovers, generations |
//! | [`clock`], [`clock_guard`], [`random`] | time and randomness, as parameters |
//! | [`config`], [`telemetry`], [`lock`], `socket`, [`tls`], [`cli`], [`app`] | start and stop; `app` is the one file that knows every concrete type |
//!
//! Connectors are crates of their own (`connectors/`): `contract` is the surface; `connectwise`, `autotask`, `halopsa` and `entra` fill it;
//! `simulators` plays the vendors from their documents.
//!
//! # What is not there
//!
//! - Nothing under [`access`] awaits, reads a clock, or draws a random number.
//! - `store`, `http` and `jobs` do not know one vendor from another; a connector does not know the store or the grant.
//! - There is no state "revocation failed": a grant that is ending ends only when off was seen.
//! - There is no way to build a [`access::Proof`] but from two observations (or read back as it was stored), and none to build a
//!   [`latchkey_contract::Verified`] but from a proof over the bytes.
//! - The shipped program has no simulator, no movable clock, no failpoint and no switch that weakens a check.
//!
//! # Three journeys to walk through
//!
//! 1. A click: `http::hooks` → [`jobs::intake`] → [`access::decide()`] → [`jobs::converge`] → `jobs::tell`.
//! 2. An end: `jobs::due` → [`access::grant::step`] → [`jobs::converge`] → [`access::proof`] → the note in `jobs::words`.
//! 3. A crash: a task's lease runs out → [`jobs::queue`] claims it again → [`jobs::converge`] observes before it acts.

pub mod access;
pub mod app;
pub mod audit;
pub mod backup;
pub mod cli;
pub mod clock;
pub mod clock_guard;
pub mod config;
pub mod doctor;
mod durable;
pub mod generation;
pub mod http;
pub mod jobs;
pub mod lock;
pub mod mail;
pub mod people;
pub mod random;
pub mod reconcile;
pub mod registry;
mod replicas;
pub mod rulebook;
pub mod seal;
mod socket;
pub mod store;
pub mod telemetry;
pub mod tls;
