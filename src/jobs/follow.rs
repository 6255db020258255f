//! Access follows its ticket: what a look at a ticket means for the grants that it asked for, committed before anything
//! else is decided on that ticket.

use latchkey_contract::{
    ConnectionId, MemberId, PersonId, TicketRef, TicketSystem, Timestamp,
    outside::Urgency,
    ticket::{Part, Ticket},
};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::{advance, tell},
    queue::LeaseHandle,
    task::{NewTask, Priority, Work},
};
use crate::{
    access::{
        Cause, Event, Grant, State,
        follow::{Closing, Follow, Seen, follow},
        grant::Telling,
        risk,
    },
    audit::{AuditEntry, By, Code},
    registry::InForce,
    rulebook::Records,
    store::{CommitName, Finish, Notice, StoreError, Transition},
};

/// Tickets with living grants that one poll looks at: the rest has its turn at the next ones.
const AT_ONCE: u32 = 50;

/// What Latchkey closed, each with the notice that tells of it.
type Closings = Vec<(Notice, Closing)>;

impl Jobs {
    /// Each grant is a transaction of its own: of two that share a password the second must see that the first is over.
    pub(super) async fn follow(
        &self,
        world: &InForce,
        at: &TicketRef,
        (ticket, read_at): (Option<&Ticket>, Timestamp),
        lease: &LeaseHandle,
    ) -> Result<(), JobError> {
        let (rules, now) = (&world.rules, self.clock.now());
        let company = ticket.and_then(|t| t.company.as_ref());
        let customer = company.and_then(|c| rules.records.customer_of(&at.connection, c)).map(|c| &c.id);
        let grants = self.store.grants_of_ticket(at).await?;
        let closed_by_us = match ticket {
            Some(ticket) if grants.iter().any(|g| g.state.is_wanted()) => {
                let psa = world.registry.ticket_system(&at.connection)?;
                self.closed_by_us(psa.as_ref(), &grants, (ticket, read_at), lease).await?
            }
            _ => Vec::new(),
        };
        for grant in grants.iter().filter(|g| g.state.is_wanted()) {
            let members = members_here(&rules.records, &grant.person, &at.connection);
            let mapping = rules.rulebook.mapping(&grant.mapping);
            let seen = Seen { mapping, ticket, customer, members: &members, closed_by_us: &closed_by_us };
            let mut transition = Transition::new(CommitName::EndAsked, now);
            match follow(grant, &seen, now) {
                Follow::Stays => continue,
                Follow::Withdraw => self.end_in(&mut transition, grant, &Event::End(Cause::TicketEnded)).await?,
                Follow::EndsNow(how) => {
                    self.end_in(&mut transition, grant, &Event::Left { how, since: now }).await?;
                }
                Follow::EndsAt(leaving) => {
                    let next = Grant { leaving: Some(leaving), ..grant.clone() };
                    transition.is_removal = true;
                    self.say(&mut transition, &next, Code::GrantLeaving, Telling::Leaving);
                }
                Follow::GoesOn => {
                    let next = Grant { leaving: None, ..grant.clone() };
                    self.say(&mut transition, &next, Code::GrantGoesOn, Telling::GoesOn);
                }
            }
            transition.lease = Some((lease.lease(), Finish::Keep));
            tracing::info!(grant.id = %grant.id, ticket.r#ref = %at, "the ticket changed, and its access with it");
            self.store.commit(transition).await?;
        }
        Ok(())
    }

    /// How Latchkey closed this ticket while other access of it goes on. Once it was opened again, as a look or the PSA's record
    /// tells, that is over: whoever closes it next is somebody else.
    async fn closed_by_us(
        &self,
        psa: &dyn TicketSystem,
        grants: &[Grant],
        (ticket, read_at): (&Ticket, Timestamp),
        lease: &LeaseHandle,
    ) -> Result<Vec<Closing>, JobError> {
        let notices = self.closings(grants).await?;
        let is_left = |closing: &Closing| !ticket.is_closed || ticket.status.as_ref() != Some(&closing.status);
        let (left, stands): (Closings, Closings) = notices.into_iter().partition(|(_, closing)| is_left(closing));
        let (again, stands) = self.closed_again(psa, ticket, stands).await?;
        let mut transition = Transition::new(CommitName::Seen, self.clock.now());
        let left = left.into_iter().filter(|(notice, closing)| notice.state.is_closed() && closing.at < read_at);
        transition.notices.extend(left.chain(again).map(|(notice, _)| Notice { closes: None, ..notice }));
        if !transition.notices.is_empty() {
            transition.lease = Some((lease.lease(), Finish::Keep));
            self.store.commit(transition).await?;
        }
        Ok(self.believed(psa, ticket, stands).await)
    }

    /// First those of these closings after which somebody opened the ticket and closed it with the same status, and nobody
    /// looked in between; then the others. Where the PSA's record does not tell, they are Latchkey's; where it cannot be read, this
    /// is done again.
    pub(super) async fn closed_again(
        &self,
        psa: &dyn TicketSystem,
        ticket: &Ticket,
        closings: Closings,
    ) -> Result<(Closings, Closings), JobError> {
        let is_done = |(notice, closing): &(Notice, Closing)| {
            notice.state.is_closed() && Some(&closing.status) == ticket.status.as_ref()
        };
        if !closings.iter().any(is_done) {
            return Ok((Vec::new(), closings));
        }
        let change = psa.change(ticket, Part::Status, Urgency::Removal).await?;
        let is_undone = |closing: &Closing| change.as_ref().is_some_and(|change| closing.is_undone_by(change));
        Ok(closings.into_iter().partition(|one| is_done(one) && is_undone(&one.1)))
    }

    /// Which of these closed the ticket, as it was read. Before its status is seen to be set a closing is no more than meant,
    /// and somebody may close the ticket with that very status while ours is tried again: it counts only where the PSA says
    /// that it was us, and in doubt not, so that access ends with its ticket.
    pub(super) async fn believed(&self, psa: &dyn TicketSystem, ticket: &Ticket, closings: Closings) -> Vec<Closing> {
        let (done, meant): (Closings, Closings) =
            closings.into_iter().partition(|(notice, _)| notice.state.is_closed());
        let stands = |(_, closing): &(Notice, Closing)| Some(&closing.status) == ticket.status.as_ref();
        let is_ours = ticket.is_closed
            && meant.iter().any(stands)
            && psa.is_status_ours(ticket, Urgency::Removal).await.unwrap_or_else(|error| {
                tracing::warn!(ticket.id = %ticket.id, error = &error as &dyn std::error::Error,
                    "who closed the ticket could not be found out; it counts as closed by somebody else");
                false
            });
        let believed = done.into_iter().chain(meant.into_iter().filter(|_| is_ours));
        believed.map(|(_, closing)| closing).collect()
    }

    /// What was told at the end of these grants, and closed their ticket.
    pub(super) async fn closings(&self, grants: &[Grant]) -> Result<Closings, StoreError> {
        let mut closings = Vec::new();
        for grant in grants.iter().filter(|g| matches!(g.state, State::Ended { .. })) {
            let notices = self.store.notices_of(&grant.id).await?;
            closings.extend(notices.into_iter().filter_map(|n| n.closes.clone().map(|closing| (n, closing))));
        }
        Ok(closings)
    }

    async fn end_in(&self, transition: &mut Transition, grant: &Grant, event: &Event) -> Result<(), JobError> {
        let others = self.store.open_grants(&grant.account).await?;
        transition.is_removal = true;
        advance(transition, grant, event, &others, &By::Service, self.random.as_ref());
        Ok(())
    }

    /// Its state stays, and when it ends is another time.
    fn say(&self, transition: &mut Transition, next: &Grant, code: Code, telling: Telling) {
        let detail = json!({ "ticket_link": next.ticket_link, "leaving": next.leaving });
        transition.audit.push(AuditEntry::new(code, transition.now, By::Service, detail).about(next));
        if let Some(due) = next.due_at() {
            let work = Work::Due { grant: next.id.clone() };
            transition.tasks.push(NewTask::new(work, due, Priority::Removal).of(risk(&next.policy)));
        }
        tell(transition, next, telling, self.random.as_ref());
        transition.grants.push(next.clone());
    }

    /// Looks at tickets with living grants, whoever saved them or not: one that was deleted, or moved to where nobody
    /// watches, is in no list of saves.
    pub(super) async fn looks_after(
        &self,
        connection: &ConnectionId,
        now: Timestamp,
        turn: i64,
        is_seen_to: impl Fn(&TicketRef) -> bool + Send,
    ) -> Result<Vec<NewTask>, JobError> {
        let mine = self.store.tickets_with_access(connection, turn, AT_ONCE).await?;
        let mine = mine.into_iter().filter(|ticket| !is_seen_to(ticket));
        Ok(mine.map(|ticket| NewTask::new(Work::Look { ticket }, now, Priority::Telling)).collect())
    }
}

/// Who somebody is at this PSA, by the records.
pub(super) fn members_here(records: &Records, person: &PersonId, at: &ConnectionId) -> Vec<MemberId> {
    let bound = records.person(person).into_iter().flat_map(|person| &person.members);
    bound.filter(|members| members.connection == *at).flat_map(|members| members.ids.iter().cloned()).collect()
}
