//! Tickets that were saved since a moment: how lost callbacks are found.
//!
//! No order of a list by time is documented, so none is asked for: what was found is sorted here. A span that holds too
//! much to read at once is halved, and its older half is read first.

use std::{collections::BTreeMap, time::Duration};

use latchkey_contract::{BoardId, CallError, Clock, TicketId, Timestamp, ticket::TicketChanged};

use crate::{
    api::{Api, Ask, number_or_refused},
    conditions::{Conditions, IDS_PER_CALL},
    wire,
};

const LIST: &str = "GET /service/tickets";
/// Pages of 1,000 that are read of one span before it is halved.
const PAGES: usize = 2;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn since(
    api: &Api,
    clock: &dyn Clock,
    since: Timestamp,
    boards: &[BoardId],
    limit: usize,
) -> Result<Vec<TicketChanged>, CallError> {
    let boards: Vec<u32> = boards.iter().map(|b| number_or_refused(LIST, b.as_str())).collect::<Result<_, _>>()?;
    let (mut found, mut from, mut end) = (BTreeMap::new(), since, None);
    loop {
        let until = end.unwrap_or_else(|| clock.now());
        let pages = if until <= from + SECOND { usize::MAX } else { PAGES };
        match span(api, from, end, &boards, pages).await? {
            None => end = Some((from + until.since(from) / 2).max(from + SECOND)),
            Some(part) => {
                // Saved again between two spans: the later time counts.
                found.extend(part);
                match end {
                    Some(end_of_part) if found.len() < limit => (from, end) = (end_of_part, None),
                    _ => return Ok(oldest(found, limit)),
                }
            }
        }
    }
}

/// Every ticket saved in the span; `None` when it holds more than so many pages.
async fn span(
    api: &Api,
    since: Timestamp,
    end: Option<Timestamp>,
    boards: &[u32],
    pages: usize,
) -> Result<Option<Vec<(TicketId, Timestamp)>>, CallError> {
    let mut found = Vec::new();
    for part in boards.chunks(IDS_PER_CALL) {
        let mut conditions = Conditions::since("lastUpdated", since);
        if let Some(end) = end {
            conditions = conditions.and(&Conditions::before("lastUpdated", end));
        }
        let conditions = conditions.and(&Conditions::one_of("board/id", part));
        let ask = Ask::new(LIST, ["service", "tickets"])
            .query("conditions", conditions.into_text())
            .query("fields", "id,_info/lastUpdated");
        let Some(rows) = api.list_up_to::<wire::Stamp>(&ask, pages).await? else { return Ok(None) };
        for row in rows {
            found.push(changed(row)?);
        }
    }
    Ok(Some(found))
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

fn changed(row: wire::Stamp) -> Result<(TicketId, Timestamp), CallError> {
    let at = row.info.and_then(|info| info.last_updated).as_deref().and_then(Timestamp::parse);
    let undated = || CallError::malformed(LIST, "a ticket without a time of its last save");
    let id = TicketId::parse(row.id.to_string()).map_err(|e| CallError::malformed(LIST, e))?;
    Ok((id, at.ok_or_else(undated)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(id: &str, ms: i64) -> (TicketId, Timestamp) {
        (TicketId::parse(id).unwrap(), Timestamp::from_millis(ms))
    }

    #[test]
    fn the_oldest_come_first_and_a_second_is_never_cut() {
        let found = || BTreeMap::from([ticket("4", 3_000), ticket("2", 1_500), ticket("1", 1_900), ticket("3", 2_000)]);
        let ids = |limit| oldest(found(), limit).iter().map(|t| t.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(1), ["2", "1"]);
        assert_eq!(ids(3), ["2", "1", "3"]);
        assert_eq!(ids(9), ["2", "1", "3", "4"]);
    }
}
