//! `latchkey connection add | set | list | test | remove`: PSA instances and directories.

mod check;
mod remove;
mod settings;

use anyhow::bail;
use clap::Subcommand;
use latchkey_contract::{ConnectionId, text::one_line};

use super::{Desk, Terminal, change};
use crate::rulebook::Connection;
pub(super) use latchkey_contract::check::to_do;
use settings::Setting;

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a PSA or a directory. Its secrets are set afterwards: latchkey secret set.
    Add {
        /// Chosen once; stands in the webhook's URL.
        id: ConnectionId,
        #[arg(help = settings::kinds())]
        kind: String,
        /// KEY=VALUE each, with the keys of the connector's README; a value is text, or written as in TOML.
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<Setting>,
    },
    /// Change settings of a connection. It stays the same instance or tenant.
    Set {
        /// As in the records.
        id: ConnectionId,
        /// KEY=VALUE each; KEY= takes a setting out.
        #[arg(required = true, value_name = "KEY=VALUE")]
        settings: Vec<Setting>,
    },
    /// List them: id, kind, where each leads, and whether it can be used.
    List,
    /// Check that it works, and list the ids that records and rulebook need. Fails if any check does.
    Test {
        /// As in the records.
        connection: ConnectionId,
    },
    /// Remove a connection and destroy its secrets. Refused while access or an account is there, or a record names it.
    Remove {
        /// As in the records.
        id: ConnectionId,
        /// Remove it although accounts of ours stay there. They are named, and nobody looks after them from then on.
        #[arg(long)]
        leave_accounts: bool,
    },
}

pub(super) async fn run(command: Command, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Command::Add { id, kind, settings } => add(desk, terminal, id, &kind, &settings).await,
        Command::Set { id, settings } => set(desk, terminal, &id, &settings).await,
        Command::List => list(desk, terminal).await,
        Command::Test { connection } => check::check(desk, terminal, &connection).await,
        Command::Remove { id, leave_accounts } => remove::remove(desk, terminal, &id, leave_accounts).await,
    }
}

async fn add(
    desk: &Desk,
    terminal: &mut Terminal,
    id: ConnectionId,
    kind: &str,
    typed: &[Setting],
) -> anyhow::Result<()> {
    let kind = settings::new(kind, typed)?;
    let changed = change::records(desk, &format!("connection {id} added"), |records| {
        if records.connection(&id).is_some() {
            bail!("there is a connection {id} already; to change it: latchkey connection set {id} KEY=VALUE");
        }
        records.connections.push(Connection { id: id.clone(), kind });
        Ok(())
    })
    .await?;
    changed.say(terminal, format_args!("connection {id} is added"))?;
    say_what_is_missing(desk, terminal, &id).await
}

async fn set(desk: &Desk, terminal: &mut Terminal, id: &ConnectionId, typed: &[Setting]) -> anyhow::Result<()> {
    let before = desk.connection(id).await?;
    let kind = settings::changed(&before.kind, typed)?;
    let changed = change::records(desk, &format!("connection {id} changed"), |records| {
        match records.connections.iter_mut().find(|c| **c == before) {
            Some(connection) => connection.kind = kind,
            None => bail!("somebody else changed {id} at the same moment; nothing was changed, run the command again"),
        }
        Ok(())
    })
    .await?;
    changed.say(terminal, format_args!("connection {id} is changed"))?;
    say_what_is_missing(desk, terminal, id).await
}

async fn say_what_is_missing(desk: &Desk, terminal: &mut Terminal, id: &ConnectionId) -> anyhow::Result<()> {
    match desk.live().await?.known().registry.broken().find(|(broken, _)| *broken == id) {
        Some((_, why)) => terminal.hint(format!("still to do: {why}")),
        None => terminal.hint(format!("Try it: latchkey connection test {id}")),
    }
}

async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    if rules.records.connections.is_empty() {
        return terminal.hint("There are none yet. Add one: latchkey connection add ID KIND KEY=VALUE…");
    }
    let live = desk.live().await?.known();
    for Connection { id, kind } in &rules.records.connections {
        let why = live.registry.broken().find(|(broken, _)| *broken == id).map(|(_, why)| one_line(why, 300));
        let state = why.unwrap_or_else(|| "can be used".to_owned());
        terminal.say(format!("{id}\t{}\t{}\t{state}", kind.word(), one_line(&kind.place(), 120)))?;
    }
    Ok(())
}
