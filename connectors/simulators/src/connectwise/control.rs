//! Setting a login company up, and reading it back: what an administrator does in the user
//! interface, without going through REST.

use std::fmt;

use serde_json::Value;
use uuid::Uuid;

use super::actor::{Actor, Refused};
use super::desk::Desk;
use super::keys::{self, Key, Rotation, signature};
use super::new_ticket::NewTicket;
use super::patch::Edit;
use super::state::{self, ApiKey, Member, NextIds, take};
use super::{ConnectWise, callbacks, lock, notes, tables, tickets, view};

/// A login company of a running [`ConnectWise`]. Clones are the same company.
#[derive(Debug, Clone)]
pub struct Tenant {
    pub(super) sim: ConnectWise,
    company_id: String,
}

/// What an integration is given.
#[derive(Clone)]
pub struct ApiCredentials {
    pub company_id: String,
    pub member_id: i64,
    pub public_key: String,
    pub private_key: String,
    /// Of the integration, not of the member; any GUID is accepted.
    pub client_id: String,
}

impl fmt::Debug for ApiCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ApiCredentials({}+{})", self.company_id, self.public_key)
    }
}

/// A custom field's type and how it is entered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    Text,
    TextArea,
    Number,
    Checkbox,
    Date,
    /// One of a list of texts.
    List,
}

impl ConnectWise {
    /// Adds a login company, or finds the one of that name.
    pub fn add_tenant(&self, company_id: &str, name: &str) -> Tenant {
        let mut host = lock(&self.shared.host);
        if host.tenant(company_id).is_none() {
            let hex = |id: Uuid| id.simple().to_string()[..24].to_owned();
            host.tenants.push(state::Tenant {
                company_id: company_id.to_owned(),
                name: name.to_owned(),
                product_instance: hex(Uuid::new_v4()),
                partner: hex(Uuid::new_v4()),
                members: Vec::new(),
                api_keys: Vec::new(),
                companies: Vec::new(),
                boards: Vec::new(),
                sources: Vec::new(),
                fields: Vec::new(),
                rights: Default::default(),
                tickets: Default::default(),
                notes: Default::default(),
                audit: Default::default(),
                callbacks: Vec::new(),
                documents: Default::default(),
                signing_keys: vec![keys::new_key()],
                next: NextIds::default(),
            });
        }
        Tenant { sim: self.clone(), company_id: company_id.to_owned() }
    }
}

impl Tenant {
    pub fn company_id(&self) -> &str {
        &self.company_id
    }

    /// `license_class`: `F` full, `A` API, `C` StreamlineIT, `X` subcontractor.
    pub fn add_member(&self, id: i64, identifier: &str, license_class: &str, inactive: bool) {
        self.with(|t| {
            t.members.push(Member {
                id,
                identifier: identifier.to_owned(),
                first_name: identifier.to_owned(),
                last_name: "Member".to_owned(),
                email: format!("{}@{}.example", identifier.to_lowercase(), t.company_id),
                license_class: license_class.to_owned(),
                inactive,
            });
        });
    }

    /// Members are made with a name that only repeats their identifier.
    pub fn set_member_name(&self, identifier: &str, first: &str, last: &str) {
        self.with(|t| {
            let found = t.members.iter_mut().find(|m| m.identifier.eq_ignore_ascii_case(identifier));
            if let Some(member) = found {
                first.clone_into(&mut member.first_name);
                last.clone_into(&mut member.last_name);
            }
        });
    }

    pub fn set_member_inactive(&self, identifier: &str, inactive: bool) {
        self.with(|t| {
            let found = t.members.iter_mut().find(|m| m.identifier.eq_ignore_ascii_case(identifier));
            if let Some(member) = found {
                member.inactive = inactive;
            }
        });
    }

    pub fn set_member_email(&self, identifier: &str, email: &str) {
        self.with(|t| {
            let found = t.members.iter_mut().find(|m| m.identifier.eq_ignore_ascii_case(identifier));
            if let Some(member) = found {
                email.clone_into(&mut member.email);
            }
        });
    }

    /// An API member with a fresh pair of keys. Calling it again for the same identifier gives the
    /// member another pair.
    pub fn add_api_member(&self, id: i64, identifier: &str) -> ApiCredentials {
        if self.with(|t| t.member(id).is_none()) {
            self.add_member(id, identifier, "A", false);
        }
        let random = || Uuid::new_v4().simple().to_string()[..16].to_owned();
        let (public, private) = (random(), random());
        self.with(|t| {
            let key = ApiKey { member: id, public: public.clone(), private: private.clone() };
            t.api_keys.push(key);
        });
        ApiCredentials {
            company_id: self.company_id.clone(),
            member_id: id,
            public_key: public,
            private_key: private,
            client_id: Uuid::new_v4().to_string(),
        }
    }

    /// The pair stops working.
    pub fn revoke_api_key(&self, public_key: &str) {
        self.with(|t| t.api_keys.retain(|k| k.public != public_key));
    }

    /// Makes a ticket the way a user would: callbacks fire.
    ///
    /// # Errors
    /// When the vendor would refuse it.
    pub fn add_ticket(&self, new: NewTicket) -> Result<i64, Refused> {
        self.at_desk(&new.entered_by, |desk| {
            let mut blank = tickets::blank();
            blank.id = new.id;
            let edit = Edit::new(desk.tenant, blank).apply(&new.assignments)?;
            let (ticket, quiet) = (edit.ticket, edit.quiet);
            Ok(desk.create(ticket, quiet))
        })
    }

    /// The ticket as REST shows it.
    pub fn ticket(&self, id: i64) -> Option<Value> {
        let links = self.sim.shared.links();
        self.with(|t| t.tickets.get(&id).map(|ticket| view::ticket(t, ticket, &links)))
    }

    /// The ids of all tickets, in order.
    pub fn ticket_ids(&self) -> Vec<i64> {
        self.with(|t| t.tickets.keys().copied().collect())
    }

    /// The ticket's own notes as REST shows them, oldest first.
    pub fn notes(&self, ticket: i64) -> Vec<Value> {
        let links = self.sim.shared.links();
        self.with(|t| t.notes_of(ticket).map(|n| notes::service_note(t, n, &links)).collect())
    }

    /// The ticket's audit trail, oldest first; it outlives the ticket.
    pub fn audit(&self, ticket: i64) -> Vec<Value> {
        self.with(|t| tables::audit(t, ticket))
    }

    /// The registered callbacks.
    pub fn callbacks(&self) -> Vec<Value> {
        self.with(|t| t.callbacks.iter().map(callbacks::shown).collect())
    }

    /// Somebody registers one more callback like the first one there is, for every ticket, with no
    /// regard to who saves.
    pub fn add_callback_for_all(&self, url: &str) {
        self.with(|t| {
            let Some(mut entry) = t.callbacks.first().cloned() else { return };
            entry.id = take(&mut t.next.callback);
            entry.guid = Uuid::new_v4();
            url.clone_into(&mut entry.url);
            "owner".clone_into(&mut entry.level);
            (entry.object_id, entry.self_suppressed) = (1, false);
            t.callbacks.push(entry);
        });
    }

    /// Somebody points a callback elsewhere.
    pub fn set_callback_url(&self, id: i64, url: &str) {
        self.with(|t| t.callbacks.iter_mut().filter(|c| c.id == id).for_each(|c| url.clone_into(&mut c.url)));
    }

    /// Somebody switches a callback off, or on again.
    pub fn set_callback_inactive(&self, id: i64, inactive: bool) {
        self.with(|t| {
            t.callbacks.iter_mut().filter(|c| c.id == id).for_each(|c| c.inactive = inactive);
        });
    }

    /// Somebody deletes a callback.
    pub fn remove_callback(&self, id: i64) {
        self.with(|t| t.callbacks.retain(|c| c.id != id));
    }

    /// The key new messages are signed with.
    pub fn key(&self) -> Key {
        self.with(|t| Key { id: t.signing_key().id, secret: t.signing_key().secret.clone() })
    }

    /// The URL under which the vendor serves the current key.
    pub fn key_url(&self) -> String {
        keys::key_url(&self.sim.shared.links(), &self.company_id, self.key().id)
    }

    /// Signs any body with the current key: the value of the signature header.
    pub fn sign(&self, body: &[u8]) -> String {
        signature(&self.key().secret, body)
    }

    pub fn rotate_key(&self, rotation: Rotation) {
        self.with(|t| keys::rotate(t, rotation));
    }

    /// What this member does next. A name without a member stands for a workflow rule, the mail
    /// connector or another part of the system.
    pub fn acting(&self, identifier: &str) -> Actor {
        Actor::new(self.clone(), identifier)
    }

    /// Works at a desk as `identifier` and posts what the work owes.
    pub(super) fn at_desk<T>(
        &self,
        identifier: &str,
        work: impl FnOnce(&mut Desk<'_>) -> Result<T, Refused>,
    ) -> Result<T, Refused> {
        let links = self.sim.shared.links();
        let now = self.sim.shared.clock.now_ms();
        let mut outbox = Vec::new();
        let done = self.with(|tenant| {
            let saver = tenant.saver(identifier);
            work(&mut Desk { tenant, saver, now, links: &links, outbox: &mut outbox })
        });
        self.sim.shared.post.post(outbox);
        done
    }

    pub(super) fn with<T>(&self, work: impl FnOnce(&mut state::Tenant) -> T) -> T {
        let mut host = lock(&self.sim.shared.host);
        work(host.tenant_mut(&self.company_id).expect("a tenant is never taken away"))
    }
}
