//! Somebody between the service and its store, who counts what is asked of it; and who, where the door is measured alone,
//! forgets the deliveries.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
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
use tokio::sync::Notify;

/// How often each verb was used.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<BTreeMap<&'static str, u64>>);

impl Calls {
    fn count(&self, verb: &'static str) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(verb).or_default() += 1;
    }

    /// On one line.
    pub(crate) fn json(&self) -> String {
        serde_json::json!(*self.0.lock().unwrap_or_else(PoisonError::into_inner)).to_string()
    }
}

/// The store, with somebody before it.
#[derive(Debug)]
pub(crate) struct Counted {
    inner: Arc<dyn Store>,
    calls: Arc<Calls>,
    forgets: bool,
}

impl Counted {
    pub(crate) const fn new(inner: Arc<dyn Store>, calls: Arc<Calls>, forgets: bool) -> Self {
        Self { inner, calls, forgets }
    }
}

/// Every verb counted and handed on, but for recording a delivery.
macro_rules! counted {
    ($($verb:ident($($arg:ident: $type:ty),*) -> $out:ty;)*) => {
        #[async_trait::async_trait]
        impl Store for Counted {
            fn changed(&self) -> Arc<Notify> {
                self.inner.changed()
            }
            async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded, StoreError> {
                self.calls.count("record_delivery");
                if self.forgets { Ok(Recorded::New) } else { self.inner.record_delivery(delivery).await }
            }
            $(
                async fn $verb(&self, $($arg: $type),*) -> Result<$out, StoreError> {
                    self.calls.count(stringify!($verb));
                    self.inner.$verb($($arg),*).await
                }
            )*
        }
    };
}

counted! {
    delivery(id: &str) -> Option<StoredDelivery>;
    rules() -> Rules;
    revision() -> i64;
    save_rules(rules: &Rules, by: &str, reason: &str, at: Timestamp) -> i64;
    touch(changed: &[String], by: &str, reason: &str, at: Timestamp) -> i64;
    history(limit: u32) -> Vec<Revision>;
    rulebook_history(limit: u32) -> Vec<Revision>;
    rulebook_at(revision: i64) -> Option<Rulebook>;
    set_hold(hold: &Hold) -> i64;
    lift_hold(on: &HoldOn, up_to: HoldCause, by: &str, reason: &str, at: Timestamp) -> bool;
    count_grants(scope: &Scope, since: &str, before: Option<&str>) -> u32;
    open_grants_in(scope: &Scope, after: Option<&GrantId>, limit: u32) -> Vec<Grant>;
    newest_grants(scope: &Scope, limit: u32) -> Vec<Grant>;
    deliveries(only_open: bool, limit: u32) -> Vec<StoredDelivery>;
    tasks(limit: u32) -> Vec<TaskRow>;
    account_named(directory: &ConnectionId, name: &str) -> Option<Account>;
    commit(transition: Transition) -> ();
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
    rewrap(rows: Vec<Rewrapped>) -> u64;
    retire_key(key_id: &str) -> u64;
    audit(after: i64, limit: u32) -> Vec<AuditEntry>;
    newest_audit(codes: &[Code], limit: u32) -> Vec<AuditEntry>;
    audit_rows(filter: &AuditFilter, after: i64, limit: u32) -> Vec<AuditRow>;
    audit_head() -> Option<Head>;
    audit_checkpoints() -> Vec<Checkpoint>;
    audit_prunable(before: Timestamp) -> Option<Prunable>;
    audit_prune(checkpoint: &Checkpoint, entry: AuditEntry) -> ();
    audit_owed() -> u64;
    chain_owed() -> ();
    factors(person: &PersonId) -> Option<Factors>;
    enroll(enrolled: &Enrolled) -> ();
    invite(invitation: &Invitation, by: &By, at: Timestamp) -> ();
    uninvite(person: &PersonId) -> ();
    invitation(token_hash: &str, now: Timestamp) -> Option<Invitation>;
    choose(token_hash: &str, chosen: &Chosen, now: Timestamp) -> ();
    use_step(person: &PersonId, step: i64) -> bool;
    count_failure(key: &str, at: Timestamp, since: Timestamp) -> u32;
    failures(key: &str, since: Timestamp) -> u32;
    open_session(session: &Session, tasks: Vec<NewTask>, now: Timestamp) -> ();
    session(token_hash: &str, now: Timestamp, idle_end: Timestamp) -> Option<Session>;
    close_session(token_hash: &str) -> ();
    claim(claim: &Claim) -> Vec<Task>;
    renew(lease: &Lease, until: Timestamp) -> bool;
    finish(lease: &Lease, finish: Finish) -> bool;
    next_due() -> Option<Timestamp>;
    queue(now: Timestamp) -> QueueState;
    cursor(connection: &ConnectionId) -> Option<Cursor>;
    trouble(connection: &ConnectionId, kind: TroubleKind) -> Option<Trouble>;
    troubles() -> Vec<Trouble>;
    unseen(connection: &ConnectionId, changed: &[TicketChanged]) -> Vec<TicketId>;
    looks_ahead(connection: &ConnectionId) -> u64;
    tickets_with_access(connection: &ConnectionId, turn: i64, at_once: u32) -> Vec<TicketRef>;
    people_here(now: Timestamp) -> Vec<PersonId>;
    sweep(now: Timestamp) -> u64;
    heartbeat(now: Timestamp) -> ();
    last_seen() -> Option<Timestamp>;
    heartbeat_in_doubt(now: Timestamp) -> ();
    counted_since() -> Option<Timestamp>;
    generation() -> Generation;
    raise_generation(seen: i64) -> i64;
    end_comparing(seen: i64, settled: Comparing) -> i64;
    compared_so_far(comparing: Comparing, directories: &[ConnectionId]) -> ();
    compare_first(comparing: Comparing) -> Comparing;
}
