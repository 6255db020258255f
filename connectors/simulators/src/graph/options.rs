//! How a simulated directory is set up, and every behaviour that can be turned while it runs.

use std::fmt;

use super::time::{MINUTE, Ms};

/// The behaviours that the vendor leaves open or that vary in the field.
///
/// All durations are measured on the simulator's clock.
#[derive(Debug, Clone)]
pub struct Knobs {
    /// After `POST /users`, reads and writes by id answer 404 for this long.
    pub user_delay_ms: i64,
    /// After `POST /users`, PIM answers `SubjectNotFound` for this long.
    pub pim_delay_ms: i64,
    /// Advanced queries (`ConsistencyLevel: eventual`) see a new user this much later.
    pub index_delay_ms: i64,
    /// A PIM request stays `PendingProvisioning` for this long after its 201.
    pub pim_provisioning_ms: i64,
    /// PIM takes an expired assignment away this much after its end.
    pub pim_expiry_lag_ms: i64,
    /// `expires_in` of issued tokens, seconds.
    pub token_lifetime_s: i64,
    /// How many objects a page holds when the caller does not say `$top`.
    pub page_size: usize,
    /// `revokeSignInSessions` on an administrator needs a directory role, as other sensitive actions do.
    pub revoke_admin_needs_paa: bool,
    /// Method writes on an administrator need a directory role.
    pub tap_admin_needs_role: bool,
    /// An application may delete a user for good.
    pub permanent_delete_app_allowed: bool,
    /// Eligible, not yet active, PIM roles already protect an account.
    pub eligible_protects: bool,
    /// `DELETE roleAssignments/{id}` also ends a PIM assignment, at any age.
    pub delete_ends_pim: bool,
    /// `RoleAssignmentDoesNotExist` comes as 400 or as 404.
    pub missing_assignment_status: u16,
    /// How far the `Date` of answers is from the simulator's clock.
    pub date_off_ms: i64,
    /// A token bucket per application and tenant; `None` lets everything through.
    pub throttle: Option<Throttle>,
}

impl Default for Knobs {
    fn default() -> Self {
        Self {
            user_delay_ms: 0,
            pim_delay_ms: 0,
            index_delay_ms: 0,
            pim_provisioning_ms: 0,
            pim_expiry_lag_ms: 0,
            token_lifetime_s: 3599,
            page_size: 100,
            revoke_admin_needs_paa: false,
            tap_admin_needs_role: false,
            permanent_delete_app_allowed: false,
            eligible_protects: true,
            delete_ends_pim: true,
            missing_assignment_status: 400,
            date_off_ms: 0,
            throttle: None,
        }
    }
}

/// How many resource units an application may spend in a tenant before it hears 429.
#[derive(Debug, Clone, Copy)]
pub struct Throttle {
    /// Units that the bucket holds.
    pub units: u32,
    /// In so long an empty bucket is full again; a part of it comes back in a part of the time.
    pub window_ms: i64,
    /// Whether 429 carries `Retry-After`; the vendor sometimes leaves it out.
    pub sends_retry_after: bool,
}

/// What a tenant has paid for. PIM answers only under `P2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Licence {
    /// No premium plan.
    Free,
    /// Entra ID P1.
    P1,
    /// Entra ID P2 or ID Governance.
    P2,
}

/// An application as one tenant knows it: its credentials and what that tenant consented to.
///
/// Credentials belong to the application, so registering the same client id in a second tenant
/// adds to them; permissions and directory roles belong to the service principal in this tenant.
#[derive(Clone, Default)]
pub struct AppSpec {
    /// Application (client) id.
    pub client_id: String,
    /// Client secrets without an end.
    pub secrets: Vec<String>,
    /// X.509 certificates, DER, with RSA keys of at least 2048 bits.
    pub certificates: Vec<Vec<u8>>,
    /// Consented application permissions, as the `roles` claim will carry them.
    pub permissions: Vec<String>,
    /// Directory roles (template ids) of the service principal at tenant scope.
    pub directory_roles: Vec<String>,
}

/// Secrets are counted, not printed.
impl fmt::Debug for AppSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppSpec")
            .field("client_id", &self.client_id)
            .field("secrets", &self.secrets.len())
            .field("certificates", &self.certificates.len())
            .field("permissions", &self.permissions)
            .field("directory_roles", &self.directory_roles)
            .finish()
    }
}

/// An account to begin with.
#[derive(Clone)]
pub struct UserSeed {
    /// `userPrincipalName`; also the source of `mailNickname`.
    pub upn: String,
    /// `displayName`.
    pub display_name: String,
    /// `accountEnabled`.
    pub enabled: bool,
    /// The password, in clear; the simulator keeps a hash.
    pub password: String,
    /// Further properties, in Graph's spelling; they are taken as they are.
    pub properties: serde_json::Map<String, serde_json::Value>,
}

/// The password is not printed.
impl fmt::Debug for UserSeed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserSeed").field("upn", &self.upn).field("enabled", &self.enabled).finish_non_exhaustive()
    }
}

impl UserSeed {
    /// An enabled account with a display name made of its UPN and the password `Seed-Pass-1!`.
    pub fn new(upn: &str) -> Self {
        Self {
            upn: upn.to_owned(),
            display_name: upn.split('@').next().unwrap_or(upn).to_owned(),
            enabled: true,
            password: "Seed-Pass-1!".to_owned(),
            properties: serde_json::Map::new(),
        }
    }
}

/// A group to begin with.
#[derive(Debug, Clone, Default)]
pub struct GroupSeed {
    /// `displayName`.
    pub display_name: String,
    /// `isAssignableToRole`: its members and owners count as administrators.
    pub is_assignable_to_role: bool,
    /// Membership is computed by a rule and cannot be written.
    pub is_dynamic: bool,
    /// The group is mastered on premises and cannot be written.
    pub is_synced: bool,
    /// The group is mail-enabled and cannot be written through Graph.
    pub is_mail_enabled: bool,
}

/// What a role's PIM policy asks of an administrator's active assignment.
///
/// The default is the vendor's: justification, and no longer than 180 days only when
/// `is_expiration_required`.
#[derive(Debug, Clone)]
pub struct PimPolicy {
    /// `Enablement_Admin_Assignment.enabledRules`: `MultiFactorAuthentication`, `Justification`, `Ticketing`.
    pub enabled_rules: Vec<String>,
    /// `Expiration_Admin_Assignment.isExpirationRequired`.
    pub is_expiration_required: bool,
    /// `Expiration_Admin_Assignment.maximumDuration`, ISO-8601.
    pub maximum_duration: String,
}

impl Default for PimPolicy {
    fn default() -> Self {
        Self {
            enabled_rules: vec!["Justification".to_owned()],
            is_expiration_required: false,
            maximum_duration: "P180D".to_owned(),
        }
    }
}

/// The tenant's Temporary Access Pass policy.
#[derive(Debug, Clone)]
pub struct TapPolicy {
    /// `state == "enabled"`; the vendor's default is off.
    pub is_enabled: bool,
    /// Shortest life, minutes.
    pub minimum_minutes: i64,
    /// Longest life, minutes.
    pub maximum_minutes: i64,
    /// Life when the request does not say, minutes.
    pub default_minutes: i64,
    /// Only one-time passes may be made.
    pub is_usable_once: bool,
}

impl Default for TapPolicy {
    fn default() -> Self {
        Self {
            is_enabled: false,
            minimum_minutes: 60,
            maximum_minutes: 480,
            default_minutes: 60,
            is_usable_once: false,
        }
    }
}

/// PIM neither assigns for less than this nor removes what is younger.
pub(super) const PIM_SHORTEST: Ms = 5 * MINUTE;
