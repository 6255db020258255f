//! Policies: what may be given, to whom, where, for how long.

use std::{fmt, time::Duration};

use latchkey_contract::{
    CustomerId, EntitlementId, GroupId, PersonId, PolicyId,
    directory::{Mode, Risk},
};
use serde::{Deserialize, Serialize};

use crate::access::Length;

/// One level of privilege.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// Chosen once.
    pub id: PolicyId,
    /// For people.
    pub name: String,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Which kind of directory.
    pub source: Source,
    /// Standard or burner.
    pub mode: Mode,
    /// Roles and groups by the directory's own ids.
    pub entitlements: Vec<EntitlementId>,
    /// Who may use it. Where nothing is said: owners and admins only.
    #[serde(default)]
    pub technicians: Technicians,
    /// Where it may be used, among the customers that a technician has anyway.
    #[serde(default)]
    pub customers: Where,
    /// Allowed lengths.
    pub lengths: Vec<Length>,
    /// Where the ticket names none.
    #[serde(default = "four_hours")]
    pub default_length: Length,
    /// The hard maximum; a policy without one cannot be saved.
    pub max_length: Length,
    /// So many minutes before the end the ticket and the requester are warned, where access lasts longer than that; 0 is never.
    #[serde(default = "ten_minutes")]
    pub warn_minutes: u32,
    /// Whether a reason must be given.
    #[serde(default)]
    pub reason: Reason,
    /// How the credentials reach the person; there is no default.
    pub delivery: Delivery,
    /// Must be `true` for delivery in the ticket: everybody who can read the ticket can use the credentials while they live.
    #[serde(default)]
    pub ticket_readers_may_use_it: bool,
    /// How accounts are named, before the `@`.
    #[serde(default)]
    pub user_name: NameTemplate,
}

const fn four_hours() -> Length {
    Length::FOUR_HOURS
}

const fn ten_minutes() -> u32 {
    Policy::USUAL_WARNING
}

impl Policy {
    /// Minutes before the end, where a policy names none.
    pub const USUAL_WARNING: u32 = 10;

    /// Minutes: a day. More would be no warning.
    pub const EARLIEST_WARNING: u32 = 24 * 60;

    /// So long before the end a warning is owed; `None` where none is wanted.
    #[must_use]
    pub fn warns(&self) -> Option<Duration> {
        (self.warn_minutes > 0).then(|| Duration::from_secs(u64::from(self.warn_minutes) * 60))
    }

    /// True when a ticket's field that holds this text means this policy: by id or name, letter case aside.
    #[must_use]
    pub fn answers_to(&self, text: &str) -> bool {
        let text = text.trim();
        self.id.as_str().eq_ignore_ascii_case(text) || self.name.trim().eq_ignore_ascii_case(text)
    }
}

/// Which kind of directory a policy is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// Microsoft Entra ID.
    Entra,
}

impl Source {
    /// How early this is taken, where much is to be taken at once. Asks nobody.
    #[must_use]
    pub fn risk(self, entitlement: &EntitlementId) -> Risk {
        match self {
            Self::Entra => latchkey_entra::risk(entitlement),
        }
    }

    /// What to say wherever this may be given, if it is more than a policy should hold. Asks nobody.
    #[must_use]
    pub fn warning(self, entitlement: &EntitlementId) -> Option<&'static str> {
        match self {
            Self::Entra => latchkey_entra::warning(entitlement),
        }
    }
}

/// How the credentials reach the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Delivery {
    /// A link in the ticket that is worth nothing without the requester's own sign-in.
    ClaimLink,
    /// An internal note in the ticket.
    Ticket,
}

/// Whether a reason must be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// The ticket's summary does where none is given.
    #[default]
    Optional,
    /// The mapping's reason field must be filled; without such a field, the ticket's summary.
    Required,
}

/// Who may use a policy: `"admins"`, or technician groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Technicians {
    /// Whoever belongs to one of these groups.
    Groups(Vec<GroupId>),
    /// `"admins"`: owners and admins only.
    Admins(AdminsWord),
}

/// The word `admins`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminsWord {
    /// The word.
    #[serde(rename = "admins")]
    Admins,
}

impl Default for Technicians {
    fn default() -> Self {
        Self::Admins(AdminsWord::Admins)
    }
}

/// Where a policy may be used: `"all"` customers a technician has, or customer groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Where {
    /// At customers of these groups.
    Groups(Vec<GroupId>),
    /// `"all"`: at every customer that the technician has.
    All(AllWord),
}

/// The word `all`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllWord {
    /// The word.
    #[serde(rename = "all")]
    All,
}

impl Default for Where {
    fn default() -> Self {
        Self::All(AllWord::All)
    }
}

/// Longest part before the `@`, in characters (Entra ID: 64).
const LONGEST_NAME: usize = 64;

/// How many characters of a grant's id make a burner's name its own.
const GRANT_TAIL: usize = 8;

/// The part of a user name before the `@`: small letters, digits, `-`, `_`, `.`, and the placeholders `{person}`
/// (must be there: it keeps the names of two people apart), `{customer}` and `{grant}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NameTemplate(String);

/// Why a text is no such template.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} cannot name accounts: write small letters, digits, '-', '_' and '.', beginning with a letter, a digit or a \
     placeholder, with {{person}} and, if wanted, {{customer}} and {{grant}}"
)]
pub struct BadTemplate(String);

impl Default for NameTemplate {
    fn default() -> Self {
        Self("jit-{person}".to_owned())
    }
}

impl NameTemplate {
    /// Checks a template.
    ///
    /// # Errors
    /// [`BadTemplate`].
    pub fn parse(text: &str) -> Result<Self, BadTemplate> {
        let bad = || BadTemplate(text.chars().take(80).collect());
        let plain = ["{person}", "{customer}", "{grant}"].iter().fold(text.to_owned(), |t, p| t.replace(p, "x"));
        if !text.contains("{person}") || !is_name(&plain) { Err(bad()) } else { Ok(Self(text.to_owned())) }
    }

    /// The name of a new account. A burner's holds the end of its grant's id, also where the template does not say so:
    /// its name is never used again.
    ///
    /// # Errors
    /// A sentence where the name would be too long.
    pub fn name(
        &self,
        mode: Mode,
        person: &PersonId,
        customer: &CustomerId,
        grant: &str,
    ) -> Result<String, &'static str> {
        named(&self.0, mode, person, customer, grant)
    }
}

/// The name that somebody typed for a first account, made like a template's.
///
/// # Errors
/// A sentence that says what to type instead.
pub fn typed_name(typed: &str, mode: Mode, grant: &str) -> Result<String, &'static str> {
    let name = typed.trim().to_ascii_lowercase();
    if !is_name(&name) {
        return Err("the user name asked for can hold small letters, digits, '-', '_' and '.' only, without a domain");
    }
    fits(whole(name, mode, grant, false))
}

fn named(
    template: &str,
    mode: Mode,
    person: &PersonId,
    customer: &CustomerId,
    grant: &str,
) -> Result<String, &'static str> {
    let name = template.replace("{person}", person.as_str()).replace("{customer}", customer.as_str());
    fits(whole(name.replace("{grant}", &tail(grant)), mode, grant, template.contains("{grant}")))
}

fn whole(name: String, mode: Mode, grant: &str, has_grant: bool) -> String {
    if mode == Mode::Burner && !has_grant { format!("{name}-{}", tail(grant)) } else { name }
}

fn fits(name: String) -> Result<String, &'static str> {
    if name.chars().count() > LONGEST_NAME {
        return Err("the user name would be longer than 64 characters; an admin can shorten the policy's template");
    }
    Ok(name)
}

fn tail(grant: &str) -> String {
    let from = grant.chars().count().saturating_sub(GRANT_TAIL);
    grant.chars().skip(from).collect::<String>().to_ascii_lowercase()
}

fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 2 * LONGEST_NAME
        && text.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && !text.ends_with('.')
        && !text.contains("..")
        && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.'))
}

impl TryFrom<String> for NameTemplate {
    type Error = BadTemplate;
    fn try_from(text: String) -> Result<Self, BadTemplate> {
        Self::parse(&text)
    }
}

impl From<NameTemplate> for String {
    fn from(template: NameTemplate) -> Self {
        template.0
    }
}

impl fmt::Display for NameTemplate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRANT: &str = "01JZ5GQ2ZP3M8T0V6WXYZ12345";

    fn name(template: &str, mode: Mode) -> String {
        let (person, customer) = ("jane".parse().unwrap(), "acme".parse().unwrap());
        NameTemplate::parse(template).unwrap().name(mode, &person, &customer, GRANT).unwrap()
    }

    /// F88: names come from the policy's template, and two people's never meet.
    #[test]
    fn accounts_are_named_by_the_template() {
        assert_eq!(name("jit-{person}", Mode::Standard), "jit-jane");
        assert_eq!(name("{customer}.{person}.admin", Mode::Standard), "acme.jane.admin");
        assert_eq!(name("jit-{person}", Mode::Burner), "jit-jane-xyz12345");
        assert_eq!(name("{person}_{grant}", Mode::Burner), "jane_xyz12345");
        for bad in
            ["jit", "{person} x", "{person}@contoso.com", "Jit-{person}", "-{person}", "{person}.", "{persona}", ""]
        {
            assert!(NameTemplate::parse(bad).is_err(), "{bad:?}");
        }
        let long: PersonId = "p".repeat(40).parse().unwrap();
        let template = NameTemplate::parse("{person}-{customer}").unwrap();
        let told = template.name(Mode::Standard, &long, &"c".repeat(40).parse().unwrap(), GRANT).unwrap_err();
        assert!(told.contains("shorten"), "{told}");
    }

    /// F88: a name that was typed is held to the same letters.
    #[test]
    fn a_typed_name_is_plain_or_refused() {
        assert_eq!(typed_name(" Jane.Admin ", Mode::Standard, GRANT).unwrap(), "jane.admin");
        assert_eq!(typed_name("jane", Mode::Burner, GRANT).unwrap(), "jane-xyz12345");
        for bad in ["", "jane admin", "jane@contoso.com", "jane'--", "jané", "..", &"x".repeat(65)] {
            assert!(typed_name(bad, Mode::Standard, GRANT).is_err(), "{bad:?}");
        }
    }
}
