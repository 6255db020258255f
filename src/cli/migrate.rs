//! `latchkey migrate`: from the embedded database to one on a server.

use std::path::Path;

use anyhow::{Context, bail};
use clap::ValueEnum;

use super::{Desk, Terminal, audit, desk::refuse_others};
use crate::{
    app::database,
    config::Config,
    lock::Lock,
    socket::{self, Knock},
    store::{Database, transfer},
};

/// Where everything is.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum From {
    /// The file in data_dir.
    Sqlite,
}

/// Where it goes.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub(super) enum To {
    /// The database under [database].
    Postgres,
}

pub(super) async fn run(path: &Path, terminal: &mut Terminal, from: From, to: To) -> anyhow::Result<()> {
    let (From::Sqlite, To::Postgres) = (from, to);
    let config = Config::load(path)?;
    let Database::Postgres(server) = &config.database else {
        bail!(
            "the configuration does not say where to: write the table [database] with the url of an empty PostgreSQL database \
             into it, and run the command again"
        );
    };
    config.make_data_dir()?;
    if let Knock::Answered(_) = socket::knock(&config.data_dir).await? {
        bail!("the service runs; nothing was moved. Stop it first: systemctl stop latchkey");
    }
    refuse_others(&config.data_dir)?;
    let lock = Lock::for_command(&config.data_dir).await?;
    let file = database(&config);
    terminal.confirm(format!("Move everything from {} to {}?", file.display(), server.shown()))?;
    let moved = transfer::to_postgres(&file, server).await?;
    for table in &moved {
        let digest = table.digest.get(..16).unwrap_or_default();
        terminal.say(format!("{:<18} {:>9} rows, the same on both sides ({digest}…)", table.table, table.rows))?;
    }
    let rows: u64 = moved.iter().map(|table| table.rows).sum();
    terminal.say(format!("{rows} rows of {} tables are in {}.", moved.len(), server.shown()))?;
    server.forget()?;
    drop(lock);
    let desk = Desk::open(path).await.context("everything was moved, but the database cannot be opened")?;
    let verified = audit::verify::database(&desk, Vec::new(), terminal).await;
    desk.close().await;
    verified.context("everything was moved as it was, and its audit log does not verify")?;
    terminal.hint(format!(
        "Start the service: it goes on there. {} is as it was; keep it as a backup, with the master key apart from it, and \
         take it away when you are sure.",
        file.display()
    ))
}
