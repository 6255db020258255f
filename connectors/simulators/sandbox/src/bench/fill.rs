//! Grants in great number, made after one real one: stored as the service itself stores them, while it is down.

use std::time::Duration;

use anyhow::{Context as _, bail};
use latchkey::{
    access::{Account, Grant, State, grant::GIVING_MARGIN, risk},
    jobs::task::{NewTask, Priority, Work},
    random::{self, SystemRandom},
    store::{CommitName, Store, Transition},
};
use latchkey_contract::{Clock as _, EntitlementId, TicketRef, Timestamp};
use latchkey_simulators::graph::UserSeed;
use serde_json::{Map, Value};

use super::{arrive, place::Place};
use crate::tenant::TENANT;

/// Grants in one transaction.
const TOGETHER: usize = 500;

/// The first of those that only wait falls due after this, each other one a second after the one before.
const FAR: Duration = Duration::from_secs(30 * 86_400);

/// One real grant, with its account in the records and in the tenant.
#[derive(Debug)]
pub(super) struct Sample {
    grant: Grant,
    account: Account,
    user: Value,
}

/// An end to come, as the tenant will see it.
#[derive(Debug)]
pub(super) struct End {
    /// The account's object id.
    pub(super) object: String,
    pub(super) due: Timestamp,
    /// It holds a directory role, not only a membership.
    pub(super) has_role: bool,
}

impl Sample {
    /// Has one made by the service, which is up; it is down afterwards.
    pub(super) async fn make(place: &Place) -> anyhow::Result<Self> {
        let ticket = arrive::granted(place).await?;
        place.sandbox.service.stop().await?;
        let opened = place.open().await?;
        let reference = TicketRef { connection: "cw".parse()?, ticket: ticket.to_string().parse()? };
        let store = opened.store();
        let grant = store.grants_of_ticket(&reference).await?.into_iter().next().context("the grant is recorded")?;
        let account = store.account(&grant.account).await?.context("the account is recorded")?;
        opened.close().await;
        let object = account.known.object.as_ref().context("the account's object is known")?;
        let user = place.sandbox.vendors.directory.sim.user(TENANT, object.as_str());
        Ok(Self { grant, account, user: user.context("the account is in the tenant")? })
    }

    /// Stores so many that only wait, as if there had been `before` already.
    pub(super) async fn wait(
        &self,
        (place, store): (&Place, &dyn Store),
        now: Timestamp,
        before: usize,
        many: usize,
    ) -> anyhow::Result<()> {
        for from in (before..before + many).step_by(TOGETHER) {
            let made = (from..(from + TOGETHER).min(before + many)).map(|n| {
                let due = now + FAR + Duration::from_secs(u64::try_from(n).unwrap_or(u64::MAX));
                self.again(now, due, place.ticket(n)?)
            });
            commit(store, now, made.collect::<anyhow::Result<_>>()?).await?;
        }
        Ok(())
    }

    /// Stores ends that will come: each with an account of its own that stands in the tenant.
    pub(super) async fn ends(
        &self,
        place: &Place,
        store: &dyn Store,
        dues: impl Iterator<Item = (Timestamp, bool)>,
    ) -> anyhow::Result<Vec<End>> {
        let now = place.sandbox.clock.now();
        let (mut made, mut ends) = (Vec::new(), Vec::new());
        for (n, (due, has_role)) in dues.enumerate() {
            let (mut grant, mut account) = self.again(now, due, place.ticket(n)?)?;
            if !has_role {
                grant.policy.entitlements.retain(|e| matches!(e, EntitlementId::Group(_)));
            }
            let object = self.user_of(place, &account, &grant);
            account.known.object = Some(object.parse()?);
            account.known.given.retain(|what, _| grant.policy.entitlements.contains(what));
            ends.push(End { object, due, has_role });
            made.push((grant, account));
        }
        while !made.is_empty() {
            let rest = made.split_off(made.len().min(TOGETHER));
            commit(store, now, std::mem::replace(&mut made, rest)).await?;
        }
        Ok(ends)
    }

    /// The same once more, for another account, until another time, by this ticket.
    fn again(&self, now: Timestamp, until: Timestamp, ticket: i64) -> anyhow::Result<(Grant, Account)> {
        let id = random::account_id(&SystemRandom, now);
        let grant = Grant {
            id: random::grant_id(&SystemRandom, now),
            ticket: TicketRef { ticket: ticket.to_string().parse()?, ..self.grant.ticket.clone() },
            version: 0,
            account: id.clone(),
            state: match &self.grant.state {
                State::Active { secret, since, .. } => {
                    let (secret, since, latest_end) = (secret.clone(), *since, until + GIVING_MARGIN);
                    State::Active { secret, since, until, latest_end }
                }
                other => other.clone(),
            },
            ..self.grant.clone()
        };
        let last = Some((grant.id.clone(), grant.ticket.clone()));
        let name = format!("jit-{}@{}", id.as_str().to_lowercase(), crate::tenant::DOMAIN);
        Ok((grant, Account { id, version: 0, name, last, secret: None, ..self.account.clone() }))
    }

    /// The account in the tenant, as the real one is there: enabled, marked, with what it was given.
    fn user_of(&self, place: &Place, account: &Account, grant: &Grant) -> String {
        let sim = &place.sandbox.vendors.directory.sim;
        let mark = |value: &Value| value.as_str() == Some(self.account.id.as_str());
        let marks = self.user.as_object().into_iter().flatten().filter(|(_, value)| mark(value));
        let properties: Map<String, Value> =
            marks.map(|(name, _)| (name.clone(), account.id.as_str().into())).collect();
        let object = sim.add_user(TENANT, UserSeed { properties, ..UserSeed::new(&account.name) });
        for entitlement in &grant.policy.entitlements {
            match entitlement {
                EntitlementId::Role(role) => drop(sim.by_hand(TENANT).assign_role(&object, role.as_str(), "/")),
                EntitlementId::Group(group) => sim.by_hand(TENANT).join_group(&object, group.as_str()),
            }
        }
        object
    }
}

async fn commit(store: &dyn Store, now: Timestamp, made: Vec<(Grant, Account)>) -> anyhow::Result<()> {
    let mut transition = Transition::new(CommitName::Command, now);
    for (grant, account) in made {
        let Some(due) = grant.state.end() else {
            bail!("the grant that the others are made after is {}", grant.state.name())
        };
        let work = Work::Due { grant: grant.id.clone() };
        transition.tasks.push(NewTask::new(work, due, Priority::Removal).of(risk(&grant.policy)));
        transition.grants.push(grant);
        transition.accounts.push(account);
    }
    store.commit(transition).await.map_err(Into::into)
}
