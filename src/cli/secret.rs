//! `latchkey secret set | list`.

use anyhow::bail;

use super::{Desk, Terminal};
use crate::registry::{SecretKind, SecretName};

pub(super) async fn set(desk: &Desk, terminal: &mut Terminal, name: SecretName) -> anyhow::Result<()> {
    if name.kind == SecretKind::HookSecret {
        let connection = &name.connection;
        bail!("path secrets are made by Latchkey itself; run: latchkey webhook sync {connection} --new-path");
    }
    desk.connection(&name.connection).await?;
    let value = terminal.value(&format!("Value of {name}"))?;
    if value.expose().trim().is_empty() {
        bail!("the value is empty; nothing was changed. Pipe it in: latchkey secret set {name} < FILE");
    }
    desk.set(&[(name.clone(), value)]).await?;
    terminal.say(format!("{name} is set."))?;
    say_what_is_missing(desk, terminal, &name).await
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

async fn say_what_is_missing(desk: &Desk, terminal: &mut Terminal, name: &SecretName) -> anyhow::Result<()> {
    let live = desk.live().await?.known();
    for (_, why) in live.registry.broken().filter(|(id, _)| **id == name.connection) {
        terminal.hint(format!("connection {} cannot be used yet: {why}", name.connection))?;
    }
    Ok(())
}
