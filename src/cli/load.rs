//! `latchkey records load`: the document is checked as a whole and saved as a revision.

use std::path::Path;

use anyhow::anyhow;

use super::{Desk, Terminal};
use crate::rulebook::{Catalogues, Faults, Gravity, Records, Rules};

const LONGEST: u64 = 4 * 1024 * 1024;

pub(super) async fn records(desk: &Desk, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let records = Records::parse(&terminal.read_text(file, LONGEST)?).map_err(|faults| refused(file, &faults))?;
    let before = desk.store.rules().await?;
    let rules = before.next(before.rulebook.clone(), records, desk.clock.now());
    let rules = rules.map_err(|why| anyhow!("{}: {why}; nothing was changed", file.display()))?;
    let revision = desk.save(&rules, &format!("records from {}", name(file))).await?;
    let records = &rules.records;
    terminal.say(format!(
        "Revision {revision} is in force: {} connections, {} customers, {} people.",
        records.connections.len(),
        records.customers.len(),
        records.people.len()
    ))?;
    for (_, why) in desk.live().await?.known().registry.broken() {
        terminal.hint(format!("still to do: {why}"))?;
    }
    warn(terminal, &rules)
}

/// What of the rulebook does nothing with these records.
fn warn(terminal: &mut Terminal, rules: &Rules) -> anyhow::Result<()> {
    let all = rules.rulebook.warnings(&rules.records, &Catalogues::default());
    all.iter().filter(|warning| warning.gravity == Gravity::Inert).try_for_each(|warning| terminal.hint(warning))
}

fn refused(file: &Path, faults: &Faults) -> anyhow::Error {
    anyhow!("{} was not loaded; nothing was changed:\n{faults}", file.display())
}

fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    latchkey_contract::text::one_line(&name, 80)
}
