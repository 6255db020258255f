//! `latchkey approve` and `deny`, for what a brake holds; and how a person proves at the command line who they are.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use latchkey_contract::{GrantId, PersonId};

use super::{Desk, Terminal};
use crate::{
    people::People,
    rulebook::{HoldCause, HoldOn, Person, Role},
};

pub(super) async fn approve(
    desk: &Desk,
    terminal: &mut Terminal,
    grant: &GrantId,
    by: &PersonId,
) -> anyhow::Result<()> {
    proven(desk, terminal, by).await?;
    let work = desk.work().await?;
    match work.jobs.approve(grant, by).await? {
        0 => terminal.say(format!("{grant} is approved, and access is being given."))?,
        more => terminal.say(format!("Noted. {more} more must approve {grant}, each another person."))?,
    }
    desk.hint_at_rest(terminal)
}

pub(super) async fn deny(
    desk: &Desk,
    terminal: &mut Terminal,
    grant: &GrantId,
    by: &PersonId,
    reason: &str,
) -> anyhow::Result<()> {
    proven(desk, terminal, by).await?;
    desk.work().await?.jobs.deny(grant, by, reason).await?;
    terminal.say(format!("{grant} is denied; nothing was given, and the ticket is told."))?;
    desk.hint_at_rest(terminal)
}

/// Somebody of the records who typed a fresh one-time code of theirs: the operating system's user is not enough where two
/// people must agree, or where an owner must.
pub(super) async fn proven(desk: &Desk, terminal: &mut Terminal, id: &PersonId) -> anyhow::Result<Person> {
    welcome(desk, id).await?;
    let people = People::new(Arc::clone(&desk.store), Arc::clone(&desk.clock), desk.seal().await?, desk.live().await?);
    let code = terminal.ask_hidden(&format!("One-time code of {id}"), false)?;
    // No address of the network: what a proxy on this machine lets through must not use up the terminal's tries.
    let here = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    people.check_code(id, code.expose(), here).await.map_err(|error| {
        anyhow!(error).context(format!("nothing was changed; {id} must be enrolled, and each code is good once"))
    })?;
    // Again: typing takes its time.
    welcome(desk, id).await
}

/// A person of the records who is not held: whoever was blocked may have lost the telephone with their codes.
///
/// The last owner is no exception. Nobody is shut out by that: whoever is at the command line may lift a block, or name
/// and enrol another owner, and either stands in the audit log under their own name.
async fn welcome(desk: &Desk, id: &PersonId) -> anyhow::Result<Person> {
    let rules = desk.store.rules().await?;
    let person = rules.records.person(id).with_context(|| format!("there is no person {id} in the records"))?;
    let Some(hold) = rules.hold(&HoldOn::Person(id.clone())) else { return Ok(person.clone()) };
    let instead = match rules.free_owners().next() {
        Some(owner) => format!("owner {} is free to", owner.id),
        None if hold.cause < HoldCause::Panic => {
            format!("no owner is free; latchkey person unblock {id} lifts the block")
        }
        None => {
            "no owner is free; name another one (latchkey person set PERSON --role owner) and enrol them (latchkey \
                 person enroll PERSON)"
                .to_owned()
        }
    };
    bail!("{}, so their code counts for nothing; nothing was changed. {instead}", hold.sentence())
}

/// As [`proven`], and an owner.
pub(super) async fn owner(desk: &Desk, terminal: &mut Terminal, id: &PersonId) -> anyhow::Result<()> {
    let person = proven(desk, terminal, id).await?;
    if person.role != Role::Owner {
        return Err(anyhow!("{id} is no owner; nothing was changed"));
    }
    Ok(())
}
