//! Taking a PIM eligibility away. Making one is for permanent staff, which the tests set up by hand.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::events::What;
use super::pim_rules::{check_subject, needs, needs_licence};
use super::roles::{self, Wanted};
use super::time::iso;
use super::turn::Turn;

const WRITE: [&str; 2] = ["RoleManagement.ReadWrite.Directory", "RoleEligibilitySchedule.ReadWrite.Directory"];

/// `POST /roleManagement/directory/roleEligibilityScheduleRequests`, for `adminRemove`
pub(super) fn request(turn: &mut Turn<'_>) -> Answer {
    let body = turn.ask.object()?;
    needs(turn, &WRITE)?;
    needs_licence(turn)?;
    let wanted = Wanted::read(&body)?;
    check_subject(turn, &wanted)?;
    if body.get("action").and_then(Value::as_str) != Some("adminRemove") {
        let message = "This simulator takes eligibilities away and gives none.";
        return Err(Refusal::new(400, "InvalidRoleAssignmentRequest", message));
    }
    let held = turn.tenant().eligibilities.iter().find(|grant| wanted.is(grant)).cloned();
    let Some(grant) = held else {
        let status = turn.world.knobs.missing_assignment_status;
        return Err(Refusal::new(status, "RoleAssignmentDoesNotExist", "The Role assignment does not exist."));
    };
    turn.tenant_mut().eligibilities.retain(|known| known.id != grant.id);
    turn.record(What::RoleRemoved, &grant.principal, roles::detail(&grant));
    let id = turn.world.mint.guid();
    let name = "roleManagement/directory/roleEligibilityScheduleRequests";
    let view = json!({
        "@odata.context": turn.context(&format!("{name}/$entity")),
        "id": id,
        "status": "Revoked",
        "action": "adminRemove",
        "createdDateTime": iso(turn.now),
        "principalId": grant.principal,
        "roleDefinitionId": grant.role,
        "directoryScopeId": grant.scope,
        "appScopeId": null,
        "justification": body.get("justification"),
        "scheduleInfo": null,
    });
    let location = turn.url(&format!("{name}/{id}"));
    Reply::created(view, location)
}
