//! The directory roles there are: the built-in ones under their template ids, and custom ones.

use serde_json::json;

use super::answer::{Answer, Refusal};
use super::odata::{Object, Shape, object};
use super::roles::READ;
use super::state::Tenant;
use super::turn::Turn;

/// Built-in roles: template id (which is the definition's id too), name, and whether the vendor
/// calls it privileged.
const BUILT_IN: [(&str, &str, bool); 32] = [
    ("62e90394-69f5-4237-9190-012177145e10", "Global Administrator", true),
    ("e8611ab8-c189-46e8-94e1-60213ab1f814", "Privileged Role Administrator", true),
    ("7be44c8a-adaf-4e2a-84d6-ab2649e08a13", "Privileged Authentication Administrator", true),
    ("fe930be7-5e62-47db-91af-98c3a49a38b1", "User Administrator", true),
    ("c4e39bd9-1100-46d3-8c65-fb160da0071f", "Authentication Administrator", true),
    ("0526716b-113d-4c15-b2c8-68e3c22b9f80", "Authentication Policy Administrator", false),
    ("729827e3-9c14-49f7-bb1b-9608f156bbb8", "Helpdesk Administrator", true),
    ("966707d0-3269-4727-9be2-8c3a10f19b9d", "Password Administrator", true),
    ("194ae4cb-b126-40b2-bd5b-6091b380977d", "Security Administrator", true),
    ("5d6b6bb7-de71-4623-b4af-96380a352509", "Security Reader", true),
    ("29232cdf-9323-42fd-ade2-1d097af3e4de", "Exchange Administrator", false),
    ("f28a1f50-f6e7-4571-818b-6a12f2af6b6c", "SharePoint Administrator", false),
    ("69091246-20e8-4a56-aa4d-066075b2a7a8", "Teams Administrator", false),
    ("3a2c62db-5318-420d-8d74-23affee5d9d5", "Intune Administrator", true),
    ("9b895d92-2cd3-44c7-9d02-a6ac2d5ea5c3", "Application Administrator", true),
    ("158c047a-c907-4556-b7ef-446551a6b5f7", "Cloud Application Administrator", true),
    ("b1be1c3e-b65d-4f19-8427-f6fa0d97feb9", "Conditional Access Administrator", true),
    ("fdd7a751-b60b-444a-984c-02652fe8fa1c", "Groups Administrator", false),
    ("b0f54661-2d74-4c50-afa3-1ec803f12efe", "Billing Administrator", false),
    ("4d6ac14f-3453-41d0-bef9-a3e0c569773a", "License Administrator", false),
    ("f2ef992c-3afb-46b9-b7cf-a126ee74c451", "Global Reader", true),
    ("4a5d8f65-41da-4de4-8968-e035b65339cf", "Reports Reader", false),
    ("7698a772-787b-4ac8-901f-60d6b08affd2", "Cloud Device Administrator", true),
    ("17315797-102d-40b4-93e0-432062caca18", "Compliance Administrator", false),
    ("88d8e3e3-8f55-4a1e-953a-9b9898b8876b", "Directory Readers", false),
    ("f023fd81-a637-4b56-95fd-791ac0226033", "Service Support Administrator", false),
    ("95e79109-95c0-4d8e-aee3-d01accf2d47b", "Guest Inviter", false),
    ("790c1fb9-7f7d-4f88-86a1-ef1f95c05c1b", "Message Center Reader", false),
    ("75934031-6c7e-415a-99d7-48dbd49e875e", "Usage Summary Reports Reader", false),
    ("27460883-1df1-4691-b032-3b79643e5e63", "User Experience Success Manager", false),
    ("4ba39ca4-527c-499a-b93d-d9b492c50246", "Partner Tier1 Support", true),
    ("e00e864a-17c5-4a4b-9c06-f5b95a8d5bd8", "Partner Tier2 Support", true),
];

const DEFINITION: Shape = Shape {
    resource: "UnifiedRoleDefinition",
    defaults: &[],
    is_known: |name| {
        ["id", "templateId", "displayName", "description", "isBuiltIn", "isEnabled", "isPrivileged", "resourceScopes"]
            .contains(&name)
    },
    is_filterable: |path| ["id", "displayName", "isBuiltIn", "isPrivileged"].contains(&path),
    largest_page: 999,
    is_uniform: true,
    expands: &[],
};

/// The display name of a role; empty when there is no such role.
pub(super) fn name_of<'t>(tenant: &'t Tenant, id: &str) -> &'t str {
    let built_in = BUILT_IN.iter().find(|(known, ..)| *known == id);
    let custom = tenant.custom_roles.iter().find(|(known, _)| known == id);
    built_in.map(|(_, name, _)| *name).or(custom.map(|(_, name)| name.as_str())).unwrap_or_default()
}

/// Built-in roles first, then custom ones.
pub(super) fn ids(tenant: &Tenant) -> Vec<&str> {
    let custom = tenant.custom_roles.iter().map(|(id, _)| id.as_str());
    BUILT_IN.iter().map(|(id, ..)| *id).chain(custom).collect()
}

pub(super) fn exists(tenant: &Tenant, id: &str) -> bool {
    !name_of(tenant, id).is_empty()
}

/// A role as the version shows it.
pub(super) fn definition(tenant: &Tenant, id: &str, version: &str) -> Object {
    let built_in = BUILT_IN.iter().find(|(known, ..)| *known == id);
    let mut view = json!({
        "id": id,
        "templateId": id,
        "displayName": name_of(tenant, id),
        "description": format!("{}.", name_of(tenant, id)),
        "isBuiltIn": built_in.is_some(),
        "isEnabled": !tenant.disabled_roles.contains(id),
        "resourceScopes": ["/"],
    });
    // The property exists in beta only.
    if version == "beta" {
        view["isPrivileged"] = json!(built_in.is_some_and(|(.., privileged)| *privileged));
    }
    object(view)
}

/// `GET /roleManagement/directory/roleDefinitions`
pub(super) fn definitions(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let tenant = turn.tenant();
    let items = ids(tenant).into_iter().map(|id| definition(tenant, id, &turn.ask.version)).collect();
    let place = turn.place("roleManagement/directory/roleDefinitions");
    DEFINITION.list(turn.ask, &place, items)
}

/// `GET /roleManagement/directory/roleDefinitions/{id}`
pub(super) fn get_definition(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let (tenant, id) = (turn.tenant(), turn.segment(3));
    if !exists(tenant, id) {
        return Err(Refusal::not_found(id));
    }
    let item = definition(tenant, id, &turn.ask.version);
    let place = turn.place("roleManagement/directory/roleDefinitions");
    DEFINITION.one(turn.ask, &place, item)
}
