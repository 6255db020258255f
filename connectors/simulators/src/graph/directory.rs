//! The questions everybody asks of the directory, and what time does to it. No HTTP, no permissions.

use std::collections::{BTreeSet, HashSet};

use serde_json::{Map, Value, json};

use super::events::{Actor, Event, What, event};
use super::properties::hash;
use super::state::{Group, RoleGrant, Tenant, Unit, User, World};
use super::time::{DAY, Ms, iso};

/// How long a deleted user can be restored.
const RECYCLE_BIN: Ms = 30 * DAY;

impl World {
    /// A tenant by id or by one of its verified domains.
    pub(super) fn find_tenant(&self, name: &str) -> Option<&Tenant> {
        self.tenants.values().find(|tenant| {
            tenant.id.eq_ignore_ascii_case(name)
                || tenant.domains.iter().any(|d| d.is_verified && d.name.eq_ignore_ascii_case(name))
        })
    }

    /// Lets time do its work: PIM's expiries and the purge of the recycle bin.
    pub(super) fn settle(&mut self, now: Ms) {
        let lag = self.knobs.pim_expiry_lag_ms;
        for tenant in self.tenants.values_mut() {
            tenant.expire_roles(now, lag, &mut self.events);
            tenant.purge(now, &mut self.events);
        }
    }
}

impl Tenant {
    fn expire_roles(&mut self, now: Ms, lag: Ms, events: &mut Vec<Event>) {
        let id = &self.id;
        self.roles.retain(|grant| match grant.end {
            Some(end) if end + lag <= now => {
                let detail = json!({"roleDefinitionId": grant.role, "directoryScopeId": grant.scope});
                events.push(event(end + lag, id, &Actor::Vendor, What::RoleExpired, &grant.principal, detail));
                false
            }
            _ => true,
        });
        self.eligibilities.retain(|grant| grant.end.is_none_or(|end| now < end));
    }

    fn purge(&mut self, now: Ms, events: &mut Vec<Event>) {
        let due: Vec<(String, Ms)> = self
            .users
            .iter()
            .filter_map(|user| Some((user, user.deleted_at? + RECYCLE_BIN)))
            .filter(|(_, at)| *at <= now)
            .map(|(user, at)| (user.id.clone(), at))
            .collect();
        for (user, at) in due {
            self.forget_user(&user);
            events.push(event(at, &self.id, &Actor::Vendor, What::UserPurged, &user, Value::Null));
        }
    }

    /// Removes a user and everything that pointed at it.
    pub(super) fn forget_user(&mut self, id: &str) {
        self.users.retain(|user| user.id != id);
        self.roles.retain(|grant| grant.principal != id);
        self.eligibilities.retain(|grant| grant.principal != id);
        for group in &mut self.groups {
            group.members.retain(|member| member != id);
            group.owners.retain(|owner| owner != id);
        }
        for unit in &mut self.units {
            unit.members.retain(|member| member != id);
        }
    }

    /// A living user by id or UPN, replicated or not.
    pub(super) fn user(&self, key: &str) -> Option<&User> {
        self.users.iter().find(|user| user.deleted_at.is_none() && user.is_named(key))
    }

    pub(super) fn user_mut(&mut self, key: &str) -> Option<&mut User> {
        self.users.iter_mut().find(|user| user.deleted_at.is_none() && user.is_named(key))
    }

    pub(super) fn group(&self, id: &str) -> Option<&Group> {
        self.groups.iter().find(|group| group.id == id)
    }

    pub(super) fn group_mut(&mut self, id: &str) -> Option<&mut Group> {
        self.groups.iter_mut().find(|group| group.id == id)
    }

    pub(super) fn unit(&self, id: &str) -> Option<&Unit> {
        self.units.iter().find(|unit| unit.id == id)
    }

    /// Whether anything lives under this id that can hold a role, and has been replicated.
    pub(super) fn has_principal(&self, id: &str, now: Ms) -> bool {
        self.user(id).is_some_and(|user| user.visible_at <= now)
            || self.group(id).is_some()
            || self.principals.values().any(|sp| sp.id == id)
    }

    /// A principal in the recycle bin keeps its roles for a restore, but nobody sees them.
    pub(super) fn is_in_bin(&self, principal: &str) -> bool {
        self.users.iter().any(|user| user.id == principal && user.deleted_at.is_some())
    }

    /// Active roles of living principals, direct ones and PIM's.
    pub(super) fn active_roles(&self, now: Ms) -> impl Iterator<Item = &RoleGrant> {
        let deleted = self.users.iter().filter(|user| user.deleted_at.is_some());
        let bin: HashSet<&str> = deleted.map(|user| user.id.as_str()).collect();
        self.roles.iter().filter(move |grant| grant.is_active(now) && !bin.contains(grant.principal.as_str()))
    }

    /// Those of one principal, as [`Tenant::active_roles`].
    pub(super) fn active_roles_of(&self, principal: &str, now: Ms) -> Vec<&RoleGrant> {
        let is_its = |grant: &&RoleGrant| grant.principal.eq_ignore_ascii_case(principal) && grant.is_active(now);
        self.roles.iter().filter(is_its).filter(|grant| !self.is_in_bin(&grant.principal)).collect()
    }

    /// Groups that hold the user, through nesting too, in order of creation.
    pub(super) fn groups_of(&self, member: &str, transitive: bool) -> Vec<&Group> {
        let mut found: BTreeSet<&str> = BTreeSet::new();
        let mut open = vec![member];
        while let Some(id) = open.pop() {
            for group in &self.groups {
                if group.members.iter().any(|m| m == id) && found.insert(&group.id) && transitive {
                    open.push(&group.id);
                }
            }
        }
        self.groups.iter().filter(|group| found.contains(group.id.as_str())).collect()
    }

    /// Roles of a principal and of the groups it is in, also while it lies in the recycle bin.
    pub(super) fn effective_roles(&self, principal: &str, now: Ms) -> Vec<&RoleGrant> {
        let groups = self.groups_of(principal, true);
        let is_its = |grant: &RoleGrant| grant.principal == principal || groups.iter().any(|g| g.id == grant.principal);
        self.roles.iter().filter(|grant| grant.is_active(now) && is_its(grant)).collect()
    }

    /// Restricted management administrative units that the object is in.
    pub(super) fn restricted_units_of(&self, member: &str) -> Vec<&Unit> {
        self.units.iter().filter(|unit| unit.is_restricted && unit.members.iter().any(|m| m == member)).collect()
    }

    pub(super) fn object_count(&self) -> usize {
        self.users.len() + self.groups.len() + self.units.len()
    }
}

impl User {
    pub(super) fn is_named(&self, key: &str) -> bool {
        // Only a name has the sign: whoever is looked for by id is not compared by name with everybody.
        self.id == key || (key.contains('@') && self.upn().eq_ignore_ascii_case(key))
    }

    pub(super) fn upn(&self) -> &str {
        self.text("userPrincipalName")
    }

    pub(super) fn is_enabled(&self) -> bool {
        self.properties.get("accountEnabled") == Some(&Value::Bool(true))
    }

    pub(super) fn text(&self, property: &str) -> &str {
        self.properties.get(property).and_then(Value::as_str).unwrap_or_default()
    }

    /// Sessions begun until now are worth nothing any more.
    pub(super) fn end_sessions(&mut self, now: Ms) {
        self.sessions_valid_from = now;
        self.session_epoch += 1;
    }

    pub(super) fn set_password(&mut self, password: &str, must_change: bool, now: Ms) {
        self.password_hash = hash(password);
        self.must_change_password = must_change;
        self.properties.insert("lastPasswordChangeDateTime".into(), json!(iso(now)));
        self.end_sessions(now);
    }

    /// All properties a caller may select, computed ones included. Passwords are not among them.
    pub(super) fn view(&self, tenant: &Tenant) -> Map<String, Value> {
        let mut all = self.properties.clone();
        all.insert("id".into(), json!(self.id));
        all.insert("isManagementRestricted".into(), json!(!tenant.restricted_units_of(&self.id).is_empty()));
        let valid_from = iso(self.sessions_valid_from);
        all.insert("signInSessionsValidFromDateTime".into(), json!(valid_from));
        all.insert("refreshTokensValidFromDateTime".into(), json!(valid_from));
        all.insert("deletedDateTime".into(), json!(self.deleted_at.map(iso)));
        all
    }
}
