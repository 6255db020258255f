//! Looking at the directory from outside: no permissions, no replication delay.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::events::{Event, SignIn, Write};
use super::signin::{self, EffectiveRoles, Refused, Session};
use super::start::Graph;
use super::state::{Tenant, User};
use super::time::Ms;

impl Graph {
    /// A user by object id or name with every property, those in the recycle bin by id too.
    ///
    /// `deletedDateTime` is not null in the recycle bin. `None` when there is no such user.
    pub fn user(&self, tenant: &str, key: &str) -> Option<Value> {
        self.read(tenant, |tenant, _| {
            let found = tenant.user(key).or_else(|| {
                let in_bin = |user: &&User| user.id == key;
                tenant.users.iter().find(in_bin)
            });
            found.map(|user| Value::Object(user.view(tenant)))
        })
        .flatten()
    }

    /// All users in order of creation, without those in the recycle bin.
    pub fn users(&self, tenant: &str) -> Vec<Value> {
        self.read(tenant, |tenant, _| {
            let living = tenant.users.iter().filter(|u| u.deleted_at.is_none());
            living.map(|user| Value::Object(user.view(tenant))).collect()
        })
        .unwrap_or_default()
    }

    /// Object ids of whoever may sign in, or holds a role itself, even one to come or one that lies in the bin with it: read
    /// in one go, however many there are.
    pub fn open_principals(&self, tenant: &str) -> HashSet<String> {
        self.read(tenant, |tenant, _| {
            let living = tenant.users.iter().filter(|user| user.deleted_at.is_none() && user.is_enabled());
            let holders = tenant.roles.iter().map(|grant| &grant.principal);
            living.map(|user| &user.id).chain(holders).cloned().collect()
        })
        .unwrap_or_default()
    }

    /// Users in the recycle bin.
    pub fn deleted_users(&self, tenant: &str) -> Vec<Value> {
        self.read(tenant, |tenant, _| {
            let gone = tenant.users.iter().filter(|u| u.deleted_at.is_some());
            gone.map(|user| Value::Object(user.view(tenant))).collect()
        })
        .unwrap_or_default()
    }

    /// Roles that a principal (id, or a user's name) holds itself, active ones and those to come:
    /// `roleDefinitionId`, `directoryScopeId`, `start_ms`, `end_ms`, `pim`.
    pub fn assignments(&self, tenant: &str, principal: &str) -> Vec<Value> {
        self.read(tenant, |tenant, now| {
            let id = tenant.user(principal).map_or(principal, |u| u.id.as_str());
            let held = tenant.roles.iter().filter(|grant| grant.principal == id);
            held.map(|grant| {
                let mut view = super::roles::detail(grant);
                view["id"] = json!(grant.id);
                view["is_active"] = json!(grant.is_active(now));
                view
            })
            .collect()
        })
        .unwrap_or_default()
    }

    /// Ids of the groups a user is a direct member of.
    pub fn groups_of(&self, tenant: &str, user: &str) -> Vec<String> {
        self.read(tenant, |tenant, _| {
            let id = tenant.user(user).map_or(user, |u| u.id.as_str());
            let groups = tenant.groups_of(id, false);
            groups.into_iter().map(|group| group.id.clone()).collect()
        })
        .unwrap_or_default()
    }

    /// A role's display name; empty when there is no such role.
    pub fn role_name(&self, tenant: &str, role: &str) -> String {
        self.read(tenant, |tenant, _| super::role_definitions::name_of(tenant, role).to_owned()).unwrap_or_default()
    }

    /// A group's display name; empty when there is no such group.
    pub fn group_name(&self, tenant: &str, group: &str) -> String {
        self.read(tenant, |tenant, _| tenant.group(group).map(|g| g.display_name.clone())).flatten().unwrap_or_default()
    }

    /// Types of the authentication methods a user has registered besides the password.
    pub fn methods_of(&self, tenant: &str, user: &str) -> Vec<String> {
        self.read(tenant, |tenant, _| {
            let methods = tenant.user(user).map(|user| user.methods.iter());
            methods.into_iter().flatten().map(|m| m.kind.clone()).collect()
        })
        .unwrap_or_default()
    }

    /// Signs in with a password or a Temporary Access Pass, as a technician would.
    ///
    /// # Errors
    /// Why access is off. Neither replication nor permissions matter here.
    pub fn sign_in(&self, tenant: &str, upn: &str, password: &str) -> Result<EffectiveRoles, Refused> {
        let (mut world, now) = self.service.settled();
        signin::sign_in(&mut world, tenant, upn, password, now)
    }

    /// Comes back with a session from an earlier sign-in.
    ///
    /// # Errors
    /// Why the session is worth nothing any more.
    pub fn use_session(&self, session: &Session) -> Result<EffectiveRoles, Refused> {
        let (mut world, now) = self.service.settled();
        signin::use_session(&mut world, session, now)
    }

    /// Every attempt to sign in, oldest first.
    pub fn sign_ins(&self) -> Vec<SignIn> {
        self.service.lock().sign_ins.clone()
    }

    /// Resource units that all calls so far have cost, those that were let through.
    pub fn units_spent(&self) -> u64 {
        self.service.lock().units_spent
    }

    /// Every call that was to change something, in the order in which they came, refused ones too.
    pub fn writes(&self) -> Vec<Write> {
        self.service.lock().writes.clone()
    }

    /// Everything that was written, in the order in which it took effect.
    pub fn events(&self) -> Vec<Event> {
        let (world, _) = self.service.settled();
        let mut events = world.events.clone();
        events.sort_by_key(|event| event.at_ms);
        events
    }

    fn read<R>(&self, tenant: &str, look: impl FnOnce(&Tenant, Ms) -> R) -> Option<R> {
        let (world, now) = self.service.settled();
        world.tenants.get(tenant).map(|tenant| look(tenant, now))
    }
}
