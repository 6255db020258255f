//! Tickets that were saved since a moment: how lost callbacks are found.
//!
//! No order of a list by time is documented, so none is asked for: what was found is sorted here. A span that holds too
//! much to read at once is halved, and its older half is answered.

use std::time::Duration;

use latchkey_contract::{BoardId, CallError, Clock, TicketId, Timestamp, ticket::TicketChanged};

use crate::{
    api::{Api, Ask, number_or_refused},
    conditions::{Conditions, IDS_PER_CALL},
    wire,
};

const LIST: &str = "GET /service/tickets";
/// Pages of 1,000 that are read of one span before it is halved.
const PAGES: usize = 5;
const SECOND: Duration = Duration::from_secs(1);

pub(crate) async fn since(
    api: &Api,
    clock: &dyn Clock,
    since: Timestamp,
    boards: &[BoardId],
    limit: usize,
) -> Result<Vec<TicketChanged>, CallError> {
    let boards: Vec<u32> = boards.iter().map(|b| number_or_refused(LIST, b.as_str())).collect::<Result<_, _>>()?;
    if boards.is_empty() {
        return Ok(vec![]);
    }
    let mut end = None;
    loop {
        let until = end.unwrap_or_else(|| clock.now());
        let is_last_try = until <= since + SECOND;
        let pages = if is_last_try { usize::MAX } else { PAGES };
        if let Some(found) = span(api, since, end, &boards, pages).await? {
            return Ok(oldest(found, limit));
        }
        end = Some((since + until.since(since) / 2).max(since + SECOND));
    }
}

/// Every ticket saved in the span; `None` when it holds more than so many pages.
async fn span(
    api: &Api,
    since: Timestamp,
    end: Option<Timestamp>,
    boards: &[u32],
    pages: usize,
) -> Result<Option<Vec<TicketChanged>>, CallError> {
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
fn oldest(mut found: Vec<TicketChanged>, limit: usize) -> Vec<TicketChanged> {
    found.sort_by(|a, b| (a.at, &a.id).cmp(&(b.at, &b.id)));
    found.dedup_by(|a, b| a.id == b.id);
    if let Some(last) = limit.checked_sub(1).and_then(|last| found.get(last)).map(|t| t.at.seconds()) {
        found.retain(|ticket| ticket.at.seconds() <= last);
    }
    found
}

fn changed(row: wire::Stamp) -> Result<TicketChanged, CallError> {
    let at = row.info.and_then(|info| info.last_updated).as_deref().and_then(Timestamp::parse);
    let undated = || CallError::malformed(LIST, "a ticket without a time of its last save");
    let id = TicketId::parse(row.id.to_string()).map_err(|e| CallError::malformed(LIST, e))?;
    Ok(TicketChanged { id, at: at.ok_or_else(undated)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticket(id: &str, ms: i64) -> TicketChanged {
        TicketChanged { id: TicketId::parse(id).unwrap(), at: Timestamp::from_millis(ms) }
    }

    #[test]
    fn the_oldest_come_first_and_a_second_is_never_cut() {
        let found = || vec![ticket("4", 3_000), ticket("2", 1_500), ticket("1", 1_000), ticket("3", 2_000)];
        let ids = |limit| oldest(found(), limit).iter().map(|t| t.id.to_string()).collect::<Vec<_>>();
        assert_eq!(ids(1), ["1", "2"]);
        assert_eq!(ids(3), ["1", "2", "3"]);
        assert_eq!(ids(9), ["1", "2", "3", "4"]);
    }
}
