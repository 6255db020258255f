//! From a proven delivery, or from a poll that found a change, to a decision: read the ticket, see whether a trigger's
//! edge was crossed and by whom, decide.

use std::{sync::Arc, time::Duration};

use latchkey_contract::{
    MemberId, StatusId, TicketRef, TicketSystem, Timestamp,
    outside::Urgency,
    ticket::{self, Change, Part, Ticket, TicketChanged},
};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::alert,
    asked::{Asker, actor, count, is_triggered, living, request, unwatched},
    poll::{LATE, PACE},
};
use crate::{
    access::{
        Decision, Holds, Refusal, Request,
        decide::{Living, decide},
        grant::Telling,
        trigger::{Look, Sight, Sighted, Sighting, look},
    },
    audit::{AuditEntry, By, Code},
    clock_guard::Doubt,
    jobs::{
        queue::{LeaseHandle, Ran},
        task::{NewTask, Priority, Work},
    },
    random::{grant_id, ulid},
    registry::InForce,
    rulebook::{ActorRule, Mapping},
    store::{BrakeCount, CommitName, Finish, Happening, Notice, NoticeKind, NoticeState, Transition},
};

/// A delivery that speaks of another save than the one that asks.
const ANOTHER_SAVE: &str = "another-save";

/// Between the look that misses a ticket and the one that is believed: a PSA has bad moments, and a right that was lost by
/// mistake looks like a deletion.
const MISSED: Duration = Duration::from_secs(60);

const SECOND: Duration = Duration::from_secs(1);

/// So long after a save its second is over, on clocks that are not quite the same.
const SETTLED: Duration = Duration::from_secs(3);

/// Why a ticket is looked at.
pub(super) enum Hint {
    /// A proven delivery, by its row's id: what it says of the save that caused it.
    Delivery { id: String, actor: Option<Signed>, status: Option<StatusId> },
    /// A poll saw that it changed, or may have missed it; nothing more is known.
    Poll,
}

/// Whom a proven delivery names.
pub(super) enum Signed {
    /// By login name.
    Name(String),
    /// By id. Whose that is, is asked only where it matters: it takes a call that ends nothing.
    Id(MemberId),
}

/// A ticket as it was read, and why.
pub(super) struct Reading {
    pub(super) world: Arc<InForce>,
    pub(super) psa: Arc<dyn TicketSystem>,
    pub(super) hint: Hint,
    pub(super) at: TicketRef,
    pub(super) ticket: Ticket,
    /// When it was asked for: what was saved after that may not be in it.
    pub(super) asked_at: Timestamp,
}

impl Reading {
    /// Up to which save, by the PSA's clock, everything is in what was read. PSAs count in whole seconds: while the last
    /// save's second may still have been running, another one may have followed in it.
    fn covers(&self) -> Option<Timestamp> {
        let saved_at = self.ticket.updated_at?;
        Some(if self.asked_at >= saved_at + SETTLED { saved_at } else { saved_at - SECOND })
    }
}

impl Jobs {
    pub(super) async fn intake(&self, id: &str, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let delivery = self.store.delivery(id).await?;
        let Some(delivery) = delivery.filter(|d| d.outcome.is_none()) else { return Ok(Ran::Finish(Finish::Done)) };
        let event = delivery.event;
        let actor = event.actor.map(Signed::Name).or_else(|| event.actor_id.map(Signed::Id));
        let hint = Hint::Delivery { id: delivery.id, actor, status: event.status };
        let Some(ticket) = event.ticket else {
            let mut nothing = Transition::new(CommitName::Seen, self.clock.now());
            let outcome = match event.is_about_webhooks {
                true => {
                    let work = Work::Webhooks { connection: delivery.connection };
                    nothing.tasks.push(NewTask::new(work, nothing.now, Priority::Telling));
                    "webhooks"
                }
                false => "no-ticket",
            };
            return self.settle(nothing, &hint, outcome, lease).await;
        };
        self.look_at_ticket(TicketRef { connection: delivery.connection, ticket }, hint, lease).await
    }

    /// A poll found that this ticket changed, or a look before this one could not hear its commands.
    pub(super) async fn look(&self, at: &TicketRef, lease: &LeaseHandle) -> Result<Ran, JobError> {
        self.look_at_ticket(at.clone(), Hint::Poll, lease).await
    }

    /// A while ago it was not there. What this look finds is believed.
    pub(super) async fn look_again(&self, at: &TicketRef, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let (world, asked_at) = (self.live.current().await, self.clock.now());
        let psa = world.registry.ticket_system(&at.connection)?;
        let (hint, at) = (Hint::Poll, at.clone());
        match psa.read(&at.ticket, Urgency::Removal).await? {
            None => {
                self.follow(&world, &at, (None, asked_at), lease).await?;
                self.settle(Transition::new(CommitName::Seen, self.clock.now()), &hint, "ticket-gone", lease).await
            }
            Some(ticket) => self.look_at(Reading { world, psa, hint, at, ticket, asked_at }, lease).await,
        }
    }

    async fn look_at_ticket(&self, at: TicketRef, hint: Hint, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let world = self.live.current().await;
        let psa = world.registry.ticket_system(&at.connection)?;
        let has_access = self.store.grants_of_ticket(&at).await?.iter().any(|grant| grant.state.is_wanted());
        let urgency = if has_access { Urgency::Removal } else { Urgency::Ordinary };
        let asked_at = self.clock.now();
        match psa.read(&at.ticket, urgency).await? {
            None => self.missed(at, &hint, has_access, lease).await,
            Some(ticket) => self.look_at(Reading { world, psa, hint, at, ticket, asked_at }, lease).await,
        }
    }

    /// The ticket is not there. Its access does not end by that alone: a second look has to say so, too.
    async fn missed(&self, at: TicketRef, hint: &Hint, has_access: bool, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let mut transition = Transition::new(CommitName::Seen, self.clock.now());
        if has_access {
            tracing::warn!(ticket.r#ref = %at, "a ticket with access is not there; it is looked for once more");
            let work = Work::Missing { ticket: at, since: transition.now };
            transition.tasks.push(NewTask::new(work, transition.now + MISSED, Priority::Removal));
        }
        self.settle(transition, hint, "ticket-gone", lease).await
    }

    async fn look_at(&self, reading: Reading, lease: &LeaseHandle) -> Result<Ran, JobError> {
        self.follow(&reading.world, &reading.at, (Some(&reading.ticket), reading.asked_at), lease).await?;
        let unheard = self.obey(&reading, lease).await?;
        let now = self.clock.now();
        let mut transition = Transition::new(CommitName::Seen, now);
        transition.revision = Some(reading.world.rules.revision);
        transition.tasks.extend(unheard);
        let (mut outcome, mut is_about_another) = ("nothing-asked", false);
        let mappings = &reading.world.rules.rulebook.mappings;
        for mapping in mappings.iter().filter(|m| m.connection == reading.at.connection) {
            if let Some(said) = self.sight(&mut transition, &reading, mapping, now).await? {
                is_about_another |= said == ANOTHER_SAVE;
                outcome = said;
            }
        }
        if is_about_another {
            // The save that asks has not been judged: a poll may have to come back to it.
            for sighted in &mut transition.sightings {
                let (Sighted::Looked { now, .. } | Sighted::Left(now)) = sighted;
                now.covers = None;
            }
            transition.tasks.extend(self.passed_over(&reading, now).await?);
        }
        if matches!(reading.hint, Hint::Poll) && matches!(outcome, "granted" | "refused" | "waiting") {
            self.lost_delivery(&mut transition, &reading.at).await?;
        }
        self.settle(transition, &reading.hint, outcome, lease).await
    }

    async fn sight(
        &self,
        transition: &mut Transition,
        reading: &Reading,
        mapping: &Mapping,
        now: Timestamp,
    ) -> Result<Option<&'static str>, JobError> {
        let ticket = &reading.ticket;
        let is_watched = unwatched(mapping, ticket).is_none();
        let is_in = is_watched && is_triggered(mapping, ticket);
        let before = self.store.sighting(&reading.at, &mapping.id).await?;
        if !is_watched && before.is_none() {
            return Ok(None);
        }
        let is_worth_asking = is_in && before.as_ref().is_none_or(|s| s.is_armed);
        let (change, signed) = match is_worth_asking {
            true => (change(reading, mapping).await?, signed_actor(reading).await?),
            false => (None, None),
        };
        let is_automation = change.as_ref().is_some_and(|c| c.actor == ticket::Actor::Automation);
        let seen = look(&Sight {
            is_in,
            before: before.as_ref(),
            change: change.as_ref(),
            signed_actor: signed.as_deref().filter(|_| !is_automation),
            is_of_another_save: is_of_another_save(mapping, reading, signed.as_deref()),
            watched_since: mapping.watched_since.unwrap_or(now),
        });
        let sighting = |is_armed, consumed: Option<String>| Sighted::Looked {
            now: Sighting {
                ticket: reading.at.clone(),
                mapping: mapping.id.clone(),
                is_armed,
                consumed: consumed.or_else(|| before.as_ref().and_then(|s| s.consumed.clone())),
                seen_at: now,
                covers: reading.covers(),
            },
            before: before.clone(),
        };
        let (asker, asked_at, change) = match seen {
            Look::Armed => {
                transition.sightings.push(sighting(true, None));
                return Ok(None);
            }
            Look::AnotherSave => return Ok(Some(ANOTHER_SAVE)),
            Look::Standing => {
                transition.sightings.push(sighting(false, None));
                return Ok(Some("standing"));
            }
            Look::Doubtful { why, change } => (Asker::doubtful(why), now, change),
            Look::Fired { by, at, change } => {
                (self.asker(reading, mapping, &by, is_automation).await?, at, Some(change))
            }
        };
        transition.sightings.push(sighting(false, change));
        self.decide(transition, reading, mapping, asker, asked_at).await.map(Some)
    }

    /// Who asks: whoever set the trigger; where that is the PSA's own automation and the mapping lets it, the ticket's owner.
    async fn asker(
        &self,
        reading: &Reading,
        mapping: &Mapping,
        name: &str,
        is_automation: bool,
    ) -> Result<Asker, JobError> {
        let (records, at) = (&reading.world.rules.records, &reading.at.connection);
        let for_owner = is_automation && mapping.actor == ActorRule::Automation;
        if !for_owner {
            let member = reading.psa.member(name).await?;
            return Ok(Asker { actor: Ok(actor(records, at, name, member)), is_by_automation: false });
        }
        let Some(owner) = &reading.ticket.owner else {
            let why = "the ticket has no owner who could be given access".to_owned();
            return Ok(Asker { actor: Err(why), is_by_automation: true });
        };
        let member = reading.psa.member_by_id(owner, Urgency::Ordinary).await?;
        let name = member.as_ref().map_or_else(|| owner.to_string(), |m| m.name.clone());
        Ok(Asker { actor: Ok(actor(records, at, &name, member)), is_by_automation: true })
    }

    async fn decide(
        &self,
        transition: &mut Transition,
        reading: &Reading,
        mapping: &Mapping,
        asker: Asker,
        asked_at: Timestamp,
    ) -> Result<&'static str, JobError> {
        let rules = &reading.world.rules;
        let ticket = (&reading.at, &reading.ticket);
        let request = request(&rules.records, ticket, mapping, asker, asked_at, transition.now);
        let counted = count(self.store.as_ref(), &rules.rulebook.brakes, &request, true).await?;
        let living = living(self.store.as_ref(), &request, &counted).await?;
        let holds = Holds { clock: self.trust.doubt().map(Doubt::sentence), ..Holds::of(rules) };
        let refusal = match decide(rules, &holds, &request, &living) {
            Decision::Refuse(refusal) => refusal,
            Decision::Grant(terms) => {
                // Counted again where it is written: two requests at one moment do not both find the last place.
                let room = counted.iter().map(|c| BrakeCount {
                    scope: c.scope.clone(),
                    since: c.since.clone(),
                    most: c.brake.grants,
                });
                transition.brakes.extend(room);
                match self.start(transition, reading, &request, &living, &terms).await? {
                    Ok(()) => return Ok("granted"),
                    Err(refusal) => refusal,
                }
            }
            Decision::Wait(terms, pulled) => {
                match self.hold_back(transition, reading, &request, &living, &terms, pulled).await? {
                    Ok(()) => return Ok("waiting"),
                    Err(refusal) => refusal,
                }
            }
        };
        let link = reading.psa.link(&reading.at.ticket);
        self.refuse(transition, &request, &living, &refusal, link);
        Ok("refused")
    }

    fn refuse(
        &self,
        transition: &mut Transition,
        request: &Request,
        living: &Living,
        refusal: &Refusal,
        ticket_link: String,
    ) {
        let now = transition.now;
        let what = Happening::Refused {
            ticket: request.ticket.clone(),
            ticket_link,
            customer: request.customer.clone(),
            person: request.actor.as_ref().ok().and_then(|a| a.person.clone()),
            why: refusal.sentence.clone(),
        };
        alert(transition, what, self.random.as_ref());
        let id = grant_id(self.random.as_ref(), now);
        if transition.name == CommitName::Seen {
            transition.name = CommitName::Refused;
        }
        transition.audit.push(decided(now, request, living, Code::RequestRefused, &id, Some(refusal)));
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
            closes: None,
            answers: None,
        });
        let work = Work::Tell { ticket: request.ticket.clone() };
        transition.tasks.push(NewTask::new(work, now, Priority::Telling));
        metrics::counter!("policy_denials_total", "code" => refusal.code.to_string()).increment(1);
        tracing::info!(ticket.r#ref = %request.ticket, code = %refusal.code, rule = %refusal.rule, "refused");
    }

    async fn settle(
        &self,
        mut transition: Transition,
        hint: &Hint,
        outcome: &str,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        transition.lease = Some((lease.lease(), Finish::Done));
        if let Hint::Delivery { id, .. } = hint {
            transition.delivery_done = Some((id.clone(), outcome.to_owned()));
        }
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }

    /// A look at a ticket whose last save is not new: while its delivery waited to be worked on, polls may have gone past it.
    /// None where another delivery of it waits, which may tell of that save, or comes here, too.
    async fn passed_over(&self, reading: &Reading, now: Timestamp) -> Result<Option<NewTask>, JobError> {
        let at = reading.ticket.updated_at.unwrap_or(now - LATE);
        if now.since(at) < LATE {
            return Ok(None);
        }
        let saved = TicketChanged { id: reading.at.ticket.clone(), at };
        let is_left = !self.store.unseen(&reading.at.connection, &[saved]).await?.is_empty();
        let work = Work::Look { ticket: reading.at.clone() };
        Ok(is_left.then(|| NewTask::new(work, now + PACE, Priority::Telling)))
    }

    /// A request that no delivery told of: the PSA's webhook did not come.
    async fn lost_delivery(&self, transition: &mut Transition, at: &TicketRef) -> Result<(), JobError> {
        metrics::counter!("webhook_lost_total").increment(1);
        tracing::error!(ticket.r#ref = %at, "a request was found by the poll alone: the PSA's webhook did not come");
        let entry = AuditEntry::new(Code::DeliveryLost, transition.now, By::Service, json!({}));
        transition.audit.push(AuditEntry { ticket: Some(at.clone()), ..entry });
        self.webhook_lost(transition, &at.connection).await
    }
}

async fn change(reading: &Reading, mapping: &Mapping) -> Result<Option<Change>, JobError> {
    let part = match &mapping.trigger_field {
        Some(trigger) => Part::Field(&trigger.field),
        None if mapping.trigger_board => Part::Board,
        None => Part::Status,
    };
    Ok(reading.psa.change(&reading.ticket, part, Urgency::Ordinary).await?)
}

/// The login name of whom the delivery names. An id that is no member's is nobody whom a record of changes could name.
async fn signed_actor(reading: &Reading) -> Result<Option<String>, JobError> {
    let Hint::Delivery { actor: Some(actor), .. } = &reading.hint else { return Ok(None) };
    let id = match actor {
        Signed::Name(name) => return Ok(Some(name.clone())),
        Signed::Id(id) => id,
    };
    let member = reading.psa.member_by_id(id, Urgency::Ordinary).await?;
    Ok(Some(member.map_or_else(|| format!("no member ({id})"), |member| member.name)))
}

/// Deliveries overtake each other. One whose signed record shows the ticket outside the trigger, or names somebody who
/// is not the last to have saved it, tells of another save than the one that asks.
fn is_of_another_save(mapping: &Mapping, reading: &Reading, signed: Option<&str>) -> bool {
    let Hint::Delivery { status, .. } = &reading.hint else { return false };
    match &mapping.trigger_field {
        None if !mapping.trigger_board => {
            status.as_ref().is_some_and(|status| !mapping.trigger_statuses.contains(status))
        }
        _ => match (signed, &reading.ticket.updated_by) {
            (Some(signed), Some(last)) => !signed.trim().eq_ignore_ascii_case(last.trim()),
            _ => false,
        },
    }
}

/// The decision with its whole input, so that it can be explained and replayed.
pub(super) fn decided(
    now: Timestamp,
    request: &Request,
    living: &Living,
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
        ..AuditEntry::new(code, now, by, json!({ "request": request, "living": living, "refusal": refusal }))
    }
}
