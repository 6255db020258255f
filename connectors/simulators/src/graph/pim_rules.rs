//! What PIM checks before it does anything: permission, licence, subject, schedule, policy.

use serde_json::{Value, json};

use super::answer::Refusal;
use super::odata::Object;
use super::options::{Licence, PIM_SHORTEST};
use super::role_definitions;
use super::roles::Wanted;
use super::time::{MINUTE, Ms, parse_duration, parse_iso};
use super::turn::Turn;

/// Clients send the present as the start; by the time it arrives it is the past.
const START_TOLERANCE: Ms = 5 * MINUTE;

/// PIM's permissions answer with another code than the directory's.
pub(super) fn needs(turn: &Turn<'_>, permissions: &[&str]) -> Result<(), Refusal> {
    if turn.caller.has_any(permissions) {
        return Ok(());
    }
    let message = format!("Authorization failed due to missing permission scope {}.", permissions.join(","));
    Err(Refusal::new(403, "PermissionScopeNotGranted", message))
}

/// Without the licence every PIM call is refused, reads too.
pub(super) fn needs_licence(turn: &Turn<'_>) -> Result<(), Refusal> {
    if turn.tenant().licence == Licence::P2 {
        return Ok(());
    }
    let message = "The tenant needs to have Microsoft Entra ID P2 or Microsoft Entra ID Governance license.";
    Err(Refusal::new(400, "AadPremiumLicenseRequired", message))
}

/// The role, the principal and the scope exist as far as PIM knows.
pub(super) fn check_subject(turn: &Turn<'_>, wanted: &Wanted) -> Result<(), Refusal> {
    let tenant = turn.tenant();
    if !role_definitions::exists(tenant, &wanted.role) {
        return Err(Refusal::new(400, "RoleNotFound", "The role is not found."));
    }
    let is_known = match tenant.user(&wanted.principal) {
        Some(user) => user.pim_visible_at <= turn.now,
        None => tenant.has_principal(&wanted.principal, turn.now),
    };
    if !is_known {
        let message = "The subject is not found.";
        return Err(Refusal::new(404, "SubjectNotFound", message));
    }
    wanted.check_scope(turn)
}

/// A `scheduleInfo` that makes sense.
#[derive(Debug)]
pub(super) struct Span {
    pub(super) start: Ms,
    pub(super) end: Option<Ms>,
    pub(super) expiration: Value,
}

impl Span {
    pub(super) fn read(body: &Object, now: Ms) -> Result<Self, Refusal> {
        let info = body.get("scheduleInfo").unwrap_or(&Value::Null);
        let start = match info["startDateTime"].as_str() {
            None => now,
            Some(text) => {
                parse_iso(text).filter(|start| *start >= now - START_TOLERANCE).ok_or_else(bad_schedule)?.max(now)
            }
        };
        if !info["recurrence"].is_null() {
            return Err(bad_schedule());
        }
        let given = &info["expiration"];
        let kind = given["type"].as_str().unwrap_or("noExpiration");
        let (kind, end) = match kind.to_ascii_lowercase().as_str() {
            "noexpiration" => ("noExpiration", None),
            "afterdatetime" => {
                let end = given["endDateTime"].as_str().and_then(parse_iso);
                ("afterDateTime", Some(end.ok_or_else(bad_schedule)?))
            }
            "afterduration" => {
                let length = given["duration"].as_str().and_then(parse_duration);
                let end = length.and_then(|length| start.checked_add(length));
                ("afterDuration", Some(end.ok_or_else(bad_schedule)?))
            }
            _ => return Err(bad_schedule()),
        };
        if end.is_some_and(|end| end - start < PIM_SHORTEST) {
            return Err(bad_schedule());
        }
        let expiration = json!({
            "type": kind,
            "endDateTime": if kind == "afterDateTime" { given["endDateTime"].clone() } else { Value::Null },
            "duration": if kind == "afterDuration" { given["duration"].clone() } else { Value::Null },
        });
        Ok(Self { start, end, expiration })
    }
}

fn bad_schedule() -> Refusal {
    let message = "The role assignment request schedule is invalid.";
    Refusal::new(400, "InvalidRoleAssignmentRequestSchedule", message)
}

/// The role's policy for an administrator's active assignment.
pub(super) fn check_policy(turn: &Turn<'_>, role: &str, span: &Span, body: &Object) -> Result<(), Refusal> {
    let policies = &turn.tenant().pim_policies;
    let policy = policies.get(role).cloned().unwrap_or_default();
    let demands = |rule: &str| policy.enabled_rules.iter().any(|r| r == rule);
    let is_blank = |value: &Value| value.as_str().is_none_or(|text| text.trim().is_empty());
    let field = |name: &str| body.get(name).unwrap_or(&Value::Null);

    let mut failed = Vec::new();
    let longest = parse_duration(&policy.maximum_duration).unwrap_or(Ms::MAX);
    let is_too_long = span.end.is_none_or(|end| end - span.start > longest);
    if policy.is_expiration_required && is_too_long {
        failed.push("ExpirationRule");
    }
    if demands("Justification") && is_blank(field("justification")) {
        failed.push("JustificationRule");
    }
    if demands("Ticketing") && is_blank(&field("ticketInfo")["ticketNumber"]) {
        failed.push("TicketingRule");
    }
    // An application never has MFA.
    if demands("MultiFactorAuthentication") {
        failed.push("MfaRule");
    }
    if failed.is_empty() {
        return Ok(());
    }
    let message = format!("The following policy rules failed: {}", json!(failed));
    Err(Refusal::new(400, "RoleAssignmentRequestPolicyValidationFailed", message))
}
