//! The sweep: rows are the truth, and a task that a row needs and that is missing is made again.

use std::{collections::BTreeSet, time::Duration};

use latchkey_contract::{ConnectionId, Timestamp, directory::Risk};

use super::{
    commit, people,
    tables::{Db, Is, Tables},
    tasks::{self, is_there},
};
use crate::{
    access::{Account, Grant, State, risk},
    jobs::task::{NewTask, Priority, Work},
    rulebook::HoldOn,
    store::MailState,
};

pub(super) fn sweep(db: &mut Db, now: Timestamp) -> u64 {
    people::forget_old(db, now);
    let missing = missing(&db.rows, now);
    for task in &missing {
        tasks::add(db, task);
    }
    missing.len() as u64
}

fn missing(rows: &Tables, now: Timestamp) -> Vec<NewTask> {
    let mut missing = Vec::new();
    let telling = |work| NewTask::new(work, now, Priority::Telling);
    let open = || rows.open_grants.keys().filter_map(|row| rows.grants.get(row));
    for (grant, due) in open().filter_map(|g| Some((g, g.due_at()?))) {
        let work = Work::Due { grant: grant.id.clone() };
        missing.push(NewTask::new(work, due, Priority::Removal).of(risk(&grant.policy)));
    }
    let used: BTreeSet<_> = open().map(|g| &g.account).collect();
    let looked_at =
        rows.accounts.values().filter(|a| !a.looks.is_empty() || a.overdue.is_some() || used.contains(&a.id));
    missing.extend(looked_at.filter_map(|account| converge(rows, account, now)));
    missing.extend(presence(rows, now));
    missing.retain(|task| !matches!(task.work, Work::Due { .. }) || !is_there(rows, &task.work.slot()));
    let owed = rows.open_notices.keys().filter_map(|row| rows.notices.get(row));
    let told: BTreeSet<_> = owed.map(|notice| notice.ticket.to_string()).collect();
    let tickets = rows.open_notices.keys().filter_map(|row| rows.notices.get(row)).map(|notice| notice.ticket.clone());
    let mut seen = told;
    let tell = tickets.filter(|at| seen.remove(&at.to_string())).map(|ticket| Work::Tell { ticket });
    let mut others: Vec<NewTask> = tell.map(telling).collect();
    let unread = rows.deliveries.values().filter(|(_, outcome)| outcome.is_none()).map(|(new, _)| commit::intake(new));
    missing.extend(unread.filter(|task| !rows.slots.contains_key(&task.work.slot())));
    others.extend(polls(rows, now));
    let troubled: BTreeSet<_> =
        rows.troubles.keys().filter(|(_, kind)| matches!(*kind, "rights" | "setup")).map(|(c, _)| c.clone()).collect();
    others.extend(troubled.into_iter().map(|connection| telling(Work::Recheck { connection })));
    others.extend(rows.alerts.keys().map(|alert| telling(Work::Alert { alert: alert.clone() })));
    let unsent = rows.mails.values().filter(|mail| matches!(mail.state, MailState::Open { .. }));
    others.extend(unsent.map(|mail| telling(Work::Mail { mail: mail.id.clone() })));
    // Once a day; the job itself names the hour.
    others.push(NewTask { run_at: now + Duration::from_secs(24 * 3600), ..telling(Work::AuditHead) });
    missing.extend(others.into_iter().filter(|task| !is_there(rows, &task.work.slot())));
    missing
}

fn converge(rows: &Tables, account: &Account, now: Timestamp) -> Option<NewTask> {
    let open = || rows.open_grants.keys().filter_map(|row| rows.grants.get(row)).filter(|g| g.account == account.id);
    let is_held = |g: &Grant| {
        let on = [HoldOn::Everything, HoldOn::Customer(g.customer.clone()), HoldOn::Person(g.person.clone())];
        on.iter().any(|on| rows.holds.contains_key(&on.to_string()))
    };
    let is_removal = account.overdue.is_some() || open().any(|g| matches!(g.state, State::Ending { .. }) || is_held(g));
    let is_giving = open().any(|g| matches!(g.state, State::Granting { .. } | State::Delivering { .. }));
    let look_at = account.looks.iter().min();
    let work = Work::Converge { account: account.id.clone(), directory: account.directory.clone() };
    let is_wanted = match rows.slots.get(&work.slot()).and_then(|id| rows.tasks.get(id)) {
        None => is_removal || is_giving || look_at.is_some(),
        Some(task) => task.state == Is::Dead && (is_removal || look_at.is_some()),
    };
    let (priority, run_at) = match look_at {
        _ if is_removal => (Priority::Removal, now),
        _ if is_giving => (Priority::Giving, now),
        Some(at) => (Priority::Removal, (*at).max(now)),
        None => (Priority::Giving, now),
    };
    let greatest = open().map(|g| risk(&g.policy)).min().filter(|_| is_removal).unwrap_or(Risk::Other);
    is_wanted.then(|| NewTask::new(work, run_at, priority).of(greatest))
}

/// A PSA is polled while a mapping watches it.
pub(super) fn polls(rows: &Tables, now: Timestamp) -> Vec<NewTask> {
    let Some(book) = rows.rulebooks.values().next_back() else { return Vec::new() };
    let watched: BTreeSet<ConnectionId> = book.mappings.iter().map(|m| m.connection.clone()).collect();
    let work = watched.into_iter().map(|connection| Work::Poll { connection });
    let missing = work.filter(|work| !is_there(rows, &work.slot()));
    missing.map(|work| NewTask::new(work, now, Priority::Telling)).collect()
}

/// Whether somebody has left is asked while somebody is here: wherever they are bound.
fn presence(rows: &Tables, now: Timestamp) -> Vec<NewTask> {
    let Some(records) = rows.records.get(&()) else { return Vec::new() };
    let here = super::watched::people_here(rows, now);
    let is_held = |person| rows.holds.contains_key(&HoldOn::Person(person).to_string());
    let asked = records.people.iter().filter(|p| here.contains(&p.id) && !is_held(p.id.clone()));
    let connections: BTreeSet<_> = asked.flat_map(|p| &p.members).map(|m| m.connection.clone()).collect();
    let work = connections.into_iter().map(|connection| Work::Presence { connection });
    let missing = work.filter(|work| !is_there(rows, &work.slot()));
    missing.map(|work| NewTask::new(work, now, Priority::Removal)).collect()
}
