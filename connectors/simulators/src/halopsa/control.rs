//! Setting an instance up, and reading it back: what an administrator does in the configuration pages, without going
//! through REST.

use std::collections::BTreeSet;
use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::actor::{Actor, Refused};
use super::desk::{Desk, Saver};
use super::state::{self, Agent, Application, Field, Instance, Named, Outcome, PRIVATE_NOTE, Site, Status, Team, User};
use super::values::Row;
use super::view::{self, Shown};
use super::{HaloPsa, lock, tickets, webhooks};

/// What an integration is given.
#[derive(Clone)]
pub struct ApiCredentials {
    pub client_id: String,
    pub client_secret: String,
    pub agent_id: i64,
}

impl fmt::Debug for ApiCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiCredentials({})", self.client_id)
    }
}

/// How a custom field is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    Memo,
    Select,
    MultiSelect,
    Checkbox,
}

impl FieldKind {
    const fn number(self) -> i64 {
        match self {
            Self::Text => 0,
            Self::Memo => 1,
            Self::Select => 2,
            Self::MultiSelect => 3,
            Self::Checkbox => 6,
        }
    }
}

/// A ticket about to be logged in the user interface.
#[derive(Debug, Clone)]
pub struct NewTicket(Row);

impl NewTicket {
    pub fn new(summary: &str, team: &str) -> Self {
        Self(Row::from_iter([("summary".to_owned(), json!(summary)), ("team".to_owned(), json!(team))]))
    }

    /// Any other property by its wire name.
    #[must_use]
    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }
}

/// What the vendor ships with, and the events as its catalogue spells them.
pub(super) fn fresh(tenant: &str) -> Instance {
    let status = |id, name: &str, is_closed| Status { id, name: name.to_owned(), is_closed };
    let outcome = |id, name: &str, button: &str, hides, sends| Outcome {
        id,
        outcome: name.to_owned(),
        button: button.to_owned(),
        hides_from_user: hides,
        sends_email: sends,
        new_status: None,
        is_forbidden: false,
    };
    let events = [
        (3, "New $#request Logged - All"),
        (9, "$#request Reassigned - All"),
        (10, "$#request Reassigned - Assigned"),
        (18, "$#request Updated - All"),
        (19, "$#request Updated by User - All"),
        (39, "$#request Closed - All"),
        (76, "$#request Status Changed - All"),
        (77, "$#request Status Changed - Assigned"),
        (1004, "Action Added"),
        (1072, "$#request Deleted"),
    ];
    Instance {
        tenant: tenant.to_owned(),
        agents: vec![Agent {
            id: state::UNASSIGNED,
            name: "Unassigned".to_owned(),
            email: String::new(),
            is_disabled: false,
            is_api: false,
        }],
        statuses: vec![status(1, "New", false), status(2, "In Progress", false), status(9, "Closed", true)],
        outcomes: vec![
            outcome(PRIVATE_NOTE, "Private Note", "Private Note", true, false),
            outcome(8, "Public Note", "Public Note", false, false),
            outcome(12, "Email User", "Email User", false, true),
        ],
        events: events.into_iter().map(|(id, name)| (id, name.to_owned())).collect(),
        next: 100,
        next_ticket: 2818,
        ..Instance::default()
    }
}

impl HaloPsa {
    pub fn add_agent(&self, id: i64, name: &str, email: &str) {
        let (name, email) = (name.to_owned(), email.to_owned());
        self.with(|i| i.agents.push(Agent { id, name, email, is_disabled: false, is_api: false }));
    }

    pub fn change_agent(&self, id: i64, is_disabled: bool, is_api: bool) {
        self.with(|i| {
            for agent in i.agents.iter_mut().filter(|a| a.id == id) {
                (agent.is_disabled, agent.is_api) = (is_disabled, is_api);
            }
        });
    }

    pub fn set_agent_email(&self, id: i64, email: &str) {
        self.with(|i| i.agents.iter_mut().filter(|a| a.id == id).for_each(|a| email.clone_into(&mut a.email)));
    }

    /// An application that signs in as an API-only agent, with these permissions ticked.
    pub fn add_application(&self, agent: i64, name: &str, permissions: &str) -> ApiCredentials {
        if self.with(|i| i.agent(agent).is_none()) {
            self.add_agent(agent, name, "");
            self.change_agent(agent, false, true);
        }
        let credentials = ApiCredentials {
            client_id: Uuid::new_v4().to_string(),
            client_secret: format!("{}-{}", Uuid::new_v4(), Uuid::new_v4()),
            agent_id: agent,
        };
        let permissions: BTreeSet<String> = permissions.split_whitespace().map(str::to_owned).collect();
        let (client_id, secret) = (credentials.client_id.clone(), credentials.client_secret.clone());
        self.with(|i| i.applications.push(Application { client_id, secret, agent, permissions }));
        credentials
    }

    /// Its tokens end at once.
    pub fn remove_application(&self, client_id: &str) {
        self.with(|i| i.applications.retain(|a| a.client_id != client_id));
    }

    /// Every token is unknown from now on; the applications may sign in again.
    pub fn revoke_tokens(&self) {
        self.with(|i| i.tokens.clear());
    }

    /// How many tokens were issued and not revoked.
    pub fn tokens(&self) -> usize {
        self.with(|i| i.tokens.len())
    }

    pub fn add_team(&self, name: &str) -> i64 {
        self.with(|i| {
            let id = i.take();
            i.teams.push(Team { id, name: name.to_owned(), is_inactive: false });
            id
        })
    }

    pub fn add_type(&self, name: &str) -> i64 {
        self.with(|i| {
            let id = i.take();
            i.types.push(Named { id, name: name.to_owned() });
            id
        })
    }

    pub fn add_client(&self, name: &str) -> i64 {
        self.with(|i| {
            let id = i.take();
            i.clients.push(Named { id, name: name.to_owned() });
            let site = i.take();
            i.sites.push(Site { id: site, name: "Main".to_owned(), client: id });
            id
        })
    }

    /// An end user of a client.
    pub fn add_user(&self, client: i64, name: &str, email: &str) -> i64 {
        self.with(|i| {
            let id = i.take();
            let site = i.sites.iter().find(|s| s.client == client).map_or(0, |s| s.id);
            i.users.push(User { id, name: name.to_owned(), email: email.to_owned(), site });
            id
        })
    }

    pub fn add_status(&self, name: &str, is_closed: bool) -> i64 {
        self.with(|i| {
            let id = i.take();
            i.statuses.push(Status { id, name: name.to_owned(), is_closed });
            id
        })
    }

    pub fn rename_status(&self, id: i64, name: &str) {
        self.with(|i| i.statuses.iter_mut().filter(|s| s.id == id).for_each(|s| name.clone_into(&mut s.name)));
    }

    /// An action button; one with a status moves the ticket into it.
    pub fn add_outcome(&self, name: &str, new_status: Option<i64>) -> i64 {
        self.with(|i| {
            let id = i.take();
            let (outcome, button) = (name.to_owned(), name.to_owned());
            let outcome = Outcome {
                id,
                outcome,
                button,
                hides_from_user: true,
                sends_email: false,
                new_status,
                is_forbidden: false,
            };
            i.outcomes.push(outcome);
            id
        })
    }

    /// An admin removes an action, or forbids it to the API agent.
    pub fn change_outcome(&self, id: i64, is_forbidden: Option<bool>) {
        self.with(|i| match is_forbidden {
            None => i.outcomes.retain(|o| o.id != id),
            Some(is) => i.outcomes.iter_mut().filter(|o| o.id == id).for_each(|o| o.is_forbidden = is),
        });
    }

    pub fn add_field(&self, name: &str, label: &str, kind: FieldKind, options: &[&str]) -> i64 {
        self.with(|i| {
            let id = i.take();
            i.fields.push(Field {
                id,
                name: name.to_owned(),
                label: label.to_owned(),
                kind: kind.number(),
                options: options.iter().map(|o| (*o).to_owned()).collect(),
                guid: Uuid::new_v4(),
            });
            id
        })
    }

    /// Logs a ticket as this agent, in the user interface: events fire.
    ///
    /// # Errors
    /// When the vendor would refuse it.
    pub fn add_ticket(&self, agent: i64, new: NewTicket) -> Result<i64, Refused> {
        self.at_desk(self.agent_saver(agent), |desk| Ok(tickets::create(desk, &new.0)?.0))
    }

    /// Numbers of all tickets that were not deleted, oldest first.
    pub fn ticket_ids(&self) -> Vec<i64> {
        self.with(|i| i.tickets.values().filter(|t| !t.is_deleted).map(|t| t.id).collect())
    }

    /// The ticket as REST shows it in full; `None` when it is gone.
    pub fn ticket(&self, id: i64) -> Option<Value> {
        let behaviour = lock(&self.shared.behaviour).clone();
        let shown = Shown { details: true, names: true };
        self.with(|i| i.tickets.get(&id).filter(|t| !t.is_deleted).map(|t| view::ticket(i, t, shown, &behaviour)))
    }

    /// The ticket's history in full, oldest first.
    pub fn actions(&self, ticket: i64) -> Vec<Value> {
        let behaviour = lock(&self.shared.behaviour).clone();
        self.with(|i| i.actions_of(ticket).iter().map(|a| view::action(i, ticket, a, false, &behaviour)).collect())
    }

    /// Every status with its name, in the order in which they are offered.
    pub fn statuses(&self) -> Vec<(i64, String)> {
        self.with(|i| i.statuses.iter().map(|s| (s.id, s.name.clone())).collect())
    }

    /// The private and public notes of a ticket, oldest first.
    pub fn notes(&self, ticket: i64) -> Vec<Value> {
        let is_note = |a: &Value| a["outcome"].as_str().is_some_and(|o| o.ends_with("Note"));
        self.actions(ticket).into_iter().filter(is_note).collect()
    }

    /// Mails that actions would have sent: ticket and action.
    pub fn mails(&self) -> Vec<(i64, i64)> {
        self.with(|i| i.mails.clone())
    }

    pub fn webhooks(&self) -> Vec<Value> {
        self.with(|i| i.webhooks.iter().map(webhooks::shown).collect())
    }

    pub fn notifications(&self) -> Vec<Value> {
        self.with(|i| i.notifications.iter().cloned().map(Value::Object).collect())
    }

    /// Somebody makes a webhook or changes one by hand; as REST, without its rules.
    pub fn put_webhook(&self, row: Value) {
        let Value::Object(row) = row else { return };
        self.with(|i| match i.webhooks.iter_mut().find(|known| known.get("id") == row.get("id")) {
            Some(known) => known.extend(row),
            None => i.webhooks.push(row),
        });
    }

    /// Somebody binds an event by hand.
    pub fn put_notification(&self, row: Value) {
        let Value::Object(mut row) = row else { return };
        self.with(|i| {
            row.insert("id".into(), json!(i.take()));
            i.notifications.push(row);
        });
    }

    pub fn remove_notifications(&self, event: i64) {
        self.with(|i| i.notifications.retain(|row| row.get("eventno") != Some(&json!(event))));
    }

    pub fn rename_event(&self, number: i64, name: &str) {
        self.with(|i| {
            i.events.retain(|(id, _)| *id != number);
            i.events.push((number, name.to_owned()));
        });
    }

    /// The catalogue forgets an event.
    pub fn remove_event(&self, number: i64) {
        self.with(|i| i.events.retain(|(id, _)| *id != number));
    }

    /// Calls that counted in the last five minutes.
    pub fn spent(&self) -> usize {
        self.with(|i| i.requests.len())
    }

    /// What this agent does next, in the user interface.
    pub fn acting(&self, agent: i64) -> Actor {
        Actor::new(self.clone(), self.agent_saver(agent))
    }

    /// What an end user does next: by mail or in the portal.
    pub fn as_user(&self, user: i64) -> Actor {
        let name = self.with(|i| i.users.iter().find(|u| u.id == user).map(|u| u.name.clone()).unwrap_or_default());
        Actor::new(self.clone(), Saver { user, name, ..Saver::default() })
    }

    /// What a rule of the system does next.
    pub fn as_system(&self) -> Actor {
        Actor::new(self.clone(), Saver { name: "System".to_owned(), ..Saver::default() })
    }

    /// What another product does next, signed in as this agent.
    pub fn as_application(&self, client_id: &str, agent: i64) -> Actor {
        let saver = Saver { application: client_id.to_owned(), ..self.agent_saver(agent) };
        Actor::new(self.clone(), saver)
    }

    fn agent_saver(&self, agent: i64) -> Saver {
        let name = self.with(|i| i.agent(agent).map(|a| a.name.clone()).unwrap_or_default());
        Saver { agent, name, ..Saver::default() }
    }

    /// Works at a desk and posts what the work owes.
    pub(super) fn at_desk<T>(
        &self,
        saver: Saver,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let (now, behaviour) = (self.shared.clock.now_ms(), lock(&self.shared.behaviour).clone());
        let mut outbox = Vec::new();
        let done = self.with(|inst| work(&mut Desk { inst, saver, now, behaviour: &behaviour, outbox: &mut outbox }));
        self.shared.post.post(outbox);
        done
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut Instance) -> T) -> T {
        work(&mut lock(&self.shared.instance))
    }
}
