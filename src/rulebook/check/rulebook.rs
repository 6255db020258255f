//! What makes a rulebook wrong by itself. What is only dead (a person, a customer, a board that is gone) is no fault:
//! it makes its rule inert, and is warned about where the document is saved.

use std::collections::BTreeSet;

use latchkey_contract::{GroupId, text::one_line};

use super::{Faults, Found};
use crate::rulebook::{AlertKind, Delivery, EndsWith, Everybody, Mapping, Policy, Rulebook, Technicians, Where};

/// Characters of a name: it stands in notes and lists.
const LONGEST_NAME: usize = 120;

/// Characters of a description.
const LONGEST_DESCRIPTION: usize = 1000;

pub(in crate::rulebook) fn rulebook(book: &Rulebook) -> Result<(), Faults> {
    let mut found = Found::default();
    found.unique("policy", book.policies.iter().map(|p| p.id.as_str()));
    found.unique("mapping", book.mappings.iter().map(|m| m.id.as_str()));
    found.unique("technician_group", book.technician_groups.iter().map(|g| g.id.as_str()));
    found.unique("customer_group", book.customer_groups.iter().map(|g| g.id.as_str()));
    found.unique("brake", book.brakes.iter().map(|b| b.id.as_str()));
    words(&mut found, book);
    for policy in &book.policies {
        lengths(&mut found, policy);
        delivery(&mut found, policy);
        scope(&mut found, book, policy);
    }
    for (n, mapping) in book.mappings.iter().enumerate() {
        trigger(&mut found, mapping);
        statuses(&mut found, book, mapping);
        asked_for(&mut found, book, mapping);
        for other in book.mappings[..n].iter().filter(|other| mapping.collides(other)) {
            let at = format!("mapping.{}.{}", mapping.id, trigger_key(mapping));
            found.say(at, format!("mapping {} already asks by this there", other.id));
        }
    }
    groups(&mut found, book);
    for brake in book.brakes.iter().filter(|b| b.grants == 0) {
        let at = format!("brake.{}.grants", brake.id);
        found.say(at, "a brake lets at least one grant pass; to stop everything, use latchkey revoke --all");
    }
    if !(1..=60).contains(&book.settings.poll_minutes) {
        found.say("settings.poll_minutes", "a PSA is asked every 1 to 60 minutes; 5 is usual");
    }
    alerts(&mut found, book);
    found.done()
}

/// What people read must be there, and must fit where it is shown: a note, a mail, a line of a list.
fn words(found: &mut Found, book: &Rulebook) {
    let policies = book.policies.iter().map(|p| (format!("policy.{}.name", p.id), &p.name));
    let people = book.technician_groups.iter().map(|g| (format!("technician_group.{}.name", g.id), &g.name));
    let customers = book.customer_groups.iter().map(|g| (format!("customer_group.{}.name", g.id), &g.name));
    for (path, name) in policies.chain(people).chain(customers) {
        if name.trim().is_empty() {
            found.say(path, "give it a name that people know it by");
        } else if *name != one_line(name, LONGEST_NAME) {
            found.say(path, format!("a name is one line of at most {LONGEST_NAME} plain characters"));
        }
    }
    for policy in &book.policies {
        let is_long = |text: &String| text.chars().count() > LONGEST_DESCRIPTION;
        if policy.description.as_ref().is_some_and(is_long) {
            let what = format!("a description has at most {LONGEST_DESCRIPTION} characters");
            found.say(format!("policy.{}.description", policy.id), what);
        }
    }
}

fn twice<T: Ord + std::fmt::Display>(found: &mut Found, path: &str, named: &[T]) {
    let mut seen = BTreeSet::new();
    for twice in named.iter().filter(|item| !seen.insert(*item)) {
        found.say(path, format!("{twice} is named twice"));
    }
}

fn groups(found: &mut Found, book: &Rulebook) {
    for group in &book.technician_groups {
        if let Everybody::Only(members) = &group.members {
            twice(found, &format!("technician_group.{}.members", group.id), members);
        }
    }
    for group in &book.customer_groups {
        twice(found, &format!("customer_group.{}.customers", group.id), &group.customers);
    }
}

fn lengths(found: &mut Found, policy: &Policy) {
    let at = |field: &str| format!("policy.{}.{field}", policy.id);
    if policy.entitlements.is_empty() {
        found.say(at("entitlements"), "a policy must give at least one role or group");
    }
    twice(found, &at("entitlements"), &policy.entitlements);
    twice(found, &at("lengths"), &policy.lengths);
    if policy.lengths.is_empty() {
        found.say(at("lengths"), "a policy must allow at least one length");
    }
    for length in policy.lengths.iter().filter(|l| **l > policy.max_length) {
        found.say(at("lengths"), format!("{length} is above the policy's max_length of {}", policy.max_length));
    }
    if policy.warn_minutes > Policy::EARLIEST_WARNING {
        let what = format!("a warning comes at most {} minutes before the end; 10 is usual", Policy::EARLIEST_WARNING);
        found.say(at("warn_minutes"), what);
    }
    if !policy.lengths.contains(&policy.default_length) {
        let default = policy.default_length;
        found.say(at("default_length"), format!("{default} is not among the policy's lengths; name one of them"));
    }
}

fn delivery(found: &mut Found, policy: &Policy) {
    let at = |field: &str| format!("policy.{}.{field}", policy.id);
    if policy.delivery == Delivery::Ticket && !policy.ticket_readers_may_use_it {
        let what = "delivery in the ticket lets everybody who can read the ticket use the access; \
                    say ticket_readers_may_use_it = true if that is meant, or choose claim-link";
        found.say(at("delivery"), what);
    }
    if policy.delivery == Delivery::ClaimLink && policy.ticket_readers_may_use_it {
        found.say(at("ticket_readers_may_use_it"), "has no meaning with a claim link; remove it");
    }
}

fn scope(found: &mut Found, book: &Rulebook, policy: &Policy) {
    let at = |field: &str| format!("policy.{}.{field}", policy.id);
    let mut groups = |field: &str, named: &[GroupId], kind: &str, is_known: &dyn Fn(&GroupId) -> bool| {
        if named.is_empty() {
            found.say(at(field), "an empty list lets nobody use it; name groups, or leave the key out");
        }
        twice(found, &at(field), named);
        for group in named.iter().filter(|g| !is_known(g)) {
            found.say(at(field), format!("there is no {kind} {group}"));
        }
    };
    if let Technicians::Groups(named) = &policy.technicians {
        groups("technicians", named, "technician_group", &|g| book.technician_group(g).is_some());
    }
    if let Where::Groups(named) = &policy.customers {
        groups("customers", named, "customer_group", &|g| book.customer_group(g).is_some());
    }
}

const fn trigger_key(mapping: &Mapping) -> &'static str {
    match (&mapping.trigger_field, mapping.trigger_board) {
        (Some(_), _) => "trigger_field",
        (None, true) => "trigger_board",
        (None, false) => "trigger_statuses",
    }
}

fn trigger(found: &mut Found, mapping: &Mapping) {
    let at = |field: &str| format!("mapping.{}.{field}", mapping.id);
    if mapping.boards.is_empty() {
        found.say(at("boards"), "name at least one board, queue or team");
    }
    let ways = [!mapping.trigger_statuses.is_empty(), mapping.trigger_field.is_some(), mapping.trigger_board];
    match ways.into_iter().filter(|way| *way).count() {
        0 => {
            let what = "name at least one status, or a trigger_field, or say trigger_board = true";
            found.say(at("trigger_statuses"), what);
        }
        1 => {}
        _ => found
            .say(at(trigger_key(mapping)), "a mapping asks by statuses, by a field or by its boards: by one of them"),
    }
    if let Some(trigger) = &mapping.trigger_field {
        if trigger.values.is_empty() {
            found.say(at("trigger_field.values"), "name at least one text with which the field asks");
        }
        if trigger.values.iter().any(|value| value.trim().is_empty()) {
            found.say(
                at("trigger_field.values"),
                "an empty text would ask from every ticket; name what the field holds",
            );
        }
        let values: Vec<String> =
            trigger.values.iter().map(|v| one_line(v.trim(), LONGEST_NAME).to_lowercase()).collect();
        twice(found, &at("trigger_field.values"), &values);
    }
    twice(found, &at("boards"), &mapping.boards);
    twice(found, &at("types"), &mapping.types);
    twice(found, &at("sources"), &mapping.sources);
    twice(found, &at("trigger_statuses"), &mapping.trigger_statuses);
    if mapping.ends_with.grace_minutes > EndsWith::LONGEST_GRACE {
        let what = format!("access stands at most {} minutes after its ticket has left", EndsWith::LONGEST_GRACE);
        found.say(at("ends_with.grace_minutes"), what);
    }
}

/// A status that Latchkey sets never asks: neither here nor by another mapping of the same PSA.
fn statuses(found: &mut Found, book: &Rulebook, mapping: &Mapping) {
    let ours = [&mapping.statuses.granted, &mapping.statuses.refused, &mapping.statuses.ended];
    for status in ours.into_iter().flatten() {
        let same_psa = book.mappings.iter().filter(|m| m.connection == mapping.connection);
        let mut asking = same_psa.filter(|m| m.trigger_statuses.contains(status));
        if let Some(asking) = asking.next() {
            let whose = if asking.id == mapping.id { String::new() } else { format!(" of mapping {}", asking.id) };
            let what = format!("status {status} is the trigger{whose}; Latchkey must not set it");
            found.say(format!("mapping.{}.statuses", mapping.id), what);
        }
    }
}

fn asked_for(found: &mut Found, book: &Rulebook, mapping: &Mapping) {
    let at = |field: &str| format!("mapping.{}.{field}", mapping.id);
    for policy in mapping.named_policies().filter(|p| book.policy(p).is_none()) {
        let field = if mapping.policy.as_ref() == Some(policy) { "policy" } else { "policies" };
        found.say(at(field), format!("there is no policy {policy}"));
    }
    match (&mapping.policy_field, mapping.policies.is_empty()) {
        (None, true) if mapping.policy.is_none() => {
            found.say(at("policy"), "name the policy that tickets ask for here")
        }
        (Some(_), true) => found.say(at("policies"), "name the policies that policy_field may choose"),
        (None, false) => {
            found.say(at("policy_field"), "policies has no meaning without the field that chooses among them")
        }
        (None, true) | (Some(_), false) => {}
    }
    twice(found, &at("policies"), &mapping.policies);
    alike(found, book, mapping);
    let fields = [&mapping.policy_field, &mapping.length_field, &mapping.reason_field, &mapping.user_name_field];
    let mut seen: BTreeSet<_> = mapping.trigger_field.iter().map(|t| &t.field).collect();
    for twice in fields.into_iter().flatten().filter(|f| !seen.insert(*f)) {
        found.say(format!("mapping.{}", mapping.id), format!("field {twice} is used for two things"));
    }
}

/// What a ticket's field says must mean one policy.
fn alike(found: &mut Found, book: &Rulebook, mapping: &Mapping) {
    let chosen: Vec<&Policy> = mapping.policies.iter().filter_map(|id| book.policy(id)).collect();
    for (n, policy) in chosen.iter().enumerate() {
        let means = |other: &&&Policy| {
            other.id != policy.id && (other.answers_to(&policy.name) || other.answers_to(policy.id.as_str()))
        };
        if let Some(other) = chosen[..n].iter().find(means) {
            let what = format!("a field cannot tell {} and {} apart by their names; rename one", other.id, policy.id);
            found.say(format!("mapping.{}.policies", mapping.id), what);
        }
    }
}

fn alerts(found: &mut Found, book: &Rulebook) {
    for kind in AlertKind::ALL {
        let switch = book.alerts.switch(kind);
        if switch.on && switch.to.is_empty() {
            found.say(format!("alerts.{}.to", kind.key()), "it is on, but nobody is named who gets it");
        }
        twice(found, &format!("alerts.{}.to", kind.key()), &switch.to);
    }
}
