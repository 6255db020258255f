//! Setting a tenant up, and what people do in it: what the vendor's own pages do, without going through REST.

use std::collections::BTreeMap;
use std::fmt;

use serde_json::{Value, json};
use uuid::Uuid;

use super::Autotask;
use super::actor::Actor;
use super::delivery;
use super::desk::{self, Desk, Saver};
use super::errors::Refusal;
use super::state::{Pick, State, Udf, row};
use super::tickets;
use super::webhooks;

/// What an integration is given.
#[derive(Clone)]
pub struct ApiCredentials {
    pub user: String,
    pub integration_code: String,
    pub secret: String,
    pub resource: i64,
}

impl fmt::Debug for ApiCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiCredentials({})", self.user)
    }
}

/// The licence of a person, and of an API user.
pub const PERSON: i64 = 1;
pub const API_USER: i64 = 7;

/// Why the vendor would not do it: its sentences.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused(pub Vec<String>);

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

impl std::error::Error for Refused {}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Said(texts) => Self(texts),
            other => Self(vec![format!("{other:?}")]),
        }
    }
}

/// The lists that a new tenant has. [the vendor's, translated]
pub(super) fn lists() -> BTreeMap<&'static str, Vec<Pick>> {
    let list = |values: &[(i64, &str)]| {
        let pick = |(value, label): &(i64, &str)| Pick {
            value: *value,
            label: (*label).to_owned(),
            is_active: true,
            is_system: *value < 20,
        };
        values.iter().map(pick).collect::<Vec<_>>()
    };
    BTreeMap::from([
        ("status", list(&[(1, "New"), (5, "Complete"), (7, "Waiting Customer"), (8, "In Progress"), (11, "Escalate")])),
        ("priority", list(&[(1, "High"), (2, "Medium"), (3, "Low"), (4, "Critical")])),
        ("queueID", list(&[(5, "Client Portal"), (6, "Post Sale"), (8, "Monitoring Alert")])),
        ("ticketType", list(&[(1, "Service Request"), (2, "Incident"), (3, "Problem"), (5, "Alert")])),
        ("ticketCategory", list(&[(3, "Standard")])),
        ("source", list(&[(2, "Phone"), (4, "Email"), (6, "Portal")])),
        (
            "noteType",
            list(&[
                (1, "Task Summary"),
                (2, "Task Detail"),
                (3, "Task Notes"),
                (13, "Workflow"),
                (93, "Merged"),
                (94, "Absorbed"),
            ]),
        ),
        ("publish", list(&[(1, "All Autotask Users"), (2, "Internal Project Team"), (4, "Internal & Co-Managed")])),
        ("licenseType", list(&[(PERSON, "Professional"), (2, "Team Member"), (API_USER, "API User")])),
    ])
}

impl Autotask {
    /// The one API user; calling it again gives it another secret.
    pub fn add_api_user(&self, id: i64, user: &str) -> ApiCredentials {
        self.add_resource(id, user, API_USER);
        let random = || Uuid::new_v4().simple().to_string();
        let credentials = ApiCredentials {
            user: user.to_owned(),
            integration_code: random()[..27].to_uppercase(),
            secret: format!("{}$~#*@", &random()[..16]),
            resource: id,
        };
        let own = credentials.clone();
        self.with(|state| {
            (state.user, state.code, state.secret) = (own.user, own.integration_code, own.secret);
            state.api_resource = id;
        });
        credentials
    }

    /// An active resource; its first and last name repeat its user name.
    pub fn add_resource(&self, id: i64, user_name: &str, license_type: i64) {
        let resource = json!({"id": id, "userName": user_name, "email": format!("{user_name}@msp.example"),
            "firstName": user_name, "lastName": "Resource", "isActive": true, "resourceType": "Employee",
            "licenseType": license_type, "userType": 10, "title": "", "locationID": 90682,
            "defaultServiceDeskRoleID": 29_683_355});
        self.with(|state| state.resources.insert(id, row(resource)));
    }

    pub fn set_resource(&self, id: i64, property: &str, value: Value) {
        self.with(|state| state.resources.get_mut(&id).map(|row| row.insert(property.to_owned(), value)));
    }

    pub fn remove_resource(&self, id: i64) {
        self.with(|state| state.resources.remove(&id));
    }

    /// The API user may act as this resource.
    pub fn allow_impersonation(&self, id: i64) {
        self.with(|state| state.impersonable.insert(id));
    }

    pub fn add_company(&self, id: i64, name: &str) {
        let company = json!({"id": id, "companyName": name, "companyNumber": "", "companyType": 1, "isActive": true});
        self.with(|state| state.companies.insert(id, row(company)));
    }

    pub fn add_contact(&self, id: i64, company: i64, name: &str) {
        let contact = json!({"id": id, "companyID": company, "firstName": name, "lastName": "Contact", "isActive": 1,
            "emailAddress": format!("{}@customer.example", name.to_lowercase())});
        self.with(|state| state.contacts.insert(id, row(contact)));
    }

    /// Adds a value to a picklist: `status`, `queueID`, `ticketType`, `source`, `noteType`.
    pub fn add_pick(&self, list: &'static str, value: i64, label: &str) {
        let pick = Pick { value, label: label.to_owned(), is_active: true, is_system: false };
        self.with(|state| state.picklists.entry(list).or_default().push(pick));
    }

    pub fn set_pick(&self, list: &'static str, value: i64, label: &str, is_active: bool) {
        self.with(|state| {
            let found = state.picklists.get_mut(list).and_then(|picks| picks.iter_mut().find(|p| p.value == value));
            if let Some(pick) = found {
                (pick.label, pick.is_active) = (label.to_owned(), is_active);
            }
        });
    }

    /// A user-defined field of tickets; a list where there are options, value and label of each.
    pub fn add_udf(&self, id: i64, name: &str, options: &[(&str, &str)]) {
        let options = options.iter().map(|(value, label)| ((*value).to_owned(), (*label).to_owned())).collect();
        let udf = Udf { id, name: name.to_owned(), options, is_webhook_field: true };
        self.with(|state| state.udfs.push(udf));
    }

    /// Makes a ticket as `saver` would in the vendor's pages: callouts fire.
    ///
    /// # Errors
    /// When the vendor would refuse it.
    pub fn add_ticket(&self, actor: &Actor, title: &str, queue: i64, company: i64) -> Result<i64, Refused> {
        let body = json!({"companyID": company, "title": title, "status": 1, "priority": 2, "queueID": queue,
            "source": 2, "ticketType": 1, "ticketCategory": 3, "dueDateTime": "2030-03-21T00:00:00Z"});
        self.at_desk(actor.saver, |desk| {
            let (row, values) = tickets::applied(desk.state, tickets::blank(), BTreeMap::new(), &body)?;
            Ok(desk.create(row, values))
        })
    }

    /// Numbers of all tickets, oldest first.
    pub fn ticket_ids(&self) -> Vec<i64> {
        self.with(|state| state.tickets.keys().copied().collect())
    }

    /// The ticket as REST shows it.
    pub fn ticket(&self, id: i64) -> Option<Value> {
        let settings = self.shared.settings();
        self.with(|state| desk::shown(state, &settings, id))
    }

    /// The ticket's notes as REST shows them, oldest first.
    pub fn notes(&self, ticket: i64) -> Vec<Value> {
        let of = |state: &mut State| {
            let notes = state.notes.values().filter(|note| note["ticketID"] == ticket);
            notes.cloned().map(Value::Object).collect()
        };
        self.with(of)
    }

    /// The ticket's history as REST shows it, oldest first.
    pub fn history(&self, ticket: i64) -> Vec<Value> {
        self.with(|state| {
            let entries = state.history.values().filter(|entry| entry["ticketID"] == ticket);
            entries.cloned().map(Value::Object).collect()
        })
    }

    /// What people read instead of a picklist's number.
    pub fn label(&self, list: &str, value: i64) -> String {
        self.with(|state| state.label(list, value))
    }

    /// The webhooks as REST shows them.
    pub fn webhooks(&self) -> Vec<Value> {
        self.with(|state| state.webhooks.keys().filter_map(|id| webhooks::shown(state, *id)).collect())
    }

    /// Numbers of the fields, user-defined fields and excluded resources of a webhook.
    pub fn webhook_children(&self, id: i64) -> [Vec<i64>; 3] {
        self.with(|state| {
            let of = |table: &super::state::Table, number: &str| -> Vec<i64> {
                let rows = table.values().filter(|row| row["webhookID"] == id);
                rows.filter_map(|row| row[number].as_i64()).collect()
            };
            [of(&state.hook_fields, "fieldID"), of(&state.hook_udfs, "udfFieldID"), of(&state.excluded, "resourceID")]
        })
    }

    /// Somebody switches a webhook off, or the vendor does: its deactivation URL is told.
    pub fn deactivate_webhook(&self, id: i64) {
        let now = self.shared.clock.now_ms();
        let is_whole = self.shared.settings().deactivation_is_whole;
        let off = self.with(|state| delivery::deactivate(state, id, is_whole, now));
        self.shared.post.post(vec![off], now);
    }

    /// Somebody changes a property of a webhook.
    pub fn set_webhook(&self, id: i64, property: &str, value: Value) {
        self.with(|state| state.webhooks.get_mut(&id).map(|row| row.insert(property.to_owned(), value)));
    }

    /// Events that were given up.
    pub fn error_log(&self) -> Vec<Value> {
        self.with(|state| state.error_log.values().cloned().map(Value::Object).collect())
    }

    /// The key a webhook was registered with.
    pub fn webhook_key(&self, id: i64) -> Option<String> {
        self.with(|state| state.keys.get(&id).cloned())
    }

    /// Other integrations of the database have made so many calls in this hour.
    pub fn spend(&self, calls: u32) {
        self.with(|state| state.calls_of_others = calls);
    }

    /// The vendor takes these credentials no more.
    pub fn change_secret(&self, secret: &str) {
        self.with(|state| secret.clone_into(&mut state.secret));
    }

    /// What a workflow rule's extension callout sends about a ticket: a form, without signature or actor.
    pub fn callout(&self, ticket: i64) -> String {
        let shown = self.ticket(ticket).unwrap_or_default();
        let status = self.with(|state| state.label("status", shown["status"].as_i64().unwrap_or_default()));
        let number = shown["ticketNumber"].as_str().unwrap_or_default();
        format!(
            "id={ticket}&number={number}&status={}&created_datetime=2019-10-29T14:14:47.64300000-04:00:00&last_activity_datetime=2019-10-30T15:06:38.58300000-04:00:00&domain=msp.example",
            status.replace(' ', "+")
        )
    }

    /// A resource at work.
    pub fn acting(&self, resource: i64) -> Actor {
        Actor::new(self.clone(), Saver { resource: Some(resource), ..Saver::default() })
    }

    /// An API user that acts as this resource.
    pub fn impersonating(&self, resource: i64, impersonator: i64) -> Actor {
        let (resource, impersonator) = (Some(resource), Some(impersonator));
        Actor::new(self.clone(), Saver { resource, impersonator, ..Saver::default() })
    }

    /// A contact in the client portal.
    pub fn contact(&self, contact: i64) -> Actor {
        Actor::new(self.clone(), Saver { contact: Some(contact), ..Saver::default() })
    }

    pub(super) fn at_desk<T>(
        &self,
        saver: Saver,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, Refusal>,
    ) -> Result<T, Refused> {
        let settings = self.shared.settings();
        let now = self.shared.clock.now_ms();
        let mut outbox = Vec::new();
        let done = self.with(|state| work(&mut Desk { state, settings: &settings, saver, now, outbox: &mut outbox }));
        self.shared.post.post(outbox, now);
        done.map_err(Refused::from)
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.shared.state())
    }
}
