//! The chain is followed from its beginning, or from what stays of its beginning, to its head.

use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::Path,
};

use anyhow::{Context, anyhow, bail};

use super::{Desk, PAGE, Terminal};
use crate::{
    audit::{AuditFilter, Chain, Checkpoint, Head, Line, Signer},
    store::Store,
};

/// No entry comes near: whoever wrote a longer line did not export it.
const LONGEST_LINE: u64 = 16 * 1024 * 1024;

/// A log that is whole.
#[derive(Debug)]
pub(super) struct Whole {
    first: i64,
    head: Option<Head>,
    checkpoints: Vec<Checkpoint>,
}

/// Follows the database's chain, page by page.
///
/// # Errors
/// The first entry that is broken, or every head that is not borne out.
pub(super) async fn follow(store: &dyn Store, heads: Vec<Head>) -> anyhow::Result<Whole> {
    let checkpoints = store.audit_checkpoints().await?;
    let mut chain = Chain::after(&checkpoints, heads)?;
    let mut after = chain.first() - 1;
    loop {
        let page = store.audit_rows(&AuditFilter::default(), after, PAGE).await?;
        let Some(last) = page.last() else { break };
        after = last.seq;
        page.iter().try_for_each(|row| chain.take(row))?;
    }
    whole(&chain, checkpoints)
}

pub(in crate::cli) async fn database(desk: &Desk, heads: Vec<Head>, terminal: &mut Terminal) -> anyhow::Result<()> {
    let found = follow(&*desk.store, heads.clone()).await?;
    let is_signed = heads.iter().any(|head| head.signature.is_some()) || !found.checkpoints.is_empty();
    let signer = if is_signed { Some(desk.seal().await.map(|seal| Signer::new(&seal))) } else { None };
    let signer = signer.transpose().or_else(|error| {
        terminal.hint(format!("No signature was checked: {error:#}"))?;
        anyhow::Ok(None)
    })?;
    if let Some(signer) = &signer {
        signed(signer, &found.checkpoints, &heads)?;
    }
    say(terminal, &found, &heads, signer.is_some())?;
    let owed = desk.store.audit_owed().await?;
    if owed > 0 {
        terminal
            .hint(format!("{owed} entries of removals are not chained yet; a running service does it by itself."))?;
    }
    Ok(())
}

/// Without configuration, database or key.
pub(in crate::cli) fn file(path: &Path, heads: Vec<Head>, terminal: &mut Terminal) -> anyhow::Result<()> {
    let file = File::open(path).with_context(|| format!("{} cannot be read", path.display()))?;
    let found =
        read(BufReader::new(file), heads.clone()).with_context(|| format!("{} does not verify", path.display()))?;
    if !found.checkpoints.is_empty() || heads.iter().any(|head| head.signature.is_some()) {
        terminal
            .hint("No signature was checked: that needs the installation's key. There, run: latchkey audit verify")?;
    }
    say(terminal, &found, &heads, false)
}

fn read(mut file: impl BufRead, heads: Vec<Head>) -> anyhow::Result<Whole> {
    let (mut checkpoints, mut heads) = (Vec::new(), Some(heads));
    let (mut chain, mut end): (Option<Chain>, Option<Head>) = (None, None);
    for number in 1_u64.. {
        let Some(line) = line(&mut file).with_context(|| format!("line {number}"))? else { break };
        if end.is_some() {
            bail!("line {number}: something stands after the end");
        }
        match Line::read(&line).map_err(|why| anyhow!("line {number}: {why}"))? {
            Line::Checkpoint(checkpoint) if chain.is_none() => checkpoints.push(checkpoint),
            Line::Checkpoint(_) => bail!("line {number}: a checkpoint stands among the entries"),
            Line::Head(head) => end = Some(head),
            Line::Row(row) => {
                if chain.is_none() {
                    chain = Some(Chain::after(&checkpoints, heads.take().unwrap_or_default())?);
                }
                if let Some(chain) = &mut chain {
                    chain.take(&row)?;
                }
            }
        }
    }
    let Some(chain) = chain else { bail!("there are no entries in it") };
    let Some(end) = end else {
        bail!("its last line is missing: it was cut off, or it is a selection, which cannot be verified")
    };
    if chain.head() != Some(Head { signature: None, ..end }) {
        bail!("its last line names another head than its last entry: it was cut off, or put together from two exports");
    }
    whole(&chain, checkpoints)
}

fn line(file: &mut impl BufRead) -> anyhow::Result<Option<String>> {
    let mut line = String::new();
    let read = file.take(LONGEST_LINE).read_line(&mut line).context("it cannot be read as text in UTF-8")?;
    if read as u64 == LONGEST_LINE {
        bail!("it is longer than any line of an export");
    }
    line.truncate(line.trim_end_matches(['\n', '\r']).len());
    Ok((read > 0).then_some(line))
}

fn whole(chain: &Chain, checkpoints: Vec<Checkpoint>) -> anyhow::Result<Whole> {
    let faults = chain.faults();
    if !faults.is_empty() {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        bail!("the entries follow one from another, but:\n{}", faults.join("\n"));
    }
    Ok(Whole { first: chain.first(), head: chain.head(), checkpoints })
}

fn signed(signer: &Signer, checkpoints: &[Checkpoint], heads: &[Head]) -> anyhow::Result<()> {
    if let Some(forged) = checkpoints.iter().find(|checkpoint| !signer.has_signed(checkpoint)) {
        bail!(
            "the checkpoint that stays of the entries up to {} was not signed by this installation: somebody else took them away",
            forged.gone.seq
        );
    }
    if let Some(forged) = heads.iter().find(|head| head.signature.is_some() && !signer.has_signed_head(head)) {
        bail!("the head of entry {} was not signed by this installation", forged.seq);
    }
    Ok(())
}

fn say(terminal: &mut Terminal, found: &Whole, heads: &[Head], is_signed: bool) -> anyhow::Result<()> {
    let Some(head) = &found.head else {
        terminal.say("There are no entries yet.")?;
        return Ok(());
    };
    for Checkpoint { gone, .. } in &found.checkpoints {
        let first = gone.seq - gone.entries + 1;
        let signed = if is_signed { "signed by this installation" } else { "its signature was not checked" };
        terminal
            .say(format!("Pruned: entries {first} to {}, from {} to {}; {signed}.", gone.seq, gone.from, gone.to))?;
    }
    terminal.say(format!("Whole: entries {} to {}, each as it was chained.", found.first, head.seq))?;
    terminal.say(format!("Head: {head}"))?;
    if heads.is_empty() {
        terminal.hint(
            "Whether its end was cut off, or all of it rewritten, only a head can tell that was kept elsewhere: \
             every note about an end carries one. Run: latchkey audit verify --head NUMBER:HASH",
        )?;
    } else {
        terminal.say(format!("Heads that it bears out: {}.", heads.len()))?;
    }
    Ok(())
}
