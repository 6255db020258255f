//! The doctor's lines about one tenant. Nothing here changes anything.
//!
//! The zone and the credentials come first, without which nothing else can be judged; then the rights, the calls of the
//! hour, the webhook, and what mappings name.

mod hooks;
mod things;

use latchkey_contract::{CallError, Check, Clock, ConnectionId, Secret, outside::Urgency, ticket::WantedChecks};
use serde::de::IgnoredAny;

use crate::{Tenant, api::Ask, errors::accepted, filter::Filter, webhooks::Webhooks, wire, zone::Zones};

const VERSION: &str = "GET /Version";
/// Where the vendor keeps what an API user may do.
const LEVELS: &str = "Admin > Account Settings & Users > Security Levels > the API user's level";
const USERS: &str = "Admin > Account Settings & Users > Resources/Users (HR) > API User";
/// The vendor slows all integrations down from half of the hour's calls on. [facts 3.7]
const BUSY_PERCENT: u64 = 50;

/// What the lines are read with.
#[derive(Debug)]
pub(crate) struct Doctor<'c> {
    pub(crate) tenant: &'c Tenant,
    pub(crate) zones: &'c Zones,
    pub(crate) clock: &'c dyn Clock,
    pub(crate) connection: &'c ConnectionId,
    pub(crate) key: &'c Secret<String>,
}

impl Doctor<'_> {
    pub(crate) async fn look(&self, want: &WantedChecks) -> Vec<Check> {
        let mut lines = Vec::new();
        if !self.zone(&mut lines).await || !self.sign_in(&mut lines).await {
            return lines;
        }
        lines.push(self.ourselves().await);
        lines.push(self.calls().await);
        lines.extend(self.rights().await);
        let webhooks = Webhooks::new(self.tenant, self.connection, self.key);
        lines.extend(hooks::lines(self.tenant, &webhooks, self.connection, want).await);
        lines.extend(things::lines(self.tenant, want).await);
        lines
    }

    /// `false` when the vendor knows no zone of this user: then no credential can fit either.
    async fn zone(&self, lines: &mut Vec<Check>) -> bool {
        const WHAT: &str = "zone";
        match self.zones.ask().await {
            Ok(zone) => lines.push(Check::ok(WHAT, zone.api.host_str().unwrap_or_default())),
            Err(CallError::Unauthorized { .. }) => {
                let to_do = format!("the vendor knows no zone of this user: user is the Username (Key) under {USERS}");
                lines.push(Check::red(WHAT, to_do));
                return false;
            }
            Err(error) => lines.push(Check::failed(WHAT, &error)),
        }
        true
    }

    /// `false` when the credentials are not taken. Any answer carries the vendor's clock.
    async fn sign_in(&self, lines: &mut Vec<Check>) -> bool {
        const WHAT: &str = "sign-in";
        let answer = match self.tenant.api.send(&Ask::new(VERSION, ["Version"])).await {
            Ok(answer) => answer,
            Err(error) => {
                lines.push(Check::failed(WHAT, &error));
                return false;
            }
        };
        let clock = Check::clock(answer.date(), self.clock.now());
        let (line, is_taken) = match accepted(answer, true) {
            Ok(_) => (Check::ok(WHAT, "the PSA lets the API user in"), true),
            Err(CallError::Unauthorized { .. }) => {
                let to_do = format!(
                    "the PSA does not let the API user in: compare user, integration_code and the secret with {USERS}; they \
                     may have expired there"
                );
                (Check::red(WHAT, to_do), false)
            }
            Err(error) => (Check::failed(WHAT, &error), false),
        };
        lines.extend([line, clock]);
        is_taken
    }

    async fn ourselves(&self) -> Check {
        const WHAT: &str = "API user's resource";
        let Tenant { api, resources, .. } = self.tenant;
        match resources.me(api, Urgency::Ordinary).await {
            Ok(id) => Check::ok(WHAT, format!("resource {id}: its own changes ring no bell")),
            Err(CallError::Unauthorized { .. }) => {
                let to_do = "the API user may not look itself up: set api_resource to its number, or let its level view \
                             resources";
                Check::red(WHAT, to_do)
            }
            Err(error) => Check::failed(WHAT, &error),
        }
    }

    async fn calls(&self) -> Check {
        const WHAT: &str = "calls of this hour";
        let told = match self.tenant.api.threshold().await {
            Ok(told) => told,
            Err(error) => return Check::failed(WHAT, &error),
        };
        let (spent, most) = (told.current_timeframe_request_count, told.external_request_threshold);
        let (Some(spent), Some(most)) = (spent, most) else { return Check::note(WHAT, "the PSA does not tell them") };
        let told = format!("{spent} of {most}, by all integrations together");
        if most != self.tenant.settings.calls_per_hour {
            return Check::red(WHAT, format!("{told}: set calls_per_hour = {most}"));
        }
        if u64::from(spent) * 100 >= u64::from(most) * BUSY_PERCENT {
            let slow = "the PSA slows every call down from half of them on; look at who else asks so much";
            return Check::note(WHAT, format!("{told}: {slow}"));
        }
        Check::ok(WHAT, told)
    }

    /// Each kind of record: a right to read is tried by reading, since a restricted user gets an empty list and no error
    /// [facts 6]; a right to write is believed to what the PSA says.
    async fn rights(&self) -> Vec<Check> {
        let mut lines = Vec::new();
        for (entity, needs) in
            [("Tickets", "edit"), ("TicketNotes", "add and edit"), ("Resources", "view"), ("Companies", "view")]
        {
            lines.push(self.right(entity, needs).await);
        }
        lines.push(self.history().await);
        lines
    }

    async fn right(&self, entity: &'static str, needs: &'static str) -> Check {
        let what = format!("right: {entity}, {needs}");
        let op = match entity {
            "Tickets" => "GET /Tickets/entityInformation",
            "TicketNotes" => "GET /TicketNotes/entityInformation",
            "Resources" => "GET /Resources/entityInformation",
            _ => "GET /Companies/entityInformation",
        };
        let told = self.tenant.api.call::<wire::Info>(&Ask::new(op, [entity, "entityInformation"])).await;
        let rights = match told {
            Ok(told) => told.info,
            Err(error) => return Check::failed(what, &error),
        };
        let is_wanting = match entity {
            "Tickets" => rights.can_query == Some(false) || rights.can_update == Some(false),
            "TicketNotes" => rights.can_create == Some(false) || rights.can_update == Some(false),
            _ => rights.can_query == Some(false),
        };
        match is_wanting {
            true => Check::red(what, format!("the API user may not: {LEVELS}, {entity}")),
            false => Check::ok(what, "given"),
        }
    }

    /// Who changed a ticket is read from its history: without it nobody's request is believed.
    async fn history(&self) -> Check {
        const WHAT: &str = "right: ticket history, view";
        let op = "POST /TicketHistory/query";
        let asked = self.tenant.api.query::<IgnoredAny>(op, &[Filter::is("ticketID", 0)], &[], Urgency::Ordinary).await;
        match asked {
            Ok(_) => Check::ok(WHAT, "given"),
            Err(CallError::Unauthorized { .. }) => {
                Check::red(WHAT, format!("the API user may not, and so nobody can ask for access: {LEVELS}, Tickets"))
            }
            Err(error) => Check::failed(WHAT, &error),
        }
    }
}
