//! What one ConnectWise instance remembers. Plain data; the rules live with the endpoints.

use std::collections::BTreeMap;

use serde_json::{Map, Value};
use uuid::Uuid;

use super::rights::Rights;

/// Everything on the host: one or more login companies, which share nothing but the name.
#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) tenants: Vec<Tenant>,
    /// Such as `v2025_1/`, slash included; changes when the cloud is upgraded.
    pub(super) codebase: String,
}

/// One login company.
#[derive(Debug)]
pub(super) struct Tenant {
    /// Its login name, spelt as configured.
    pub(super) company_id: String,
    pub(super) name: String,
    pub(super) product_instance: String,
    pub(super) partner: String,
    pub(super) members: Vec<Member>,
    pub(super) api_keys: Vec<ApiKey>,
    pub(super) companies: Vec<Company>,
    pub(super) boards: Vec<Board>,
    /// Where tickets can come from: id and name.
    pub(super) sources: Vec<(i64, String)>,
    pub(super) fields: Vec<Field>,
    pub(super) rights: Rights,
    pub(super) tickets: BTreeMap<i64, Ticket>,
    pub(super) notes: BTreeMap<i64, Note>,
    /// By ticket; outlives the ticket.
    pub(super) audit: BTreeMap<i64, Vec<AuditEntry>>,
    pub(super) callbacks: Vec<Callback>,
    pub(super) documents: BTreeMap<i64, Document>,
    /// The newest is used for signing; all are served.
    pub(super) signing_keys: Vec<SigningKey>,
    pub(super) next: NextIds,
}

/// Running numbers, one per table as in the vendor's database.
#[derive(Debug)]
pub(super) struct NextIds {
    pub(super) ticket: i64,
    pub(super) note: i64,
    pub(super) board: i64,
    pub(super) status: i64,
    pub(super) kind: i64,
    pub(super) source: i64,
    pub(super) company: i64,
    pub(super) field: i64,
    pub(super) callback: i64,
    pub(super) document: i64,
}

impl Default for NextIds {
    fn default() -> Self {
        Self {
            ticket: 4711,
            note: 9001,
            board: 63,
            status: 512,
            kind: 7,
            source: 2,
            company: 250,
            field: 59,
            callback: 26552,
            document: 801,
        }
    }
}

/// Takes the next number of a table.
pub(super) fn take(next: &mut i64) -> i64 {
    let id = *next;
    *next += 1;
    id
}

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) id: i64,
    pub(super) identifier: String,
    pub(super) first_name: String,
    pub(super) last_name: String,
    pub(super) email: String,
    /// `F` full, `A` API, `C` StreamlineIT, `X` subcontractor.
    pub(super) license_class: String,
    pub(super) inactive: bool,
}

#[derive(Clone)]
pub(super) struct ApiKey {
    pub(super) member: i64,
    pub(super) public: String,
    pub(super) private: String,
}

impl std::fmt::Debug for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "ApiKey(member {}, {})", self.member, self.public)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Company {
    pub(super) id: i64,
    pub(super) identifier: String,
    pub(super) name: String,
    pub(super) deleted: bool,
    /// Names of company types, such as `Managed`.
    pub(super) types: Vec<String>,
    /// Names of marketing groups.
    pub(super) groups: Vec<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Board {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) inactive: bool,
    pub(super) statuses: Vec<Status>,
    pub(super) kinds: Vec<Kind>,
}

#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) closed: bool,
    pub(super) inactive: bool,
}

/// A service type of a board.
#[derive(Debug, Clone)]
pub(super) struct Kind {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) inactive: bool,
}

/// The definition of a custom field on tickets.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) id: i64,
    pub(super) caption: String,
    /// `Text`, `TextArea`, `Number`, `Percent`, `Currency`, `Checkbox`, `Date`, …
    pub(super) kind: String,
    /// `EntryField`, `List`, `Option`, `Date`.
    pub(super) entry: String,
    pub(super) options: Vec<String>,
    pub(super) guid: Uuid,
    pub(super) created_ms: i64,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) summary: String,
    pub(super) board: i64,
    pub(super) status: i64,
    pub(super) company: i64,
    pub(super) kind: Option<i64>,
    pub(super) owner: Option<i64>,
    /// Identifiers, in order.
    pub(super) resources: Vec<String>,
    pub(super) closed_ms: Option<i64>,
    pub(super) closed_by: Option<String>,
    pub(super) merged_into: Option<i64>,
    pub(super) has_merged_child: bool,
    pub(super) parent: Option<i64>,
    /// By field id; absent is null.
    pub(super) values: BTreeMap<i64, Value>,
    /// Plain properties that no rule depends on, by their wire name.
    pub(super) plain: Map<String, Value>,
    pub(super) guid: Uuid,
    pub(super) entered_ms: i64,
    pub(super) entered_by: String,
    pub(super) updated_ms: i64,
    pub(super) updated_by: String,
}

#[derive(Debug, Clone)]
pub(super) struct Note {
    pub(super) id: i64,
    pub(super) ticket: i64,
    pub(super) text: String,
    /// Discussion: the customer sees it.
    pub(super) discussion: bool,
    pub(super) internal: bool,
    pub(super) resolution: bool,
    pub(super) issue: bool,
    pub(super) member: Option<i64>,
    pub(super) contact: Option<Value>,
    pub(super) created_ms: i64,
    pub(super) created_by: String,
    pub(super) updated_ms: i64,
    pub(super) updated_by: String,
}

#[derive(Debug, Clone)]
pub(super) struct AuditEntry {
    pub(super) text: String,
    pub(super) at_ms: i64,
    pub(super) by: String,
    /// `Status`, `Summary`, `Company`, `Note`, …
    pub(super) sub_type: &'static str,
}

#[derive(Debug, Clone)]
pub(super) struct Callback {
    pub(super) id: i64,
    pub(super) description: String,
    pub(super) url: String,
    pub(super) object_id: i64,
    /// Lower case.
    pub(super) kind: String,
    /// Lower case: `owner`, `board`, `status`.
    pub(super) level: String,
    pub(super) member: i64,
    pub(super) payload_version: String,
    pub(super) inactive: bool,
    pub(super) soap: bool,
    pub(super) self_suppressed: bool,
    pub(super) guid: Uuid,
    pub(super) updated_ms: i64,
    pub(super) updated_by: String,
}

/// An attachment.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) id: i64,
    pub(super) record_type: String,
    pub(super) record_id: i64,
    pub(super) title: String,
    pub(super) file_name: String,
    pub(super) private: bool,
    pub(super) read_only: bool,
    pub(super) bytes: Vec<u8>,
    pub(super) guid: Uuid,
    pub(super) at_ms: i64,
    pub(super) by: String,
}

#[derive(Clone)]
pub(super) struct SigningKey {
    pub(super) id: Uuid,
    pub(super) secret: String,
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "SigningKey({})", self.id)
    }
}

/// Who saves: a member, or a name without a member such as a workflow rule or the mail connector.
#[derive(Debug, Clone)]
pub(super) struct Saver {
    pub(super) identifier: String,
    pub(super) member: Option<i64>,
}

impl Tenant {
    pub(super) fn board(&self, id: i64) -> Option<&Board> {
        self.boards.iter().find(|b| b.id == id)
    }

    pub(super) fn status(&self, board: i64, id: i64) -> Option<&Status> {
        self.board(board)?.statuses.iter().find(|s| s.id == id)
    }

    pub(super) fn company(&self, id: i64) -> Option<&Company> {
        self.companies.iter().find(|c| c.id == id)
    }

    pub(super) fn member(&self, id: i64) -> Option<&Member> {
        self.members.iter().find(|m| m.id == id)
    }

    /// Identifiers are compared without case.
    pub(super) fn member_named(&self, identifier: &str) -> Option<&Member> {
        self.members.iter().find(|m| m.identifier.eq_ignore_ascii_case(identifier))
    }

    pub(super) fn saver(&self, identifier: &str) -> Saver {
        match self.member_named(identifier) {
            Some(m) => Saver { identifier: m.identifier.clone(), member: Some(m.id) },
            None => Saver { identifier: identifier.to_owned(), member: None },
        }
    }

    pub(super) fn notes_of(&self, ticket: i64) -> impl Iterator<Item = &Note> {
        self.notes.values().filter(move |n| n.ticket == ticket)
    }

    /// The key new messages are signed with.
    pub(super) fn signing_key(&self) -> &SigningKey {
        self.signing_keys.last().expect("a tenant is made with a key and keys are only added")
    }
}

impl Host {
    /// Login names are compared without case.
    pub(super) fn tenant(&self, company_id: &str) -> Option<&Tenant> {
        self.tenants.iter().find(|t| t.company_id.eq_ignore_ascii_case(company_id))
    }

    pub(super) fn tenant_mut(&mut self, company_id: &str) -> Option<&mut Tenant> {
        self.tenants.iter_mut().find(|t| t.company_id.eq_ignore_ascii_case(company_id))
    }
}
