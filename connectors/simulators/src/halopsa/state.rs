//! What one Halo instance remembers. Plain data; the rules live with the endpoints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use uuid::Uuid;

/// The agent that stands for nobody.
pub(super) const UNASSIGNED: i64 = 1;
/// The built-in private note.
pub(super) const PRIVATE_NOTE: i64 = 7;

/// One instance: what the vendor calls a tenant.
#[derive(Debug, Default)]
pub(super) struct Instance {
    pub(super) tenant: String,
    pub(super) applications: Vec<Application>,
    pub(super) tokens: Vec<Token>,
    pub(super) agents: Vec<Agent>,
    pub(super) teams: Vec<Team>,
    pub(super) types: Vec<Named>,
    pub(super) statuses: Vec<Status>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) clients: Vec<Named>,
    pub(super) sites: Vec<Site>,
    pub(super) users: Vec<User>,
    pub(super) fields: Vec<Field>,
    pub(super) tickets: BTreeMap<i64, Ticket>,
    /// By ticket, oldest first.
    pub(super) actions: BTreeMap<i64, Vec<Action>>,
    pub(super) attachments: Vec<Map<String, Value>>,
    /// Webhooks and runbooks, which share a table.
    pub(super) webhooks: Vec<Map<String, Value>>,
    pub(super) notifications: Vec<Map<String, Value>>,
    /// Names of the event catalogue, by number.
    pub(super) events: Vec<(i64, String)>,
    /// Mails that an action would have sent: ticket and action.
    pub(super) mails: Vec<(i64, i64)>,
    /// When the calls of the last five minutes came.
    pub(super) requests: Vec<i64>,
    pub(super) next: i64,
    pub(super) next_ticket: i64,
}

/// An API application of the kind "Client ID and Secret (Services)".
#[derive(Clone)]
pub(super) struct Application {
    pub(super) client_id: String,
    pub(super) secret: String,
    /// The agent it signs in as.
    pub(super) agent: i64,
    /// The permissions that are ticked.
    pub(super) permissions: BTreeSet<String>,
}

impl std::fmt::Debug for Application {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Application({})", self.client_id)
    }
}

/// An access token: its scopes are frozen when it is issued.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) text: String,
    pub(super) client_id: String,
    pub(super) agent: i64,
    pub(super) scopes: BTreeSet<String>,
    pub(super) expires_ms: i64,
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Token(of {})", self.client_id)
    }
}

#[derive(Debug, Clone)]
pub(super) struct Agent {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) is_disabled: bool,
    pub(super) is_api: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Named {
    pub(super) id: i64,
    pub(super) name: String,
}

#[derive(Debug, Clone)]
pub(super) struct Team {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) is_inactive: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Status {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) is_closed: bool,
}

/// The definition of an action button.
#[derive(Debug, Clone)]
pub(super) struct Outcome {
    pub(super) id: i64,
    /// The name in the history.
    pub(super) outcome: String,
    pub(super) button: String,
    pub(super) hides_from_user: bool,
    pub(super) sends_email: bool,
    pub(super) new_status: Option<i64>,
    /// Not allowed to the API agent.
    pub(super) is_forbidden: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Site {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) client: i64,
}

/// An end user.
#[derive(Debug, Clone)]
pub(super) struct User {
    pub(super) id: i64,
    pub(super) name: String,
    pub(super) email: String,
    pub(super) site: i64,
}

/// The definition of a custom field.
#[derive(Debug, Clone)]
pub(super) struct Field {
    pub(super) id: i64,
    /// `CF…`.
    pub(super) name: String,
    pub(super) label: String,
    /// 0 text, 1 memo, 2 single select, 3 multi select, 6 checkbox.
    pub(super) kind: i64,
    /// Captions of a select, numbered from 1.
    pub(super) options: Vec<String>,
    pub(super) guid: Uuid,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticket {
    pub(super) id: i64,
    pub(super) guid: Uuid,
    pub(super) summary: String,
    pub(super) details: String,
    pub(super) status: i64,
    pub(super) kind: i64,
    pub(super) client: i64,
    pub(super) site: i64,
    pub(super) user: i64,
    pub(super) agent: i64,
    pub(super) team: i64,
    /// By field id; absent is unset.
    pub(super) values: BTreeMap<i64, Value>,
    pub(super) occurred_ms: i64,
    pub(super) updated_ms: i64,
    pub(super) closed_ms: Option<i64>,
    pub(super) has_been_closed: bool,
    pub(super) is_inactive: bool,
    pub(super) is_deleted: bool,
    pub(super) is_frozen: bool,
    pub(super) merged_into: Option<i64>,
}

/// One entry of a ticket's history.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Action {
    /// Numbered within its ticket.
    pub(super) id: i64,
    pub(super) guid: Uuid,
    pub(super) outcome: String,
    pub(super) outcome_id: i64,
    pub(super) who: String,
    pub(super) who_agent: i64,
    pub(super) by_agent: i64,
    pub(super) by_user: i64,
    /// Empty for a click in the user interface.
    pub(super) by_application: String,
    pub(super) on_behalf_of: i64,
    /// 0 unless the system made it.
    pub(super) system: i64,
    pub(super) note: String,
    pub(super) note_html: String,
    pub(super) is_hidden: bool,
    pub(super) email_to: String,
    pub(super) old_status: i64,
    pub(super) new_status: i64,
    pub(super) customfields: Vec<Value>,
    pub(super) merged_from: Option<i64>,
    pub(super) at_ms: i64,
    pub(super) created_ms: i64,
}

impl Instance {
    pub(super) fn take(&mut self) -> i64 {
        self.next += 1;
        self.next
    }

    pub(super) fn agent(&self, id: i64) -> Option<&Agent> {
        self.agents.iter().find(|a| a.id == id)
    }

    pub(super) fn status(&self, id: i64) -> Option<&Status> {
        self.statuses.iter().find(|s| s.id == id)
    }

    pub(super) fn team(&self, id: i64) -> Option<&Team> {
        self.teams.iter().find(|t| t.id == id)
    }

    pub(super) fn outcome(&self, id: i64) -> Option<&Outcome> {
        self.outcomes.iter().find(|o| o.id == id)
    }

    pub(super) fn field(&self, id: i64) -> Option<&Field> {
        self.fields.iter().find(|f| f.id == id)
    }

    pub(super) fn is_closed(&self, status: i64) -> bool {
        self.status(status).is_some_and(|s| s.is_closed)
    }

    pub(super) fn actions_of(&self, ticket: i64) -> &[Action] {
        self.actions.get(&ticket).map_or(&[], Vec::as_slice)
    }
}
