//! One JIT account, and what it must be: the union of its living grants.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use latchkey_contract::{
    AccountId, ConnectionId, CustomerId, EntitlementId, PersonId, SecretId, Timestamp,
    directory::{AccountRef, How, Known, Marked, Mode, Observation, Password, Step, Target, step_key},
};
use serde::{Deserialize, Serialize};

use super::{Grant, State, proof::Owed};
use crate::rulebook::{HoldOn, Rules};

/// The directory's own end lies this much after ours, so that ours comes first and PIM's five minutes fit.
pub const NATIVE_MARGIN: Duration = Duration::from_secs(10 * 60);

/// Stands for the person, or the customer, of an account that was found in a directory and is in no record. Nobody in the
/// records has this id.
pub const UNKNOWN: &str = "unknown";

/// One account of one person in one directory.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Account {
    /// Our id, and the mark it carries.
    pub id: AccountId,
    /// Counts commits; 0 is not stored yet.
    pub version: i64,
    /// Where it lives.
    pub directory: ConnectionId,
    /// Whose customer.
    pub customer: CustomerId,
    /// Whose account.
    pub person: PersonId,
    /// Standard or burner.
    pub mode: Mode,
    /// Sign-in name, fixed before the first call.
    pub name: String,
    /// For people in the directory.
    pub display_name: String,
    /// What our acts tell about it.
    pub known: Known,
    /// The last target let somebody in. When that turns, cuts and refusals from before the turn no longer count.
    #[serde(default)]
    pub is_giving: bool,
    /// The step that was taken last, and how often in a row: a directory whose reads lag is not asked without pause.
    #[serde(default)]
    pub last_step: Option<(String, u32)>,
    /// The password of the period of access that lives now.
    pub secret: Option<SecretId>,
    /// When a giving step was last committed to be sent.
    pub gave_at: Option<Timestamp>,
    /// The first of the two reads that prove off.
    pub first_off: Option<Observation>,
    /// When off was last proven; a later difference is somebody else's doing.
    pub off_since: Option<Timestamp>,
    /// It is not as this database says, and no grant is the reason: somebody changed it outside Latchkey after off was
    /// proven, or an older copy of the database was put back. It is being cut, and off is proven again.
    #[serde(default)]
    pub is_surprised: bool,
    /// The grant that used it last, and its ticket: where a later surprise is told.
    pub last: Option<(latchkey_contract::GrantId, latchkey_contract::TicketRef)>,
    /// When it is to be looked at again although nothing is owed.
    pub looks: Vec<Timestamp>,
    /// Since when removal has been failing, and how often it was said.
    pub overdue: Option<Overdue>,
}

/// Removal that does not succeed, growing louder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Overdue {
    /// Since when.
    pub since: Timestamp,
    /// How often the alert was raised.
    pub alerts: u32,
}

/// Brakes that act at once. What they name gets nothing, and loses what it has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holds {
    /// Everything is locked, with a sentence that says so.
    pub everything: Option<String>,
    /// Customers with JIT off, paused or locked, each with a sentence.
    pub customers: BTreeMap<CustomerId, String>,
    /// People blocked, gone or locked, each with a sentence.
    pub people: BTreeMap<PersonId, String>,
    /// Who and what is in the records at all; `None` where only the lists above count.
    pub known: Option<(BTreeSet<CustomerId>, BTreeSet<PersonId>)>,
    /// Why the server's clock is in doubt: nothing new is given, and what lives is not touched by it.
    pub clock: Option<&'static str>,
}

impl Holds {
    /// The brakes that are in force.
    #[must_use]
    pub fn of(rules: &Rules) -> Self {
        let records = &rules.records;
        let mut holds = Self {
            known: Some((
                records.customers.iter().map(|c| c.id.clone()).collect(),
                records.people.iter().map(|p| p.id.clone()).collect(),
            )),
            ..Self::default()
        };
        for customer in records.customers.iter().filter(|c| !c.jit) {
            let sentence = format!("just-in-time access is switched off for customer {}", customer.id);
            holds.customers.insert(customer.id.clone(), sentence);
        }
        for hold in &rules.holds {
            match &hold.on {
                HoldOn::Everything => holds.everything = Some(hold.sentence()),
                HoldOn::Customer(id) => drop(holds.customers.insert(id.clone(), hold.sentence())),
                HoldOn::Person(id) => drop(holds.people.insert(id.clone(), hold.sentence())),
            }
        }
        holds
    }

    /// The hold that stops this grant, as a sentence.
    #[must_use]
    pub fn stops(&self, customer: &CustomerId, person: &PersonId) -> Option<String> {
        let held =
            self.everything.as_ref().or_else(|| self.customers.get(customer)).or_else(|| self.people.get(person));
        if let Some(why) = held {
            return Some(why.clone());
        }
        let (customers, people) = self.known.as_ref()?;
        if !customers.contains(customer) {
            Some(format!("customer {customer} is no longer in the records"))
        } else if !people.contains(person) {
            Some(format!("{person} is no longer in the records"))
        } else {
            None
        }
    }
}

impl Account {
    /// An account that was found in a directory under a mark of ours and is in no record: it has to go.
    #[must_use]
    pub fn found(
        id: AccountId,
        directory: ConnectionId,
        customer: CustomerId,
        marked: &Marked,
        now: Timestamp,
    ) -> Self {
        Self {
            id,
            version: 0,
            directory,
            customer,
            person: PersonId::parse(UNKNOWN).expect("a constant of lower-case letters"),
            mode: Mode::Burner,
            name: marked.name.clone(),
            display_name: String::new(),
            known: Known { object: Some(marked.object.clone()), ..Known::default() },
            is_giving: false,
            last_step: None,
            secret: None,
            gave_at: None,
            first_off: None,
            off_since: None,
            is_surprised: true,
            last: None,
            looks: vec![now],
            overdue: None,
        }
    }

    /// Owes it a look, and a proof that nothing is left, although no grant that is known is the reason; so no ticket is told.
    #[must_use]
    pub fn to_be_cut(mut self, now: Timestamp) -> Self {
        self.last = None;
        self.off_since = None;
        self.is_surprised = true;
        self.known.sessions_cut = None;
        self.known.password = Password::Unknown;
        self.looks.push(now);
        self
    }

    /// The account as it stands under this target: what was known before a turn is forgotten where it no longer counts.
    #[must_use]
    pub fn under(mut self, target: &Target) -> Self {
        if self.is_giving != target.gives() {
            self.is_giving = target.gives();
            self.known = self.known.turning();
            self.last_step = None;
        }
        self
    }

    /// Counts a step that was taken, and answers how long to wait before the next look: nothing, unless the same step was
    /// taken just before.
    pub fn took(&mut self, step: &Step) -> Duration {
        let key = step_key(step);
        let times = match &self.last_step {
            Some((last, times)) if *last == key => times.saturating_add(1),
            _ => 0,
        };
        self.last_step = Some((key, times));
        if times == 0 { Duration::ZERO } else { Duration::from_secs(1 << times.min(5)) }
    }

    /// What a directory needs to know to find it.
    #[must_use]
    pub fn reference(&self) -> AccountRef {
        AccountRef {
            id: self.id.clone(),
            name: self.name.clone(),
            display_name: self.display_name.clone(),
            mode: self.mode,
            object: self.known.object.clone(),
        }
    }

    /// The looks that are still to come after `now`, and the next of them.
    #[must_use]
    pub fn next_look(&self, now: Timestamp) -> Option<Timestamp> {
        self.looks.iter().copied().filter(|at| *at > now).min()
    }
}

/// After every Ended the account is looked at again.
#[must_use]
pub fn looks_after(now: Timestamp) -> Vec<Timestamp> {
    [60, 600, 86_400].map(|s| now + Duration::from_secs(s)).to_vec()
}

/// What the account must be now: the union of what lives, each entitlement with its own end.
///
/// `grants` are all grants of this account that are not final; those that are over, held or ending give nothing.
#[must_use]
pub fn target(account: &Account, grants: &[Grant], holds: &Holds, now: Timestamp) -> Target {
    let living: Vec<&Grant> = grants.iter().filter(|g| lives(g, holds, now)).collect();
    let Some(password) = living.iter().find_map(|g| g.state.secret()).cloned() else {
        return match account.mode {
            Mode::Standard => Target::Disabled,
            Mode::Burner => Target::Absent,
        };
    };
    let mut entitlements: BTreeMap<EntitlementId, Timestamp> = BTreeMap::new();
    let mut reason = String::new();
    for grant in &living {
        let Some(end) = native_end(grant) else { continue };
        for entitlement in &grant.policy.entitlements {
            let slot = entitlements.entry(entitlement.clone()).or_insert(end);
            *slot = (*slot).max(end);
        }
        if reason.is_empty() {
            reason = format!("Ticket {}, grant {}", grant.ticket, grant.id);
        }
    }
    Target::Enabled { password, entitlements, reason }
}

/// What must be seen gone before this ending grant may be called ended.
#[must_use]
pub fn owed(account: &Account, ending: &Grant, grants: &[Grant], holds: &Holds, now: Timestamp) -> Owed {
    let kept: BTreeSet<&EntitlementId> =
        grants.iter().filter(|g| lives(g, holds, now)).flat_map(|g| &g.policy.entitlements).collect();
    if grants.iter().any(|g| lives(g, holds, now)) {
        Owed::Part(ending.policy.entitlements.iter().filter(|e| !kept.contains(e)).cloned().collect())
    } else {
        Owed::Whole(account.mode)
    }
}

fn lives(grant: &Grant, holds: &Holds, now: Timestamp) -> bool {
    grant.state.end().is_some_and(|end| now < end) && holds.stops(&grant.customer, &grant.person).is_none()
}

/// The native end does not move when Granting becomes Active: it is counted from the latest end, and moves before ours does.
fn native_end(grant: &Grant) -> Option<Timestamp> {
    let latest_end = match &grant.state {
        State::Granting { latest_end, .. }
        | State::Delivering { latest_end, .. }
        | State::Active { latest_end, .. } => *latest_end,
        _ => return None,
    };
    Some(grant.extending.as_ref().map_or(latest_end, |more| more.latest_end) + NATIVE_MARGIN)
}

/// Whether the directory, as it was seen, lets the grant have what it wants for as long as it wants it.
#[must_use]
pub fn lasts(grant: &Grant, seen: &Observation) -> bool {
    let Some(end) = native_end(grant) else { return false };
    let held = seen.account.iter().flat_map(|account| &account.held);
    let mut bound = held.filter(|held| grant.policy.entitlements.contains(&held.entitlement));
    bound.all(|held| match held.how {
        How::TimeBound { end: Some(has) } => has.seconds() >= end.seconds(),
        _ => true,
    })
}
