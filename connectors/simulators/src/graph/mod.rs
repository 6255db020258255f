//! Microsoft Entra ID and Microsoft Graph, played from their documents.
//!
//! One server is the authority (`/{tenant}/oauth2/v2.0/token`) and the Graph host (`/v1.0/…`,
//! `/beta/…`), for several tenants at once. [`Graph`] starts it, sets it up, plays "somebody else"
//! in the directory, and reads what has become of it.
//!
//! Reading order: `service` (the door), `routes` (the table), `turn` (one request), then one module
//! per subject: `token` and `assertion`, `users`, `users_write` and `recycle_bin`, `groups`,
//! `units`, `roles` and `role_definitions`, `pim` with `pim_rules`, `pim_read` and `pim_policies`,
//! `methods`, `batch`. Under them: `authz` (who may do what to whom), `odata` and `filter`, `state`
//! and `directory`. Beside them: `setup`, `hand` (somebody else), `readers`, `signin`, `spans`.
//!
//! Not played: delegated sign-in, licences as objects, PIM for Groups, Conditional Access, audit
//! log endpoints, delta queries, subscriptions, Azure Resource Manager.

mod answer;
mod ask;
mod assertion;
mod authz;
mod batch;
mod directory;
mod events;
mod filter;
mod filter_text;
mod groups;
mod hand;
mod methods;
mod mint;
mod odata;
mod options;
mod pim;
mod pim_eligible;
mod pim_policies;
mod pim_read;
mod pim_rules;
mod properties;
mod readers;
mod recycle_bin;
mod role_definitions;
mod roles;
mod routes;
mod service;
mod setup;
mod signin;
mod spans;
mod start;
mod state;
mod time;
mod token;
mod turn;
mod units;
mod users;
mod users_write;

pub use events::{Actor, Event, SignIn, What, Write};
pub use hand::Hand;
pub use options::{AppSpec, GroupSeed, Knobs, Licence, PimPolicy, TapPolicy, Throttle, UserSeed};
pub use signin::{EffectiveRoles, Refused, Session};
pub use spans::Span;
pub use start::{Graph, Options, throttled};
