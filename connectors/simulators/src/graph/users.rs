//! Reading users: one, many, their groups, what they own.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::odata::{Object, Shape, object};
use super::state::{Group, Tenant};
use super::turn::Turn;

pub(super) const READ: [&str; 4] =
    ["User.Read.All", "User.ReadWrite.All", "Directory.Read.All", "Directory.ReadWrite.All"];

/// Returned when nothing is selected; everything else is "returned only on $select".
pub(super) const DEFAULTS: [&str; 11] = [
    "businessPhones",
    "displayName",
    "givenName",
    "id",
    "jobTitle",
    "mail",
    "mobilePhone",
    "officeLocation",
    "preferredLanguage",
    "surname",
    "userPrincipalName",
];

const SELECTABLE: [&str; 27] = [
    "accountEnabled",
    "ageGroup",
    "city",
    "companyName",
    "country",
    "createdDateTime",
    "creationType",
    "deletedDateTime",
    "department",
    "employeeId",
    "employeeType",
    "isManagementRestricted",
    "lastPasswordChangeDateTime",
    "mailNickname",
    "onPremisesExtensionAttributes",
    "onPremisesImmutableId",
    "onPremisesSyncEnabled",
    "otherMails",
    "passwordPolicies",
    "passwordProfile",
    "postalCode",
    "proxyAddresses",
    "refreshTokensValidFromDateTime",
    "signInSessionsValidFromDateTime",
    "state",
    "usageLocation",
    "userType",
];

const FILTERABLE: [&str; 17] = [
    "id",
    "accountEnabled",
    "companyName",
    "createdDateTime",
    "department",
    "displayName",
    "employeeId",
    "givenName",
    "jobTitle",
    "mail",
    "mailNickname",
    "onPremisesImmutableId",
    "onPremisesSyncEnabled",
    "surname",
    "usageLocation",
    "userPrincipalName",
    "userType",
];

pub(super) const USER: Shape = Shape {
    resource: "User",
    defaults: &DEFAULTS,
    is_known: |name| DEFAULTS.contains(&name) || SELECTABLE.contains(&name) || name.starts_with("extension_"),
    is_filterable: |path| {
        FILTERABLE.contains(&path)
            || path.starts_with("extension_")
            || path.starts_with("onPremisesExtensionAttributes/extensionAttribute")
    },
    largest_page: 999,
    is_uniform: false,
    expands: &[],
};

/// Anything that stands in a list of directory objects.
const DIRECTORY_OBJECT: Shape = Shape {
    resource: "DirectoryObject",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |path| path == "id",
    largest_page: 999,
    is_uniform: false,
    expands: &[],
};

/// `GET /users`
pub(super) fn list(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let is_advanced = turn.ask.is_advanced();
    let tenant = turn.tenant();
    let items = tenant
        .users
        .iter()
        .filter(|user| user.deleted_at.is_none() && user.visible_at <= turn.now)
        .filter(|user| !is_advanced || user.indexed_at <= turn.now)
        .map(|user| user.view(tenant))
        .collect();
    USER.list(turn.ask, &turn.place("users"), items)
}

/// `GET /users/{id}`
pub(super) fn get(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let tenant = turn.tenant();
    let view = turn.user(turn.segment(1))?.view(tenant);
    USER.one(turn.ask, &turn.place("users"), view)
}

/// `GET /users/{id}/memberOf`: groups, tenant-wide roles and units, each by its type.
pub(super) fn member_of(turn: &mut Turn<'_>) -> Answer {
    memberships(turn, false)
}

/// `GET /users/{id}/transitiveMemberOf`: through nested groups too.
pub(super) fn transitive_member_of(turn: &mut Turn<'_>) -> Answer {
    memberships(turn, true)
}

fn memberships(turn: &mut Turn<'_>, transitive: bool) -> Answer {
    turn.caller.needs(&READ)?;
    let id = turn.user_id()?;
    let tenant = turn.tenant();
    let wanted = match turn.ask.segments.get(3).map(String::as_str) {
        None => None,
        Some(
            cast @ ("microsoft.graph.group" | "microsoft.graph.directoryRole" | "microsoft.graph.administrativeUnit"),
        ) => Some(format!("#{cast}")),
        Some(other) => return Err(Refusal::no_segment(other)),
    };
    let mut items: Vec<Object> = tenant.groups_of(&id, transitive).into_iter().map(group_object).collect();
    items.extend(role_objects(tenant, &id, turn.now));
    items.extend(unit_objects(tenant, &id));
    items.retain(|item| wanted.as_ref().is_none_or(|w| item["@odata.type"] == *w));
    DIRECTORY_OBJECT.list(turn.ask, &turn.place("directoryObjects"), items)
}

/// `GET /users/{id}/ownedObjects`
pub(super) fn owned_objects(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let id = turn.user_id()?;
    let items = turn.tenant().groups.iter().filter(|group| group.owners.contains(&id)).map(group_object).collect();
    DIRECTORY_OBJECT.list(turn.ask, &turn.place("directoryObjects"), items)
}

fn group_object(group: &Group) -> Object {
    let mut object = group.view();
    object.insert("@odata.type".into(), json!("#microsoft.graph.group"));
    object
}

fn role_objects(tenant: &Tenant, user: &str, now: i64) -> Vec<Object> {
    tenant
        .active_roles_of(user, now)
        .into_iter()
        .filter(|grant| grant.scope == "/")
        .map(|grant| {
            typed(
                "#microsoft.graph.directoryRole",
                json!({
                    "id": grant.role,
                    "displayName": super::role_definitions::name_of(tenant, &grant.role),
                    "roleTemplateId": grant.role,
                }),
            )
        })
        .collect()
}

fn unit_objects(tenant: &Tenant, user: &str) -> Vec<Object> {
    tenant
        .units
        .iter()
        .filter(|unit| unit.members.iter().any(|member| member == user))
        .map(|unit| {
            typed("#microsoft.graph.administrativeUnit", json!({"id": unit.id, "displayName": unit.display_name}))
        })
        .collect()
}

fn typed(kind: &str, view: Value) -> Object {
    let mut view = object(view);
    view.insert("@odata.type".into(), json!(kind));
    view
}
