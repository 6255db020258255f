//! What makes a document wrong. All faults are named at once, each with its path.

use std::{collections::BTreeSet, fmt};

use serde::de::DeserializeOwned;

use super::{ConnectionKind, Delivery, Records, Rulebook};
use crate::access::account::UNKNOWN;

/// One fault and where it lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// `policy.helpdesk.max_length`.
    pub path: String,
    /// What is wrong and what would be right.
    pub what: String,
}

/// All faults of a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Faults(pub Vec<Fault>);

impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, fault) in self.0.iter().enumerate() {
            if n > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{}: {}", fault.path, fault.what)?;
        }
        Ok(())
    }
}

/// Reads TOML into a shape; a fault of syntax or shape is one fault, with line and column.
pub(super) fn read<T: DeserializeOwned>(text: &str) -> Result<T, Faults> {
    toml::from_str(text).map_err(|e| {
        let line = e.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
        Faults(vec![Fault { path: format!("line {line}"), what: e.message().to_owned() }])
    })
}

#[derive(Default)]
struct Found(Vec<Fault>);

impl Found {
    fn say(&mut self, path: impl Into<String>, what: impl Into<String>) {
        self.0.push(Fault { path: path.into(), what: what.into() });
    }

    fn unique<'a>(&mut self, kind: &str, ids: impl Iterator<Item = &'a str>) {
        let mut seen = BTreeSet::new();
        for id in ids {
            if !seen.insert(id) {
                self.say(format!("{kind}.{id}"), "this id is used twice; ids are chosen once");
            }
        }
    }

    fn done(self) -> Result<(), Faults> {
        if self.0.is_empty() { Ok(()) } else { Err(Faults(self.0)) }
    }
}

pub(super) fn rulebook(book: &Rulebook) -> Result<(), Faults> {
    let mut found = Found::default();
    found.unique("policy", book.policies.iter().map(|p| p.id.as_str()));
    found.unique("mapping", book.mappings.iter().map(|m| m.id.as_str()));
    for policy in &book.policies {
        let at = |field: &str| format!("policy.{}.{field}", policy.id);
        if policy.entitlements.is_empty() {
            found.say(at("entitlements"), "a policy must give at least one role or group");
        }
        if policy.lengths.is_empty() {
            found.say(at("lengths"), "a policy must allow at least one length");
        }
        for length in policy.lengths.iter().filter(|l| **l > policy.max_length) {
            found.say(at("lengths"), format!("{length} is above the policy's max_length of {}", policy.max_length));
        }
        if !policy.lengths.contains(&policy.default_length) {
            let default = policy.default_length;
            found.say(at("default_length"), format!("{default} is not among the policy's lengths; name one of them"));
        }
        if policy.delivery == Delivery::Ticket && !policy.ticket_readers_may_use_it {
            let what = "delivery in the ticket lets everybody who can read the ticket use the access; \
                        say ticket_readers_may_use_it = true if that is meant, or choose claim-link";
            found.say(at("delivery"), what);
        }
        if policy.delivery == Delivery::ClaimLink && policy.ticket_readers_may_use_it {
            found.say(at("ticket_readers_may_use_it"), "has no meaning with a claim link; remove it");
        }
    }
    for (n, mapping) in book.mappings.iter().enumerate() {
        let at = |field: &str| format!("mapping.{}.{field}", mapping.id);
        if book.policy(&mapping.policy).is_none() {
            found.say(at("policy"), format!("there is no policy {}", mapping.policy));
        }
        if mapping.boards.is_empty() {
            found.say(at("boards"), "name at least one board");
        }
        if mapping.trigger_statuses.is_empty() {
            found.say(at("trigger_statuses"), "name at least one status");
        }
        let ours = [&mapping.statuses.granted, &mapping.statuses.refused, &mapping.statuses.ended];
        for status in ours.into_iter().flatten().filter(|s| mapping.trigger_statuses.contains(s)) {
            found.say(at("statuses"), format!("status {status} is the trigger; Latchkey must not set it"));
        }
        for other in &book.mappings[..n] {
            let overlaps = other.connection == mapping.connection
                && other.boards.iter().any(|b| mapping.boards.contains(b))
                && other.trigger_statuses.iter().any(|s| mapping.trigger_statuses.contains(s));
            if overlaps {
                found.say(
                    at("trigger_statuses"),
                    format!("mapping {} already asks by this status on this board", other.id),
                );
            }
        }
    }
    found.done()
}

pub(super) fn records(records: &Records) -> Result<(), Faults> {
    let mut found = Found::default();
    found.unique("connection", records.connections.iter().map(|c| c.id.as_str()));
    found.unique("customer", records.customers.iter().map(|c| c.id.as_str()));
    found.unique("person", records.people.iter().map(|p| p.id.as_str()));
    if records.people.iter().any(|p| p.id.as_str() == UNKNOWN) {
        found.say(
            format!("person.{UNKNOWN}"),
            "this id stands for accounts of which nobody knows whose they are; choose another one",
        );
    }
    let is_psa = |id| matches!(records.connection(id).map(|c| &c.kind), Some(ConnectionKind::ConnectWise(_)));
    let is_directory = |id| matches!(records.connection(id).map(|c| &c.kind), Some(ConnectionKind::Entra(_)));
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
    for person in &records.people {
        let at = |field: &str| format!("person.{}.{field}", person.id);
        for bound in &person.members {
            if !is_psa(&bound.connection) {
                found.say(at("members"), format!("{} is not a PSA connection", bound.connection));
            }
            for id in bound.ids.iter().filter(|id| !members.insert((&bound.connection, (*id).clone()))) {
                found.say(at("members"), format!("member {id} is already bound to another person"));
            }
        }
        if let super::Customers::Only(list) = &person.customers {
            for id in list.iter().filter(|id| records.customer(id).is_none()) {
                found.say(at("customers"), format!("there is no customer {id}"));
            }
        }
    }
    found.done()
}

fn is_domain(text: &str) -> bool {
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

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
[[policy]]
id = "helpdesk"
name = "Helpdesk administrator"
source = "entra"
mode = "standard"
entitlements = ["role:729827e3-9c14-49f7-bb1b-9608f156bbb8"]
lengths = ["1h", "4h"]
max_length = "8h"
delivery = "claim-link"

[[mapping]]
id = "helpdesk"
connection = "cw"
boards = ["63"]
trigger_statuses = ["512"]
policy = "helpdesk"
"#;

    fn faults(change: &[(&str, &str)]) -> String {
        let mut text = GOOD.to_owned();
        for (from, to) in change {
            assert!(text.contains(from), "{from}");
            text = text.replacen(from, to, 1);
        }
        Rulebook::parse(&text).map(|_| String::new()).unwrap_or_else(|faults| faults.to_string())
    }

    /// F106: there is no silent default for delivery, and the ticket needs a word of consent.
    #[test]
    fn delivery_is_chosen_never_assumed() {
        assert!(faults(&[("delivery = \"claim-link\"", "")]).contains("delivery"));
        let in_ticket = faults(&[("\"claim-link\"", "\"ticket\"")]);
        assert!(in_ticket.starts_with("policy.helpdesk.delivery: ") && in_ticket.contains("ticket_readers_may_use_it"));
        assert_eq!(faults(&[("\"claim-link\"", "\"ticket\"\nticket_readers_may_use_it = true")]), "");
    }

    #[test]
    fn every_fault_is_named_with_its_path() {
        assert_eq!(faults(&[]), "");
        let table = [
            (("max_length = \"8h\"", ""), "max_length"),
            (("max_length = \"8h\"", "max_length = \"2h\""), "policy.helpdesk.lengths: 4h is above"),
            (("max_length = \"8h\"", "max_length = \"for ever\""), "not a length"),
            (("lengths = [\"1h\", \"4h\"]", "lengths = [\"1h\"]"), "policy.helpdesk.default_length"),
            (
                ("entitlements = [\"role:729827e3-9c14-49f7-bb1b-9608f156bbb8\"]", "entitlements = []"),
                "policy.helpdesk.entitlements",
            ),
            (("role:729827e3-9c14-49f7-bb1b-9608f156bbb8", "Helpdesk Administrator"), "role:ID"),
            (("policy = \"helpdesk\"", "policy = \"gone\""), "mapping.helpdesk.policy: there is no policy gone"),
            (("boards = [\"63\"]", "boards = []"), "mapping.helpdesk.boards"),
            (("source = \"entra\"", "source = \"local\""), "expected `entra`"),
            (("source = \"entra\"", "source = \"entra\"\nsurprise = 1"), "surprise"),
            (
                ("trigger_statuses = [\"512\"]", "trigger_statuses = [\"512\"]\nstatuses.ended = \"512\""),
                "is the trigger",
            ),
        ];
        for ((from, to), wanted) in table {
            let said = faults(&[(from, to)]);
            assert!(said.contains(wanted), "{to}: {said:?} does not say {wanted:?}");
        }
    }

    #[test]
    fn two_mappings_never_ask_by_the_same_status() {
        let second = "[[mapping]]\nid = \"other\"\nconnection = \"cw\"\nboards = [\"63\"]\ntrigger_statuses = [\"512\"]\npolicy = \"helpdesk\"\n";
        let both = format!("{GOOD}\n{second}");
        assert!(Rulebook::parse(&both).unwrap_err().to_string().contains("already asks"));
    }

    #[test]
    fn nobody_is_called_what_stands_for_nobody() {
        let text = "[[person]]\nid = \"unknown\"\nname = \"Jane\"\ncustomers = \"all\"\n";
        let faults = Records::parse(text).unwrap_err().to_string();
        assert!(faults.contains("person.unknown") && faults.contains("choose another one"), "{faults}");
    }

    /// F5: a company is one customer, a directory is one customer's.
    #[test]
    fn nothing_is_bound_twice() {
        let text = r#"
[[customer]]
id = "a"
name = "A"
jit = true
companies = [{ connection = "cw", ids = ["250", "251"] }]
directory = "shared"
domain = "a.example"

[[customer]]
id = "b"
name = "B"
jit = true
companies = [{ connection = "cw", ids = ["251"] }]
directory = "shared"
domain = "b.example"
"#;
        let faults = Records::parse(text).unwrap_err().to_string();
        for wanted in [
            "cw is not a PSA connection",
            "company 251 is already bound",
            "shared already belongs",
            "shared is not a directory",
        ] {
            assert!(faults.contains(wanted), "{faults}");
        }
    }

    /// F5: what was given under a connection's id is never looked for in another tenant.
    #[test]
    fn a_connection_never_moves_under_its_id() {
        let records = |tenant: &str, timeout: u8| {
            let text = format!(
                "[[connection]]\nid = \"contoso\"\nkind = \"entra\"\ntenant = \"{tenant}\"\n\
                 client_id = \"aaaaaaaa-bbbb-4ccc-8ddd-eeeeeeeeeeee\"\ncredential = \"secret\"\ntimeout_s = {timeout}\n"
            );
            Records::parse(&text).unwrap()
        };
        let (here, there) = ("11111111-2222-4333-8444-555555555555", "99999999-2222-4333-8444-555555555555");
        assert_eq!(records(there, 15).moved(&records(here, 15)).len(), 1);
        assert!(records(here, 10).moved(&records(here, 15)).is_empty());
        assert!(records(there, 15).moved(&Records::default()).is_empty());
    }
}
