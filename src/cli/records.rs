//! `latchkey records load | export`: connections, customers and people as one document.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Desk, Overwrite, Terminal, load};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Check a TOML file as a whole and put it in force.
    Load {
        /// The file.
        file: PathBuf,
    },
    /// Print what is in force as TOML, to be loaded again without loss.
    Export {
        /// Into a new file instead of standard output.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

pub(super) async fn run(command: Command, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Command::Load { file } => load::records(desk, terminal, &file).await,
        Command::Export { out } => {
            let text = desk.store.rules().await?.records.to_toml()?;
            match out {
                None => terminal.say(text.trim_end()),
                Some(file) => {
                    terminal.write_file(&file, text.as_bytes(), Overwrite::Never)?;
                    terminal.hint(format!("Written to {}.", file.display()))
                }
            }
        }
    }
}
