//! The accounts of a model directory, what a step does to them, and since when each had power.

use std::{collections::BTreeSet, sync::Arc};

use futures::FutureExt as _;
use latchkey_contract::{
    AccountId, CallError, EntitlementId, ObjectId,
    directory::{AccountRef, Held as Holding, How, Outcome, Seen, Step},
};

use crate::{
    directory::seen,
    model::Model,
    store::Store,
    world::{MINUTE, SECOND, World},
};

/// All of one directory.
#[derive(Debug)]
pub(crate) struct Accounts {
    pub(crate) has_native_end: bool,
    pub(crate) all: Vec<Held>,
    /// Roles that the directory no longer has.
    pub(crate) dead: BTreeSet<EntitlementId>,
}

/// One account.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) object: ObjectId,
    pub(crate) mark: AccountId,
    pub(crate) name: String,
    pub(crate) is_enabled: bool,
    given: Vec<Given>,
    pub(crate) method: Option<String>,
    pub(crate) sessions_cut: Option<i64>,
    pub(crate) password: String,
    /// Nobody was told the password that it has.
    pub(crate) is_scrambled: bool,
    visible_from: i64,
    /// By how much our wall clock was wrong when it was made.
    made_at_wall: i64,
    /// Somebody enabled it who had no grant.
    pub(crate) is_by_hand: bool,
    pub(crate) by_hand_at: Option<i64>,
    pub(crate) is_deleted: bool,
    is_purged: bool,
    since: Option<i64>,
    /// When it could be used, from and until.
    pub(crate) spans: Vec<(i64, i64)>,
}

#[derive(Debug)]
struct Given {
    entitlement: EntitlementId,
    end: Option<i64>,
    from: i64,
    visible_from: i64,
}

impl Held {
    /// It can be used, or holds something.
    pub(crate) fn has_power(&self) -> bool {
        self.is_enabled || !self.given.is_empty()
    }

    pub(crate) fn visible(&self, now: i64, world: &World) -> Vec<Holding> {
        let how = |given: &Given| match given.end {
            Some(end) => How::TimeBound { end: Some(world.at(end)) },
            None => How::Plain,
        };
        let shown = self.given.iter().filter(|given| given.visible_from <= now);
        let held = |given: &Given| Holding {
            entitlement: given.entitlement.clone(),
            holding: None,
            how: how(given),
            scope: "/".to_owned(),
        };
        shown.map(held).collect()
    }

    /// Notes since when, or until when, it has power.
    fn note(&mut self, now: i64) {
        match (self.has_power(), self.since) {
            (true, None) => self.since = Some(now),
            (false, Some(since)) => {
                self.spans.push((since, now));
                self.since = None;
            }
            _ => {}
        }
    }

    /// Somebody enables it by hand.
    pub(crate) fn enable(&mut self, now: i64) {
        (self.is_enabled, self.is_by_hand, self.by_hand_at) = (true, true, Some(now));
        self.note(now);
    }
}

impl Accounts {
    pub(crate) const fn new(has_native_end: bool) -> Self {
        Self { has_native_end, all: Vec::new(), dead: BTreeSet::new() }
    }

    /// What the directory itself ends.
    pub(crate) fn expire(&mut self, now: i64) {
        for account in &mut self.all {
            let last = account.given.iter().filter_map(|g| g.end).filter(|end| *end <= now).max();
            let Some(last) = last else { continue };
            account.given.retain(|g| g.end.is_none_or(|end| end > now));
            account.note(last);
        }
    }

    fn find(&mut self, of: &AccountRef) -> Option<&mut Held> {
        self.all.iter_mut().find(|a| !a.is_deleted && (a.mark == of.id || of.object.as_ref() == Some(&a.object)))
    }

    pub(crate) fn seen(&self, of: &AccountRef, now: i64, world: &World) -> Option<Seen> {
        let is_it = |a: &&Held| a.mark == of.id || of.object.as_ref() == Some(&a.object);
        let there = self.all.iter().filter(|a| !a.is_deleted && a.visible_from <= now);
        there.clone().find(is_it).map(|account| seen(account, now, of, world))
    }

    pub(crate) fn recycled(&self, of: &AccountRef) -> Option<ObjectId> {
        let is_it = |a: &&Held| a.is_deleted && !a.is_purged && a.mark == of.id;
        self.all.iter().find(is_it).map(|a| a.object.clone())
    }
}

/// A step takes effect, now.
pub(crate) fn apply(
    accounts: &mut Accounts,
    world: &Arc<World>,
    rows: &Arc<Model>,
    step: &Step,
    of: &AccountRef,
    password: Option<String>,
) -> Result<Outcome, CallError> {
    let now = world.now();
    accounts.expire(now);
    world.tell(|| format!("effect {} on {}", step.name(), of.id));
    if let Step::Create { .. } = step {
        return create(accounts, world, rows, of, password.unwrap_or_default());
    }
    if let Step::Purge { object } = step {
        accounts.all.iter_mut().filter(|a| a.object == *object).for_each(|a| a.is_purged = true);
        return Ok(Outcome::Done { object: None });
    }
    let is_dead = matches!(step, Step::Give { entitlement, .. } if accounts.dead.contains(entitlement));
    let has_native_end = accounts.has_native_end;
    let Some(account) = accounts.find(of) else {
        return if step.is_giving() {
            Err(CallError::transient(step.name(), "simulated: the account is not seen yet"))
        } else {
            Ok(Outcome::Done { object: None })
        };
    };
    match step {
        Step::SetPassword { .. } => (account.password, account.is_scrambled) = (password.unwrap_or_default(), false),
        Step::ScramblePassword => (account.password, account.is_scrambled) = (password.unwrap_or_default(), true),
        Step::Enable => {
            account.is_enabled = true;
            if world.chance(2_000) {
                account.method = Some(format!("m{now}"));
            }
        }
        Step::Give { .. } if is_dead => {
            return Err(CallError::Refused { op: "give", status: 404, code: "simulated: no such role".to_owned() });
        }
        Step::Give { entitlement, native_end, is_time_bound, .. } => {
            let end = (*is_time_bound && has_native_end).then(|| world.since_start(*native_end));
            let visible_from = now + late(world, 1_000, 4 * SECOND, "role shown late");
            let from = account.given.iter().find(|g| g.entitlement == *entitlement).map_or(now, |g| g.from);
            account.given.retain(|g| g.entitlement != *entitlement);
            account.given.push(Given { entitlement: entitlement.clone(), end, from, visible_from });
        }
        Step::Take(held) => {
            let early = account.given.iter().find(|g| g.entitlement == held.entitlement && g.end.is_some());
            if let Some(early) = early.filter(|g| now < g.from + 5 * MINUTE) {
                let at = early.from + 5 * MINUTE;
                world.fault("role not taken in its first five minutes");
                world.excuse(of.id.as_str(), now, at + MINUTE);
                return Ok(Outcome::NotBefore(world.at(at)));
            }
            account.given.retain(|g| g.entitlement != held.entitlement);
        }
        Step::Disable => (account.is_enabled, account.is_by_hand) = (false, false),
        Step::CutSessions => account.sessions_cut = Some(now),
        Step::RemoveMethod(_) => account.method = None,
        Step::Delete => {
            (account.is_deleted, account.is_enabled) = (true, false);
            account.given.clear();
        }
        Step::Create { .. } | Step::Purge { .. } | Step::Disown(_) => {}
    }
    account.note(now);
    Ok(Outcome::Done { object: Some(account.object.clone()) })
}

/// By how much later a directory shows what it did, so many times in ten thousand.
fn late(world: &World, times: u64, most: i64, kind: &'static str) -> i64 {
    if !world.chance(times) {
        return 0;
    }
    world.fault(kind);
    world.between(0, most)
}

/// One account per mark, whatever is repeated; and none that nobody waits for.
fn create(
    accounts: &mut Accounts,
    world: &Arc<World>,
    rows: &Arc<Model>,
    of: &AccountRef,
    password: String,
) -> Result<Outcome, CallError> {
    let now = world.now();
    let open = rows.open_grants(&of.id).now_or_never().and_then(Result::ok).unwrap_or_default();
    world.hold("I2", !open.is_empty(), || {
        (format!("account {} appears after every grant of it was called over", of.id), vec![of.id.to_string()])
    });
    if let Some(there) = accounts.find(of) {
        // Directories show what they made late: whoever has sent this once waits for that. A clock that jumps wakes them early.
        world.hold("I3", there.made_at_wall != world.wall(), || {
            (format!("account {} is made once more, while the first is not seen yet", of.id), vec![of.id.to_string()])
        });
        return Ok(Outcome::Done { object: Some(there.object.clone()) });
    }
    let is_taken = accounts.all.iter().any(|a| !a.is_deleted && a.name == of.name);
    world.hold("I3", !is_taken, || (format!("a second account of the name {}", of.name), vec![of.id.to_string()]));
    let object = ObjectId::parse(format!("o-{}-{}", of.id, accounts.all.len()));
    let object = object.map_err(|_| CallError::malformed("create", "simulated: no such id"))?;
    let visible_from = now + late(world, 1_500, 60 * SECOND, "account shown late");
    accounts.all.push(Held {
        object: object.clone(),
        mark: of.id.clone(),
        name: of.name.clone(),
        is_enabled: false,
        given: Vec::new(),
        method: None,
        sessions_cut: None,
        password,
        is_scrambled: false,
        visible_from,
        made_at_wall: world.wall(),
        is_by_hand: false,
        by_hand_at: None,
        is_deleted: false,
        is_purged: false,
        since: None,
        spans: Vec::new(),
    });
    Ok(Outcome::Done { object: Some(object) })
}
