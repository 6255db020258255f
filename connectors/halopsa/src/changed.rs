//! Tickets that were saved since a moment: how lost deliveries are found.
//!
//! The list is asked for newest save first and read until it is older than what is looked for. Filters and orders that a
//! build does not know are ignored without a word, so both are checked on the answer: where the order is not kept the whole
//! list is read, and a ticket of another team is dropped here.

use std::collections::{BTreeMap, BTreeSet};

use latchkey_contract::{BoardId, CallError, TicketId, Timestamp, outside::Urgency, saved, ticket::TicketChanged};

use crate::{
    api::{Api, Ask, PAGE, number_or_refused},
    moment,
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
    let mut rows = read(api, &ask, since).await?;
    if rows.len() > PAGE {
        // Whatever was saved while the pages were read has moved to the first of them.
        let newest = rows.iter().filter_map(saved_at).max().unwrap_or(since);
        rows.extend(read(api, &ask, newest).await?);
    }
    let known = tables.known(api, Urgency::Ordinary, |_| true).await?;
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
    Ok(saved::oldest(found, limit))
}

/// The rows down to `since`, or all of them where the list is not seen to be sorted: before a save that is older than the first
/// one, nothing shows that it is.
async fn read(api: &Api, ask: &Ask, since: Timestamp) -> Result<Vec<wire::Ticket>, CallError> {
    let (mut first, mut last, mut is_sorted, mut has_ended) = (None, None, true, false);
    let is_enough = |row: &wire::Ticket| {
        // What the list is sorted by.
        let at = row.last_update.as_deref().and_then(moment::parse);
        is_sorted &= last.is_none_or(|last| at <= last);
        last = Some(at);
        first = first.or(at);
        has_ended |= at.is_some_and(|at| at < since);
        is_sorted && has_ended && at.zip(first).is_some_and(|(at, first)| at < first)
    };
    api.pages(ask, |row: &wire::Ticket| row.id, is_enough).await
}
