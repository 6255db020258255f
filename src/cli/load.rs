//! `latchkey records load`, `latchkey rulebook load`: a document is checked as a whole and saved as a revision.

use std::path::Path;

use anyhow::anyhow;

use super::{Desk, Terminal};
use crate::rulebook::{ConnectionKind, Faults, Records, Rulebook, Rules};

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

pub(super) async fn rulebook(desk: &Desk, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let rulebook = Rulebook::parse(&terminal.read_text(file, LONGEST)?).map_err(|faults| refused(file, &faults))?;
    let before = desk.store.rules().await?;
    let rules = before.next(rulebook, before.records.clone(), desk.clock.now());
    let rules = rules.map_err(|why| anyhow!("{}: {why}; nothing was changed", file.display()))?;
    let revision = desk.save(&rules, &format!("rulebook from {}", name(file))).await?;
    terminal.say(format!(
        "Revision {revision} is in force: {} policies, {} mappings.",
        rules.rulebook.policies.len(),
        rules.rulebook.mappings.len()
    ))?;
    warn(terminal, &rules)
}

/// What is not wrong in either document, but does nothing with the other one.
fn warn(terminal: &mut Terminal, rules: &Rules) -> anyhow::Result<()> {
    for mapping in &rules.rulebook.mappings {
        let connection = rules.records.connection(&mapping.connection);
        if !connection.is_some_and(|c| matches!(c.kind, ConnectionKind::ConnectWise(_))) {
            terminal.hint(format!(
                "mapping.{}.connection: there is no PSA connection {} in the records, so this mapping does nothing",
                mapping.id, mapping.connection
            ))?;
        }
    }
    Ok(())
}

fn refused(file: &Path, faults: &Faults) -> anyhow::Error {
    anyhow!("{} was not loaded; nothing was changed:\n{faults}", file.display())
}

fn name(file: &Path) -> String {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    latchkey_contract::text::one_line(&name, 80)
}
