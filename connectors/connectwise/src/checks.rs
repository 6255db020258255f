//! The doctor's lines about one instance. Nothing here changes anything.
//!
//! Reading order: the site and the keys, without which nothing else can be judged; then `tables`, every list that is
//! read once; then the lines that speak of them: `rights`, `hooks`, `things`. A line whose list could not be read is
//! left out where the right behind it has a red line of its own.

mod hooks;
mod rights;
mod tables;
mod things;

use latchkey_contract::{
    CallError, Check, Clock, ConnectionId, outside::Urgency, text::is_same_name, ticket::WantedChecks,
};

use crate::{
    api::{Api, Ask},
    callbacks::Callbacks,
    codebase::Codebase,
    errors::accepted,
    members::{self, Me},
};
use tables::Tables;

const INFO: &str = "GET /system/info";
const TRAIL: &str = "GET /system/audittrail";
const API_MEMBERS: &str = "System > Members > API Members";
const ROLES: &str = "System > Security Roles > the API member's role";

/// What the lines are read with.
#[derive(Debug)]
pub(crate) struct Doctor<'c> {
    pub(crate) api: &'c Api,
    pub(crate) codebase: &'c Codebase,
    pub(crate) me: &'c Me,
    pub(crate) clock: &'c dyn Clock,
    pub(crate) connection: &'c ConnectionId,
}

impl Doctor<'_> {
    pub(crate) async fn look(&self, want: &WantedChecks) -> Vec<Check> {
        let mut lines = Vec::new();
        let is_company_known = self.site(&mut lines).await;
        if !is_company_known || !self.sign_in(&mut lines).await {
            return lines;
        }
        lines.push(self.own_member().await);
        let callbacks = Callbacks::new(self.api, self.connection);
        let tables = Tables::read(self.api, &callbacks, want).await;
        lines.extend(rights::lines(&tables, want));
        lines.extend(self.trail(&tables).await);
        lines.extend(hooks::lines(&tables, want, self.connection));
        lines.extend(things::lines(&tables, want));
        lines
    }

    /// `false` when the company is not known there: then no key can fit either.
    async fn site(&self, lines: &mut Vec<Check>) -> bool {
        const WHAT: &str = "site";
        match self.codebase.look_now().await {
            Ok(codebase) => lines.push(Check::ok(WHAT, format!("the company is known there; release {codebase}"))),
            Err(CallError::Unauthorized { .. }) => {
                let to_do = "the site does not know this company: company is the name typed at sign-in, site the host where \
                             you sign in. Remove the connection, and add it again with the right ones";
                lines.push(Check::red(WHAT, to_do));
                return false;
            }
            Err(error) => lines.push(Check::failed(WHAT, &error)),
        }
        true
    }

    /// `false` when the keys are not taken. Any answer carries the vendor's clock.
    async fn sign_in(&self, lines: &mut Vec<Check>) -> bool {
        const WHAT: &str = "sign-in";
        let answer = match self.api.send(&Ask::new(INFO, ["system", "info"])).await {
            Ok(answer) => answer,
            Err(error) => {
                lines.push(Check::failed(WHAT, &error));
                return false;
            }
        };
        let clock = Check::clock(answer.date(), self.clock.now());
        let (line, is_taken) = match accepted(answer) {
            Ok(_) => (Check::ok(WHAT, "the PSA takes the keys"), true),
            Err(CallError::Unauthorized { code, .. }) => {
                let to_do = format!(
                    "the PSA does not take the keys ({code}): make a pair under {API_MEMBERS} > API Keys, write \
                     public_key, and set the private one with latchkey secret set {}/private-key; look at company and \
                     client_id, too",
                    self.connection
                );
                (Check::red(WHAT, to_do), false)
            }
            Err(error) => (Check::failed(WHAT, &error), false),
        };
        lines.extend([line, clock]);
        is_taken
    }

    /// Whose notes are ours, and whose saves are not somebody's.
    async fn own_member(&self) -> Check {
        const WHAT: &str = "API member";
        match (members::ask(self.api, Urgency::Ordinary).await, self.me.configured()) {
            (Ok(name), None) => Check::ok(WHAT, name),
            (Ok(name), Some(configured)) if is_same_name(&name, configured) => Check::ok(WHAT, name),
            (Ok(name), Some(configured)) => Check::red(
                WHAT,
                format!(
                    "api_member says {configured}, but the keys are {name}'s: take api_member out of the connection"
                ),
            ),
            (Err(_), Some(configured)) => Check::note(
                WHAT,
                format!("{configured}, as api_member says; the PSA does not tell whose keys these are"),
            ),
            (Err(CallError::Unauthorized { .. }), None) => Check::red(
                WHAT,
                format!(
                    "the PSA does not tell whose keys these are: write its login name ({API_MEMBERS}) as api_member"
                ),
            ),
            (Err(error), None) => Check::failed(WHAT, &error),
        }
    }

    /// Who asked is read from the trail of a ticket: tried on the newest one there is.
    async fn trail(&self, tables: &Tables) -> Option<Check> {
        const WHAT: &str = "audit trail of tickets";
        let newest = match tables.newest.as_ref().ok()? {
            Some(newest) => newest.id.to_string(),
            None => return Some(Check::note(WHAT, "there is no ticket yet to read one of")),
        };
        let ask = Ask::new(TRAIL, ["system", "audittrail"]).query("type", "Ticket").query("id", newest);
        let read = self.api.send(&ask.query("pageSize", "1")).await.and_then(accepted);
        Some(match read {
            Ok(_) => Check::ok(WHAT, "can be read"),
            Err(CallError::Unauthorized { .. }) => {
                let to_do =
                    format!("refused, and so is every request: {ROLES} must let it see the audit trail of tickets");
                Check::red(WHAT, to_do)
            }
            Err(error) => Check::failed(WHAT, &error),
        })
    }
}
