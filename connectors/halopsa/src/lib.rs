//! HaloPSA (HaloITSM, Halo Service Desk: one product) as a [`TicketSystem`].
//!
//! In reading order: [`Settings`] and [`HaloPsa`] here; a delivery is let in by `hook`, where a credential stands in for the
//! signature that this vendor does not make; `token` signs in and `api` makes the calls; every other module turns one wish
//! of the trait into calls. The vendor's JSON stays in `wire`.
//!
//! Nothing is decided on what a delivery says: `history` finds who did what in the ticket's actions. Not here: what a ticket
//! means, what a note says, retries (a failed call says whether a repeat can help, and the task that made it comes back).
//! Text of notes, credentials and the path secret of a webhook are never logged.

mod api;
mod catalogue;
mod changed;
mod checks;
mod errors;
mod events;
mod history;
mod hook;
mod html;
mod members;
mod moment;
mod notes;
mod settings;
mod status;
mod tables;
mod tickets;
mod token;
mod webhooks;
mod wire;

use std::sync::Arc;

use latchkey_contract::{
    BoardId, CallError, Check, Clock, ConnectionId, Delivery, Former, Knock, MemberId, Rejected, Secret, StatusId,
    TicketId, TicketSystem, Timestamp, Verified,
    note::{self, Marks},
    outside::Urgency,
    ticket::{
        Catalogue, Change, Member, NoteAt, NoteKey, NoteText, Part, Posted, Said, StatusSet, Ticket, TicketChanged,
        TicketEvent, WantedChecks, WantedHooks, Webhook, WebhookChanges,
    },
};
pub use settings::{HookAuth, NoteFormat, Settings, SetupError};
use url::Url;

/// What this PSA calls a board.
const BOARD_NOUN: &str = "team";

/// One Halo instance, as one connection uses it.
#[derive(Debug)]
pub struct HaloPsa {
    id: ConnectionId,
    site: Url,
    api: api::Api,
    door: hook::Door,
    tables: tables::Tables,
    place: checks::Place,
    application: String,
    settings: Settings,
    clock: Arc<dyn Clock>,
    marks: Marks,
}

impl HaloPsa {
    /// Checks the settings and builds the client; makes no call.
    ///
    /// `client_secret` belongs to `settings.client_id`. `hook_password` is what the instance's webhook shows, in the way that
    /// `settings.hook_auth` says. `ca_pem` is the text of `settings.ca_file`, read by the caller. `marker_key` signs the
    /// markers in our notes: with another key, older notes are no longer found. A process-wide rustls provider must be
    /// installed.
    ///
    /// # Errors
    /// [`SetupError`], naming the setting and what it should be.
    pub fn new(
        id: ConnectionId,
        settings: Settings,
        client_secret: Secret<String>,
        hook_password: Secret<String>,
        ca_pem: Option<String>,
        marker_key: Secret<Vec<u8>>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SetupError> {
        let plan = settings.checked(&id, client_secret, hook_password, ca_pem)?;
        let marks = Marks::checked(id.clone(), marker_key)?;
        let outside = plan.client(&clock)?;
        let tokens = token::Tokens::new(&plan, outside.clone(), Arc::clone(&clock));
        Ok(Self {
            api: api::Api::new(&plan, tokens, outside),
            tables: tables::Tables::new(&plan, Arc::clone(&clock)),
            place: checks::Place::of(&plan),
            application: plan.client_id.to_string(),
            site: plan.site,
            door: plan.door,
            settings: plan.settings,
            id,
            clock,
            marks,
        })
    }
}

impl HaloPsa {
    /// Believes a hook password before the present one as well, in its time.
    #[must_use]
    pub fn believing(mut self, former: Former) -> Self {
        self.door = self.door.believing(former);
        self
    }
}

#[async_trait::async_trait]
impl TicketSystem for HaloPsa {
    async fn verify(&self, delivery: &Delivery) -> Result<Verified<TicketEvent>, Rejected> {
        self.door.verify(delivery)
    }

    fn admit(&self, knock: Knock<'_>) -> Result<usize, Rejected> {
        self.door.admit(knock)
    }

    async fn read(&self, id: &TicketId, urgency: Urgency) -> Result<Option<Ticket>, CallError> {
        self.reader().read(id, urgency).await
    }

    async fn change(&self, ticket: &Ticket, of: Part<'_>, urgency: Urgency) -> Result<Option<Change>, CallError> {
        self.history(urgency).await?.change(ticket, of, urgency).await
    }

    async fn member(&self, name: &str) -> Result<Option<Member>, CallError> {
        self.agents(Urgency::Ordinary).await?.by_name(name).await
    }

    async fn member_by_id(&self, id: &MemberId, urgency: Urgency) -> Result<Option<Member>, CallError> {
        self.agents(urgency).await?.by_id(id).await
    }

    async fn inactive_members(&self, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError> {
        self.agents(Urgency::Removal).await?.inactive(ids).await
    }

    async fn changed_since(
        &self,
        since: Timestamp,
        boards: &[BoardId],
        limit: usize,
    ) -> Result<Vec<TicketChanged>, CallError> {
        changed::since(&self.api, &self.tables, since, boards, limit).await
    }

    async fn checks(&self, want: &WantedChecks) -> Vec<Check> {
        let Self { api, tables, place, clock, id: connection, .. } = self;
        let (webhooks, desk) = (self.hooks(), self.settings.desk_applications.as_slice());
        checks::Doctor { api, tables, webhooks, place, clock: clock.as_ref(), connection, desk }.look(want).await
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
        status::set(&self.reader(), id, status).await
    }

    async fn is_status_ours(&self, ticket: &Ticket, urgency: Urgency) -> Result<bool, CallError> {
        self.history(urgency).await?.is_status_ours(ticket, urgency).await
    }

    fn board_noun(&self) -> &'static str {
        BOARD_NOUN
    }

    async fn catalogue(&self) -> Result<Catalogue, CallError> {
        catalogue::read(&self.api, &self.tables, self.agents(Urgency::Ordinary).await?).await
    }

    async fn webhooks(&self) -> Result<Vec<Webhook>, CallError> {
        self.hooks().list().await
    }

    async fn sync_webhooks(&self, want: &WantedHooks) -> Result<WebhookChanges, CallError> {
        self.hooks().sync(&want.url, !want.boards.is_empty()).await
    }

    async fn revive_webhooks(&self, url: &Url) -> Result<usize, CallError> {
        self.hooks().revive(url).await
    }

    async fn remove_webhooks(&self, url: &Url) -> Result<usize, CallError> {
        self.hooks().remove(url).await
    }

    fn link(&self, id: &TicketId) -> String {
        tickets::link(&self.site, id)
    }
}

impl HaloPsa {
    fn reader(&self) -> tickets::Reader<'_> {
        let date_closed_counts = self.settings.date_closed_counts;
        tickets::Reader { api: &self.api, tables: &self.tables, date_closed_counts }
    }

    async fn agents(&self, urgency: Urgency) -> Result<members::Agents<'_>, CallError> {
        Ok(members::Agents { api: &self.api, me: self.tables.me(&self.api, urgency).await?, urgency })
    }

    async fn history(&self, urgency: Urgency) -> Result<history::History<'_>, CallError> {
        let (reader, agents) = (self.reader(), self.agents(urgency).await?);
        let (application, automation, desk) = (&self.application, &self.settings.automation, self.desk());
        Ok(history::History { reader, agents, application, automation, desk })
    }

    fn desk(&self) -> history::Desk<'_> {
        history::Desk(&self.settings.desk_applications)
    }

    fn notes(&self) -> notes::Notes<'_> {
        let format = self.settings.note_format;
        notes::Notes { reader: self.reader(), marks: &self.marks, format, desk: self.desk() }
    }

    fn hooks(&self) -> webhooks::Webhooks<'_> {
        let Self { api, id: connection, door, settings, marks, .. } = self;
        webhooks::Webhooks { api, connection, door, settings, marks }
    }
}
