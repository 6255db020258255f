//! Commands in notes: whoever is verified says it, where no customer reads it, and is answered there.
//!
//! A command takes away, tells, or asks for more time for what its author has already; that needs a note whose author is
//! certain. Each is obeyed once: its answer is owed in the same transaction, and remembers the note. When all is over, that is
//! said for a day.

use std::{collections::BTreeSet, time::Duration};

use latchkey_contract::{
    CallError, NoteId, Timestamp,
    outside::Urgency,
    text::one_line,
    ticket::{Said, Ticket},
};

use super::{JobError, Jobs, advance::advance, asked::actor, extend::Wish, intake::Reading, queue::LeaseHandle, words};
use crate::{
    access::{Cause, Event, Grant, State, command::Command, grant::Telling},
    audit::By,
    jobs::task::{NewTask, Priority, Work},
    random::ulid,
    rulebook::{HoldOn, Person, Rules},
    store::{CommitName, Finish, Notice, NoticeKind, NoticeState, Transition},
};

/// How long whoever asks is told that it is over.
const SPOKEN_OF: Duration = Duration::from_secs(24 * 60 * 60);

/// Between a look that could not hear what was written and the next: a command may take access away.
const UNHEARD: Duration = Duration::from_secs(30);

impl Jobs {
    /// Obeys what was written since the ticket asked for what it has, or had last. A PSA that does not list its notes, or does
    /// not say who wrote one, holds up nothing: the next look asks again. Answers that look, which is owed soon while there is
    /// something left to end: the poll's may be minutes away.
    pub(super) async fn obey(&self, reading: &Reading, lease: &LeaseHandle) -> Result<Option<NewTask>, JobError> {
        let Ticket { id, .. } = &reading.ticket;
        let grants = self.store.grants_of_ticket(&reading.at).await?;
        let wanted = grants.iter().filter(|g| g.state.is_wanted()).map(|g| g.asked_at).min();
        let (since, urgency) = match (wanted, last_over(&grants, self.clock.now())) {
            (Some(since), _) => (since, Urgency::Removal),
            // There is nothing left to end: it waits with everything else.
            (None, Some(last)) => (last.asked_at, Urgency::Ordinary),
            (None, None) => return Ok(None),
        };
        // What does not pass by itself is left to the poll.
        let again = |error: &CallError| {
            let work = Work::Unheard { ticket: reading.at.clone() };
            let wait = error.retry_after().unwrap_or_default().max(UNHEARD);
            let task = NewTask::new(work, self.clock.now() + wait, Priority::Telling);
            wanted.filter(|_| error.is_transient()).map(|_| task)
        };
        let mut said = match reading.psa.commands(id, urgency).await {
            Ok(said) => said,
            Err(error) => {
                tracing::warn!(ticket.r#ref = %reading.at, error = &error as &dyn std::error::Error,
                    "the ticket's notes could not be read for commands");
                self.notice_refusal(&reading.at.connection, &error).await;
                return Ok(again(&error));
            }
        };
        said.retain(|said| said.at >= since);
        if said.is_empty() {
            return Ok(None);
        }
        let (mut answered, mut unheard) = (BTreeSet::new(), None);
        for grant in &grants {
            answered.extend(self.store.notices_of(&grant.id).await?.into_iter().filter_map(|notice| notice.answers));
        }
        for said in said.iter().filter(|said| !answered.contains(&said.note)) {
            match self.hear(reading, (said, urgency), lease).await {
                Err(JobError::Call(error)) => {
                    tracing::warn!(ticket.r#ref = %reading.at, error = &error as &dyn std::error::Error,
                        "whoever wrote a command could not be looked up");
                    self.notice_refusal(&reading.at.connection, &error).await;
                    unheard = again(&error).or(unheard);
                }
                heard => heard?,
            }
        }
        Ok(unheard)
    }

    /// Of somebody who is not verified nothing is heard, and nothing is answered.
    async fn hear(
        &self,
        reading: &Reading,
        (said, urgency): (&Said, Urgency),
        lease: &LeaseHandle,
    ) -> Result<(), JobError> {
        let rules = &reading.world.rules;
        let now = self.clock.now();
        let Some(person) = rules.records.person_of(&reading.at.connection, &said.by) else { return Ok(()) };
        let is_verified =
            rules.hold(&HoldOn::Person(person.id.clone())).is_none() && is_bound(rules, reading, said, now);
        if !is_verified {
            return Ok(());
        }
        let member = reading.psa.member_by_id(&said.by, urgency).await?.filter(|m| m.is_active && m.is_human);
        let (Some(command), Some(member)) = (Command::read(&said.line), member) else { return Ok(()) };
        let mut grants = self.store.grants_of_ticket(&reading.at).await?;
        if let Some(last) = last_over(&grants, now).filter(|grant| grant.asked_at <= said.at) {
            tracing::info!(ticket.r#ref = %reading.at, person = %person.id, ?command,
                "a command in a note, and nothing is left");
            return self.answer(last, said, words::over(&last.state), lease).await;
        }
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
                if let Some(newest) = mine.first() {
                    return self.end_by_note(&mine, newest, (said, person), lease).await;
                }
                words::only_they_end(&name(newest))
            }
        };
        self.answer(newest, said, text, lease).await
    }

    /// Says something, and changes nothing.
    async fn answer(&self, grant: &Grant, said: &Said, text: String, lease: &LeaseHandle) -> Result<(), JobError> {
        let mut transition = Transition::new(CommitName::Seen, self.clock.now());
        self.owe_answer(&mut transition, grant, said, text);
        transition.lease = Some((lease.lease(), Finish::Keep));
        Ok(self.store.commit(transition).await?)
    }

    /// All in one transaction: a command of which only a part was done, and whose rest is over by itself before it is read
    /// again, would be answered with an untruth, or with nothing.
    async fn end_by_note(
        &self,
        grants: &[&Grant],
        newest: &Grant,
        (said, person): (&Said, &Person),
        lease: &LeaseHandle,
    ) -> Result<(), JobError> {
        let mut transition = Transition::new(CommitName::EndAsked, self.clock.now());
        transition.is_removal = true;
        let mut over = BTreeSet::new();
        for grant in grants {
            let cause = match grant.person == person.id {
                true => Cause::EndedByPerson,
                false => {
                    Cause::Revoked { by: one_line(&person.name, 80), reason: "by a note in the ticket".to_owned() }
                }
            };
            // Of two that share a password the second must see that the first is over.
            let mut others = self.store.open_grants(&grant.account).await?;
            others.retain(|other| !over.contains(&other.id));
            let (event, by) = (Event::End(cause), By::Person(person.id.clone()));
            advance(&mut transition, grant, &event, &others, &by, self.random.as_ref());
            over.insert(grant.id.clone());
        }
        self.owe_answer(&mut transition, newest, said, words::ends_as_asked(&person.name));
        transition.lease = Some((lease.lease(), Finish::Keep));
        Ok(self.store.commit(transition).await?)
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
fn is_bound(rules: &Rules, reading: &Reading, said: &Said, now: Timestamp) -> bool {
    let records = &rules.records;
    let person = records.person_of(&reading.at.connection, &said.by);
    let bound = person.and_then(|person| records.bound(&person.id, &reading.at.connection, &said.by));
    let cools_for = rules.rulebook.settings.binding_cools_for.duration();
    bound.is_some_and(|bound| bound.is_confirmed || bound.since + cools_for <= now)
}

/// What the ticket had last, where nothing of it is left and that is not long ago. Of a request of which nothing came nothing
/// is said: its refusal stands in the ticket.
fn last_over(grants: &[Grant], now: Timestamp) -> Option<&Grant> {
    if grants.iter().any(|grant| grant.state.is_wanted()) {
        return None;
    }
    let over = |grant: &&Grant| match &grant.state {
        State::Ending { .. } => Some(now),
        State::Ended { proof, .. } => Some(proof.seen_at()),
        _ => None,
    };
    let last = grants.iter().max_by_key(over)?;
    over(&last).is_some_and(|at| now < at + SPOKEN_OF).then_some(last)
}

/// Whoever asked for it, and whoever answers for the installation.
fn may_end(grant: &Grant, person: &Person) -> bool {
    grant.person == person.id || person.role.is_admin()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::tests::samples;

    /// F18: for a day after the last end, and not while anything is wanted, nor where nothing was ever given.
    #[test]
    fn what_is_over_is_spoken_of_for_a_day() {
        let ended = |at| State::Ended { cause: Cause::Expired, due: at, proof: samples::proof(at) };
        let grant = |id: &str, state: State| samples::grant(id, &[1], state);
        let last = |grants: &[Grant], at: Timestamp| last_over(grants, at).map(|grant| grant.id.to_string());
        let (end, day) = (samples::after(3600), 24 * 3600);
        let seen = samples::proof(end).seen_at();
        let two = [grant("g2", ended(samples::START)), grant("g1", ended(end))];
        assert_eq!(last(&two, seen), Some("g1".to_owned()), "the one that ended last");
        assert_eq!(last(&two, seen + Duration::from_secs(day - 1)), Some("g1".to_owned()));
        assert_eq!(last(&two, seen + Duration::from_secs(day)), None);
        let ending = grant("g3", State::Ending { cause: Cause::Expired, since: samples::START });
        assert_eq!(last(&[ending], seen + Duration::from_secs(3 * day)), Some("g3".to_owned()), "it is not over yet");
        let [second, first] = two;
        assert_eq!(last(&[grant("g4", samples::active(end)), second, first], seen), None, "one is left");
        let refused = grant("g5", State::Refused { why: "no".into(), at: end });
        assert_eq!(last(&[refused], seen), None, "nothing came of it");
        assert_eq!(last(&[], seen), None);
    }

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
