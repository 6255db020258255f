//! Tickets that were saved since a moment: how lost deliveries are found.
//!
//! The list is asked for newest save first and read until it is older than what is looked for. Filters and orders that a
//! build does not know are ignored without a word, so both are checked on the answer: where the order is not kept the whole
//! list is read, and a ticket of another team is dropped here.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_contract::{BoardId, CallError, TicketId, Timestamp, ticket::TicketChanged};

use crate::{
    api::{Api, Ask, number_or_refused},
    tables::Tables,
    tickets::saved_at,
    wire,
};

const LIST: &str = "GET /Tickets";

pub(crate) async fn since(
    api: &Api,
    tables: &Tables,
    since: Timestamp,
    boards: &[BoardId],
    limit: usize,
) -> Result<Vec<TicketChanged>, CallError> {
    let teams: BTreeSet<i64> = boards.iter().map(|b| number_or_refused(LIST, b.as_str())).collect::<Result<_, _>>()?;
    if teams.is_empty() {
        return Ok(vec![]);
    }
    let csv = teams.iter().map(i64::to_string).collect::<Vec<_>>().join(",");
    let ask = Ask::new(LIST, ["Tickets"]).query("team", csv).query("includeclosed", "true");
    let ask = ask.query("order", "last_update").query("orderdesc", "true");
    let (mut rows, mut is_whole) = read(api, &ask, since).await?;
    if rows.len() > 1 && !is_whole {
        // Whatever was saved while the pages were read has moved to the first of them.
        let (newest, still) = read(api, &ask, rows.iter().filter_map(saved_at).max().unwrap_or(since)).await?;
        rows.extend(newest);
        is_whole = still;
    }
    tracing::trace!(rows = rows.len(), is_whole, "tickets looked through");
    let known = tables.known(api, |_| true).await?;
    let mut found = BTreeMap::new();
    for row in &rows {
        let team = known.team(row.team_id, row.team.as_deref());
        // One whose team cannot be told is looked at rather than lost.
        if team.is_some_and(|team| !teams.contains(&team)) {
            continue;
        }
        let at = saved_at(row).ok_or_else(|| CallError::malformed(LIST, "a ticket without a time of its last save"))?;
        let id = TicketId::parse(row.id.to_string()).map_err(|e| CallError::malformed(LIST, e))?;
        if at >= since {
            let last = found.entry(id).or_insert(at);
            *last = at.max(*last);
        }
    }
    Ok(oldest(found, limit))
}

/// The rows down to `since`, or all of them where the list turns out not to be sorted; and whether these are all.
async fn read(api: &Api, ask: &Ask, since: Timestamp) -> Result<(Vec<wire::Ticket>, bool), CallError> {
    let (mut last, mut is_sorted, mut has_ended) = (None, true, false);
    let rows = api
        .pages(
            ask,
            |row: &wire::Ticket| row.id,
            |row| {
                let at = saved_at(row);
                is_sorted &= last.is_none_or(|last| at <= last);
                last = Some(at);
                has_ended |= at.is_some_and(|at| at < since);
                is_sorted && has_ended
            },
        )
        .await?;
    Ok((rows, !is_sorted))
}

/// The first `limit`, and whatever shares the last one's second.
fn oldest(found: BTreeMap<TicketId, Timestamp>, limit: usize) -> Vec<TicketChanged> {
    let mut found: Vec<TicketChanged> = found.into_iter().map(|(id, at)| TicketChanged { id, at }).collect();
    found.sort_by_key(|ticket| ticket.at);
    if let Some(last) = limit.checked_sub(1).and_then(|last| found.get(last)).map(|t| t.at.seconds()) {
        found.retain(|ticket| ticket.at.seconds() <= last);
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_come_first_and_a_second_is_never_cut() {
        let ticket = |id: &str, ms| (TicketId::parse(id).unwrap(), Timestamp::from_millis(ms));
        let found = || BTreeMap::from([ticket("4", 3_000), ticket("2", 1_500), ticket("1", 1_900), ticket("3", 2_000)]);
        let ids = |limit| oldest(found(), limit).iter().map(|t| t.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(1), ["2", "1"]);
        assert_eq!(ids(3), ["2", "1", "3"]);
        assert_eq!(ids(9), ["2", "1", "3", "4"]);
    }
}
