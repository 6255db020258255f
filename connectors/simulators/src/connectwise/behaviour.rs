//! Where the vendor's documents leave room, or its versions differ: one switch each.

use super::keys::KeyEndpoint;
use super::notes::NoteWithoutFlag;
use super::rights::MySecurity;
use super::tables::AuditOrder;

/// Switches of a running simulator; see [`super::ConnectWise::behave`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Behaviour {
    /// A ticket PATCH without a `customFields` operation is refused with 400.
    pub patch_needs_custom_fields: bool,
    /// The status for a call without a valid `clientId`; `None` lets it pass.
    pub no_client_id: Option<u16>,
    /// The key endpoint wants Basic credentials.
    pub key_needs_login: bool,
    pub key_endpoint: KeyEndpoint,
    pub note_without_flag: NoteWithoutFlag,
    pub audit_order: AuditOrder,
    /// The sub-type under which the audit trail lists custom fields; `None` where it does not list them.
    pub field_audit: Option<&'static str>,
    pub my_security: MySecurity,
    /// How far the `Date` of answers is from the simulator's clock, in seconds.
    pub date_off_s: i64,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            patch_needs_custom_fields: false,
            no_client_id: Some(401),
            key_needs_login: false,
            key_endpoint: KeyEndpoint::default(),
            note_without_flag: NoteWithoutFlag::default(),
            audit_order: AuditOrder::default(),
            field_audit: Some("CustomField"),
            my_security: MySecurity::default(),
            date_off_s: 0,
        }
    }
}
