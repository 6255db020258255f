//! Autotask PSA (Datto, Kaseya) as a [`TicketSystem`].
//!
//! In reading order: [`Settings`] and [`Autotask`] here; a delivery is proven in `hook`; `zone` and `api` make calls, and
//! `errors` reads what the vendor says when it refuses; every other module turns one wish of the trait into calls. The
//! vendor's JSON stays in `wire`.
//!
//! "[facts N]" in a comment names the section of the vendor fact sheet that a sentence rests on; `README.md` says which of
//! them a tenant has to confirm.
//!
//! Not here: what a ticket means, what a note says, retries (a failed call says whether a repeat can help, and the task
//! that made it comes back). Text of notes, the path secret of the webhook and its key are never logged.

mod api;
mod catalogue;
mod changed;
mod checks;
mod errors;
mod filter;
mod history;
mod hook;
mod metadata;
mod notes;
mod resources;
mod settings;
mod tickets;
mod time;
mod webhooks;
mod wire;
mod zone;

use std::sync::Arc;

use latchkey_contract::{
    BoardId, CallError, Check, Clock, ConnectionId, Delivery, Knock, MemberId, Rejected, Secret, StatusId, TicketId,
    TicketSystem, Timestamp, Verified,
    note::{self, Marks},
    outside::Urgency,
    ticket::{
        Catalogue, Change, Member, NoteAt, NoteKey, NoteText, Part, Posted, Said, StatusSet, Ticket, TicketChanged,
        TicketEvent, WantedChecks, WantedHooks, Webhook, WebhookChanges,
    },
};
pub use settings::{Callouts, Secrets, Settings, SetupError};
use url::Url;

/// What this PSA calls a board.
const BOARD_NOUN: &str = "queue";

/// One Autotask tenant, as one connection uses it.
#[derive(Debug)]
pub struct Autotask {
    id: ConnectionId,
    tenant: Tenant,
    zones: Arc<zone::Zones>,
    hook: hook::Hook,
    /// The key that the webhook is registered with.
    webhook_key: Secret<String>,
    marks: Marks,
    clock: Arc<dyn Clock>,
}

/// What every module works with.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) api: api::Api,
    pub(crate) meta: metadata::Metadata,
    pub(crate) resources: resources::Resources,
    pub(crate) settings: Settings,
}

impl Autotask {
    /// Checks the settings and builds the client; makes no call. `ca_pem` is the text of `settings.ca_file`, read by the
    /// caller. A process-wide rustls provider must be installed.
    ///
    /// # Errors
    /// [`SetupError`], naming the setting and what it should be.
    pub fn new(
        id: ConnectionId,
        settings: Settings,
        secrets: Secrets,
        ca_pem: Option<String>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let marks = Marks::checked(id.clone(), secrets.marker_key.clone())?;
        let plan = settings.checked(&id, secrets, ca_pem)?;
        let outside = plan.client(&clock)?;
        let zones = Arc::new(zone::Zones::new(&plan, outside.clone(), Arc::clone(&clock)));
        Ok(Self {
            hook: hook::Hook::new(&plan, Arc::clone(&clock)),
            webhook_key: plan.webhook_key.clone(),
            tenant: Tenant {
                api: api::Api::new(&plan, Arc::clone(&zones), outside, Arc::clone(&clock)),
                meta: metadata::Metadata::new(Arc::clone(&clock)),
                resources: resources::Resources::new(&plan, Arc::clone(&clock)),
                settings: plan.settings,
            },
            zones,
            marks,
            clock,
            id,
        })
    }

    fn notes(&self) -> notes::Notes<'_> {
        notes::Notes { tenant: &self.tenant, marks: &self.marks }
    }

    fn hooks(&self) -> webhooks::Webhooks<'_> {
        webhooks::Webhooks::new(&self.tenant, &self.id, &self.webhook_key)
    }
}

#[async_trait::async_trait]
impl TicketSystem for Autotask {
    async fn verify(&self, delivery: &Delivery) -> Result<Verified<TicketEvent>, Rejected> {
        self.hook.verify(delivery, &self.tenant).await
    }

    fn admit(&self, knock: Knock<'_>) -> Result<usize, Rejected> {
        hook::admit(knock)
    }

    async fn read(&self, id: &TicketId, urgency: Urgency) -> Result<Option<Ticket>, CallError> {
        tickets::read(&self.tenant, id, urgency).await
    }

    async fn change(&self, ticket: &Ticket, of: Part<'_>, urgency: Urgency) -> Result<Option<Change>, CallError> {
        history::change(&self.tenant, ticket, of, urgency).await
    }

    async fn member(&self, name: &str) -> Result<Option<Member>, CallError> {
        self.tenant.resources.by_name(&self.tenant.api, &self.tenant.meta, name).await
    }

    async fn member_by_id(&self, id: &MemberId, urgency: Urgency) -> Result<Option<Member>, CallError> {
        self.tenant.resources.by_id(&self.tenant.api, &self.tenant.meta, id, urgency).await
    }

    async fn inactive_members(&self, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
        self.tenant.resources.inactive(&self.tenant.api, ids).await
    }

    async fn changed_since(
        &self,
        since: Timestamp,
        boards: &[BoardId],
        limit: usize,
    ) -> Result<Vec<TicketChanged>, CallError> {
        changed::since(&self.tenant.api, self.clock.as_ref(), since, boards, limit).await
    }

    async fn checks(&self, want: &WantedChecks) -> Vec<Check> {
        let Self { id: connection, tenant, zones, webhook_key: key, clock, .. } = self;
        checks::Doctor { tenant, zones, clock: clock.as_ref(), connection, key }.look(want).await
    }

    async fn post(&self, id: &TicketId, text: &NoteText, key: &NoteKey) -> Result<Posted, CallError> {
        note::post(&self.notes(), id, text, key).await
    }

    async fn find(&self, id: &TicketId, key: &NoteKey) -> Result<Vec<NoteAt>, CallError> {
        note::find(&self.notes(), id, key).await
    }

    async fn overwrite(&self, note: &NoteAt, text: &str, key: &NoteKey) -> Result<bool, CallError> {
        note::overwrite(&self.notes(), note, text, key).await
    }

    async fn take_back(&self, note: &NoteAt) -> Result<(), CallError> {
        self.notes().take_back(note).await
    }

    async fn commands(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<Said>, CallError> {
        self.notes().commands(id, urgency).await
    }

    async fn set_status(&self, id: &TicketId, status: &StatusId) -> Result<StatusSet, CallError> {
        tickets::set_status(&self.tenant, id, status).await
    }

    async fn is_status_ours(&self, ticket: &Ticket, urgency: Urgency) -> Result<bool, CallError> {
        history::is_status_ours(&self.tenant, ticket, urgency).await
    }

    fn board_noun(&self) -> &'static str {
        BOARD_NOUN
    }

    async fn catalogue(&self) -> Result<Catalogue, CallError> {
        catalogue::read(&self.tenant).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        self.hooks().list().await
    }

    async fn sync_webhooks(&self, want: &WantedHooks) -> Result<WebhookChanges, CallError> {
        self.hooks().sync(want).await
    }

    async fn revive_webhooks(&self, url: &Url) -> Result<usize, CallError> {
        self.hooks().revive(url).await
    }

    async fn remove_webhooks(&self, url: &Url) -> Result<usize, CallError> {
        self.hooks().remove(url).await
    }

    fn link(&self, id: &TicketId) -> String {
        self.zones.link(id)
    }
}
