//! The surface of a directory, and its nouns.
//!
//! Nobody runs provisioning steps: a pure [`Directory::next`] names the one next step from target
//! and observation, [`Directory::perform`] takes it (one outside call), and the caller looks again. Steps that take need no
//! look between them ([`Observation::without`]).

mod known;
mod taken;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{AccountId, CallError, Check, EntitlementId, ObjectId, Secret, SecretId, Timestamp, outside::Urgency};
pub use known::{Given, Known, Password, step_key};

/// One customer's directory.
#[async_trait::async_trait]
pub trait Directory: Send + Sync + std::fmt::Debug {
    /// What the directory says the account is now. Absence is an observation, not an error.
    async fn observe(&self, account: &AccountRef, urgency: Urgency) -> Result<Observation, CallError>;

    /// The one next step. Pure: no IO, no clock but `now`.
    fn next(&self, target: &Target, seen: &Observation, known: &Known, now: Timestamp) -> Next;

    /// Takes one step: one outside call that does no harm the second time and treats absence as success when
    /// absence is wanted. `secret` is the password where the step sets one.
    async fn perform(
        &self,
        step: &Step,
        account: &AccountRef,
        secret: Option<&Secret<String>>,
    ) -> Result<Outcome, CallError>;

    /// A fresh password that this directory accepts.
    fn password(&self, random: &mut dyn FnMut(&mut [u8])) -> Secret<String>;

    /// Roles and groups that may be given, privileged ones marked.
    async fn catalogue(&self) -> Result<Vec<Entitlement>, CallError>;

    /// Which of these are not, or no longer, in the directory. Asked before anything is made for a grant; what the
    /// directory does not let us read is not named.
    async fn missing(&self, entitlements: &[EntitlementId]) -> Result<Vec<EntitlementId>, CallError>;

    /// What must be true before a grant can work here, line by line: each is one live question that changes nothing.
    /// A call that fails is its own line's verdict. Lines that cannot be judged while an earlier one is red are left out.
    async fn preflight(&self, want: &DirectoryWants) -> Vec<Check>;

    /// A sentence to show wherever this may be given, if it is more than a policy should hold; asks nobody.
    fn warning(&self, entitlement: &EntitlementId) -> Option<&'static str>;

    /// Emergency access accounts: those the directory protects itself, and those an admin listed. They stay visible,
    /// flagged, and out of everything. Bounded: what is too much is an error, not a shorter list.
    async fn protected(&self) -> Result<Vec<ProtectedAccount>, CallError>;

    /// The domains that sign-in names may end in, the initial one first.
    async fn domains(&self) -> Result<Vec<Domain>, CallError>;

    /// Every account that carries our mark, found without our database.
    async fn find_marked(&self) -> Result<Vec<Marked>, CallError>;

    /// The longest time [`Directory::perform`] may take.
    fn call_timeout(&self) -> std::time::Duration;

    /// How long after revocation already issued tokens may still work, for the honest line in the ticket.
    fn token_tail(&self) -> std::time::Duration;
}

/// How an account lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Stays, disabled and stripped, between grants.
    Standard,
    /// Deleted at the end; its name is never used again.
    Burner,
}

/// What is committed about an account before the first call, so that a retry finds the same one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccountRef {
    /// Our id; also the mark it carries in the directory.
    pub id: AccountId,
    /// Sign-in name, chosen once (Entra: the whole user principal name).
    pub name: String,
    /// For people in the directory.
    pub display_name: String,
    /// Standard or burner.
    pub mode: Mode,
    /// The directory's id, once known.
    pub object: Option<ObjectId>,
}

/// What an account must be now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Target {
    /// Deleted.
    Absent,
    /// There or not; if there: disabled, stripped, password unknown to anybody.
    Disabled,
    /// Enabled with exactly these entitlements, each with the time at which the directory itself should end it.
    Enabled {
        /// Which sealed password it must have.
        password: SecretId,
        /// Entitlement → native end.
        entitlements: BTreeMap<EntitlementId, Timestamp>,
        /// Ticket reference for the directory's own records (PIM justification); bounded, ours.
        reason: String,
    },
}

impl Target {
    /// True when the target lets somebody sign in.
    #[must_use]
    pub const fn gives(&self) -> bool {
        matches!(self, Self::Enabled { .. })
    }
}

/// What the directory said at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observation {
    /// When the first of its reads was sent.
    pub at: Timestamp,
    /// `None`: there is no such account.
    pub account: Option<Seen>,
    /// The deleted account still in a recycle bin, where the directory has one.
    pub recycled: Option<ObjectId>,
    /// The directory has a native end for entitlements (Entra: PIM is licensed).
    pub has_native_end: bool,
    /// What could not be checked, for the proof: short sentences of ours.
    pub unchecked: Vec<String>,
}

impl Observation {
    /// Equal but for the time of looking.
    #[must_use]
    pub fn same_as(&self, other: &Self) -> bool {
        (&self.account, &self.recycled, &self.unchecked) == (&other.account, &other.recycled, &other.unchecked)
    }
}

/// An account as seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// The directory's immutable id.
    pub object: ObjectId,
    /// Sign-in name as it is now.
    pub name: String,
    /// Can sign in.
    pub is_enabled: bool,
    /// Carries our mark with our id.
    pub is_marked: bool,
    /// Why it must not be touched, if so.
    pub protection: Option<String>,
    /// Every active or eligible role at any scope, every group of ours, however held.
    pub held: Vec<Held>,
    /// Objects it owns (groups, applications).
    pub owned: Vec<Owned>,
    /// Sign-in methods other than the password.
    pub methods: Vec<Method>,
    /// Sessions and refresh tokens from before this are void.
    pub sessions_valid_from: Option<Timestamp>,
    /// When the password was changed last.
    pub password_changed: Option<Timestamp>,
    /// What the directory did not let us read: the lists above say nothing about it.
    #[serde(default)]
    pub unread: Vec<Unread>,
}

/// Something about an account that could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Unread {
    /// Roles that could be activated.
    Eligible,
    /// What it owns.
    Owned,
    /// Its sign-in methods.
    Methods,
}

/// One entitlement as held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Held {
    /// What.
    pub entitlement: EntitlementId,
    /// The directory's id of this holding, where it has one.
    pub holding: Option<String>,
    /// How.
    pub how: How,
    /// Scope in the directory's words; `/` is everything.
    pub scope: String,
}

/// How an entitlement is held.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum How {
    /// Until somebody takes it.
    Plain,
    /// Until the directory takes it.
    TimeBound {
        /// The native end.
        end: Option<Timestamp>,
    },
    /// Not active, but can be activated.
    Eligible,
    /// Through a group; goes with the membership.
    Inherited,
}

/// Something the account owns.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owned {
    /// Its id.
    pub object: ObjectId,
    /// Its kind in the directory's words (`group`, `application`, `servicePrincipal`).
    pub kind: String,
}

/// A sign-in method.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Method {
    /// Its kind in the directory's words.
    pub kind: String,
    /// Its id.
    pub id: String,
}

/// One outside call that moves an account toward its target.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Step {
    /// Make it: disabled, marked, with the password.
    Create {
        /// Which sealed password.
        password: SecretId,
    },
    /// Set the password, alone.
    SetPassword {
        /// Which sealed password.
        password: SecretId,
    },
    /// Let it sign in.
    Enable,
    /// Give one entitlement.
    Give {
        /// What.
        entitlement: EntitlementId,
        /// When the directory itself should end it.
        native_end: Timestamp,
        /// Whether to use the directory's own end.
        is_time_bound: bool,
        /// For the directory's own records.
        reason: String,
    },
    /// Stop it from signing in.
    Disable,
    /// Void sessions and refresh tokens.
    CutSessions,
    /// Take one entitlement.
    Take(Held),
    /// Take one ownership.
    Disown(Owned),
    /// Remove one sign-in method.
    RemoveMethod(Method),
    /// Set a password that nobody knows, alone.
    ScramblePassword,
    /// Delete the account.
    Delete,
    /// Delete it from the recycle bin.
    Purge {
        /// The recycled object.
        object: ObjectId,
    },
}

impl Step {
    /// True when it adds power: sent only while the lease is safely longer than the call may take.
    #[must_use]
    pub const fn is_giving(&self) -> bool {
        matches!(self, Self::Create { .. } | Self::SetPassword { .. } | Self::Enable | Self::Give { .. })
    }

    /// Removal has its own share of every budget.
    #[must_use]
    pub const fn urgency(&self) -> Urgency {
        if self.is_giving() { Urgency::Ordinary } else { Urgency::Removal }
    }

    /// The step's name in logs and audit entries.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Create { .. } => "create",
            Self::SetPassword { .. } => "set-password",
            Self::Enable => "enable",
            Self::Give { .. } => "give",
            Self::Disable => "disable",
            Self::CutSessions => "cut-sessions",
            Self::Take(_) => "take",
            Self::Disown(_) => "disown",
            Self::RemoveMethod(_) => "remove-method",
            Self::ScramblePassword => "scramble-password",
            Self::Delete => "delete",
            Self::Purge { .. } => "purge",
        }
    }

    /// Every name [`Step::name`] can give, for the list of calls that fault tests are made from.
    pub const NAMES: [&str; 12] = [
        "create",
        "set-password",
        "enable",
        "give",
        "disable",
        "cut-sessions",
        "take",
        "disown",
        "remove-method",
        "scramble-password",
        "delete",
        "purge",
    ];
}

/// What a directory wants done next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Take this step.
    Step(Step),
    /// Nothing to do before `until`; a slow vendor is a later task, never a held slot.
    Wait {
        /// When to look again.
        until: Timestamp,
        /// For logs: what is waited for.
        why: &'static str,
    },
    /// The account is as it should be.
    Reached,
    /// It must not or cannot become that: giving ends, removal keeps asking and alerts.
    Impossible {
        /// A sentence for the ticket.
        why: String,
    },
}

/// What a step came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Outcome {
    /// Done now, or found done.
    Done {
        /// The directory's id of the account, where the step revealed it.
        object: Option<ObjectId>,
    },
    /// The vendor will not do it before this time (PIM's first five minutes).
    NotBefore(Timestamp),
    /// The vendor will never do it this way; [`Known`] remembers, and `next` takes another way.
    NoWay {
        /// The vendor's code, bounded and printable.
        code: String,
    },
}

/// A role or group that may be given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entitlement {
    /// The directory's id.
    pub id: EntitlementId,
    /// As shown.
    pub name: String,
    /// The directory counts it as privileged.
    pub is_privileged: bool,
}

/// How much harm what is given can do while it stands. Where much is to be taken at once, it is taken in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Risk {
    /// It can give itself and others everything.
    Everything = 0,
    /// It has power over others.
    Power = 1,
    /// Neither, as far as its id tells.
    Other = 2,
}

/// What the rules in force want of a tenant, for [`Directory::preflight`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DirectoryWants {
    /// Domains that sign-in names are to end in, as configured for the customers of this directory.
    pub domains: BTreeSet<String>,
    /// What its policies give.
    pub entitlements: BTreeSet<EntitlementId>,
}

/// A domain that sign-in names may end in: verified, and its passwords are kept by the directory itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Such as `contoso.onmicrosoft.com`.
    pub name: String,
    /// The tenant's default for new accounts.
    pub is_default: bool,
    /// The one that the tenant was made with (`onmicrosoft.com`): the one to suggest, since it cannot be lost.
    pub is_initial: bool,
}

/// An emergency access account: seen, flagged, and never touched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProtectedAccount {
    /// The directory's id.
    pub object: ObjectId,
    /// Sign-in name; empty where an account that an admin listed is not there.
    pub name: String,
    /// Which protection, each in a few words: where both hold, both are named.
    pub why: String,
}

/// An account with our mark.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Marked {
    /// The mark as read; `None` when it is not one of ours in shape.
    pub mark: Option<AccountId>,
    /// The directory's id.
    pub object: ObjectId,
    /// Sign-in name.
    pub name: String,
    /// Can sign in.
    pub is_enabled: bool,
}
