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
    // One whose team cannot be told is looked at rather than lost.
    let is_here =
        |row: &&wire::Ticket| known.team(row.team_id, row.team.as_deref()).is_none_or(|team| teams.contains(&team));
    let saved = |row: &wire::Ticket| Some((TicketId::parse(row.id.to_string()).ok()?, saved_at(row)?));
    let mut found = BTreeMap::new();
    for (id, at) in saved::dated(LIST, rows.iter().filter(is_here), saved)? {
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
        // What the list is sorted by; a row without it shows nothing of the order.
        let Some(at) = row.last_update.as_deref().and_then(moment::parse) else { return false };
        is_sorted &= last.is_none_or(|last| at <= last);
        last = Some(at);
        has_ended |= at < since;
        let first = *first.get_or_insert(at);
        is_sorted && has_ended && at < first
    };
    api.pages(ask, |row: &wire::Ticket| row.id, is_enough).await
}
