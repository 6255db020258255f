//! One transition: everything that is checked against a version.

use latchkey_contract::{Timestamp, directory::Mode};

use super::{
    audit, people, rules,
    tables::{Db, Tables},
    tasks, watched,
};
use crate::{
    access::{Account, Grant},
    jobs::task::{NewTask, Priority, Work},
    rulebook::AlertKind,
    store::{Alert, MailState, NewDelivery, Notice, OwedMail, Recorded, Scope, StoreError, Transition},
};

pub(super) fn commit(db: &mut Db, t: &Transition, is_broken: bool) -> Result<(), StoreError> {
    if let Some((lease, _)) = &t.lease {
        tasks::held(&db.rows, lease).ok_or(StoreError::LeaseLost)?;
    }
    if t.revision.is_some_and(|expected| rules::revision(&db.rows) != expected) {
        return Err(StoreError::Conflict);
    }
    if t.gives() && db.rows.meta.contains_key(super::COMPARING) {
        return Err(StoreError::Conflict);
    }
    if t.brakes.iter().any(|brake| count_grants(&db.rows, &brake.scope, &brake.since, None) >= brake.most) {
        return Err(StoreError::Conflict);
    }
    for grant in &t.grants {
        put_grant(db, grant)?;
    }
    for account in &t.accounts {
        put_account(db, account)?;
    }
    for id in &t.destroy {
        db.take(|t| &mut t.sealed, id);
    }
    for sealed in &t.seal {
        people::seal(db, sealed)?;
    }
    for sighting in &t.sightings {
        let at = (sighting.sighting().ticket.to_string(), sighting.sighting().mapping.clone());
        let next = sighting.over(db.rows.sightings.get(&at)).ok_or(StoreError::Conflict)?;
        db.put(|t| &mut t.sightings, at, next);
    }
    for notice in &t.notices {
        put_notice(db, notice);
    }
    for seen in &t.watched {
        watched::put(db, seen)?;
    }
    for alert in &t.alerts {
        put_alert(db, alert)?;
    }
    if let Some(alert) = &t.alert_done {
        db.take(|t| &mut t.alerts, alert);
    }
    for mail in &t.mails {
        put_mail(db, mail, t.now);
    }
    audit::append(db, &t.audit, t.is_removal, is_broken)?;
    for task in &t.tasks {
        tasks::add(db, task);
    }
    if let Some((lease, finish)) = &t.lease {
        tasks::end(db, lease, finish)?;
    }
    if let Some((delivery, outcome)) = &t.delivery_done {
        let Some((stored, _)) = db.rows.deliveries.get(delivery).cloned() else { return Err(StoreError::Conflict) };
        db.put(|t| &mut t.deliveries, delivery.clone(), (stored, Some(outcome.clone())));
    }
    Ok(())
}

fn put_grant(db: &mut Db, grant: &Grant) -> Result<(), StoreError> {
    let row = match db.rows.grant_rows.get(&grant.id) {
        None if grant.version == 0 => {
            let row = db.next_number();
            db.put(|t| &mut t.grant_rows, grant.id.clone(), row);
            row
        }
        Some(row) if grant.version > 0 && db.rows.grants.get(row).is_some_and(|g| g.version == grant.version) => *row,
        _ => return Err(StoreError::Conflict),
    };
    if grant.state.is_final() {
        db.take(|t| &mut t.open_grants, &row);
    } else {
        db.put(|t| &mut t.open_grants, row, ());
    }
    db.put(|t| &mut t.grants, row, Grant { version: grant.version + 1, ..grant.clone() });
    Ok(())
}

fn put_account(db: &mut Db, account: &Account) -> Result<(), StoreError> {
    let before = db.rows.accounts.get(&account.id).map_or(0, |stored| stored.version);
    let is_twice = |other: &Account| {
        let is_same = (&other.person, &other.directory) == (&account.person, &account.directory);
        other.id != account.id && other.mode == Mode::Standard && is_same
    };
    let is_standard = account.mode == Mode::Standard;
    if before != account.version || (before == 0 && is_standard && db.rows.accounts.values().any(is_twice)) {
        return Err(StoreError::Conflict);
    }
    let stored = Account { version: before + 1, ..account.clone() };
    db.put(|t| &mut t.accounts, account.id.clone(), stored);
    Ok(())
}

fn put_notice(db: &mut Db, notice: &Notice) {
    let known = db.rows.notice_rows.get(&notice.id).copied();
    let row = known.unwrap_or_else(|| db.next_number());
    if known.is_none() {
        db.put(|t| &mut t.notice_rows, notice.id.clone(), row);
    }
    if notice.state.is_closed() {
        db.take(|t| &mut t.open_notices, &row);
    } else {
        db.put(|t| &mut t.open_notices, row, ());
    }
    db.put(|t| &mut t.notices, row, notice.clone());
}

fn put_alert(db: &mut Db, alert: &Alert) -> Result<(), StoreError> {
    if db.rows.alerts.contains_key(&alert.id) {
        return Err(StoreError::Conflict);
    }
    db.put(|t| &mut t.alerts, alert.id.clone(), alert.clone());
    let work = Work::Alert { alert: alert.id.clone() };
    tasks::add(db, &NewTask::new(work, alert.at, Priority::Telling));
    Ok(())
}

fn put_mail(db: &mut Db, mail: &OwedMail, now: Timestamp) {
    db.put(|t| &mut t.mails, mail.id.clone(), mail.clone());
    let work = Work::Mail { mail: mail.id.clone() };
    if matches!(mail.state, MailState::Open { .. }) && !db.rows.slots.contains_key(&work.slot()) {
        tasks::add(db, &NewTask::new(work, now, Priority::Telling));
    }
}

/// A copy owes mails that were sent since it was made, or tell of what nobody remembers: what asks somebody to act is sent
/// as a repeat, everything else is given up.
pub(super) fn let_old_mails_be(db: &mut Db) {
    let open = db.rows.mails.values().filter(|mail| matches!(mail.state, MailState::Open { .. }));
    for mail in open.cloned().collect::<Vec<_>>() {
        let state = match mail.words.alert() {
            Some(kind) if kind.asks_to_act() => MailState::Open { is_repeat: true },
            _ => MailState::GivenUp { why: "the database was restored: this may have been sent before".to_owned() },
        };
        db.put(|t| &mut t.mails, mail.id.clone(), OwedMail { state, ..mail });
    }
    let asks = |alert: &Alert| alert.what.kind().is_some_and(AlertKind::asks_to_act);
    let idle: Vec<String> =
        db.rows.alerts.values().filter(|alert| !asks(alert)).map(|alert| alert.id.clone()).collect();
    for id in idle {
        db.take(|t| &mut t.alerts, &id);
    }
}

pub(super) fn record(db: &mut Db, new: NewDelivery) -> Recorded {
    let message = (new.connection.clone(), new.message_id.clone());
    if let Some((before, _)) = db.rows.messages.get(&message).and_then(|id| db.rows.deliveries.get(id)) {
        return if before.body_hash == new.body_hash { Recorded::Repeat } else { Recorded::OtherBody };
    }
    tasks::add(db, &intake(&new));
    db.put(|t| &mut t.messages, message, new.id.clone());
    db.put(|t| &mut t.deliveries, new.id.clone(), (new, None));
    Recorded::New
}

/// The task that works a delivery off.
pub(super) fn intake(new: &NewDelivery) -> NewTask {
    let (connection, ticket) = (new.connection.clone(), new.event.ticket.clone());
    let ticket = ticket.map(|ticket| latchkey_contract::TicketRef { connection: connection.clone(), ticket });
    let work = Work::Intake { delivery: new.id.clone(), connection, ticket };
    NewTask::new(work, new.received_at, Priority::Giving)
}

pub(super) fn is_of(grant: &Grant, scope: &Scope) -> bool {
    match scope {
        Scope::Everything => true,
        Scope::Customer(id) => grant.customer == *id,
        Scope::Person(id) => grant.person == *id,
    }
}

pub(super) fn count_grants(rows: &Tables, scope: &Scope, since: &str, before: Option<&str>) -> u32 {
    let counts = |grant: &&Grant| {
        is_of(grant, scope)
            && grant.id.as_str() >= since
            && before.is_none_or(|before| grant.id.as_str() < before)
            && !matches!(grant.state.name(), "refused" | "denied" | "lapsed")
    };
    u32::try_from(rows.grants.values().filter(counts).count()).unwrap_or(u32::MAX)
}
