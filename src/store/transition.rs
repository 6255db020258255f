//! One transaction, described before it is run.

use std::time::Duration;

use latchkey_contract::{GrantId, MappingId, NoteId, SecretId, TicketRef, Timestamp, ticket::NoteAt};
use serde::{Deserialize, Serialize};

use crate::{
    access::{Account, Grant, State, follow::Closing, grant::Telling, trigger::Sighted},
    audit::AuditEntry,
    jobs::task::{Lease, NewTask},
    store::{Alert, OwedMail, Scope, Watched},
};

/// Everything that one transaction writes. Empty parts write nothing.
#[derive(Debug, Clone)]
pub struct Transition {
    /// Which commit of the code this is: for logs and for tests that break off around it.
    pub name: CommitName,
    /// Now.
    pub now: Timestamp,
    /// The rules' revision that it was decided under, compared inside the transaction.
    pub revision: Option<i64>,
    /// Brakes that must still have room for one grant more.
    pub brakes: Vec<BrakeCount>,
    /// The lease it is written under: compared inside the transaction, and what becomes of its task.
    pub lease: Option<(Lease, Finish)>,
    /// Takes access away, or records it: goes first, and may use what is reserved.
    pub is_removal: bool,
    /// Grants: version 0 is inserted, any other must still have the version it was loaded with. Stored with version + 1.
    pub grants: Vec<Grant>,
    /// Accounts, likewise.
    pub accounts: Vec<Account>,
    /// Sealed secrets to add.
    pub seal: Vec<SealedRow>,
    /// Sealed secrets whose data key is destroyed.
    pub destroy: Vec<SecretId>,
    /// Sightings to set. One that went by another than is stored is [`StoreError::Conflict`](super::StoreError::Conflict).
    pub sightings: Vec<Sighted>,
    /// Notices to add or replace, by id.
    pub notices: Vec<Notice>,
    /// What happened and may have to be told by mail. Each gets its task.
    pub alerts: Vec<Alert>,
    /// An alert of which it is known now who is told.
    pub alert_done: Option<String>,
    /// Mails to add, each with its task, or to replace, by id.
    pub mails: Vec<OwedMail>,
    /// Audit entries; the store adds sequence and chain. Where they cannot be chained, a removal goes on and owes them;
    /// anything else fails.
    pub audit: Vec<AuditEntry>,
    /// Tasks to add or to move, by slot.
    pub tasks: Vec<NewTask>,
    /// The delivery that is worked off by this, with its outcome.
    pub delivery_done: Option<(String, String)>,
    /// What the service saw by itself.
    pub watched: Vec<Watched>,
}

/// Every commit the code makes, by name. The fault tests are generated from this list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitName {
    /// The ticket was read and asks for nothing, or is in doubt no longer.
    Seen,
    /// A request was refused.
    Refused,
    /// A request was granted: grant, account, sealed password, notices, tasks.
    Decided,
    /// A step is about to be sent to a directory.
    StepIntent,
    /// A step's outcome.
    StepOutcome,
    /// The account is as wanted: its grants move on.
    Reached,
    /// The first of the two reads that prove off.
    OffSeen,
    /// Off is proven: its grants end.
    OffProven,
    /// A look found nothing, or a retry was noted.
    Looked,
    /// An account cannot become what it should.
    Impossible,
    /// A note was posted, a status set, or it was given up.
    Told,
    /// Who is told of an alert was found out.
    Resolved,
    /// A mail was sent, or given up.
    Mailed,
    /// The person has the credentials.
    Delivered,
    /// A grant's time came.
    Due,
    /// A grant's end is near: it was told.
    Warned,
    /// A person, a ticket or a hold ended a grant.
    EndAsked,
    /// An approver said yes or no to a request that waits.
    Approved,
    /// The credentials were shown on the claim page.
    Revealed,
    /// Something was changed by command.
    Command,
    /// The audit log's head leaves the house.
    AuditHead,
    /// Credentials are about to be written into the ticket.
    HandingOver,
    /// A poll asked which tickets were saved.
    Polled,
    /// A connection's trouble began, changed or ended.
    Trouble,
}

impl CommitName {
    /// All of them.
    pub const ALL: [Self; 24] = [
        Self::Seen,
        Self::Refused,
        Self::Decided,
        Self::StepIntent,
        Self::StepOutcome,
        Self::Reached,
        Self::OffSeen,
        Self::OffProven,
        Self::Looked,
        Self::Impossible,
        Self::Told,
        Self::Resolved,
        Self::Mailed,
        Self::Delivered,
        Self::Due,
        Self::Warned,
        Self::EndAsked,
        Self::Approved,
        Self::Revealed,
        Self::Command,
        Self::AuditHead,
        Self::HandingOver,
        Self::Polled,
        Self::Trouble,
    ];
}

impl Transition {
    /// Gives something, or is about to: refused with [`StoreError::Conflict`](super::StoreError::Conflict) while the database
    /// is compared, whenever its task was claimed.
    #[must_use]
    pub fn gives(&self) -> bool {
        let begins = || self.grants.iter().any(|grant| matches!(grant.state, State::Granting { .. }));
        !self.is_removal
            && (matches!(
                self.name,
                CommitName::Decided | CommitName::StepIntent | CommitName::HandingOver | CommitName::Revealed
            ) || begins())
    }

    /// An empty one.
    #[must_use]
    pub const fn new(name: CommitName, now: Timestamp) -> Self {
        Self {
            name,
            now,
            revision: None,
            brakes: Vec::new(),
            lease: None,
            is_removal: false,
            grants: Vec::new(),
            accounts: Vec::new(),
            seal: Vec::new(),
            destroy: Vec::new(),
            sightings: Vec::new(),
            notices: Vec::new(),
            alerts: Vec::new(),
            alert_done: None,
            mails: Vec::new(),
            audit: Vec::new(),
            tasks: Vec::new(),
            delivery_done: None,
            watched: Vec::new(),
        }
    }
}

/// A brake's room, counted again inside the transaction: two requests at one moment do not both find the last place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BrakeCount {
    /// Whose grants.
    pub scope: Scope,
    /// From this id on (a ULID).
    pub since: String,
    /// So many may be there at most, with the one to come.
    pub most: u32,
}

/// What becomes of a leased task.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// It goes on: the lease is only checked.
    Keep,
    /// It is done and goes, unless somebody asked for it again meanwhile.
    Done,
    /// It runs again at this time (or earlier, if somebody asked), with its attempts counted from 0.
    At(Timestamp),
    /// It failed and is tried again at this time; attempts go on counting.
    Retry {
        /// When.
        at: Timestamp,
        /// Bounded, printable, free of secrets.
        error: String,
    },
    /// It is given up, visible as a dead letter. Never used for a removal.
    Dead {
        /// Bounded, printable, free of secrets.
        error: String,
    },
}

/// One thing that a ticket is owed: a note, an overwrite, a status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notice {
    /// Time-ordered; also the note's key in the PSA.
    pub id: String,
    /// Which ticket.
    pub ticket: TicketRef,
    /// About which grant; for a refused request, the id it would have had.
    pub grant: GrantId,
    /// What.
    pub kind: NoticeKind,
    /// Since when it is owed.
    pub since: Timestamp,
    /// How far.
    pub state: NoticeState,
    /// Its status closes the ticket, while other access of the ticket goes on. Written before the status is set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closes: Option<Closing>,
    /// The note in the ticket whose command it answers: that one is obeyed no second time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<NoteId>,
}

/// What is owed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum NoticeKind {
    /// A note, and the status the mapping names for it.
    Note {
        /// What is told.
        telling: Telling,
        /// The mapping that names the status to set.
        mapping: MappingId,
        /// For a refusal without a grant: the sentence.
        why: Option<String>,
    },
    /// Overwrite the credentials note of the grant, copies included.
    Tidy {
        /// When nothing was found of what had been posted: a right that was lost by mistake looks like a deletion.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        missed: Option<Timestamp>,
    },
}

/// What was not to be found is looked for once more after this time.
const LOOKS_AGAIN_AFTER: Duration = Duration::from_secs(60);

impl Notice {
    /// It waits until then; `None` where it does not.
    #[must_use]
    pub fn waits_until(&self) -> Option<Timestamp> {
        let NoticeKind::Tidy { missed } = &self.kind else { return None };
        missed.map(|missed| missed + LOOKS_AGAIN_AFTER)
    }
}

/// How far a notice is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum NoticeState {
    /// Owed.
    Open,
    /// The note is posted; its status is still to be set.
    Posted {
        /// Where.
        notes: Vec<NoteAt>,
    },
    /// The PSA showed the note to the customer: it is owed that it is taken back.
    Exposed {
        /// Where.
        notes: Vec<NoteAt>,
    },
    /// Done.
    Done {
        /// Where, for notes.
        notes: Vec<NoteAt>,
    },
    /// The PSA refused it for good: visible, and not tried again.
    GivenUp {
        /// Bounded, printable.
        why: String,
    },
}

impl NoticeState {
    /// Nothing is owed any more.
    #[must_use]
    pub const fn is_closed(&self) -> bool {
        matches!(self, Self::Done { .. } | Self::GivenUp { .. })
    }
}

/// A sealed secret as stored: ciphertext only.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SealedRow {
    /// Its id; part of the associated data.
    pub id: SecretId,
    /// For secrets that operators set: the name (`cw/private-key`), unique.
    pub name: Option<String>,
    /// What it is for; part of the associated data.
    pub purpose: String,
    /// Which master key wraps the data key.
    pub key_id: String,
    /// The wrapped data key: nonce ‖ ciphertext.
    pub wrapped_key: Vec<u8>,
    /// The sealed value: nonce ‖ ciphertext.
    pub sealed: Vec<u8>,
}

/// A sealed row's data key, wrapped by another master key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rewrapped {
    /// Which row.
    pub id: SecretId,
    /// The key that wrapped it before.
    pub before: String,
    /// The key that wraps it now.
    pub key_id: String,
    /// The wrapped data key: nonce ‖ ciphertext.
    pub wrapped_key: Vec<u8>,
}
