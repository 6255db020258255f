//! Reading PIM: requests, schedules, instances and eligibilities. Policies are in `pim_policies`.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::odata::{Shape, object};
use super::pim_rules::{needs, needs_licence};
use super::roles::{self, ASSIGNMENT};
use super::state::RoleGrant;
use super::time::iso;
use super::turn::Turn;

const READ: [&str; 6] = [
    "RoleAssignmentSchedule.Read.Directory",
    "RoleAssignmentSchedule.ReadWrite.Directory",
    "RoleManagement.Read.All",
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
    "RoleEligibilitySchedule.Read.Directory",
];
const REQUESTS: &str = "roleManagement/directory/roleAssignmentScheduleRequests";

/// Requests can be filtered by their status too.
const REQUEST: Shape = Shape {
    resource: "UnifiedRoleAssignmentScheduleRequest",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |path| {
        ["id", "principalId", "roleDefinitionId", "directoryScopeId", "status", "action"].contains(&path)
    },
    largest_page: 999,
    is_uniform: true,
    expands: &[],
};

/// `GET /roleManagement/directory/roleAssignmentScheduleRequests`
pub(super) fn requests(turn: &mut Turn<'_>) -> Answer {
    readable(turn)?;
    let items = turn.tenant().requests.iter().map(|request| object(request.view(turn.now))).collect();
    REQUEST.list(turn.ask, &turn.place(REQUESTS), items)
}

/// `GET /roleManagement/directory/roleAssignmentScheduleRequests/{id}`
pub(super) fn request(turn: &mut Turn<'_>) -> Answer {
    readable(turn)?;
    let id = turn.segment(3);
    let found = turn.tenant().requests.iter().find(|r| r.id == id);
    let item = object(found.ok_or_else(|| Refusal::not_found(id))?.view(turn.now));
    REQUEST.one(turn.ask, &turn.place(REQUESTS), item)
}

/// `GET /roleManagement/directory/roleAssignmentSchedules`: active ones and those still to come.
pub(super) fn schedules(turn: &mut Turn<'_>) -> Answer {
    readable(turn)?;
    let tenant = turn.tenant();
    let items = tenant
        .roles
        .iter()
        .filter(|grant| !tenant.is_in_bin(&grant.principal))
        .map(|grant| roles::expanded(turn, schedule_view(grant), grant))
        .collect();
    let place = turn.place("roleManagement/directory/roleAssignmentSchedules");
    ASSIGNMENT.list(turn.ask, &place, items)
}

/// `GET /roleManagement/directory/roleAssignmentScheduleInstances`: what is active now.
pub(super) fn instances(turn: &mut Turn<'_>) -> Answer {
    readable(turn)?;
    let items = turn
        .tenant()
        .active_roles(turn.now)
        .map(|grant| {
            let mut view = instance_view(grant);
            view["assignmentType"] = json!("Assigned");
            view["roleAssignmentOriginId"] = json!(grant.id);
            view["roleAssignmentScheduleId"] = json!(grant.schedule.as_ref().unwrap_or(&grant.id));
            roles::expanded(turn, view, grant)
        })
        .collect();
    let place = turn.place("roleManagement/directory/roleAssignmentScheduleInstances");
    ASSIGNMENT.list(turn.ask, &place, items)
}

/// `GET /roleManagement/directory/roleEligibilityScheduleInstances`
pub(super) fn eligibilities(turn: &mut Turn<'_>) -> Answer {
    readable(turn)?;
    let tenant = turn.tenant();
    let items = tenant
        .eligibilities
        .iter()
        .filter(|grant| grant.is_active(turn.now) && !tenant.is_in_bin(&grant.principal))
        .map(|grant| {
            let mut view = instance_view(grant);
            view["roleEligibilityScheduleId"] = json!(grant.schedule.as_ref().unwrap_or(&grant.id));
            roles::expanded(turn, view, grant)
        })
        .collect();
    let place = turn.place("roleManagement/directory/roleEligibilityScheduleInstances");
    ASSIGNMENT.list(turn.ask, &place, items)
}

fn readable(turn: &Turn<'_>) -> Result<(), Refusal> {
    needs(turn, &READ)?;
    needs_licence(turn)
}

fn schedule_view(grant: &RoleGrant) -> Value {
    json!({
        "id": grant.schedule.as_ref().unwrap_or(&grant.id),
        "principalId": grant.principal,
        "roleDefinitionId": grant.role,
        "directoryScopeId": grant.scope,
        "appScopeId": null,
        "createdUsing": grant.schedule,
        "createdDateTime": iso(grant.created),
        "modifiedDateTime": null,
        "status": "Provisioned",
        "assignmentType": "Assigned",
        "memberType": "Direct",
        "scheduleInfo": {
            "startDateTime": iso(grant.start),
            "recurrence": null,
            "expiration": {
                "type": if grant.end.is_some() { "afterDateTime" } else { "noExpiration" },
                "endDateTime": grant.end.map(iso),
                "duration": null,
            },
        },
    })
}

fn instance_view(grant: &RoleGrant) -> Value {
    json!({
        "id": grant.id,
        "principalId": grant.principal,
        "roleDefinitionId": grant.role,
        "directoryScopeId": grant.scope,
        "appScopeId": null,
        "startDateTime": iso(grant.start),
        "endDateTime": grant.end.map(iso),
        "memberType": "Direct",
    })
}
