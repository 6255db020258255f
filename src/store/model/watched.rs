//! What the service sees by itself.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_contract::{ConnectionId, PersonId, TicketId, TicketRef, Timestamp, ticket::TicketChanged};

use super::tables::{Db, Is, Tables};
use crate::{
    access::State,
    jobs::task::Work,
    store::{StoreError, Trouble, Watched, turn_begins},
};

pub(super) fn put(db: &mut Db, watched: &Watched) -> Result<(), StoreError> {
    let key = |trouble: &Trouble| (trouble.connection.clone(), trouble.kind.name());
    match watched {
        Watched::Asked(cursor) => db.put(|t| &mut t.cursors, cursor.connection.clone(), cursor.clone()),
        Watched::NotAsked(connection) => drop(db.take(|t| &mut t.cursors, connection)),
        Watched::Began(trouble) | Watched::GoesOn(trouble) => {
            let is_there = db.rows.troubles.contains_key(&key(trouble));
            if is_there == matches!(watched, Watched::Began(_)) {
                return Err(StoreError::Conflict);
            }
            db.put(|t| &mut t.troubles, key(trouble), trouble.clone());
        }
        Watched::Ended(trouble) if db.take(|t| &mut t.troubles, &key(trouble)) => {}
        Watched::Ended(_) => return Err(StoreError::Conflict),
    }
    Ok(())
}

pub(super) fn unseen(rows: &Tables, connection: &ConnectionId, changed: &[TicketChanged]) -> Vec<TicketId> {
    let is_unseen = |saved: &&TicketChanged| {
        let at = TicketRef { connection: connection.clone(), ticket: saved.id.clone() }.to_string();
        let key = format!("ticket:{at}");
        let mut waiting = rows.pending.keys().filter_map(|(_, id)| rows.tasks.get(id));
        let mut sightings = rows.sightings.iter().filter(|((ticket, _), _)| *ticket == at);
        !waiting.any(|task| task.key == key) && !sightings.any(|(_, seen)| seen.covers.is_some_and(|c| c >= saved.at))
    };
    changed.iter().filter(is_unseen).map(|saved| saved.id.clone()).collect()
}

pub(super) fn looks_ahead(rows: &Tables, connection: &ConnectionId) -> u64 {
    let is_ahead = |id: &&i64| {
        rows.tasks.get(id).is_some_and(|task| {
            let is_look = matches!(&task.work, Work::Look { ticket } if ticket.connection == *connection);
            is_look && task.attempts == 0 && task.state != Is::Dead
        })
    };
    rows.slots.range("look:".to_owned().."look;".to_owned()).map(|(_, id)| id).filter(is_ahead).count() as u64
}

pub(super) fn tickets_with_access(rows: &Tables, connection: &ConnectionId, turn: i64, at_once: u32) -> Vec<TicketRef> {
    let open = rows.open_grants.keys().filter_map(|row| rows.grants.get(row));
    let wanted = open.filter(|g| !matches!(g.state, State::Ending { .. }) && g.ticket.connection == *connection);
    let all: BTreeMap<String, TicketRef> = wanted.map(|g| (g.ticket.to_string(), g.ticket.clone())).collect();
    let begins = turn_begins(i64::try_from(all.len()).unwrap_or(i64::MAX), turn, at_once);
    all.into_values().skip(usize::try_from(begins).unwrap_or(usize::MAX)).take(at_once as usize).collect()
}

pub(super) fn people_here(rows: &Tables, now: Timestamp) -> Vec<PersonId> {
    let open = rows.open_grants.keys().filter_map(|row| rows.grants.get(row));
    let granted = open.filter(|g| !matches!(g.state, State::Ending { .. })).map(|g| g.person.clone());
    let sessions = rows.sessions.values().filter(|s| s.until > now && s.idle_until > now);
    granted.chain(sessions.map(|s| s.person.clone())).collect::<BTreeSet<_>>().into_iter().collect()
}
