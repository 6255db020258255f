//! What policies give: each must be in the tenant, and in a state in which it can be given.

use std::collections::BTreeSet;

use latchkey_contract::{CallError, Check, EntitlementId, ObjectId, outside::Urgency, text::one_line};

use super::refused;
use crate::{
    Entra,
    api::Call,
    need::{GROUPS, ROLES},
    refusal::Refusal,
    wire::{Group, RoleDefinition},
};

const ROLE: &str = "GET /roleManagement/directory/roleDefinitions/{id}";
const GROUP: &str = "GET /groups/{id}";
const ROLE_PATH: &str = "Entra ID > Roles & admins";
const GROUP_PATH: &str = "Entra ID > Groups";
/// A rulebook gives a few dozen; what is beyond this is not looked at, and said so.
const MOST: usize = 200;

impl Entra {
    pub(super) async fn given_lines(&self, wanted: &BTreeSet<EntitlementId>) -> Vec<Check> {
        let mut lines = Vec::new();
        for entitlement in wanted.iter().take(MOST) {
            lines.extend(match entitlement {
                EntitlementId::Role(id) => self.role_line(entitlement, id).await,
                EntitlementId::Group(id) => self.group_line(entitlement, id).await,
            });
        }
        if let Some(more) = wanted.len().checked_sub(MOST).filter(|more| *more > 0) {
            lines.push(Check::note("roles and groups", format!("{more} more were not looked at")));
        }
        lines
    }

    async fn role_line(&self, entitlement: &EntitlementId, id: &ObjectId) -> Option<Check> {
        let path = ["roleManagement", "directory", "roleDefinitions", id.as_str()];
        let call = Call::new(ROLE, &path).query("$select", "id,displayName,isEnabled");
        let role = match self.graph.get::<RoleDefinition>(&call, Urgency::Ordinary).await {
            Ok(Ok(role)) => role,
            Ok(Err(refusal)) => return not_there(entitlement, &refusal, ROLE_PATH, ROLES),
            Err(error) => return Some(failed(entitlement, &error)),
        };
        let name = one_line(role.display_name.as_deref().unwrap_or_default(), 80);
        Some(match role.is_enabled {
            Some(false) => Check::red(
                entitlement.to_string(),
                format!("{name} is disabled: enable it under {ROLE_PATH}, or take it out of the policy"),
            ),
            _ => Check::ok(entitlement.to_string(), name),
        })
    }

    async fn group_line(&self, entitlement: &EntitlementId, id: &ObjectId) -> Option<Check> {
        let selected = "id,displayName,groupTypes,mailEnabled,securityEnabled,onPremisesSyncEnabled,isAssignableToRole";
        let call = Call::new(GROUP, &["groups", id.as_str()]).query("$select", selected);
        let group = match self.graph.get::<Group>(&call, Urgency::Ordinary).await {
            Ok(Ok(group)) => group,
            Ok(Err(refusal)) => return not_there(entitlement, &refusal, GROUP_PATH, GROUPS),
            Err(error) => return Some(failed(entitlement, &error)),
        };
        Some(match group.unwritable() {
            Some(why) => Check::red(
                entitlement.to_string(),
                format!("{} cannot be given: {why}. Take another group ({GROUP_PATH})", group.name()),
            ),
            None => Check::ok(entitlement.to_string(), group.name()),
        })
    }
}

fn not_there(entitlement: &EntitlementId, refusal: &Refusal, path: &str, need: crate::need::Need) -> Option<Check> {
    // An id that is no GUID earns a 400 from some parts of the vendor.
    if refusal.is_missing() || refusal.status == 400 {
        let to_do = format!("is not in this tenant: see {path}, and correct the policy");
        return Some(Check::red(entitlement.to_string(), to_do));
    }
    refused(entitlement.to_string(), refusal, need)
}

fn failed(entitlement: &EntitlementId, error: &CallError) -> Check {
    Check::failed(entitlement.to_string(), error)
}
