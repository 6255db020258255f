//! What the service has to do, what stops it, and what it has written down.

use std::time::Duration;

use latchkey_contract::Timestamp;

use super::{Doctor, HERE, Line, within};
use crate::{
    access::{Grant, State},
    audit::{AuditFilter, AuditRow, Chain, Head},
    jobs::chain,
    rulebook::Rules,
    store::{QueueState, Scope, StoreError},
};

/// A due task that waits longer shows that nothing, or not enough, works.
const OVERDUE: Duration = Duration::from_secs(5 * 60);

/// Grants that are looked at for their removal, at most.
const MOST: usize = 20_000;

/// Grants in one question.
const PAGE: u32 = 500;

/// Entries at the end of the audit log that are followed.
const NEWEST: i64 = 200;

pub(super) async fn look(doctor: &Doctor, rules: &Rules, is_worked_on: bool) -> Vec<Line> {
    let mut lines = within("queue", HERE, queue(doctor, is_worked_on)).await;
    lines.extend(holds(rules));
    lines.extend(within("audit", HERE, audit(doctor, is_worked_on)).await);
    lines
}

async fn queue(doctor: &Doctor, is_worked_on: bool) -> Vec<Line> {
    let now = doctor.clock.now();
    let mut lines = Vec::new();
    match doctor.store.queue(now).await {
        Ok(state) => lines.extend([dead(&state), waiting(&state, is_worked_on, now)]),
        Err(error) => lines.push(Line::red("queue", "tasks", chain(&error))),
    }
    match open_grants(doctor).await {
        Ok(open) => lines.extend([removals(&open, now), held(&open)]),
        Err(error) => lines.push(Line::red("queue", "removals", chain(&error))),
    }
    lines
}

async fn open_grants(doctor: &Doctor) -> Result<Vec<Grant>, StoreError> {
    let mut open: Vec<Grant> = Vec::new();
    loop {
        let after = open.last().map(|grant| grant.id.clone());
        let page = doctor.store.open_grants_in(&Scope::Everything, after.as_ref(), PAGE).await?;
        let is_last = page.is_empty();
        open.extend(page);
        if is_last || open.len() >= MOST {
            return Ok(open);
        }
    }
}

fn dead(state: &QueueState) -> Line {
    const WHAT: &str = "dead tasks";
    match state.dead {
        0 => Line::ok("queue", WHAT, "none"),
        dead => Line::red("queue", WHAT, format!("given up: {dead}; see why with: latchkey tasks")),
    }
}

fn waiting(state: &QueueState, is_running: bool, now: Timestamp) -> Line {
    const WHAT: &str = "oldest due task";
    let late = state.oldest_due.map(|due| now.since(due)).unwrap_or_default();
    if late <= OVERDUE {
        return Line::ok(
            "queue",
            WHAT,
            format!("{} are due, none for longer than {} s", state.ready, OVERDUE.as_secs()),
        );
    }
    let since = format!("due for {} min", late.as_secs() / 60);
    if is_running {
        Line::red("queue", WHAT, format!("{since}: see what holds it with: latchkey tasks, and look at the log"))
    } else {
        Line::red("queue", WHAT, format!("{since}, and no service works here: start it, and run this again"))
    }
}

/// Removal that is owed goes on for ever by itself; that it is late is for a person to know.
fn removals(open: &[Grant], now: Timestamp) -> Line {
    const WHAT: &str = "removals";
    let since = |grant: &Grant| match grant.state {
        State::Ending { since, .. } => Some(since),
        State::Active { until, .. } => (until < now).then_some(until),
        _ => None,
    };
    let owed = open.iter().filter_map(|grant| Some((since(grant)?, grant)));
    let late: Vec<_> = owed.filter(|(since, _)| now.since(*since) > OVERDUE).collect();
    let Some((since, first)) = late.iter().min_by_key(|(since, _)| *since) else {
        return Line::ok("queue", WHAT, "none is late");
    };
    let to_do = format!(
        "late: {}, the first since {since}: grant {} at {} for {}; mend that customer's connection, and see the \
         cause with: latchkey tasks",
        late.len(),
        first.id,
        first.customer,
        first.person,
    );
    Line::red("queue", WHAT, to_do)
}

fn held(open: &[Grant]) -> Line {
    const WHAT: &str = "brakes";
    match open.iter().filter(|grant| matches!(grant.state, State::Held { .. })).count() {
        0 => Line::ok("queue", WHAT, "no request is held"),
        held => Line::note(
            "queue",
            WHAT,
            format!("requests that are held and wait for approvers: {held} (latchkey grants --open)"),
        ),
    }
}

fn holds(rules: &Rules) -> Vec<Line> {
    let said = |hold: &crate::rulebook::Hold| {
        let know = format!("{}, since {}, by {}: {}", hold.sentence(), hold.since, hold.by, hold.reason);
        Line::note("holds", &hold.on.to_string(), know)
    };
    let mut holds: Vec<Line> = rules.holds.iter().map(said).collect();
    if holds.is_empty() {
        holds.push(Line::ok("holds", "in force", "none"));
    }
    holds
}

async fn audit(doctor: &Doctor, is_worked_on: bool) -> Vec<Line> {
    let end = match end(doctor).await {
        Ok(end) => followed(end),
        Err(error) => Line::red("audit", "head", chain(&error)),
    };
    vec![
        end,
        match doctor.store.audit_owed().await {
            Ok(owed) => self::owed(owed, is_worked_on),
            Err(error) => Line::red("audit", "owed entries", chain(&error)),
        },
    ]
}

/// The head, and the newest rows up to it: the first of them is where following begins.
async fn end(doctor: &Doctor) -> Result<Option<(Head, Vec<AuditRow>)>, StoreError> {
    let Some(head) = doctor.store.audit_head().await? else { return Ok(None) };
    let mut rows =
        doctor.store.audit_rows(&AuditFilter::default(), (head.seq - NEWEST).max(0), NEWEST as u32 + 50).await?;
    rows.retain(|row| row.seq <= head.seq);
    Ok(Some((head, rows)))
}

fn followed(end: Option<(Head, Vec<AuditRow>)>) -> Line {
    const WHAT: &str = "head";
    let Some((head, rows)) = end else { return Line::ok("audit", WHAT, "there are no entries yet") };
    let broken = |why: &str| Line::red("audit", WHAT, format!("{why}; follow all of it with: latchkey audit verify"));
    let Some((first, rest)) = rows.split_first() else { return broken("the head names an entry that is not there") };
    let mut chain = Chain::from_row(first);
    if let Err(error) = rest.iter().try_for_each(|row| chain.take(row)) {
        return broken(&error.to_string());
    }
    match chain.head() {
        Some(found) if (found.seq, &found.hash) == (head.seq, &head.hash) => Line::ok(
            "audit",
            WHAT,
            format!("the newest {} entries follow one from another up to {}", rows.len(), head.seq),
        ),
        _ => broken("the newest entry is not the one that the head names"),
    }
}

fn owed(owed: u64, is_running: bool) -> Line {
    const WHAT: &str = "owed entries";
    match owed {
        0 => Line::ok("audit", WHAT, "none"),
        owed if is_running => Line::note(
            "audit",
            WHAT,
            format!("entries of removals that wait to be chained: {owed}; it is done by itself"),
        ),
        owed => {
            Line::note("audit", WHAT, format!("entries of removals that wait to be chained: {owed}; start the service"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rulebook::{Hold, HoldCause, HoldOn};

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    #[test]
    fn what_was_given_up_or_waits_too_long_is_red() {
        let dead_ones = dead(&QueueState { dead: 2, ..QueueState::default() });
        assert!(dead_ones.check.is_red() && dead_ones.to_string().contains("latchkey tasks"), "{dead_ones}");
        assert_eq!(dead(&QueueState::default()).word(), "ok");
        let of = |late: u64| QueueState { oldest_due: Some(NOW - Duration::from_secs(late)), ..QueueState::default() };
        assert_eq!([waiting(&of(300), true, NOW).word(), waiting(&of(301), true, NOW).word()], ["ok", "fault"]);
        assert!(waiting(&of(301), false, NOW).to_string().contains("start it"));
        assert_eq!(waiting(&QueueState::default(), true, NOW).word(), "ok");
    }

    #[test]
    fn a_hold_is_a_note_with_who_and_why() {
        let on = HoldOn::Customer("contoso".parse().unwrap());
        let hold =
            Hold { on, cause: HoldCause::Paused, since: NOW, by: "jane".into(), reason: "audit\u{1b}[2J".into() };
        let lines = holds(&Rules { holds: vec![hold], ..Rules::default() });
        let text = lines[0].to_string();
        assert_eq!((lines.len(), lines[0].word()), (1, "note"));
        assert!(text.contains("contoso is paused") && text.contains("jane") && !text.contains('\u{1b}'), "{text:?}");
        assert_eq!(holds(&Rules::default())[0].word(), "ok");
    }

    #[test]
    fn entries_that_are_owed_are_a_note() {
        assert_eq!([owed(0, true).word(), owed(1, true).word(), owed(1, false).word()], ["ok", "note", "note"]);
    }
}
