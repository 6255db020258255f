//! Commands in notes: whoever is verified says it, where no customer reads it, and is answered there.
//!
//! A command takes away, tells, or asks for more time for what its author has already; that needs a note whose author is
//! certain. Each is obeyed once: its answer is owed in the same transaction, and remembers the note.

use std::collections::BTreeSet;

use latchkey_contract::{
    NoteId,
    outside::Urgency,
    text::one_line,
    ticket::{Said, Ticket},
};

use super::{JobError, Jobs, advance::advance, asked::actor, extend::Wish, intake::Reading, queue::LeaseHandle, words};
use crate::{
    access::{Cause, Event, Grant, command::Command, grant::Telling},
    audit::By,
    jobs::task::{NewTask, Priority, Work},
    random::ulid,
    rulebook::{HoldOn, Person, Rules},
    store::{CommitName, Finish, Notice, NoticeKind, NoticeState, Transition},
};

impl Jobs {
    /// Obeys what was written since the ticket asked for what it has. A PSA that does not list its notes, or does
    /// not say who wrote one, holds up nothing: the next look asks again.
    pub(super) async fn obey(&self, reading: &Reading, lease: &LeaseHandle) -> Result<(), JobError> {
        let Ticket { id, .. } = &reading.ticket;
        let grants = self.store.grants_of_ticket(&reading.at).await?;
        let Some(since) = grants.iter().filter(|g| g.state.is_wanted()).map(|g| g.asked_at).min() else {
            return Ok(());
        };
        let mut said = match reading.psa.commands(id, Urgency::Removal).await {
            Ok(said) => said,
            Err(error) => {
                tracing::warn!(ticket.r#ref = %reading.at, error = &error as &dyn std::error::Error,
                    "the ticket's notes could not be read for commands");
                self.notice_refusal(&reading.at.connection, &error).await;
                return Ok(());
            }
        };
        said.retain(|said| said.at >= since);
        if said.is_empty() {
            return Ok(());
        }
        let mut answered = BTreeSet::new();
        for grant in &grants {
            answered.extend(self.store.notices_of(&grant.id).await?.into_iter().filter_map(|notice| notice.answers));
        }
        for said in said.iter().filter(|said| !answered.contains(&said.note)) {
            match self.hear(reading, said, lease).await {
                Err(JobError::Call(error)) => {
                    tracing::warn!(ticket.r#ref = %reading.at, error = &error as &dyn std::error::Error,
                        "whoever wrote a command could not be looked up");
                    self.notice_refusal(&reading.at.connection, &error).await;
                }
                heard => heard?,
            }
        }
        Ok(())
    }

    /// Of somebody who is not verified nothing is heard, and nothing is answered.
    async fn hear(&self, reading: &Reading, said: &Said, lease: &LeaseHandle) -> Result<(), JobError> {
        let rules = &reading.world.rules;
        let now = self.clock.now();
        let Some(person) = rules.records.person_of(&reading.at.connection, &said.by) else { return Ok(()) };
        let is_verified =
            rules.hold(&HoldOn::Person(person.id.clone())).is_none() && is_bound(rules, reading, said, now);
        if !is_verified {
            return Ok(());
        }
        let member = reading.psa.member_by_id(&said.by, Urgency::Removal).await?.filter(|m| m.is_active && m.is_human);
        let (Some(command), Some(member)) = (Command::read(&said.line), member) else { return Ok(()) };
        let mut grants = self.store.grants_of_ticket(&reading.at).await?;
        grants.retain(|grant| grant.state.is_wanted() && grant.asked_at <= said.at);
        let Some(newest) = grants.first() else { return Ok(()) };
        let name = |grant: &Grant| {
            let requester = rules.records.person(&grant.person);
            requester.map_or_else(|| grant.person.to_string(), |p| p.name.clone())
        };
        tracing::info!(ticket.r#ref = %reading.at, person = %person.id, ?command, "a command in a note");
        let text = match command {
            Command::Status => words::standing(&grants, &name),
            Command::Unknown => words::NO_COMMAND.to_owned(),
            Command::Extend(_) if !said.is_certain => words::NOT_CERTAIN.to_owned(),
            Command::Extend(by) => {
                let mine: Vec<&Grant> = grants.iter().filter(|grant| grant.person == person.id).collect();
                if let Some(newest) = mine.first() {
                    let login = member.name.clone();
                    let actor = actor(&rules.records, &reading.at.connection, &login, Some(member));
                    let (world, at, ticket) = (&reading.world, &reading.at, &reading.ticket);
                    let wish = Wish { world, at, ticket, actor, by };
                    return self.extend_by_note(&mine, newest, &wish, (said, lease)).await;
                }
                words::only_they_extend(&name(newest))
            }
            Command::End => {
                let mine: Vec<&Grant> = grants.iter().filter(|grant| may_end(grant, person)).collect();
                if let Some(last) = mine.last() {
                    return self.end_by_note(&mine, last, (said, person), lease).await;
                }
                words::only_they_end(&name(newest))
            }
        };
        let mut transition = Transition::new(CommitName::Seen, now);
        self.owe_answer(&mut transition, newest, said, text);
        transition.lease = Some((lease.lease(), Finish::Keep));
        Ok(self.store.commit(transition).await?)
    }

    /// Each is a transaction of its own: of two that share a password the second must see that the first is over. The last
    /// one answers, so that a command of which only a part was done is obeyed to its end.
    async fn end_by_note(
        &self,
        grants: &[&Grant],
        last: &Grant,
        (said, person): (&Said, &Person),
        lease: &LeaseHandle,
    ) -> Result<(), JobError> {
        for grant in grants {
            let cause = match grant.person == person.id {
                true => Cause::EndedByPerson,
                false => {
                    Cause::Revoked { by: one_line(&person.name, 80), reason: "by a note in the ticket".to_owned() }
                }
            };
            let others = self.store.open_grants(&grant.account).await?;
            let mut transition = Transition::new(CommitName::EndAsked, self.clock.now());
            transition.is_removal = true;
            let (event, by) = (Event::End(cause), By::Person(person.id.clone()));
            advance(&mut transition, grant, &event, &others, &by, self.random.as_ref());
            if grant.id == last.id {
                self.owe_answer(&mut transition, grant, said, words::ends_as_asked(&person.name));
            }
            transition.lease = Some((lease.lease(), Finish::Keep));
            self.store.commit(transition).await?;
        }
        Ok(())
    }

    /// All in one transaction: of a command that was obeyed in part, what was done would be done once more.
    async fn extend_by_note(
        &self,
        grants: &[&Grant],
        newest: &Grant,
        wish: &Wish<'_>,
        (said, lease): (&Said, &LeaseHandle),
    ) -> Result<(), JobError> {
        let mut transition = Transition::new(CommitName::Seen, self.clock.now());
        let mut asked = Vec::new();
        for grant in grants {
            let decided = self.ask_for_more(&mut transition, grant, wish).await?;
            let comes = decided.map(|more| more.until).map_err(|refusal| refusal.sentence);
            asked.push(((*grant).clone(), comes));
        }
        self.owe_answer(&mut transition, newest, said, words::extends(&asked));
        transition.lease = Some((lease.lease(), Finish::Keep));
        Ok(self.store.commit(transition).await?)
    }

    fn owe_answer(&self, transition: &mut Transition, grant: &Grant, said: &Said, text: String) {
        let (now, note): (_, NoteId) = (transition.now, said.note.clone());
        let kind = NoticeKind::Note { telling: Telling::Answered, mapping: grant.mapping.clone(), why: Some(text) };
        transition.notices.push(Notice {
            id: ulid(self.random.as_ref(), now),
            ticket: grant.ticket.clone(),
            grant: grant.id.clone(),
            kind,
            since: now,
            state: NoticeState::Open,
            closes: None,
            answers: Some(note),
        });
        let work = Work::Tell { ticket: grant.ticket.clone() };
        transition.tasks.push(NewTask::new(work, now, Priority::Telling));
    }
}

/// The member is bound to this person for long enough, or an owner has confirmed it: as for a request.
fn is_bound(rules: &Rules, reading: &Reading, said: &Said, now: latchkey_contract::Timestamp) -> bool {
    let records = &rules.records;
    let person = records.person_of(&reading.at.connection, &said.by);
    let bound = person.and_then(|person| records.bound(&person.id, &reading.at.connection, &said.by));
    let cools_for = rules.rulebook.settings.binding_cools_for.duration();
    bound.is_some_and(|bound| bound.is_confirmed || bound.since + cools_for <= now)
}

/// Whoever asked for it, and whoever answers for the installation.
fn may_end(grant: &Grant, person: &Person) -> bool {
    grant.person == person.id || person.role.is_admin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::samples;

    /// F18, F120: somebody else's access is ended by those who answer for the installation, and by no other technician.
    #[test]
    fn whoever_asked_and_whoever_answers_for_all_may_end_it() {
        let grant = samples::grant("g1", &[1], samples::granting());
        let person = |id: &str, role: &str| -> Person {
            toml::from_str(&format!("id = \"{id}\"\nname = \"{id}\"\nrole = \"{role}\"\ncustomers = \"all\"\n"))
                .unwrap()
        };
        for (id, role, may) in [
            (grant.person.as_str(), "technician", true),
            ("other", "technician", false),
            ("other", "approver", false),
            ("other", "auditor", false),
            ("other", "admin", true),
            ("other", "owner", true),
        ] {
            assert_eq!(may_end(&grant, &person(id, role)), may, "{id} {role}");
        }
    }
}
