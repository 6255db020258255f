//! Is what is to be given there at all?

use latchkey_contract::{CallError, EntitlementId, outside::Urgency};

use crate::{Entra, api::Call, wire::Object};

impl Entra {
    /// Backs [`latchkey_contract::Directory::missing`]. What may not be read is not known to be missing: giving it will
    /// tell.
    pub(crate) async fn not_there(&self, wanted: &[EntitlementId]) -> Result<Vec<EntitlementId>, CallError> {
        let mut missing = Vec::new();
        for entitlement in wanted {
            let call = match entitlement {
                EntitlementId::Role(id) => {
                    let path = ["roleManagement", "directory", "roleDefinitions", id.as_str()];
                    Call::new("GET /roleManagement/directory/roleDefinitions/{id}", &path)
                }
                EntitlementId::Group(id) => Call::new("GET /groups/{id}", &["groups", id.as_str()]),
            };
            let found = self.graph.get::<Object>(&call.query("$select", "id"), Urgency::Ordinary).await?;
            // An id that is no GUID earns a 400 from some parts of the vendor.
            if found.is_err_and(|refusal| refusal.is_missing() || refusal.status == 400) {
                missing.push(entitlement.clone());
            }
        }
        Ok(missing)
    }
}
