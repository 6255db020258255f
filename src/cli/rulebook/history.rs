//! `latchkey rulebook history | rollback`.

use anyhow::anyhow;

use super::{Desk, Terminal, at, import};
use crate::{rulebook::Rulebook, store::Revision};

pub(super) async fn list(desk: &Desk, terminal: &mut Terminal, limit: u32) -> anyhow::Result<()> {
    let revisions = desk.store.rulebook_history(limit).await?;
    if revisions.is_empty() {
        return terminal.hint("There is no rulebook yet. Put one in force: latchkey rulebook import FILE --reason WHY");
    }
    for saved in &revisions {
        say(terminal, saved)?;
        for line in changed(desk, saved.revision).await? {
            terminal.say(format_args!("  {line}"))?;
        }
    }
    Ok(())
}

/// Rulebook, records, holds and secrets alike: each by its name.
pub(in crate::cli) async fn everything(desk: &Desk, terminal: &mut Terminal, limit: u32) -> anyhow::Result<()> {
    let revisions = desk.store.history(limit).await?;
    if revisions.is_empty() {
        return terminal.hint("There are no records yet. Put some in force: latchkey records load FILE");
    }
    for saved in &revisions {
        say(terminal, saved)?;
        if !saved.changed.is_empty() {
            terminal.say(format_args!("  {}", saved.changed.join(", ")))?;
        }
    }
    Ok(())
}

fn say(terminal: &mut Terminal, Revision { revision, author, reason, at, .. }: &Revision) -> anyhow::Result<()> {
    terminal.say(format_args!("{revision}\t{}\t{author}\t{reason}", at.for_people()))
}

/// What a revision changed, each thing on one line.
async fn changed(desk: &Desk, revision: i64) -> anyhow::Result<Vec<String>> {
    let now = desk.store.rulebook_at(revision).await?.unwrap_or_default();
    let before: Rulebook = desk.store.rulebook_at(revision - 1).await?.unwrap_or_default();
    let first_line = |text: String| text.lines().next().unwrap_or_default().to_owned();
    Ok(now.differences(&before)?.iter().map(|difference| first_line(difference.to_string())).collect())
}

/// The way of an import: records and holds stay as they are.
pub(super) async fn rollback(desk: &Desk, terminal: &mut Terminal, revision: i64, reason: &str) -> anyhow::Result<()> {
    let book = at(desk, revision).await?;
    book.check().map_err(|faults| {
        anyhow!(
            "the rulebook of revision {revision} would be refused today; export it, mend it, and import it:\n{faults}"
        )
    })?;
    import::propose(desk, terminal, book, reason).await
}
