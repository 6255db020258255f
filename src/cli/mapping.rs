//! `latchkey mapping suggest`.

mod draft;

use std::path::PathBuf;

use anyhow::bail;
use clap::Subcommand;
use latchkey_contract::ConnectionId;

use super::{Desk, Terminal, rulebook::these};
use crate::rulebook::ConnectionKind;
use draft::Draft;

#[derive(Debug, Subcommand)]
pub(super) enum Mapping {
    /// Write a draft with comments from what a PSA and the customers' directories list. Changes nothing.
    Suggest {
        /// The PSA, as in the records.
        connection: ConnectionId,
        /// A file that is not there yet, for its owner alone; without it, the terminal.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

pub(super) async fn run(command: Mapping, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let Mapping::Suggest { connection, out } = command;
    let record = desk.connection(&connection).await?;
    if !matches!(record.kind, ConnectionKind::ConnectWise(_)) {
        bail!("{connection} is a directory; name a PSA, whose tickets are to ask");
    }
    let rules = desk.store.rules().await?;
    let here = |c: &&crate::rulebook::Customer| c.companies.iter().any(|b| b.connection == connection);
    let directories = rules.records.customers.iter().filter(here).filter_map(|c| c.directory.clone());
    let asked = these(desk, std::iter::once(connection.clone()).chain(directories).collect()).await?;
    let Some(psa) = asked.catalogues.psas.get(&connection) else { bail!("{}", asked.silent.join("\n")) };
    let draft = Draft {
        connection: &connection,
        psa,
        directories: &asked.catalogues.directories,
        silent: &asked.silent,
        taken: &rules.rulebook,
    };
    if let Some(out) = &out {
        terminal.save_to(out)?;
    }
    terminal.say(draft.text().trim_end())?;
    terminal.save()
}
