//! What makes the records wrong.

use std::collections::BTreeSet;

use super::{Faults, Found};
use crate::{
    access::account::UNKNOWN,
    rulebook::{Customers, Records},
};

/// Names of secrets begin with a connection's id, or with one of these.
const RESERVED: [&str; 2] = ["latchkey", "mail"];

pub(in crate::rulebook) fn records(records: &Records) -> Result<(), Faults> {
    let mut found = Found::default();
    found.unique("connection", records.connections.iter().map(|c| c.id.as_str()));
    for connection in records.connections.iter().filter(|c| RESERVED.contains(&c.id.as_str())) {
        found.say(format!("connection.{}.id", connection.id), "this word is Latchkey's own; choose another id");
    }
    found.unique("customer", records.customers.iter().map(|c| c.id.as_str()));
    found.unique("person", records.people.iter().map(|p| p.id.as_str()));
    if records.people.iter().any(|p| p.id.as_str() == UNKNOWN) {
        found.say(
            format!("person.{UNKNOWN}"),
            "this id stands for accounts of which nobody knows whose they are; choose another one",
        );
    }
    let is_psa = |id| records.connection(id).is_some_and(|c| c.kind.is_psa());
    let is_directory = |id| records.connection(id).is_some_and(|c| c.kind.is_directory());
    let (mut companies, mut members, mut directories) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for customer in &records.customers {
        let at = |field: &str| format!("customer.{}.{field}", customer.id);
        for bound in &customer.companies {
            if !is_psa(&bound.connection) {
                found.say(at("companies"), format!("{} is not a PSA connection", bound.connection));
            }
            for id in bound.ids.iter().filter(|id| !companies.insert((&bound.connection, (*id).clone()))) {
                found.say(at("companies"), format!("company {id} is already bound to another customer"));
            }
        }
        if let Some(directory) = &customer.directory {
            if !is_directory(directory) {
                found.say(at("directory"), format!("{directory} is not a directory connection"));
            }
            if !directories.insert(directory) {
                found.say(at("directory"), format!("{directory} already belongs to another customer"));
            }
            match &customer.domain {
                Some(domain) if is_domain(domain) => {}
                _ => found.say(at("domain"), "name the domain for accounts, such as contoso.onmicrosoft.com"),
            }
        }
    }
    let mut addresses = BTreeSet::new();
    for person in &records.people {
        let at = |field: &str| format!("person.{}.{field}", person.id);
        if person.mail.as_ref().is_some_and(|mail| !addresses.insert(mail)) {
            found.say(at("mail"), "another person has this address; mails about one would reach the other");
        }
        for bound in &person.members {
            if !is_psa(&bound.connection) {
                found.say(at("members"), format!("{} is not a PSA connection", bound.connection));
            }
            for id in bound.ids.iter().filter(|id| !members.insert((&bound.connection, (*id).clone()))) {
                found.say(at("members"), format!("member {id} is already bound to another person"));
            }
        }
        if let Customers::Only(list) = &person.customers {
            for id in list.iter().filter(|id| records.customer(id).is_none()) {
                found.say(at("customers"), format!("there is no customer {id}"));
            }
        }
    }
    found.done()
}

pub(in crate::rulebook) fn is_domain(text: &str) -> bool {
    text.len() <= 253
        && text.contains('.')
        && text.split('.').all(|label| {
            !label.is_empty()
                && label.len() <= 63
                && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}
