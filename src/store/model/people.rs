//! Sign-in, and sealed rows.

use latchkey_contract::{PersonId, SecretId, Timestamp};
use serde_json::json;

use super::{audit, tables::Db, tasks};
use crate::{
    audit::{AuditEntry, By, Code},
    jobs::task::NewTask,
    rulebook::HoldOn,
    store::{Chosen, Enrolled, Invitation, Rewrapped, SealedRow, Session, StoreError},
};

/// Failures older than this count for nobody and are forgotten.
const FAILURES_KEPT: std::time::Duration = std::time::Duration::from_secs(7 * 24 * 60 * 60);

pub(super) fn seal(db: &mut Db, row: &SealedRow) -> Result<(), StoreError> {
    let is_named = |other: &SealedRow| row.name.is_some() && other.name == row.name;
    let is_taken =
        db.rows.sealed.contains_key(&row.id) || (row.name.is_some() && db.rows.sealed.values().any(is_named));
    if is_taken || is_retired(db, &row.key_id) {
        return Err(StoreError::Conflict);
    }
    db.put(|t| &mut t.sealed, row.id.clone(), row.clone());
    Ok(())
}

fn is_retired(db: &Db, key_id: &str) -> bool {
    db.rows.meta.contains_key(&format!("retired-key:{key_id}"))
}

pub(super) fn rewrap(db: &mut Db, rows: &[Rewrapped]) -> Result<u64, StoreError> {
    let mut changed = 0;
    for anew in rows {
        if is_retired(db, &anew.key_id) {
            return Err(StoreError::Conflict);
        }
        let Some(row) = db.rows.sealed.get(&anew.id).filter(|row| row.key_id == anew.before).cloned() else { continue };
        let (key_id, wrapped_key) = (anew.key_id.clone(), anew.wrapped_key.clone());
        db.put(|t| &mut t.sealed, anew.id.clone(), SealedRow { key_id, wrapped_key, ..row });
        changed += 1;
    }
    Ok(changed)
}

pub(super) fn retire(db: &mut Db, key_id: &str) -> u64 {
    let rows = db.rows.sealed.values().filter(|row| row.key_id == key_id).count() as u64;
    if rows == 0 {
        db.put(|t| &mut t.meta, format!("retired-key:{key_id}"), String::new());
    }
    rows
}

fn not_held(db: &Db, person: &PersonId) -> Result<(), StoreError> {
    let target = HoldOn::Person(person.clone()).to_string();
    if db.rows.holds.contains_key(&target) { Err(StoreError::Conflict) } else { Ok(()) }
}

pub(super) fn enroll(db: &mut Db, enrolled: &Enrolled, is_broken: bool) -> Result<(), StoreError> {
    let Enrolled { factors, sealed, step, invitation, by } = enrolled;
    let person = &factors.person;
    not_held(db, person)?;
    if let Some(token) = invitation {
        let found = good(db, token, factors.enrolled_at).filter(|found| found.person == *person);
        if found.and_then(|found| found.chosen).is_none_or(|(_, totp)| totp != factors.totp) {
            return Err(StoreError::Conflict);
        }
        // What was chosen becomes the secret: it stays when the invitation goes.
        db.take(|t| &mut t.invitations, person);
    }
    let is_first = !forget(db, person);
    if let Some(sealed) = sealed {
        seal(db, sealed)?;
    }
    db.put(|t| &mut t.factors, person.clone(), (factors.clone(), *step));
    let way = if invitation.is_some() { "invitation" } else { "terminal" };
    let detail = json!({ "way": way, "is_first": is_first });
    let entry = AuditEntry::new(Code::PersonEnrolled, factors.enrolled_at, by.clone(), detail);
    audit::append(db, &[AuditEntry { person: Some(person.clone()), ..entry }], false, is_broken)
}

/// Everything by which a person could sign in, or come to be able to. Answers whether they could.
pub(super) fn forget(db: &mut Db, person: &PersonId) -> bool {
    shut_out(db, person);
    if let Some(totp) = totp(db, person) {
        db.take(|t| &mut t.sealed, &totp);
    }
    db.take(|t| &mut t.factors, person)
}

fn totp(db: &Db, person: &PersonId) -> Option<SecretId> {
    db.rows.factors.get(person).map(|(factors, _)| factors.totp.clone())
}

/// Sessions and links.
pub(super) fn shut_out(db: &mut Db, person: &PersonId) {
    let theirs = db.rows.sessions.iter().filter(|(_, session)| session.person == *person);
    let tokens: Vec<String> = theirs.map(|(token, _)| token.clone()).collect();
    for token in tokens {
        db.take(|t| &mut t.sessions, &token);
    }
    uninvite(db, person);
}

pub(super) fn uninvite(db: &mut Db, person: &PersonId) {
    if let Some((_, totp)) = db.rows.invitations.get(person).and_then(|invitation| invitation.chosen.clone()) {
        db.take(|t| &mut t.sealed, &totp);
    }
    db.take(|t| &mut t.invitations, person);
}

pub(super) fn forget_old(db: &mut Db, now: Timestamp) {
    let over: Vec<PersonId> =
        db.rows.invitations.values().filter(|i| i.until <= now).map(|i| i.person.clone()).collect();
    for person in over {
        uninvite(db, &person);
    }
}

pub(super) fn invite(
    db: &mut Db,
    invitation: &Invitation,
    by: &By,
    at: Timestamp,
    is_broken: bool,
) -> Result<(), StoreError> {
    let person = &invitation.person;
    uninvite(db, person);
    db.put(|t| &mut t.invitations, person.clone(), Invitation { chosen: None, ..invitation.clone() });
    let detail = json!({ "until": invitation.until.rfc3339() });
    let entry = AuditEntry::new(Code::PersonInvited, at, by.clone(), detail);
    audit::append(db, &[AuditEntry { person: Some(person.clone()), ..entry }], false, is_broken)
}

fn by_token(db: &Db, token: &str) -> Option<Invitation> {
    db.rows.invitations.values().find(|i| i.token_hash == token).cloned()
}

/// An invitation whose time is not over, and whose person has not been enrolled since.
pub(super) fn good(db: &Db, token: &str, now: Timestamp) -> Option<Invitation> {
    by_token(db, token).filter(|i| i.until > now && i.beside == totp(db, &i.person))
}

pub(super) fn choose(db: &mut Db, token: &str, chosen: &Chosen, now: Timestamp) -> Result<(), StoreError> {
    let found = by_token(db, token).filter(|i| i.until > now).ok_or(StoreError::Conflict)?;
    if let Some((_, before)) = &found.chosen {
        db.take(|t| &mut t.sealed, before);
    }
    let kept = Some((chosen.password_hash.clone(), chosen.sealed.id.clone()));
    db.put(|t| &mut t.invitations, found.person.clone(), Invitation { chosen: kept, ..found });
    seal(db, &chosen.sealed)
}

pub(super) fn use_step(db: &mut Db, person: &PersonId, step: i64) -> bool {
    let Some((factors, last)) = db.rows.factors.get(person).cloned() else { return false };
    if last >= step {
        return false;
    }
    db.put(|t| &mut t.factors, person.clone(), (factors, step));
    true
}

pub(super) fn count_failure(db: &mut Db, key: &str, at: Timestamp, since: Timestamp) -> u32 {
    let old: Vec<i64> =
        db.rows.failures.iter().filter(|(_, (_, f))| *f < at - FAILURES_KEPT).map(|(n, _)| *n).collect();
    for number in old {
        db.take(|t| &mut t.failures, &number);
    }
    let number = db.next_number();
    db.put(|t| &mut t.failures, number, (key.to_owned(), at));
    failures(db, key, since)
}

pub(super) fn failures(db: &Db, key: &str, since: Timestamp) -> u32 {
    let counted = db.rows.failures.values().filter(|(of, at)| of == key && *at >= since).count();
    u32::try_from(counted).unwrap_or(u32::MAX)
}

pub(super) fn open_session(db: &mut Db, session: &Session, tasks: &[NewTask]) -> Result<(), StoreError> {
    not_held(db, &session.person)?;
    db.put(|t| &mut t.sessions, session.token_hash.clone(), session.clone());
    for task in tasks {
        tasks::add(db, task);
    }
    Ok(())
}

pub(super) fn see_session(db: &mut Db, token: &str, now: Timestamp, idle_until: Timestamp) -> Option<Session> {
    let found = db.rows.sessions.get(token).filter(|s| s.until > now && s.idle_until > now)?;
    let seen = Session { idle_until, ..found.clone() };
    db.put(|t| &mut t.sessions, token.to_owned(), seen.clone());
    Some(seen)
}
