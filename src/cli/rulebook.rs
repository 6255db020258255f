//! `latchkey rulebook export | check | diff | import | history | rollback | what-if`.

mod ask;
pub(super) mod history;
mod import;
mod show;
mod what_if;

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use clap::Subcommand;
use latchkey_contract::text::one_line;

use super::{Desk, Terminal};
use crate::rulebook::{Rulebook as Book, Rules};
pub(super) use ask::these;
use ask::{Asked, ask};
use what_if::WhatIf;

const LARGEST: u64 = 4 * 1024 * 1024;

/// Characters of a reason that are kept.
const LONGEST_REASON: usize = 200;

#[derive(Debug, Subcommand)]
pub(super) enum Rulebook {
    /// Write it as one TOML file with comments: to be changed, and imported again.
    Export {
        /// A file that is not there yet, for its owner alone; without it, the terminal.
        #[arg(long)]
        out: Option<PathBuf>,
        /// As it was at this revision.
        #[arg(long)]
        revision: Option<i64>,
    },
    /// Say what is wrong with a file, and what of it would do nothing: by the records, the PSAs and the directories.
    Check {
        /// The file.
        file: PathBuf,
    },
    /// Show what a file would change, path by path.
    Diff {
        /// The file.
        file: PathBuf,
        /// Against this revision, and not what is in force.
        #[arg(long)]
        revision: Option<i64>,
    },
    /// Put a file in force, after showing what it changes and which of the last decisions would fall otherwise.
    Import {
        /// The file.
        file: PathBuf,
        /// Why, for the history.
        #[arg(long)]
        reason: String,
    },
    /// As `import --yes`, with the file's name as the reason.
    #[command(hide = true)]
    Load {
        /// The file.
        file: PathBuf,
    },
    /// List who changed it when, why, and what; newest first.
    History {
        /// So many revisions.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
    /// Put the rulebook of an earlier revision in force again, as a new revision. Nobody is unblocked by it.
    Rollback {
        /// The revision, as in the history.
        revision: i64,
        /// Why, for the history.
        #[arg(long)]
        reason: String,
    },
    /// Show how a ticket would be decided if somebody asked on it. Changes nothing.
    WhatIf(WhatIf),
}

pub(super) async fn run(command: Rulebook, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Rulebook::Export { out, revision } => export(desk, terminal, out.as_deref(), revision).await,
        Rulebook::Check { file } => check(desk, terminal, &file).await,
        Rulebook::Diff { file, revision } => diff(desk, terminal, &file, revision).await,
        Rulebook::Import { file, reason } => {
            let book = read(terminal, &file)?;
            import::propose(desk, terminal, book, &written(&reason)?).await
        }
        Rulebook::Load { file } => {
            let book = read(terminal, &file)?;
            terminal.agree();
            import::propose(desk, terminal, book, &format!("rulebook from {}", name(&file))).await
        }
        Rulebook::History { limit } => history::list(desk, terminal, limit).await,
        Rulebook::Rollback { revision, reason } => {
            let reason = format!("back to revision {revision}: {}", written(&reason)?);
            history::rollback(desk, terminal, revision, &reason).await
        }
        Rulebook::WhatIf(question) => what_if::run(question, desk, terminal).await,
    }
}

async fn export(desk: &Desk, terminal: &mut Terminal, out: Option<&Path>, revision: Option<i64>) -> anyhow::Result<()> {
    let (revision, book) = match revision {
        Some(revision) => (revision, at(desk, revision).await?),
        None => {
            let rules = desk.store.rules().await?;
            (rules.revision, rules.rulebook)
        }
    };
    if let Some(out) = out {
        terminal.save_to(out)?;
    }
    terminal.say(format_args!("# Latchkey's rulebook, as at revision {revision}."))?;
    terminal.say("# latchkey rulebook check FILE, then: latchkey rulebook import FILE --reason WHY\n")?;
    terminal.say(book.to_toml()?.trim_end())?;
    terminal.save()
}

async fn check(desk: &Desk, terminal: &mut Terminal, file: &Path) -> anyhow::Result<()> {
    let book = read(terminal, file)?;
    let rules = desk.store.rules().await?;
    let Asked { catalogues, silent } = ask(desk, &book, &rules.records).await?;
    let warnings = book.warnings(&rules.records, &catalogues);
    for warning in &warnings {
        terminal.say(warning)?;
    }
    for silent in &silent {
        terminal.say(format_args!("not asked\t{silent}"))?;
    }
    let (policies, mappings) = (book.policies.len(), book.mappings.len());
    terminal.say(format_args!(
        "No faults. Policies: {policies}, mappings: {mappings}, things to know: {}.",
        warnings.len() + silent.len()
    ))
}

async fn diff(desk: &Desk, terminal: &mut Terminal, file: &Path, revision: Option<i64>) -> anyhow::Result<()> {
    let book = read(terminal, file)?;
    let before = match revision {
        Some(revision) => at(desk, revision).await?,
        None => desk.store.rules().await?.rulebook,
    };
    let differences = book.differences(&before)?;
    if differences.is_empty() {
        return terminal.hint("Nothing differs.");
    }
    differences.iter().try_for_each(|difference| terminal.say(difference))
}

/// The rulebook as it was at a revision.
async fn at(desk: &Desk, revision: i64) -> anyhow::Result<Book> {
    let newest = desk.store.revision().await?;
    if !(1..=newest).contains(&revision) {
        bail!("there is no revision {revision}; the newest is {newest}, and latchkey rulebook history lists them");
    }
    let found = desk.store.rulebook_at(revision).await?;
    found.with_context(|| format!("there was no rulebook yet at revision {revision}"))
}

fn read(terminal: &mut Terminal, file: &Path) -> anyhow::Result<Book> {
    let text = terminal.read_text(file, LARGEST)?;
    Book::parse(&text).map_err(|faults| anyhow!("{} has faults; nothing was changed:\n{faults}", file.display()))
}

/// The rules that these are with another rulebook.
fn with(before: &Rules, book: Book, desk: &Desk) -> anyhow::Result<Rules> {
    let next = before.next(book, before.records.clone(), desk.clock.now());
    next.map_err(|why| anyhow!("{why}; nothing was changed"))
}

fn written(reason: &str) -> anyhow::Result<String> {
    let reason = one_line(reason.trim(), LONGEST_REASON);
    if reason.is_empty() {
        bail!("say why in a few words, for whoever reads the history: --reason \"…\"");
    }
    Ok(reason)
}

fn name(file: &Path) -> String {
    one_line(&file.file_name().unwrap_or_default().to_string_lossy(), 80)
}
