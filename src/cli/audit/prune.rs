//! Old entries go; what they came to stays, signed.

use anyhow::{Context, bail};
use latchkey_contract::Timestamp;
use serde_json::json;

use super::{Desk, Terminal, verify};
use crate::{
    audit::{AuditEntry, Code, Signer},
    cli::desk::explain,
};

pub(super) async fn run(before: Timestamp, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let now = desk.clock.now();
    if before > now {
        bail!("{before} is yet to come; name a day in the past, nothing was pruned");
    }
    // What does not verify is evidence: no signature of ours covers it.
    verify::follow(&*desk.store, Vec::new()).await.context("nothing was pruned")?;
    let Some(gone) = desk.store.audit_prunable(before).await? else {
        terminal.say(format!("No entry from before {before} can go: there is none, or open grants need them."))?;
        return Ok(());
    };
    let first = gone.seq - gone.entries + 1;
    terminal.confirm(format_args!(
        "Entries {first} to {}, from {} to {}, will be gone for good. To keep them, export all of it first: \
         latchkey audit export --out FILE",
        gone.seq, gone.from, gone.to
    ))?;
    let checkpoint = Signer::new(&*desk.seal().await?).checkpoint(gone);
    let entry = AuditEntry::new(Code::AuditPruned, now, desk.by(), json!({ "checkpoint": checkpoint }));
    desk.store.audit_prune(&checkpoint, entry).await.map_err(explain)?;
    terminal.say(format!(
        "{} entries are gone; the log begins with {}.",
        checkpoint.gone.entries,
        checkpoint.gone.seq + 1
    ))?;
    Ok(())
}
