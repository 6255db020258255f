//! Setting up a tenant: what it holds, who may ask, and what its policies are.
//!
//! Functions that name a tenant, an application or a group panic when the test never made it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::events::{Actor, What, event};
use super::options::{AppSpec, GroupSeed, Licence, PimPolicy, TapPolicy, UserSeed};
use super::start::Graph;
use super::state::{ClientSecret, Domain, Group, Registration, RoleGrant, ServicePrincipal, Tenant, Unit, World};
use super::units::extension_name;
use super::users_write::{as_made, new_user};

impl Graph {
    /// Adds a tenant; the first domain is the initial one, all are verified and managed.
    pub fn add_tenant(&self, id: &str, domains: &[&str], licence: Licence) {
        let domains: Vec<Domain> = domains
            .iter()
            .map(|name| Domain { name: (*name).to_owned(), is_verified: true, is_federated: false })
            .collect();
        let tenant = Tenant {
            id: id.to_owned(),
            display_name: domains.first().map_or(id, |d| d.name.as_str()).to_owned(),
            domains,
            licence,
            is_deleted: false,
            quota: None,
            principals: BTreeMap::new(),
            users: Vec::new(),
            groups: Vec::new(),
            units: Vec::new(),
            roles: Vec::new(),
            eligibilities: Vec::new(),
            custom_roles: Vec::new(),
            disabled_roles: BTreeSet::new(),
            default_domain: None,
            requests: Vec::new(),
            pim_policies: BTreeMap::new(),
            tap_policy: TapPolicy::default(),
        };
        self.service.lock().tenants.insert(id.to_owned(), tenant);
    }

    /// Adds a domain that is unverified, federated, or both.
    pub fn add_domain(&self, tenant: &str, name: &str, is_verified: bool, is_federated: bool) {
        let domain = Domain { name: name.to_owned(), is_verified, is_federated };
        self.with_tenant(tenant, |tenant| tenant.domains.push(domain));
    }

    /// Changes the state of a domain; the others stay as they are.
    pub fn set_domain(&self, tenant: &str, name: &str, is_verified: bool, is_federated: bool) {
        self.with_tenant(tenant, |tenant| {
            for domain in tenant.domains.iter_mut().filter(|domain| domain.name == name) {
                (domain.is_verified, domain.is_federated) = (is_verified, is_federated);
            }
        });
    }

    /// Chooses the domain that new accounts get in the portal.
    pub fn set_default_domain(&self, tenant: &str, name: &str) {
        self.with_tenant(tenant, |tenant| tenant.default_domain = Some(name.to_owned()));
    }

    /// Takes a domain away.
    pub fn remove_domain(&self, tenant: &str, name: &str) {
        self.with_tenant(tenant, |tenant| tenant.domains.retain(|domain| domain.name != name));
    }

    /// The tenant is gone: no tokens, and those already issued stop working.
    pub fn delete_tenant(&self, tenant: &str) {
        self.with_tenant(tenant, |tenant| tenant.is_deleted = true);
    }

    /// Changes what the tenant has paid for.
    pub fn set_licence(&self, tenant: &str, licence: Licence) {
        self.with_tenant(tenant, |tenant| tenant.licence = licence);
    }

    /// Limits the number of objects the tenant may hold.
    pub fn set_quota(&self, tenant: &str, quota: Option<usize>) {
        self.with_tenant(tenant, |tenant| tenant.quota = quota);
    }

    /// Sets what PIM asks for active assignments of one role.
    pub fn set_pim_policy(&self, tenant: &str, role: &str, policy: PimPolicy) {
        self.with_tenant(tenant, |tenant| {
            tenant.pim_policies.insert(role.to_owned(), policy);
        });
    }

    /// Sets the tenant's Temporary Access Pass policy.
    pub fn set_tap_policy(&self, tenant: &str, policy: TapPolicy) {
        self.with_tenant(tenant, |tenant| tenant.tap_policy = policy);
    }

    /// Consents to an application in a tenant, which becomes its home when it is the first.
    /// Answers the object id of its service principal there.
    pub fn register_app(&self, tenant: &str, spec: AppSpec) -> String {
        let now = self.service.clock.now_ms();
        let world = &mut *self.service.lock();
        let client_id = spec.client_id.to_ascii_lowercase();
        let mut app = world.registrations.remove(&client_id).unwrap_or_else(|| Registration {
            object_id: world.mint.guid(),
            home_tenant: tenant.to_owned(),
            secrets: Vec::new(),
            certificates: Vec::new(),
            extensions: BTreeSet::new(),
        });
        app.secrets.extend(spec.secrets.into_iter().map(|value| ClientSecret { value, expires_at: None }));
        app.certificates.extend(spec.certificates);
        world.registrations.insert(client_id.clone(), app);

        let id = world.mint.guid();
        for role in spec.directory_roles {
            let grant = permanent(world, &id, &role, "/", now);
            tenant_of(world, tenant).roles.push(grant);
        }
        let principal =
            ServicePrincipal { id: id.clone(), is_enabled: true, permissions: spec.permissions.into_iter().collect() };
        tenant_of(world, tenant).principals.insert(client_id, principal);
        id
    }

    /// Lets a client secret end at an instant (epoch milliseconds); `None` lets it live for ever.
    pub fn expire_secret(&self, client_id: &str, secret: &str, at_ms: Option<i64>) {
        self.with_app(client_id, |app| {
            for known in app.secrets.iter_mut().filter(|s| s.value == secret) {
                known.expires_at = at_ms;
            }
        });
    }

    /// Puts a new secret in the place of all others.
    pub fn rotate_secret(&self, client_id: &str, new: &str) {
        self.with_app(client_id, |app| {
            app.secrets = vec![ClientSecret { value: new.to_owned(), expires_at: None }];
        });
    }

    /// Forgets all certificates of an application and registers these (DER).
    pub fn set_certificates(&self, client_id: &str, certificates: Vec<Vec<u8>>) {
        self.with_app(client_id, |app| app.certificates = certificates);
    }

    /// Defines a directory extension for users; answers its full name.
    pub fn define_extension(&self, client_id: &str, name: &str) -> String {
        let full = extension_name(client_id, name);
        self.with_app(client_id, |app| {
            app.extensions.insert(full.clone());
        });
        full
    }

    /// The customer removes the application: no service principal, no roles. Tokens live on.
    pub fn remove_consent(&self, tenant: &str, client_id: &str) {
        self.with_tenant(tenant, |tenant| {
            if let Some(gone) = tenant.principals.remove(client_id) {
                tenant.roles.retain(|grant| grant.principal != gone.id);
            }
        });
    }

    /// Changes what the customer consented to; only new tokens show it.
    pub fn set_permissions(&self, tenant: &str, client_id: &str, permissions: &[&str]) {
        self.with_principal(tenant, client_id, |principal| {
            principal.permissions = permissions.iter().map(|p| (*p).to_owned()).collect();
        });
    }

    /// The customer switches the application off, or on again.
    pub fn set_app_enabled(&self, tenant: &str, client_id: &str, is_enabled: bool) {
        self.with_principal(tenant, client_id, |principal| {
            principal.is_enabled = is_enabled;
        });
    }

    /// Adds an account that has always been there; answers its object id.
    pub fn add_user(&self, tenant: &str, seed: UserSeed) -> String {
        let now = self.service.clock.now_ms();
        let world = &mut *self.service.lock();
        let id = world.mint.guid();
        let mut given = seed.properties;
        let nickname = seed.upn.split('@').next().unwrap_or_default();
        given.insert("mailNickname".into(), json!(nickname));
        given.insert("userPrincipalName".into(), json!(seed.upn));
        given.insert("displayName".into(), json!(seed.display_name));
        given.insert("accountEnabled".into(), json!(seed.enabled));
        let user = new_user(&id, given, &seed.password, now);
        let detail = as_made(&user);
        tenant_of(world, tenant).users.push(user);
        let made = event(now, tenant, &Actor::SomebodyElse, What::UserCreated, &id, detail);
        world.events.push(made);
        id
    }

    /// Adds a group; answers its object id.
    pub fn add_group(&self, tenant: &str, seed: GroupSeed) -> String {
        let world = &mut *self.service.lock();
        let id = world.mint.guid();
        tenant_of(world, tenant).groups.push(Group {
            id: id.clone(),
            display_name: seed.display_name,
            is_assignable_to_role: seed.is_assignable_to_role,
            is_dynamic: seed.is_dynamic,
            is_synced: seed.is_synced,
            is_mail_enabled: seed.is_mail_enabled,
            members: Vec::new(),
            owners: Vec::new(),
        });
        id
    }

    /// Deletes a group; nobody is in it any more.
    pub fn remove_group(&self, tenant: &str, id: &str) {
        self.with_tenant(tenant, |tenant| tenant.groups.retain(|group| group.id != id));
    }

    /// Lets a rule of the tenant compute a group's members from now on.
    pub fn make_group_dynamic(&self, tenant: &str, id: &str) {
        self.with_tenant(tenant, |tenant| {
            tenant.groups.iter_mut().filter(|group| group.id == id).for_each(|group| group.is_dynamic = true);
        });
    }

    /// Adds an administrative unit with members (object ids); answers its id. A restricted one
    /// shields its members from everybody without a role scoped to it.
    pub fn add_unit(&self, tenant: &str, name: &str, is_restricted: bool, members: &[&str]) -> String {
        let world = &mut *self.service.lock();
        let id = world.mint.guid();
        tenant_of(world, tenant).units.push(Unit {
            id: id.clone(),
            display_name: name.to_owned(),
            is_restricted,
            members: members.iter().map(|m| (*m).to_owned()).collect(),
        });
        id
    }

    /// Adds a custom role definition; answers its id.
    pub fn add_custom_role(&self, tenant: &str, name: &str) -> String {
        let world = &mut *self.service.lock();
        let id = world.mint.guid();
        let role = (id.clone(), name.to_owned());
        tenant_of(world, tenant).custom_roles.push(role);
        id
    }

    /// Deletes a custom role definition.
    pub fn remove_custom_role(&self, tenant: &str, id: &str) {
        self.with_tenant(tenant, |tenant| tenant.custom_roles.retain(|(known, _)| known != id));
    }

    /// Switches a role definition off, or on again.
    pub fn set_role_enabled(&self, tenant: &str, role: &str, is_enabled: bool) {
        self.with_tenant(tenant, |tenant| match is_enabled {
            true => drop(tenant.disabled_roles.remove(role)),
            false => drop(tenant.disabled_roles.insert(role.to_owned())),
        });
    }

    /// Makes a principal eligible for a role, as PIM does for permanent staff.
    pub fn add_eligibility(&self, tenant: &str, principal: &str, role: &str) {
        let now = self.service.clock.now_ms();
        let world = &mut *self.service.lock();
        let grant = permanent(world, principal, role, "/", now);
        tenant_of(world, tenant).eligibilities.push(grant);
    }

    fn with_app(&self, client_id: &str, change: impl FnOnce(&mut Registration)) {
        let world = &mut *self.service.lock();
        let app = world.registrations.get_mut(&client_id.to_ascii_lowercase());
        change(app.unwrap_or_else(|| panic!("no application {client_id} in this simulator")));
    }

    fn with_principal(&self, tenant: &str, client_id: &str, change: impl FnOnce(&mut ServicePrincipal)) {
        self.with_tenant(tenant, |tenant| {
            let found = tenant.principals.get_mut(&client_id.to_ascii_lowercase());
            change(found.unwrap_or_else(|| panic!("no consent for {client_id} in this tenant")));
        });
    }

    fn with_tenant<R>(&self, tenant: &str, change: impl FnOnce(&mut Tenant) -> R) -> R {
        change(tenant_of(&mut self.service.lock(), tenant))
    }
}

/// The tenant that a test set up before.
///
/// # Panics
/// When it did not: the test is wrong, and there is nothing to go on with.
pub(super) fn tenant_of<'w>(world: &'w mut World, id: &str) -> &'w mut Tenant {
    world.tenants.get_mut(id).unwrap_or_else(|| panic!("no tenant {id} in this simulator"))
}

/// A direct assignment without an end.
pub(super) fn permanent(world: &mut World, principal: &str, role: &str, scope: &str, now: i64) -> RoleGrant {
    RoleGrant {
        id: world.mint.assignment_id(),
        principal: principal.to_owned(),
        role: role.to_owned(),
        scope: scope.to_owned(),
        created: now,
        start: now,
        end: None,
        schedule: None,
    }
}
