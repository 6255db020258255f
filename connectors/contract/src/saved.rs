//! Tickets that were saved since a moment, oldest first, from a PSA that lists in an order of its own.
//!
//! What was found is sorted here. A span that holds too much to read at once is halved, and its older half is read first.

use std::{collections::BTreeMap, time::Duration};

use crate::{CallError, Clock, TicketId, Timestamp, ticket::TicketChanged};

const SECOND: Duration = Duration::from_secs(1);

/// A span of saves, from `since`, and before `end` where there is one.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    /// At or after this.
    pub since: Timestamp,
    /// Before this.
    pub end: Option<Timestamp>,
    /// It can be halved: a list of very many may be given up.
    pub may_be_halved: bool,
}

/// How a PSA lists the saves of a span.
#[async_trait::async_trait]
pub trait Saves: Send + Sync {
    /// Every ticket saved in the span, with the time of its last save; `None` when there are too many to read at once.
    async fn of(&self, span: Span) -> Result<Option<Vec<(TicketId, Timestamp)>>, CallError>;
}

/// About `limit` tickets as [`crate::TicketSystem::changed_since`] wants them.
///
/// # Errors
/// As the listing.
pub async fn since(
    saves: &dyn Saves,
    clock: &dyn Clock,
    since: Timestamp,
    limit: usize,
) -> Result<Vec<TicketChanged>, CallError> {
    let (mut found, mut from, mut end) = (BTreeMap::new(), since, None);
    loop {
        let until = end.unwrap_or_else(|| clock.now());
        let may_be_halved = until > from + SECOND;
        match saves.of(Span { since: from, end, may_be_halved }).await? {
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

/// The rows that say when they were saved. One that does not hides none of the others: its ticket is heard of by its message
/// alone.
///
/// # Errors
/// [`CallError::Malformed`] where not one row says it: then it is the list that cannot be read.
pub fn dated<R>(
    op: &'static str,
    rows: impl IntoIterator<Item = R>,
    read: impl Fn(R) -> Option<(TicketId, Timestamp)>,
) -> Result<Vec<(TicketId, Timestamp)>, CallError> {
    let (mut dated, mut undated) = (Vec::new(), 0_usize);
    for row in rows {
        match read(row) {
            Some(saved) => dated.push(saved),
            None => undated += 1,
        }
    }
    match undated {
        0 => {}
        _ if dated.is_empty() => return Err(CallError::malformed(op, "no ticket tells the time of its last save")),
        _ => tracing::warn!(op, undated, "tickets without a time of their last save are not in the list of saves"),
    }
    Ok(dated)
}

/// The first `limit`, and whatever shares the last one's second.
#[must_use]
pub fn oldest(found: BTreeMap<TicketId, Timestamp>, limit: usize) -> Vec<TicketChanged> {
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

    fn ticket(id: &str, ms: i64) -> (TicketId, Timestamp) {
        (TicketId::parse(id).unwrap(), Timestamp::from_millis(ms))
    }

    #[test]
    fn a_row_without_a_time_hides_no_other_and_a_list_without_any_is_not_believed() {
        let list = |rows: &[(&str, Option<i64>)]| {
            dated("GET /x", rows, |(id, ms)| ms.map(|ms| ticket(id, ms))).map(|dated| dated.len())
        };
        assert_eq!(list(&[("1", Some(1)), ("2", None), ("3", Some(3))]).unwrap(), 2);
        assert!(matches!(list(&[("1", None)]), Err(CallError::Malformed { .. })));
        assert_eq!(list(&[]).unwrap(), 0);
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
