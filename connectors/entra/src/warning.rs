//! Roles that should not be handed out, even for an hour, without a second thought.

use latchkey_contract::EntitlementId;

use crate::need::{GLOBAL_ADMINISTRATOR, PRIVILEGED_AUTHENTICATION_ADMINISTRATOR};

const PRIVILEGED_ROLE_ADMINISTRATOR: &str = "e8611ab8-c189-46e8-94e1-60213ab1f814";

/// What to say about an entitlement before a policy may give it; `None` where there is nothing special to say. Needs no
/// connection: these roles have the same id in every tenant.
#[must_use]
pub fn warning(entitlement: &EntitlementId) -> Option<&'static str> {
    let EntitlementId::Role(role) = entitlement else { return None };
    let is = |id: &str| role.as_str().eq_ignore_ascii_case(id);
    if is(GLOBAL_ADMINISTRATOR) {
        return Some(
            "Global Administrator can change everything in the tenant, Latchkey's own app and its protections included; \
             give a narrower role where one will do",
        );
    }
    if is(PRIVILEGED_ROLE_ADMINISTRATOR) {
        return Some(
            "Privileged Role Administrator can make itself and others Global Administrator; treat it as that role",
        );
    }
    is(PRIVILEGED_AUTHENTICATION_ADMINISTRATOR).then_some(
        "Privileged Authentication Administrator can set the password of every Global Administrator; treat it as that \
         role",
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_roles_that_reach_everything_are_warned_about() {
        let said = |id: &str| warning(&EntitlementId::try_from(id.to_owned()).unwrap());
        for (id, name) in [
            ("role:62e90394-69f5-4237-9190-012177145e10", "Global Administrator"),
            ("role:E8611AB8-C189-46E8-94E1-60213AB1F814", "Privileged Role Administrator"),
            ("role:7be44c8a-adaf-4e2a-84d6-ab2649e08a13", "Privileged Authentication Administrator"),
        ] {
            assert!(said(id).unwrap().starts_with(name), "{id}");
        }
        assert_eq!(said("role:29232cdf-9323-42fd-ade2-1d097af3e4de"), None);
        assert_eq!(said("group:62e90394-69f5-4237-9190-012177145e10"), None);
    }
}
