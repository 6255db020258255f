//! `latchkey approve` and `deny`, for what a brake holds; and how a person proves at the command line who they are.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use anyhow::{Context, anyhow, bail};
use latchkey_contract::{GrantId, PersonId, text::one_line};

use super::{Desk, Terminal};
use crate::{
    access::{
        Grant,
        grant::{may_approve, may_deny},
    },
    jobs::{
        chain,
        presence::{gone_now, left},
    },
    people::People,
    rulebook::{HoldCause, HoldOn, Person, Role},
};

pub(super) async fn approve(
    desk: &Desk,
    terminal: &mut Terminal,
    grant: &GrantId,
    by: &PersonId,
) -> anyhow::Result<()> {
    look(desk, grant, by, may_approve).await?;
    proven(desk, terminal, by, Act::Gives).await?;
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
    look(desk, grant, by, may_deny).await?;
    proven(desk, terminal, by, Act::Takes).await?;
    desk.work().await?.jobs.deny(grant, by, reason).await?;
    terminal.say(format!("{grant} is denied; nothing was given, and the ticket is told."))?;
    desk.hint_at_rest(terminal)
}

/// What somebody proves themselves for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// Access comes of it: whoever may have left the PSA does not do it.
    Gives,
    /// Nothing comes of it but less: a PSA that cannot be asked stops nobody.
    Takes,
}

/// Refused before anybody uses up a code in vain.
async fn look(
    desk: &Desk,
    id: &GrantId,
    by: &PersonId,
    may: fn(&Grant, &PersonId, Role) -> Result<(), &'static str>,
) -> anyhow::Result<()> {
    let person = welcome(desk, by).await?;
    let grant = desk.store.grant(id).await?;
    let grant = grant.with_context(|| format!("there is no grant {id}; those that wait: latchkey grants --open"))?;
    may(&grant, by, person.role).map_err(|why| anyhow!("{why}; nothing was changed"))
}

/// Whoever answers has no access and is not signed in, so that nobody asks after them: it is asked here. Who has left is
/// held as if that had been noticed otherwise.
async fn present(desk: &Desk, terminal: &mut Terminal, person: &Person, act: Act) -> anyhow::Result<()> {
    let id = &person.id;
    let world = desk.live().await?.current().await;
    match gone_now(&world, person).await {
        Ok(None) => Ok(()),
        Ok(Some(connection)) => {
            let hold = left(person, &connection, desk.clock.now());
            desk.store.set_hold(&hold).await.map_err(super::desk::explain)?;
            bail!(
                "{}, so their code counts for nothing, and whatever they have is taken away. If that is a mistake, let them \
                 in there again, and here: latchkey person unblock {id}",
                hold.sentence()
            )
        }
        Err(error) if act == Act::Takes => {
            let why = one_line(&chain(&error), 300);
            terminal.hint(format!("Whether {id} has left the PSA is not known: {why}"))
        }
        Err(error) => bail!(
            "whether {id} has left the PSA is not known, so nothing is given on their word; nothing was changed. Run it again \
             when the PSA answers: {}",
            one_line(&chain(&error), 300)
        ),
    }
}

/// Somebody of the records who typed a fresh one-time code of theirs: the operating system's user is not enough where two
/// people must agree, or where an owner must.
async fn proven(desk: &Desk, terminal: &mut Terminal, id: &PersonId, act: Act) -> anyhow::Result<Person> {
    let person = welcome(desk, id).await?;
    present(desk, terminal, &person, act).await?;
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
    let person = proven(desk, terminal, id, Act::Gives).await?;
    if person.role != Role::Owner {
        return Err(anyhow!("{id} is no owner; nothing was changed"));
    }
    Ok(())
}
