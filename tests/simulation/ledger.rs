//! What was committed about each grant and when, by the right time: kept beside the store, by what passed by.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use latchkey_contract::{AccountId, ConnectionId, CustomerId, GrantId, TicketRef};

use crate::{
    access::{Grant, Proof, State},
    directory::Tenant,
    store::Transition,
    world::{MINUTE, World},
};

/// One grant, as it went.
#[derive(Debug, Clone)]
pub(crate) struct Told {
    pub(crate) account: AccountId,
    pub(crate) directory: ConnectionId,
    pub(crate) customer: CustomerId,
    pub(crate) ticket: TicketRef,
    /// Milliseconds.
    length: i64,
    /// Since when something may be given for it.
    pub(crate) begun: Option<i64>,
    active: Option<i64>,
    ending: Option<i64>,
    pub(crate) state: &'static str,
    /// From its end to when it was seen off, as the service counts it.
    pub(crate) overhang: Option<i64>,
}

impl Told {
    /// When its access has to end at the latest: by the right time, whatever our own clock said.
    pub(crate) fn end(&self) -> Option<i64> {
        let latest = self.begun? + self.length + 15 * MINUTE;
        let planned = self.active.map_or(latest, |at| latest.min(at + self.length));
        Some(self.ending.map_or(planned, |at| at.min(planned)))
    }
}

/// Every grant.
#[derive(Debug)]
pub(crate) struct Ledger {
    world: Arc<World>,
    told: Mutex<BTreeMap<GrantId, Told>>,
    tenants: OnceLock<Vec<Arc<Tenant>>>,
}

impl Ledger {
    pub(crate) fn new(world: Arc<World>) -> Self {
        Self { world, told: Mutex::default(), tenants: OnceLock::new() }
    }

    /// Whom to ask whether off is off.
    pub(crate) fn ask(&self, tenants: Vec<Arc<Tenant>>) {
        let _ = self.tenants.set(tenants);
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, BTreeMap<GrantId, Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// It was written.
    pub(crate) fn committed(&self, transition: &Transition) {
        let now = self.world.now();
        let mut told = self.lock();
        for grant in &transition.grants {
            let line = told.entry(grant.id.clone()).or_insert_with(|| first(grant));
            line.state = grant.state.name();
            match &grant.state {
                State::Granting { .. } => drop(line.begun.get_or_insert(now)),
                State::Active { .. } => drop(line.active.get_or_insert(now)),
                State::Ending { .. } => drop(line.ending.get_or_insert(now)),
                State::Ended { due, proof, .. } => {
                    self.is_off(grant, proof);
                    line.overhang = i64::try_from(proof.seen_at().since(*due).as_millis()).ok();
                }
                _ => {}
            }
        }
    }
}

impl Ledger {
    /// I6: what is called off is off at this very moment, by the directory's own record.
    fn is_off(&self, grant: &Grant, proof: &Proof) {
        let goes_on = proof.facts().iter().any(|fact| fact.contains("stays enabled"));
        let tenant = self.tenants.get().and_then(|all| all.iter().find(|t| t.id == grant.directory));
        let Some(tenant) = tenant.filter(|_| !goes_on) else { return };
        let mut accounts = tenant.accounts();
        accounts.expire(self.world.now());
        let on = accounts.all.iter().find(|a| a.mark == grant.account && a.has_power() && !a.is_by_hand);
        self.world.hold("I6", on.is_none(), || {
            (format!("grant {} is called off while its account has power", grant.id), vec![grant.account.to_string()])
        });
    }
}

fn first(grant: &Grant) -> Told {
    Told {
        account: grant.account.clone(),
        directory: grant.directory.clone(),
        customer: grant.customer.clone(),
        ticket: grant.ticket.clone(),
        length: i64::try_from(grant.length.duration().as_millis()).unwrap_or(i64::MAX / 4),
        begun: None,
        active: None,
        ending: None,
        state: grant.state.name(),
        overhang: None,
    }
}
