//! `latchkey rulebook what-if`: the decision that a click would bring, made from the same ticket by the same code, with the
//! rule that decides. Nothing is changed, and nobody is told.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use latchkey_contract::{
    MappingId, PersonId, TicketRef, TicketSystem, Timestamp,
    outside::Urgency,
    text::one_line,
    ticket::{Member, Ticket},
};

use super::{Desk, Terminal, read, with};
use crate::{
    access::{
        Decision, Holds, Refusal, Request,
        decide::{Living, Terms, decide, refuse},
    },
    cli::{
        audit::{instant, ticket as ticket_ref},
        connection::to_do,
    },
    clock_guard::Doubt,
    jobs::{
        Home,
        asked::{self, Asker, Counted},
        home, unusable,
    },
    random::{SystemRandom, grant_id},
    registry::{InForce, Registry},
    rulebook::{Mapping, Person, Rules},
};

#[derive(Debug, Args)]
pub(in crate::cli) struct WhatIf {
    /// On this ticket, read live: CONNECTION/NUMBER.
    #[arg(long, value_parser = ticket_ref)]
    ticket: TicketRef,
    /// If this person set the trigger.
    #[arg(long = "as", value_name = "PERSON")]
    person: PersonId,
    /// By this mapping alone.
    #[arg(long)]
    mapping: Option<MappingId>,
    /// At this time (2026-06-09T21:59:47Z), and not now: it moves brakes, and bindings that cool down.
    #[arg(long, value_parser = instant)]
    at: Option<Timestamp>,
    /// By the rulebook in this file, and not the one in force.
    #[arg(long)]
    file: Option<PathBuf>,
}

/// Everything a question is answered from.
struct Scene<'a> {
    desk: &'a Desk,
    rules: Rules,
    registry: &'a Registry,
    at: TicketRef,
    ticket: Ticket,
    holds: Holds,
    when: Timestamp,
    is_now: bool,
}

pub(super) async fn run(question: WhatIf, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let live = desk.live().await?.known();
    let rules = rules(&question, desk, terminal, &live)?;
    let psa = live.registry.ticket_system(&question.ticket.connection)?;
    let ticket =
        psa.read(&question.ticket.ticket, Urgency::Ordinary).await.map_err(|error| anyhow::anyhow!(to_do(&error)))?;
    let ticket = ticket.with_context(|| format!("the PSA shows us no ticket {}", question.ticket))?;
    let person = rules.records.person(&question.person).cloned();
    let person = person.with_context(|| format!("there is no person {} in the records", question.person))?;
    if let Some(id) = question.mapping.as_ref().filter(|id| rules.rulebook.mapping(id).is_none()) {
        bail!("there is no mapping {id} in this rulebook");
    }
    let doubt = desk.jobs().and_then(|jobs| jobs.trust.doubt()).filter(|_| question.at.is_none());
    let scene = Scene {
        holds: Holds { clock: doubt.map(Doubt::sentence), ..Holds::of(&rules) },
        when: question.at.unwrap_or_else(|| desk.clock.now()),
        is_now: question.at.is_none(),
        at: question.ticket,
        registry: &live.registry,
        desk,
        rules,
        ticket,
    };
    let caught = scene.catching(terminal, question.mapping.as_ref())?;
    if caught.is_empty() {
        return terminal.say("decision\tnothing: no mapping watches this ticket, so nothing can be asked for on it");
    }
    let member = member(&*psa, &scene.at, &person).await?;
    for mapping in caught {
        scene.answer(terminal, mapping, &person, member.clone()).await?;
    }
    Ok(())
}

fn rules(question: &WhatIf, desk: &Desk, terminal: &mut Terminal, live: &InForce) -> anyhow::Result<Rules> {
    match &question.file {
        None => Ok(live.rules.clone()),
        Some(file) => with(&live.rules, read(terminal, file)?, desk),
    }
}

/// The member of the PSA as whom they would ask: one who may sign in, if there is one. `None` where they are bound to none.
async fn member(psa: &dyn TicketSystem, at: &TicketRef, person: &Person) -> anyhow::Result<Option<Option<Member>>> {
    let mut found: Vec<Option<Member>> = Vec::new();
    for id in person.members.iter().filter(|m| m.connection == at.connection).flat_map(|m| &m.ids) {
        found.push(psa.member_by_id(id, Urgency::Ordinary).await.map_err(|error| anyhow::anyhow!(to_do(&error)))?);
    }
    found.sort_by_key(|member| match member {
        Some(member) if member.is_active && member.is_human => 0,
        Some(_) => 1,
        None => 2,
    });
    Ok(found.into_iter().next())
}

impl Scene<'_> {
    /// The mappings that watch the ticket, and why the others do not.
    fn catching(&self, terminal: &mut Terminal, only: Option<&MappingId>) -> anyhow::Result<Vec<&Mapping>> {
        let mut caught = Vec::new();
        for mapping in self.rules.rulebook.mappings.iter().filter(|m| only.is_none_or(|only| m.id == *only)) {
            let why_not = if mapping.connection == self.at.connection {
                asked::unwatched(mapping, &self.ticket)
            } else {
                Some(format!("it watches {}", mapping.connection))
            };
            if why_not.is_none() {
                caught.push(mapping);
            }
            let said = match why_not {
                Some(why) => format!("does not catch it: {why}"),
                None if asked::is_triggered(mapping, &self.ticket) => "catches it; its trigger is set now".to_owned(),
                None => "catches it, once its trigger is set".to_owned(),
            };
            terminal.say(format_args!("mapping {}\t{said}", mapping.id))?;
        }
        Ok(caught)
    }

    async fn answer(
        &self,
        terminal: &mut Terminal,
        mapping: &Mapping,
        person: &Person,
        member: Option<Option<Member>>,
    ) -> anyhow::Result<()> {
        terminal.say(format_args!("\nBy mapping {}:", mapping.id))?;
        let Some(member) = member else {
            let connection = &self.at.connection;
            let sentence = format!("{} is bound to no member of {connection}; an admin can bind one", person.id);
            return refused(terminal, &refuse("person-unknown", "person records", sentence));
        };
        let (request, counted, living) = self.asked(mapping, person, member).await?;
        match decide(&self.rules, &self.holds, &request, &living) {
            Decision::Refuse(refusal) => refused(terminal, &refusal)?,
            Decision::Grant(terms) => {
                let rule = format!("mapping {}, policy {}", mapping.id, terms.policy.id);
                self.given(terminal, &terms, "granted", &rule).await?;
            }
            Decision::Wait(terms, pulled) => {
                let pulled: Vec<String> = pulled.iter().map(|id| format!("brake {id}")).collect();
                self.given(terminal, &terms, "waits for two approvers", &pulled.join(", ")).await?;
            }
        }
        for Counted { brake, count, .. } in &counted {
            terminal.say(format_args!("brake {}\t{count} of {} within {}", brake.id, brake.grants, brake.within))?;
        }
        Ok(())
    }

    /// The request as the intake would make it.
    async fn asked(
        &self,
        mapping: &Mapping,
        person: &Person,
        member: Option<Member>,
    ) -> anyhow::Result<(Request, Vec<Counted<'_>>, Living)> {
        let (records, store) = (&self.rules.records, &*self.desk.store);
        let name = member.as_ref().map_or_else(|| person.id.to_string(), |m| m.name.clone());
        let actor = Ok(asked::actor(records, &self.at.connection, &name, member));
        let asker = Asker { actor, is_by_automation: false };
        let request = asked::request(records, (&self.at, &self.ticket), mapping, asker, self.when, self.when);
        let counted = asked::count(store, &self.rules.rulebook.brakes, &request, self.is_now).await?;
        let living = asked::living(store, &request, &counted).await?;
        Ok((request, counted, living))
    }

    /// What comes after the decision and may still refuse: the directory, what it has, and the account's name.
    async fn given(&self, terminal: &mut Terminal, terms: &Terms, decision: &str, rule: &str) -> anyhow::Result<()> {
        let Ok(directory) = self.registry.directory(&terms.directory) else {
            return refused(terminal, &unusable(&terms.directory));
        };
        let grant = grant_id(&SystemRandom, self.when);
        let home = match home(&*self.desk.store, &self.rules.records, terms, &grant).await? {
            Ok(home) => home,
            Err(refusal) => return refused(terminal, &refusal),
        };
        let account = match home {
            Home::Standing(account) => account.name,
            Home::New(name) => format!("{name} (new)"),
        };
        terminal.say(format_args!("decision\t{decision}"))?;
        terminal.say(format_args!("rule\t{rule}"))?;
        terminal.say(format_args!("policy\t{} ({})", terms.policy.id, one_line(&terms.policy.name, 120)))?;
        terminal.say(format_args!("length\t{}, limited by {}", terms.length, terms.limited_by))?;
        terminal.say(format_args!("person\t{}", terms.person))?;
        terminal.say(format_args!("customer\t{}", terms.customer))?;
        terminal.say(format_args!("directory\t{}", terms.directory))?;
        terminal.say(format_args!("account\t{account}"))?;
        match directory.missing(&terms.policy.entitlements).await {
            Ok(missing) => missing.iter().try_for_each(|gone| {
                terminal.say(format_args!(
                    "but\tthe directory has no {gone}: nothing would be given, and the ticket told so"
                ))
            }),
            Err(error) => terminal.hint(format_args!("{} could not be asked: {}", terms.directory, to_do(&error))),
        }
    }
}

fn refused(terminal: &mut Terminal, refusal: &Refusal) -> anyhow::Result<()> {
    terminal.say("decision\trefused")?;
    terminal.say(format_args!("code\t{}", refusal.code))?;
    terminal.say(format_args!("rule\t{}", refusal.rule))?;
    terminal.say(format_args!("sentence\t{}", refusal.sentence))
}
