//! What is remembered, in our verbs. Few of them, since each is written once per engine.
//!
//! One [`Transition`] is one transaction: grants, accounts, audit entries, notices and tasks stand or
//! fall together, and the versions they started from are checked. Nothing is decided here.

mod alert;
mod engine;
#[cfg(test)]
mod model;
pub mod postgres;
pub(crate) mod row;
pub mod sqlite;
#[cfg(test)]
pub(crate) mod story;
pub mod transfer;
mod transition;
mod watched;

use std::{sync::Arc, time::Duration};

use latchkey_contract::{
    AccountId, ConnectionId, CustomerId, GrantId, MailId, MappingId, PersonId, SecretId, TicketId, TicketRef,
    Timestamp, directory::Mode, ticket::TicketChanged,
};
use serde::{Deserialize, Serialize};
use tokio::sync::Notify;

pub use crate::audit::{AuditEntry, BrokenChain, verify_chain};
use crate::{
    access::{Account, Grant, trigger::Sighting},
    audit::{AuditFilter, AuditRow, By, Checkpoint, Code, Head, Prunable},
    jobs::task::{Lease, NewTask, Task},
    rulebook::{Hold, HoldCause, HoldOn, Rulebook, Rules},
};
pub use alert::{Alert, Happening, MailState, OwedMail};
pub use engine::{Database, Engine, OpenError};
pub use transition::{
    BrakeCount, CommitName, Finish, Notice, NoticeKind, NoticeState, Rewrapped, SealedRow, Transition,
};
pub use watched::{Cursor, Trouble, TroubleKind, Watched, turn_begins};

/// The engine behind which everything is remembered. Both tell the same story (`story`).
#[async_trait::async_trait]
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Notified after each commit that may have made a task due sooner: whoever claims waits on it.
    fn changed(&self) -> Arc<Notify>;

    /// Records a proven delivery once, with its intake task, durably.
    async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded, StoreError>;
    /// A recorded delivery.
    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError>;

    /// The rules in force; revision 0 and empty before the first save.
    async fn rules(&self) -> Result<Rules, StoreError>;
    /// The revision alone: cheap, asked often.
    async fn revision(&self) -> Result<i64, StoreError>;
    /// Saves rulebook and records (what differs of them) as revision `rules.revision + 1` if that is still the next one.
    /// Holds are not touched. Answers the new revision. [`StoreError::StillUsed`] when a connection, a customer or a
    /// person would go who access that is not over needs.
    async fn save_rules(&self, rules: &Rules, by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError>;
    /// Counts a revision although neither changed: how every process learns that a secret is another one.
    async fn touch(&self, changed: &[String], by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError>;
    /// The newest revisions, newest first, at most `limit`.
    async fn history(&self, limit: u32) -> Result<Vec<Revision>, StoreError>;
    /// The newest revisions that changed the rulebook, newest first, at most `limit`.
    async fn rulebook_history(&self, limit: u32) -> Result<Vec<Revision>, StoreError>;
    /// The rulebook as it was at a revision; `None` before the first.
    async fn rulebook_at(&self, revision: i64) -> Result<Option<Rulebook>, StoreError>;
    /// Sets a hold. Goes first, may use what is reserved, and never loses a race; a graver hold on the same stays.
    /// A person who is held is signed out everywhere.
    async fn set_hold(&self, hold: &Hold) -> Result<i64, StoreError>;
    /// Lifts a hold of this cause or a lesser one. `false` when there is none.
    async fn lift_hold(
        &self,
        on: &HoldOn,
        up_to: HoldCause,
        by: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError>;
    /// How many grants of a scope have ids from `since` on (a ULID), and below `before` where that is named: what was never
    /// given does not count, what waits does.
    async fn count_grants(&self, scope: &Scope, since: &str, before: Option<&str>) -> Result<u32, StoreError>;
    /// Grants of a scope that are not final, by id, after `after`, at most `limit`.
    async fn open_grants_in(
        &self,
        scope: &Scope,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError>;
    /// The newest grants of a scope, final ones too, newest first, at most `limit`.
    async fn newest_grants(&self, scope: &Scope, limit: u32) -> Result<Vec<Grant>, StoreError>;
    /// The newest deliveries, newest first, at most `limit`; only those not worked off yet, if so wanted.
    async fn deliveries(&self, only_open: bool, limit: u32) -> Result<Vec<StoredDelivery>, StoreError>;
    /// Tasks as they stand: the dead first, then by when they are due, at most `limit`.
    async fn tasks(&self, limit: u32) -> Result<Vec<TaskRow>, StoreError>;
    /// The account that has or had this name in a directory, in whatever letter case.
    async fn account_named(&self, directory: &ConnectionId, name: &str) -> Result<Option<Account>, StoreError>;

    /// One transaction. On [`StoreError::Conflict`] nothing was changed: load again and think again.
    async fn commit(&self, transition: Transition) -> Result<(), StoreError>;

    /// An alert that is not resolved yet.
    async fn alert(&self, id: &str) -> Result<Option<Alert>, StoreError>;
    /// A mail by id.
    async fn mail(&self, id: &MailId) -> Result<Option<OwedMail>, StoreError>;
    /// The newest mails, newest first, at most `limit`.
    async fn mails(&self, limit: u32) -> Result<Vec<OwedMail>, StoreError>;
    /// How many mails about what happened since then were given up.
    async fn mails_given_up(&self, since: Timestamp) -> Result<u64, StoreError>;

    /// A grant by id.
    async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError>;
    /// All grants of an account that are not final.
    async fn open_grants(&self, account: &AccountId) -> Result<Vec<Grant>, StoreError>;
    /// All grants of a ticket, newest first.
    async fn grants_of_ticket(&self, ticket: &TicketRef) -> Result<Vec<Grant>, StoreError>;
    /// The newest grants of a person, at most `limit`.
    async fn grants_of_person(&self, person: &PersonId, limit: u32) -> Result<Vec<Grant>, StoreError>;
    /// An account by id.
    async fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError>;
    /// Every account of a directory that there ever was, by id, after `after`, at most `limit`.
    async fn accounts_in(
        &self,
        directory: &ConnectionId,
        after: Option<&AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError>;
    /// The standard account of a person in a directory, or every burner account there that has open grants.
    async fn accounts_of(
        &self,
        person: &PersonId,
        directory: &ConnectionId,
        mode: Mode,
    ) -> Result<Vec<Account>, StoreError>;

    /// All accounts, by id, from `after` on, at most `limit`.
    async fn accounts(&self, after: Option<&AccountId>, limit: u32) -> Result<Vec<Account>, StoreError>;

    /// What is remembered of a ticket under a mapping.
    async fn sighting(&self, ticket: &TicketRef, mapping: &MappingId) -> Result<Option<Sighting>, StoreError>;
    /// Notices of a ticket that are not done, in the order in which they were committed, whatever the clock said.
    async fn open_notices(&self, ticket: &TicketRef) -> Result<Vec<Notice>, StoreError>;
    /// All notices of a grant, in the order in which they were committed.
    async fn notices_of(&self, grant: &GrantId) -> Result<Vec<Notice>, StoreError>;
    /// A sealed row; `None` when it never was or its data key was destroyed.
    async fn sealed(&self, id: &SecretId) -> Result<Option<SealedRow>, StoreError>;
    /// The sealed row of this name (`cw/private-key`); `None` when it was never set or its data key was destroyed.
    async fn sealed_named(&self, name: &str) -> Result<Option<SealedRow>, StoreError>;
    /// Names of sealed rows that operators set (`cw/private-key`), never their values.
    async fn sealed_names(&self) -> Result<Vec<String>, StoreError>;
    /// Sealed rows from `after` on, by id, at most `limit`.
    async fn sealed_page(&self, after: Option<&SecretId>, limit: u32) -> Result<Vec<SealedRow>, StoreError>;
    /// Puts newly wrapped data keys in place, each only where the row is still under the key it was under before; answers
    /// how many.
    async fn rewrap(&self, rows: Vec<Rewrapped>) -> Result<u64, StoreError>;
    /// Takes no row under this master key from now on, unless rows need it: answers how many do. What is sealed under it
    /// later is a [`StoreError::Conflict`].
    async fn retire_key(&self, key_id: &str) -> Result<u64, StoreError>;
    /// Audit entries from `after` on, in order, at most `limit`.
    async fn audit(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;
    /// The newest entries with one of these codes, newest first, at most `limit`.
    async fn newest_audit(&self, codes: &[Code], limit: u32) -> Result<Vec<AuditEntry>, StoreError>;
    /// The same as they are stored, those that `filter` wants: what is checked and exported, page by page.
    async fn audit_rows(&self, filter: &AuditFilter, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError>;
    /// The newest entry's number and hash.
    async fn audit_head(&self) -> Result<Option<Head>, StoreError>;
    /// What stays of entries that went, oldest first.
    async fn audit_checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError>;
    /// The oldest entries, as far as they are from before a time, no open grant needs them, and the head stays.
    async fn audit_prunable(&self, before: Timestamp) -> Result<Option<Prunable>, StoreError>;
    /// Lets entries go: the checkpoint and the entry that tells of it are written first. [`StoreError::Conflict`] when they
    /// may not go, or not any more.
    async fn audit_prune(&self, checkpoint: &Checkpoint, entry: AuditEntry) -> Result<(), StoreError>;
    /// How many entries of removals are not chained yet.
    async fn audit_owed(&self) -> Result<u64, StoreError>;
    /// Chains them, in order, before anything newer.
    async fn chain_owed(&self) -> Result<(), StoreError>;

    /// Sign-in factors of a person.
    async fn factors(&self, person: &PersonId) -> Result<Option<Factors>, StoreError>;
    /// Sets them, and what goes with it: every session, every invitation and the former secret of that person end, the
    /// code that confirmed it is used up, and it is audited. [`StoreError::Conflict`] when its invitation is not good
    /// any more, or the person is held.
    async fn enroll(&self, enrolled: &Enrolled) -> Result<(), StoreError>;
    /// Makes an invitation, in the place of an earlier one of the same person.
    async fn invite(&self, invitation: &Invitation, by: &By, at: Timestamp) -> Result<(), StoreError>;
    /// Takes a person's invitation back, if there is one.
    async fn uninvite(&self, person: &PersonId) -> Result<(), StoreError>;
    /// An invitation by the hash of its token, if it is good at `now`.
    async fn invitation(&self, token_hash: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError>;
    /// Keeps what was chosen under an invitation until it is confirmed, in the place of what was chosen before.
    /// [`StoreError::Conflict`] when the invitation is not good any more.
    async fn choose(&self, token_hash: &str, chosen: &Chosen, now: Timestamp) -> Result<(), StoreError>;
    /// Marks a one-time-code step as used. `false` when it or a later one was used already.
    async fn use_step(&self, person: &PersonId, step: i64) -> Result<bool, StoreError>;
    /// Counts a failed sign-in; answers how many failed since `since`.
    async fn count_failure(&self, key: &str, at: Timestamp, since: Timestamp) -> Result<u32, StoreError>;
    /// How many sign-ins failed since `since`.
    async fn failures(&self, key: &str, since: Timestamp) -> Result<u32, StoreError>;
    /// Opens a session, with what follows from it. A conflict when the person is held.
    async fn open_session(&self, session: &Session, tasks: Vec<NewTask>, now: Timestamp) -> Result<(), StoreError>;
    /// A session by the hash of its token, if it is not over at `now`; being seen moves its idle end.
    async fn session(
        &self,
        token_hash: &str,
        now: Timestamp,
        idle_end: Timestamp,
    ) -> Result<Option<Session>, StoreError>;
    /// Ends a session.
    async fn close_session(&self, token_hash: &str) -> Result<(), StoreError>;

    /// Leases due tasks: at most `free`, at most one per key, of the connections in `busy` only removals, of those in
    /// `full` no removals, removals first.
    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>, StoreError>;
    /// Extends a lease. `false` when it was lost.
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool, StoreError>;
    /// Ends a leased task without any other change. `false` when the lease was lost.
    async fn finish(&self, lease: &Lease, finish: Finish) -> Result<bool, StoreError>;
    /// When the next pending task is due, or the next lease runs out.
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Depth and age of the queue, dead letters included.
    async fn queue(&self, now: Timestamp) -> Result<QueueState, StoreError>;
    /// Up to where a PSA was asked for saved tickets; `None` before the first poll.
    async fn cursor(&self, connection: &ConnectionId) -> Result<Option<Cursor>, StoreError>;
    /// What is wrong with a connection, of this kind.
    async fn trouble(&self, connection: &ConnectionId, kind: TroubleKind) -> Result<Option<Trouble>, StoreError>;
    /// Everything that is wrong with any connection.
    async fn troubles(&self) -> Result<Vec<Trouble>, StoreError>;
    /// Which of these saves nobody has looked at, and nobody is about to.
    async fn unseen(&self, connection: &ConnectionId, changed: &[TicketChanged]) -> Result<Vec<TicketId>, StoreError>;
    /// How many looks of a PSA's tickets wait that nobody has begun.
    async fn looks_ahead(&self, connection: &ConnectionId) -> Result<u64, StoreError>;
    /// Of the tickets of this PSA with access that is wanted: those whose turn it is, `at_once` of them, the first ones after
    /// the last ones.
    async fn tickets_with_access(
        &self,
        connection: &ConnectionId,
        turn: i64,
        at_once: u32,
    ) -> Result<Vec<TicketRef>, StoreError>;
    /// Who has access, waits for it, or is signed in.
    async fn people_here(&self, now: Timestamp) -> Result<Vec<PersonId>, StoreError>;

    /// Re-creates tasks that rows say must exist and do not; answers how many.
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError>;

    /// Writes one row durably, to learn whether writing works; also the clock's last seen wall time, which is never taken
    /// back: a time that is not later than that one is no news.
    async fn heartbeat(&self, now: Timestamp) -> Result<(), StoreError>;
    /// The latest wall time that was written by [`Store::heartbeat`].
    async fn last_seen(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Writes down the time that counts while the wall's is in doubt; the next [`Store::heartbeat`] that is later than all
    /// before forgets it.
    async fn heartbeat_in_doubt(&self, now: Timestamp) -> Result<(), StoreError>;
    /// The latest time that was written by [`Store::heartbeat_in_doubt`], if it was not forgotten since.
    async fn counted_since(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Which generation of the database this is, and whether it is being compared with the directories.
    async fn generation(&self) -> Result<Generation, StoreError>;
    /// Raises the generation above itself and above `seen`; answers the new one.
    async fn raise_generation(&self, seen: i64) -> Result<i64, StoreError>;
    /// The same, and the comparison of what was `settled` is over with this, if it was not before.
    /// [`StoreError::Conflict`] when there is more to compare by now.
    async fn end_comparing(&self, seen: i64, settled: Comparing) -> Result<i64, StoreError>;
    /// While others are waited for: directories that were compared, and hold nothing unknown. What is owed there is taken
    /// away from now on. [`StoreError::Conflict`] when it is not this that is compared.
    async fn compared_so_far(&self, comparing: Comparing, directories: &[ConnectionId]) -> Result<(), StoreError>;
    /// Notes that this is an older copy, which is compared with the directories before it acts: until then nothing is
    /// claimed. The first note stays.
    async fn compare_first(&self, comparing: Comparing) -> Result<Comparing, StoreError>;
}

/// Why a verb failed, named for what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A version or revision had moved, or a unique row was there: load again and think again.
    #[error("somebody else was first")]
    Conflict,
    /// A record would go that access which is not over needs.
    #[error("{record} is needed by access that is not over: grant {grant}")]
    StillUsed {
        /// Which, as `customer/acme`.
        record: String,
        /// One of the grants.
        grant: GrantId,
    },
    /// The lease under which this was to be written is lost: discard the work and look again later.
    #[error("the lease was lost")]
    LeaseLost,
    /// The writer is full, the database locked: try again soon.
    #[error("the database is busy")]
    Busy,
    /// No room to write. Only removals may use what was reserved.
    #[error("the disk is full")]
    Full,
    /// The answer of a COMMIT did not come, and what became of it could not be found out: look before doing it again.
    #[error("the database did not say whether it was written")]
    Unknown,
    /// A row cannot be read back.
    #[error("row {id} of {table} cannot be read")]
    Corrupt {
        /// Table.
        table: &'static str,
        /// Row.
        id: String,
    },
    /// The engine failed.
    #[error("the database failed")]
    Engine(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Whose grants are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Everybody's.
    Everything,
    /// One customer's.
    Customer(CustomerId),
    /// One person's.
    Person(PersonId),
}

impl Scope {
    /// The id in it, empty for everything.
    #[must_use]
    pub fn of(&self) -> &str {
        match self {
            Self::Everything => "",
            Self::Customer(id) => id.as_str(),
            Self::Person(id) => id.as_str(),
        }
    }
}

impl HoldOn {
    /// Whose grants it is about.
    #[must_use]
    pub fn scope(&self) -> Scope {
        match self {
            Self::Everything => Scope::Everything,
            Self::Customer(id) => Scope::Customer(id.clone()),
            Self::Person(id) => Scope::Person(id.clone()),
        }
    }
}

/// One change of what is in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Revision {
    /// Its number.
    pub revision: i64,
    /// Who.
    pub author: String,
    /// Why, in their words.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// What: `rulebook`, `person/jane`, `hold all`, `secret cw/private-key`.
    pub changed: Vec<String>,
}

/// A proven delivery to be recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewDelivery {
    /// Our id (time-ordered).
    pub id: String,
    /// From which PSA.
    pub connection: ConnectionId,
    /// The vendor's message id: unique with the connection.
    pub message_id: String,
    /// SHA-256 of the raw body in hex: the body itself is not kept.
    pub body_hash: String,
    /// When.
    pub received_at: Timestamp,
    /// What it says, as JSON of `TicketEvent`.
    pub event: latchkey_contract::ticket::TicketEvent,
}

/// What recording came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recorded {
    /// Now.
    New,
    /// Before, with the same body: answered as the first time.
    Repeat,
    /// Before, with another body: somebody is playing.
    OtherBody,
}

/// A recorded delivery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDelivery {
    /// Our id.
    pub id: String,
    /// From which PSA.
    pub connection: ConnectionId,
    /// What it says.
    pub event: latchkey_contract::ticket::TicketEvent,
    /// When.
    pub received_at: Timestamp,
    /// What became of it, once it is worked off.
    pub outcome: Option<String>,
}

/// How old this copy of the database is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Generation {
    /// Counts starts and backups; `None` before the first start that counted.
    pub number: Option<i64>,
    /// Set while this is known to be an older copy.
    pub comparing: Option<Comparing>,
}

/// An older copy of the database, which is compared with the directories before it acts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Comparing {
    /// Since when this is known.
    pub since: Timestamp,
    /// Up to when the copy knows what happened, as far as that is known.
    pub knows_until: Option<Timestamp>,
    /// What became of the holds that were set after the copy was made.
    #[serde(default)]
    pub later_holds: LaterHolds,
    /// When it was seen by a service at work, or may have been beside one, whose last calls nobody knows of any more; `None`
    /// where none was at work.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub noted_at: Option<Timestamp>,
}

impl Comparing {
    /// How long after it was left a call may still take effect: longer than any of ours lasts.
    pub const LATE_EFFECT: Duration = Duration::from_secs(60);

    /// Until when calls that were under way as the server changed may take effect. What is compared before says nothing of them.
    #[must_use]
    pub fn calls_until(&self) -> Option<Timestamp> {
        self.noted_at.map(|at| at + Self::LATE_EFFECT)
    }
}

/// Holds that were set after a copy of the database was made, once the copy is in its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LaterHolds {
    /// Nobody looked: the copy was put back by hand.
    #[default]
    Unknown,
    /// The restore took them over.
    Kept,
    /// The database that was replaced told none: it was missing, damaged, or another installation's.
    Lost,
}

/// A task as it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskRow {
    /// What it is about: `converge:01J…`.
    pub slot: String,
    /// 0 takes away, 1 gives, 2 tells.
    pub priority: i64,
    /// `pending`, `leased` or `dead`.
    pub state: String,
    /// When it is due, or its lease runs out.
    pub at: Timestamp,
    /// How often it was tried in a row.
    pub attempts: i64,
    /// Why the last try failed: bounded, printable.
    pub last_error: Option<String>,
}

/// A person's sign-in factors.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Factors {
    /// Whose.
    pub person: PersonId,
    /// Argon2id, in PHC form.
    pub password_hash: String,
    /// The sealed TOTP secret.
    pub totp: SecretId,
    /// Since when.
    pub enrolled_at: Timestamp,
}

/// An enrolment that is to be kept.
#[derive(Debug, Clone)]
pub struct Enrolled {
    /// What is set.
    pub factors: Factors,
    /// The sealed secret, unless it was kept with an invitation already.
    pub sealed: Option<SealedRow>,
    /// The one-time-code step that confirmed it.
    pub step: i64,
    /// The hash of the invitation's token, where it came by one.
    pub invitation: Option<String>,
    /// Who did it, for the audit.
    pub by: By,
}

/// A link by which one person enrols, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invitation {
    /// Who.
    pub person: PersonId,
    /// SHA-256 of the token in hex: the token itself is not kept.
    pub token_hash: String,
    /// The secret that the person had when it was made: another enrolment since voids it.
    pub beside: Option<SecretId>,
    /// Until when it is good.
    pub until: Timestamp,
    /// What was chosen and is not confirmed yet: the password's hash, and the sealed secret.
    pub chosen: Option<(String, SecretId)>,
}

/// What somebody chose under an invitation.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Argon2id, in PHC form.
    pub password_hash: String,
    /// The sealed one-time-code secret.
    pub sealed: SealedRow,
}

/// A signed-in browser.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// SHA-256 of the token in hex: the token itself is not kept.
    pub token_hash: String,
    /// Who.
    pub person: PersonId,
    /// Carried by every form.
    pub form_token: String,
    /// Absolute end.
    pub until: Timestamp,
    /// End if not seen again.
    pub idle_until: Timestamp,
}

/// A claim for work.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Now.
    pub now: Timestamp,
    /// How many tasks may be taken.
    pub free: usize,
    /// Until when the leases run.
    pub lease_until: Timestamp,
    /// Connections at their limit: of these only removals.
    pub busy: Vec<ConnectionId>,
    /// Connections at their removals' limit: of these no removals either.
    pub full: Vec<ConnectionId>,
    /// Only removals (priority 0) are wanted: every other slot is taken.
    pub removals_only: bool,
    /// Leases that ran out are left alone: by this process' clock it cannot be told whether they did.
    pub spares_leases: bool,
}

/// The queue at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueueState {
    /// Due and waiting.
    pub ready: u64,
    /// Being worked on.
    pub leased: u64,
    /// Not due yet.
    pub future: u64,
    /// Given up: visible, and never a removal.
    pub dead: u64,
    /// Since when the oldest ready task is due.
    pub oldest_due: Option<Timestamp>,
}
