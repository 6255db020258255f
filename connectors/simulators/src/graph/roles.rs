//! Directory roles: assignments given and taken directly. Definitions are in `role_definitions`.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::events::What;
use super::filter::Filter;
use super::odata::{Object, Shape, object};
use super::role_definitions::{definition, exists};
use super::state::RoleGrant;
use super::turn::Turn;

pub(super) const READ: [&str; 5] = [
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
    "RoleManagement.Read.All",
    "Directory.Read.All",
    "Directory.ReadWrite.All",
];
pub(super) const WRITE: [&str; 1] = ["RoleManagement.ReadWrite.Directory"];

/// Assignments and everything of PIM's that is listed by principal.
pub(super) const ASSIGNMENT: Shape = Shape {
    resource: "UnifiedRoleAssignment",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |path| ["id", "principalId", "roleDefinitionId", "directoryScopeId"].contains(&path),
    largest_page: 999,
    is_uniform: true,
    expands: &["roleDefinition", "principal"],
};

impl RoleGrant {
    fn view(&self) -> Value {
        json!({
            "id": self.id,
            "principalId": self.principal,
            "roleDefinitionId": self.role,
            "directoryScopeId": self.scope,
            "appScopeId": null,
            "condition": null,
        })
    }
}

/// Adds what `$expand` asks for.
pub(super) fn expanded(turn: &Turn<'_>, mut view: Value, grant: &RoleGrant) -> Object {
    let tenant = turn.tenant();
    match turn.ask.option("$expand") {
        Some("roleDefinition") => {
            let role = definition(tenant, &grant.role, &turn.ask.version);
            view["roleDefinition"] = Value::Object(role);
        }
        Some("principal") => {
            view["principal"] = match (tenant.user(&grant.principal), tenant.group(&grant.principal)) {
                (Some(user), _) => Value::Object(user.view(tenant)),
                (None, Some(group)) => Value::Object(group.view()),
                (None, None) => json!({"id": grant.principal}),
            };
        }
        _ => {}
    }
    object(view)
}

/// `GET /roleManagement/directory/roleAssignments`: direct ones, and PIM's while they are active.
pub(super) fn list(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    if turn.ask.option("$filter").is_none() {
        let message = "The request must contain a filter on principalId, roleDefinitionId or directoryScopeId.";
        return Err(Refusal::bad_request(message));
    }
    let filter = turn.ask.option("$filter").and_then(Filter::parse);
    let principal = filter.as_ref().and_then(|filter| filter.pinned("principalId")?.as_str());
    let grants: Vec<&RoleGrant> = match principal {
        Some(principal) => turn.tenant().active_roles_of(principal, turn.now),
        None => turn.tenant().active_roles(turn.now).collect(),
    };
    let items = grants.into_iter().map(|grant| expanded(turn, grant.view(), grant)).collect();
    let place = turn.place("roleManagement/directory/roleAssignments");
    ASSIGNMENT.list(turn.ask, &place, items)
}

/// `GET /roleManagement/directory/roleAssignments/{id}`
pub(super) fn get(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let id = turn.segment(3);
    let grant =
        turn.tenant().active_roles(turn.now).find(|grant| grant.id == id).ok_or_else(|| Refusal::not_found(id))?;
    let item = expanded(turn, grant.view(), grant);
    let place = turn.place("roleManagement/directory/roleAssignments");
    ASSIGNMENT.one(turn.ask, &place, item)
}

/// `GET /roleManagement/directory/transitiveRoleAssignments`: through groups too.
pub(super) fn transitive(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&READ)?;
    let filter = ASSIGNMENT.filter(turn.ask)?;
    let principal = filter
        .as_ref()
        .and_then(|filter| filter.pinned("principalId"))
        .and_then(Value::as_str)
        .filter(|_| turn.ask.is_advanced())
        .ok_or_else(|| {
            Refusal::bad_request(
                "The request must carry ConsistencyLevel: eventual, $count=true and a filter on principalId.",
            )
        })?
        .to_owned();
    let items = turn
        .tenant()
        .effective_roles(&principal, turn.now)
        .into_iter()
        .filter(|_| !turn.tenant().is_in_bin(&principal))
        .map(|grant| {
            // Seen from the principal: a role that comes through a group counts as its own.
            let mut view = expanded(turn, grant.view(), grant);
            view.insert("principalId".into(), json!(principal));
            view
        })
        .collect();
    let place = turn.place("roleManagement/directory/transitiveRoleAssignments");
    ASSIGNMENT.list(turn.ask, &place, items)
}

/// What a body must say to give somebody a role.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) principal: String,
    pub(super) role: String,
    pub(super) scope: String,
}

impl Wanted {
    pub(super) fn read(body: &Object) -> Result<Self, Refusal> {
        let text = |name: &str| {
            body.get(name)
                .and_then(Value::as_str)
                .filter(|text| !text.is_empty())
                .map(ToOwned::to_owned)
                .ok_or_else(|| Refusal::bad_request(format!("The property '{name}' is required.")))
        };
        Ok(Self { principal: text("principalId")?, role: text("roleDefinitionId")?, scope: text("directoryScopeId")? })
    }

    pub(super) fn is(&self, grant: &RoleGrant) -> bool {
        grant.principal == self.principal && grant.role == self.role && grant.scope == self.scope
    }

    pub(super) fn check_scope(&self, turn: &Turn<'_>) -> Result<(), Refusal> {
        let is_app = |id: &str| turn.world.registrations.values().any(|app| app.object_id == id);
        let is_known = match self.scope.strip_prefix("/administrativeUnits/") {
            Some(unit) => turn.tenant().unit(unit).is_some(),
            None => self.scope == "/" || self.scope.strip_prefix('/').is_some_and(is_app),
        };
        if is_known { Ok(()) } else { Err(Refusal::bad_request("The directoryScopeId is invalid.")) }
    }
}

/// `POST /roleManagement/directory/roleAssignments`
pub(super) fn create(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&WRITE)?;
    let wanted = Wanted::read(&turn.ask.object()?)?;
    if !exists(turn.tenant(), &wanted.role) {
        return Err(Refusal::not_found(&wanted.role));
    }
    if !turn.tenant().has_principal(&wanted.principal, turn.now) {
        return Err(Refusal::not_found(&wanted.principal));
    }
    wanted.check_scope(turn)?;
    let is_plain_group = turn.tenant().group(&wanted.principal).is_some_and(|group| !group.is_assignable_to_role);
    if is_plain_group {
        let message = "The group cannot be assigned to a role: isAssignableToRole is not set.";
        return Err(Refusal::bad_request(message));
    }
    let now = turn.now;
    if turn.tenant().active_roles(now).any(|grant| wanted.is(grant)) {
        return Err(Refusal::conflicting_object());
    }
    let grant = RoleGrant {
        id: turn.world.mint.assignment_id(),
        principal: wanted.principal,
        role: wanted.role,
        scope: wanted.scope,
        created: now,
        start: now,
        end: None,
        schedule: None,
    };
    record_assigned(turn, &grant);
    let mut view = grant.view();
    let location = turn.url(&format!("roleManagement/directory/roleAssignments/{}", grant.id));
    view["@odata.context"] = json!(turn.context("roleManagement/directory/roleAssignments/$entity"));
    turn.tenant_mut().roles.push(grant);
    Reply::created(view, location)
}

/// `DELETE /roleManagement/directory/roleAssignments/{id}`
pub(super) fn delete(turn: &mut Turn<'_>) -> Answer {
    turn.caller.needs(&WRITE)?;
    let id = turn.segment(3).to_owned();
    let grant = turn
        .tenant()
        .active_roles(turn.now)
        .find(|grant| grant.id == id)
        .cloned()
        .ok_or_else(|| Refusal::not_found(&id))?;
    if grant.schedule.is_some() && !turn.world.knobs.delete_ends_pim {
        let message =
            "The role assignment is managed by Privileged Identity Management and cannot be removed directly.";
        return Err(Refusal::bad_request(message));
    }
    turn.tenant_mut().roles.retain(|grant| grant.id != id);
    record_removed(turn, &grant);
    Reply::no_content()
}

pub(super) fn record_assigned(turn: &mut Turn<'_>, grant: &RoleGrant) {
    turn.record(What::RoleAssigned, &grant.principal, detail(grant));
}

pub(super) fn record_removed(turn: &mut Turn<'_>, grant: &RoleGrant) {
    turn.record(What::RoleRemoved, &grant.principal, detail(grant));
}

/// A role in the event log: which, where, from and until when (null is for ever).
pub(super) fn detail(grant: &RoleGrant) -> Value {
    json!({
        "roleDefinitionId": grant.role,
        "directoryScopeId": grant.scope,
        "start_ms": grant.start,
        "end_ms": grant.end,
        "pim": grant.schedule.is_some(),
    })
}
