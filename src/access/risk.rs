//! Which removals go first, where many are overdue: those of what can do most harm while it stands.

use latchkey_contract::directory::Risk;

use crate::rulebook::Policy;

/// Of all that a grant gives, by the policy that was frozen in it.
#[must_use]
pub fn risk(policy: &Policy) -> Risk {
    policy.entitlements.iter().map(|entitlement| policy.source.risk(entitlement)).min().unwrap_or(Risk::Other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::samples;

    #[test]
    fn a_grant_is_as_risky_as_the_riskiest_of_what_it_gives() {
        const GLOBAL: &str = "role:62e90394-69f5-4237-9190-012177145e10";
        const EXCHANGE: &str = "role:29232cdf-9323-42fd-ade2-1d097af3e4de";
        const GROUP: &str = "group:0f0e0d0c-1111-4222-8333-444455556666";
        for (gives, of_it) in [
            (&[][..], Risk::Other),
            (&[GROUP], Risk::Other),
            (&[GROUP, EXCHANGE], Risk::Power),
            (&[EXCHANGE, GLOBAL, GROUP], Risk::Everything),
        ] {
            let entitlements = gives.iter().map(|id| (*id).to_owned().try_into().unwrap()).collect();
            assert_eq!(risk(&Policy { entitlements, ..samples::policy(&[]) }), of_it, "{gives:?}");
        }
    }
}
