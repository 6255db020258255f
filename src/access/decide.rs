//! `decide`: may this request be granted, and how? Pure, with the rule that decided.

use latchkey_contract::{ConnectionId, CustomerId, MappingId, PersonId};
use serde::{Deserialize, Serialize};

use super::{Holds, Length, Request};
use crate::rulebook::{Customers, Policy, Rules};

/// The answer, with everything needed to carry it out.
#[derive(Debug, Clone, PartialEq)]
pub enum Decision {
    /// Grant it.
    Grant(Box<Terms>),
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
}

/// What lives already, as far as it matters here.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Living {
    /// This ticket already holds a grant of this mapping for this person that is not final.
    pub same_ticket: bool,
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
pub const CODES: [&str; 16] = [
    "clock-in-doubt",
    "ticket-closed",
    "company-unknown",
    "jit-off",
    "actor-in-doubt",
    "actor-unknown",
    "actor-inactive",
    "actor-not-human",
    "person-unknown",
    "person-blocked",
    "customer-not-theirs",
    "no-directory",
    "policy-missing",
    "length-unreadable",
    "length-not-allowed",
    "already-living",
];

/// Decides. Reads nothing but its arguments.
#[must_use]
pub fn decide(rules: &Rules, holds: &Holds, request: &Request, living: &Living) -> Decision {
    match terms(rules, holds, request, living) {
        Ok(terms) => Decision::Grant(Box::new(terms)),
        Err(refusal) => Decision::Refuse(refusal),
    }
}

fn terms(rules: &Rules, holds: &Holds, request: &Request, living: &Living) -> Result<Terms, Refusal> {
    let mapping_rule = format!("mapping {}", request.mapping);
    if request.is_closed {
        return Err(refuse("ticket-closed", "ticket", "the ticket is closed; open it and ask again"));
    }
    if let Some(doubt) = holds.clock {
        let sentence = format!("{doubt}, so nothing new is given; ask again later, or tell an admin");
        return Err(refuse("clock-in-doubt", "clock", sentence));
    }
    let person = person(rules, holds, request)?;
    let Some(customer) = request.customer.as_ref().and_then(|id| rules.records.customer(id)) else {
        let company = request.company.as_ref().map_or("no company".to_owned(), |c| format!("company {c}"));
        let sentence = format!("the ticket's {company} is not bound to a customer of Latchkey; an admin can bind it");
        return Err(refuse("company-unknown", "customer records", sentence));
    };
    if holds.customers.contains(&customer.id) || !customer.jit {
        let sentence = "just-in-time access is switched off for this customer; an admin can switch it on";
        return Err(refuse("jit-off", format!("customer {}", customer.id), sentence));
    }
    if let Customers::Only(theirs) = &person.customers
        && !theirs.contains(&customer.id)
    {
        let sentence = "this customer is not among those you work for; an admin can add it";
        return Err(refuse("customer-not-theirs", format!("person {}", person.id), sentence));
    }
    let Some(directory) = &customer.directory else {
        let sentence = "this customer has no directory connected; an admin can connect one";
        return Err(refuse("no-directory", format!("customer {}", customer.id), sentence));
    };
    let Some(mapping) = rules.rulebook.mapping(&request.mapping) else {
        return Err(refuse("policy-missing", mapping_rule, "the mapping is gone; ask an admin"));
    };
    let Some(policy) = rules.rulebook.policy(&mapping.policy) else {
        return Err(refuse("policy-missing", mapping_rule, "the mapping's policy is gone; ask an admin"));
    };
    let length = length(policy, request.length_field.as_deref())?;
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
    })
}

fn person<'a>(rules: &'a Rules, holds: &Holds, request: &Request) -> Result<&'a crate::rulebook::Person, Refusal> {
    let rule = "who set the trigger";
    let actor = request.actor.as_ref().map_err(|why| refuse("actor-in-doubt", rule, format!("{why}; set it again")))?;
    if actor.member.is_none() {
        let sentence = "whoever set this is not a member of the PSA; a technician has to set it again";
        return Err(refuse("actor-unknown", rule, sentence));
    }
    if !actor.is_active {
        return Err(refuse("actor-inactive", rule, "the member who set this is inactive in the PSA"));
    }
    if !actor.is_human {
        let sentence = "this was set by an API or system identity; a technician has to set it again";
        return Err(refuse("actor-not-human", rule, sentence));
    }
    let Some(person) = actor.person.as_ref().and_then(|id| rules.records.person(id)) else {
        let sentence = "the PSA member who set this is not bound to a person in Latchkey; an admin can bind them";
        return Err(refuse("person-unknown", "person records", sentence));
    };
    if holds.people.contains(&person.id) || person.blocked {
        return Err(refuse(
            "person-blocked",
            format!("person {}", person.id),
            "you are blocked in Latchkey; ask an admin",
        ));
    }
    Ok(person)
}

/// The field's length if it is filled, the default otherwise. A field that cannot be read never becomes a default.
fn length(policy: &Policy, field: Option<&str>) -> Result<Length, Refusal> {
    let rule = format!("policy {}", policy.id);
    let Some(text) = field.map(str::trim).filter(|t| !t.is_empty()) else { return Ok(policy.default_length) };
    let allowed = policy.lengths.iter().map(Length::to_string).collect::<Vec<_>>().join(", ");
    let Ok(length) = Length::from_field(text) else {
        let sentence = format!("the length asked for cannot be read; this policy allows {allowed}");
        return Err(refuse("length-unreadable", rule, sentence));
    };
    if !policy.lengths.contains(&length) || length > policy.max_length {
        let sentence = format!("{length} is not allowed; this policy allows {allowed}");
        return Err(refuse("length-not-allowed", rule, sentence));
    }
    Ok(length)
}

fn refuse(code: &'static str, rule: impl Into<String>, sentence: impl Into<String>) -> Refusal {
    debug_assert!(CODES.contains(&code), "{code} is not in the closed list");
    Refusal { code: code.into(), rule: rule.into(), sentence: sentence.into() }
}
