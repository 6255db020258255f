//! What the rules in force want of each connection. Pure.

use latchkey_contract::{ConnectionId, directory::DirectoryWants, ticket::WantedChecks};

use crate::rulebook::{Customer, Policy, Rules, Where};

pub(super) fn of_psa(rules: &Rules, psa: &ConnectionId) -> WantedChecks {
    let mut want = WantedChecks::default();
    for mapping in rules.rulebook.mappings.iter().filter(|mapping| mapping.connection == *psa) {
        want.boards.extend(mapping.boards.iter().cloned());
        want.types.extend(mapping.types.iter().cloned());
        want.sources.extend(mapping.sources.iter().cloned());
        let set = [&mapping.statuses.granted, &mapping.statuses.refused, &mapping.statuses.ended];
        want.statuses.extend(mapping.trigger_statuses.iter().chain(set.into_iter().flatten()).cloned());
        let read = [&mapping.policy_field, &mapping.length_field, &mapping.reason_field, &mapping.user_name_field];
        let trigger = mapping.trigger_field.as_ref().map(|trigger| &trigger.field);
        want.fields.extend(trigger.into_iter().chain(read.into_iter().flatten()).cloned());
    }
    want
}

pub(super) fn of_directory(rules: &Rules, directory: &ConnectionId) -> DirectoryWants {
    let is_here = |customer: &&Customer| customer.jit && customer.directory.as_ref() == Some(directory);
    let mut want = DirectoryWants::default();
    for customer in rules.records.customers.iter().filter(is_here) {
        want.domains.extend(customer.domain.clone());
        let policies = rules.rulebook.policies.iter().filter(|policy| is_usable(rules, policy, customer));
        want.entitlements.extend(policies.flat_map(|policy| policy.entitlements.iter().cloned()));
    }
    want
}

fn is_usable(rules: &Rules, policy: &Policy, customer: &Customer) -> bool {
    match &policy.customers {
        Where::All(_) => true,
        Where::Groups(groups) => {
            let mut groups = groups.iter().filter_map(|id| rules.rulebook.customer_group(id));
            groups.any(|group| group.customers.contains(&customer.id))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::{Records, Rulebook};

    const BOOK: &str = r#"
[[customer_group]]
id = "large"
name = "Large"
customers = ["contoso"]

[[policy]]
id = "everywhere"
name = "Everywhere"
source = "entra"
mode = "standard"
entitlements = ["role:729827e3-9c14-49f7-bb1b-9608f156bbb8"]
lengths = ["1h"]
default_length = "1h"
max_length = "4h"
delivery = "claim-link"

[[policy]]
id = "large-only"
name = "Large only"
source = "entra"
mode = "standard"
customers = ["large"]
entitlements = ["role:29232cdf-9323-42fd-ade2-1d097af3e4de"]
lengths = ["1h"]
default_length = "1h"
max_length = "4h"
delivery = "claim-link"

[[mapping]]
id = "desk"
connection = "cw"
boards = ["1"]
types = ["5"]
sources = ["6"]
trigger_statuses = ["7"]
policy = "everywhere"
length_field = "31"
reason_field = "32"
statuses = { granted = "8", ended = "9" }

[[mapping]]
id = "by-field"
connection = "cw"
boards = ["2"]
trigger_field = { field = "33", values = ["true"] }
policy = "large-only"

[[mapping]]
id = "elsewhere"
connection = "other"
boards = ["99"]
trigger_statuses = ["99"]
policy = "everywhere"
"#;

    fn customer(id: &str, directory: &str, jit: bool) -> Customer {
        let text =
            format!("id = {id:?}\nname = {id:?}\njit = {jit}\ndirectory = {directory:?}\ndomain = \"{id}.example\"");
        toml::from_str(&text).unwrap()
    }

    fn rules() -> Rules {
        let customers =
            vec![customer("contoso", "one", true), customer("fabrikam", "two", true), customer("off", "two", false)];
        let records = Records { customers, ..Records::default() };
        Rules { rulebook: Rulebook::parse(BOOK).unwrap(), records, ..Rules::default() }
    }

    #[test]
    fn a_psa_is_asked_for_what_its_own_mappings_name() {
        let want = of_psa(&rules(), &"cw".parse().unwrap());
        let text = |ids: Vec<String>| ids.join(",");
        assert_eq!(text(want.boards.iter().map(ToString::to_string).collect()), "1,2");
        assert_eq!(text(want.statuses.iter().map(ToString::to_string).collect()), "7,8,9");
        assert_eq!(text(want.types.iter().map(ToString::to_string).collect()), "5");
        assert_eq!(text(want.sources.iter().map(ToString::to_string).collect()), "6");
        assert_eq!(text(want.fields.iter().map(ToString::to_string).collect()), "31,32,33");
    }

    #[test]
    fn a_tenant_is_asked_for_what_may_be_given_at_its_customers() {
        let of = |id: &str| of_directory(&rules(), &id.parse().unwrap());
        assert_eq!((of("one").entitlements.len(), of("two").entitlements.len()), (2, 1));
        assert_eq!(of("one").domains.into_iter().collect::<Vec<_>>(), ["contoso.example"]);
        // A customer that is switched off wants nothing.
        assert_eq!(of("two").domains.into_iter().collect::<Vec<_>>(), ["fabrikam.example"]);
        assert_eq!(of("three"), DirectoryWants::default());
    }
}
