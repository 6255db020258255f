//! Privileged Identity Management: requests for time-bound active assignments.
//!
//! Its rules are in `pim_rules`; reading is in `pim_read` and `pim_policies`.

use serde_json::{Value, json};

use super::answer::{Answer, Refusal, Reply};
use super::events::What;
use super::odata::Object;
use super::options::PIM_SHORTEST;
use super::pim_rules::{Span, check_policy, check_subject, needs, needs_licence};
use super::roles::{self, Wanted};
use super::state::RoleGrant;
use super::time::{Ms, iso};
use super::turn::Turn;

const WRITE: [&str; 2] = ["RoleManagement.ReadWrite.Directory", "RoleAssignmentSchedule.ReadWrite.Directory"];
const REMOVE: [&str; 3] = [
    "RoleManagement.ReadWrite.Directory",
    "RoleAssignmentSchedule.ReadWrite.Directory",
    "RoleAssignmentSchedule.Remove.Directory",
];

/// A request as it was answered; its status is worked out when it is read.
#[derive(Debug, Clone)]
pub(super) struct Request {
    pub(super) id: String,
    pub(super) action: String,
    pub(super) wanted: Wanted,
    pub(super) created: Ms,
    pub(super) start: Ms,
    pub(super) ready: Ms,
    pub(super) is_canceled: bool,
    /// The body's own parts that are only echoed.
    echoed: Value,
    expiration: Value,
    schedule: String,
    created_by: String,
}

impl Request {
    pub(super) fn status(&self, now: Ms) -> &'static str {
        if self.is_canceled {
            "Canceled"
        } else if self.action == "adminRemove" {
            "Revoked"
        } else if now < self.ready {
            "PendingProvisioning"
        } else if now < self.start {
            "Granted"
        } else {
            "Provisioned"
        }
    }

    fn is_pending(&self, now: Ms) -> bool {
        !self.is_canceled && self.action != "adminRemove" && now < self.ready.max(self.start)
    }

    pub(super) fn view(&self, now: Ms) -> Value {
        let completed = (self.ready <= now).then(|| iso(self.ready));
        let schedule_info = match self.action.as_str() {
            "adminRemove" => Value::Null,
            _ => json!({
                "startDateTime": iso(self.start),
                "recurrence": null,
                "expiration": self.expiration,
            }),
        };
        json!({
            "id": self.id,
            "status": self.status(now),
            "createdDateTime": iso(self.created),
            "completedDateTime": completed,
            "approvalId": null,
            "customData": null,
            "action": self.action,
            "principalId": self.wanted.principal,
            "roleDefinitionId": self.wanted.role,
            "directoryScopeId": self.wanted.scope,
            "appScopeId": null,
            "isValidationOnly": self.echoed["isValidationOnly"].as_bool().unwrap_or(false),
            "targetScheduleId": self.schedule,
            "justification": self.echoed["justification"],
            "createdBy": {
                "application": {"id": self.created_by, "displayName": null},
                "device": null,
                "user": null,
            },
            "scheduleInfo": schedule_info,
            "ticketInfo": {
                "ticketNumber": self.echoed["ticketInfo"]["ticketNumber"],
                "ticketSystem": self.echoed["ticketInfo"]["ticketSystem"],
            },
        })
    }
}

/// `POST /roleManagement/directory/roleAssignmentScheduleRequests`
pub(super) fn request(turn: &mut Turn<'_>) -> Answer {
    let body = turn.ask.object()?;
    let action = body.get("action").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_removal = action == "adminRemove";
    needs(turn, if is_removal { &REMOVE } else { &WRITE })?;
    needs_licence(turn)?;
    let wanted = Wanted::read(&body)?;
    check_subject(turn, &wanted)?;
    let request = match action.as_str() {
        "adminAssign" => assign(turn, wanted, &body)?,
        "adminUpdate" => update(turn, wanted, &body)?,
        "adminRemove" => remove(turn, wanted, &body)?,
        _ => {
            let message = format!("The action '{action}' is not available to an application.");
            return Err(Refusal::new(400, "InvalidRoleAssignmentRequest", message));
        }
    };
    let mut view = request.view(turn.now);
    let name = "roleManagement/directory/roleAssignmentScheduleRequests";
    view["@odata.context"] = json!(turn.context(&format!("{name}/$entity")));
    let location = turn.url(&format!("{name}/{}", request.id));
    if !is_dry_run(&body) {
        turn.tenant_mut().requests.push(request);
    }
    Reply::created(view, location)
}

/// `POST /roleManagement/directory/roleAssignmentScheduleRequests/{id}/cancel`
pub(super) fn cancel(turn: &mut Turn<'_>) -> Answer {
    needs(turn, &WRITE)?;
    needs_licence(turn)?;
    let (id, now) = (turn.segment(3).to_owned(), turn.now);
    let found = turn.tenant_mut().requests.iter_mut().find(|r| r.id == id);
    let Some(request) = found else {
        return Err(Refusal::not_found(&id));
    };
    if !request.is_pending(now) {
        let message = "The request cannot be canceled in its present state.";
        return Err(Refusal::new(400, "InvalidRoleAssignmentRequest", message));
    }
    request.is_canceled = true;
    let schedule = request.schedule.clone();
    take(turn, |grant| grant.schedule.as_deref() == Some(&schedule));
    Reply::no_content()
}

fn assign(turn: &mut Turn<'_>, wanted: Wanted, body: &Object) -> Result<Request, Refusal> {
    let now = turn.now;
    let tenant = turn.tenant();
    let is_pending = tenant.requests.iter().any(|request| {
        request.is_pending(now)
            && request.wanted.principal == wanted.principal
            && request.wanted.role == wanted.role
            && request.wanted.scope == wanted.scope
    });
    if is_pending {
        let message = "There is already an existing pending Role assignment request.";
        return Err(Refusal::new(400, "PendingRoleAssignmentRequest", message));
    }
    if tenant.roles.iter().any(|grant| wanted.is(grant)) {
        let message = "The Role assignment already exists.";
        return Err(Refusal::new(400, "RoleAssignmentExists", message));
    }
    let span = Span::read(body, now)?;
    check_policy(turn, &wanted.role, &span, body)?;
    let id = turn.world.mint.guid();
    let ready = now + turn.world.knobs.pim_provisioning_ms;
    let grant = RoleGrant {
        id: turn.world.mint.assignment_id(),
        principal: wanted.principal.clone(),
        role: wanted.role.clone(),
        scope: wanted.scope.clone(),
        created: now,
        start: span.start.max(ready),
        end: span.end,
        schedule: Some(id.clone()),
    };
    if !is_dry_run(body) {
        roles::record_assigned(turn, &grant);
        turn.tenant_mut().roles.push(grant);
    }
    Ok(build(turn, (id.clone(), id), "adminAssign", wanted, span, body))
}

fn update(turn: &mut Turn<'_>, wanted: Wanted, body: &Object) -> Result<Request, Refusal> {
    let span = Span::read(body, turn.now)?;
    check_policy(turn, &wanted.role, &span, body)?;
    let id = turn.world.mint.guid();
    let missing = missing_assignment(turn);
    let is_dry_run = is_dry_run(body);
    let tenant = turn.tenant_mut();
    let held = tenant.roles.iter_mut().find(|grant| grant.schedule.is_some() && wanted.is(grant));
    let grant = held.ok_or(missing)?;
    let schedule = grant.schedule.clone().unwrap_or_default();
    if !is_dry_run {
        grant.end = span.end;
        let (principal, detail) = (grant.principal.clone(), roles::detail(grant));
        turn.record(What::RoleUpdated, &principal, detail);
    }
    Ok(build(turn, (id, schedule), "adminUpdate", wanted, span, body))
}

fn remove(turn: &mut Turn<'_>, wanted: Wanted, body: &Object) -> Result<Request, Refusal> {
    let now = turn.now;
    let held = turn.tenant().roles.iter().find(|grant| wanted.is(grant));
    let grant = held.ok_or_else(|| missing_assignment(turn))?.clone();
    if now < grant.created + PIM_SHORTEST {
        let message = "The active duration is too short. The minimum required duration is 5 minutes.";
        return Err(Refusal::new(400, "ActiveDurationTooShort", message));
    }
    if !is_dry_run(body) {
        take(turn, |candidate| candidate.id == grant.id);
    }
    let id = turn.world.mint.guid();
    let schedule = grant.schedule.unwrap_or(grant.id);
    let span = Span { start: now, end: None, expiration: Value::Null };
    Ok(build(turn, (id, schedule), "adminRemove", wanted, span, body))
}

fn take(turn: &mut Turn<'_>, is_it: impl Fn(&RoleGrant) -> bool) {
    let roles = &mut turn.tenant_mut().roles;
    let taken: Vec<RoleGrant> = roles.iter().filter(|g| is_it(g)).cloned().collect();
    roles.retain(|grant| !is_it(grant));
    for grant in &taken {
        roles::record_removed(turn, grant);
    }
}

fn missing_assignment(turn: &Turn<'_>) -> Refusal {
    let status = turn.world.knobs.missing_assignment_status;
    let message = "The Role assignment does not exist.";
    Refusal::new(status, "RoleAssignmentDoesNotExist", message)
}

fn is_dry_run(body: &Object) -> bool {
    body.get("isValidationOnly") == Some(&Value::Bool(true))
}

/// `ids` are the request's and its schedule's.
fn build(turn: &Turn<'_>, ids: (String, String), action: &str, wanted: Wanted, span: Span, body: &Object) -> Request {
    let ready = turn.now + turn.world.knobs.pim_provisioning_ms;
    Request {
        id: ids.0,
        action: action.to_owned(),
        wanted,
        created: turn.now,
        start: span.start,
        ready,
        is_canceled: false,
        echoed: Value::Object(body.clone()),
        expiration: span.expiration,
        schedule: ids.1,
        created_by: turn.caller.principal.clone(),
    }
}
