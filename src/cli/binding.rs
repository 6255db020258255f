//! `latchkey binding list | add | remove | confirm`: which PSA member is which person.

use anyhow::{anyhow, bail};
use clap::Subcommand;
use latchkey_contract::{MemberId, PersonId, Timestamp, outside::Urgency, text::one_line, ticket::Member};

use super::{
    Desk, Terminal, answer,
    at::{At, is_psa},
    change,
};
use crate::rulebook::{Binding, Bound, HoldOn, Role, Rules};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// List them: member, person, since when, and whether each counts yet.
    List,
    /// Bind a PSA member to a person. It counts when it has cooled down, or when an owner confirms it.
    Add {
        /// As in the records.
        person: PersonId,
        /// CONNECTION/ID, such as cw/176.
        member: At<MemberId>,
    },
    /// Unbind a PSA member: their tickets ask for nothing any more.
    Remove {
        /// CONNECTION/ID, such as cw/176.
        member: At<MemberId>,
    },
    /// Let a binding count before it has cooled down. Takes an owner's fresh one-time code.
    Confirm {
        /// CONNECTION/ID, such as cw/176.
        member: At<MemberId>,
        /// The owner, who is asked for the code. Nobody confirms their own.
        #[arg(long = "as", value_name = "OWNER")]
        owner: PersonId,
    },
}

pub(super) async fn run(command: Command, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Command::List => list(desk, terminal).await,
        Command::Add { person, member } => add(desk, terminal, &person, &member).await,
        Command::Remove { member } => remove(desk, terminal, &member).await,
        Command::Confirm { member, owner } => confirm(desk, terminal, &member, &owner).await,
    }
}

async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let (rules, now) = (desk.store.rules().await?, desk.clock.now());
    let mut bindings: Vec<Binding> = rules.records.bindings().collect();
    bindings.sort_by(|a, b| (&a.connection, &a.member).cmp(&(&b.connection, &b.member)));
    for Binding { connection, member, person, bound } in bindings {
        let since = match bound.since.millis() {
            0 => "from the first".to_owned(),
            _ => format!("since {}", bound.since.for_people()),
        };
        terminal.say(format!("{connection}/{member}\t{person}\t{since}\t{}", state(&rules, bound, now)))?;
    }
    Ok(())
}

fn state(rules: &Rules, bound: Bound, now: Timestamp) -> String {
    let warm = warm(rules, bound);
    match bound.is_confirmed {
        true => "counts: confirmed, or among the first".to_owned(),
        false if warm <= now => format!("counts: cooled down at {}", warm.for_people()),
        false => format!("cools down until {}", warm.for_people()),
    }
}

fn warm(rules: &Rules, bound: Bound) -> Timestamp {
    bound.since + rules.rulebook.settings.binding_cools_for.duration()
}

async fn add(desk: &Desk, terminal: &mut Terminal, person: &PersonId, member: &At<MemberId>) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    may_bind(&before, person, member)?;
    say_who(desk, terminal, member).await?;
    let mut records = before.records.clone();
    records.bind(person, &member.connection, &member.id);
    let changed = change::save(desk, &before, records, &format!("binding {member} to {person}")).await?;
    changed.say(terminal, format_args!("{member} is {person}"))?;
    say_when(&changed.rules, terminal, person, member, desk.clock.now())
}

/// Refuses a member that somebody else has, and a connection that has none.
pub(super) fn may_bind(rules: &Rules, person: &PersonId, member: &At<MemberId>) -> anyhow::Result<()> {
    is_psa(&rules.records, &member.connection)?;
    change::person(&rules.records, person)?;
    match rules.records.person_of(&member.connection, &member.id) {
        Some(other) if other.id != *person => bail!(
            "{member} is {} already; unbind it first: latchkey binding remove {member}. Nothing was changed",
            other.id
        ),
        _ => Ok(()),
    }
}

/// Who the PSA says that is. One that is not there, or no person, is refused; a PSA that cannot be asked is not.
pub(super) async fn say_who(
    desk: &Desk,
    terminal: &mut Terminal,
    member: &At<MemberId>,
) -> anyhow::Result<Option<Member>> {
    let found = match desk.live().await?.known().registry.ticket_system(&member.connection) {
        Ok(system) => system.member_by_id(&member.id, Urgency::Ordinary).await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match found {
        Ok(Some(found)) if !found.is_human => {
            bail!("{member} ({}) is no person at the PSA; nothing was changed", one_line(&found.name, 60))
        }
        Ok(Some(found)) => {
            let inactive = if found.is_active { "" } else { ", who may not sign in to the PSA now" };
            let (name, login) = (one_line(&found.full_name, 60), one_line(&found.name, 60));
            terminal.hint(format!("{member} is {name} ({login}) at the PSA{inactive}."))?;
            Ok(Some(found))
        }
        Ok(None) => bail!("the PSA has no member {member}; nothing was changed"),
        Err(why) => {
            terminal.hint(format!("The PSA could not be asked who {member} is: {}", one_line(&why, 300)))?;
            Ok(None)
        }
    }
}

/// When a binding counts, where it does not yet.
pub(super) fn say_when(
    rules: &Rules,
    terminal: &mut Terminal,
    person: &PersonId,
    member: &At<MemberId>,
    now: Timestamp,
) -> anyhow::Result<()> {
    let bound = rules.records.bound(person, &member.connection, &member.id);
    let Some(bound) = bound.filter(|bound| !bound.is_confirmed && warm(rules, *bound) > now) else { return Ok(()) };
    terminal.hint(format!(
        "It cools down until {}. An owner lets it count before: latchkey binding confirm {member} --as OWNER",
        warm(rules, bound).for_people()
    ))
}

async fn remove(desk: &Desk, terminal: &mut Terminal, member: &At<MemberId>) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    let person = bound_to(&before, member)?;
    terminal
        .confirm(format_args!("Tickets that {member} sets will ask for nothing any more; {person} keeps what runs."))?;
    let mut records = before.records.clone();
    records.unbind(&member.connection, &member.id);
    let changed = change::save(desk, &before, records, &format!("binding {member} removed")).await?;
    changed.say(terminal, format_args!("{member} is nobody"))
}

async fn confirm(desk: &Desk, terminal: &mut Terminal, member: &At<MemberId>, owner: &PersonId) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    let person = bound_to(&before, member)?;
    let bound = before.records.bound(&person, &member.connection, &member.id);
    if bound.is_none_or(|bound| bound.is_confirmed || warm(&before, bound) <= desk.clock.now()) {
        bail!("{member} counts already as {person}; nothing was changed");
    }
    if person == *owner {
        bail!("{member} is {owner}'s own; another owner confirms it, or it cools down. Nothing was changed");
    }
    may_confirm(desk, &before, owner).await?;
    answer::owner(desk, terminal, owner).await?;
    let now = desk.clock.now();
    let mut rules = before.next(before.rulebook.clone(), before.records.clone(), now)?;
    rules.records.confirm(&member.connection, &member.id);
    let revision = desk.save(&rules, &format!("binding {member} confirmed by owner {owner}")).await?;
    terminal.say(format!("Revision {revision} is in force: {member} counts as {person} from now on."))
}

/// Refused before anybody is asked for a code in vain.
async fn may_confirm(desk: &Desk, rules: &Rules, owner: &PersonId) -> anyhow::Result<()> {
    if change::person(&rules.records, owner)?.role != Role::Owner {
        bail!("only an owner may confirm a binding, and {owner} is none; nothing was changed");
    }
    if let Some(hold) = rules.hold(&HoldOn::Person(owner.clone())) {
        bail!("{}, so they may confirm nothing; nothing was changed", hold.sentence());
    }
    if desk.store.factors(owner).await?.is_none() {
        bail!("{owner} has no one-time code yet; enrol them with: latchkey person enroll {owner}");
    }
    Ok(())
}

fn bound_to(rules: &Rules, member: &At<MemberId>) -> anyhow::Result<PersonId> {
    let person = rules.records.person_of(&member.connection, &member.id);
    person.map(|person| person.id.clone()).ok_or_else(|| {
        anyhow!("{member} is bound to nobody; those that are: latchkey binding list. Nothing was changed")
    })
}
