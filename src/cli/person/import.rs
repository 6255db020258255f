//! `latchkey person import`: the PSA's members as people. Bound by id; addresses and names suggest, and people choose.

use std::collections::BTreeSet;

use anyhow::anyhow;
use latchkey_contract::{ConnectionId, MemberId, PersonId, text::one_line, ticket::Member};

use super::super::{
    Desk, Terminal,
    at::{At, is_psa},
    binding, change,
    choose::{Choice, Row, Suggestion, choose},
    connection::to_do,
    names,
};
use crate::{
    mail::MailAddress,
    rulebook::{Customers, Person, Records, Role},
};

pub(super) async fn import(
    desk: &Desk,
    terminal: &mut Terminal,
    connection: &ConnectionId,
    choice: &Choice,
    customers: &Customers,
) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    is_psa(&before.records, connection)?;
    let system = desk.live().await?.known().registry.ticket_system(connection)?;
    let members =
        system.catalogue().await.map_err(|e| anyhow!("the members could not be read: {}", to_do(&e)))?.members;
    let people: Vec<Member> = members.into_iter().filter(|member| member.is_human && member.is_active).collect();
    let rows = suggest(&before.records, connection, &people);
    let chosen = choose(terminal, rows, choice)?;
    if chosen.is_empty() {
        return terminal.say("Nothing was taken; nothing was changed.");
    }
    let mut records = before.records.clone();
    let mut bound: Vec<(PersonId, At<MemberId>)> = Vec::new();
    for row in &chosen {
        let member = people.iter().find(|member| member.id.as_str() == row.id);
        if let (Some(member), Suggestion::New(id) | Suggestion::Matches(id, _)) = (member, &row.suggestion) {
            take(&mut records, connection, member, id, customers);
            bound.push((id.clone(), At { connection: connection.clone(), id: member.id.clone() }));
        }
    }
    let count = chosen.len();
    let changed = change::save(desk, &before, records, &format!("{count} members of {connection} imported")).await?;
    changed.say(terminal, format_args!("members that were bound: {count}"))?;
    for (person, member) in &bound {
        binding::say_when(&changed.rules, terminal, person, member, desk.clock.now())?;
    }
    terminal.hint("Let them enrol: latchkey person invite ID")
}

/// An address or a name suggests a person only where it means one member and one person, and that person is no member
/// at this PSA yet: whoever can name a member must not become somebody by it. Nor by the very first import, whose bindings
/// do not cool down: who has a role is bound by an answer or by id, never by `--all` alone, whatever the match.
fn suggest(records: &Records, connection: &ConnectionId, members: &[Member]) -> Vec<Row<PersonId>> {
    let mut taken: BTreeSet<String> = records.people.iter().map(|p| p.id.to_string()).collect();
    let mut rows: Vec<Row<PersonId>> = Vec::new();
    for member in members {
        let suggestion = match (records.person_of(connection, &member.id), alike(records, members, member)) {
            (Some(bound), _) => Suggestion::Bound(bound.id.clone()),
            (None, Alike::Nobody) => new(member, &mut taken),
            (None, Alike::One(person, by)) if person.members.iter().all(|m| m.connection != *connection) => {
                Suggestion::Matches(person.id.clone(), by)
            }
            (None, Alike::One(person, by)) => unclear(connection, member, &[person], by),
            (None, Alike::Several(people, by)) => unclear(connection, member, &people, by),
        };
        let mail = member.mail.clone().unwrap_or_else(|| "no mail".to_owned());
        let wants_an_answer = match &suggestion {
            Suggestion::Matches(id, _) => records.person(id).is_some_and(|p| p.role != Role::Technician),
            _ => false,
        };
        rows.push(Row {
            id: member.id.to_string(),
            columns: vec![member.full_name.clone(), member.name.clone(), mail],
            suggestion,
            wants_an_answer,
        });
    }
    rows
}

enum Alike<'a> {
    Nobody,
    One(&'a Person, &'static str),
    Several(Vec<&'a Person>, &'static str),
}

fn alike<'a>(records: &'a Records, members: &[Member], member: &Member) -> Alike<'a> {
    let mail = address(member).map(folded);
    let by_mail = records.people.iter().find(|p| mail.is_some() && p.mail.clone().map(folded) == mail);
    if let Some(person) = by_mail {
        let is_one = members.iter().filter(|m| address(m).map(folded) == mail).count() == 1;
        return if is_one { Alike::One(person, "mail") } else { Alike::Several(vec![person], "mail") };
    }
    let name = names::person(&member.full_name);
    let same: Vec<&Person> =
        records.people.iter().filter(|p| !name.is_empty() && names::person(&p.name) == name).collect();
    match same.as_slice() {
        [] => Alike::Nobody,
        [one] if members.iter().filter(|m| names::person(&m.full_name) == name).count() == 1 => Alike::One(one, "name"),
        _ => Alike::Several(same, "name"),
    }
}

fn unclear(connection: &ConnectionId, member: &Member, people: &[&Person], by: &str) -> Suggestion<PersonId> {
    let ids: Vec<&str> = people.iter().map(|person| person.id.as_str()).collect();
    let first = ids.first().copied().unwrap_or_default();
    Suggestion::Unclear(format!(
        "like {} by {by}; bind it by hand: latchkey binding add {first} {connection}/{}",
        ids.join(", "),
        member.id
    ))
}

fn new(member: &Member, taken: &mut BTreeSet<String>) -> Suggestion<PersonId> {
    let (first, last) = names::first_and_last(&member.full_name);
    let made = names::person_id(first, last).or_else(|| names::person_id(&member.name, ""));
    let made = made.unwrap_or_else(|| format!("member-{}", member.id.as_str().to_ascii_lowercase()));
    let id = names::unique(&made, |id| taken.contains(id));
    match PersonId::parse(&*id) {
        Ok(person) => {
            taken.insert(id);
            Suggestion::New(person)
        }
        Err(error) => Suggestion::Unclear(error.to_string()),
    }
}

fn take(records: &mut Records, connection: &ConnectionId, member: &Member, id: &PersonId, customers: &Customers) {
    let name = one_line(&member.full_name, 120).trim().to_owned();
    if records.person(id).is_none() {
        records.people.push(Person {
            id: id.clone(),
            name: if name.is_empty() { id.to_string() } else { name },
            mail: None,
            role: Role::Technician,
            members: vec![],
            customers: customers.clone(),
        });
    }
    records.bind(id, connection, &member.id);
    let mail = address(member);
    let is_free = records.people.iter().all(|p| p.mail.clone().map(folded) != mail.clone().map(folded));
    let mail = mail.filter(|_| is_free);
    for person in records.people.iter_mut().filter(|person| person.id == *id && person.mail.is_none()) {
        person.mail.clone_from(&mail);
    }
}

/// The member's address, where it is one.
fn address(member: &Member) -> Option<MailAddress> {
    MailAddress::parse(member.mail.as_deref()?.trim()).ok()
}

/// A mail server may tell the case of an address apart, and none does.
fn folded(address: MailAddress) -> String {
    String::from(address).to_ascii_lowercase()
}
