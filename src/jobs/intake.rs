//! From a proven delivery to a decision: read the ticket, see whether a trigger's edge was crossed and by whom, decide.

use std::sync::Arc;

use latchkey_contract::{
    AccountId, TicketRef, TicketSystem, Timestamp,
    directory::{Known, Mode},
    text::one_line,
    ticket::Ticket,
};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::{advance, write},
};
use crate::{
    access::{
        Account, Cause, Decision, Event, Grant, Holds, Refusal, Request, State,
        decide::{Living, Terms, decide},
        grant::{Telling, begin},
        request::Actor,
        trigger::{Look, Sight, Sighting, look},
    },
    audit::{AuditEntry, By, Code},
    clock_guard::Doubt,
    jobs::{
        queue::{LeaseHandle, Ran},
        task::{NewTask, Priority, Work},
    },
    random::{account_id, grant_id, secret_id, ulid},
    registry::InForce,
    rulebook::Mapping,
    store::{CommitName, Finish, Notice, NoticeKind, NoticeState, StoredDelivery, Transition},
};

struct Reading<'a> {
    world: Arc<InForce>,
    psa: Arc<dyn TicketSystem>,
    delivery: &'a StoredDelivery,
    at: TicketRef,
    ticket: Ticket,
}

impl Jobs {
    pub(super) async fn intake(&self, id: &str, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let delivery = self.store.delivery(id).await?;
        let Some(delivery) = delivery.filter(|d| d.outcome.is_none()) else { return Ok(Ran::Finish(Finish::Done)) };
        let Some(ticket) = delivery.event.ticket.clone() else {
            return self
                .settle(Transition::new(CommitName::Seen, self.clock.now()), &delivery, "no-ticket", lease)
                .await;
        };
        let at = TicketRef { connection: delivery.connection.clone(), ticket };
        let world = self.live.current().await;
        let psa = world.registry.ticket_system(&at.connection)?;
        match psa.read(&at.ticket).await? {
            None => self.gone(&at, &delivery, lease).await,
            Some(ticket) => self.look_at(Reading { world, psa, delivery: &delivery, at, ticket }, lease).await,
        }
    }

    /// The ticket is gone: what was not handed over yet is taken back.
    async fn gone(&self, at: &TicketRef, delivery: &StoredDelivery, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let mut transition = Transition::new(CommitName::Seen, self.clock.now());
        self.withdraw(&mut transition, at).await?;
        self.settle(transition, delivery, "ticket-gone", lease).await
    }

    /// Access that has not reached the person does not outlive its ticket.
    async fn withdraw(&self, transition: &mut Transition, at: &TicketRef) -> Result<(), JobError> {
        for grant in self.store.grants_of_ticket(at).await? {
            if matches!(grant.state, State::Granting { .. } | State::Delivering { .. }) {
                let others = self.store.open_grants(&grant.account).await?;
                advance(
                    transition,
                    &grant,
                    &Event::End(Cause::TicketEnded),
                    &others,
                    &By::Service,
                    self.random.as_ref(),
                );
            }
        }
        Ok(())
    }

    async fn look_at(&self, reading: Reading<'_>, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Seen, now);
        transition.revision = Some(reading.world.rules.revision);
        if reading.ticket.is_closed {
            self.withdraw(&mut transition, &reading.at).await?;
        }
        let mut outcome = "nothing-asked";
        let mappings = &reading.world.rules.rulebook.mappings;
        for mapping in mappings.iter().filter(|m| m.connection == reading.at.connection) {
            if let Some(said) = self.sight(&mut transition, &reading, mapping, now).await? {
                outcome = said;
            }
        }
        self.settle(transition, reading.delivery, outcome, lease).await
    }

    async fn sight(
        &self,
        transition: &mut Transition,
        reading: &Reading<'_>,
        mapping: &Mapping,
        now: Timestamp,
    ) -> Result<Option<&'static str>, JobError> {
        let ticket = &reading.ticket;
        let is_on_board = ticket.board.as_ref().is_some_and(|b| mapping.boards.contains(b));
        let is_in = is_on_board && ticket.status.as_ref().is_some_and(|s| mapping.trigger_statuses.contains(s));
        let before = self.store.sighting(&reading.at, &mapping.id).await?;
        if !is_on_board && before.is_none() {
            return Ok(None);
        }
        let is_worth_asking = is_in && before.as_ref().is_none_or(|s| s.is_armed);
        let change = if is_worth_asking { reading.psa.status_change(ticket).await? } else { None };
        let seen = look(&Sight {
            is_in,
            before: before.as_ref(),
            change: change.as_ref(),
            signed_actor: reading.delivery.event.actor.as_deref(),
            is_of_another_save: (reading.delivery.event.status.as_ref())
                .is_some_and(|status| !mapping.trigger_statuses.contains(status)),
            watched_since: mapping.watched_since.unwrap_or(now),
        });
        let sighting = |is_armed, consumed: Option<String>| Sighting {
            ticket: reading.at.clone(),
            mapping: mapping.id.clone(),
            is_armed,
            consumed: consumed.or_else(|| before.as_ref().and_then(|s| s.consumed.clone())),
            seen_at: now,
        };
        let (actor, asked_at, change) = match seen {
            Look::Armed => {
                transition.sightings.push(sighting(true, None));
                return Ok(None);
            }
            Look::AnotherSave => return Ok(Some("another-save")),
            Look::Standing => {
                transition.sightings.push(sighting(false, None));
                return Ok(Some("standing"));
            }
            Look::Doubtful { why, change } => (Err(why), now, change),
            Look::Fired { by, at, change } => (Ok(self.actor(reading, &by).await?), at, Some(change)),
        };
        transition.sightings.push(sighting(false, change));
        self.decide(transition, reading, mapping, actor, asked_at).await.map(Some)
    }

    async fn actor(&self, reading: &Reading<'_>, name: &str) -> Result<Actor, JobError> {
        let member = reading.psa.member(name).await?;
        Ok(Actor {
            name: one_line(name, 60),
            is_active: member.as_ref().is_some_and(|m| m.is_active),
            is_human: member.as_ref().is_some_and(|m| m.is_human),
            person: member
                .as_ref()
                .and_then(|m| reading.world.rules.records.person_of(&reading.at.connection, &m.id))
                .map(|p| p.id.clone()),
            member: member.map(|m| m.id),
        })
    }

    async fn decide(
        &self,
        transition: &mut Transition,
        reading: &Reading<'_>,
        mapping: &Mapping,
        actor: Result<Actor, String>,
        asked_at: Timestamp,
    ) -> Result<&'static str, JobError> {
        let (world, ticket) = (&reading.world, &reading.ticket);
        let customer = ticket.company.as_ref().and_then(|c| world.rules.records.customer_of(&reading.at.connection, c));
        let request = Request {
            ticket: reading.at.clone(),
            mapping: mapping.id.clone(),
            asked_at,
            is_closed: ticket.is_closed,
            company: ticket.company.clone(),
            customer: customer.map(|c| c.id.clone()),
            actor,
            length_field: mapping.length_field.as_ref().and_then(|f| ticket.fields.get(f)).map(|t| one_line(t, 80)),
            reason: one_line(&ticket.summary, 200),
        };
        let living = self.living(&request, mapping).await?;
        let holds = Holds { clock: self.trust.doubt().map(Doubt::sentence), ..Holds::of(&world.rules.records) };
        match decide(&world.rules, &holds, &request, &living) {
            Decision::Refuse(refusal) => {
                self.refuse(transition, &request, &refusal);
                Ok("refused")
            }
            Decision::Grant(terms) => match self.start(transition, reading, &request, &terms).await? {
                Ok(()) => Ok("granted"),
                Err(refusal) => {
                    self.refuse(transition, &request, &refusal);
                    Ok("refused")
                }
            },
        }
    }

    async fn living(&self, request: &Request, mapping: &Mapping) -> Result<Living, JobError> {
        let person = request.actor.as_ref().ok().and_then(|a| a.person.as_ref());
        let on_ticket = self.store.grants_of_ticket(&request.ticket).await?;
        let is_same = |g: &Grant| g.state.is_living() && g.mapping == mapping.id && Some(&g.person) == person;
        Ok(Living { same_ticket: on_ticket.iter().any(is_same) })
    }

    /// Builds grant, account and sealed password: intent, all of it, before any call to the directory.
    async fn start(
        &self,
        transition: &mut Transition,
        reading: &Reading<'_>,
        request: &Request,
        terms: &Terms,
    ) -> Result<Result<(), Refusal>, JobError> {
        let now = transition.now;
        let records = &reading.world.rules.records;
        let Ok(directory) = reading.world.registry.directory(&terms.directory) else {
            let sentence =
                "the customer's directory connection is not usable now; an admin has to look at it".to_owned();
            let rule = format!("connection {}", terms.directory);
            return Ok(Err(Refusal { code: "no-directory".into(), rule, sentence }));
        };
        let domain = records.customer(&terms.customer).and_then(|c| c.domain.clone()).unwrap_or_default();
        let id = grant_id(self.random.as_ref(), now);
        let (mut account, others) = self.account(terms, &domain, &id, now).await?;
        let shared = others.iter().find(|g| g.state.secret().is_some());
        // Whose password is shared must still live when this is committed: its version is compared.
        transition.grants.extend(shared.cloned());
        let shared = shared.and_then(|g| g.state.secret().cloned());
        let secret = match shared {
            Some(secret) => secret,
            None => {
                let secret = secret_id(self.random.as_ref(), now);
                let password = directory.password(&mut |buffer| self.random.fill(buffer));
                transition.seal.push(self.seal.seal(secret.clone(), None, "account-password", &password));
                secret
            }
        };
        let begun = begin(secret.clone(), terms.length, now);
        let person = records.person(&terms.person).map_or_else(|| terms.person.to_string(), |p| p.name.clone());
        account.secret = Some(secret);
        account.display_name = one_line(&format!("{person} (Latchkey)"), 120);
        account.last = Some((id.clone(), reading.at.clone()));
        account.off_since = None;
        account.is_surprised = false;
        account.first_off = None;
        let grant = Grant {
            id,
            version: 0,
            ticket: reading.at.clone(),
            ticket_link: reading.psa.link(&reading.at.ticket),
            customer: terms.customer.clone(),
            person: terms.person.clone(),
            mapping: terms.mapping.clone(),
            revision: reading.world.rules.revision,
            policy: terms.policy.clone(),
            reason: request.reason.clone(),
            asked_at: request.asked_at,
            directory: terms.directory.clone(),
            account: account.id.clone(),
            length: terms.length,
            state: begun.state,
        };
        transition.name = CommitName::Decided;
        transition.accounts.push(account);
        transition.audit.push(decided(transition.now, request, Code::RequestGranted, &grant.id, None));
        write(transition, &grant, &begun.effects, &others, &By::Service, self.random.as_ref());
        tracing::info!(grant.id = %grant.id, ticket.r#ref = %grant.ticket, policy = %grant.policy.id, "granted");
        Ok(Ok(()))
    }

    /// The standing account of this person there, or a new one. A burner is always new.
    async fn account(
        &self,
        terms: &Terms,
        domain: &str,
        grant: &latchkey_contract::GrantId,
        now: Timestamp,
    ) -> Result<(Account, Vec<Grant>), JobError> {
        let mode = terms.policy.mode;
        if mode == Mode::Standard
            && let Some(found) = self.store.accounts_of(&terms.person, &terms.directory, mode).await?.pop()
        {
            let grants = self.store.open_grants(&found.id).await?;
            return Ok((found, grants));
        }
        let id: AccountId = account_id(self.random.as_ref(), now);
        let name = match mode {
            Mode::Standard => format!("jit-{}@{domain}", terms.person),
            Mode::Burner => {
                let tail: String = grant.as_str().chars().rev().take(8).collect();
                format!("jit-{}-{}@{domain}", terms.person, tail.to_ascii_lowercase())
            }
        };
        let account = Account {
            id,
            version: 0,
            directory: terms.directory.clone(),
            customer: terms.customer.clone(),
            person: terms.person.clone(),
            mode,
            name,
            display_name: String::new(),
            known: Known::default(),
            is_giving: false,
            is_surprised: false,
            last_step: None,
            secret: None,
            gave_at: None,
            first_off: None,
            off_since: None,
            last: None,
            looks: Vec::new(),
            overdue: None,
        };
        Ok((account, Vec::new()))
    }

    fn refuse(&self, transition: &mut Transition, request: &Request, refusal: &Refusal) {
        let now = transition.now;
        let id = grant_id(self.random.as_ref(), now);
        if transition.name == CommitName::Seen {
            transition.name = CommitName::Refused;
        }
        transition.audit.push(decided(now, request, Code::RequestRefused, &id, Some(refusal)));
        transition.notices.push(Notice {
            id: ulid(self.random.as_ref(), now),
            ticket: request.ticket.clone(),
            grant: id,
            kind: NoticeKind::Note {
                telling: Telling::Refused,
                mapping: request.mapping.clone(),
                why: Some(refusal.sentence.clone()),
            },
            since: now,
            state: NoticeState::Open,
        });
        let work = Work::Tell { ticket: request.ticket.clone() };
        transition.tasks.push(NewTask { work, run_at: now, priority: Priority::Telling });
        metrics::counter!("policy_denials_total", "code" => refusal.code.to_string()).increment(1);
        tracing::info!(ticket.r#ref = %request.ticket, code = %refusal.code, rule = %refusal.rule, "refused");
    }

    async fn settle(
        &self,
        mut transition: Transition,
        delivery: &StoredDelivery,
        outcome: &str,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        transition.lease = Some((lease.lease(), Finish::Done));
        transition.delivery_done = Some((delivery.id.clone(), outcome.to_owned()));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }
}

/// The decision with its whole input, so that it can be explained and replayed.
fn decided(
    now: Timestamp,
    request: &Request,
    code: Code,
    grant: &latchkey_contract::GrantId,
    refusal: Option<&Refusal>,
) -> AuditEntry {
    let person = request.actor.as_ref().ok().and_then(|a| a.person.clone());
    let by = person.clone().map_or(By::Service, By::Person);
    AuditEntry {
        person,
        grant: Some(grant.clone()),
        ticket: Some(request.ticket.clone()),
        ..AuditEntry::new(code, now, by, json!({ "request": request, "refusal": refusal }))
    }
}
