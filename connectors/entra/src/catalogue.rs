//! What may be given in this tenant, and which accounts carry our mark.

use latchkey_contract::{
    AccountId, CallError, EntitlementId,
    directory::{Entitlement, Marked},
    outside::Urgency,
    text::one_line,
};

use crate::{
    Entra,
    api::{Call, Reply},
    need,
    observe::object_id,
    settings::Mark,
    wire::{Group, RoleDefinition, User},
};

const ROLES: &str = "GET /roleManagement/directory/roleDefinitions";
const GROUPS: &str = "GET /groups";
const USERS: &str = "GET /users";

/// Roles that the vendor deprecated and asks nobody to use: Partner Tier1 and Tier2 Support.
const DEPRECATED: [&str; 2] = ["4ba39ca4-527c-499a-b93d-d9b492c50246", "e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8"];

/// Built-in roles (template ids) that give no power over others, for tenants whose beta endpoint does not say which are
/// privileged: Directory Readers, Reports Reader. Every other role then counts as privileged.
pub(crate) const PLAIN: [&str; 2] = ["88d8e3e3-8f55-4a1e-953a-9b9898b8876b", "4a5d8f65-41da-4de4-8968-e035b65339cf"];

impl Entra {
    /// Roles, then groups, each by name. Groups are left out, with a warning, where the app may not read them.
    pub(crate) async fn list_entitlements(&self) -> Result<Vec<Entitlement>, CallError> {
        let mut roles: Vec<Entitlement> = Vec::new();
        for role in self.role_definitions().await? {
            if role.is_enabled != Some(false) && !DEPRECATED.contains(&role.id.as_str()) {
                roles.push(Entitlement {
                    id: EntitlementId::Role(object_id(ROLES, &role.id)?),
                    name: one_line(role.display_name.as_deref().unwrap_or(&role.id), 120),
                    is_privileged: is_privileged(&role),
                });
            }
        }
        let mut groups: Vec<Entitlement> = Vec::new();
        for group in self.assigned_groups().await? {
            groups.push(Entitlement {
                id: EntitlementId::Group(object_id(GROUPS, &group.id)?),
                name: group.name(),
                is_privileged: group.is_assignable_to_role == Some(true),
            });
        }
        roles.sort_by(|a, b| a.name.cmp(&b.name));
        groups.sort_by(|a, b| a.name.cmp(&b.name));
        roles.extend(groups);
        Ok(roles)
    }

    /// Backs [`latchkey_contract::Directory::find_marked`]. The index behind this filter lags by some minutes.
    pub(crate) async fn list_marked(&self) -> Result<Vec<Marked>, CallError> {
        let (selected, filtered) = match &self.settings.mark {
            Mark::OnPremises(name) => {
                ("onPremisesExtensionAttributes".to_owned(), format!("onPremisesExtensionAttributes/{name}"))
            }
            Mark::Extension(name) => (name.clone(), name.clone()),
        };
        let call = Call::new(USERS, &["users"])
            .query("$filter", format!("{filtered} ne null"))
            .query("$select", format!("id,userPrincipalName,accountEnabled,{selected}"))
            .query("$top", "999")
            .advanced();
        let users: Vec<User> = allowed(self.graph.list(&call, Urgency::Removal).await, need::ACCOUNTS)?;
        let marked = users.iter().filter(|user| self.mark_of(user).is_some());
        marked
            .map(|user| {
                Ok(Marked {
                    mark: self.mark_of(user).and_then(|mark| AccountId::parse(mark).ok()),
                    object: object_id(USERS, &user.id)?,
                    name: user.user_principal_name.clone(),
                    is_enabled: user.account_enabled != Some(false),
                })
            })
            .collect()
    }

    /// Only beta says which roles are privileged; where it does not answer, v1.0 and our own list must do.
    async fn role_definitions(&self) -> Result<Vec<RoleDefinition>, CallError> {
        let call = Call::new(ROLES, &["roleManagement", "directory", "roleDefinitions"]);
        let beta = call.clone().beta().query("$select", "id,displayName,isEnabled,isPrivileged");
        if let Ok(Ok(roles)) = self.graph.list(&beta, Urgency::Ordinary).await {
            return Ok(roles);
        }
        let plain = call.query("$select", "id,displayName,isEnabled");
        allowed(self.graph.list(&plain, Urgency::Ordinary).await, need::ROLES)
    }

    async fn assigned_groups(&self) -> Result<Vec<Group>, CallError> {
        let call = Call::new(GROUPS, &["groups"])
            .query(
                "$select",
                "id,displayName,groupTypes,mailEnabled,securityEnabled,onPremisesSyncEnabled,isAssignableToRole",
            )
            .query("$top", "999");
        let groups: Vec<Group> = match self.graph.list(&call, Urgency::Ordinary).await? {
            Ok(groups) => groups,
            Err(refusal) if refusal.is_forbidden() => {
                tracing::warn!(code = refusal.explain(need::GROUPS), "groups cannot be read and are left out");
                vec![]
            }
            Err(refusal) => return Err(refusal.into_error(need::GROUPS)),
        };
        let is_given_here =
            |g: &Group| g.security_enabled == Some(true) && g.mail_enabled != Some(true) && g.unwritable().is_none();
        Ok(groups.into_iter().filter(is_given_here).collect())
    }
}

fn is_privileged(role: &RoleDefinition) -> bool {
    role.is_privileged.unwrap_or_else(|| !PLAIN.contains(&role.id.as_str()))
}

fn allowed<T>(reply: Reply<T>, need: need::Need) -> Result<T, CallError> {
    reply?.map_err(|refusal| refusal.into_error(need))
}
