//! `latchkey records load | export | history`: connections, customers and people as one document.

use std::path::PathBuf;

use clap::Subcommand;

use super::{Desk, Overwrite, Terminal, load, rulebook::history};

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
    /// List every change of what is in force: when, by whom, why, and of which records; newest first.
    History {
        /// So many revisions.
        #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
        limit: u32,
    },
}

pub(super) async fn run(command: Command, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Command::Load { file } => load::records(desk, terminal, &file).await,
        Command::History { limit } => history::everything(desk, terminal, limit).await,
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
