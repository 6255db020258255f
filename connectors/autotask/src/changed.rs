//! Tickets that were saved since a moment: how lost callouts are found.
//!
//! There is no order by time (rows come by ascending number), and every save moves `lastActivityDate`. [facts 1.6, 3.4]

use latchkey_contract::{
    BoardId, CallError, Clock, TicketId, Timestamp,
    outside::Urgency,
    saved::{self, Saves, Span},
    ticket::TicketChanged,
};

use crate::{
    api::{Api, number_or_refused},
    filter::{Filter, IDS_PER_CALL},
    time, wire,
};

const LIST: &str = "POST /Tickets/query";
const PAGE: usize = 500;
/// Pages that are read of one span before it is halved.
const PAGES: usize = 4;

pub(crate) async fn since(
    api: &Api,
    clock: &dyn Clock,
    since: Timestamp,
    queues: &[BoardId],
    limit: usize,
) -> Result<Vec<TicketChanged>, CallError> {
    let queues = queues.iter().map(|id| number_or_refused(LIST, id.as_str())).collect::<Result<_, _>>()?;
    saved::since(&Listed { api, queues }, clock, since, limit).await
}

/// Tickets of these queues.
struct Listed<'c> {
    api: &'c Api,
    queues: Vec<i64>,
}

#[async_trait::async_trait]
impl Saves for Listed<'_> {
    async fn of(&self, span: Span) -> Result<Option<Vec<(TicketId, Timestamp)>>, CallError> {
        let pages = if span.may_be_halved { PAGES } else { usize::MAX };
        let mut found = Vec::new();
        for part in self.queues.chunks(IDS_PER_CALL) {
            let mut filters = vec![Filter::since("lastActivityDate", span.since), Filter::one_of("queueID", part)];
            filters.extend(span.end.map(|end| Filter::before("lastActivityDate", end)));
            let columns = ["id", "lastActivityDate"];
            let (api, most) = (self.api, (PAGE, pages));
            let rows = api.query_up_to::<wire::Stamp>(LIST, &filters, &columns, most, Urgency::Ordinary).await?;
            let Some(rows) = rows else { return Ok(None) };
            found.extend(saved::dated(LIST, rows, stamp)?);
        }
        Ok(Some(found))
    }
}

fn stamp(row: wire::Stamp) -> Option<(TicketId, Timestamp)> {
    let at = time::parse(row.last_activity_date.as_deref()?)?;
    Some((TicketId::parse(row.id.to_string()).ok()?, at))
}
