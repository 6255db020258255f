//! Where the vendor's documents leave room, or its versions differ: one switch each.

use super::keys::KeyEndpoint;
use super::notes::NoteWithoutFlag;
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
        }
    }
}
