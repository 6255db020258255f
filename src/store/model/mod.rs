//! A store in memory that tells the same story as every engine, for tests alone: one seed gives one run, and what was
//! not synced when the process died is forgotten ([`Model::crash`]).
//!
//! The simulation has it too (`tests/simulation`), which is why it names nothing that a stranger could not.

mod audit;
mod commit;
mod people;
mod rules;
mod sweep;
mod tables;
mod tasks;
mod watched;

use std::sync::{
    Arc, Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use latchkey_contract::{
    AccountId, ConnectionId, GrantId, MailId, MappingId, PersonId, SecretId, TicketId, TicketRef, Timestamp,
    directory::Mode, ticket::TicketChanged,
};
use tokio::sync::Notify;

use self::tables::{Chained, Db, Tables};
use crate::{
    access::{Account, Grant, trigger::Sighting},
    audit::{AuditEntry, AuditFilter, AuditRow, By, Checkpoint, Code, Head, Prunable},
    jobs::task::{Lease, NewTask, Task},
    rulebook::{Hold, HoldCause, HoldOn, Rulebook, Rules},
    store::{
        Alert, Chosen, Claim, Comparing, Cursor, Enrolled, Factors, Finish, Generation, Invitation, MailState,
        NewDelivery, Notice, OwedMail, QueueState, Recorded, Revision, Rewrapped, Scope, SealedRow, Session, Store,
        StoreError, StoredDelivery, TaskRow, Transition, Trouble, TroubleKind,
    },
};

/// The store.
#[derive(Debug, Default)]
pub(crate) struct Model {
    db: Mutex<Db>,
    changed: Arc<Notify>,
    /// Syncs with every so manieth write; with each where there is none.
    lazy: Option<u64>,
    writes: AtomicU64,
    is_chain_broken: AtomicBool,
}

/// Who changed what is in force, and why.
#[derive(Debug)]
struct Change {
    by: String,
    reason: String,
    at: Timestamp,
}

impl Model {
    /// One that answers before it has synced: what no engine of ours may do.
    pub(crate) fn lazy() -> Self {
        Self { lazy: Some(50), ..Self::default() }
    }

    /// The process died: what was not synced is forgotten.
    pub(crate) fn crash(&self) {
        self.lock().back_to(0);
    }

    /// From now on the audit chain takes no entry, or takes them again.
    pub(crate) fn break_chain(&self, is_broken: bool) {
        self.is_chain_broken.store(is_broken, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Db> {
        self.db.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read<T>(&self, look: impl FnOnce(&Tables) -> T) -> T {
        look(&self.lock().rows)
    }

    fn is_broken(&self) -> bool {
        self.is_chain_broken.load(Ordering::Relaxed)
    }

    /// One transaction: whole or not at all, and synced before it is answered.
    fn write<T>(&self, act: impl FnOnce(&mut Db) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut db = self.lock();
        let mark = db.mark();
        let result = act(&mut db);
        if result.is_err() {
            db.back_to(mark);
        } else if self.lazy.is_none_or(|every| self.writes.fetch_add(1, Ordering::Relaxed) % every == every - 1) {
            db.sync();
        }
        drop(db);
        self.changed.notify_one();
        result
    }
}

fn delivered((new, outcome): &(NewDelivery, Option<String>)) -> StoredDelivery {
    StoredDelivery {
        id: new.id.clone(),
        connection: new.connection.clone(),
        event: new.event.clone(),
        received_at: new.received_at,
        outcome: outcome.clone(),
    }
}

fn first<T: Clone>(limit: u32, found: impl Iterator<Item = T>) -> Vec<T> {
    found.take(limit as usize).collect()
}

const GENERATION: &str = "generation";
const COMPARING: &str = "comparing";
const SO_FAR: &str = "compared";
const LAST_SEEN: &str = "last-seen";
const IN_DOUBT: &str = "last-seen-in-doubt";

#[async_trait::async_trait]
impl Store for Model {
    fn changed(&self) -> Arc<Notify> {
        Arc::clone(&self.changed)
    }

    async fn record_delivery(&self, delivery: NewDelivery) -> Result<Recorded, StoreError> {
        self.write(|db| Ok(commit::record(db, delivery)))
    }

    async fn delivery(&self, id: &str) -> Result<Option<StoredDelivery>, StoreError> {
        Ok(self.read(|t| t.deliveries.get(id).map(delivered)))
    }

    async fn deliveries(&self, only_open: bool, limit: u32) -> Result<Vec<StoredDelivery>, StoreError> {
        let is_wanted = |d: &&(NewDelivery, Option<String>)| !only_open || d.1.is_none();
        Ok(self.read(|t| first(limit, t.deliveries.values().rev().filter(is_wanted).map(delivered))))
    }

    async fn rules(&self) -> Result<Rules, StoreError> {
        Ok(self.read(rules::read))
    }

    async fn revision(&self) -> Result<i64, StoreError> {
        Ok(self.read(rules::revision))
    }

    async fn save_rules(&self, rules: &Rules, by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError> {
        let change = Change { by: by.to_owned(), reason: reason.to_owned(), at };
        self.write(|db| rules::save(db, rules, &change, self.is_broken()))
    }

    async fn touch(&self, changed: &[String], by: &str, reason: &str, at: Timestamp) -> Result<i64, StoreError> {
        let change = Change { by: by.to_owned(), reason: reason.to_owned(), at };
        self.write(|db| Ok(rules::count(db, &change, changed.to_vec())))
    }

    async fn history(&self, limit: u32) -> Result<Vec<Revision>, StoreError> {
        Ok(self.read(|t| first(limit, t.revisions.values().rev().cloned())))
    }

    async fn rulebook_history(&self, limit: u32) -> Result<Vec<Revision>, StoreError> {
        Ok(self.read(|t| {
            let of_the_rulebook = t.revisions.values().rev().filter(|r| t.rulebooks.contains_key(&r.revision));
            first(limit, of_the_rulebook.cloned())
        }))
    }

    async fn rulebook_at(&self, revision: i64) -> Result<Option<Rulebook>, StoreError> {
        Ok(self.read(|t| t.rulebooks.range(..=revision).next_back().map(|(_, book)| book.clone())))
    }

    async fn set_hold(&self, hold: &Hold) -> Result<i64, StoreError> {
        self.write(|db| rules::set_hold(db, hold, self.is_broken()))
    }

    async fn lift_hold(
        &self,
        on: &HoldOn,
        up_to: HoldCause,
        by: &str,
        reason: &str,
        at: Timestamp,
    ) -> Result<bool, StoreError> {
        let change = Change { by: by.to_owned(), reason: reason.to_owned(), at };
        self.write(|db| rules::lift_hold(db, on, up_to, &change, self.is_broken()))
    }

    async fn count_grants(&self, scope: &Scope, since: &str, before: Option<&str>) -> Result<u32, StoreError> {
        Ok(self.read(|t| commit::count_grants(t, scope, since, before)))
    }

    async fn open_grants_in(
        &self,
        scope: &Scope,
        after: Option<&GrantId>,
        limit: u32,
    ) -> Result<Vec<Grant>, StoreError> {
        Ok(self.read(|t| {
            let mut open: Vec<&Grant> = t.open_grants.keys().filter_map(|row| t.grants.get(row)).collect();
            open.retain(|g| commit::is_of(g, scope) && after.is_none_or(|after| g.id > *after));
            open.sort_by(|a, b| a.id.cmp(&b.id));
            first(limit, open.into_iter().cloned())
        }))
    }

    async fn newest_grants(&self, scope: &Scope, limit: u32) -> Result<Vec<Grant>, StoreError> {
        Ok(self.read(|t| first(limit, t.grants.values().rev().filter(|g| commit::is_of(g, scope)).cloned())))
    }

    async fn tasks(&self, limit: u32) -> Result<Vec<TaskRow>, StoreError> {
        Ok(self.read(|t| tasks::list(t, limit)))
    }

    async fn account_named(&self, directory: &ConnectionId, name: &str) -> Result<Option<Account>, StoreError> {
        let is_it = |a: &&Account| a.directory == *directory && a.name.eq_ignore_ascii_case(name);
        Ok(self.read(|t| t.accounts.values().rev().find(is_it).cloned()))
    }

    async fn commit(&self, transition: Transition) -> Result<(), StoreError> {
        self.write(|db| commit::commit(db, &transition, self.is_broken()))
    }

    async fn alert(&self, id: &str) -> Result<Option<Alert>, StoreError> {
        Ok(self.read(|t| t.alerts.get(id).cloned()))
    }

    async fn mail(&self, id: &MailId) -> Result<Option<OwedMail>, StoreError> {
        Ok(self.read(|t| t.mails.get(id).cloned()))
    }

    async fn mails(&self, limit: u32) -> Result<Vec<OwedMail>, StoreError> {
        Ok(self.read(|t| first(limit, t.mails.values().rev().cloned())))
    }

    async fn mails_given_up(&self, since: Timestamp) -> Result<u64, StoreError> {
        let is_counted = |mail: &&OwedMail| mail.at >= since && matches!(mail.state, MailState::GivenUp { .. });
        Ok(self.read(|t| t.mails.values().filter(is_counted).count() as u64))
    }

    async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        Ok(self.read(|t| t.grant_rows.get(id).and_then(|row| t.grants.get(row)).cloned()))
    }

    async fn open_grants(&self, account: &AccountId) -> Result<Vec<Grant>, StoreError> {
        Ok(self.read(|t| {
            let open = t.open_grants.keys().filter_map(|row| t.grants.get(row));
            open.filter(|g| g.account == *account).cloned().collect()
        }))
    }

    async fn grants_of_ticket(&self, ticket: &TicketRef) -> Result<Vec<Grant>, StoreError> {
        Ok(self.read(|t| t.grants.values().rev().filter(|g| g.ticket == *ticket).cloned().collect()))
    }

    async fn grants_of_person(&self, person: &PersonId, limit: u32) -> Result<Vec<Grant>, StoreError> {
        Ok(self.read(|t| first(limit, t.grants.values().rev().filter(|g| g.person == *person).cloned())))
    }

    async fn account(&self, id: &AccountId) -> Result<Option<Account>, StoreError> {
        Ok(self.read(|t| t.accounts.get(id).cloned()))
    }

    async fn accounts_in(
        &self,
        directory: &ConnectionId,
        after: Option<&AccountId>,
        limit: u32,
    ) -> Result<Vec<Account>, StoreError> {
        let is_wanted = |a: &&Account| a.directory == *directory && after.is_none_or(|after| a.id > *after);
        Ok(self.read(|t| first(limit, t.accounts.values().filter(is_wanted).cloned())))
    }

    async fn accounts_of(
        &self,
        person: &PersonId,
        directory: &ConnectionId,
        mode: Mode,
    ) -> Result<Vec<Account>, StoreError> {
        Ok(self.read(|t| {
            let is_used =
                |a: &Account| t.open_grants.keys().filter_map(|row| t.grants.get(row)).any(|g| g.account == a.id);
            let theirs = |a: &&Account| a.person == *person && a.directory == *directory && a.mode == mode;
            let found = t.accounts.values().filter(theirs);
            found.filter(|a| mode == Mode::Standard || is_used(a)).cloned().collect()
        }))
    }

    async fn accounts(&self, after: Option<&AccountId>, limit: u32) -> Result<Vec<Account>, StoreError> {
        let is_wanted = |a: &&Account| after.is_none_or(|after| a.id > *after);
        Ok(self.read(|t| first(limit, t.accounts.values().filter(is_wanted).cloned())))
    }

    async fn sighting(&self, ticket: &TicketRef, mapping: &MappingId) -> Result<Option<Sighting>, StoreError> {
        Ok(self.read(|t| t.sightings.get(&(ticket.to_string(), mapping.clone())).cloned()))
    }

    async fn open_notices(&self, ticket: &TicketRef) -> Result<Vec<Notice>, StoreError> {
        Ok(self.read(|t| {
            let open = t.open_notices.keys().filter_map(|row| t.notices.get(row));
            open.filter(|n| n.ticket == *ticket).cloned().collect()
        }))
    }

    async fn notices_of(&self, grant: &GrantId) -> Result<Vec<Notice>, StoreError> {
        Ok(self.read(|t| t.notices.values().filter(|n| n.grant == *grant).cloned().collect()))
    }

    async fn sealed(&self, id: &SecretId) -> Result<Option<SealedRow>, StoreError> {
        Ok(self.read(|t| t.sealed.get(id).cloned()))
    }

    async fn sealed_named(&self, name: &str) -> Result<Option<SealedRow>, StoreError> {
        Ok(self.read(|t| t.sealed.values().find(|row| row.name.as_deref() == Some(name)).cloned()))
    }

    async fn sealed_names(&self) -> Result<Vec<String>, StoreError> {
        let mut names: Vec<String> = self.read(|t| t.sealed.values().filter_map(|row| row.name.clone()).collect());
        names.sort();
        Ok(names)
    }

    async fn sealed_page(&self, after: Option<&SecretId>, limit: u32) -> Result<Vec<SealedRow>, StoreError> {
        let is_wanted = |row: &&SealedRow| after.is_none_or(|after| row.id > *after);
        Ok(self.read(|t| first(limit, t.sealed.values().filter(is_wanted).cloned())))
    }

    async fn rewrap(&self, rows: Vec<Rewrapped>) -> Result<u64, StoreError> {
        self.write(|db| people::rewrap(db, &rows))
    }

    async fn retire_key(&self, key_id: &str) -> Result<u64, StoreError> {
        self.write(|db| Ok(people::retire(db, key_id)))
    }

    async fn audit(&self, after: i64, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        Ok(self.read(|t| first(limit, t.audit.range(after + 1..).map(|(_, row)| row.entry.clone()))))
    }

    async fn newest_audit(&self, codes: &[Code], limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let is_wanted = |row: &&Chained| codes.contains(&row.entry.code);
        Ok(self.read(|t| first(limit, t.audit.values().rev().filter(is_wanted).map(|row| row.entry.clone()))))
    }

    async fn audit_rows(&self, filter: &AuditFilter, after: i64, limit: u32) -> Result<Vec<AuditRow>, StoreError> {
        Ok(self.read(|t| audit::rows(t, filter, after, limit)))
    }

    async fn audit_head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.read(|t| t.audit.last_key_value().map(|(seq, row)| Head::new(*seq, row.entry.hash.clone()))))
    }

    async fn audit_checkpoints(&self) -> Result<Vec<Checkpoint>, StoreError> {
        Ok(self.read(|t| t.checkpoints.values().cloned().collect()))
    }

    async fn audit_prunable(&self, before: Timestamp) -> Result<Option<Prunable>, StoreError> {
        Ok(self.read(|t| audit::prunable(t, before, i64::MAX)))
    }

    async fn audit_prune(&self, checkpoint: &Checkpoint, entry: AuditEntry) -> Result<(), StoreError> {
        self.write(|db| audit::prune(db, checkpoint, entry, self.is_broken()))
    }

    async fn audit_owed(&self) -> Result<u64, StoreError> {
        Ok(self.read(|t| t.owed.len() as u64))
    }

    async fn chain_owed(&self) -> Result<(), StoreError> {
        while self.write(|db| audit::pay(db, self.is_broken()))? > 0 {}
        Ok(())
    }

    async fn factors(&self, person: &PersonId) -> Result<Option<Factors>, StoreError> {
        Ok(self.read(|t| t.factors.get(person).map(|(factors, _)| factors.clone())))
    }

    async fn enroll(&self, enrolled: &Enrolled) -> Result<(), StoreError> {
        self.write(|db| people::enroll(db, enrolled, self.is_broken()))
    }

    async fn invite(&self, invitation: &Invitation, by: &By, at: Timestamp) -> Result<(), StoreError> {
        self.write(|db| people::invite(db, invitation, by, at, self.is_broken()))
    }

    async fn uninvite(&self, person: &PersonId) -> Result<(), StoreError> {
        self.write(|db| {
            people::uninvite(db, person);
            Ok(())
        })
    }

    async fn invitation(&self, token_hash: &str, now: Timestamp) -> Result<Option<Invitation>, StoreError> {
        Ok(people::good(&self.lock(), token_hash, now))
    }

    async fn choose(&self, token_hash: &str, chosen: &Chosen, now: Timestamp) -> Result<(), StoreError> {
        self.write(|db| people::choose(db, token_hash, chosen, now))
    }

    async fn use_step(&self, person: &PersonId, step: i64) -> Result<bool, StoreError> {
        self.write(|db| Ok(people::use_step(db, person, step)))
    }

    async fn count_failure(&self, key: &str, at: Timestamp, since: Timestamp) -> Result<u32, StoreError> {
        self.write(|db| Ok(people::count_failure(db, key, at, since)))
    }

    async fn failures(&self, key: &str, since: Timestamp) -> Result<u32, StoreError> {
        Ok(people::failures(&self.lock(), key, since))
    }

    async fn open_session(&self, session: &Session, tasks: Vec<NewTask>, _now: Timestamp) -> Result<(), StoreError> {
        self.write(|db| people::open_session(db, session, &tasks))
    }

    async fn session(
        &self,
        token_hash: &str,
        now: Timestamp,
        idle_end: Timestamp,
    ) -> Result<Option<Session>, StoreError> {
        self.write(|db| Ok(people::see_session(db, token_hash, now, idle_end)))
    }

    async fn close_session(&self, token_hash: &str) -> Result<(), StoreError> {
        self.write(|db| {
            db.take(|t| &mut t.sessions, &token_hash.to_owned());
            Ok(())
        })
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Task>, StoreError> {
        self.write(|db| Ok(tasks::claim(db, claim)))
    }

    async fn renew(&self, lease: &Lease, until: Timestamp) -> Result<bool, StoreError> {
        self.write(|db| Ok(tasks::renew(db, lease, until)))
    }

    async fn finish(&self, lease: &Lease, finish: Finish) -> Result<bool, StoreError> {
        self.write(|db| match tasks::end(db, lease, &finish) {
            Ok(()) => Ok(true),
            Err(StoreError::LeaseLost) => Ok(false),
            Err(error) => Err(error),
        })
    }

    async fn next_due(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.read(tasks::next_due))
    }

    async fn queue(&self, now: Timestamp) -> Result<QueueState, StoreError> {
        Ok(self.read(|t| tasks::queue(t, now)))
    }

    async fn cursor(&self, connection: &ConnectionId) -> Result<Option<Cursor>, StoreError> {
        Ok(self.read(|t| t.cursors.get(connection).cloned()))
    }

    async fn trouble(&self, connection: &ConnectionId, kind: TroubleKind) -> Result<Option<Trouble>, StoreError> {
        Ok(self.read(|t| t.troubles.get(&(connection.clone(), kind.name())).cloned()))
    }

    async fn troubles(&self) -> Result<Vec<Trouble>, StoreError> {
        Ok(self.read(|t| t.troubles.values().cloned().collect()))
    }

    async fn unseen(&self, connection: &ConnectionId, changed: &[TicketChanged]) -> Result<Vec<TicketId>, StoreError> {
        Ok(self.read(|t| watched::unseen(t, connection, changed)))
    }

    async fn looks_ahead(&self, connection: &ConnectionId) -> Result<u64, StoreError> {
        Ok(self.read(|t| watched::looks_ahead(t, connection)))
    }

    async fn tickets_with_access(
        &self,
        connection: &ConnectionId,
        turn: i64,
        at_once: u32,
    ) -> Result<Vec<TicketRef>, StoreError> {
        Ok(self.read(|t| watched::tickets_with_access(t, connection, turn, at_once)))
    }

    async fn people_here(&self, now: Timestamp) -> Result<Vec<PersonId>, StoreError> {
        Ok(self.read(|t| watched::people_here(t, now)))
    }

    async fn sweep(&self, now: Timestamp) -> Result<u64, StoreError> {
        self.write(|db| Ok(sweep::sweep(db, now)))
    }

    async fn heartbeat(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(|db| {
            if note_time(db, LAST_SEEN, now) {
                db.take(|t| &mut t.meta, &IN_DOUBT.to_owned());
            }
            Ok(())
        })
    }

    async fn last_seen(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.read(|t| t.meta.get(LAST_SEEN)?.parse().ok()).map(Timestamp::from_millis))
    }

    async fn heartbeat_in_doubt(&self, now: Timestamp) -> Result<(), StoreError> {
        self.write(|db| {
            note_time(db, IN_DOUBT, now);
            Ok(())
        })
    }

    async fn counted_since(&self) -> Result<Option<Timestamp>, StoreError> {
        Ok(self.read(|t| t.meta.get(IN_DOUBT)?.parse().ok()).map(Timestamp::from_millis))
    }

    async fn generation(&self) -> Result<Generation, StoreError> {
        Ok(self.read(|t| Generation {
            number: t.meta.get(GENERATION).and_then(|text| text.parse().ok()),
            comparing: t.meta.get(COMPARING).and_then(|text| serde_json::from_str(text).ok()),
        }))
    }

    async fn raise_generation(&self, seen: i64) -> Result<i64, StoreError> {
        self.write(|db| Ok(raise(db, seen)))
    }

    async fn end_comparing(&self, seen: i64, settled: Comparing) -> Result<i64, StoreError> {
        self.write(|db| {
            let noted = db.rows.meta.get(COMPARING).and_then(|text| serde_json::from_str(text).ok());
            if noted.is_some_and(|noted: Comparing| noted != settled) {
                return Err(StoreError::Conflict);
            }
            db.take(|t| &mut t.meta, &SO_FAR.to_owned());
            if db.take(|t| &mut t.meta, &COMPARING.to_owned()) {
                commit::let_old_mails_be(db);
            }
            Ok(raise(db, seen))
        })
    }

    async fn compared_so_far(&self, comparing: Comparing, directories: &[ConnectionId]) -> Result<(), StoreError> {
        self.write(|db| {
            let noted = db.rows.meta.get(COMPARING).and_then(|text| serde_json::from_str::<Comparing>(text).ok());
            if noted != Some(comparing) {
                return Err(StoreError::Conflict);
            }
            let text = serde_json::to_string(directories).map_err(|error| StoreError::Engine(Box::new(error)))?;
            db.put(|t| &mut t.meta, SO_FAR.to_owned(), text);
            Ok(())
        })
    }

    async fn compare_first(&self, comparing: Comparing) -> Result<Comparing, StoreError> {
        self.write(|db| {
            db.take(|t| &mut t.meta, &SO_FAR.to_owned());
            if let Some(noted) = db.rows.meta.get(COMPARING).and_then(|text| serde_json::from_str(text).ok()) {
                return Ok(noted);
            }
            let text = serde_json::to_string(&comparing).map_err(|error| StoreError::Engine(Box::new(error)))?;
            db.put(|t| &mut t.meta, COMPARING.to_owned(), text);
            Ok(comparing)
        })
    }
}

/// Answers whether it is later than what stood there, which it never takes back.
fn note_time(db: &mut Db, name: &str, at: Timestamp) -> bool {
    let stood: Option<i64> = db.rows.meta.get(name).and_then(|text| text.parse().ok());
    let is_news = stood.is_none_or(|stood| at.millis() > stood);
    let value = stood.filter(|_| !is_news).unwrap_or(at.millis());
    db.put(|t| &mut t.meta, name.to_owned(), value.to_string());
    is_news
}

fn raise(db: &mut Db, seen: i64) -> i64 {
    let before = db.rows.meta.get(GENERATION).and_then(|text| text.parse().ok()).unwrap_or(seen);
    let next = before.max(seen) + 1;
    db.put(|t| &mut t.meta, GENERATION.to_owned(), next.to_string());
    next
}
