//! What people do at the service itself: by its own verbs, tried again where they fail.

use std::sync::Arc;

use latchkey_contract::{CustomerId, PersonId, TicketRef};

use crate::{
    access::{Grant, State},
    http::Ending as _,
    jobs::Jobs,
    rulebook::{Hold, HoldCause, HoldOn, Rules},
    rules::{APPROVERS, CUSTOMERS},
    store::{Scope, Store, StoreError},
    story::Act,
};

/// How often somebody tries.
const TRIES: usize = 8;

/// Does it, or gives up like somebody who has something else to do.
pub(crate) async fn act(jobs: Arc<Jobs>, store: Arc<dyn Store>, act: Act) {
    for _ in 0..TRIES {
        let done = match &act {
            Act::End { ticket, is_operator } => end(&jobs, store.as_ref(), *ticket, *is_operator).await,
            Act::Hold { person, customer } => hold(&jobs, store.as_ref(), *person, *customer).await,
            Act::Lift { person, customer } => lift(&jobs, store.as_ref(), *person, *customer).await,
            Act::Switch { customer, is_on } => {
                change(&jobs, store.as_ref(), |rules| {
                    let named = rules.records.customers.iter_mut().filter(|c| c.id.as_str() == CUSTOMERS[*customer]);
                    named.for_each(|c| c.jit = *is_on);
                })
                .await
            }
            Act::Shorten { length } => {
                change(&jobs, store.as_ref(), |rules| {
                    for policy in &mut rules.rulebook.policies {
                        policy.max_length = length.parse_length();
                        policy.default_length = policy.default_length.min(policy.max_length);
                    }
                })
                .await
            }
            Act::Approve => approve(&jobs, store.as_ref()).await,
            _ => Ok(()),
        };
        if done.is_ok() {
            return;
        }
    }
}

trait ParseLength {
    fn parse_length(&self) -> crate::access::Length;
}

impl ParseLength for &str {
    fn parse_length(&self) -> crate::access::Length {
        crate::access::Length::parse(self).unwrap_or(crate::access::Length::ONE_HOUR)
    }
}

fn on(person: Option<usize>, customer: Option<usize>) -> Option<HoldOn> {
    let person = person.and_then(|n| PersonId::parse(format!("tech{n}")).ok()).map(HoldOn::Person);
    person.or_else(|| Some(HoldOn::Customer(CustomerId::parse(CUSTOMERS[customer?]).ok()?)))
}

async fn hold(
    jobs: &Jobs,
    store: &dyn Store,
    person: Option<usize>,
    customer: Option<usize>,
) -> Result<(), StoreError> {
    let Some(on) = on(person, customer) else { return Ok(()) };
    let cause = if person.is_some() { HoldCause::Blocked } else { HoldCause::Paused };
    let hold = Hold { on, cause, since: jobs.clock.now(), by: "owner".into(), reason: "simulated".into() };
    store.set_hold(&hold).await.map(drop)
}

async fn lift(
    jobs: &Jobs,
    store: &dyn Store,
    person: Option<usize>,
    customer: Option<usize>,
) -> Result<(), StoreError> {
    let Some(on) = on(person, customer) else { return Ok(()) };
    store.lift_hold(&on, HoldCause::Left, "owner", "simulated", jobs.clock.now()).await.map(drop)
}

async fn change(jobs: &Jobs, store: &dyn Store, change: impl Fn(&mut Rules) + Send) -> Result<(), StoreError> {
    let before = store.rules().await?;
    let mut changed = before.clone();
    change(&mut changed);
    let Ok(next) = before.next(changed.rulebook, changed.records, jobs.clock.now()) else { return Ok(()) };
    store.save_rules(&next, "owner", "simulated", jobs.clock.now()).await.map(drop)
}

async fn end(jobs: &Jobs, store: &dyn Store, ticket: u64, is_operator: bool) -> Result<(), StoreError> {
    let (Ok(connection), Ok(ticket)) = ("cw".parse(), ticket.to_string().parse()) else { return Ok(()) };
    let grants = store.grants_of_ticket(&TicketRef { connection, ticket }).await?;
    for grant in grants.iter().filter(|g| g.state.is_living()) {
        let done = if is_operator {
            jobs.end_by_operator(&grant.id, "owner", "simulated").await
        } else {
            jobs.end(&grant.id, &grant.person).await
        };
        if let Err(crate::http::EndError::Store(error)) = done {
            return Err(error);
        }
    }
    Ok(())
}

/// Two approve most of what waits; one says no to some; the rest lapses.
async fn approve(jobs: &Jobs, store: &dyn Store) -> Result<(), StoreError> {
    let open = store.open_grants_in(&Scope::Everything, None, 1000).await?;
    let held: Vec<&Grant> = open.iter().filter(|g| matches!(g.state, State::Held { .. })).collect();
    let [Ok(one), Ok(other)] = APPROVERS.map(str::parse::<PersonId>) else { return Ok(()) };
    for grant in held {
        match grant.id.as_str().as_bytes().last().map_or(0, |byte| byte % 8) {
            0 => drop(jobs.deny(&grant.id, &other, "simulated").await),
            1 => {}
            _ => {
                drop(jobs.approve(&grant.id, &one).await);
                drop(jobs.approve(&grant.id, &other).await);
            }
        }
    }
    Ok(())
}
