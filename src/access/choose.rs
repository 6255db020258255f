//! What of the rulebook applies to this person, this customer and this ticket. Where two rules meet, the strictest wins
//! and is named.

use latchkey_contract::text::one_line;

use super::{Length, Refusal, Request, decide::refuse};
use crate::rulebook::{Customer, Mapping, Person, Policy, Reason, Rulebook, Rules, Technicians, Where};

/// Characters of a reason that are kept: room for a sentence and a link.
const LONGEST_REASON: usize = 400;

/// The longest that something may last, and the rule that says so.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) length: Length,
    pub(super) by: String,
}

/// Whether a policy is open to this person at this customer. It never widens whom a person works for: that is asked before.
///
/// # Errors
/// The refusal.
pub(super) fn may_use(book: &Rulebook, policy: &Policy, person: &Person, customer: &Customer) -> Result<(), Refusal> {
    let rule = format!("policy {}", policy.id);
    let is_theirs = match &policy.technicians {
        Technicians::Admins(_) => person.role.is_admin(),
        Technicians::Groups(groups) => {
            groups.iter().filter_map(|g| book.technician_group(g)).any(|g| g.has(&person.id))
        }
    };
    if !is_theirs {
        let sentence = "this access is not open to you; an admin can add you to a group that may use it";
        return Err(refuse("policy-not-theirs", rule, sentence));
    }
    let is_here = match &policy.customers {
        Where::All(_) => true,
        Where::Groups(groups) => {
            groups.iter().filter_map(|g| book.customer_group(g)).any(|g| g.customers.contains(&customer.id))
        }
    };
    if !is_here {
        return Err(refuse("policy-not-here", rule, "this access is not offered at this customer; ask an admin"));
    }
    Ok(())
}

/// The strictest of all limits on the length.
pub(super) fn limit(rules: &Rules, mapping: &Mapping, policy: &Policy, person: &Person, customer: &Customer) -> Limit {
    let book = &rules.rulebook;
    let mut strictest = Limit { length: policy.max_length, by: format!("policy {}", policy.id) };
    let by_mapping = mapping.max_length.map(|l| (l, format!("mapping {}", mapping.id)));
    let by_technician =
        book.groups_of(&person.id).filter_map(|g| g.max_length.map(|l| (l, format!("technician group {}", g.id))));
    let at_customer = book.customer_groups.iter().filter(|g| g.customers.contains(&customer.id));
    let by_customer = at_customer.filter_map(|g| g.max_length.map(|l| (l, format!("customer group {}", g.id))));
    for (length, by) in by_mapping.into_iter().chain(by_technician).chain(by_customer) {
        if length < strictest.length {
            strictest = Limit { length, by };
        }
    }
    strictest
}

/// Why access is asked for: the field's text, else the ticket's summary.
///
/// # Errors
/// The refusal, where the policy wants a reason and none is given.
pub(super) fn reason(mapping: &Mapping, policy: &Policy, request: &Request) -> Result<String, Refusal> {
    let given = request.reason_field.as_deref().map(str::trim).filter(|t| !t.is_empty());
    let summary = Some(request.reason.trim()).filter(|t| !t.is_empty());
    let found = match policy.reason {
        Reason::Required if mapping.reason_field.is_some() => given,
        _ => given.or(summary),
    };
    match (found, policy.reason) {
        (Some(text), _) => Ok(one_line(text, LONGEST_REASON)),
        (None, Reason::Optional) => Ok(String::new()),
        (None, Reason::Required) => {
            let what =
                if mapping.reason_field.is_some() { "the ticket's reason field" } else { "the ticket's summary" };
            let sentence = format!("this access wants a reason; fill {what} and ask again");
            Err(refuse("reason-missing", format!("policy {}", policy.id), sentence))
        }
    }
}
