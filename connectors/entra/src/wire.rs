//! Microsoft Graph's JSON, exactly as sent; only the fields that are used. Nothing here leaves the crate.

use latchkey_contract::{Timestamp, text::one_line};
use serde::{Deserialize, Deserializer};

/// One page of a collection.
#[derive(Debug, Deserialize)]
pub(crate) struct Page<T> {
    pub(crate) value: Vec<T>,
    #[serde(rename = "@odata.nextLink")]
    pub(crate) next_link: Option<String>,
}

/// The error envelope of all of Graph.
#[derive(Debug, Default, Deserialize)]
pub(crate) struct Envelope {
    #[serde(default)]
    pub(crate) error: Body,
}

#[derive(Debug, Default, Deserialize)]
pub(crate) struct Body {
    #[serde(default)]
    pub(crate) code: String,
    #[serde(default)]
    pub(crate) message: String,
    #[serde(default)]
    pub(crate) details: Option<Vec<Detail>>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Detail {
    #[serde(default)]
    pub(crate) code: Option<String>,
}

/// A user as `$select`ed.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct User {
    pub(crate) id: String,
    #[serde(default)]
    pub(crate) user_principal_name: String,
    pub(crate) account_enabled: Option<bool>,
    pub(crate) is_management_restricted: Option<bool>,
    pub(crate) on_premises_sync_enabled: Option<bool>,
    #[serde(default, deserialize_with = "instant")]
    pub(crate) sign_in_sessions_valid_from_date_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    pub(crate) last_password_change_date_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    pub(crate) deleted_date_time: Option<Timestamp>,
    /// Everything else, for the attribute that carries the mark.
    #[serde(flatten)]
    pub(crate) rest: serde_json::Map<String, serde_json::Value>,
}

/// Anything that only has to be named.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Object {
    #[serde(default)]
    pub(crate) id: String,
    #[serde(rename = "@odata.type", default)]
    pub(crate) kind: String,
}

impl Object {
    /// The type without the vendor's namespace.
    pub(crate) fn short_kind(&self) -> &str {
        self.kind.strip_prefix("#microsoft.graph.").unwrap_or(&self.kind)
    }
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Group {
    pub(crate) id: String,
    #[serde(rename = "@odata.type", default)]
    pub(crate) kind: String,
    #[serde(default)]
    pub(crate) display_name: Option<String>,
    /// Null where a list of many kinds of objects is asked for the properties of groups.
    pub(crate) group_types: Option<Vec<String>>,
    pub(crate) mail_enabled: Option<bool>,
    pub(crate) security_enabled: Option<bool>,
    pub(crate) on_premises_sync_enabled: Option<bool>,
    pub(crate) is_assignable_to_role: Option<bool>,
}

impl Group {
    /// Why nobody can add or remove members through Graph, if so.
    pub(crate) fn unwritable(&self) -> Option<&'static str> {
        let is_of = |wanted: &str| self.group_types.iter().flatten().any(|kind| kind == wanted);
        if is_of("DynamicMembership") {
            Some("its members are computed by a rule of the tenant")
        } else if self.on_premises_sync_enabled == Some(true) {
            Some("it is synchronised from on premises")
        } else if self.mail_enabled == Some(true) && !is_of("Unified") {
            Some("it is a mail-enabled group, which only Exchange changes")
        } else {
            None
        }
    }

    /// The name, fit for one line.
    pub(crate) fn name(&self) -> String {
        one_line(self.display_name.as_deref().unwrap_or(&self.id), 80)
    }
}

/// `unifiedRoleAssignment`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleAssignment {
    pub(crate) id: String,
    pub(crate) principal_id: String,
    pub(crate) role_definition_id: String,
    pub(crate) directory_scope_id: Option<String>,
    pub(crate) app_scope_id: Option<String>,
}

impl RoleAssignment {
    pub(crate) fn scope(&self) -> String {
        scope(self.directory_scope_id.as_deref(), self.app_scope_id.as_deref())
    }
}

/// `unifiedRoleAssignmentScheduleInstance` and its eligible twin.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ScheduleInstance {
    pub(crate) role_definition_id: String,
    pub(crate) directory_scope_id: Option<String>,
    pub(crate) app_scope_id: Option<String>,
    pub(crate) member_type: Option<String>,
    #[serde(default, deserialize_with = "instant")]
    pub(crate) start_date_time: Option<Timestamp>,
    #[serde(default, deserialize_with = "instant")]
    pub(crate) end_date_time: Option<Timestamp>,
}

impl ScheduleInstance {
    pub(crate) fn scope(&self) -> String {
        scope(self.directory_scope_id.as_deref(), self.app_scope_id.as_deref())
    }

    /// Held by the account itself and not through a group.
    pub(crate) fn is_direct(&self) -> bool {
        self.member_type.as_deref().is_none_or(|kind| kind.eq_ignore_ascii_case("direct"))
    }
}

/// The answer to a PIM request.
#[derive(Debug, Deserialize)]
pub(crate) struct ScheduleRequest {
    #[serde(default)]
    pub(crate) status: String,
}

/// `unifiedRoleDefinition`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RoleDefinition {
    pub(crate) id: String,
    pub(crate) display_name: Option<String>,
    pub(crate) is_enabled: Option<bool>,
    pub(crate) is_privileged: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Domain {
    pub(crate) id: String,
    pub(crate) is_verified: Option<bool>,
    pub(crate) is_default: Option<bool>,
    pub(crate) is_initial: Option<bool>,
    pub(crate) authentication_type: Option<String>,
}

impl Domain {
    /// Sign-in names may end in it: it is proven to be the tenant's, and its passwords are not kept elsewhere.
    pub(crate) fn is_usable(&self) -> bool {
        let is_managed = self.authentication_type.as_deref().is_some_and(|t| t.eq_ignore_ascii_case("managed"));
        is_managed && self.is_verified == Some(true)
    }
}

/// `administrativeUnit`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Unit {
    pub(crate) id: String,
    pub(crate) display_name: Option<String>,
    pub(crate) is_member_management_restricted: Option<bool>,
}

impl Unit {
    /// Only administrators of the unit itself may change who is in it.
    pub(crate) fn is_restricted(&self) -> bool {
        self.is_member_management_restricted == Some(true)
    }

    /// The name, fit for one line.
    pub(crate) fn name(&self) -> String {
        one_line(self.display_name.as_deref().unwrap_or(&self.id), 80)
    }
}

/// `organization`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Organization {
    pub(crate) assigned_plans: Option<Vec<Plan>>,
}

/// `assignedPlan`.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Plan {
    pub(crate) service_plan_id: Option<String>,
    pub(crate) capability_status: Option<String>,
}

impl Organization {
    /// The best of Entra ID's paid plans that is not switched off: `P2` or `P1`.
    pub(crate) fn premium(&self) -> Option<&'static str> {
        const PLANS: [(&str, &str); 2] =
            [("eec0eb4f-6444-4f95-aba0-50c24d67f998", "P2"), ("41781fb2-bc02-4b7c-bd55-b576c07bb09d", "P1")];
        let is_on = |plan: &&Plan| !matches!(plan.capability_status.as_deref(), Some("Suspended" | "Deleted"));
        let has = |id: &str| {
            let mut on = self.assigned_plans.iter().flatten().filter(is_on);
            on.any(|plan| plan.service_plan_id.as_deref().is_some_and(|held| held.eq_ignore_ascii_case(id)))
        };
        PLANS.iter().find(|(id, _)| has(id)).map(|(_, name)| *name)
    }
}

#[derive(Debug, Deserialize)]
pub(crate) struct Revoked {
    pub(crate) value: Option<bool>,
}

fn scope(directory: Option<&str>, app: Option<&str>) -> String {
    directory.or(app).unwrap_or("/").to_owned()
}

/// An instant that cannot be read is no instant: none of them decides anything alone.
fn instant<'de, D: Deserializer<'de>>(input: D) -> Result<Option<Timestamp>, D::Error> {
    Ok(Option::<String>::deserialize(input)?.as_deref().and_then(Timestamp::parse))
}
