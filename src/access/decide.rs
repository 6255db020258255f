//! `decide`: may this request be granted, and how? Pure, with the rule that decided.

use std::collections::BTreeMap;

use latchkey_contract::{BrakeId, ConnectionId, CustomerId, MappingId, PersonId};
use serde::{Deserialize, Serialize};

use super::{
    Holds, Length, Request,
    choose::{limit, may_use, reason},
};
use crate::rulebook::{Customer, Customers, Mapping, Person, Policy, Rules, typed_name};

/// The answer, with everything needed to carry it out.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Grant it.
    Grant(Box<Terms>),
    /// It would be granted, but these brakes were pulled: it waits for approvers.
    Wait(Box<Terms>, Vec<BrakeId>),
    /// Do not.
    Refuse(Refusal),
}

/// What is to be given.
#[derive(Debug, Clone, PartialEq)]
pub struct Terms {
    /// Who.
    pub person: PersonId,
    /// At which customer.
    pub customer: CustomerId,
    /// In which directory.
    pub directory: ConnectionId,
    /// Under which policy, frozen.
    pub policy: Policy,
    /// By which mapping.
    pub mapping: MappingId,
    /// How long.
    pub length: Length,
    /// The strictest rule on the length: the one that set its limit.
    pub limited_by: String,
    /// Why: free text of the ticket, hostile, bounded.
    pub reason: String,
    /// The name that was typed for the account, if this makes its first.
    pub user_name: Option<String>,
}

/// What lives already, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Living {
    /// This ticket already holds a grant of this mapping for this person that is not over.
    pub same_ticket: bool,
    /// How many grants each brake counts now.
    #[serde(default)]
    pub counts: BTreeMap<BrakeId, u32>,
}

/// Why not: a stable code, the rule that decided, and a sentence for the ticket that says what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable, from a closed list ([`CODES`]).
    pub code: std::borrow::Cow<'static, str>,
    /// The rule that decided.
    pub rule: String,
    /// For the ticket.
    pub sentence: String,
}

/// Every code a refusal may carry.
pub const CODES: [&str; 29] = [
    "clock-in-doubt",
    "ticket-closed",
    "locked",
    "company-unknown",
    "jit-off",
    "actor-in-doubt",
    "actor-unknown",
    "actor-inactive",
    "actor-not-human",
    "person-unknown",
    "person-blocked",
    "binding-cooling",
    "customer-not-theirs",
    "no-directory",
    "policy-missing",
    "policy-unreadable",
    "policy-not-theirs",
    "policy-not-here",
    "length-unreadable",
    "length-not-allowed",
    "reason-missing",
    "user-name-unusable",
    "already-living",
    "account-name-taken",
    "not-active",
    "extending-already",
    "access-changed",
    "brake-pulled",
    "database-compared",
];

/// Decides. Reads nothing but its arguments.
#[must_use]
pub fn decide(rules: &Rules, holds: &Holds, request: &Request, living: &Living) -> Decision {
    let terms = match terms(rules, holds, request, living) {
        Ok(terms) => Box::new(terms),
        Err(refusal) => return Decision::Refuse(refusal),
    };
    let is_pulled = |b: &&crate::rulebook::Brake| living.counts.get(&b.id).is_some_and(|count| *count >= b.grants);
    let pulled: Vec<BrakeId> = rules.rulebook.brakes.iter().filter(is_pulled).map(|b| b.id.clone()).collect();
    if pulled.is_empty() { Decision::Grant(terms) } else { Decision::Wait(terms, pulled) }
}

fn terms(rules: &Rules, holds: &Holds, request: &Request, living: &Living) -> Result<Terms, Refusal> {
    if request.is_closed {
        return Err(refuse("ticket-closed", "ticket", "the ticket is closed; open it and ask again"));
    }
    if let Some(doubt) = holds.clock {
        let sentence = format!("{doubt}, so nothing new is given; ask again later, or tell an admin");
        return Err(refuse("clock-in-doubt", "clock", sentence));
    }
    if let Some(why) = &holds.everything {
        return Err(refuse("locked", "lock", format!("{why}; an owner has to lift the lock")));
    }
    let person = person(rules, holds, request)?;
    let customer = customer(rules, holds, request, person)?;
    let Some(directory) = &customer.directory else {
        let sentence = "this customer has no directory connected; an admin can connect one";
        return Err(refuse("no-directory", format!("customer {}", customer.id), sentence));
    };
    let mapping_rule = format!("mapping {}", request.mapping);
    let Some(mapping) = rules.rulebook.mapping(&request.mapping) else {
        return Err(refuse("policy-missing", mapping_rule, "the mapping is gone; ask an admin"));
    };
    let policy = policy(rules, mapping, request, person, customer)?;
    let limit = limit(rules, mapping, policy, person, customer);
    let length = length(policy, &limit, request.length_field.as_deref())?;
    let reason = reason(mapping, policy, request)?;
    let user_name = match request.user_name_field.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
        None => None,
        Some(typed) => {
            // Checked here for its letters alone; the grant's own ending is added where the account is made.
            let checked = typed_name(typed, latchkey_contract::directory::Mode::Standard, "");
            Some(checked.map_err(|why| refuse("user-name-unusable", mapping_rule.as_str(), why))?)
        }
    };
    if living.same_ticket {
        return Err(refuse("already-living", "one ticket, one access", "this ticket already holds access for you"));
    }
    Ok(Terms {
        person: person.id.clone(),
        customer: customer.id.clone(),
        directory: directory.clone(),
        policy: policy.clone(),
        mapping: mapping.id.clone(),
        length,
        limited_by: limit.by,
        reason,
        user_name,
    })
}

/// What asks once more: Latchkey's own status takes the ticket out of a status that asks, and out of nothing else.
fn again(rules: &Rules, request: &Request) -> &'static str {
    match rules.rulebook.mapping(&request.mapping) {
        Some(mapping) if mapping.trigger_field.is_some() => "empty the field, save, and set it again",
        Some(mapping) if mapping.trigger_board => "move the ticket out of the queue, save, and move it back",
        _ => "set it again",
    }
}

fn person<'a>(rules: &'a Rules, holds: &Holds, request: &Request) -> Result<&'a Person, Refusal> {
    let (rule, who, again) = match request.is_by_automation {
        true => ("who owns the ticket", "who owns the ticket", "assign the ticket to a technician, and ask again"),
        false => ("who set the trigger", "who set this", again(rules, request)),
    };
    let actor = request.actor.as_ref().map_err(|why| refuse("actor-in-doubt", rule, format!("{why}; {again}")))?;
    let Some(member) = &actor.member else {
        let sentence = match request.is_by_automation {
            true => format!("no member of the PSA owns the ticket; {again}"),
            false => format!("whoever set this is not a member of the PSA; a technician has to {again}"),
        };
        return Err(refuse("actor-unknown", rule, sentence));
    };
    if !actor.is_active {
        return Err(refuse("actor-inactive", rule, format!("the member {who} is inactive in the PSA")));
    }
    if !actor.is_human {
        let sentence = match request.is_by_automation {
            true => format!("an API or system identity owns the ticket; {again}"),
            false => format!("this was set by an API or system identity; a technician has to {again}"),
        };
        return Err(refuse("actor-not-human", rule, sentence));
    }
    let Some(person) = actor.person.as_ref().and_then(|id| rules.records.person(id)) else {
        let sentence = format!("the PSA member {who} is not bound to a person in Latchkey; an admin can bind them");
        return Err(refuse("person-unknown", "person records", sentence));
    };
    if let Some(why) = holds.people.get(&person.id) {
        return Err(refuse("person-blocked", format!("person {}", person.id), format!("{why}; ask an admin")));
    }
    let Some(bound) = rules.records.bound(&person.id, &request.ticket.connection, member) else {
        let sentence = format!("the PSA member {who} is bound to another person now; {again}");
        return Err(refuse("person-unknown", "person records", sentence));
    };
    let warm = bound.since + rules.rulebook.settings.binding_cools_for.duration();
    if !bound.is_confirmed && request.decided_at < warm {
        let sentence = format!(
            "your PSA member was bound to you only just; from {} on this works, or an owner confirms the binding",
            warm.for_people()
        );
        return Err(refuse("binding-cooling", "new bindings cool down", sentence));
    }
    Ok(person)
}

fn customer<'a>(rules: &'a Rules, holds: &Holds, request: &Request, person: &Person) -> Result<&'a Customer, Refusal> {
    let Some(customer) = request.customer.as_ref().and_then(|id| rules.records.customer(id)) else {
        let company = request.company.as_ref().map_or("no company".to_owned(), |c| format!("company {c}"));
        let sentence = format!("the ticket's {company} is not bound to a customer of Latchkey; an admin can bind it");
        return Err(refuse("company-unknown", "customer records", sentence));
    };
    let rule = format!("customer {}", customer.id);
    if !customer.jit {
        let sentence = "just-in-time access is switched off for this customer; an admin can switch it on";
        return Err(refuse("jit-off", rule, sentence));
    }
    if let Some(why) = holds.customers.get(&customer.id) {
        return Err(refuse("jit-off", rule, format!("{why}; ask an admin")));
    }
    if let Customers::Only(theirs) = &person.customers
        && !theirs.contains(&customer.id)
    {
        let sentence = "this customer is not among those you work for; an admin can add it";
        return Err(refuse("customer-not-theirs", format!("person {}", person.id), sentence));
    }
    Ok(customer)
}

/// The policy that the mapping or its field names. One that may not be used here and now is not told from one that does
/// not exist, where it was chosen by a field.
fn policy<'a>(
    rules: &'a Rules,
    mapping: &Mapping,
    request: &Request,
    person: &Person,
    customer: &Customer,
) -> Result<&'a Policy, Refusal> {
    let rule = format!("mapping {}", mapping.id);
    let book = &rules.rulebook;
    if let Some(text) = request.policy_field.as_deref().map(str::trim).filter(|t| !t.is_empty()) {
        let usable = mapping.policies.iter().filter_map(|id| book.policy(id));
        let mut usable = usable.filter(|p| may_use(book, p, person, customer).is_ok());
        return usable.find(|p| p.answers_to(text)).ok_or_else(|| {
            let sentence = "the access that the ticket's field names is none that you may use at this customer";
            refuse("policy-unreadable", rule, sentence)
        });
    }
    let Some(id) = &mapping.policy else {
        return Err(refuse(
            "policy-unreadable",
            rule,
            "the ticket's field does not say which access is meant; fill it",
        ));
    };
    let Some(policy) = book.policy(id) else {
        return Err(refuse("policy-missing", rule, "the mapping's policy is gone; ask an admin"));
    };
    may_use(book, policy, person, customer)?;
    Ok(policy)
}

/// The field's length if it is filled, the default otherwise. A field that cannot be read never becomes a default.
fn length(policy: &Policy, limit: &super::choose::Limit, field: Option<&str>) -> Result<Length, Refusal> {
    let rule = format!("policy {}", policy.id);
    let Some(text) = field.map(str::trim).filter(|t| !t.is_empty()) else {
        return Ok(policy.default_length.min(limit.length));
    };
    let fitting = policy.lengths.iter().filter(|l| **l <= limit.length);
    let allowed = fitting.map(Length::to_string).collect::<Vec<_>>().join(", ");
    let allowed = if allowed.is_empty() { format!("at most {}", limit.length) } else { allowed };
    let Ok(length) = Length::from_field(text) else {
        let sentence = format!("the length asked for cannot be read; allowed is {allowed}");
        return Err(refuse("length-unreadable", rule, sentence));
    };
    if length > limit.length {
        let sentence = format!("{length} is longer than {} lets it be; allowed is {allowed}", limit.by);
        return Err(refuse("length-not-allowed", limit.by.as_str(), sentence));
    }
    if !policy.lengths.contains(&length) {
        return Err(refuse("length-not-allowed", rule, format!("{length} is not allowed; allowed is {allowed}")));
    }
    Ok(length)
}

/// A refusal by a code of the closed list.
pub(crate) fn refuse(code: &'static str, rule: impl Into<String>, sentence: impl Into<String>) -> Refusal {
    debug_assert!(CODES.contains(&code), "{code} is not in the closed list");
    Refusal { code: code.into(), rule: rule.into(), sentence: sentence.into() }
}
