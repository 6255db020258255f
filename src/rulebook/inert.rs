//! What a rulebook says in vain. A person, a customer, a board or a role may die while a rule still names it: the
//! rulebook stays right by itself, that one rule does nothing, and whoever looks is told which and why.
//!
//! Here: against the records. `psa` and `directory` hold it against what the vendors list.

mod directory;
mod psa;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
};

use latchkey_contract::{ConnectionId, directory::Entitlement, text::one_line, ticket};

use super::{
    AlertKind, Customer, Customers, Everybody, Mapping, Person, Policy, Records, Role, Rulebook, Subscriber,
    Technicians, Where,
};

/// Characters of a vendor's name for a thing.
const LONGEST_NAME: usize = 80;

/// How much it matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gravity {
    /// More power than a policy should hold.
    Loud,
    /// A rule does nothing.
    Inert,
    /// A part of a rule does nothing, or will surprise somebody.
    Warning,
    /// Good to know.
    Note,
}

/// Something that blocks nothing and should be known.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Warning {
    /// How much it matters.
    pub gravity: Gravity,
    /// `mapping.desk.boards`.
    pub path: String,
    /// What, and what to do.
    pub what: String,
}

/// What the vendors list, as far as they could be asked.
#[derive(Debug, Clone, Default)]
pub struct Catalogues {
    /// By PSA connection.
    pub psas: BTreeMap<ConnectionId, ticket::Catalogue>,
    /// By directory connection.
    pub directories: BTreeMap<ConnectionId, Vec<Entitlement>>,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let gravity = match self.gravity {
            Gravity::Loud => "DANGER",
            Gravity::Inert => "inert",
            Gravity::Warning => "warning",
            Gravity::Note => "note",
        };
        write!(f, "{gravity}\t{}\t{}", self.path, self.what)
    }
}

#[derive(Default)]
struct Found(Vec<Warning>);

impl Found {
    fn say(&mut self, gravity: Gravity, path: impl Into<String>, what: impl Into<String>) {
        self.0.push(Warning { gravity, path: path.into(), what: what.into() });
    }
}

impl Rulebook {
    /// What of it is dead, dangerous, or surprising with these records and catalogues; the gravest first.
    #[must_use]
    pub fn warnings(&self, records: &Records, catalogues: &Catalogues) -> Vec<Warning> {
        let mut found = Found::default();
        groups(&mut found, self, records);
        alerts(&mut found, self, records);
        for policy in &self.policies {
            usable(&mut found, self, records, policy);
            directory::dangers(&mut found, policy);
            directory::entitlements(&mut found, self, policy, records, catalogues);
            directory::marks(&mut found, self, policy, records, catalogues);
        }
        for mapping in &self.mappings {
            connection(&mut found, records, mapping);
            limits(&mut found, self, mapping);
            if let Some(catalogue) = catalogues.psas.get(&mapping.connection) {
                psa::mapping(&mut found, self, mapping, catalogue);
            }
        }
        found.0.sort_by_key(|warning| warning.gravity);
        found.0
    }

    /// The PSAs and directories that it speaks of, as far as the records know them.
    #[must_use]
    pub fn connections(&self, records: &Records) -> BTreeSet<ConnectionId> {
        let psas = self.mappings.iter().map(|m| &m.connection).filter(|id| is_psa(records, id));
        let used = self.policies.iter().flat_map(|p| self.customers_of(p, records));
        psas.chain(used.filter_map(|c| c.directory.as_ref())).cloned().collect()
    }

    /// The customers where a policy may be used.
    pub(super) fn customers_of<'a>(&self, policy: &Policy, records: &'a Records) -> Vec<&'a Customer> {
        let is_here = |customer: &&Customer| match &policy.customers {
            Where::All(_) => true,
            Where::Groups(groups) => {
                groups.iter().filter_map(|g| self.customer_group(g)).any(|g| g.customers.contains(&customer.id))
            }
        };
        records.customers.iter().filter(is_here).collect()
    }

    fn people_of<'a>(&self, policy: &Policy, records: &'a Records) -> Vec<&'a Person> {
        let may = |person: &&Person| match &policy.technicians {
            Technicians::Admins(_) => person.role.is_admin(),
            Technicians::Groups(groups) => {
                groups.iter().filter_map(|g| self.technician_group(g)).any(|g| g.has(&person.id))
            }
        };
        records.people.iter().filter(may).collect()
    }
}

fn groups(found: &mut Found, book: &Rulebook, records: &Records) {
    for group in &book.technician_groups {
        let path = format!("technician_group.{}.members", group.id);
        let Everybody::Only(members) = &group.members else { continue };
        for person in members.iter().filter(|id| records.person(id).is_none()) {
            found.say(Gravity::Warning, &path, format!("there is no person {person} in the records"));
        }
        if members.iter().all(|id| records.person(id).is_none()) {
            found.say(Gravity::Inert, &path, "nobody belongs to this group");
        }
    }
    for group in &book.customer_groups {
        let path = format!("customer_group.{}.customers", group.id);
        for customer in group.customers.iter().filter(|id| records.customer(id).is_none()) {
            found.say(Gravity::Warning, &path, format!("there is no customer {customer} in the records"));
        }
        if group.customers.iter().all(|id| records.customer(id).is_none()) {
            found.say(Gravity::Inert, &path, "no customer belongs to this group");
        }
    }
}

fn alerts(found: &mut Found, book: &Rulebook, records: &Records) {
    for kind in AlertKind::ALL {
        let switch = book.alerts.switch(kind);
        let path = format!("alerts.{}.to", kind.key());
        for to in switch.to.iter().filter(|_| switch.on) {
            let has_mail = |is: &dyn Fn(&Person) -> bool| records.people.iter().any(|p| is(p) && p.mail.is_some());
            match to {
                Subscriber::Person(id) if records.person(id).is_none() => {
                    found.say(Gravity::Warning, &path, format!("there is no person {id} in the records"));
                }
                Subscriber::Person(id) if !has_mail(&|p| p.id == *id) => {
                    found.say(Gravity::Warning, &path, format!("person {id} has no mail address in the records"));
                }
                Subscriber::Owners if !has_mail(&|p| p.role == Role::Owner) => {
                    found.say(Gravity::Warning, &path, "no owner in the records has a mail address");
                }
                Subscriber::Admins if !has_mail(&|p| p.role.is_admin()) => {
                    found.say(Gravity::Warning, &path, "no owner or admin in the records has a mail address");
                }
                Subscriber::Person(_) | Subscriber::Owners | Subscriber::Admins | Subscriber::Address(_) => {}
            }
        }
    }
}

/// Somebody must be able to use a policy somewhere, and some ticket must be able to ask for it.
fn usable(found: &mut Found, book: &Rulebook, records: &Records, policy: &Policy) {
    let path = format!("policy.{}", policy.id);
    if !book.mappings.iter().any(|m| m.named_policies().any(|p| *p == policy.id)) {
        found.say(Gravity::Inert, &path, "no mapping names it, so no ticket can ask for it");
    }
    let (people, customers) = (book.people_of(policy, records), book.customers_of(policy, records));
    if people.is_empty() {
        let what = match policy.technicians {
            Technicians::Admins(_) => "it is for owners and admins, and the records have neither",
            Technicians::Groups(_) => "nobody of the records belongs to its technician groups",
        };
        return found.say(Gravity::Inert, format!("{path}.technicians"), format!("{what}, so nobody may use it"));
    }
    let here: Vec<&&Customer> = customers.iter().filter(|c| c.directory.is_some()).collect();
    if here.is_empty() {
        let what = "no customer with a directory belongs to its customers, so it can be used nowhere";
        return found.say(Gravity::Inert, format!("{path}.customers"), what);
    }
    let works_for = |person: &Person, customer: &Customer| match &person.customers {
        Customers::All(_) => true,
        Customers::Only(theirs) => theirs.contains(&customer.id),
    };
    if !people.iter().any(|person| here.iter().any(|customer| works_for(person, customer))) {
        let what = "nobody who may use it works for a customer where it may be used";
        found.say(Gravity::Inert, path, what);
    }
}

fn is_psa(records: &Records, id: &ConnectionId) -> bool {
    records.connection(id).is_some_and(|c| c.kind.is_psa())
}

fn connection(found: &mut Found, records: &Records, mapping: &Mapping) {
    if !is_psa(records, &mapping.connection) {
        let what =
            format!("there is no PSA connection {} in the records, so this mapping does nothing", mapping.connection);
        found.say(Gravity::Inert, format!("mapping.{}.connection", mapping.id), what);
    }
    let is_untold = records.connection(&mapping.connection).is_some_and(|c| !c.kind.records_moves());
    if mapping.trigger_board && is_untold {
        let what = format!(
            "the PSA {} does not record who moved a ticket, so nobody can ask by it; use a status or a field",
            mapping.connection
        );
        found.say(Gravity::Inert, format!("mapping.{}.trigger_board", mapping.id), what);
    }
}

/// A limit that leaves none of a policy's lengths to ask for.
fn limits(found: &mut Found, book: &Rulebook, mapping: &Mapping) {
    let (Some(limit), true) = (mapping.max_length, mapping.length_field.is_some()) else { return };
    let named = mapping.named_policies().filter_map(|id| book.policy(id));
    for policy in named.filter(|p| p.lengths.iter().all(|length| *length > limit)) {
        let what = format!(
            "{limit} is shorter than every length of policy {}, so a ticket that names one is refused",
            policy.id
        );
        found.say(Gravity::Warning, format!("mapping.{}.max_length", mapping.id), what);
    }
}

/// An id with the vendor's name for it, which is free text of somebody else.
fn called(id: impl fmt::Display, name: &str) -> String {
    format!("{id} ({})", one_line(name, LONGEST_NAME))
}

#[cfg(test)]
mod tests;
