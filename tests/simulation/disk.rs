//! Between the service and its store: here commits fail, their answers are lost, and the process dies around them. And
//! here the planted bugs live.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use latchkey_contract::{
    AccountId, ConnectionId, GrantId, MailId, MappingId, PersonId, SecretId, TicketId, TicketRef, Timestamp,
    directory::Mode, ticket::TicketChanged,
};
use tokio::sync::Notify;

use crate::{
    access::{Account, Grant, trigger::Sighting},
    audit::{AuditEntry, AuditFilter, AuditRow, By, Checkpoint, Code, Head, Prunable},
    jobs::task::{Lease, NewTask, Task},
    ledger::Ledger,
    model::Model,
    plant::Plant,
    rulebook::{Hold, HoldCause, HoldOn, Rulebook, Rules},
    store::{
        Alert, Chosen, Claim, CommitName, Comparing, Cursor, Enrolled, Factors, Finish, Generation, Invitation,
        NewDelivery, Notice, OwedMail, QueueState, Recorded, Revision, Rewrapped, Scope, SealedRow, Session, Store,
        StoreError, StoredDelivery, TaskRow, Transition, Trouble, TroubleKind,
    },
    world::{SECOND, World},
};

/// The store as the service has it.
pub(crate) struct Disk {
    inner: Arc<Model>,
    world: Arc<World>,
    ledger: Arc<Ledger>,
    plant: Option<Plant>,
    planted: Mutex<Planted>,
}

/// What the planted bugs remember.
#[derive(Default)]
struct Planted {
    /// Answered, and not written yet.
    late: Vec<Transition>,
    /// Leased, and since when.
    leases: BTreeMap<String, (Lease, i64)>,
}

/// What becomes of one write.
enum Fate {
    Done,
    NotDone(StoreError),
    AnswerLost,
    DeadBefore,
    DeadAfter,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Disk").field("plant", &self.plant).finish_non_exhaustive()
    }
}

impl Disk {
    pub(crate) fn new(inner: Arc<Model>, world: Arc<World>, ledger: Arc<Ledger>, plant: Option<Plant>) -> Self {
        Self { inner, world, ledger, plant, planted: Mutex::default() }
    }

    fn planted(&self) -> MutexGuard<'_, Planted> {
        self.planted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn fate(&self) -> Fate {
        let weather = self.world.weather();
        if self.world.chance(weather.crashes) {
            let is_after = self.world.chance(5_000);
            self.world.fault(if is_after { "process killed after a commit" } else { "process killed before a commit" });
            return if is_after { Fate::DeadAfter } else { Fate::DeadBefore };
        }
        if !self.world.chance(weather.commits) {
            return Fate::Done;
        }
        match self.world.between(0, 3) {
            0 => {
                self.world.fault("database busy");
                Fate::NotDone(StoreError::Busy)
            }
            1 => {
                self.world.fault("database failed");
                Fate::NotDone(StoreError::Engine("simulated".into()))
            }
            _ => {
                self.world.fault("commit made, answer lost");
                Fate::AnswerLost
            }
        }
    }

    async fn write<T>(
        &self,
        name: &str,
        act: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.world.stir();
        let fate = self.fate();
        match fate {
            Fate::Done => act.await,
            Fate::NotDone(error) => {
                self.world.tell(|| format!("the store does not do {name}: {error}"));
                Err(error)
            }
            Fate::AnswerLost => {
                let _ = act.await;
                self.world.tell(|| format!("the answer to {name} is lost"));
                Err(StoreError::Engine("the answer was lost".into()))
            }
            Fate::DeadBefore => self.world.die().await,
            Fate::DeadAfter => {
                let _ = act.await;
                self.world.die().await
            }
        }
    }

    fn read(&self) -> Result<(), StoreError> {
        if !self.world.chance(self.world.weather().reads) {
            return Ok(());
        }
        self.world.fault("a read failed");
        Err(StoreError::Engine("simulated".into()))
    }

    /// The planted swap: what was answered is written only now, after whatever was done on the strength of it.
    async fn catch_up(&self) {
        let late = std::mem::take(&mut self.planted().late);
        for transition in late {
            let _ = self.inner.commit(transition).await;
        }
    }

    async fn put(&self, mut transition: Transition) -> Result<(), StoreError> {
        self.catch_up().await;
        if self.plant == Some(Plant::SwappedOrder) && transition.name == CommitName::StepIntent {
            self.planted().late.push(transition);
            return Ok(());
        }
        if self.plant == Some(Plant::MarkerCleared) {
            for account in &mut transition.accounts {
                (account.known.create_sent, account.gave_at) = (None, None);
            }
        }
        self.inner.commit(transition.clone()).await?;
        self.ledger.committed(&transition);
        Ok(())
    }

    async fn commit_it(&self, transition: Transition) -> Result<(), StoreError> {
        let name = transition.name;
        let accounts: Vec<String> = transition
            .accounts
            .iter()
            .map(|a| a.id.to_string())
            .chain(transition.grants.iter().map(|g| g.account.to_string()))
            .collect();
        self.world.tell(|| commit_line(&transition));
        let result = self.write("a commit", self.put(transition)).await;
        let Err(error) = result else { return Ok(()) };
        let now = self.world.now();
        accounts.iter().for_each(|account| self.world.excuse(account, now, now + 370 * SECOND));
        if self.plant == Some(Plant::SwallowedError) {
            self.world.tell(|| format!("(planted) {name:?} failed and nobody is told: {error}"));
            return Ok(());
        }
        Err(error)
    }

    /// The planted disregard: whoever asks gets what somebody else has had for more than a second.
    async fn claim_it(&self, claim: &Claim) -> Result<Vec<Task>, StoreError> {
        if self.plant != Some(Plant::LeaseIgnored) {
            return self.inner.claim(claim).await;
        }
        let now = self.world.now();
        let leases: Vec<Lease> =
            self.planted().leases.values().filter(|(_, since)| now - since > SECOND).map(|(l, _)| l.clone()).collect();
        for lease in leases {
            self.planted().leases.remove(&lease.task);
            let _ = self.inner.finish(&lease, Finish::At(claim.now)).await;
        }
        let tasks = self.inner.claim(claim).await?;
        for task in &tasks {
            self.planted().leases.insert(task.lease.task.clone(), (task.lease.clone(), now));
        }
        Ok(tasks)
    }
}

fn commit_line(t: &Transition) -> String {
    use std::fmt::Write as _;
    let mut line = format!("commit {:?}", t.name);
    for grant in &t.grants {
        let _ = write!(line, " grant {} {} of {} on {}", grant.id, grant.state.name(), grant.ticket, grant.account);
    }
    for account in &t.accounts {
        let _ = write!(line, " account {}", account.id);
    }
    for notice in &t.notices {
        let _ = write!(line, " notice {} of {}", notice.id, notice.ticket);
    }
    if let Some((delivery, outcome)) = &t.delivery_done {
        let _ = write!(line, " delivery {delivery} {outcome}");
    }
    for entry in t.audit.iter().filter(|e| e.code.as_str().starts_with("step.")) {
        let step = &entry.detail["step"];
        let _ = write!(line, " {} {step}", entry.code);
    }
    line
}

/// Every verb that only passes through: what reads may fail, what writes has a fate.
macro_rules! disk {
    (reads { $($read:ident($($ra:ident: $rt:ty),*) -> $ro:ty;)* } writes { $($write:ident($($wa:ident: $wt:ty),*) -> $wo:ty;)* }) => {
        #[async_trait::async_trait]
        impl Store for Disk {
            fn changed(&self) -> Arc<Notify> {
                self.inner.changed()
            }
            async fn commit(&self, transition: Transition) -> Result<(), StoreError> {
                self.commit_it(transition).await
            }
            async fn claim(&self, claim: &Claim) -> Result<Vec<Task>, StoreError> {
                self.write("claim", self.claim_it(claim)).await
            }
            $(async fn $read(&self $(, $ra: $rt)*) -> Result<$ro, StoreError> {
                self.read()?;
                self.inner.$read($($ra),*).await
            })*
            $(async fn $write(&self $(, $wa: $wt)*) -> Result<$wo, StoreError> {
                self.write(stringify!($write), self.inner.$write($($wa),*)).await
            })*
        }
    };
}

disk! {
    reads {
        delivery(id: &str) -> Option<StoredDelivery>;
        rules() -> Rules;
        revision() -> i64;
        history(limit: u32) -> Vec<Revision>;
        rulebook_history(limit: u32) -> Vec<Revision>;
        rulebook_at(revision: i64) -> Option<Rulebook>;
        count_grants(scope: &Scope, since: &str, before: Option<&str>) -> u32;
        open_grants_in(scope: &Scope, after: Option<&GrantId>, limit: u32) -> Vec<Grant>;
        newest_grants(scope: &Scope, limit: u32) -> Vec<Grant>;
        deliveries(only_open: bool, limit: u32) -> Vec<StoredDelivery>;
        tasks(limit: u32) -> Vec<TaskRow>;
        account_named(directory: &ConnectionId, name: &str) -> Option<Account>;
        alert(id: &str) -> Option<Alert>;
        mail(id: &MailId) -> Option<OwedMail>;
        mails(limit: u32) -> Vec<OwedMail>;
        mails_given_up(since: Timestamp) -> u64;
        grant(id: &GrantId) -> Option<Grant>;
        open_grants(account: &AccountId) -> Vec<Grant>;
        grants_of_ticket(ticket: &TicketRef) -> Vec<Grant>;
        grants_of_person(person: &PersonId, limit: u32) -> Vec<Grant>;
        account(id: &AccountId) -> Option<Account>;
        accounts_in(directory: &ConnectionId, after: Option<&AccountId>, limit: u32) -> Vec<Account>;
        accounts_of(person: &PersonId, directory: &ConnectionId, mode: Mode) -> Vec<Account>;
        accounts(after: Option<&AccountId>, limit: u32) -> Vec<Account>;
        sighting(ticket: &TicketRef, mapping: &MappingId) -> Option<Sighting>;
        open_notices(ticket: &TicketRef) -> Vec<Notice>;
        notices_of(grant: &GrantId) -> Vec<Notice>;
        sealed(id: &SecretId) -> Option<SealedRow>;
        sealed_named(name: &str) -> Option<SealedRow>;
        sealed_names() -> Vec<String>;
        sealed_page(after: Option<&SecretId>, limit: u32) -> Vec<SealedRow>;
        audit(after: i64, limit: u32) -> Vec<AuditEntry>;
        newest_audit(codes: &[Code], limit: u32) -> Vec<AuditEntry>;
        audit_rows(filter: &AuditFilter, after: i64, limit: u32) -> Vec<AuditRow>;
        audit_head() -> Option<Head>;
        audit_checkpoints() -> Vec<Checkpoint>;
        audit_prunable(before: Timestamp) -> Option<Prunable>;
        audit_owed() -> u64;
        factors(person: &PersonId) -> Option<Factors>;
        invitation(token_hash: &str, now: Timestamp) -> Option<Invitation>;
        failures(key: &str, since: Timestamp) -> u32;
        next_due() -> Option<Timestamp>;
        queue(now: Timestamp) -> QueueState;
        cursor(connection: &ConnectionId) -> Option<Cursor>;
        trouble(connection: &ConnectionId, kind: TroubleKind) -> Option<Trouble>;
        troubles() -> Vec<Trouble>;
        unseen(connection: &ConnectionId, changed: &[TicketChanged]) -> Vec<TicketId>;
        looks_ahead(connection: &ConnectionId) -> u64;
        tickets_with_access(connection: &ConnectionId, turn: i64, at_once: u32) -> Vec<TicketRef>;
        people_here(now: Timestamp) -> Vec<PersonId>;
        last_seen() -> Option<Timestamp>;
        counted_since() -> Option<Timestamp>;
        generation() -> Generation;
    }
    writes {
        record_delivery(delivery: NewDelivery) -> Recorded;
        save_rules(rules: &Rules, by: &str, reason: &str, at: Timestamp) -> i64;
        touch(changed: &[String], by: &str, reason: &str, at: Timestamp) -> i64;
        set_hold(hold: &Hold) -> i64;
        lift_hold(on: &HoldOn, up_to: HoldCause, by: &str, reason: &str, at: Timestamp) -> bool;
        rewrap(rows: Vec<Rewrapped>) -> u64;
        retire_key(key_id: &str) -> u64;
        audit_prune(checkpoint: &Checkpoint, entry: AuditEntry) -> ();
        chain_owed() -> ();
        enroll(enrolled: &Enrolled) -> ();
        invite(invitation: &Invitation, by: &By, at: Timestamp) -> ();
        uninvite(person: &PersonId) -> ();
        choose(token_hash: &str, chosen: &Chosen, now: Timestamp) -> ();
        use_step(person: &PersonId, step: i64) -> bool;
        count_failure(key: &str, at: Timestamp, since: Timestamp) -> u32;
        open_session(session: &Session, tasks: Vec<NewTask>, now: Timestamp) -> ();
        session(token_hash: &str, now: Timestamp, idle_end: Timestamp) -> Option<Session>;
        close_session(token_hash: &str) -> ();
        renew(lease: &Lease, until: Timestamp) -> bool;
        finish(lease: &Lease, finish: Finish) -> bool;
        sweep(now: Timestamp) -> u64;
        heartbeat(now: Timestamp) -> ();
        heartbeat_in_doubt(now: Timestamp) -> ();
        raise_generation(seen: i64) -> i64;
        end_comparing(seen: i64, settled: Comparing) -> i64;
        compared_so_far(comparing: Comparing, directories: &[ConnectionId]) -> ();
        compare_first(comparing: Comparing) -> Comparing;
    }
}
