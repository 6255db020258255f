//! The one way by which another rulebook comes into force: shown, tried, asked, saved.

use anyhow::bail;

use super::{Desk, Terminal, show, with};
use crate::{
    rulebook::{Rulebook, Rules},
    store::StoreError,
};

/// How often a revision that has nothing to do with this may come between.
const TRIES: usize = 5;

pub(super) async fn propose(desk: &Desk, terminal: &mut Terminal, book: Rulebook, reason: &str) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    let after = with(&before, book.clone(), desk)?;
    let differences = after.rulebook.differences(&before.rulebook)?;
    if differences.is_empty() {
        return terminal.say(format_args!("Nothing to change: revision {} says the same.", before.revision));
    }
    show::warnings(desk, terminal, &after).await?;
    show::differences(terminal, &differences)?;
    show::decisions(desk, terminal, &before, &after).await?;
    terminal.confirm("Shall this be in force from now on?")?;
    let revision = save(desk, &before, book, reason).await?;
    let (policies, mappings) = (after.rulebook.policies.len(), after.rulebook.mappings.len());
    terminal.say(format_args!("Revision {revision} is in force. Policies: {policies}, mappings: {mappings}."))
}

/// Saves what was shown on top of what it was shown against. A hold or a secret that was set meanwhile changes nothing of
/// that; another rulebook or other records do.
async fn save(desk: &Desk, before: &Rules, book: Rulebook, reason: &str) -> anyhow::Result<i64> {
    for _ in 0..TRIES {
        let now = desk.store.rules().await?;
        if now.rulebook != before.rulebook || now.records != before.records {
            return meanwhile(desk, before).await;
        }
        match desk.save(&with(&now, book.clone(), desk)?, reason).await {
            Err(error) if matches!(error.downcast_ref(), Some(StoreError::Conflict)) => {}
            done => return done,
        }
    }
    bail!("others go on saving; nothing was changed, run the command again in a quiet moment")
}

async fn meanwhile(desk: &Desk, before: &Rules) -> anyhow::Result<i64> {
    let newer = desk.store.history(100).await?;
    let kinds = ["rulebook", "connection/", "customer/", "person/"];
    let is_about = |changed: &String| kinds.iter().any(|kind| changed.starts_with(kind));
    let theirs = newer.iter().find(|r| r.revision > before.revision && r.changed.iter().any(is_about));
    let whose = theirs.map_or_else(
        || "another revision".to_owned(),
        |r| format!("revision {} ({}: {})", r.revision, r.author, r.reason),
    );
    bail!(
        "somebody else saved {whose} meanwhile; nothing was changed, and nothing of theirs is lost. Run the command again: it \
         shows what it would change from there"
    )
}
