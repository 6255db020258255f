//! Records: connections, customers and people, bound to the outside by immutable ids.

use std::collections::BTreeMap;

use latchkey_contract::{CompanyId, ConnectionId, CustomerId, MemberId, PersonId};
use serde::{Deserialize, Serialize};

use super::{Bound, Faults, check, policy::AllWord};
use crate::mail::MailAddress;

/// The whole document. Unknown keys are refused.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// PSA instances and directories.
    #[serde(default, rename = "connection")]
    pub connections: Vec<Connection>,
    /// The MSP's clients.
    #[serde(default, rename = "customer")]
    pub customers: Vec<Customer>,
    /// Technicians.
    #[serde(default, rename = "person")]
    pub people: Vec<Person>,
}

/// One configured PSA instance or directory. Its secrets are set by `latchkey secret set`, never written here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Connection {
    /// Chosen once; stands in the webhook's URL.
    pub id: ConnectionId,
    /// The vendor, with the vendor's own settings.
    #[serde(flatten)]
    pub kind: ConnectionKind,
}

/// The vendors, each with its settings.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase")]
pub enum ConnectionKind {
    /// ConnectWise PSA. Secret: `<id>/private-key`.
    ConnectWise(latchkey_connectwise::Settings),
    /// Autotask PSA. Secrets: `<id>/api-secret` and `<id>/webhook-key`.
    Autotask(latchkey_autotask::Settings),
    /// HaloPSA. Secrets: `<id>/client-secret`, `<id>/hook-password`.
    HaloPsa(latchkey_halopsa::Settings),
    /// One Microsoft Entra tenant. Secret: `<id>/client-secret`, or `<id>/certificate-key` with the certificate beside it.
    Entra(latchkey_entra::Settings),
}

impl ConnectionKind {
    /// The word that it goes by in the document.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::ConnectWise(_) => "connectwise",
            Self::Autotask(_) => "autotask",
            Self::HaloPsa(_) => "halopsa",
            Self::Entra(_) => "entra",
        }
    }

    /// Where it leads, for people.
    #[must_use]
    pub fn place(&self) -> String {
        match self {
            Self::ConnectWise(settings) => {
                format!("{} at {}", settings.company, settings.site.host_str().unwrap_or_default())
            }
            Self::Autotask(settings) => format!("Autotask as {}", settings.user),
            Self::HaloPsa(settings) => settings.site.host_str().unwrap_or_default().to_owned(),
            Self::Entra(settings) => format!("tenant {}", settings.tenant),
        }
    }

    /// Tickets live there.
    #[must_use]
    pub const fn is_psa(&self) -> bool {
        !self.is_directory()
    }

    /// Holds accounts; else it is a PSA.
    #[must_use]
    pub const fn is_directory(&self) -> bool {
        match self {
            Self::Entra(_) => true,
            Self::ConnectWise(_) | Self::Autotask(_) | Self::HaloPsa(_) => false,
        }
    }

    /// A PSA whose webhooks are given what they show by an admin, not by us.
    #[must_use]
    pub fn sets_hooks_by_hand(&self) -> bool {
        matches!(self, Self::HaloPsa(settings) if settings.hook_is_set_by_hand())
    }

    /// A PSA that records who moved a ticket to another board.
    #[must_use]
    pub const fn records_moves(&self) -> bool {
        match self {
            Self::Autotask(_) => true,
            Self::ConnectWise(_) | Self::HaloPsa(_) | Self::Entra(_) => false,
        }
    }

    /// The same PSA instance, or the same tenant.
    fn is_same_place(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ConnectWise(a), Self::ConnectWise(b)) => {
                a.site == b.site && a.company.eq_ignore_ascii_case(&b.company)
            }
            (Self::Entra(a), Self::Entra(b)) => a.tenant == b.tenant && a.graph == b.graph,
            (Self::Autotask(a), Self::Autotask(b)) => a.user.eq_ignore_ascii_case(&b.user),
            (Self::HaloPsa(a), Self::HaloPsa(b)) => a.site == b.site && a.tenant == b.tenant,
            // Each kind by name, so that a new one says what its place is.
            (Self::ConnectWise(_) | Self::Entra(_) | Self::Autotask(_) | Self::HaloPsa(_), _) => false,
        }
    }
}

/// An MSP's client.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Customer {
    /// Chosen once.
    pub id: CustomerId,
    /// For people.
    pub name: String,
    /// Just-in-time access is switched on.
    pub jit: bool,
    /// The PSA companies that are this customer.
    #[serde(default)]
    pub companies: Vec<Companies>,
    /// Where its accounts live.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<ConnectionId>,
    /// The domain for accounts made there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
}

/// Companies of one PSA, by immutable id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Companies {
    /// Which PSA.
    pub connection: ConnectionId,
    /// Which companies there.
    pub ids: Vec<CompanyId>,
}

/// A technician.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Person {
    /// Chosen once; becomes part of account names.
    pub id: PersonId,
    /// For people.
    pub name: String,
    /// Where mails to them go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mail: Option<MailAddress>,
    /// What they may do besides asking for access.
    #[serde(default)]
    pub role: Role,
    /// The PSA members that are this person.
    #[serde(default)]
    pub members: Vec<Members>,
    /// For which customers they work.
    pub customers: Customers,
}

/// What somebody may do besides asking for access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Nothing.
    #[default]
    Technician,
    /// Read.
    Auditor,
    /// Approve what waits.
    Approver,
    /// Change rules and records, and approve.
    Admin,
    /// All of it, and what only an owner may: lift a lock, confirm a binding. One is always left.
    Owner,
}

impl Role {
    /// May let a request pass that waits.
    #[must_use]
    pub const fn may_approve(self) -> bool {
        matches!(self, Self::Approver | Self::Admin | Self::Owner)
    }

    /// Counts among owners and admins.
    #[must_use]
    pub const fn is_admin(self) -> bool {
        matches!(self, Self::Admin | Self::Owner)
    }
}

/// Members of one PSA, by immutable id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Members {
    /// Which PSA.
    pub connection: ConnectionId,
    /// Which members there.
    pub ids: Vec<MemberId>,
    /// Since when each is bound, kept by Latchkey.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub bound: BTreeMap<MemberId, Bound>,
}

/// For which customers a person works.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Customers {
    /// These.
    Only(Vec<CustomerId>),
    /// `"all"`.
    All(AllWord),
}

impl Records {
    /// Reads and checks a document.
    ///
    /// # Errors
    /// [`Faults`]: every fault that was found, each with its path.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let records: Self = check::read(text)?;
        check::records(&records)?;
        Ok(records)
    }

    /// Judges records that were changed since they were read.
    ///
    /// # Errors
    /// As [`Records::parse`].
    pub fn check(&self) -> Result<(), Faults> {
        check::records(self)
    }

    /// Connections that keep their id and lead somewhere else: grants and accounts made at the old place would be looked
    /// for, and not found, at the new one. A new place needs a new id.
    #[must_use]
    pub fn moved(&self, before: &Self) -> Vec<ConnectionId> {
        let is_moved =
            |now: &&Connection| before.connection(&now.id).is_some_and(|old| !now.kind.is_same_place(&old.kind));
        self.connections.iter().filter(is_moved).map(|c| c.id.clone()).collect()
    }

    /// The document as TOML, to be read back without loss: what Latchkey itself remembers with it is left out.
    ///
    /// # Errors
    /// When it cannot be written as TOML, which the types rule out.
    pub fn to_toml(&self) -> Result<String, toml::ser::Error> {
        let mut records = self.clone();
        records.people.iter_mut().flat_map(|p| &mut p.members).for_each(|m| m.bound.clear());
        toml::to_string_pretty(&records)
    }

    /// The records that differ, as `person/jane`.
    #[must_use]
    pub fn changed(&self, before: &Self) -> Vec<String> {
        fn differ<T: PartialEq>(kind: &str, now: &[T], old: &[T], id: impl Fn(&T) -> &str, out: &mut Vec<String>) {
            let missing = |these: &[T], those: &[T]| -> Vec<String> {
                these.iter().filter(|t| !those.contains(t)).map(|t| format!("{kind}/{}", id(t))).collect()
            };
            out.extend(missing(now, old));
            out.extend(missing(old, now));
        }
        let mut out = Vec::new();
        differ("connection", &self.connections, &before.connections, |c| c.id.as_str(), &mut out);
        differ("customer", &self.customers, &before.customers, |c| c.id.as_str(), &mut out);
        differ("person", &self.people, &before.people, |p| p.id.as_str(), &mut out);
        out.sort();
        out.dedup();
        out
    }

    /// A connection by id.
    #[must_use]
    pub fn connection(&self, id: &ConnectionId) -> Option<&Connection> {
        self.connections.iter().find(|c| c.id == *id)
    }

    /// A customer by id.
    #[must_use]
    pub fn customer(&self, id: &CustomerId) -> Option<&Customer> {
        self.customers.iter().find(|c| c.id == *id)
    }

    /// A person by id.
    #[must_use]
    pub fn person(&self, id: &PersonId) -> Option<&Person> {
        self.people.iter().find(|p| p.id == *id)
    }

    /// The customer that a PSA company is.
    #[must_use]
    pub fn customer_of(&self, connection: &ConnectionId, company: &CompanyId) -> Option<&Customer> {
        let bound = |c: &&Customer| c.companies.iter().any(|b| b.connection == *connection && b.ids.contains(company));
        self.customers.iter().find(bound)
    }

    /// The person that a PSA member is.
    #[must_use]
    pub fn person_of(&self, connection: &ConnectionId, member: &MemberId) -> Option<&Person> {
        let bound = |p: &&Person| p.members.iter().any(|b| b.connection == *connection && b.ids.contains(member));
        self.people.iter().find(bound)
    }
}
