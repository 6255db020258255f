//! Who may do what to whom: token permissions, the matrix of sensitive actions, restricted units.
//!
//! The matrix always looks at the target as it is now: its active roles, its eligible ones, and
//! role-assignable groups it is in or owns.

use std::collections::BTreeSet;

use super::answer::Refusal;
use super::state::{Tenant, Token};
use super::time::Ms;
use super::turn::Turn;

pub(super) const GLOBAL_ADMIN: &str = "62e90394-69f5-4237-9190-012177145e10";
pub(super) const PRIVILEGED_AUTH_ADMIN: &str = "7be44c8a-adaf-4e2a-84d6-ab2649e08a13";
pub(super) const USER_ADMIN: &str = "fe930be7-5e62-47db-91af-98c3a49a38b1";
const AUTH_ADMIN: &str = "c4e39bd9-1100-46d3-8c65-fb160da0071f";

/// Roles whose holders every user-managing role may still manage.
const LOW_ROLES: [&str; 7] = [
    "88d8e3e3-8f55-4a1e-953a-9b9898b8876b", // Directory Readers
    "95e79109-95c0-4d8e-aee3-d01accf2d47b", // Guest Inviter
    "790c1fb9-7f7d-4f88-86a1-ef1f95c05c1b", // Message Center Reader
    "966707d0-3269-4727-9be2-8c3a10f19b9d", // Password Administrator
    "4a5d8f65-41da-4de4-8968-e035b65339cf", // Reports Reader
    "75934031-6c7e-415a-99d7-48dbd49e875e", // Usage Summary Reports Reader
    "27460883-1df1-4691-b032-3b79643e5e63", // User Experience Success Manager
];

/// Roles whose holders a User Administrator may manage besides the low ones.
const USER_ROLES: [&str; 3] = [
    "fdd7a751-b60b-444a-984c-02652fe8fa1c", // Groups Administrator
    "729827e3-9c14-49f7-bb1b-9608f156bbb8", // Helpdesk Administrator
    USER_ADMIN,
];

/// The application behind a valid token.
#[derive(Debug, Clone)]
pub(super) struct Caller {
    pub(super) tenant: String,
    pub(super) client_id: String,
    pub(super) principal: String,
    permissions: BTreeSet<String>,
    /// Directory roles with their scopes, as of the token's issue.
    directory_roles: Vec<(String, String)>,
}

impl From<&Token> for Caller {
    fn from(token: &Token) -> Self {
        Self {
            tenant: token.tenant.clone(),
            client_id: token.client_id.clone(),
            principal: token.principal.clone(),
            permissions: token.permissions.clone(),
            directory_roles: token.directory_roles.clone(),
        }
    }
}

impl Caller {
    pub(super) fn has_any(&self, permissions: &[&str]) -> bool {
        permissions.iter().any(|p| self.permissions.contains(*p))
    }

    /// # Errors
    /// The directory's 403 when the token carries none of the permissions.
    pub(super) fn needs(&self, permissions: &[&str]) -> Result<(), Refusal> {
        if self.has_any(permissions) { Ok(()) } else { Err(Refusal::denied()) }
    }

    /// Directory roles that reach an object: tenant-wide ones unless a restricted unit shields it,
    /// and those scoped to a unit it is in.
    fn roles_over(&self, tenant: &Tenant, object: &str) -> BTreeSet<&str> {
        let is_restricted = !tenant.restricted_units_of(object).is_empty();
        self.directory_roles
            .iter()
            .filter(|(_, scope)| match scope.strip_prefix("/administrativeUnits/") {
                None => scope == "/" && !is_restricted,
                Some(unit) => tenant.unit(unit).is_some_and(|unit| {
                    unit.is_restricted == is_restricted && unit.members.iter().any(|member| member == object)
                }),
            })
            .map(|(role, _)| role.as_str())
            .collect()
    }
}

/// How protected an account is, from the roles it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// No role at all.
    Plain,
    /// Only roles of the low list.
    Low,
    /// Authentication Administrator, and low ones.
    AuthAdmin,
    /// Groups, Helpdesk or User Administrator, and low ones.
    UserAdmin,
    /// Anything else, or a role-assignable group.
    Protected,
}

/// The standing of a user right now.
pub(super) fn standing(tenant: &Tenant, user: &str, eligible_protects: bool, now: Ms) -> Standing {
    let is_in_or_owns_role_group = tenant.groups.iter().any(|group| {
        let holds = |ids: &[String]| ids.iter().any(|id| id == user);
        group.is_assignable_to_role && (holds(&group.members) || holds(&group.owners))
    });
    if is_in_or_owns_role_group {
        return Standing::Protected;
    }
    let eligible = tenant.eligibilities.iter().filter(|grant| eligible_protects && grant.principal == user);
    let is_restricted_scope = |scope: &str| {
        scope
            .strip_prefix("/administrativeUnits/")
            .and_then(|unit| tenant.unit(unit))
            .is_some_and(|unit| unit.is_restricted)
    };
    tenant
        .effective_roles(user, now)
        .into_iter()
        .chain(eligible)
        .map(|grant| {
            let role = grant.role.as_str();
            if is_restricted_scope(&grant.scope) {
                Standing::Protected
            } else if LOW_ROLES.contains(&role) {
                Standing::Low
            } else if role == AUTH_ADMIN {
                Standing::AuthAdmin
            } else if USER_ROLES.contains(&role) {
                Standing::UserAdmin
            } else {
                Standing::Protected
            }
        })
        .fold(Standing::Plain, Standing::with)
}

impl Standing {
    fn with(self, other: Self) -> Self {
        match (self, other) {
            (Self::Plain, role) | (role, Self::Plain) => role,
            (Self::Low, role) | (role, Self::Low) => role,
            (a, b) if a == b => a,
            // Nobody but the strongest may manage somebody who is both kinds of administrator.
            _ => Self::Protected,
        }
    }

    fn may_be_managed_with(self, roles: &BTreeSet<&str>) -> bool {
        let has = |role| roles.contains(role);
        let is_strong = has(GLOBAL_ADMIN) || has(PRIVILEGED_AUTH_ADMIN);
        match self {
            Self::Plain | Self::Low => is_strong || has(USER_ADMIN) || has(AUTH_ADMIN),
            Self::AuthAdmin => is_strong || has(AUTH_ADMIN),
            Self::UserAdmin => is_strong || has(USER_ADMIN),
            Self::Protected => is_strong,
        }
    }
}

impl Turn<'_> {
    /// A change that any application with the permission may make, unless a restricted unit
    /// shields the user.
    pub(super) fn may_touch(&self, user: &str) -> Result<(), Refusal> {
        let tenant = self.tenant();
        let is_shielded = !tenant.restricted_units_of(user).is_empty();
        let reach = self.caller.roles_over(tenant, user);
        if is_shielded && !self.standing(user).may_be_managed_with(&reach) {
            return Err(Refusal::restricted());
        }
        // Inside a restricted unit a Global Administrator can be changed by nobody.
        let is_global_admin = tenant.effective_roles(user, self.now).iter().any(|grant| grant.role == GLOBAL_ADMIN);
        if is_shielded && is_global_admin {
            return Err(Refusal::restricted());
        }
        Ok(())
    }

    /// A sensitive action: enable, disable, rename, delete, restore, phones, other mails.
    ///
    /// For a user without roles the permission is enough.
    pub(super) fn may_manage(&self, user: &str) -> Result<(), Refusal> {
        self.may_touch(user)?;
        match self.standing(user) {
            Standing::Plain => Ok(()),
            standing => self.needs_role_over(user, standing),
        }
    }

    /// A password reset, which needs a directory role even for users without any.
    pub(super) fn may_reset_password(&self, user: &str) -> Result<(), Refusal> {
        self.may_touch(user)?;
        self.needs_role_over(user, self.standing(user))
    }

    /// A change to a group's members or owners.
    pub(super) fn may_touch_group(&self, group: &str) -> Result<(), Refusal> {
        let tenant = self.tenant();
        let is_shielded = !tenant.restricted_units_of(group).is_empty();
        if is_shielded && self.caller.roles_over(tenant, group).is_empty() {
            return Err(Refusal::restricted());
        }
        Ok(())
    }

    fn standing(&self, user: &str) -> Standing {
        let eligible_protects = self.world.knobs.eligible_protects;
        standing(self.tenant(), user, eligible_protects, self.now)
    }

    fn needs_role_over(&self, user: &str, standing: Standing) -> Result<(), Refusal> {
        let roles = self.caller.roles_over(self.tenant(), user);
        if standing.may_be_managed_with(&roles) { Ok(()) } else { Err(Refusal::denied()) }
    }
}
