//! Whatever is lost, late or tampered with: giving reaches its target in bounded steps or says why not, off is always
//! reached, and on no path is there power without its order.
//!
//! The directory here is a small model in memory, so that thousands of histories can be tried; the wire is tested in
//! `tenant`.

#![allow(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    collections::BTreeMap,
    sync::{Arc, OnceLock},
    time::Duration,
};

use latchkey_contract::{
    Clock, ConnectionId, Directory, EntitlementId, ObjectId, Secret, SecretId, Timestamp,
    directory::{Held, How, Known, Method, Next, Observation, Outcome, Owned, Password, Seen, Step, Target},
};
use latchkey_entra::{Credential, Entra};
use proptest::prelude::*;
use serde_json::json;

const ROLES: [&str; 3] = ["role:r1", "role:r2", "group:g1"];
const PIM_SHORTEST: Duration = Duration::from_secs(300);

#[derive(Debug)]
struct NoClock;

#[async_trait::async_trait]
impl Clock for NoClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(0)
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep_until(&self, _: Timestamp) {}
}

/// One for all histories: it keeps nothing that `next` reads.
fn entra() -> &'static Entra {
    static ENTRA: OnceLock<Entra> = OnceLock::new();
    ENTRA.get_or_init(|| {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let id = "8f0c2c1e-1111-4222-8333-444455556666";
        let settings = serde_json::from_value(json!({"tenant": id, "client_id": id, "credential": "secret"})).unwrap();
        let secret = Credential::Secret(Secret::new("s".to_owned()));
        Entra::new(ConnectionId::parse("contoso").unwrap(), settings, secret, None, Arc::new(NoClock)).unwrap()
    })
}

/// How one call ends.
#[derive(Debug, Clone, Copy)]
enum Luck {
    Answered,
    /// Took effect; the answer was lost.
    Lost,
    /// Never arrived.
    Dropped,
}

/// What somebody else does between two turns.
#[derive(Debug, Clone, Copy)]
enum Hand {
    Nothing,
    Enable,
    Disable,
    Delete,
    Assign(usize),
    MakeEligible(usize),
    Remove(usize),
    AddMethod,
    Own,
    Rename,
    Unmark,
}

/// The tenant's ways.
#[derive(Debug, Clone, Copy)]
struct Ways {
    has_pim: bool,
    has_paa: bool,
    may_purge: bool,
    /// How late a new account is seen.
    lag: Duration,
}

#[derive(Debug, Clone)]
struct Account {
    name: String,
    is_enabled: bool,
    is_marked: bool,
    password: Option<SecretId>,
    held: Vec<(Held, Timestamp)>,
    owned: Vec<Owned>,
    methods: Vec<Method>,
    made: Timestamp,
    /// Somebody may have signed in since sessions were cut last.
    is_live: bool,
}

struct World {
    ways: Ways,
    now: Timestamp,
    account: Option<Account>,
    is_recycled: bool,
    creations: usize,
}

fn object() -> ObjectId {
    ObjectId::parse("u1").unwrap()
}

fn entitlement(n: usize) -> EntitlementId {
    EntitlementId::try_from(ROLES[n % ROLES.len()].to_owned()).unwrap()
}

impl World {
    /// Whoever can sign in does.
    fn live(&mut self) {
        if let Some(account) = &mut self.account {
            account.is_live |= account.is_enabled;
        }
    }

    fn observe(&self) -> Observation {
        let seen = self.account.as_ref().filter(|a| self.now >= a.made + self.ways.lag).map(|a| Seen {
            object: object(),
            name: a.name.clone(),
            is_enabled: a.is_enabled,
            is_marked: a.is_marked,
            protection: None,
            held: a.held.iter().map(|(held, _)| held.clone()).collect(),
            owned: a.owned.clone(),
            methods: a.methods.clone(),
            sessions_valid_from: None,
            password_changed: None,
            unread: vec![],
        });
        Observation {
            at: self.now,
            recycled: (seen.is_none() && self.is_recycled).then(object),
            account: seen,
            has_native_end: self.ways.has_pim,
            unchecked: vec![],
        }
    }

    /// `None`: a transient refusal, as of an account that is not seen yet.
    fn perform(&mut self, step: &Step) -> Option<Outcome> {
        let now = self.now;
        let done = Some(Outcome::Done { object: Some(object()) });
        if let Step::Create { password } = step {
            if self.account.is_none() && !self.is_recycled {
                self.creations += 1;
                self.account = Some(new_account(password, now));
            } else if let Some(account) = &mut self.account {
                account.password = Some(password.clone());
            }
            return done;
        }
        if let Step::Purge { .. } = step {
            if !self.ways.may_purge {
                return Some(Outcome::NoWay { code: "Denied".to_owned() });
            }
            self.is_recycled = false;
            return done;
        }
        let ways = self.ways;
        let Some(account) = &mut self.account else { return if step.is_giving() { None } else { done } };
        let is_admin = !account.held.is_empty();
        let is_sensitive =
            matches!(step, Step::Disable | Step::ScramblePassword | Step::Delete | Step::SetPassword { .. });
        if is_sensitive && is_admin && !ways.has_paa {
            return Some(Outcome::NoWay { code: "Authorization_RequestDenied".to_owned() });
        }
        match step {
            Step::SetPassword { password } => account.password = Some(password.clone()),
            Step::ScramblePassword => account.password = None,
            Step::Enable => account.is_enabled = true,
            Step::Disable => account.is_enabled = false,
            Step::Give { entitlement, native_end, is_time_bound, .. } => {
                let how = if *is_time_bound { How::TimeBound { end: Some(*native_end) } } else { How::Plain };
                account.held.retain(|(h, _)| h.entitlement != *entitlement || h.how == How::Eligible);
                account.held.push((held(entitlement, how), now));
            }
            Step::Take(taken) => {
                let found = account.held.iter().find(|(h, _)| h == taken);
                if let Some((Held { how: How::TimeBound { .. }, .. }, since)) = found
                    && now < *since + PIM_SHORTEST
                {
                    return Some(Outcome::NotBefore(*since + PIM_SHORTEST));
                }
                account.held.retain(|(h, _)| h != taken);
            }
            Step::Disown(owned) => account.owned.retain(|o| o != owned),
            Step::RemoveMethod(method) => account.methods.retain(|m| m != method),
            Step::Delete => {
                self.account = None;
                self.is_recycled = true;
            }
            Step::CutSessions => account.is_live = account.is_enabled,
            Step::Create { .. } | Step::Purge { .. } => {}
        }
        done
    }

    fn tamper(&mut self, hand: Hand) {
        let now = self.now;
        let Some(account) = &mut self.account else { return };
        match hand {
            Hand::Nothing => {}
            Hand::Enable => account.is_enabled = true,
            Hand::Disable => account.is_enabled = false,
            Hand::Delete => {
                self.account = None;
                self.is_recycled = true;
            }
            Hand::Assign(n) => {
                let role = entitlement(n);
                if !account.held.iter().any(|(h, _)| h.entitlement == role && h.how != How::Eligible) {
                    account.held.push((held(&role, How::Plain), now));
                }
            }
            Hand::MakeEligible(n) => {
                let eligible = held(&entitlement(n), How::Eligible);
                if !account.held.iter().any(|(h, _)| *h == eligible) {
                    account.held.push((eligible, now));
                }
            }
            Hand::Remove(n) => account.held.retain(|(h, _)| h.entitlement != entitlement(n)),
            Hand::AddMethod => account.methods.push(Method { kind: "phone".to_owned(), id: now.millis().to_string() }),
            Hand::Own => account.owned.push(Owned { object: ObjectId::parse("g9").unwrap(), kind: "group".to_owned() }),
            Hand::Rename => account.name = "renamed@contoso.onmicrosoft.com".to_owned(),
            Hand::Unmark => account.is_marked = false,
        }
    }

    fn is_off(&self, target: &Target) -> bool {
        match &self.account {
            None => true,
            Some(_) if *target == Target::Absent => false,
            Some(a) => {
                let is_shut = !a.is_enabled && !a.is_live;
                is_shut && a.held.is_empty() && a.owned.is_empty() && a.methods.is_empty() && a.password.is_none()
            }
        }
    }
}

fn new_account(password: &SecretId, now: Timestamp) -> Account {
    Account {
        name: "jit@contoso.onmicrosoft.com".to_owned(),
        is_enabled: false,
        is_marked: true,
        password: Some(password.clone()),
        held: vec![],
        owned: vec![],
        methods: vec![],
        made: now,
        is_live: false,
    }
}

fn held(entitlement: &EntitlementId, how: How) -> Held {
    Held { entitlement: entitlement.clone(), holding: None, how, scope: "/".to_owned() }
}

/// What a job keeps between turns.
struct Job<'a> {
    entra: &'a Entra,
    world: World,
    known: Known,
}

impl Job<'_> {
    fn next(&self, target: &Target) -> Next {
        let seen = self.world.observe();
        let next = self.entra.next(target, &seen, &self.known, self.world.now);
        if let Next::Step(step) = &next {
            self.check_order(target, &seen, step);
        }
        next
    }

    /// The rules of order, held against every step that is ever named.
    fn check_order(&self, target: &Target, seen: &Observation, step: &Step) {
        let account = seen.account.as_ref();
        if let Target::Enabled { password, entitlements, .. } = target {
            let is_unwanted = |h: &Held| h.how == How::Eligible || !entitlements.contains_key(&h.entitlement);
            match step {
                Step::Enable => {
                    let account = account.expect("only what is seen is enabled");
                    assert!(!account.held.iter().any(is_unwanted), "enabled with {:?}", account.held);
                    assert!(account.methods.is_empty() && account.owned.is_empty(), "enabled unstripped");
                    assert_eq!(self.known.password, Password::Set(password.clone()));
                }
                Step::Give { entitlement, .. } => {
                    assert!(account.is_some_and(|a| a.is_enabled), "power before sign-in");
                    assert_eq!(self.known.password, Password::Set(password.clone()), "power before the password");
                    assert!(entitlements.contains_key(entitlement));
                }
                _ => {}
            }
        } else {
            assert!(!step.is_giving(), "{step:?} while taking");
            let may_disable = !self.known.no_way.contains_key("disable");
            if account.is_some_and(|a| a.is_enabled) && may_disable {
                assert_eq!(*step, Step::Disable, "sign-in is cut first");
            }
        }
    }

    /// One turn; true when the loop is over.
    fn turn(&mut self, target: &Target, luck: Luck) -> Result<bool, String> {
        self.world.live();
        match self.next(target) {
            Next::Reached => return Ok(true),
            Next::Impossible { why } => return Err(why),
            Next::Wait { until, .. } => {
                assert!(until > self.world.now, "a wait that is over");
                self.world.now = until;
            }
            Next::Step(step) => self.take(&step, luck),
        }
        Ok(false)
    }

    fn take(&mut self, step: &Step, luck: Luck) {
        let now = self.world.now;
        self.known = self.known.clone().intending(step, now);
        let outcome = if matches!(luck, Luck::Dropped) { None } else { self.world.perform(step) };
        match (luck, outcome) {
            (Luck::Answered, Some(outcome)) => self.known = self.known.clone().after(step, &outcome, now),
            _ => self.world.now = now + Duration::from_secs(1),
        }
    }

    /// With no more trouble from outside, the target is reached in bounded turns.
    fn settle(&mut self, target: &Target) -> Result<(), String> {
        for _ in 0..80 {
            if self.turn(target, Luck::Answered)? {
                return Ok(());
            }
        }
        panic!("not settled; {:?}, {:?}", self.world.account, self.known);
    }
}

fn ways() -> impl Strategy<Value = Ways> {
    (any::<bool>(), any::<bool>(), any::<bool>(), 0_u64..60).prop_map(|(has_pim, has_paa, may_purge, lag)| Ways {
        has_pim,
        has_paa,
        may_purge,
        lag: Duration::from_secs(lag),
    })
}

fn trouble() -> impl Strategy<Value = Vec<(Luck, Hand)>> {
    let luck = prop_oneof![3 => Just(Luck::Answered), 1 => Just(Luck::Lost), 1 => Just(Luck::Dropped)];
    let hand = prop_oneof![
        8 => Just(Hand::Nothing),
        1 => Just(Hand::Enable),
        1 => Just(Hand::Disable),
        1 => Just(Hand::Delete),
        2 => (0..3_usize).prop_map(Hand::Assign),
        1 => (0..3_usize).prop_map(Hand::MakeEligible),
        1 => (0..3_usize).prop_map(Hand::Remove),
        1 => Just(Hand::AddMethod),
        1 => Just(Hand::Own),
        1 => Just(Hand::Rename),
        1 => Just(Hand::Unmark),
    ];
    prop::collection::vec((luck, hand), 0..40)
}

fn giving(secret: &str, wanted: &[usize], until: Timestamp) -> Target {
    let entitlements: BTreeMap<_, _> = wanted.iter().map(|n| (entitlement(*n), until)).collect();
    Target::Enabled { password: SecretId::parse(secret).unwrap(), entitlements, reason: "Ticket 1".to_owned() }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn whatever_happens_giving_ends_well_or_with_a_reason_and_off_is_reached(
        ways in ways(),
        wanted in prop::collection::btree_set(0..3_usize, 1..3),
        on_the_way_in in trouble(),
        on_the_way_out in trouble(),
        is_burner in any::<bool>(),
    ) {
        let world = World { ways, now: Timestamp::from_millis(1_000_000), account: None, is_recycled: false, creations: 0 };
        let mut job = Job { entra: entra(), world, known: Known::default() };
        let wanted: Vec<usize> = wanted.into_iter().collect();
        let target = giving("s1", &wanted, job.world.now + Duration::from_secs(8 * 3600));

        let mut is_over = None;
        for (luck, hand) in on_the_way_in {
            match job.turn(&target, luck) {
                Ok(_) => job.world.tamper(hand),
                Err(why) => { is_over = Some(why); break; }
            }
        }
        let reached = is_over.map_or_else(|| job.settle(&target), Err);
        if reached.is_ok() {
            let account = job.world.account.as_ref().expect("reached");
            let active: Vec<_> = account.held.iter().map(|(h, _)| h.entitlement.clone()).collect();
            prop_assert!(account.is_enabled);
            prop_assert_eq!(account.password.as_ref().map(SecretId::as_str), Some("s1"));
            prop_assert_eq!(active.len(), wanted.len());
        }
        prop_assert!(job.world.creations <= 1, "one request, one account");

        let target = if is_burner { Target::Absent } else { Target::Disabled };
        job.known = job.known.clone().turning();
        for (luck, hand) in on_the_way_out {
            if job.turn(&target, luck).is_err() {
                break;
            }
            job.world.tamper(hand);
        }
        let settled = job.settle(&target);
        prop_assert!(settled.is_ok(), "{settled:?}");
        let is_unrecognised = job.world.account.as_ref().is_some_and(|a| !a.is_marked) && job.known.object.is_none();
        prop_assert!(is_unrecognised || job.world.is_off(&target), "{:?} {:?}", job.world.account, job.known);
    }
}
