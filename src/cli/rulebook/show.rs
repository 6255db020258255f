//! What a change of rules comes to, before it is made.

use serde_json::Value;

use super::{Asked, Desk, Terminal, ask};
use crate::{
    access::replay::{Decided, not_replayed, replay},
    audit::Code,
    rulebook::{Difference, Gravity, Rules},
};

/// So many decisions are made again.
const DECISIONS: u32 = 500;

/// So many that fall otherwise are listed.
const LISTED: usize = 50;

/// What of it does nothing or is dangerous. What is merely good to know is left to `check`.
pub(super) async fn warnings(desk: &Desk, terminal: &mut Terminal, after: &Rules) -> anyhow::Result<()> {
    let Asked { catalogues, silent } = ask(desk, &after.rulebook, &after.records).await?;
    let all = after.rulebook.warnings(&after.records, &catalogues);
    for warning in all.iter().filter(|warning| warning.gravity != Gravity::Note) {
        terminal.hint(warning)?;
    }
    silent.iter().try_for_each(|silent| terminal.hint(format_args!("not asked\t{silent}")))
}

pub(super) fn differences(terminal: &mut Terminal, differences: &[Difference]) -> anyhow::Result<()> {
    terminal.hint("What changes:")?;
    differences.iter().try_for_each(|difference| terminal.hint(format_args!("  {difference}")))
}

/// Which of the last decisions would fall otherwise.
pub(super) async fn decisions(
    desk: &Desk,
    terminal: &mut Terminal,
    before: &Rules,
    after: &Rules,
) -> anyhow::Result<()> {
    let codes = [Code::RequestGranted, Code::RequestRefused, Code::RequestWaiting];
    let kept = desk.store.newest_audit(&codes, DECISIONS).await?;
    let decided: Vec<Decided> = kept.iter().filter_map(|entry| read(&entry.detail)).collect();
    let turned = replay(before, after, &decided);
    match (decided.len(), turned.len()) {
        (0, _) => terminal.hint("There are no decisions yet to try it on.")?,
        (all, 0) => terminal.hint(format_args!("Of the last {all} decisions none would fall otherwise."))?,
        (all, some) => terminal.hint(format_args!("Of the last {all} decisions {some} would fall otherwise:"))?,
    }
    for turned in turned.iter().take(LISTED) {
        terminal.hint(format_args!("  {turned}"))?;
    }
    if turned.len() > LISTED {
        terminal.hint(format_args!("  and {} more", turned.len() - LISTED))?;
    }
    if kept.len() > decided.len() {
        let lost = kept.len() - decided.len();
        terminal.hint(format_args!("{lost} decisions of an earlier release cannot be tried."))?;
    }
    for brake in not_replayed(before, after) {
        terminal
            .hint(format_args!("Brake {brake} was not counted like that then: what it would hold is not shown."))?;
    }
    Ok(())
}

fn read(detail: &Value) -> Option<Decided> {
    serde_json::from_value(detail.clone()).ok()
}
