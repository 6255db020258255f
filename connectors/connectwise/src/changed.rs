//! Tickets that were saved since a moment: how lost callbacks are found.
//!
//! No order of a list by time is documented, so none is asked for.

use latchkey_contract::{
    BoardId, CallError, Clock, TicketId, Timestamp,
    saved::{self, Saves, Span},
    ticket::TicketChanged,
};

use crate::{
    api::{Api, Ask, number_or_refused},
    conditions::{Conditions, IDS_PER_CALL},
    wire,
};

const LIST: &str = "GET /service/tickets";
/// Pages of 1,000 that are read of one span before it is halved.
const PAGES: usize = 2;

pub(crate) async fn since(
    api: &Api,
    clock: &dyn Clock,
    since: Timestamp,
    boards: &[BoardId],
    limit: usize,
) -> Result<Vec<TicketChanged>, CallError> {
    let boards = boards.iter().map(|b| number_or_refused(LIST, b.as_str())).collect::<Result<_, _>>()?;
    saved::since(&Listed { api, boards }, clock, since, limit).await
}

/// Tickets of these boards.
struct Listed<'c> {
    api: &'c Api,
    boards: Vec<u32>,
}

#[async_trait::async_trait]
impl Saves for Listed<'_> {
    async fn of(&self, span: Span) -> Result<Option<Vec<(TicketId, Timestamp)>>, CallError> {
        let pages = if span.may_be_halved { PAGES } else { usize::MAX };
        let mut found = Vec::new();
        for part in self.boards.chunks(IDS_PER_CALL) {
            let mut conditions = Conditions::since("lastUpdated", span.since);
            if let Some(end) = span.end {
                conditions = conditions.and(&Conditions::before("lastUpdated", end));
            }
            let conditions = conditions.and(&Conditions::one_of("board/id", part));
            let ask = Ask::new(LIST, ["service", "tickets"])
                .query("conditions", conditions.into_text())
                .query("fields", "id,_info/lastUpdated");
            let Some(rows) = self.api.list_up_to::<wire::Stamp>(&ask, pages).await? else { return Ok(None) };
            found.extend(saved::dated(LIST, rows, changed)?);
        }
        Ok(Some(found))
    }
}

fn changed(row: wire::Stamp) -> Option<(TicketId, Timestamp)> {
    let at = Timestamp::parse(row.info?.last_updated.as_deref()?)?;
    Some((TicketId::parse(row.id.to_string()).ok()?, at))
}
