//! The surface of a ticket system (PSA), and its nouns.
//!
//! A ticket's free text (`summary`, notes, field values) is hostile: it is carried as text and
//! decides nothing but what a mapping explicitly reads from a named field.

mod catalogue;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use serde::{Deserialize, Serialize};

use crate::{
    BoardId, CallError, Check, CompanyId, Delivery, FieldId, Knock, MemberId, NoteId, Rejected, SourceId, StatusId,
    TicketId, Timestamp, TypeId, Verified, outside::Urgency,
};

pub use catalogue::{Board, Catalogue, Company, Field, Status, TicketSource, TicketType};

/// One PSA instance.
#[async_trait::async_trait]
pub trait TicketSystem: Send + Sync + std::fmt::Debug {
    /// Proves a delivery and reads its event.
    ///
    /// # Errors
    /// [`Rejected`]; it says itself whether a repeat by the sender is worth it.
    async fn verify(&self, delivery: &Delivery) -> Result<Verified<TicketEvent>, Rejected>;

    /// Judges a delivery by its headers, before its body is read; answers how much is read of that: as much as this PSA
    /// sends with such headers. It proves nothing: [`Self::verify`] looks at the headers again.
    ///
    /// # Errors
    /// [`Rejected`], as [`Self::verify`] would say it, where no body makes up for what the headers lack.
    fn admit(&self, knock: Knock<'_>) -> Result<usize, Rejected>;

    /// The ticket as it is now; `None` when it is gone (deleted, or no longer visible to us). A look at a ticket whose access
    /// may have to end is a removal, with every call that it takes.
    async fn read(&self, id: &TicketId, urgency: Urgency) -> Result<Option<Ticket>, CallError>;

    /// The change that gave this part of the ticket its present value, and whether somebody saved the ticket after that.
    /// `None` when the PSA keeps no record of it, when the part is empty, or in any doubt: "set it again". Whoever may be ending
    /// access asks as a removal.
    async fn change(&self, ticket: &Ticket, of: Part<'_>, urgency: Urgency) -> Result<Option<Change>, CallError>;

    /// A member by login name; `None` when there is none.
    async fn member(&self, name: &str) -> Result<Option<Member>, CallError>;

    /// A member by id, such as a ticket's owner; `None` when there is none. Whoever may be ending access is looked up as a
    /// removal.
    async fn member_by_id(&self, id: &MemberId, urgency: Urgency) -> Result<Option<Member>, CallError>;

    /// Which of these may no longer sign in to the PSA, or are gone from it. A removal: whoever has left loses what they have.
    async fn inactive_members(&self, ids: &[MemberId]) -> Result<Vec<MemberId>, CallError>;

    /// The tickets on these boards that were saved at or after `since`, oldest save first; whoever saved them, us
    /// included, since a save of ours may follow one that was never told.
    ///
    /// About `limit` of them: the PSA counts in whole seconds, and a second is never cut. So an answer of `limit` or
    /// more is followed by a question from one second after its last; a shorter one is all there is.
    async fn changed_since(
        &self,
        since: Timestamp,
        boards: &[BoardId],
        limit: usize,
    ) -> Result<Vec<TicketChanged>, CallError>;

    /// What must be true before a mapping can work here, line by line: each is one live question that changes
    /// nothing. A call that fails is its own line's verdict. Lines that cannot be judged while an earlier one is red
    /// are left out.
    async fn checks(&self, want: &WantedChecks) -> Vec<Check>;

    /// Posts an internal note once: `key` is put into the note as a marker that strangers cannot forge, and is
    /// looked for first. The internal flags are read back after posting.
    async fn post(&self, id: &TicketId, text: &NoteText, key: &NoteKey) -> Result<Posted, CallError>;

    /// Every note of ours with this key, on this ticket and on the one it was merged into: for what must go, as a removal.
    async fn find(&self, id: &TicketId, key: &NoteKey) -> Result<Vec<NoteAt>, CallError>;

    /// Replaces a note's text, keeping its marker, as a removal. `Ok(false)` when the note is gone.
    async fn overwrite(&self, note: &NoteAt, text: &str, key: &NoteKey) -> Result<bool, CallError>;

    /// Removes a note. Absence is success.
    async fn take_back(&self, note: &NoteAt) -> Result<(), CallError>;

    /// What members said to Latchkey in this ticket's notes ([`addressed`](crate::note::addressed)), oldest first; none when the
    /// ticket is gone.
    ///
    /// Only of notes that no customer sees and no e-mail brought, that hang on this very ticket, and that somebody wrote who
    /// is not us: never judged by an author that any caller of the API may name for himself. Where the PSA lets a trusted
    /// caller act as a member it may have been that caller, and where it shows that a note was changed it may have been
    /// anybody: then it is not [`Said::is_certain`], and nothing is given on its strength. In doubt it is left out.
    async fn commands(&self, id: &TicketId, urgency: Urgency) -> Result<Vec<Said>, CallError>;

    /// Sets a status by id. Setting the present status is success.
    async fn set_status(&self, id: &TicketId, status: &StatusId) -> Result<StatusSet, CallError>;

    /// Whether the ticket has its status from us, and nobody else saved it since, as far as the PSA's record of changes tells.
    /// In doubt it has not.
    async fn is_status_ours(&self, ticket: &Ticket, urgency: Urgency) -> Result<bool, CallError>;

    /// What this PSA calls a board, for people: `board`, `queue`, `team`.
    fn board_noun(&self) -> &'static str;

    /// Boards with their statuses and types, sources, members, companies, ticket fields: live, for admins and checks.
    /// Where statuses belong to no board, each board has them all.
    async fn catalogue(&self) -> Result<Catalogue, CallError>;

    /// Our webhooks at the PSA, as they are.
    async fn webhooks(&self) -> Result<Vec<Webhook>, CallError>;

    /// Makes the webhooks what they should be: every wanted board watched, at `want.url`, active; strays of ours
    /// removed. One with an older path secret is moved as it is, so that no board is without a webhook at any moment.
    async fn sync_webhooks(&self, want: &WantedHooks) -> Result<WebhookChanges, CallError>;

    /// Switches on again those of our webhooks that the PSA itself switched off because deliveries failed; how many.
    /// 0 where the PSA does no such thing. Ours are known by host and path of `url`; its last segment does not matter.
    async fn revive_webhooks(&self, url: &url::Url) -> Result<usize, CallError>;

    /// Removes every webhook of ours.
    async fn remove_webhooks(&self, url: &url::Url) -> Result<usize, CallError>;

    /// A page in the PSA that shows this ticket to a person.
    fn link(&self, id: &TicketId) -> String;
}

/// What a proven delivery says. A hint: facts come from reading the ticket.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketEvent {
    /// The PSA's id of this message; the same message twice is one delivery.
    pub message_id: String,
    /// Which ticket; `None` when the message is not about one (it is recorded and left).
    pub ticket: Option<TicketId>,
    /// Others that the same message tells of, where a PSA tells of several at once. What else is said here is not said of
    /// these: they are looked at, no more.
    #[serde(default)]
    pub also: Vec<TicketId>,
    /// Login name of the member whose save caused it, where the message names one.
    pub actor: Option<String>,
    /// Its id, where the message names that instead of a login name. An id that is no member's is somebody else's: a
    /// contact's, the system's.
    #[serde(default)]
    pub actor_id: Option<MemberId>,
    /// The ticket's status in that save, where the message tells: which save `actor` speaks of.
    #[serde(default)]
    pub status: Option<StatusId>,
    /// True when the ticket was deleted.
    pub is_deletion: bool,
    /// True when it says that a webhook of ours was switched off: a reason to look at them.
    #[serde(default)]
    pub is_about_webhooks: bool,
}

impl TicketEvent {
    /// A message of which nothing is known but its id: it is recorded and left.
    #[must_use]
    pub fn of(message_id: impl Into<String>) -> Self {
        Self {
            message_id: message_id.into(),
            ticket: None,
            also: Vec::new(),
            actor: None,
            actor_id: None,
            status: None,
            is_deletion: false,
            is_about_webhooks: false,
        }
    }

    /// A doorbell: look at this ticket. Says nothing of who rings, or why.
    #[must_use]
    pub fn ring(message_id: impl Into<String>, ticket: TicketId) -> Self {
        Self { ticket: Some(ticket), ..Self::of(message_id) }
    }
}

/// A part of a ticket that can be a trigger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'t> {
    /// Its status.
    Status,
    /// Its board, queue or team.
    Board,
    /// A custom field.
    Field(&'t FieldId),
}

/// A ticket as the PSA's API gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ticket {
    /// Id within its PSA.
    pub id: TicketId,
    /// Free text, hostile.
    pub summary: String,
    /// The customer's company.
    pub company: Option<CompanyId>,
    /// Board, queue or team.
    pub board: Option<BoardId>,
    /// Status by id, with its name as shown now.
    pub status: Option<StatusId>,
    /// The status' name, for the audit trail match and for people.
    pub status_name: String,
    /// The owner.
    pub owner: Option<MemberId>,
    /// Its type.
    #[serde(default)]
    pub kind: Option<TypeId>,
    /// Where it came from.
    #[serde(default)]
    pub source: Option<SourceId>,
    /// True when closed.
    pub is_closed: bool,
    /// Merged into another ticket, whether the PSA tells which or not.
    #[serde(default)]
    pub is_merged: bool,
    /// Into which, where the PSA tells.
    pub merged_into: Option<TicketId>,
    /// Custom fields by id; text, number and bool all as text. Empty fields are absent.
    pub fields: BTreeMap<FieldId, String>,
    /// Login name of whoever saved it last.
    pub updated_by: Option<String>,
    /// When it was saved last.
    pub updated_at: Option<Timestamp>,
}

/// One recorded change of a ticket: into its present status, or of a custom field to its present value.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// Login name of whoever made it.
    pub by: String,
    /// What kind of identity that is.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// Tells this change from every other of the ticket.
    pub key: String,
    /// Login name of somebody *else* who saved the ticket afterwards (our own API member does not count).
    pub later_by: Option<String>,
}

/// What came of setting a status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StatusSet {
    /// It was another one, and is this one now.
    Changed,
    /// It was this one already, whoever set it: an answer of ours may have been lost.
    Stood,
    /// Nothing was changed: the status does not belong to the ticket's board now, or the ticket is closed, or gone.
    Left,
}

impl StatusSet {
    /// The ticket has it.
    #[must_use]
    pub const fn is_so(self) -> bool {
        matches!(self, Self::Changed | Self::Stood)
    }
}

/// What kind of identity made a change, as far as the PSA's records and the connection's settings tell. Our own API
/// member is never more than [`Actor::Unknown`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Actor {
    /// A person with a login of their own.
    Member,
    /// The PSA's own automation, under a name that an admin listed because nothing from outside acts under it.
    Automation,
    /// Neither: a contact, the mail connector, the portal, an integration that nobody vouched for.
    Unknown,
}

/// A ticket that was saved.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TicketChanged {
    /// Which.
    pub id: TicketId,
    /// When it was saved last, as precise as the PSA tells.
    pub at: Timestamp,
}

/// What the rules in force want of a PSA's webhooks, for [`TicketSystem::sync_webhooks`].
#[derive(Clone, PartialEq, Eq)]
pub struct WantedHooks {
    /// Where they should point. Ends in the path secret: does not print, and must not be logged.
    pub url: url::Url,
    /// Boards that a mapping watches.
    pub boards: BTreeSet<BoardId>,
    /// Custom fields that a mapping reads, for a PSA that tells of registered fields alone.
    pub fields: BTreeSet<FieldId>,
}

impl fmt::Debug for WantedHooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { url: _, boards, fields } = self;
        f.debug_struct("WantedHooks").field("url", &"***").field("boards", boards).field("fields", fields).finish()
    }
}

/// What the rules in force want of a PSA, for [`TicketSystem::checks`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct WantedChecks {
    /// Boards that a mapping watches.
    pub boards: BTreeSet<BoardId>,
    /// Statuses that trigger or are set; each must be one of a wanted board.
    pub statuses: BTreeSet<StatusId>,
    /// Ticket types that a mapping names; each must be one of a wanted board.
    pub types: BTreeSet<TypeId>,
    /// Ticket sources that a mapping names.
    pub sources: BTreeSet<SourceId>,
    /// Custom fields that a mapping reads.
    pub fields: BTreeSet<FieldId>,
    /// Where the webhooks should point, path secret included; `None` while there is none. Does not print.
    pub hook: Option<url::Url>,
}

impl fmt::Debug for WantedChecks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { boards, statuses, types, sources, fields, hook } = self;
        f.debug_struct("WantedChecks")
            .field("boards", boards)
            .field("statuses", statuses)
            .field("types", types)
            .field("sources", sources)
            .field("fields", fields)
            .field("hook", &hook.as_ref().map(|_| "***"))
            .finish()
    }
}

/// A PSA member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Member {
    /// Immutable id.
    pub id: MemberId,
    /// Login name.
    pub name: String,
    /// For people.
    pub full_name: String,
    /// Work mail address, where there is one.
    pub mail: Option<String>,
    /// May sign in to the PSA.
    pub is_active: bool,
    /// A person, not an API or system identity.
    pub is_human: bool,
}

/// What a member said to Latchkey in a note.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Said {
    /// The note.
    pub note: NoteId,
    /// Who wrote it.
    pub by: MemberId,
    /// The PSA answers for it that they did so themselves: no program that may act as somebody wrote it, and it shows nobody
    /// who may have changed it since. Only then may anything be given on its strength.
    pub is_certain: bool,
    /// When, by the PSA's clock.
    pub at: Timestamp,
    /// Its first line. Free text of a member.
    pub line: String,
}

/// What stands in a note. The text may contain a secret: it cannot print.
#[derive(Debug, Clone)]
pub struct NoteText(pub crate::Secret<String>);

impl NoteText {
    /// A note without a secret.
    #[must_use]
    pub fn plain(text: impl Into<String>) -> Self {
        Self(crate::Secret::new(text.into()))
    }
}

/// Tells one note of ours from every other: comes from the task, never from a fresh random.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct NoteKey(pub String);

/// A note and the ticket it hangs on (a merge may have moved or copied it).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoteAt {
    /// The ticket it hangs on.
    pub ticket: TicketId,
    /// The note.
    pub note: NoteId,
    /// Which part of a split text, from 0.
    pub part: usize,
}

/// The outcome of posting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Posted {
    /// One per part of the text.
    pub notes: Vec<NoteAt>,
    /// True when the read-back says that the customer can see it: whatever it held is burnt.
    pub is_visible_to_customer: bool,
    /// True when the marker was found and nothing was posted anew.
    pub was_there: bool,
}

/// One webhook of ours at the PSA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Webhook {
    /// The PSA's id.
    pub id: String,
    /// What it watches, for people: `board 63`.
    pub watches: String,
    /// Whose tickets it watches.
    pub scope: Scope,
    /// Host and path without the path secret.
    pub target: String,
    /// The PSA will send.
    pub is_active: bool,
}

/// Whose tickets a webhook watches.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// Every ticket of the PSA.
    Everything,
    /// Those of one board.
    Board(BoardId),
    /// None, or others.
    Else,
}

impl Scope {
    /// Whether the tickets of this board are among them.
    #[must_use]
    pub fn covers(&self, board: &BoardId) -> bool {
        match self {
            Self::Everything => true,
            Self::Board(own) => own == board,
            Self::Else => false,
        }
    }
}

/// What [`TicketSystem::sync_webhooks`] did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct WebhookChanges {
    /// Newly made.
    pub created: usize,
    /// Switched on again or corrected.
    pub repaired: usize,
    /// Duplicates and strays of ours removed.
    pub removed: usize,
    /// Right as they were.
    pub kept: usize,
}
