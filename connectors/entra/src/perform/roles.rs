//! Directory roles: plainly, or with an end that the tenant itself keeps (Privileged Identity Management).
//!
//! Source of codes and rules: Microsoft Graph reference, `unifiedRoleAssignmentScheduleRequest`; "The following policy
//! rules failed" texts as seen in the field.

use std::time::Duration;

use latchkey_contract::{
    CallError, ObjectId, Timestamp,
    directory::{Held, How, Outcome},
    outside::Urgency,
    text::one_line,
};
use serde_json::{Value, json};

use super::{NEW_SUBJECT, REFUSED, done};
use crate::{
    Entra,
    api::Call,
    need,
    observe::of_principal,
    refusal::{ROLE_NOT_FOUND, Refusal},
    wire::{Object, RoleAssignment, ScheduleInstance, ScheduleRequest},
};

const ASSIGN: &str = "POST /roleManagement/directory/roleAssignments";
const ASSIGNMENTS: &str = "GET /roleManagement/directory/roleAssignments";
const SCHEDULE: &str = "POST /roleManagement/directory/roleAssignmentScheduleRequests";
const SCHEDULES: &str = "GET /roleManagement/directory/roleAssignmentScheduleInstances";
const UNASSIGN: &str = "DELETE /roleManagement/directory/roleAssignments/{id}";

/// PIM takes nothing within five minutes of giving it; five seconds more for two clocks that differ.
const PIM_SHORTEST: Duration = Duration::from_secs(305);

/// How soon a PIM request that was accepted is looked at again.
const PIM_PENDING: Duration = Duration::from_secs(5);

/// How soon after another PIM request for the same role a new one is accepted.
const PIM_BUSY: Duration = Duration::from_secs(10);

/// PIM did not say since when a role is held: ask again after this.
const PIM_UNSAID: Duration = Duration::from_secs(60);

impl Entra {
    pub(crate) async fn give_role(
        &self,
        object: &ObjectId,
        role: &ObjectId,
        end: Option<Timestamp>,
        reason: &str,
    ) -> Result<Outcome, CallError> {
        match end {
            None => self.assign(object, role).await,
            Some(end) => self.schedule(object, role, end, reason).await,
        }
    }

    pub(crate) async fn take_role(
        &self,
        object: &ObjectId,
        role: &ObjectId,
        held: &Held,
    ) -> Result<Outcome, CallError> {
        match &held.how {
            How::Plain => self.unassign(object, role, held).await,
            How::TimeBound { .. } => self.unschedule(object, role, held).await,
            How::Eligible => self.end_eligibility(object, role, held).await,
            How::Inherited => Ok(done(object)),
        }
    }

    async fn assign(&self, object: &ObjectId, role: &ObjectId) -> Result<Outcome, CallError> {
        let body = json!({
            "@odata.type": "#microsoft.graph.unifiedRoleAssignment",
            "principalId": object.as_str(), "roleDefinitionId": role.as_str(), "directoryScopeId": "/",
        });
        let call = Call::new(ASSIGN, &["roleManagement", "directory", "roleAssignments"]).body(&body);
        let refusal = match self.graph.send(&call, Urgency::Ordinary).await? {
            Ok(_) => return Ok(done(object)),
            Err(refusal) => refusal,
        };
        if refusal.is_conflict() {
            // "Already assigned" counts only when a look shows it.
            return if self.find_assignment(object, role, "/", Urgency::Ordinary).await?.is_some() {
                Ok(done(object))
            } else {
                Err(CallError::not_yet(ASSIGN, NEW_SUBJECT, "the role is said to be assigned, but is not seen"))
            };
        }
        Err(self.unknown(refusal, role).await?)
    }

    async fn schedule(
        &self,
        object: &ObjectId,
        role: &ObjectId,
        end: Timestamp,
        reason: &str,
    ) -> Result<Outcome, CallError> {
        match self.request("adminAssign", object, role, "/", Some((end, reason))).await? {
            Ok(status) => self.granted(object, &status),
            Err(refusal) if refusal.has_code("RoleAssignmentExists") => self.extend(object, role, end, reason).await,
            Err(refusal) => self.not_scheduled(refusal, role).await,
        }
    }

    /// The role is there already: enough, or to be given a later end.
    async fn extend(
        &self,
        object: &ObjectId,
        role: &ObjectId,
        end: Timestamp,
        reason: &str,
    ) -> Result<Outcome, CallError> {
        let held = self.find_schedule(object, role, "/", Urgency::Ordinary).await?;
        match held.map(|instance| instance.end_date_time) {
            Some(Some(has)) if has.seconds() < end.seconds() => {
                match self.request("adminUpdate", object, role, "/", Some((end, reason))).await? {
                    Ok(status) => self.granted(object, &status),
                    Err(refusal) => self.not_scheduled(refusal, role).await,
                }
            }
            Some(_) => Ok(done(object)),
            None if self.find_assignment(object, role, "/", Urgency::Ordinary).await?.is_some() => Ok(done(object)),
            None => Err(CallError::not_yet(SCHEDULE, NEW_SUBJECT, "the role is said to be assigned, but is not seen")),
        }
    }

    /// Sends one PIM request; the status when PIM accepts it.
    async fn request(
        &self,
        action: &str,
        object: &ObjectId,
        role: &ObjectId,
        scope: &str,
        until: Option<(Timestamp, &str)>,
    ) -> Result<Result<String, Refusal>, CallError> {
        let mut body = json!({
            "action": action, "principalId": object.as_str(), "roleDefinitionId": role.as_str(),
            "directoryScopeId": scope, "justification": "Just-in-time access has ended",
        });
        if let Some((end, reason)) = until {
            let reason = one_line(reason, 200);
            body["ticketInfo"] = json!({"ticketNumber": one_line(&reason, 60), "ticketSystem": "Latchkey"});
            body["justification"] = Value::String(reason);
            body["scheduleInfo"] = json!({
                "startDateTime": self.now().rfc3339(),
                "expiration": {"type": "afterDateTime", "endDateTime": end.rfc3339()},
            });
        }
        let urgency = if until.is_some() { Urgency::Ordinary } else { Urgency::Removal };
        let path = ["roleManagement", "directory", "roleAssignmentScheduleRequests"];
        let call = Call::new(SCHEDULE, &path).body(&body);
        Ok(self.graph.get::<ScheduleRequest>(&call, urgency).await?.map(|request| request.status))
    }

    /// PIM's "201 Created" does not mean that the role is active.
    fn granted(&self, object: &ObjectId, status: &str) -> Result<Outcome, CallError> {
        match status {
            "Provisioned" | "Granted" | "Revoked" => Ok(done(object)),
            "Failed" | "Denied" | "Canceled" | "PendingApproval" | "PendingAdminDecision" => {
                Err(CallError::Refused { op: SCHEDULE, status: 201, code: format!("PIM request {status}") })
            }
            _ => Ok(Outcome::NotBefore(self.now() + PIM_PENDING)),
        }
    }

    async fn not_scheduled(&self, refusal: Refusal, role: &ObjectId) -> Result<Outcome, CallError> {
        if let Some(rules) = refusal.broken_rules() {
            return Ok(Outcome::NoWay { code: rules });
        }
        if refusal.has_code("AadPremiumLicenseRequired") {
            self.note_no_pim();
            return Ok(Outcome::NoWay { code: refusal.code });
        }
        if refusal.has_code("PendingRoleAssignmentRequest") {
            return Ok(Outcome::NotBefore(self.now() + PIM_BUSY));
        }
        if refusal.has_code("InvalidRoleAssignmentRequestSchedule") {
            return Ok(Outcome::NoWay { code: refusal.code });
        }
        Err(self.unknown(refusal, role).await?)
    }

    /// A new account that is not known here yet, or a role that does not exist: the vendor's answer is the same.
    async fn unknown(&self, refusal: Refusal, role: &ObjectId) -> Result<CallError, CallError> {
        if !refusal.is_missing() && !refusal.is_unknown_subject() && !refusal.has_code("RoleNotFound") {
            return Ok(refusal.into_error(need::ROLES));
        }
        let op = refusal.op;
        let path = ["roleManagement", "directory", "roleDefinitions", role.as_str()];
        let call = Call::new("GET /roleManagement/directory/roleDefinitions/{id}", &path).query("$select", "id");
        Ok(match self.graph.get::<Object>(&call, Urgency::Ordinary).await? {
            Err(gone) if gone.is_missing() => CallError::Refused { op, status: 404, code: ROLE_NOT_FOUND.to_owned() },
            _ => CallError::not_yet(op, NEW_SUBJECT, "role management does not know the account yet"),
        })
    }

    async fn unassign(&self, object: &ObjectId, role: &ObjectId, held: &Held) -> Result<Outcome, CallError> {
        let found = match &held.holding {
            Some(id) => Some(id.clone()),
            None => self.find_assignment(object, role, &held.scope, Urgency::Removal).await?,
        };
        let Some(id) = found else { return Ok(done(object)) };
        let call = Call::new(UNASSIGN, &["roleManagement", "directory", "roleAssignments", &id]);
        self.remove(object, &call, need::ROLES).await
    }

    async fn unschedule(&self, object: &ObjectId, role: &ObjectId, held: &Held) -> Result<Outcome, CallError> {
        let refusal = match self.request("adminRemove", object, role, &held.scope, None).await? {
            Ok(status) => return self.granted(object, &status),
            Err(refusal) => refusal,
        };
        if refusal.has_code("ActiveDurationTooShort") {
            let instance = self.find_schedule(object, role, &held.scope, Urgency::Removal).await?;
            let since = instance.and_then(|instance| instance.start_date_time);
            let earliest = since.map_or(self.now() + PIM_UNSAID, |start| start + PIM_SHORTEST);
            return Ok(Outcome::NotBefore(earliest.max(self.now() + PIM_PENDING)));
        }
        if refusal.has_code("AadPremiumLicenseRequired") {
            self.note_no_pim();
            return self.unassign(object, role, held).await;
        }
        self.ended(object, &refusal)
    }

    async fn end_eligibility(&self, object: &ObjectId, role: &ObjectId, held: &Held) -> Result<Outcome, CallError> {
        const OP: &str = "POST /roleManagement/directory/roleEligibilityScheduleRequests";
        let body = json!({
            "action": "adminRemove", "principalId": object.as_str(), "roleDefinitionId": role.as_str(),
            "directoryScopeId": held.scope, "justification": "Just-in-time access has ended",
        });
        let call = Call::new(OP, &["roleManagement", "directory", "roleEligibilityScheduleRequests"]).body(&body);
        match self.graph.get::<ScheduleRequest>(&call, Urgency::Removal).await? {
            Ok(request) => self.granted(object, &request.status),
            Err(refusal) => self.ended(object, &refusal),
        }
    }

    /// What a refused PIM removal means: gone already, or to be asked for again.
    fn ended(&self, object: &ObjectId, refusal: &Refusal) -> Result<Outcome, CallError> {
        if refusal.is_gone() || refusal.is_unknown_subject() {
            Ok(done(object))
        } else if refusal.has_code("PendingRoleAssignmentRequest") {
            Ok(Outcome::NotBefore(self.now() + PIM_BUSY))
        } else {
            Ok(self.later(refusal, need::ROLES, REFUSED))
        }
    }

    async fn find_assignment(
        &self,
        object: &ObjectId,
        role: &ObjectId,
        scope: &str,
        urgency: Urgency,
    ) -> Result<Option<String>, CallError> {
        let call = of_principal(ASSIGNMENTS, "roleAssignments", object.as_str());
        let all: Vec<RoleAssignment> =
            self.graph.list(&call, urgency).await?.map_err(|refusal| refusal.into_error(need::ROLES))?;
        let is_it = |a: &RoleAssignment| a.role_definition_id == role.as_str() && a.scope() == scope;
        Ok(all.into_iter().find(is_it).map(|assignment| assignment.id))
    }

    async fn find_schedule(
        &self,
        object: &ObjectId,
        role: &ObjectId,
        scope: &str,
        urgency: Urgency,
    ) -> Result<Option<ScheduleInstance>, CallError> {
        let call = of_principal(SCHEDULES, "roleAssignmentScheduleInstances", object.as_str());
        let all: Vec<ScheduleInstance> =
            self.graph.list(&call, urgency).await?.map_err(|refusal| refusal.into_error(need::ROLES))?;
        let is_it = |i: &ScheduleInstance| i.is_direct() && i.role_definition_id == role.as_str() && i.scope() == scope;
        Ok(all.into_iter().find(is_it))
    }
}
