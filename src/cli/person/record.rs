//! Adding a person, changing one, removing one.

use anyhow::{Context, bail};
use clap::Args;
use latchkey_contract::{MemberId, PersonId, text::one_line};

use super::{
    super::{Desk, Terminal, at::At, binding, change, names, revoke},
    CustomersWord, RoleWord,
};
use crate::{
    mail::MailAddress,
    rulebook::{Customers, Person, Records},
    store::Scope,
};

#[derive(Debug, Args)]
pub(in crate::cli) struct New {
    #[arg(long)]
    first: String,
    #[arg(long)]
    last: String,
    /// Where mails to them go, invitations first of all.
    #[arg(long)]
    mail: Option<MailAddress>,
    /// What they may do besides asking for access.
    #[arg(long, value_enum, default_value_t = RoleWord::Technician)]
    role: RoleWord,
    /// For which customers they work: all, or ids apart by commas. Default: none yet.
    #[arg(long)]
    customers: Option<CustomersWord>,
    /// A PSA member that is this person, such as cw/176; may be given several times.
    #[arg(long, value_name = "CONNECTION/ID")]
    member: Vec<At<MemberId>>,
    /// Chosen once, and part of account names. Default: made from the name, such as jdoe.
    #[arg(long)]
    id: Option<PersonId>,
}

#[derive(Debug, Args)]
pub(in crate::cli) struct Change {
    /// As in the records.
    id: PersonId,
    /// For people.
    #[arg(long)]
    name: Option<String>,
    /// Where mails to them go, invitations first of all.
    #[arg(long, conflicts_with = "without_mail")]
    mail: Option<MailAddress>,
    /// They get no mails.
    #[arg(long)]
    without_mail: bool,
    /// What they may do besides asking for access.
    #[arg(long, value_enum)]
    role: Option<RoleWord>,
    /// For which customers they work, in the place of those that were: all, or ids apart by commas.
    #[arg(long)]
    customers: Option<CustomersWord>,
}

pub(super) async fn add(desk: &Desk, terminal: &mut Terminal, new: New) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    let id = match &new.id {
        Some(id) => id.clone(),
        None => suggest(terminal, &before.records, &new)?,
    };
    if before.records.person(&id).is_some() {
        bail!("there is a person {id} already; choose another one with --id. Nothing was changed");
    }
    let mut records = before.records.clone();
    let person = Person {
        id: id.clone(),
        name: name(&format!("{} {}", new.first.trim(), new.last.trim()))?,
        mail: new.mail,
        role: new.role.role(),
        members: vec![],
        customers: new.customers.map_or(Customers::Only(vec![]), |word| word.0),
    };
    let works_nowhere = person.customers == Customers::Only(vec![]);
    records.people.push(person);
    for member in &new.member {
        let rules = crate::rulebook::Rules { records: records.clone(), ..before.clone() };
        binding::may_bind(&rules, &id, member)?;
        binding::say_who(desk, terminal, member).await?;
        records.bind(&id, &member.connection, &member.id);
    }
    let changed = change::save(desk, &before, records, &format!("person {id} added")).await?;
    changed.say(terminal, format_args!("person {id} is added"))?;
    for member in &new.member {
        binding::say_when(&changed.rules, terminal, &id, member, desk.clock.now())?;
    }
    if works_nowhere {
        terminal.hint(format!("{id} works for no customer yet: latchkey person set {id} --customers all"))?;
    }
    terminal
        .hint(format!("Let them enrol: latchkey person invite {id}, or with them here: latchkey person enroll {id}"))
}

/// An id made from the name; a person at the terminal may choose another.
fn suggest(terminal: &mut Terminal, records: &Records, new: &New) -> anyhow::Result<PersonId> {
    let made = names::person_id(&new.first, &new.last)
        .context("no id can be made of this name; choose one with --id. Nothing was changed")?;
    let made = names::unique(&made, |id| records.people.iter().any(|person| person.id.as_str() == id));
    if !terminal.is_interactive() {
        return Ok(PersonId::parse(made)?);
    }
    let typed = terminal.ask(&format!("Person id, chosen once [{made}]"))?;
    let typed = typed.expose().trim().to_owned();
    Ok(PersonId::parse(if typed.is_empty() { made } else { typed })?)
}

pub(super) async fn set(desk: &Desk, terminal: &mut Terminal, change: Change) -> anyhow::Result<()> {
    let id = change.id.clone();
    let name = change.name.as_deref().map(name).transpose()?;
    let changed = change::records(desk, &format!("person {id} changed"), |records| {
        change::person(records, &id)?;
        for person in records.people.iter_mut().filter(|person| person.id == id) {
            if let Some(name) = &name {
                person.name.clone_from(name);
            }
            if change.without_mail || change.mail.is_some() {
                person.mail.clone_from(&change.mail);
            }
            if let Some(role) = change.role {
                person.role = role.role();
            }
            if let Some(CustomersWord(customers)) = &change.customers {
                person.customers = customers.clone();
            }
        }
        Ok(())
    })
    .await?;
    changed.say(terminal, format_args!("person {id} is changed"))
}

pub(super) async fn remove(desk: &Desk, terminal: &mut Terminal, id: &PersonId) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    change::person(&before.records, id)?;
    let open = revoke::open(desk, &Scope::Person(id.clone())).await?;
    if !open.is_empty() {
        bail!(
            "{id} has access that is not over: {}. Block them first, which ends it: latchkey person block {id} --reason … \
             Nothing was changed",
            change::name(&open)
        );
    }
    terminal.confirm(format_args!("Person {id} goes from the records, with password, one-time code and sessions."))?;
    let mut records = before.records.clone();
    records.people.retain(|person| person.id != *id);
    let changed = change::save(desk, &before, records, &format!("person {id} removed")).await?;
    changed.say(terminal, format_args!("person {id} is removed"))
}

fn name(typed: &str) -> anyhow::Result<String> {
    let name = one_line(typed, 120).trim().to_owned();
    if name.is_empty() {
        bail!("the name is empty; nothing was changed");
    }
    Ok(name)
}
