//! What is in force, and the one number that counts its changes.

use latchkey_contract::{GrantId, Timestamp};
use serde_json::json;

use super::{
    Change, audit,
    commit::is_of,
    people, sweep,
    tables::{Db, Tables},
    tasks,
};
use crate::{
    access::{State, risk},
    audit::{AuditEntry, By, Code},
    jobs::task::{NewTask, Priority, Work},
    rulebook::{Hold, HoldCause, HoldOn, Rebound, Records, Rules},
    store::{Revision, Scope, StoreError},
};

/// A person was bound once, whatever the records say today.
const WAS_BOUND: &str = "was-bound";

pub(super) fn revision(rows: &Tables) -> i64 {
    rows.revisions.keys().next_back().copied().unwrap_or_default()
}

pub(super) fn read(rows: &Tables) -> Rules {
    Rules {
        revision: revision(rows),
        rulebook: rows.rulebooks.values().next_back().cloned().unwrap_or_default(),
        records: rows.records.get(&()).cloned().unwrap_or_default(),
        holds: rows.holds.values().cloned().collect(),
        was_bound: rows.meta.contains_key(WAS_BOUND),
    }
}

pub(super) fn count(db: &mut Db, change: &Change, changed: Vec<String>) -> i64 {
    let next = revision(&db.rows) + 1;
    let (author, reason, at) = (change.by.clone(), change.reason.clone(), change.at);
    db.put(|t| &mut t.revisions, next, Revision { revision: next, author, reason, at, changed });
    next
}

fn entry(change: &Change, code: Code, revision: i64, mut detail: serde_json::Value) -> AuditEntry {
    if let Some(map) = detail.as_object_mut() {
        map.insert("revision".to_owned(), json!(revision));
        map.insert("reason".to_owned(), json!(change.reason));
    }
    AuditEntry::new(code, change.at, By::told(&change.by), detail)
}

pub(super) fn save(db: &mut Db, rules: &Rules, change: &Change, is_broken: bool) -> Result<i64, StoreError> {
    let before = read(&db.rows);
    if before.revision != rules.revision {
        return Err(StoreError::Conflict);
    }
    if let Some((record, grant)) = still_used(&db.rows, &rules.records, &before.records) {
        return Err(StoreError::StillUsed { record, grant });
    }
    let mut changed = rules.records.changed(&before.records);
    let is_new_book = before.revision == 0 || before.rulebook != rules.rulebook;
    if is_new_book {
        changed.push("rulebook".to_owned());
    }
    let next = count(db, change, changed.clone());
    if is_new_book {
        db.put(|t| &mut t.rulebooks, next, rules.rulebook.clone());
    }
    let mut records = rules.records.clone();
    records.connections.sort_by(|a, b| a.id.cmp(&b.id));
    records.customers.sort_by(|a, b| a.id.cmp(&b.id));
    records.people.sort_by(|a, b| a.id.cmp(&b.id));
    if records.bindings().next().is_some() {
        db.put(|t| &mut t.meta, WAS_BOUND.to_owned(), String::new());
    }
    db.put(|t| &mut t.records, (), records);
    for gone in before.records.people.iter().filter(|person| rules.records.person(&person.id).is_none()) {
        people::forget(db, &gone.id);
    }
    let mut entries = vec![entry(change, Code::RulesSaved, next, json!({ "changed": changed }))];
    for (what, binding) in rules.records.rebound(&before.records) {
        let code = match what {
            Rebound::Added => Code::BindingAdded,
            Rebound::Confirmed => Code::BindingConfirmed,
            Rebound::Removed => Code::BindingRemoved,
        };
        let detail = json!({ "member": format!("{}/{}", binding.connection, binding.member) });
        entries.push(AuditEntry { person: Some(binding.person), ..entry(change, code, next, detail) });
    }
    audit::append(db, &entries, false, is_broken)?;
    look_again(db, &Scope::Everything, change.at);
    for task in sweep::polls(&db.rows, change.at) {
        tasks::add(db, &task);
    }
    Ok(next)
}

/// The first record that would go although a grant which is not over needs it, and that grant.
fn still_used(rows: &Tables, now: &Records, old: &Records) -> Option<(String, GrantId)> {
    let open = || rows.open_grants.keys().filter_map(|row| rows.grants.get(row));
    let connections = old.connections.iter().filter(|c| now.connection(&c.id).is_none()).filter_map(|c| {
        let grant = open().find(|g| g.directory == c.id || g.ticket.connection == c.id)?;
        Some((format!("connection/{}", c.id), grant))
    });
    let customers = old.customers.iter().filter(|c| now.customer(&c.id).is_none());
    let customers =
        customers.filter_map(|c| Some((format!("customer/{}", c.id), open().find(|g| g.customer == c.id)?)));
    let people = old.people.iter().filter(|p| now.person(&p.id).is_none());
    let people = people.filter_map(|p| Some((format!("person/{}", p.id), open().find(|g| g.person == p.id)?)));
    connections.chain(customers).chain(people).map(|(record, grant)| (record, grant.id.clone())).next()
}

pub(super) fn set_hold(db: &mut Db, hold: &Hold, is_broken: bool) -> Result<i64, StoreError> {
    let target = hold.on.to_string();
    let change = Change { by: hold.by.clone(), reason: hold.reason.clone(), at: hold.since };
    let next = count(db, &change, vec![format!("hold {target}")]);
    if db.rows.holds.get(&target).is_none_or(|before| before.cause < hold.cause) {
        db.put(|t| &mut t.holds, target.clone(), hold.clone());
    }
    let mut said = entry(&change, Code::HoldSet, next, json!({ "on": target, "cause": hold.cause }));
    if let HoldOn::Person(person) = &hold.on {
        people::shut_out(db, person);
        said.person = Some(person.clone());
    }
    if hold.cause == HoldCause::Left {
        said.by = Some(By::Service);
    }
    audit::append(db, &[said], true, is_broken)?;
    look_again(db, &hold.on.scope(), hold.since);
    Ok(next)
}

pub(super) fn lift_hold(
    db: &mut Db,
    on: &HoldOn,
    up_to: HoldCause,
    change: &Change,
    is_broken: bool,
) -> Result<bool, StoreError> {
    let target = on.to_string();
    if db.rows.holds.get(&target).is_none_or(|hold| hold.cause > up_to) {
        return Ok(false);
    }
    let next = count(db, change, vec![format!("hold {target}")]);
    db.take(|t| &mut t.holds, &target);
    audit::append(db, &[entry(change, Code::HoldLifted, next, json!({ "on": target }))], false, is_broken)?;
    Ok(true)
}

/// A change of what is in force acts at once: whoever has access that it may be about is looked at again.
fn look_again(db: &mut Db, scope: &Scope, at: Timestamp) {
    let open = db.rows.open_grants.keys().filter_map(|row| db.rows.grants.get(row));
    let concerned = open.filter(|g| !matches!(g.state, State::Ending { .. }) && is_of(g, scope));
    let looks: Vec<NewTask> = concerned
        .filter_map(|g| {
            let account = db.rows.accounts.get(&g.account)?;
            let work = Work::Converge { account: account.id.clone(), directory: account.directory.clone() };
            Some(NewTask::new(work, at, Priority::Removal).of(risk(&g.policy)))
        })
        .collect();
    for look in looks {
        tasks::add(db, &look);
    }
}
