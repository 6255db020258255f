//! What policies give, against what the customers' directories list.

use latchkey_contract::{ConnectionId, EntitlementId, directory::Entitlement};

use super::{Catalogues, Found, Gravity, called};
use crate::rulebook::{Policy, Records, Rulebook};

/// Customers that are named one by one.
const NAMED: usize = 5;

/// Roles that reach everything, whatever a directory says.
pub(super) fn dangers(found: &mut Found, policy: &Policy) {
    for entitlement in &policy.entitlements {
        if let Some(danger) = policy.source.warning(entitlement) {
            found.say(Gravity::Loud, path(policy), format!("{entitlement}: {danger}"));
        }
    }
}

fn path(policy: &Policy) -> String {
    format!("policy.{}.entitlements", policy.id)
}

/// What is in none of the directories where a policy is used, or not in all of them.
pub(super) fn entitlements(
    found: &mut Found,
    book: &Rulebook,
    policy: &Policy,
    records: &Records,
    catalogues: &Catalogues,
) {
    let used = used(book, policy, records);
    let listed = |id: &ConnectionId| catalogues.directories.get(id);
    let asked = used.iter().filter(|id| listed(id).is_some()).count();
    for entitlement in &policy.entitlements {
        let lacks = |id: &&&ConnectionId| listed(id).is_some_and(|all| find(all, entitlement).is_none());
        let lacking: Vec<&ConnectionId> = used.iter().filter(lacks).copied().collect();
        if lacking.is_empty() {
            continue;
        }
        let (gravity, what) = if lacking.len() == used.len() && asked == used.len() {
            let what = "is in no directory of its customers: requests for this policy are refused".to_owned();
            (Gravity::Inert, what)
        } else {
            (Gravity::Warning, format!("is not in {}: requests there are refused", names(&lacking)))
        };
        found.say(gravity, path(policy), format!("{entitlement} {what}"));
    }
}

fn used<'a>(book: &Rulebook, policy: &Policy, records: &'a Records) -> Vec<&'a ConnectionId> {
    book.customers_of(policy, records).into_iter().filter_map(|c| c.directory.as_ref()).collect()
}

fn find<'a>(listed: &'a [Entitlement], id: &EntitlementId) -> Option<&'a Entitlement> {
    listed.iter().find(|e| e.id == *id)
}

fn names(directories: &[&ConnectionId]) -> String {
    let named = directories.iter().take(NAMED).map(|id| id.as_str()).collect::<Vec<_>>().join(", ");
    match directories.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}

/// The privileged ones among what a policy gives, by name.
pub(super) fn marks(found: &mut Found, book: &Rulebook, policy: &Policy, records: &Records, catalogues: &Catalogues) {
    let used = used(book, policy, records);
    for id in &policy.entitlements {
        let mut known = used.iter().filter_map(|d| find(catalogues.directories.get(*d)?, id));
        if let Some(entitlement) = known.find(|e| e.is_privileged) {
            found.say(Gravity::Note, path(policy), format!("{} is privileged", called(id, &entitlement.name)));
        }
    }
}
