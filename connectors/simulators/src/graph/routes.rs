//! The one table of paths: which function answers which request, under which name and at what cost.

use super::answer::Answer;
use super::ask::Ask;
use super::turn::Turn;
use super::{
    groups, methods, pim, pim_eligible, pim_policies, pim_read, recycle_bin, role_definitions, roles, units, users,
    users_write,
};

/// An operation of the vendor's.
#[derive(Clone, Copy)]
pub(super) struct Route {
    /// Method and path template; the name that faults and the call log use.
    pub(super) op: &'static str,
    pub(super) run: fn(&mut Turn<'_>) -> Answer,
    /// Resource units before `$select` and `$top`.
    pub(super) cost: u32,
}

/// Method and path template, the function, and the cost in resource units.
type Row = (&'static str, fn(&mut Turn<'_>) -> Answer, u32);

const TEMPLATES: &[Row] = &[
    ("GET /organization", units::organization, 1),
    ("GET /domains", units::domains, 1),
    ("POST /users", users_write::create, 1),
    ("GET /users", users::list, 2),
    ("GET /users/{id}", users::get, 2),
    ("PATCH /users/{id}", users_write::update, 1),
    ("DELETE /users/{id}", recycle_bin::delete, 1),
    ("POST /users/{id}/revokeSignInSessions", users_write::revoke_sessions, 1),
    ("POST /users/{id}/microsoft.graph.revokeSignInSessions", users_write::revoke_sessions, 1),
    ("GET /users/{id}/memberOf", users::member_of, 2),
    ("GET /users/{id}/memberOf/{type}", users::member_of, 2),
    ("GET /users/{id}/transitiveMemberOf", users::transitive_member_of, 5),
    ("GET /users/{id}/transitiveMemberOf/{type}", users::transitive_member_of, 5),
    ("GET /users/{id}/ownedObjects", users::owned_objects, 1),
    ("GET /users/{id}/authentication/methods", methods::list, 1),
    ("POST /users/{id}/authentication/temporaryAccessPassMethods", methods::create_tap, 1),
    ("GET /users/{id}/authentication/{methods}", methods::list_kind, 1),
    ("DELETE /users/{id}/authentication/{methods}/{method}", methods::delete, 1),
    ("GET /directory/deletedItems/microsoft.graph.user", recycle_bin::list_deleted, 1),
    ("GET /directory/deletedItems/{id}", recycle_bin::get_deleted, 1),
    ("POST /directory/deletedItems/{id}/restore", recycle_bin::restore, 1),
    ("POST /directory/deletedItems/{id}/microsoft.graph.restore", recycle_bin::restore, 1),
    ("DELETE /directory/deletedItems/{id}", recycle_bin::purge, 1),
    ("GET /directory/administrativeUnits", units::list, 1),
    ("GET /directory/administrativeUnits/{id}", units::get, 1),
    ("GET /directory/administrativeUnits/{id}/members", units::members, 1),
    ("GET /directory/administrativeUnits/{id}/members/{type}", units::members, 1),
    ("GET /groups", groups::list, 1),
    ("GET /groups/{id}", groups::get, 1),
    ("GET /groups/{id}/members", groups::members, 3),
    ("GET /groups/{id}/owners", groups::owners, 2),
    ("POST /groups/{id}/members/$ref", groups::add_member, 1),
    ("DELETE /groups/{id}/members/{member}/$ref", groups::remove_member, 1),
    ("DELETE /groups/{id}/members/{member}", groups::delete_member_object, 1),
    ("DELETE /groups/{id}/owners/{owner}/$ref", groups::remove_owner, 1),
    ("GET /roleManagement/directory/roleDefinitions", role_definitions::definitions, 1),
    ("GET /roleManagement/directory/roleDefinitions/{id}", role_definitions::get_definition, 1),
    ("GET /roleManagement/directory/roleAssignments", roles::list, 1),
    ("POST /roleManagement/directory/roleAssignments", roles::create, 1),
    ("GET /roleManagement/directory/roleAssignments/{id}", roles::get, 1),
    ("DELETE /roleManagement/directory/roleAssignments/{id}", roles::delete, 1),
    ("GET /roleManagement/directory/transitiveRoleAssignments", roles::transitive, 1),
    ("GET /roleManagement/directory/roleAssignmentScheduleRequests", pim_read::requests, 1),
    ("POST /roleManagement/directory/roleAssignmentScheduleRequests", pim::request, 1),
    ("GET /roleManagement/directory/roleAssignmentScheduleRequests/{id}", pim_read::request, 1),
    ("POST /roleManagement/directory/roleAssignmentScheduleRequests/{id}/cancel", pim::cancel, 1),
    ("GET /roleManagement/directory/roleAssignmentSchedules", pim_read::schedules, 1),
    ("GET /roleManagement/directory/roleAssignmentScheduleInstances", pim_read::instances, 1),
    ("GET /roleManagement/directory/roleEligibilityScheduleInstances", pim_read::eligibilities, 1),
    ("POST /roleManagement/directory/roleEligibilityScheduleRequests", pim_eligible::request, 1),
    ("GET /policies/roleManagementPolicyAssignments", pim_policies::policy_assignments, 1),
    ("GET /policies/roleManagementPolicies/{id}/rules", pim_policies::policy_rules, 1),
    (
        "GET /policies/authenticationMethodsPolicy/authenticationMethodConfigurations/temporaryAccessPass",
        methods::tap_policy,
        1,
    ),
    ("GET /servicePrincipals", units::list_service_principals, 1),
    ("GET /servicePrincipals/{id}", units::service_principal, 1),
    ("GET /applications", units::list_applications, 1),
    ("GET /applications/{id}/extensionProperties", units::list_extensions, 1),
    ("POST /applications/{id}/extensionProperties", units::add_extension, 1),
];

/// The operation a request names; `None` when the vendor would not know the path either.
pub(super) fn find(ask: &Ask) -> Option<Route> {
    if !["v1.0", "beta"].contains(&ask.version.as_str()) {
        return None;
    }
    TEMPLATES.iter().find(|(op, ..)| fits(op, ask)).map(|(op, run, cost)| Route { op, run: *run, cost: *cost })
}

fn fits(op: &str, ask: &Ask) -> bool {
    let Some((method, path)) = op.split_once(" /") else {
        return false;
    };
    let template: Vec<&str> = path.split('/').collect();
    method == ask.method
        && template.len() == ask.segments.len()
        && template
            .iter()
            .zip(&ask.segments)
            .all(|(want, have)| want.starts_with('{') || want.eq_ignore_ascii_case(have))
}

impl Route {
    /// What the request costs in resource units.
    pub(super) fn units(&self, ask: &Ask) -> u32 {
        let few = ask.option("$top").and_then(|top| top.parse::<u32>().ok()).is_some_and(|top| top < 20);
        let cheaper = u32::from(ask.option("$select").is_some()) + u32::from(few);
        let dearer = u32::from(ask.option("$expand").is_some());
        (self.cost + dearer).saturating_sub(cheaper).max(1)
    }
}
