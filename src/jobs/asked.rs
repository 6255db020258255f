//! What a ticket asks for under a mapping: the intake decides by it, a dry run shows it. Nothing here changes anything.

use std::collections::BTreeMap;

use latchkey_contract::{
    ConnectionId, FieldId, TicketRef, Timestamp,
    text::one_line,
    ticket::{Member, Ticket},
};

use crate::{
    access::{Grant, Request, decide::Living, request::Actor},
    random::ulid_floor,
    rulebook::{Brake, Mapping, Per, Records},
    store::{Scope, Store, StoreError},
};

/// Characters of a field's text that are looked at.
const LONGEST_FIELD: usize = 400;

/// Who asks, or why nobody can say.
#[derive(Debug, Clone)]
pub(crate) struct Asker {
    pub(crate) actor: Result<Actor, String>,
    pub(crate) is_by_automation: bool,
}

impl Asker {
    pub(crate) const fn doubtful(why: String) -> Self {
        Self { actor: Err(why), is_by_automation: false }
    }
}

/// A brake that a request would count for, and what it counts.
#[derive(Debug)]
pub(crate) struct Counted<'a> {
    pub(crate) brake: &'a Brake,
    pub(crate) scope: Scope,
    /// From this id on.
    pub(crate) since: String,
    pub(crate) count: u32,
}

/// Why a mapping does not watch a ticket; `None` when it does.
pub(crate) fn unwatched(mapping: &Mapping, ticket: &Ticket) -> Option<String> {
    fn not_among<T: PartialEq + std::fmt::Display>(what: &str, named: &[T], is: Option<&T>) -> Option<String> {
        if is.is_some_and(|is| named.contains(is)) {
            return None;
        }
        let named = named.iter().map(T::to_string).collect::<Vec<_>>().join(", ");
        let is = is.map_or_else(|| "none".to_owned(), T::to_string);
        Some(format!("it watches {what} {named}, and the ticket's is {is}"))
    }
    let kind = || not_among("types", &mapping.types, ticket.kind.as_ref()).filter(|_| !mapping.types.is_empty());
    let source =
        || not_among("sources", &mapping.sources, ticket.source.as_ref()).filter(|_| !mapping.sources.is_empty());
    not_among("boards", &mapping.boards, ticket.board.as_ref()).or_else(kind).or_else(source)
}

/// The ticket's trigger is set.
pub(crate) fn is_triggered(mapping: &Mapping, ticket: &Ticket) -> bool {
    match &mapping.trigger_field {
        Some(trigger) => trigger.asks(ticket.fields.get(&trigger.field)),
        None if mapping.trigger_board => ticket.board.as_ref().is_some_and(|b| mapping.boards.contains(b)),
        None => ticket.status.as_ref().is_some_and(|s| mapping.trigger_statuses.contains(s)),
    }
}

/// Who a PSA's member is.
pub(crate) fn actor(records: &Records, connection: &ConnectionId, name: &str, member: Option<Member>) -> Actor {
    let person = member.as_ref().and_then(|m| records.person_of(connection, &m.id)).map(|p| p.id.clone());
    Actor {
        name: one_line(name, 60),
        is_active: member.as_ref().is_some_and(|m| m.is_active),
        is_human: member.as_ref().is_some_and(|m| m.is_human),
        person,
        member: member.map(|m| m.id),
    }
}

/// What a ticket asks for, as `asker` asked at `asked_at`, to be decided at `now`.
pub(crate) fn request(
    records: &Records,
    (at, ticket): (&TicketRef, &Ticket),
    mapping: &Mapping,
    asker: Asker,
    asked_at: Timestamp,
    now: Timestamp,
) -> Request {
    let customer = ticket.company.as_ref().and_then(|c| records.customer_of(&at.connection, c));
    let field = |field: &Option<FieldId>| {
        field.as_ref().and_then(|f| ticket.fields.get(f)).map(|text| one_line(text, LONGEST_FIELD))
    };
    Request {
        ticket: at.clone(),
        mapping: mapping.id.clone(),
        asked_at,
        decided_at: now,
        is_closed: ticket.is_closed,
        company: ticket.company.clone(),
        customer: customer.map(|c| c.id.clone()),
        actor: asker.actor,
        is_by_automation: asker.is_by_automation,
        policy_field: field(&mapping.policy_field),
        length_field: field(&mapping.length_field),
        reason_field: field(&mapping.reason_field),
        user_name_field: field(&mapping.user_name_field),
        reason: one_line(&ticket.summary, LONGEST_FIELD),
    }
}

/// What each brake that this request would count for counts when it is decided: grants before then alone, where that is
/// not now.
pub(crate) async fn count<'a>(
    store: &dyn Store,
    brakes: &'a [Brake],
    request: &Request,
    is_now: bool,
) -> Result<Vec<Counted<'a>>, StoreError> {
    let person = request.actor.as_ref().ok().and_then(|a| a.person.clone());
    let before = (!is_now).then(|| ulid_floor(request.decided_at));
    let mut counted = Vec::new();
    for brake in brakes {
        let scope = match brake.per {
            Per::Technician => person.clone().map(Scope::Person),
            Per::Customer => request.customer.clone().map(Scope::Customer),
            Per::Msp => Some(Scope::Everything),
        };
        // Whoever is unknown is refused, and counts for nobody.
        let Some(scope) = scope else { continue };
        let since = ulid_floor(request.decided_at - brake.within.duration());
        let count = store.count_grants(&scope, &since, before.as_deref()).await?;
        counted.push(Counted { brake, scope, since, count });
    }
    Ok(counted)
}

/// What lives already, as far as it matters to this request.
pub(crate) async fn living(
    store: &dyn Store,
    request: &Request,
    counted: &[Counted<'_>],
) -> Result<Living, StoreError> {
    let person = request.actor.as_ref().ok().and_then(|a| a.person.as_ref());
    let on_ticket = store.grants_of_ticket(&request.ticket).await?;
    let is_same = |g: &Grant| g.state.is_wanted() && g.mapping == request.mapping && Some(&g.person) == person;
    let counts: BTreeMap<_, _> = counted.iter().map(|c| (c.brake.id.clone(), c.count)).collect();
    Ok(Living { same_ticket: on_ticket.iter().any(is_same), counts })
}
