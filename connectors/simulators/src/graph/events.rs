//! The record of everything that was written, by whom and when: what tests check invariants on.

use serde_json::Value;

use super::time::Ms;

/// A call that was to change something, as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Write {
    /// Method and path template.
    pub op: &'static str,
    /// What it says of sign-in, if it does.
    pub enables: Option<bool>,
    /// It asks for the priority under throttling that is kept for what matters.
    pub is_urgent: bool,
}

/// One change in the directory, or one token issued.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// When it took effect, epoch milliseconds of the simulator's clock.
    ///
    /// PIM's own removals carry the moment of expiry even though they are found at the next call.
    pub at_ms: i64,
    /// Tenant id.
    pub tenant: String,
    /// Who did it.
    pub actor: Actor,
    /// What happened.
    pub what: What,
    /// Id of the object it happened to.
    pub object: String,
    /// Facts of the change: a role and its end, a property's new value. Never a secret.
    pub detail: Value,
}

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// An application, by client id.
    App(String),
    /// The test, or a person at the sandbox's pages: anybody but the application.
    SomebodyElse,
    /// The service itself: PIM's expiry, the purge after 30 days.
    Vendor,
}

/// Kinds of changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// An access token was issued; the object is the client id.
    TokenIssued,
    /// An account was made.
    UserCreated,
    /// `accountEnabled` became true.
    UserEnabled,
    /// `accountEnabled` became false.
    UserDisabled,
    /// Another property changed.
    UserUpdated,
    /// The password changed.
    PasswordReset,
    /// Sign-in sessions were cut.
    SessionsRevoked,
    /// The account went to the recycle bin.
    UserDeleted,
    /// The account came back from the recycle bin.
    UserRestored,
    /// The account is gone for good.
    UserPurged,
    /// A directory role was given; the object is the principal.
    RoleAssigned,
    /// The end of a PIM assignment moved.
    RoleUpdated,
    /// A directory role was taken away.
    RoleRemoved,
    /// PIM let an assignment run out.
    RoleExpired,
    /// A member joined a group; the object is the member.
    MemberAdded,
    /// A member left a group, or an owner ceased to own it (the detail says which).
    MemberRemoved,
    /// An owner was added to a group; the object is the owner.
    OwnerAdded,
    /// An authentication method was registered.
    MethodAdded,
    /// An authentication method was removed.
    MethodRemoved,
    /// A directory extension was defined; the object is the application.
    ExtensionDefined,
}

/// An attempt to sign in at the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// When, epoch milliseconds.
    pub at_ms: i64,
    /// Tenant as the caller named it.
    pub tenant: String,
    /// User principal name as typed.
    pub upn: String,
    /// Why it was refused; `None` is a success.
    pub refused: Option<super::Refused>,
}

pub(super) fn event(at_ms: Ms, tenant: &str, actor: &Actor, what: What, object: &str, detail: Value) -> Event {
    Event { at_ms, tenant: tenant.to_owned(), actor: actor.clone(), what, object: object.to_owned(), detail }
}
