//! `latchkey secret set | list`.

use anyhow::bail;
use latchkey_contract::ConnectionId;

use super::{Desk, Terminal};
use crate::registry::{SecretKind, SecretName};

pub(super) async fn set(desk: &Desk, terminal: &mut Terminal, name: SecretName) -> anyhow::Result<()> {
    if let SecretName::Connection { connection, kind } = &name {
        if *kind == SecretKind::HookSecret {
            bail!("path secrets are made by Latchkey itself; run: latchkey webhook sync {connection} --new-path");
        }
        desk.connection(connection).await?;
    }
    let value = terminal.value(&format!("Value of {name}"))?;
    if value.expose().trim().is_empty() {
        bail!("the value is empty; nothing was changed. Pipe it in: latchkey secret set {name} < FILE");
    }
    desk.set(&[(name.clone(), value)]).await?;
    terminal.say(format!("{name} is set."))?;
    match &name {
        SecretName::Connection { connection, .. } => say_what_is_missing(desk, terminal, connection).await,
        SecretName::MailPassword => say_if_unused(desk, terminal),
    }
}

pub(super) async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let mut names: Vec<SecretName> =
        desk.store.sealed_names().await?.iter().filter_map(|name| name.parse().ok()).collect();
    names.sort();
    for name in names {
        terminal.say(name)?;
    }
    Ok(())
}

async fn say_what_is_missing(desk: &Desk, terminal: &mut Terminal, connection: &ConnectionId) -> anyhow::Result<()> {
    let live = desk.live().await?.known();
    for (_, why) in live.registry.broken().filter(|(id, _)| *id == connection) {
        terminal.hint(format!("connection {connection} cannot be used yet: {why}"))?;
    }
    Ok(())
}

fn say_if_unused(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let is_used = desk.config.mail.as_ref().is_some_and(|mail| mail.username.is_some());
    if !is_used {
        terminal.hint("nobody asks for it yet: write [mail] with a username into the configuration")?;
    }
    Ok(())
}
