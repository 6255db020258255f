//! Which of what is given is taken first, where much is to be taken at once.

use latchkey_contract::{EntitlementId, directory::Risk};

use crate::{catalogue::PLAIN, warning::warning};

/// Needs no connection: roles have the same id in every tenant. What a group gives does not stand in its id.
#[must_use]
pub fn risk(entitlement: &EntitlementId) -> Risk {
    let EntitlementId::Role(role) = entitlement else { return Risk::Other };
    if warning(entitlement).is_some() {
        Risk::Everything
    } else if PLAIN.iter().any(|plain| role.as_str().eq_ignore_ascii_case(plain)) {
        Risk::Other
    } else {
        Risk::Power
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_that_reach_everything_go_before_others_and_those_before_groups() {
        for (id, risk_of_it) in [
            ("role:62e90394-69f5-4237-9190-012177145e10", Risk::Everything),
            ("role:62E90394-69F5-4237-9190-012177145E10", Risk::Everything),
            ("role:e8611ab8-c189-46e8-94e1-60213ab1f814", Risk::Everything),
            ("role:7be44c8a-adaf-4e2a-84d6-ab2649e08a13", Risk::Everything),
            ("role:29232cdf-9323-42fd-ade2-1d097af3e4de", Risk::Power),
            ("role:0f0e0d0c-1111-4222-8333-444455556666", Risk::Power),
            ("role:88d8e3e3-8f55-4a1e-953a-9b9898b8876b", Risk::Other),
            ("group:62e90394-69f5-4237-9190-012177145e10", Risk::Other),
        ] {
            let entitlement: EntitlementId = id.to_owned().try_into().unwrap();
            assert_eq!(risk(&entitlement), risk_of_it, "{id}");
        }
        assert!(Risk::Everything < Risk::Power && Risk::Power < Risk::Other);
    }
}
