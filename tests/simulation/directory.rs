//! A model directory: what it is asked to do it does, late, twice, or not at all; and it asks in turn whether we may.
//!
//! Which step comes next is said by the product's own connector, whose `next` needs no tenant.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::FutureExt as _;
use latchkey_contract::{
    AccountId, CallError, Check, ConnectionId, Directory, EntitlementId, Secret, Timestamp,
    directory::{
        AccountRef, DirectoryWants, Domain, Entitlement, Known, Marked, Method, Next, Observation, Outcome,
        ProtectedAccount, Seen, Step, Target,
    },
    outside::Urgency,
};
use latchkey_entra::Entra;

use crate::{
    access::State,
    accounts::{Accounts, apply},
    audit::Code,
    call::{Call, Condition, TIMEOUT},
    model::Model,
    store::Store,
    world::World,
};

/// Every code by which a step may be followed.
const STEPS: [Code; 7] = [
    Code::StepIntent,
    Code::StepDone,
    Code::StepNotBefore,
    Code::StepNoWay,
    Code::StepUnknown,
    Code::StepFailed,
    Code::StepPasswordRefused,
];

/// One customer's directory.
#[derive(Debug)]
pub(crate) struct Tenant {
    pub(crate) id: ConnectionId,
    world: Arc<World>,
    rows: Arc<Model>,
    pure: Arc<Entra>,
    accounts: Arc<Mutex<Accounts>>,
    condition: Mutex<Condition>,
    hands: Mutex<Hands>,
}

/// Who is being worked on.
#[derive(Debug, Default)]
struct Hands {
    busy: BTreeMap<AccountId, u32>,
    /// What became of the last step is not known, and nobody has looked since.
    unknown: BTreeSet<AccountId>,
}

/// Dropped when the call has ended, or the process with it.
struct Hand<'a> {
    tenant: &'a Tenant,
    account: &'a AccountId,
    is_answered: bool,
}

impl Drop for Hand<'_> {
    fn drop(&mut self) {
        let mut hands = self.tenant.hands();
        if let Some(busy) = hands.busy.get_mut(self.account) {
            *busy -= 1;
        }
        if !self.is_answered {
            hands.unknown.insert(self.account.clone());
        }
    }
}

impl Tenant {
    pub(crate) fn new(
        id: ConnectionId,
        world: Arc<World>,
        rows: Arc<Model>,
        pure: Arc<Entra>,
        has_native_end: bool,
    ) -> Self {
        let accounts = Arc::new(Mutex::new(Accounts::new(has_native_end)));
        Self { id, world, rows, pure, accounts, condition: Mutex::default(), hands: Mutex::default() }
    }

    pub(crate) fn accounts(&self) -> MutexGuard<'_, Accounts> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn condition(&self) -> MutexGuard<'_, Condition> {
        self.condition.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn hands(&self) -> MutexGuard<'_, Hands> {
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_condition(&self) -> Condition {
        let condition = self.condition();
        Condition { down_until: condition.down_until, refused_until: condition.refused_until }
    }

    /// What must be true before a step is sent, as the rows on the disk have it.
    fn may_send(&self, step: &Step, account: &AccountRef) {
        let (id, world) = (&account.id, &self.world);
        let about = || vec![id.to_string()];
        let stored = self.rows.account(id).now_or_never().and_then(Result::ok).flatten();
        let is_ours = stored.as_ref().is_some_and(|a| a.directory == self.id && a.name == account.name);
        world.hold("I10", is_ours, || {
            (format!("{} sent to {} for an account that is not its own", step.name(), self.id), about())
        });
        // While the chain takes nothing, the intents of removals are owed to it, and lie beside it.
        let is_owed = self.rows.audit_owed().now_or_never().is_some_and(|owed| owed.is_ok_and(|n| n > 0));
        let is_intended = is_owed
            || self.newest_step(id).is_some_and(|(code, detail)| {
                code == Code::StepIntent && detail["step"] == serde_json::to_value(step).unwrap_or_default()
            });
        world.hold("I9", is_intended, || (format!("{} sent without its intent on the disk", step.name()), about()));
        if step.is_giving() {
            let grants = self.rows.open_grants(id).now_or_never().and_then(Result::ok).unwrap_or_default();
            let is_wanted = grants.iter().any(|g| g.state.is_living());
            world.hold("I1", is_wanted, || {
                (format!("{} sent, and no living grant is on the disk", step.name()), about())
            });
        }
        let is_known = !self.hands().unknown.contains(id);
        world.hold("I13", is_known, || {
            (format!("{} sent after an unknown outcome without a look", step.name()), about())
        });
    }

    fn newest_step(&self, account: &AccountId) -> Option<(Code, serde_json::Value)> {
        for limit in [8, 64, 100_000] {
            let newest = self.rows.newest_audit(&STEPS, limit).now_or_never()?.ok()?;
            if let Some(entry) = newest.into_iter().find(|e| e.detail["account"] == account.as_str()) {
                return Some((entry.code, entry.detail));
            }
        }
        None
    }

    fn take_hand<'a>(&'a self, account: &'a AccountId) -> Hand<'a> {
        let mut hands = self.hands();
        let busy = hands.busy.entry(account.clone()).or_default();
        *busy += 1;
        let is_alone = *busy == 1;
        drop(hands);
        self.world.hold("I3", is_alone, || {
            (format!("two hands work on account {account} at once"), vec![account.to_string()])
        });
        Hand { tenant: self, account, is_answered: false }
    }

    fn look(&self, account: &AccountRef) -> Observation {
        let now = self.world.now();
        let mut accounts = self.accounts();
        accounts.expire(now);
        let found = accounts.seen(account, now, &self.world);
        Observation {
            at: self.world.at(now),
            recycled: accounts.recycled(account),
            has_native_end: accounts.has_native_end,
            account: found,
            unchecked: Vec::new(),
        }
    }
}

#[async_trait::async_trait]
impl Directory for Tenant {
    async fn observe(&self, account: &AccountRef, urgency: Urgency) -> Result<Observation, CallError> {
        let mut hand = self.take_hand(&account.id);
        hand.is_answered = true;
        self.hands().unknown.remove(&account.id);
        let grants = self.rows.open_grants(&account.id).now_or_never().and_then(Result::ok).unwrap_or_default();
        let is_ending = grants.iter().any(|g| matches!(g.state, State::Ending { .. }));
        self.world.hold("I14", !is_ending || urgency == Urgency::Removal, || {
            ("a removal looks without its own share".to_owned(), vec![account.id.to_string()])
        });
        let call = Call { world: &self.world, op: "observe", about: account.id.as_str() };
        call.make(&self.now_condition(), || Ok(())).await?;
        Ok(self.look(account))
    }

    fn next(&self, target: &Target, seen: &Observation, known: &Known, now: Timestamp) -> Next {
        self.pure.next(target, seen, known, now)
    }

    async fn perform(
        &self,
        step: &Step,
        account: &AccountRef,
        secret: Option<&Secret<String>>,
    ) -> Result<Outcome, CallError> {
        self.may_send(step, account);
        let mut hand = self.take_hand(&account.id);
        let call = Call { world: &self.world, op: step.name(), about: account.id.as_str() };
        let (world, rows, accounts) = (Arc::clone(&self.world), Arc::clone(&self.rows), Arc::clone(&self.accounts));
        let (step, account) = (step.clone(), account.clone());
        let password = secret.map(|secret| secret.expose().clone());
        let effect = move || {
            let mut accounts = accounts.lock().unwrap_or_else(PoisonError::into_inner);
            apply(&mut accounts, &world, &rows, &step, &account, password)
        };
        let result = call.make(&self.now_condition(), effect).await;
        hand.is_answered = result.as_ref().is_ok_and(|_| true) || result.as_ref().is_err_and(|e| !e.is_transient());
        result
    }

    fn password(&self, random: &mut dyn FnMut(&mut [u8])) -> Secret<String> {
        let mut bytes = [0; 8];
        random(&mut bytes);
        // Easily found again, wherever it should not be.
        Secret::new(format!("pw!{:016x}", u64::from_be_bytes(bytes)))
    }

    async fn catalogue(&self) -> Result<Vec<Entitlement>, CallError> {
        Ok(Vec::new())
    }

    async fn missing(&self, entitlements: &[EntitlementId]) -> Result<Vec<EntitlementId>, CallError> {
        let call = Call { world: &self.world, op: "missing", about: self.id.as_str() };
        let (accounts, asked) = (Arc::clone(&self.accounts), entitlements.to_vec());
        let look = move || {
            let accounts = accounts.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(asked.into_iter().filter(|e| accounts.dead.contains(e)).collect())
        };
        call.make(&self.now_condition(), look).await
    }

    async fn preflight(&self, _: &DirectoryWants) -> Vec<Check> {
        let is_well = self.condition().refused_until <= self.world.now();
        vec![if is_well { Check::ok("rights", "all") } else { Check::red("rights", "simulated") }]
    }

    fn warning(&self, _: &EntitlementId) -> Option<&'static str> {
        None
    }

    async fn protected(&self) -> Result<Vec<ProtectedAccount>, CallError> {
        Ok(Vec::new())
    }

    async fn domains(&self) -> Result<Vec<Domain>, CallError> {
        Ok(Vec::new())
    }

    async fn find_marked(&self) -> Result<Vec<Marked>, CallError> {
        Ok(Vec::new())
    }

    fn call_timeout(&self) -> Duration {
        Duration::from_millis(u64::try_from(TIMEOUT).unwrap_or(0))
    }

    fn token_tail(&self) -> Duration {
        Duration::from_secs(90 * 60)
    }
}

/// As it is read.
pub(crate) fn seen(account: &crate::accounts::Held, now: i64, of: &AccountRef, world: &World) -> Seen {
    Seen {
        object: account.object.clone(),
        name: account.name.clone(),
        is_enabled: account.is_enabled,
        is_marked: account.mark == of.id,
        protection: None,
        held: account.visible(now, world),
        owned: Vec::new(),
        methods: account.method.iter().map(|id| Method { kind: "phone".to_owned(), id: id.clone() }).collect(),
        sessions_valid_from: account.sessions_cut.map(|at| world.at(at)),
        password_changed: None,
        unread: Vec::new(),
    }
}
