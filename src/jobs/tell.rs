//! Tells a ticket what it is owed, in order, one notice at a time: overwrites before all, then notes and statuses.
//!
//! The note that hands the credentials over is one of them; only it can hold up a grant, and only for ten minutes.

use std::{sync::Arc, time::Duration};

use latchkey_contract::{
    CallError, Secret, TicketRef, TicketSystem, Timestamp,
    outside::Urgency,
    ticket::{NoteAt, NoteKey, NoteText, StatusSet},
};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::{advance, alert},
    chain,
    words::{self, Words},
};
use crate::{
    access::{
        Cause, Event, Grant, Holds, State,
        follow::{Closing, is_closed},
        grant::Telling,
        trigger::{Sighted, Sighting, is_left_by},
    },
    audit::{AuditEntry, By, Code},
    jobs::queue::{LeaseHandle, Ran},
    registry::InForce,
    rulebook::{Delivery, Mapping},
    store::{CommitName, Finish, Happening, Notice, NoticeKind, NoticeState, Transition},
};

/// Where no better sentence is at hand.
const NOT_GRANTED: &str = "the request could not be granted";

/// A note is posted only if the lease lasts this long: finding out that it is not there yet, and posting it, are two calls.
const POSTING: Duration = Duration::from_secs(35);

/// How soon it is tried again where the lease was too short.
const SOON: Duration = Duration::from_secs(2);

/// One notice, with what is needed to settle it.
struct Errand<'a> {
    world: Arc<InForce>,
    psa: Arc<dyn TicketSystem>,
    notice: &'a Notice,
    grant: Option<Grant>,
    rest: bool,
}

impl Jobs {
    pub(super) async fn tell(&self, ticket: &TicketRef, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let (all, now) = (self.store.open_notices(ticket).await?, self.clock.now());
        let is_waiting = |notice: &&Notice| notice.waits_until().is_some_and(|until| now < until);
        let open: Vec<&Notice> = all.iter().filter(|notice| !is_waiting(notice)).collect();
        // What takes a secret out waits for nothing that is only said: a vendor may let us do the one and not the other.
        let is_seen = |notice: &&&Notice| matches!(notice.state, NoticeState::Exposed { .. });
        let tidies = |notice: &&&Notice| matches!(notice.kind, NoticeKind::Tidy { .. });
        let urgent = open.iter().find(is_seen).or_else(|| open.iter().find(tidies));
        let Some(notice) = urgent.or(open.first()).copied() else {
            let next = all.iter().filter_map(Notice::waits_until).min();
            return Ok(Ran::Finish(next.map_or(Finish::Done, Finish::At)));
        };
        let world = self.live.current().await;
        let psa = world.registry.ticket_system(&ticket.connection)?;
        let grant = self.store.grant(&notice.grant).await?;
        let one = Errand { world, psa, notice, grant, rest: all.len() > 1 };
        if let NoticeState::Exposed { notes } = &notice.state {
            return self.take_back(&one, notes, lease).await;
        }
        match &notice.kind {
            NoticeKind::Tidy { missed } => self.tidy(one, *missed, lease).await,
            NoticeKind::Note { telling: Telling::Granted, .. } if notice.state == NoticeState::Open => {
                self.hand_over(one, lease).await
            }
            NoticeKind::Note { .. } => self.note(one, lease).await,
        }
    }

    /// The note that hands the credentials over.
    async fn hand_over(&self, one: Errand<'_>, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let Some(grant) = one.grant.clone().filter(|g| matches!(g.state, State::Delivering { .. })) else {
            let why = "no longer wanted".to_owned();
            return self
                .told(&one, NoticeState::GivenUp { why }, Transition::new(CommitName::Told, self.clock.now()), lease)
                .await;
        };
        let now = self.clock.now();
        if let Some(why) = Holds::of(&one.world.rules).stops(&grant.customer, &grant.person) {
            let transition = Transition::new(CommitName::Told, now);
            let event = Event::End(Cause::Held { why });
            return self.not_handed_over(&one, &grant, transition, &event, lease).await;
        }
        let failed = |event: Event| (Transition::new(CommitName::Told, now), event);
        let read = one.psa.read(&one.notice.ticket.ticket, Urgency::Ordinary).await?;
        let is_over = match &read {
            // Latchkey may have closed it when other access of the same ticket ended.
            Some(ticket) if ticket.is_closed => {
                let closings = self.closings(&self.store.grants_of_ticket(&grant.ticket).await?).await?;
                let (_, closings) = self.closed_again(one.psa.as_ref(), ticket, closings).await?;
                let by_us = self.believed(one.psa.as_ref(), ticket, closings).await;
                is_closed(&grant, ticket, &by_us)
            }
            _ => false,
        };
        match read {
            Some(ticket) if !is_over => {
                let owner = ticket
                    .company
                    .as_ref()
                    .and_then(|c| one.world.rules.records.customer_of(&grant.ticket.connection, c));
                if owner.is_none_or(|c| c.id != grant.customer) {
                    let why = "the ticket was moved to another company".to_owned();
                    let (transition, event) = failed(Event::DeliveryFailed { why });
                    return self.not_handed_over(&one, &grant, transition, &event, lease).await;
                }
            }
            _ => {
                let (transition, event) = failed(Event::End(Cause::TicketEnded));
                return self.not_handed_over(&one, &grant, transition, &event, lease).await;
            }
        }
        let text = self.granted_text(&one, &grant).await?;
        // Before it is recorded, so that whoever waits for a longer lease records it once; and again, for it takes a while.
        if let Some(later) = self.if_too_late(lease) {
            return Ok(later);
        }
        if grant.policy.delivery == Delivery::Ticket {
            self.record_handing_over(&one, &grant, lease).await?;
        }
        if let Some(later) = self.if_too_late(lease) {
            return Ok(later);
        }
        let key = NoteKey(one.notice.id.clone());
        let posted = match one.psa.post(&one.notice.ticket.ticket, &text, &key).await {
            Ok(posted) => posted,
            Err(error) if !is_final(&error) => return Err(error.into()),
            Err(error) => {
                let why = format!("the PSA refused the note ({})", code(&error));
                let transition = Transition::new(CommitName::Told, self.clock.now());
                return self.not_handed_over(&one, &grant, transition, &Event::DeliveryFailed { why }, lease).await;
            }
        };
        if posted.is_visible_to_customer {
            tracing::error!(grant.id = %grant.id, ticket.r#ref = %grant.ticket,
                "the PSA made an internal note visible to the customer; the access ends and it is taken back");
            let why = "the PSA showed the internal note to the customer; it was taken back".to_owned();
            let mut transition = Transition::new(CommitName::Told, self.clock.now());
            let others = self.store.open_grants(&grant.account).await?;
            let event = Event::DeliveryFailed { why };
            advance(&mut transition, &grant, &event, &others, &By::Service, self.random.as_ref());
            return self.told(&one, NoticeState::Exposed { notes: posted.notes }, transition, lease).await;
        }
        let mut transition = Transition::new(CommitName::Delivered, self.clock.now());
        let others = self.store.open_grants(&grant.account).await?;
        advance(&mut transition, &grant, &Event::Delivered, &others, &By::Service, self.random.as_ref());
        metrics::histogram!("request_to_active_seconds").record(transition.now.since(grant.asked_at).as_secs_f64());
        self.told(&one, NoticeState::Posted { notes: posted.notes }, transition, lease).await
    }

    /// Whoever stood still until now may not be the only one who is about to post this.
    fn if_too_late(&self, lease: &LeaseHandle) -> Option<Ran> {
        let now = self.clock.now();
        (lease.remaining(now) < POSTING).then(|| Ran::Finish(Finish::At(now + SOON)))
    }

    /// Nobody is let in by a note of which nothing is recorded. A claim link lets nobody in by itself: showing is recorded.
    async fn record_handing_over(&self, one: &Errand<'_>, grant: &Grant, lease: &LeaseHandle) -> Result<(), JobError> {
        let mut intent = Transition::new(CommitName::HandingOver, self.clock.now());
        let detail = json!({ "notice": one.notice.id, "account": grant.account });
        intent.audit.push(AuditEntry::new(Code::SecretHandingOver, intent.now, By::Service, detail).about(grant));
        intent.lease = Some((lease.lease(), Finish::Keep));
        Ok(self.store.commit(intent).await?)
    }

    async fn not_handed_over(
        &self,
        one: &Errand<'_>,
        grant: &Grant,
        mut transition: Transition,
        event: &Event,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let others = self.store.open_grants(&grant.account).await?;
        advance(&mut transition, grant, event, &others, &By::Service, self.random.as_ref());
        let state = NoticeState::GivenUp { why: "not handed over".to_owned() };
        self.told(one, state, transition, lease).await
    }

    async fn granted_text(&self, one: &Errand<'_>, grant: &Grant) -> Result<NoteText, JobError> {
        let account = self.store.account(&grant.account).await?;
        let name = account.map(|a| a.name).unwrap_or_default();
        let words = self.words(one, grant);
        if grant.policy.delivery == Delivery::ClaimLink {
            let link =
                self.public_url.join(&format!("claim/{}", grant.id)).map_or_else(|_| String::new(), String::from);
            return Ok(NoteText::plain(words.claim_link(&name, &link)));
        }
        let State::Delivering { secret, .. } = &grant.state else { return Err(JobError::Sealed) };
        let row = self.store.sealed(secret).await?.ok_or(JobError::Sealed)?;
        let password = self.seal.open_text(&row).map_err(|_| JobError::Sealed)?;
        Ok(NoteText(Secret::new(words.credentials(&name, password.expose()))))
    }

    /// As far as the PSA lets us. That it is owed was written down before: a note that is gone, and of which nothing is
    /// known, would be posted once more. The end of the access does not wait for it.
    async fn take_back(&self, one: &Errand<'_>, notes: &[NoteAt], lease: &LeaseHandle) -> Result<Ran, JobError> {
        for note in notes {
            match one.psa.take_back(note).await {
                Ok(()) => {}
                Err(error) if !is_final(&error) => return Err(error.into()),
                Err(error) => {
                    tracing::error!(ticket.r#ref = %one.notice.ticket, error = &error as &dyn std::error::Error,
                        "a note that the customer can see could not be taken back; remove it by hand");
                }
            }
        }
        let state = NoticeState::GivenUp { why: "shown to the customer, taken back".to_owned() };
        self.told(one, state, Transition::new(CommitName::Told, self.clock.now()), lease).await
    }

    /// Any other note; and the status that goes with a note that is posted already.
    async fn note(&self, one: Errand<'_>, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let NoticeKind::Note { telling, mapping, why } = &one.notice.kind else { return Ok(Ran::Finish(Finish::Done)) };
        if one.notice.state == NoticeState::Open && is_overtaken(*telling, one.grant.as_ref()) {
            let state = NoticeState::GivenUp { why: "no longer so".to_owned() };
            return self.told(&one, state, Transition::new(CommitName::Told, self.clock.now()), lease).await;
        }
        let notes = match &one.notice.state {
            NoticeState::Posted { notes } => notes.clone(),
            _ => {
                let text = self.note_text(&one, *telling, why.as_deref()).await?;
                if let Some(later) = self.if_too_late(lease) {
                    return Ok(later);
                }
                match one
                    .psa
                    .post(&one.notice.ticket.ticket, &NoteText::plain(text), &NoteKey(one.notice.id.clone()))
                    .await
                {
                    Ok(posted) => {
                        if posted.is_visible_to_customer {
                            return self.exposed(&one, posted.notes, lease).await;
                        }
                        posted.notes
                    }
                    Err(error) if !is_final(&error) => return Err(error.into()),
                    Err(error) => {
                        let state = NoticeState::GivenUp { why: chain(&error) };
                        tracing::error!(ticket.r#ref = %one.notice.ticket, error = &error as &dyn std::error::Error, "the ticket cannot be told");
                        return self
                            .told(&one, state, Transition::new(CommitName::Told, self.clock.now()), lease)
                            .await;
                    }
                }
            }
        };
        let mut transition = Transition::new(CommitName::Told, self.clock.now());
        let mut notice = one.notice.clone();
        let set = match one.world.rules.rulebook.mapping(mapping) {
            Some(mapping) => {
                if *telling == Telling::Ended {
                    notice.closes = self.about_to_close(&one, mapping, &notes, lease).await?;
                }
                self.set_status(&one, mapping, *telling, &mut transition).await?
            }
            None => StatusSet::Left,
        };
        if let Some(closing) = notice.closes.take() {
            notice.closes = self.has_closed(&one, closing, set).await?;
        }
        let one = Errand { notice: &notice, ..one };
        self.told(&one, NoticeState::Done { notes }, transition, lease).await
    }

    /// The status for an end may close the ticket, and that is no reason to end what else the ticket asked for: written down
    /// before it is set, and only where somebody has not closed it already.
    async fn about_to_close(
        &self,
        one: &Errand<'_>,
        mapping: &Mapping,
        notes: &[NoteAt],
        lease: &LeaseHandle,
    ) -> Result<Option<Closing>, JobError> {
        let Some(status) = &mapping.statuses.ended else { return Ok(None) };
        let grants = self.store.grants_of_ticket(&one.notice.ticket).await?;
        if !grants.iter().any(|grant| grant.state.is_wanted()) {
            return Ok(None);
        }
        if one.psa.read(&one.notice.ticket.ticket, Urgency::Ordinary).await?.is_none_or(|ticket| ticket.is_closed) {
            return Ok(one.notice.closes.clone());
        }
        let now = self.clock.now();
        let closes = Some(Closing { status: status.clone(), at: now, saved_at: None });
        let mut intent = Transition::new(CommitName::Told, now);
        let state = NoticeState::Posted { notes: notes.to_vec() };
        intent.notices.push(Notice { state, closes: closes.clone(), ..one.notice.clone() });
        intent.lease = Some((lease.lease(), Finish::Keep));
        self.store.commit(intent).await?;
        Ok(closes)
    }

    /// That it was we who closed the ticket so. Where this very call changed nothing somebody else may have, while ours was
    /// tried again: then the PSA has to say that it was us.
    async fn has_closed(
        &self,
        one: &Errand<'_>,
        closing: Closing,
        set: StatusSet,
    ) -> Result<Option<Closing>, JobError> {
        let read = one.psa.read(&one.notice.ticket.ticket, Urgency::Ordinary).await?;
        let read = read.filter(|t| t.is_closed && t.status.as_ref() == Some(&closing.status));
        let Some(ticket) = read else { return Ok(None) };
        let is_ours = set == StatusSet::Changed
            || match one.psa.is_status_ours(&ticket, Urgency::Ordinary).await {
                Ok(is_ours) => is_ours,
                Err(error) if error.is_transient() => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(ticket.r#ref = %one.notice.ticket, error = &error as &dyn std::error::Error,
                        "who closed the ticket could not be found out; it counts as closed by somebody else");
                    self.notice_refusal(&one.notice.ticket.connection, &error).await;
                    false
                }
            };
        Ok(is_ours.then(|| Closing { at: self.clock.now(), saved_at: ticket.updated_at, ..closing }))
    }

    async fn exposed(&self, one: &Errand<'_>, notes: Vec<NoteAt>, lease: &LeaseHandle) -> Result<Ran, JobError> {
        tracing::error!(ticket.r#ref = %one.notice.ticket, "the PSA made an internal note visible to the customer; it is taken back");
        let state = NoticeState::Exposed { notes };
        self.told(one, state, Transition::new(CommitName::Told, self.clock.now()), lease).await
    }

    /// Our own status change takes the ticket out of a trigger that is a status: seen outside, so armed again.
    async fn set_status(
        &self,
        one: &Errand<'_>,
        mapping: &Mapping,
        telling: Telling,
        transition: &mut Transition,
    ) -> Result<StatusSet, JobError> {
        let status = match telling {
            Telling::Granted => &mapping.statuses.granted,
            Telling::Refused | Telling::Denied | Telling::Lapsed | Telling::Failed => &mapping.statuses.refused,
            Telling::Ended => &mapping.statuses.ended,
            Telling::Waiting
            | Telling::Received
            | Telling::CutAgain
            | Telling::Overdue
            | Telling::Leaving
            | Telling::GoesOn
            | Telling::EndsSoon
            | Telling::Extended
            | Telling::NotExtended
            | Telling::Answered => &None,
        };
        let Some(status) = status else { return Ok(StatusSet::Left) };
        let set = match one.psa.set_status(&one.notice.ticket.ticket, status).await {
            Ok(set) => set,
            // A right that is missing for statuses alone holds up no later note.
            Err(error) if !is_final(&error) && !matches!(error, CallError::Unauthorized { .. }) => {
                return Err(error.into());
            }
            Err(error) => {
                tracing::warn!(ticket.r#ref = %one.notice.ticket, error = &error as &dyn std::error::Error, "the status was refused");
                self.notice_refusal(&one.notice.ticket.connection, &error).await;
                StatusSet::Left
            }
        };
        if set.is_so() && is_left_by(mapping, status) {
            transition.sightings.push(Sighted::Left(Sighting {
                ticket: one.notice.ticket.clone(),
                mapping: mapping.id.clone(),
                is_armed: true,
                consumed: None,
                seen_at: transition.now,
                covers: None,
            }));
        }
        Ok(set)
    }

    async fn note_text(&self, one: &Errand<'_>, telling: Telling, why: Option<&str>) -> Result<String, JobError> {
        let at = &one.notice.ticket;
        let refused = |why: &str| words::refused(why, at, &one.psa.link(&at.ticket));
        let Some(grant) = &one.grant else {
            return Ok(refused(why.unwrap_or(NOT_GRANTED)));
        };
        let words = self.words(one, grant);
        let account = self.store.account(&grant.account).await?;
        let name = account.map(|a| a.name).unwrap_or_default();
        Ok(match (telling, &grant.state) {
            (Telling::Waiting, State::Held { until, waiting }) => {
                let brakes: Vec<String> = waiting.brakes.iter().map(|b| format!("brake {b}")).collect();
                words.waiting(&brakes, waiting.needed, *until)
            }
            (Telling::Denied, State::Denied { by, why, .. }) => {
                let name = one.world.rules.records.person(by).map_or(by.as_str(), |p| p.name.as_str());
                words.denied(name, why)
            }
            (Telling::Lapsed, _) => words.lapsed(),
            (Telling::Received, _) => words.received(),
            (Telling::Refused, State::Refused { why, .. }) => refused(why),
            (Telling::Refused, _) => refused(why.unwrap_or(NOT_GRANTED)),
            (Telling::Failed, State::Ending { cause, .. } | State::Ended { cause, .. }) => words.failed(cause),
            (Telling::Ended, State::Ended { cause, due, proof }) => {
                let head = self.store.audit_head().await?;
                words.ended(&name, cause, *due, proof, head.as_ref())
            }
            (Telling::CutAgain, _) => words.cut_again(&name),
            (Telling::Overdue, _) => words.overdue(&name),
            (Telling::GoesOn, State::Active { until, .. }) => words.goes_on(*until),
            (Telling::EndsSoon, State::Active { until, .. }) => words.ends_soon(*until),
            (Telling::Extended, State::Active { until, .. }) => words.extended(*until),
            (Telling::NotExtended, State::Active { until, .. }) => words.not_extended(why.unwrap_or_default(), *until),
            (Telling::Answered, _) => words.answered(why.unwrap_or_default()),
            (Telling::Leaving, _) => grant.leaving.as_ref().map_or_else(|| words.received(), |l| words.leaving(l)),
            (
                Telling::Waiting
                | Telling::Denied
                | Telling::Failed
                | Telling::Ended
                | Telling::Granted
                | Telling::GoesOn
                | Telling::EndsSoon
                | Telling::Extended
                | Telling::NotExtended,
                _,
            ) => words.received(),
        })
    }

    fn words<'a>(&self, one: &'a Errand<'_>, grant: &'a Grant) -> Words<'a> {
        let records = &one.world.rules.records;
        Words {
            grant,
            customer: records.customer(&grant.customer).map_or(grant.customer.as_str(), |c| c.name.as_str()),
            person: records.person(&grant.person).map_or(grant.person.as_str(), |p| p.name.as_str()),
            now: self.clock.now(),
            token_tail: one.world.registry.directory(&grant.directory).ok().map(|d| d.token_tail()),
        }
    }

    /// Overwrites what the credentials note said, copies in merged tickets too. Tidying: rotation is the protection.
    /// A claim link is no secret, and leads to the proof: its note stays as it is.
    async fn tidy(&self, one: Errand<'_>, missed: Option<Timestamp>, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let has_secret = one.grant.as_ref().is_none_or(|grant| grant.policy.delivery == Delivery::Ticket);
        let notices = if has_secret { self.store.notices_of(&one.notice.grant).await? } else { Vec::new() };
        let (mut is_missing, mut is_unknown) = (false, false);
        for notice in notices.iter().filter(|n| matches!(n.kind, NoticeKind::Note { telling: Telling::Granted, .. })) {
            match self.tidy_up(&one, notice).await? {
                Tidied::Done => {}
                Tidied::Missing => is_missing = true,
                Tidied::Unknown => is_unknown = true,
            }
        }
        if is_missing && missed.is_none() {
            return self.tidy_again(&one, lease).await;
        }
        let mut transition = Transition::new(CommitName::Told, self.clock.now());
        let state = match is_unknown {
            true => {
                alert(&mut transition, not_looked_through(&one.notice.ticket), self.random.as_ref());
                NoticeState::GivenUp { why: "the ticket's notes could not be looked through".to_owned() }
            }
            false => NoticeState::Done { notes: vec![] },
        };
        self.told(&one, state, transition, lease).await
    }

    /// Every place where this note with credentials stands.
    async fn tidy_up(&self, one: &Errand<'_>, notice: &Notice) -> Result<Tidied, JobError> {
        let key = NoteKey(notice.id.clone());
        let (mut places, is_listed): (Vec<NoteAt>, bool) = match one.psa.find(&notice.ticket.ticket, &key).await {
            Ok(places) => (places, true),
            Err(error) if !is_final(&error) => return Err(error.into()),
            Err(error) => {
                tracing::warn!(ticket.r#ref = %notice.ticket, error = &error as &dyn std::error::Error,
                    "the ticket's notes could not be looked through; the places that are known are overwritten");
                (Vec::new(), false)
            }
        };
        let posted = match &notice.state {
            NoticeState::Posted { notes } | NoticeState::Done { notes } => Some(notes),
            _ => None,
        };
        let known: Vec<NoteAt> = posted.into_iter().flatten().filter(|n| !places.contains(n)).cloned().collect();
        places.extend(known);
        if places.is_empty() && !is_listed {
            return Ok(Tidied::Unknown);
        }
        let mut is_there = false;
        for place in places {
            match one.psa.overwrite(&place, words::TIDIED, &key).await {
                Ok(was_there) => is_there |= was_there,
                Err(error) if !is_final(&error) => return Err(error.into()),
                Err(error) => {
                    is_there = true;
                    tracing::warn!(ticket.r#ref = %notice.ticket, error = &error as &dyn std::error::Error,
                        "the credentials note could not be overwritten; the removal replaces the password in it")
                }
            }
        }
        Ok(if is_there || posted.is_none() { Tidied::Done } else { Tidied::Missing })
    }

    /// The note was posted and is not to be found. That is believed when it is still so a minute later.
    async fn tidy_again(&self, one: &Errand<'_>, lease: &LeaseHandle) -> Result<Ran, JobError> {
        let now = self.clock.now();
        tracing::warn!(ticket.r#ref = %one.notice.ticket, "the credentials note is not to be found; it is looked for once more");
        let kind = NoticeKind::Tidy { missed: Some(now) };
        let notice = Notice { kind, ..one.notice.clone() };
        let again = notice.waits_until().unwrap_or(now);
        let mut transition = Transition::new(CommitName::Told, now);
        transition.notices.push(notice);
        transition.lease = Some((lease.lease(), Finish::At(if one.rest { now } else { again })));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }

    async fn told(
        &self,
        one: &Errand<'_>,
        state: NoticeState,
        mut transition: Transition,
        lease: &LeaseHandle,
    ) -> Result<Ran, JobError> {
        let is_owed = !state.is_closed() || one.rest;
        let more = is_owed || !transition.notices.is_empty();
        let finish = if more { Finish::At(transition.now) } else { Finish::Done };
        let grant = one.grant.as_ref();
        let detail = json!({ "notice": one.notice.id, "kind": one.notice.kind, "state": state });
        transition.audit.push(AuditEntry {
            person: grant.map(|g| g.person.clone()),
            grant: Some(one.notice.grant.clone()),
            ticket: Some(one.notice.ticket.clone()),
            ..AuditEntry::new(Code::TicketTold, transition.now, By::Service, detail)
        });
        transition.notices.push(Notice { state, ..one.notice.clone() });
        transition.lease = Some((lease.lease(), finish));
        self.store.commit(transition).await?;
        Ok(Ran::Committed)
    }
}

/// What came of overwriting one note with credentials.
enum Tidied {
    /// Nothing of it is left that can be overwritten.
    Done,
    /// It was posted, and is not there.
    Missing,
    /// The PSA refuses to list the ticket's notes, and no place is known.
    Unknown,
}

fn not_looked_through(ticket: &TicketRef) -> Happening {
    Happening::ConnectorTrouble {
        connection: ticket.connection.clone(),
        what: format!(
            "the notes of ticket {} could not be looked through when its access ended, so that credentials may still stand there",
            ticket.ticket
        ),
        remedy:
            "Remove the note with the credentials by hand: the password in it is replaced and lets nobody in. Then see \
                 latchkey doctor for the right to list notes."
                .to_owned(),
    }
}

/// Only a refusal of this very call is the last word: rights can be mended, networks come back, proxies' pages pass.
const fn is_final(error: &CallError) -> bool {
    matches!(error, CallError::Refused { .. } | CallError::Protected { .. })
}

/// What is said of an end to come is not said any more once it has come, was called off, or is another.
fn is_overtaken(telling: Telling, grant: Option<&Grant>) -> bool {
    let active = grant.filter(|g| matches!(g.state, State::Active { .. }));
    match telling {
        Telling::Leaving => active.is_none_or(|g| g.leaving.is_none()),
        Telling::GoesOn => active.is_none_or(|g| g.leaving.is_some()),
        Telling::EndsSoon => active.is_none_or(|g| !g.is_warned()),
        Telling::Extended | Telling::NotExtended => active.is_none(),
        _ => false,
    }
}

fn code(error: &CallError) -> String {
    match error {
        CallError::Unauthorized { code, .. } | CallError::Refused { code, .. } => code.clone(),
        CallError::Protected { why, .. } => why.clone(),
        CallError::Transient { .. } | CallError::Malformed { .. } => error.to_string(),
    }
}
