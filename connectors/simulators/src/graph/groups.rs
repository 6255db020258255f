//! Groups: read, list, and their members.

use serde_json::{Value, json};

use super::answer::{Answer, DENIED, Refusal, Reply};
use super::events::What;
use super::odata::{Object, Shape};
use super::state::Group;
use super::turn::Turn;

const READ: [&str; 6] = [
    "GroupMember.Read.All",
    "GroupMember.ReadWrite.All",
    "Group.Read.All",
    "Group.ReadWrite.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
const WRITE: [&str; 3] = ["GroupMember.ReadWrite.All", "Group.ReadWrite.All", "Directory.ReadWrite.All"];
const OWNERS: [&str; 2] = ["Group.ReadWrite.All", "Directory.ReadWrite.All"];
const ROLES: [&str; 1] = ["RoleManagement.ReadWrite.Directory"];

const PROPERTIES: [&str; 8] = [
    "id",
    "displayName",
    "groupTypes",
    "isAssignableToRole",
    "isManagementRestricted",
    "mailEnabled",
    "onPremisesSyncEnabled",
    "securityEnabled",
];

const GROUP: Shape = Shape {
    resource: "Group",
    defaults: &[],
    is_known: |name| PROPERTIES.contains(&name),
    is_filterable: |path| {
        ["id", "displayName", "isAssignableToRole", "mailEnabled", "onPremisesSyncEnabled", "securityEnabled"]
            .contains(&path)
    },
    largest_page: 999,
    is_uniform: true,
    expands: &[],
};

impl Group {
    pub(super) fn view(&self) -> Object {
        let kinds = if self.is_dynamic { json!(["DynamicMembership"]) } else { json!([]) };
        [
            ("id", json!(self.id)),
            ("displayName", json!(self.display_name)),
            ("groupTypes", kinds),
            ("isAssignableToRole", self.is_assignable_to_role.then_some(true).into()),
            ("mailEnabled", json!(self.is_mail_enabled)),
            ("onPremisesSyncEnabled", self.is_synced.then_some(true).into()),
            ("securityEnabled", json!(true)),
        ]
        .into_iter()
        .map(|(name, value): (&str, Value)| (name.to_owned(), value))
        .collect()
    }
}

/// `GET /groups`
pub(super) fn list(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let items = turn.tenant().groups.iter().map(|g| seen(turn, g)).collect();
    GROUP.list(turn.ask, &turn.place("groups"), items)
}

/// `GET /groups/{id}`
pub(super) fn get(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let item = seen(turn, group(turn)?);
    GROUP.one(turn.ask, &turn.place("groups"), item)
}

fn seen(turn: &Turn<'_>, group: &Group) -> Object {
    let mut view = group.view();
    let is_restricted = !turn.tenant().restricted_units_of(&group.id).is_empty();
    view.insert("isManagementRestricted".into(), json!(is_restricted));
    view
}

/// `GET /groups/{id}/members`
pub(super) fn members(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let ids = group(turn)?.members.clone();
    list_users_and_groups(turn, &ids)
}

/// `GET /groups/{id}/owners`
pub(super) fn owners(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let ids = group(turn)?.owners.clone();
    list_users_and_groups(turn, &ids)
}

fn list_users_and_groups(turn: &Turn<'_>, ids: &[String]) -> Answer {
    let tenant = turn.tenant();
    let items = ids
        .iter()
        .filter_map(|id| {
            let (kind, mut view) = match (tenant.user(id), tenant.group(id)) {
                (Some(user), _) => ("#microsoft.graph.user", user.view(tenant)),
                (None, Some(group)) => ("#microsoft.graph.group", group.view()),
                (None, None) => return None,
            };
            view.insert("@odata.type".into(), json!(kind));
            Some(view)
        })
        .collect();
    super::users::USER.list(turn.ask, &turn.place("directoryObjects"), items)
}

/// `POST /groups/{id}/members/$ref`
pub(super) fn add_member(turn: &mut Turn<'_>) -> Answer {
    let group = writable(turn)?;
    let body = turn.ask.object()?;
    let member = referenced(&body)?;
    if !turn.tenant().has_principal(&member, turn.now) {
        return Err(Refusal::not_found(&member));
    }
    let found = turn.tenant().group(&group);
    if found.is_some_and(|g| g.members.contains(&member)) {
        let message =
            "One or more added object references already exist for the following modified properties: 'members'.";
        return Err(Refusal::bad_request(message));
    }
    let would_nest = found.is_some_and(|g| g.is_assignable_to_role) && turn.tenant().group(&member).is_some();
    if would_nest {
        let message = "Nesting is currently not supported for groups that can be assigned to a role.";
        return Err(Refusal::new(400, "NestingNotSupportedForRoleAssignableGroup", message));
    }
    if let Some(group) = turn.tenant_mut().group_mut(&group) {
        group.members.push(member.clone());
    }
    turn.record(What::MemberAdded, &member, json!({"group": group}));
    Reply::no_content()
}

/// `DELETE /groups/{id}/members/{member}/$ref`
pub(super) fn remove_member(turn: &mut Turn<'_>) -> Answer {
    let group = writable(turn)?;
    let member = turn.segment(3).to_owned();
    let is_member = turn.tenant().group(&group).is_some_and(|g| g.members.contains(&member));
    if !is_member {
        return Err(Refusal::not_found(&member));
    }
    if let Some(group) = turn.tenant_mut().group_mut(&group) {
        group.members.retain(|id| *id != member);
    }
    turn.record(What::MemberRemoved, &member, json!({"group": group}));
    Reply::no_content()
}

/// `DELETE /groups/{id}/owners/{owner}/$ref`: the last owner cannot be removed.
pub(super) fn remove_owner(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&OWNERS)?;
    let owner = turn.segment(3).to_owned();
    let id = turn.segment(1).to_owned();
    let owners = &group(turn)?.owners;
    if !owners.contains(&owner) {
        return Err(Refusal::not_found(&owner));
    }
    if owners.len() == 1 {
        let message = "The group must have at least one owner, hence this owner cannot be removed.";
        return Err(Refusal::bad_request(message));
    }
    turn.may_touch_group(&id)?;
    if let Some(group) = turn.tenant_mut().group_mut(&id) {
        group.owners.retain(|known| *known != owner);
    }
    turn.record(What::MemberRemoved, &owner, json!({"group": id, "as": "owner"}));
    Reply::no_content()
}

/// `DELETE /groups/{id}/members/{member}` without `/$ref`: deletes the member itself.
pub(super) fn delete_member_object(turn: &mut Turn<'_>) -> Answer {
    let member = turn.segment(3).to_owned();
    let is_member = group(turn)?.members.contains(&member);
    if !is_member || turn.tenant().user(&member).is_none() {
        return Err(Refusal::not_found(&member));
    }
    super::recycle_bin::delete_user(turn, &member)
}

fn group<'t>(turn: &'t Turn<'_>) -> Result<&'t Group, Refusal> {
    let id = turn.segment(1);
    turn.tenant().group(id).ok_or_else(|| Refusal::not_found(id))
}

/// The id of the group in the path, if the caller may write its members.
fn writable(turn: &Turn<'_>) -> Result<String, Refusal> {
    turn.caller.needs(&WRITE)?;
    let group = group(turn)?;
    if group.is_assignable_to_role {
        turn.caller.needs(&ROLES)?;
    }
    turn.may_touch_group(&group.id)?;
    if group.is_dynamic {
        let message =
            "Insufficient privileges to complete the operation. Members of a dynamic group cannot be changed.";
        return Err(Refusal::new(403, DENIED, message));
    }
    if group.is_synced {
        let message = "Unable to update the specified properties for on-premises mastered Directory Sync objects or objects currently undergoing migration.";
        return Err(Refusal::bad_request(message));
    }
    if group.is_mail_enabled {
        let message = "Cannot Update a mail-enabled security groups and or distribution list.";
        return Err(Refusal::bad_request(message));
    }
    Ok(group.id.clone())
}

/// The object id at the end of an `@odata.id`.
fn referenced(body: &Object) -> Result<String, Refusal> {
    let (collection, id) = body
        .get("@odata.id")
        .and_then(Value::as_str)
        .and_then(|link| link.rsplit_once('/'))
        .filter(|(_, id)| !id.is_empty())
        .ok_or_else(|| Refusal::bad_request("Invalid URL format specified in payload."))?;
    let is_known =
        ["directoryObjects", "users", "groups", "servicePrincipals"].iter().any(|name| collection.ends_with(name));
    if is_known { Ok(id.to_owned()) } else { Err(Refusal::bad_request("Invalid URL format specified in payload.")) }
}
