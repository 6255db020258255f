//! More time for access that lives: the rules decide anew, then the directory's own end is moved, and only then the grant's.
//! Until then the old end stands, and whoever removes at it finds nothing changed.

use latchkey_contract::{
    GrantId, PersonId, TicketRef,
    outside::Urgency,
    text::one_line,
    ticket::{Member, Ticket},
};
use serde_json::json;

use super::{
    JobError, Jobs,
    advance::{converge, tell, tell_why, warning},
    asked::{Asker, actor, count, living, request},
    follow::members_here,
    start::unusable,
    task::{NewTask, Priority, Work},
};
use crate::{
    access::{
        Grant, Holds, Length, Refusal,
        decide::{Living, refuse},
        extend::{Extending, anew, extend},
        follow::Seen,
        grant::Telling,
        request::Actor,
        risk,
    },
    audit::{AuditEntry, By, Code},
    clock_guard::Doubt,
    http::ExtendError,
    registry::InForce,
    store::{CommitName, StoreError, Transition},
};

/// How often a wish is decided again that met somebody else's commit.
const TRIES: usize = 5;

/// Somebody's wish for more time, with the ticket as it was just read.
pub(super) struct Wish<'a> {
    pub(super) world: &'a InForce,
    pub(super) at: &'a TicketRef,
    pub(super) ticket: &'a Ticket,
    pub(super) actor: Actor,
    pub(super) by: Length,
}

impl Jobs {
    /// Decides about more time, and writes what follows: that it is on its way, or why not. The transition is to be committed
    /// either way.
    pub(super) async fn ask_for_more(
        &self,
        transition: &mut Transition,
        grant: &Grant,
        wish: &Wish<'_>,
    ) -> Result<Result<Extending, Refusal>, JobError> {
        let (now, rules) = (transition.now, &wish.world.rules);
        transition.revision = Some(rules.revision);
        let Some(mapping) = rules.rulebook.mapping(&grant.mapping) else {
            let gone =
                refuse("policy-missing", format!("mapping {}", grant.mapping), "the mapping is gone; ask an admin");
            return Ok(Err(gone));
        };
        let asker = Asker { actor: Ok(wish.actor.clone()), is_by_automation: false };
        let request = request(&rules.records, (wish.at, wish.ticket), mapping, asker, now, now);
        let request = anew(grant, mapping, request);
        let counted = count(self.store.as_ref(), &rules.rulebook.brakes, &request, true).await?;
        let living = Living { same_ticket: false, ..living(self.store.as_ref(), &request, &counted).await? };
        let members = members_here(&rules.records, &grant.person, &wish.at.connection);
        let (customer, ticket) = (request.customer.as_ref(), Some(wish.ticket));
        // A ticket that Latchkey closed itself gets no more time either.
        let seen = Seen { mapping: Some(mapping), ticket, customer, members: &members, closed_by_us: &[] };
        let decided = match self.cannot_give(wish.world, grant).await? {
            Some(refusal) => Err(refusal),
            None => {
                let holds = Holds { clock: self.trust.doubt().map(Doubt::sentence), ..Holds::of(rules) };
                extend(rules, &holds, (grant, &seen), (&request, &living), wish.by)
            }
        };
        let entry = |code, more: serde_json::Value| {
            let detail = json!({ "ticket_link": grant.ticket_link, "length": wish.by, "request": request, "living": living, "decided": more });
            AuditEntry::new(code, now, By::Person(grant.person.clone()), detail).about(grant)
        };
        Ok(match decided {
            Ok(extending) => {
                let next = Grant { extending: Some(extending), ..grant.clone() };
                // Something is given: not while the database is compared with the directories.
                transition.name = CommitName::Decided;
                transition.audit.push(entry(Code::GrantExtending, json!(extending)));
                transition.tasks.push(converge(&next, now));
                transition.grants.push(next);
                tracing::info!(grant.id = %grant.id, ticket.r#ref = %grant.ticket, length = %wish.by, "an extension was allowed");
                Ok(extending)
            }
            Err(refusal) => {
                transition.audit.push(entry(Code::GrantNotExtended, json!(refusal)));
                metrics::counter!("policy_denials_total", "code" => refusal.code.to_string()).increment(1);
                tracing::info!(grant.id = %grant.id, ticket.r#ref = %grant.ticket, code = %refusal.code, rule = %refusal.rule,
                    "an extension was refused");
                Err(refusal)
            }
        })
    }

    /// What stands in the way of giving anything, whatever the rules say.
    async fn cannot_give(&self, world: &InForce, grant: &Grant) -> Result<Option<Refusal>, StoreError> {
        if self.store.generation().await?.comparing.is_some() {
            let why =
                "the database is compared with the directories first, and nothing more is given before that is over";
            return Ok(Some(refuse("database-compared", "an older copy of the database", why)));
        }
        Ok(world.registry.directory(&grant.directory).is_err().then(|| unusable(&grant.directory)))
    }

    /// The person asks on the page of their access.
    pub(super) async fn extend_by_page(&self, id: &GrantId, by: &PersonId, length: Length) -> Result<(), ExtendError> {
        for _ in 0..TRIES {
            match self.extend_once(id, by, length).await {
                Err(JobError::Store(StoreError::Conflict)) => {}
                Err(JobError::Store(error)) => return Err(error.into()),
                Err(error) => {
                    tracing::warn!(grant.id = %id, error = &error as &dyn std::error::Error, "an extension could not be decided");
                    return Err(ExtendError::Unanswered);
                }
                Ok(decided) => return decided.map_err(|refusal| ExtendError::Refused(refusal.sentence)),
            }
        }
        Err(StoreError::Conflict.into())
    }

    async fn extend_once(&self, id: &GrantId, by: &PersonId, length: Length) -> Result<Result<(), Refusal>, JobError> {
        let nothing = |why: &str| Ok(Err(refuse("not-active", format!("grant {id}"), why)));
        let Some(grant) = self.store.grant(id).await?.filter(|grant| grant.person == *by) else {
            return nothing("there is no such access");
        };
        let world = self.live.current().await;
        let psa = world.registry.ticket_system(&grant.ticket.connection)?;
        let Some(ticket) = psa.read(&grant.ticket.ticket, Urgency::Ordinary).await? else {
            return nothing("the ticket is not there");
        };
        let actor = self.member_of(&world, &grant).await?;
        let wish = Wish { world: &world, at: &grant.ticket, ticket: &ticket, actor, by: length };
        let mut transition = Transition::new(CommitName::Seen, self.clock.now());
        let decided = self.ask_for_more(&mut transition, &grant, &wish).await?;
        self.store.commit(transition).await?;
        Ok(decided.map(|_| ()))
    }

    /// The requester as the grant's PSA knows them now: whoever has left it is asked for nothing more.
    async fn member_of(&self, world: &InForce, grant: &Grant) -> Result<Actor, JobError> {
        let (records, at) = (&world.rules.records, &grant.ticket.connection);
        let psa = world.registry.ticket_system(at)?;
        let mut found: Option<Member> = None;
        for id in members_here(records, &grant.person, at) {
            let member = psa.member_by_id(&id, Urgency::Ordinary).await?;
            let is_better = found.as_ref().is_none_or(|found| !(found.is_active && found.is_human));
            found = if is_better { member.or(found) } else { found };
        }
        let name = found.as_ref().map_or_else(|| grant.person.to_string(), |member| member.name.clone());
        Ok(actor(records, at, &name, found))
    }

    /// The directory was seen to let it last: the new end is believed.
    pub(super) fn extended(&self, transition: &mut Transition, grant: &Grant) {
        let now = transition.now;
        let Some(next) = grant.extended(now) else { return };
        let detail = json!({ "ticket_link": next.ticket_link, "state": next.state });
        transition.audit.push(AuditEntry::new(Code::GrantExtended, now, By::Service, detail).about(&next));
        if let Some(due) = next.due_at() {
            let work = Work::Due { grant: next.id.clone() };
            transition.tasks.push(NewTask::new(work, due, Priority::Removal).of(risk(&next.policy)));
        }
        transition.tasks.extend(warning(&next, now));
        tell(transition, &next, Telling::Extended, self.random.as_ref());
        tracing::info!(grant.id = %next.id, ticket.r#ref = %next.ticket, "extended");
        transition.grants.push(next);
    }

    /// The directory does not let it last: the end stands.
    pub(super) fn not_extended(&self, transition: &mut Transition, grant: &Grant, why: &str) {
        let why = one_line(why, 300);
        let next = Grant { extending: None, ..grant.clone() };
        let detail = json!({ "ticket_link": next.ticket_link, "state": next.state, "why": why });
        transition
            .audit
            .push(AuditEntry::new(Code::GrantNotExtended, transition.now, By::Service, detail).about(&next));
        tracing::warn!(grant.id = %next.id, ticket.r#ref = %next.ticket, why, "not extended");
        tell_why(transition, &next, Telling::NotExtended, Some(why), self.random.as_ref());
        transition.grants.push(next);
    }
}
