//! Reading PIM: requests, schedules, instances, eligibilities, and each role's 17 policy rules.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::odata::{Object, Shape};
use super::options::PimPolicy;
use super::pim::{needs, needs_licence};
use super::roles::{self, ASSIGNMENT};
use super::state::{RoleGrant, Tenant};
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
const READ_POLICY: [&str; 4] = [
    "RoleManagementPolicy.Read.Directory",
    "RoleManagement.Read.All",
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
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
    expands: &[],
};

const POLICY_ASSIGNMENT: Shape = Shape {
    resource: "UnifiedRoleManagementPolicyAssignment",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |path| ["scopeId", "scopeType", "roleDefinitionId"].contains(&path),
    largest_page: 999,
    expands: &["policy", "policy($expand=rules)"],
};

const RULE: Shape = Shape {
    resource: "UnifiedRoleManagementPolicyRule",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |_| false,
    largest_page: 999,
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

/// `GET /policies/roleManagementPolicyAssignments`: a filter on scope and scope type is mandatory.
pub(super) fn policy_assignments(turn: &mut Turn<'_>) -> Answer {
    needs(turn, &READ_POLICY)?;
    needs_licence(turn)?;
    let filter = POLICY_ASSIGNMENT.filter(turn.ask)?;
    let pinned = |name: &str| {
        let value = filter.as_ref().and_then(|filter| filter.pinned(name));
        value.and_then(Value::as_str).map(ToOwned::to_owned)
    };
    let scope_type = pinned("scopeType");
    let is_directory = matches!(scope_type.as_deref(), Some("DirectoryRole" | "Directory"));
    let (Some(scope_type), Some("/"), true) = (&scope_type, pinned("scopeId").as_deref(), is_directory) else {
        let message = "The request must contain a filter on scopeId and scopeType.";
        return Err(Refusal::bad_request(message));
    };
    let role = pinned("roleDefinitionId");
    let tenant = turn.tenant();
    let items = role
        .iter()
        .filter(|role| roles::exists(tenant, role))
        .map(|role| policy_assignment(turn, role, scope_type))
        .collect();
    if role.is_none() {
        let message = "This simulator lists policies of one role at a time: filter on roleDefinitionId.";
        return Err(Refusal::bad_request(message));
    }
    let place = turn.place("policies/roleManagementPolicyAssignments");
    POLICY_ASSIGNMENT.list(turn.ask, &place, items)
}

/// `GET /policies/roleManagementPolicies/{id}/rules`
pub(super) fn policy_rules(turn: &mut Turn<'_>) -> Answer {
    needs(turn, &READ_POLICY)?;
    needs_licence(turn)?;
    let (tenant, id) = (turn.tenant(), turn.segment(2));
    let role = id
        .strip_prefix(&format!("DirectoryRole_{}_", tenant.id))
        .filter(|role| roles::exists(tenant, role))
        .ok_or_else(|| Refusal::not_found(id))?;
    let items = rules(tenant, role).into_iter().map(object).collect();
    RULE.list(turn.ask, &turn.place(format!("policies/roleManagementPolicies('{id}')/rules")), items)
}

fn policy_assignment(turn: &Turn<'_>, role: &str, scope_type: &str) -> Object {
    let tenant = turn.tenant();
    let policy = format!("DirectoryRole_{}_{role}", tenant.id);
    let mut view = json!({
        "id": format!("{policy}_{role}"),
        "policyId": policy,
        "scopeId": "/",
        "scopeType": scope_type,
        "roleDefinitionId": role,
    });
    if let Some(expand) = turn.ask.option("$expand") {
        view["policy"] = json!({
            "id": policy,
            "displayName": "DirectoryRole",
            "description": "DirectoryRole",
            "isOrganizationDefault": false,
            "scopeId": "/",
            "scopeType": scope_type,
        });
        if expand == "policy($expand=rules)" {
            view["policy"]["rules"] = json!(rules(tenant, role));
        }
    }
    object(view)
}

/// The fixed set of 17, with what the simulator lets be changed filled in.
fn rules(tenant: &Tenant, role: &str) -> Vec<Value> {
    let policy = tenant.pim_policies.get(role).cloned().unwrap_or_default();
    let mut rules = admin_assignment_rules(&policy);
    rules.extend(other_rules());
    for (caller, level) in [("Admin", "Eligibility"), ("Admin", "Assignment"), ("EndUser", "Assignment")] {
        for recipient in ["Admin", "Requestor", "Approver"] {
            let id = format!("Notification_{recipient}_{caller}_{level}");
            let more = json!({
                "notificationType": "Email",
                "recipientType": recipient,
                "notificationLevel": "All",
                "isDefaultRecipientsEnabled": true,
                "notificationRecipients": [],
            });
            rules.push(rule(&id, "Notification", more));
        }
    }
    rules
}

fn admin_assignment_rules(policy: &PimPolicy) -> Vec<Value> {
    vec![
        rule(
            "Expiration_Admin_Assignment",
            "Expiration",
            json!({
                "isExpirationRequired": policy.is_expiration_required,
                "maximumDuration": policy.maximum_duration,
            }),
        ),
        rule("Enablement_Admin_Assignment", "Enablement", json!({"enabledRules": policy.enabled_rules})),
    ]
}

fn other_rules() -> Vec<Value> {
    let stages = json!([{
        "approvalStageTimeOutInDays": 1,
        "isApproverJustificationRequired": true,
        "escalationTimeInMinutes": 0,
        "isEscalationEnabled": false,
        "primaryApprovers": [],
        "escalationApprovers": [],
    }]);
    vec![
        rule(
            "Expiration_EndUser_Assignment",
            "Expiration",
            json!({"isExpirationRequired": true, "maximumDuration": "PT8H"}),
        ),
        rule(
            "Enablement_EndUser_Assignment",
            "Enablement",
            json!({"enabledRules": ["MultiFactorAuthentication", "Justification"]}),
        ),
        rule(
            "Approval_EndUser_Assignment",
            "Approval",
            json!({"setting": {
                "isApprovalRequired": false,
                "isApprovalRequiredForExtension": false,
                "isRequestorJustificationRequired": true,
                "approvalMode": "SingleStage",
                "approvalStages": stages,
            }}),
        ),
        rule(
            "AuthenticationContext_EndUser_Assignment",
            "AuthenticationContext",
            json!({"isEnabled": false, "claimValue": null}),
        ),
        rule(
            "Expiration_Admin_Eligibility",
            "Expiration",
            json!({"isExpirationRequired": false, "maximumDuration": "P365D"}),
        ),
        rule("Enablement_Admin_Eligibility", "Enablement", json!({"enabledRules": []})),
    ]
}

/// A rule's common part follows from its id.
fn rule(id: &str, kind: &str, more: Value) -> Value {
    let caller = if id.contains("_EndUser_") { "EndUser" } else { "Admin" };
    let level = id.rsplit('_').next().unwrap_or_default();
    let mut rule = json!({
        "@odata.type": format!("#microsoft.graph.unifiedRoleManagementPolicy{kind}Rule"),
        "id": id,
        "target": {
            "caller": caller,
            "operations": ["all"],
            "level": level,
            "inheritableSettings": [],
            "enforcedSettings": [],
        },
    });
    for (name, value) in object(more) {
        rule[name] = value;
    }
    rule
}

fn object(value: Value) -> Object {
    match value {
        Value::Object(object) => object,
        _ => Object::new(),
    }
}
