//! The service's store with somebody watching: every commit is written down, and at one of them the process dies.
//!
//! Also tells when the service has nothing left to do at its clock's time, leases of a dead predecessor aside.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::File,
    io::Write as _,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
};

use latchkey::{
    access::{Account, Grant, trigger::Sighting},
    audit::{AuditFilter, AuditRow, By, Checkpoint, Code, Head, Prunable},
    jobs::task::{Lease, NewTask, Task},
    rulebook::{Hold, HoldCause, HoldOn, Rulebook, Rules},
    store::{
        Alert, AuditEntry, Chosen, Claim, Comparing, Cursor, Enrolled, Factors, Finish, Generation, Invitation,
        NewDelivery, Notice, OwedMail, QueueState, Recorded, Revision, Rewrapped, Scope, SealedRow, Session, Store,
        StoreError, StoredDelivery, TaskRow, Transition, Trouble, TroubleKind,
    },
};
use latchkey_contract::{
    AccountId, ConnectionId, GrantId, MailId, MappingId, PersonId, SecretId, TicketId, TicketRef, Timestamp,
    directory::Mode, ticket::TicketChanged,
};
use rustix::process::{Signal, getpid, kill_process};
use tokio::sync::Notify;

use crate::{
    point::{Point, Side, of_commit},
    still::StandStill,
    wrong::Obstacle,
};

/// What was reached in which order, in a file that outlives the process.
#[derive(Debug)]
struct Trace {
    file: Mutex<File>,
    counts: Mutex<BTreeMap<String, usize>>,
    kill: Option<Point>,
}

impl Trace {
    fn line(&self, line: &str) {
        let mut file = self.file.lock().unwrap();
        file.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// Somebody is about to do this: the how manieth time, if it is known beforehand what it will be.
    fn before(&self, name: &str) -> usize {
        let mut counts = self.counts.lock().unwrap();
        let count = counts.entry(name.to_owned()).or_default();
        *count += 1;
        let nth = *count;
        drop(counts);
        self.at(Point { name: name.to_owned(), nth, side: Side::Before });
        nth
    }

    fn after(&self, name: &str, nth: usize) {
        self.at(Point { name: name.to_owned(), nth, side: Side::After });
    }

    fn at(&self, point: Point) {
        if self.kill.as_ref() == Some(&point) {
            // Nobody else writes a line after this one.
            let mut file = self.file.lock().unwrap();
            file.write_all(format!("killed {point}\n").as_bytes()).unwrap();
            kill_process(getpid(), Signal::KILL).unwrap();
            loop {
                std::thread::park();
            }
        }
        self.line(&point.to_string());
    }
}

/// Between the service and its store.
#[derive(Debug)]
pub(crate) struct Watched {
    inner: Arc<dyn Store>,
    trace: Trace,
    obstacle: Option<Arc<Obstacle>>,
    still: Option<Arc<StandStill>>,
    /// Leases held, by task and fence, with the kind of work.
    open: Mutex<BTreeMap<(String, i64), String>>,
    under_way: AtomicUsize,
    /// Counts what may have made something due.
    stirs: AtomicU64,
    /// What was counted when a claim began that found nothing.
    found_nothing_at: AtomicU64,
    has_claimed: AtomicBool,
}

impl Watched {
    pub(crate) fn new(inner: Arc<dyn Store>, trace: &Path, kill: Option<Point>) -> Self {
        let file = File::options().create(true).append(true).open(trace).unwrap();
        Self {
            inner,
            trace: Trace { file: Mutex::new(file), counts: Mutex::default(), kill },
            obstacle: None,
            still: None,
            open: Mutex::default(),
            under_way: AtomicUsize::new(0),
            stirs: AtomicU64::new(0),
            found_nothing_at: AtomicU64::new(0),
            has_claimed: AtomicBool::new(false),
        }
    }

    /// With something in the way of one commit.
    pub(crate) fn hindered(self, obstacle: Option<Arc<Obstacle>>) -> Self {
        Self { obstacle, ..self }
    }

    /// Standing still at one commit, or when somebody says so.
    pub(crate) fn standing(self, still: &Arc<StandStill>) -> Self {
        Self { still: Some(Arc::clone(still)), ..self }
    }

    /// The clock was moved, so something may be due.
    pub(crate) fn moved(&self, now: Timestamp) {
        self.trace.line(&format!("time {now}"));
        self.stir();
    }

    /// Something may be due: a commit says so itself.
    fn stir(&self) {
        self.stirs.fetch_add(1, Ordering::SeqCst);
        self.inner.changed().notify_one();
    }

    /// Nothing runs, and since the last commit a claim found nothing.
    pub(crate) fn is_quiet(&self) -> bool {
        self.has_claimed.load(Ordering::SeqCst)
            && self.under_way.load(Ordering::SeqCst) == 0
            && self.open.lock().unwrap().is_empty()
            && self.found_nothing_at.load(Ordering::SeqCst) == self.stirs.load(Ordering::SeqCst)
    }

    async fn around<T>(
        &self,
        name: &str,
        act: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        self.under_way.fetch_add(1, Ordering::SeqCst);
        let result = self.aside(name, act).await;
        if let Some(still) = &self.still {
            still.written(name);
        }
        self.stirs.fetch_add(1, Ordering::SeqCst);
        self.under_way.fetch_sub(1, Ordering::SeqCst);
        self.inner.changed().notify_one();
        result
    }

    /// The same for what makes nothing due, and is done now and then whatever else happens.
    async fn aside<T>(
        &self,
        name: &str,
        act: impl Future<Output = Result<T, StoreError>> + Send,
    ) -> Result<T, StoreError> {
        let nth = self.trace.before(name);
        match self.obstacle.as_ref().and_then(|obstacle| obstacle.meets(name)) {
            Some((error, false)) => Err(error),
            Some((error, true)) => {
                let written = act.await;
                if written.is_ok() {
                    self.trace.after(name, nth);
                }
                written.and(Err(error))
            }
            None => {
                let result = act.await;
                if result.is_ok() {
                    self.trace.after(name, nth);
                }
                result
            }
        }
    }

    fn settled(&self, lease: &Lease) {
        self.open.lock().unwrap().remove(&held(lease));
    }
}

/// A task is leased again under the same name as soon as its last run is settled.
fn held(lease: &Lease) -> (String, i64) {
    (lease.task.clone(), lease.fence)
}

#[async_trait::async_trait]
impl Store for Watched {
    fn changed(&self) -> Arc<Notify> {
        self.inner.changed()
    }
    async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded, StoreError> {
        self.around("commit record-delivery", self.inner.record_delivery(delivery)).await
    }
    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        self.inner.delivery(id).await
    }
    async fn rules(&self) -> Result<Rules, StoreError> {
        self.inner.rules().await
    }
    async fn revision(&self) -> Result<i64, StoreError> {
        self.inner.revision().await
    }
    async fn save_rules(&self, rules: &Rules, by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError> {
        self.around("commit save-rules", self.inner.save_rules(rules, by, reason, at)).await
    }
    async fn touch(&self, changed: &[String], by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError> {
        self.around("commit touch", self.inner.touch(changed, by, reason, at)).await
    }
    async fn history(&self, limit: u32) -> Result<Vec<Revision>, StoreError> {
        self.inner.history(limit).await
    }
    async fn rulebook_history(&self, limit: u32) -> Result<Vec<Revision>, StoreError> {
        self.inner.rulebook_history(limit).await
    }
    async fn rulebook_at(&self, revision: i64) -> Result<Option<Rulebook>, StoreError> {
        self.inner.rulebook_at(revision).await
    }
    async fn set_hold(&self, hold: &Hold) -> Result<i64, StoreError> {
        self.around("commit set-hold", self.inner.set_hold(hold)).await
    }
    async fn lift_hold(
        &self,
        on: &HoldOn,
        up_to: HoldCause,
        by: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        self.around("commit lift-hold", self.inner.lift_hold(on, up_to, by, reason, at)).await
    }
    async fn count_grants(&self, scope: &Scope, since: &str, before: Option<&str>) -> Result<u32, StoreError> {
        self.inner.count_grants(scope, since, before).await
    }
    async fn open_grants_in(
        &self,
        scope: &Scope,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        self.inner.open_grants_in(scope, after, limit).await
    }
    async fn newest_grants(&self, scope: &Scope, limit: u32) -> Result<Vec<Grant>, StoreError> {
        self.inner.newest_grants(scope, limit).await
    }
    async fn deliveries(&self, only_open: bool, limit: u32) -> Result<Vec<StoredDelivery>, StoreError> {
        self.inner.deliveries(only_open, limit).await
    }
    async fn tasks(&self, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        self.inner.tasks(limit).await
    }
    async fn alert(&self, id: &str) -> Result<Option<Alert>, StoreError> {
        self.inner.alert(id).await
    }
    async fn mail(&self, id: &MailId) -> Result<Option<OwedMail>, StoreError> {
        self.inner.mail(id).await
    }
    async fn mails_given_up(&self, since: Timestamp) -> Result<u64, StoreError> {
        self.inner.mails_given_up(since).await
    }

    async fn mails(&self, limit: u32) -> Result<Vec<OwedMail>, StoreError> {
        self.inner.mails(limit).await
    }
    async fn account_named(&self, directory: &ConnectionId, name: &str) -> Result<Option<Account>, StoreError> {
        self.inner.account_named(directory, name).await
    }
    async fn commit(&self, transition: Transition) -> Result<(), StoreError> {
        let name = of_commit(&transition);
        let settles = transition.lease.clone().filter(|(_, finish)| *finish != Finish::Keep);
        let result = self.around(&name, self.inner.commit(transition)).await;
        if let (Ok(()), Some((lease, _))) = (&result, settles) {
            self.settled(&lease);
        }
        result
    }
    async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        self.inner.grant(id).await
    }
    async fn open_grants(&self, account: &AccountId) -> Result<Vec<Grant>, StoreError> {
        self.inner.open_grants(account).await
    }
    async fn grants_of_ticket(&self, ticket: &TicketRef) -> Result<Vec<Grant>, StoreError> {
        self.inner.grants_of_ticket(ticket).await
    }
    async fn grants_of_person(&self, person: &PersonId, limit: u32) -> Result<Vec<Grant>, StoreError> {
        self.inner.grants_of_person(person, limit).await
    }
    async fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        self.inner.account(id).await
    }
    async fn accounts_in(
        &self,
        directory: &ConnectionId,
        after: Option<&AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        self.inner.accounts_in(directory, after, limit).await
    }
    async fn accounts_of(
        &self,
        person: &PersonId,
        directory: &ConnectionId,
        mode: Mode,
    ) -> Result<Vec<Account>, StoreError> {
        self.inner.accounts_of(person, directory, mode).await
    }
    async fn accounts(&self, after: Option<&AccountId>, limit: u32) -> Result<Vec<Account>, StoreError> {
        self.inner.accounts(after, limit).await
    }
    async fn sighting(&self, ticket: &TicketRef, mapping: &MappingId) -> Result<Option<Sighting>, StoreError> {
        self.inner.sighting(ticket, mapping).await
    }
    async fn open_notices(&self, ticket: &TicketRef) -> Result<Vec<Notice>, StoreError> {
        self.inner.open_notices(ticket).await
    }
    async fn notices_of(&self, grant: &GrantId) -> Result<Vec<Notice>, StoreError> {
        self.inner.notices_of(grant).await
    }
    async fn sealed(&self, id: &SecretId) -> Result<Option<SealedRow>, StoreError> {
        self.inner.sealed(id).await
    }
    async fn sealed_named(&self, name: &str) -> Result<Option<SealedRow>, StoreError> {
        self.inner.sealed_named(name).await
    }
    async fn sealed_names(&self) -> Result<Vec<String>, StoreError> {
        self.inner.sealed_names().await
    }
    async fn sealed_page(&self, after: Option<&SecretId>, limit: u32) -> Result<Vec<SealedRow>, StoreError> {
        self.inner.sealed_page(after, limit).await
    }
    async fn rewrap(&self, rows: Vec<Rewrapped>) -> Result<u64, StoreError> {
        self.around("commit rewrap", self.inner.rewrap(rows)).await
    }
    async fn retire_key(&self, key_id: &str) -> Result<u64, StoreError> {
        self.around("commit retire-key", self.inner.retire_key(key_id)).await
    }
    async fn audit(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.audit(after, limit).await
    }
    async fn newest_audit(&self, codes: &[Code], limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.inner.newest_audit(codes, limit).await
    }
    async fn audit_rows(&self, filter: &AuditFilter, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        self.inner.audit_rows(filter, after, limit).await
    }
    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        self.inner.audit_head().await
    }
    async fn audit_checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        self.inner.audit_checkpoints().await
    }
    async fn audit_prunable(&self, before: Timestamp) -> Result<Option<Prunable>, StoreError> {
        self.inner.audit_prunable(before).await
    }
    async fn audit_prune(&self, checkpoint: &Checkpoint, entry: AuditEntry) -> Result<(), StoreError> {
        self.around("commit audit-prune", self.inner.audit_prune(checkpoint, entry)).await
    }
    async fn audit_owed(&self) -> Result<u64, StoreError> {
        self.inner.audit_owed().await
    }
    async fn chain_owed(&self) -> Result<(), StoreError> {
        self.inner.chain_owed().await
    }
    async fn factors(&self, person: &PersonId) -> Result<Option<Factors>, StoreError> {
        self.inner.factors(person).await
    }
    async fn enroll(&self, enrolled: &Enrolled) -> Result<(), StoreError> {
        self.around("commit enroll", self.inner.enroll(enrolled)).await
    }
    async fn invite(&self, invitation: &Invitation, by: &By, at: Timestamp) -> Result<(), StoreError> {
        self.around("commit invite", self.inner.invite(invitation, by, at)).await
    }
    async fn uninvite(&self, person: &PersonId) -> Result<(), StoreError> {
        self.around("commit uninvite", self.inner.uninvite(person)).await
    }
    async fn invitation(&self, token_hash: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        self.inner.invitation(token_hash, now).await
    }
    async fn choose(&self, token_hash: &str, chosen: &Chosen, now: Timestamp) -> Result<(), StoreError> {
        self.around("commit choose", self.inner.choose(token_hash, chosen, now)).await
    }
    async fn use_step(&self, person: &PersonId, step: i64) -> Result<bool, StoreError> {
        self.around("commit use-step", self.inner.use_step(person, step)).await
    }
    async fn count_failure(&self, key: &str, at: Timestamp, since: Timestamp) -> Result<u32, StoreError> {
        self.around("commit count-failure", self.inner.count_failure(key, at, since)).await
    }
    async fn failures(&self, key: &str, since: Timestamp) -> Result<u32, StoreError> {
        self.inner.failures(key, since).await
    }
    async fn open_session(&self, session: &Session, tasks: Vec<NewTask>, now: Timestamp) -> Result<(), StoreError> {
        self.around("commit open-session", self.inner.open_session(session, tasks, now)).await
    }
    async fn session(
        &self,
        token_hash: &str,
        now: Timestamp,
        idle_end: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.aside("commit session", self.inner.session(token_hash, now, idle_end)).await
    }
    async fn close_session(&self, token_hash: &str) -> Result<(), StoreError> {
        self.around("commit close-session", self.inner.close_session(token_hash)).await
    }
    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>, StoreError> {
        let stirs = self.stirs.load(Ordering::SeqCst);
        let tasks = self.inner.claim(claim).await?;
        {
            let mut open = self.open.lock().unwrap();
            open.extend(tasks.iter().map(|t| (held(&t.lease), t.work.name().to_owned())));
        }
        if tasks.is_empty() {
            self.found_nothing_at.store(stirs, Ordering::SeqCst);
        }
        self.has_claimed.store(true, Ordering::SeqCst);
        let kinds: BTreeSet<&str> = tasks.iter().map(|t| t.work.name()).collect();
        for kind in kinds {
            let name = format!("commit claim/{kind}");
            let nth = self.trace.before(&name);
            self.trace.after(&name, nth);
            if let Some((error, true)) = self.obstacle.as_ref().and_then(|obstacle| obstacle.meets(&name)) {
                self.open.lock().unwrap().retain(|held, _| tasks.iter().all(|task| self::held(&task.lease) != *held));
                return Err(error);
            }
        }
        Ok(tasks)
    }
    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool, StoreError> {
        if self.still.as_ref().is_some_and(|still| still.is_now()) {
            return Err(StoreError::Busy);
        }
        self.aside("commit renew", self.inner.renew(lease, until)).await
    }
    async fn finish(&self, lease: &Lease, finish: Finish) -> Result<bool, StoreError> {
        let kind = self.open.lock().unwrap().get(&held(lease)).cloned().unwrap_or_default();
        let result = self.around(&format!("commit finish/{kind}"), self.inner.finish(lease, finish)).await;
        self.settled(lease);
        result
    }
    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.next_due().await
    }
    async fn queue(&self, now: Timestamp) -> Result<QueueState, StoreError> {
        self.inner.queue(now).await
    }
    async fn cursor(&self, connection: &ConnectionId) -> Result<Option<Cursor>, StoreError> {
        self.inner.cursor(connection).await
    }
    async fn trouble(&self, connection: &ConnectionId, kind: TroubleKind) -> Result<Option<Trouble>, StoreError> {
        self.inner.trouble(connection, kind).await
    }
    async fn troubles(&self) -> Result<Vec<Trouble>, StoreError> {
        self.inner.troubles().await
    }
    async fn unseen(&self, connection: &ConnectionId, changed: &[TicketChanged]) -> Result<Vec<TicketId>, StoreError> {
        self.inner.unseen(connection, changed).await
    }
    async fn looks_ahead(&self, connection: &ConnectionId) -> Result<u64, StoreError> {
        self.inner.looks_ahead(connection).await
    }
    async fn tickets_with_access(
        &self,
        connection: &ConnectionId,
        turn: i64,
        at_once: u32,
    ) -> Result<Vec<TicketRef>, StoreError> {
        self.inner.tickets_with_access(connection, turn, at_once).await
    }
    async fn people_here(&self, now: Timestamp) -> Result<Vec<PersonId>, StoreError> {
        self.inner.people_here(now).await
    }
    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        let made = self.aside("commit sweep", self.inner.sweep(now)).await;
        // Of whoever heard no answer nobody knows what was made.
        if made.as_ref().map_or(true, |made| *made > 0) {
            self.stir();
        }
        made
    }
    async fn heartbeat(&self, now: Timestamp) -> Result<(), StoreError> {
        self.aside("commit heartbeat", self.inner.heartbeat(now)).await
    }
    async fn last_seen(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.last_seen().await
    }
    async fn heartbeat_in_doubt(&self, now: Timestamp) -> Result<(), StoreError> {
        self.aside("commit heartbeat-in-doubt", self.inner.heartbeat_in_doubt(now)).await
    }
    async fn counted_since(&self) -> Result<Option<Timestamp>, StoreError> {
        self.inner.counted_since().await
    }
    async fn generation(&self) -> Result<Generation, StoreError> {
        self.inner.generation().await
    }
    async fn raise_generation(&self, seen: i64) -> Result<i64, StoreError> {
        self.aside("commit raise-generation", self.inner.raise_generation(seen)).await
    }
    async fn end_comparing(&self, seen: i64, settled: Comparing) -> Result<i64, StoreError> {
        self.around("commit end-comparing", self.inner.end_comparing(seen, settled)).await
    }
    async fn compared_so_far(&self, comparing: Comparing, directories: &[ConnectionId]) -> Result<(), StoreError> {
        self.around("commit compared-so-far", self.inner.compared_so_far(comparing, directories)).await
    }
    async fn compare_first(&self, comparing: Comparing) -> Result<Comparing, StoreError> {
        self.aside("commit compare-first", self.inner.compare_first(comparing)).await
    }
}
