//! Reading the 17 policy rules that every role has.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal};
use super::odata::{Object, Shape, object};
use super::options::PimPolicy;
use super::pim_rules::{needs, needs_licence};
use super::role_definitions;
use super::state::Tenant;
use super::turn::Turn;

const READ_POLICY: [&str; 4] = [
    "RoleManagementPolicy.Read.Directory",
    "RoleManagement.Read.All",
    "RoleManagement.Read.Directory",
    "RoleManagement.ReadWrite.Directory",
];

const POLICY_ASSIGNMENT: Shape = Shape {
    resource: "UnifiedRoleManagementPolicyAssignment",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |path| ["scopeId", "scopeType", "roleDefinitionId"].contains(&path),
    largest_page: 999,
    is_uniform: true,
    expands: &["policy", "policy($expand=rules)"],
};

const RULE: Shape = Shape {
    resource: "UnifiedRoleManagementPolicyRule",
    defaults: &[],
    is_known: |_| true,
    is_filterable: |_| false,
    largest_page: 999,
    is_uniform: false,
    expands: &[],
};

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
    let items = role_definitions::ids(turn.tenant())
        .into_iter()
        .map(|role| policy_assignment(turn, role, scope_type))
        .collect();
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
        .filter(|role| role_definitions::exists(tenant, role))
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
