//! What an account may do: roles active, eligible and inherited, and groups.

use latchkey_contract::{
    CallError, EntitlementId,
    directory::{Held, How},
    outside::Urgency,
};

use super::{needed, object_id, of_principal, of_user};
use crate::{
    Entra,
    api::Call,
    need,
    wire::{Group, RoleAssignment, ScheduleInstance},
};

impl Entra {
    pub(crate) async fn roles(
        &self,
        id: &str,
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Vec<Held>, CallError> {
        const DIRECT: &str = "GET /roleManagement/directory/roleAssignments";
        let assigned: Vec<RoleAssignment> =
            needed(self.graph.list(&of_principal(DIRECT, "roleAssignments", id), urgency).await, need::ROLES)?;

        const ACTIVE: &str = "GET /roleManagement/directory/roleAssignmentScheduleInstances";
        let active = self.schedules(&of_principal(ACTIVE, "roleAssignmentScheduleInstances", id), urgency).await?;
        const ELIGIBLE: &str = "GET /roleManagement/directory/roleEligibilityScheduleInstances";
        let eligible = self.schedules(&of_principal(ELIGIBLE, "roleEligibilityScheduleInstances", id), urgency).await?;
        if !self.may_have_pim(self.now()) {
            unchecked.push("Eligible roles: the tenant is not licensed for Privileged Identity Management.".to_owned());
        }

        let mut held = active_roles(DIRECT, &assigned, &active)?;
        for instance in eligible.iter().filter(|instance| instance.is_direct()) {
            held.push(role(ELIGIBLE, &instance.role_definition_id, instance.scope(), None, How::Eligible)?);
        }
        let inherited = self.inherited_roles(id, &held, urgency, unchecked).await?;
        held.extend(inherited);
        Ok(held)
    }

    /// PIM instances; none where the tenant is not licensed, which is remembered for a day.
    async fn schedules(&self, call: &Call, urgency: Urgency) -> Result<Vec<ScheduleInstance>, CallError> {
        if !self.may_have_pim(self.now()) {
            return Ok(vec![]);
        }
        match self.graph.list(call, urgency).await? {
            Ok(instances) => Ok(instances),
            Err(refusal) if refusal.has_code("AadPremiumLicenseRequired") => {
                self.note_no_pim();
                Ok(vec![])
            }
            Err(refusal) if refusal.is_missing() => Ok(vec![]),
            Err(refusal) => Err(refusal.into_error(need::ROLES)),
        }
    }

    /// The vendor lists direct roles again here; what is left comes through a group, whose id it names as principal.
    async fn inherited_roles(
        &self,
        id: &str,
        direct: &[Held],
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Vec<Held>, CallError> {
        const OP: &str = "GET /roleManagement/directory/transitiveRoleAssignments";
        let call = of_principal(OP, "transitiveRoleAssignments", id).advanced();
        let all: Vec<RoleAssignment> = match self.graph.list(&call, urgency).await? {
            Ok(all) => all,
            Err(refusal) => {
                unchecked.push(format!("Roles held through groups: the tenant does not list them ({}).", refusal.code));
                return Ok(vec![]);
            }
        };
        let is_direct = |a: &RoleAssignment| {
            let is_it = |h: &Held| h.entitlement.object().as_str() == a.role_definition_id && h.scope == a.scope();
            a.principal_id == id && direct.iter().any(|h| h.how != How::Eligible && is_it(h))
        };
        all.iter()
            .filter(|assignment| !is_direct(assignment))
            .map(|a| {
                let group = Some(a.principal_id.clone()).filter(|principal| principal != id);
                role(OP, &a.role_definition_id, a.scope(), group, How::Inherited)
            })
            .collect()
    }

    /// Memberships that somebody gave; computed and synchronised ones are told apart, since nobody can take them here.
    pub(crate) async fn groups(
        &self,
        id: &str,
        urgency: Urgency,
        unchecked: &mut Vec<String>,
    ) -> Result<Vec<Held>, CallError> {
        const OP: &str = "GET /users/{id}/memberOf";
        let call = Call::new(OP, &["users", id, "memberOf"])
            .query("$select", "id,displayName,groupTypes,mailEnabled,onPremisesSyncEnabled")
            .query("$top", "999");
        let all: Vec<Group> = of_user(self.graph.list(&call, urgency).await, need::GROUPS)?;
        let mut held = Vec::new();
        for group in all.iter().filter(|group| group.kind == "#microsoft.graph.group") {
            if let Some(why) = group.unwritable() {
                unchecked.push(format!("Membership of the group {:?}: {why}.", group.name()));
                continue;
            }
            held.push(Held {
                entitlement: EntitlementId::Group(object_id(OP, &group.id)?),
                holding: None,
                how: How::Plain,
                scope: "/".to_owned(),
            });
        }
        Ok(held)
    }
}

/// Direct roles of both kinds, once each: PIM's own assignments are listed among the plain ones too.
fn active_roles(
    op: &'static str,
    assigned: &[RoleAssignment],
    active: &[ScheduleInstance],
) -> Result<Vec<Held>, CallError> {
    let is_same = |a: &RoleAssignment, i: &ScheduleInstance| {
        a.role_definition_id == i.role_definition_id && a.scope() == i.scope()
    };
    let direct: Vec<&ScheduleInstance> = active.iter().filter(|instance| instance.is_direct()).collect();
    let mut held = Vec::new();
    for assignment in assigned {
        let end = direct.iter().find(|i| is_same(assignment, i)).and_then(|i| i.end_date_time);
        let how = end.map_or(How::Plain, |end| How::TimeBound { end: Some(end) });
        held.push(role(op, &assignment.role_definition_id, assignment.scope(), Some(assignment.id.clone()), how)?);
    }
    for instance in direct.iter().filter(|i| !assigned.iter().any(|a| is_same(a, i))) {
        let how = How::TimeBound { end: instance.end_date_time };
        held.push(role(op, &instance.role_definition_id, instance.scope(), None, how)?);
    }
    Ok(held)
}

fn role(op: &'static str, id: &str, scope: String, holding: Option<String>, how: How) -> Result<Held, CallError> {
    Ok(Held { entitlement: EntitlementId::Role(object_id(op, id)?), holding, how, scope })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(id: &str, role: &str) -> RoleAssignment {
        serde_json::from_value(serde_json::json!({
            "id": id, "principalId": "u", "roleDefinitionId": role, "directoryScopeId": "/"
        }))
        .unwrap()
    }

    fn instance(role: &str, end: Option<&str>, member: &str) -> ScheduleInstance {
        serde_json::from_value(serde_json::json!({
            "principalId": "u", "roleDefinitionId": role, "directoryScopeId": "/", "memberType": member,
            "endDateTime": end,
        }))
        .unwrap()
    }

    #[test]
    fn a_role_that_both_lists_name_is_held_once() {
        let end = "2026-09-01T14:00:00Z";
        let assigned = [assignment("a1", "r1"), assignment("a2", "r2")];
        let active = [
            instance("r1", Some(end), "Direct"),
            instance("r2", None, "Direct"),
            instance("r3", Some(end), "Direct"),
            instance("r4", Some(end), "Group"),
        ];
        let held = active_roles("GET /x", &assigned, &active).unwrap();
        let short: Vec<(&str, Option<&str>, bool)> = held
            .iter()
            .map(|h| (h.entitlement.object().as_str(), h.holding.as_deref(), matches!(h.how, How::TimeBound { .. })))
            .collect();
        assert_eq!(short, [("r1", Some("a1"), true), ("r2", Some("a2"), false), ("r3", None, true)]);
    }
}
