//! The first person: who may do everything, and is enrolled at this terminal.

use anyhow::{Context, bail};
use latchkey_contract::PersonId;

use super::{
    super::{change, person},
    Desk, Terminal,
};
use crate::{
    mail::MailAddress,
    rulebook::{AllWord, Customers, Person, Records, Role},
};

/// Whether some owner can sign in.
pub(super) async fn is_enrolled(desk: &Desk) -> anyhow::Result<bool> {
    let rules = desk.store.rules().await?;
    for owner in owners(&rules.records) {
        if desk.store.factors(&owner.id).await?.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Asks who it is, unless that was said before, and enrols them.
pub(super) async fn make(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    let id = match owners(&rules.records).next() {
        Some(owner) => {
            terminal.hint(format!("{} is the owner, and not enrolled yet.", owner.id))?;
            owner.id.clone()
        }
        None => {
            let owner = ask(&rules.records, terminal)?;
            let id = owner.id.clone();
            change::records(desk, "first owner", |records| {
                records.people.retain(|person| person.id != owner.id);
                records.people.push(owner);
                Ok(())
            })
            .await?;
            id
        }
    };
    person::enroll::enroll(desk, terminal, id).await
}

fn owners(records: &Records) -> impl Iterator<Item = &Person> {
    records.people.iter().filter(|person| person.role == Role::Owner)
}

/// Somebody who is in the records already keeps what stands there, and becomes the owner.
fn ask(records: &Records, terminal: &mut Terminal) -> anyhow::Result<Person> {
    terminal.hint("Who is the owner? They may do everything, and approve what only an owner approves.")?;
    let id = terminal.ask("Id, chosen once and part of account names, such as jdoe")?;
    let id = PersonId::parse(id.expose().trim()).context("that is no id; run the command again")?;
    if let Some(known) = records.person(&id) {
        terminal.hint(format!("{id} is in the records already and becomes the owner."))?;
        return Ok(Person { role: Role::Owner, ..known.clone() });
    }
    let name = terminal.ask("First and last name")?.expose().trim().to_owned();
    if name.is_empty() {
        bail!("a name is needed; run the command again");
    }
    let mail = terminal.ask("Mail address, for alerts")?;
    let mail = match mail.expose().trim() {
        "" => None,
        mail => Some(MailAddress::parse(mail).context("run the command again")?),
    };
    let customers = Customers::All(AllWord::All);
    Ok(Person { id, name, mail, role: Role::Owner, members: Vec::new(), customers })
}
