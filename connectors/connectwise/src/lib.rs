//! ConnectWise PSA as a [`TicketSystem`].
//!
//! In reading order: [`Settings`] and [`ConnectWise`] here; a delivery is proven in `hook` with a key
//! from `key` whose reference was judged in `key_url`; every other module turns one wish of the trait
//! into calls of `api`. The vendor's JSON stays in `wire`.
//!
//! Not here: what a ticket means, what a note says, retries (a failed call says whether a repeat can
//! help, and the task that made it comes back). Text of notes, the path secret of a webhook and the
//! reference to a signing key are never logged.

mod api;
mod audit;
mod callbacks;
mod catalogue;
mod changed;
mod checks;
mod codebase;
mod conditions;
mod errors;
mod hook;
mod key;
mod key_url;
mod members;
mod notes;
mod paging;
mod settings;
mod status;
mod tickets;
mod wire;

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
pub use settings::{Settings, SetupError};
use std::sync::Arc;
use url::Url;

/// What this PSA calls a board.
const BOARD_NOUN: &str = "board";

/// One ConnectWise instance, as one connection uses it.
#[derive(Debug)]
pub struct ConnectWise {
    id: ConnectionId,
    company: String,
    site: Url,
    api: api::Api,
    hook: hook::Hook,
    codebase: Arc<codebase::Codebase>,
    me: members::Me,
    automation: Vec<String>,
    field_audit_type: Option<String>,
    clock: Arc<dyn Clock>,
    marks: Marks,
}

impl ConnectWise {
    /// Checks the settings and builds the clients; makes no call.
    ///
    /// `private_key` belongs to `settings.public_key`. `ca_pem` is the text of `settings.ca_file`, read by the
    /// caller. `marker_key` signs the markers in our notes: with another key, older notes are no longer found.
    /// A process-wide rustls provider must be installed.
    ///
    /// # Errors
    /// [`SetupError`], naming the setting and what it should be.
    pub fn new(
        id: ConnectionId,
        settings: Settings,
        private_key: Secret<String>,
        ca_pem: Option<String>,
        marker_key: Secret<Vec<u8>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let plan = settings.checked(&id, private_key, ca_pem)?;
        let marks = Marks::checked(id.clone(), marker_key)?;
        let quick = plan.quick_client(&clock)?;
        let codebase = Arc::new(codebase::Codebase::new(&plan, quick.clone(), Arc::clone(&clock)));
        let keys = key::Keys::new(&plan, Arc::clone(&codebase), quick, plan.quick_client(&clock)?, clock.clone());
        Ok(Self {
            marks,
            id,
            company: plan.company.clone(),
            site: plan.site.clone(),
            hook: hook::Hook::new(&plan, keys),
            me: members::Me::new(plan.api_member.clone(), Arc::clone(&clock)),
            automation: plan.automation.clone(),
            field_audit_type: plan.field_audit_type.clone(),
            api: api::Api::new(&plan, Arc::clone(&codebase), plan.client(&clock)?),
            codebase,
            clock,
        })
    }
}

#[async_trait::async_trait]
impl TicketSystem for ConnectWise {
    async fn verify(&self, delivery: &Delivery) -> Result<Verified<TicketEvent>, Rejected> {
        self.hook.verify(delivery).await
    }

    fn admit(&self, knock: Knock<'_>) -> Result<usize, Rejected> {
        hook::admit(knock)
    }

    async fn read(&self, id: &TicketId, urgency: Urgency) -> Result<Option<Ticket>, CallError> {
        tickets::read(&self.api, id, urgency).await
    }

    async fn change(&self, ticket: &Ticket, of: Part<'_>, urgency: Urgency) -> Result<Option<Change>, CallError> {
        match of {
            Part::Status => self.audit().status_change(ticket, urgency).await,
            Part::Field(field) => self.audit().field_change(ticket, field, urgency).await,
            // The trail names a board in words of its own that nothing published tells.
            Part::Board => Ok(None),
        }
    }

    async fn member(&self, name: &str) -> Result<Option<Member>, CallError> {
        members::by_name(&self.api, name, Urgency::Ordinary).await
    }

    async fn member_by_id(&self, id: &MemberId, urgency: Urgency) -> Result<Option<Member>, CallError> {
        members::by_id(&self.api, id, urgency).await
    }

    async fn inactive_members(&self, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
        members::inactive(&self.api, ids).await
    }

    async fn changed_since(
        &self,
        since: Timestamp,
        boards: &[BoardId],
        limit: usize,
    ) -> Result<Vec<TicketChanged>, CallError> {
        changed::since(&self.api, self.clock.as_ref(), since, boards, limit).await
    }

    async fn checks(&self, want: &WantedChecks) -> Vec<Check> {
        let Self { api, codebase, me, clock, id: connection, .. } = self;
        checks::Doctor { api, codebase, me, clock: clock.as_ref(), connection }.look(want).await
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
        status::set(&self.api, id, status).await
    }

    async fn is_status_ours(&self, ticket: &Ticket, urgency: Urgency) -> Result<bool, CallError> {
        self.audit().is_status_ours(ticket, urgency).await
    }

    fn board_noun(&self) -> &'static str {
        BOARD_NOUN
    }

    async fn catalogue(&self) -> Result<Catalogue, CallError> {
        catalogue::read(&self.api).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        callbacks::Callbacks::new(&self.api, &self.id).list().await
    }

    async fn sync_webhooks(&self, want: &WantedHooks) -> Result<WebhookChanges, CallError> {
        callbacks::Callbacks::new(&self.api, &self.id).sync(&want.url, &want.boards).await
    }

    /// The PSA switches no callback off by itself: where one is off, a person did it.
    async fn revive_webhooks(&self, _: &Url) -> Result<usize, CallError> {
        Ok(0)
    }

    async fn remove_webhooks(&self, url: &Url) -> Result<usize, CallError> {
        callbacks::Callbacks::new(&self.api, &self.id).remove(url).await
    }

    fn link(&self, id: &TicketId) -> String {
        tickets::link(&self.site, &self.company, id)
    }
}

impl ConnectWise {
    fn audit(&self) -> audit::Audit<'_> {
        let Self { api, me, automation, field_audit_type, .. } = self;
        audit::Audit { api, me, automation, field_type: field_audit_type.as_deref() }
    }

    fn notes(&self) -> notes::Notes<'_> {
        notes::Notes::new(&self.api, &self.me, &self.marks)
    }
}
