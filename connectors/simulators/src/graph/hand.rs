//! Somebody else in the directory: changes made by hand, past every permission.

use serde_json::{Map, Value, json};

use super::events::{Actor, What, event};
use super::setup::{permanent, tenant_of};
use super::start::Graph;
use super::state::{Method, RoleGrant, Tenant, User, World};
use super::time::Ms;

/// Acts in one tenant as a person would in the portal. Every act is recorded as
/// [`Actor::SomebodyElse`].
///
/// Users are named by object id or user principal name.
///
/// # Panics
/// Every act panics when the tenant, the user or the group does not exist: the test is wrong.
#[derive(Debug)]
pub struct Hand<'g> {
    graph: &'g Graph,
    tenant: String,
}

impl Graph {
    /// Somebody else's hand in a tenant.
    pub fn by_hand(&self, tenant: &str) -> Hand<'_> {
        Hand { graph: self, tenant: tenant.to_owned() }
    }
}

impl Hand<'_> {
    /// Enables an account.
    pub fn enable(&self, user: &str) {
        self.set_enabled(user, true);
    }

    /// Disables an account.
    pub fn disable(&self, user: &str) {
        self.set_enabled(user, false);
    }

    fn set_enabled(&self, user: &str, is_enabled: bool) {
        let what = if is_enabled { What::UserEnabled } else { What::UserDisabled };
        self.change(user, what, Value::Null, |user, _| {
            user.properties.insert("accountEnabled".into(), json!(is_enabled));
        });
    }

    /// Gives an account another user principal name.
    pub fn rename(&self, user: &str, upn: &str) {
        self.set(user, "userPrincipalName", json!(upn));
    }

    /// Writes any property; null removes it.
    pub fn set(&self, user: &str, property: &str, value: Value) {
        let detail = json!({property: value});
        self.change(user, What::UserUpdated, detail, |user, _| {
            if value.is_null() {
                user.properties.remove(property);
            } else {
                user.properties.insert(property.to_owned(), value);
            }
        });
    }

    /// Sets a password that need not be changed.
    pub fn reset_password(&self, user: &str, password: &str) {
        self.change(user, What::PasswordReset, Value::Null, |user, now| {
            user.set_password(password, false, now);
        });
    }

    /// Moves an account to the recycle bin.
    pub fn delete(&self, user: &str) {
        self.change(user, What::UserDeleted, Value::Null, User::move_to_bin);
    }

    /// Removes an account for good.
    pub fn purge(&self, user: &str) {
        let (mut world, now, id) = self.open(user);
        tenant_of(&mut world, &self.tenant).forget_user(&id);
        self.record(&mut world, now, What::UserPurged, &id, Value::Null);
    }

    /// Registers an authentication method by type, such as `phoneAuthenticationMethod`; answers
    /// its id.
    pub fn add_method(&self, user: &str, kind: &str) -> String {
        let method_id = self.graph.service.lock().mint.guid();
        let method = Method {
            id: method_id.clone(),
            kind: kind.to_owned(),
            properties: Map::new(),
            code: None,
            usable: None,
            is_used: false,
        };
        self.change(user, What::MethodAdded, json!({"type": kind}), |user, _| {
            user.methods.push(method);
        });
        method_id
    }

    /// Gives a role, permanently and directly; answers the assignment's id.
    pub fn assign_role(&self, principal: &str, role: &str, scope: &str) -> String {
        let (mut world, now) = self.graph.service.settled();
        let principal = id_of(tenant_of(&mut world, &self.tenant), principal);
        let grant = permanent(&mut world, &principal, role, scope, now);
        let (id, detail) = (grant.id.clone(), super::roles::detail(&grant));
        tenant_of(&mut world, &self.tenant).roles.push(grant);
        self.record(&mut world, now, What::RoleAssigned, &principal, detail);
        id
    }

    /// Takes every assignment of a role away from a principal, PIM's too.
    pub fn remove_role(&self, principal: &str, role: &str) {
        let (mut world, now) = self.graph.service.settled();
        let tenant = tenant_of(&mut world, &self.tenant);
        let principal = id_of(tenant, principal);
        let is_it = |grant: &RoleGrant| grant.principal == principal && grant.role == role;
        let taken: Vec<Value> = tenant.roles.iter().filter(|g| is_it(g)).map(super::roles::detail).collect();
        tenant.roles.retain(|grant| !is_it(grant));
        for detail in taken {
            self.record(&mut world, now, What::RoleRemoved, &principal, detail);
        }
    }

    /// Puts a user into a group.
    pub fn join_group(&self, user: &str, group: &str) {
        let (mut world, now, id) = self.open(user);
        group_of(&mut world, &self.tenant, group).members.push(id.clone());
        self.record(&mut world, now, What::MemberAdded, &id, json!({"group": group}));
    }

    /// Takes a user out of a group.
    pub fn leave_group(&self, user: &str, group: &str) {
        let (mut world, now, id) = self.open(user);
        group_of(&mut world, &self.tenant, group).members.retain(|member| *member != id);
        self.record(&mut world, now, What::MemberRemoved, &id, json!({"group": group}));
    }

    /// Makes a user an owner of a group.
    pub fn own_group(&self, user: &str, group: &str) {
        let (mut world, now, id) = self.open(user);
        group_of(&mut world, &self.tenant, group).owners.push(id.clone());
        self.record(&mut world, now, What::OwnerAdded, &id, json!({"group": group}));
    }

    /// Puts a user, or any object, into an administrative unit.
    pub fn join_unit(&self, object: &str, unit: &str) {
        let (mut world, _) = self.graph.service.settled();
        let tenant = tenant_of(&mut world, &self.tenant);
        let id = id_of(tenant, object);
        let found = tenant.units.iter_mut().find(|known| known.id == unit);
        found.unwrap_or_else(|| panic!("no unit {unit} in this tenant")).members.push(id);
    }

    fn change(&self, user: &str, what: What, detail: Value, change: impl FnOnce(&mut User, Ms)) {
        let (mut world, now, id) = self.open(user);
        let found = tenant_of(&mut world, &self.tenant).user_mut(&id);
        change(found.unwrap_or_else(|| panic!("no user {id}")), now);
        self.record(&mut world, now, what, &id, detail);
    }

    /// The settled world, the present, and the object id behind a user's name.
    fn open(&self, user: &str) -> (std::sync::MutexGuard<'_, World>, Ms, String) {
        let (mut world, now) = self.graph.service.settled();
        let tenant = tenant_of(&mut world, &self.tenant);
        let known = tenant
            .users
            .iter()
            .find(|known| known.is_named(user))
            .unwrap_or_else(|| panic!("no user {user} in this tenant"));
        let id = known.id.clone();
        (world, now, id)
    }

    fn record(&self, world: &mut World, now: Ms, what: What, object: &str, detail: Value) {
        let actor = Actor::SomebodyElse;
        world.events.push(event(now, &self.tenant, &actor, what, object, detail));
    }
}

/// A user's object id; anything else is taken for an id already.
fn id_of(tenant: &Tenant, name: &str) -> String {
    tenant.user(name).map_or_else(|| name.to_owned(), |user| user.id.clone())
}

fn group_of<'w>(world: &'w mut World, tenant: &str, group: &str) -> &'w mut super::state::Group {
    tenant_of(world, tenant).group_mut(group).unwrap_or_else(|| panic!("no group {group} in this tenant"))
}
