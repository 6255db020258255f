//! `latchkey webhook sync | list | remove`.

use std::{collections::BTreeSet, sync::Arc};

use anyhow::{Context, bail};
use latchkey_contract::{BoardId, ConnectionId, Secret, TicketSystem};
use serde_json::json;
use url::Url;

use super::{Desk, Terminal};
use crate::{
    audit::Code,
    random,
    registry::{SecretKind, SecretName},
};

pub(super) async fn sync(
    desk: &Desk,
    terminal: &mut Terminal,
    connection: ConnectionId,
    new_path: bool,
) -> anyhow::Result<()> {
    let system = system(desk, &connection).await?;
    let boards = boards(desk, &connection).await?;
    if boards.is_empty() {
        bail!(
            "no mapping watches a board of {connection}; put a rulebook with one in force: latchkey rulebook import FILE"
        );
    }
    if new_path || path_secret(desk, &connection).await?.is_none() {
        let name = SecretName::new(connection.clone(), SecretKind::HookSecret);
        desk.set(&[(name.clone(), random::token())]).await?;
        terminal.hint(format!("{name} is new."))?;
    }
    let secret = path_secret(desk, &connection).await?.context("the path secret was removed meanwhile; run again")?;
    let done = system.sync_webhooks(&address(desk, &connection, &secret), &boards).await?;
    let detail = json!({
        "connection": connection, "created": done.created, "repaired": done.repaired, "removed": done.removed,
    });
    desk.record(Code::WebhookSynced, detail).await?;
    terminal.say(format!(
        "{} created, {} repaired, {} removed, {} right as they were.",
        done.created, done.repaired, done.removed, done.kept
    ))?;
    Ok(())
}

pub(super) async fn list(desk: &Desk, terminal: &mut Terminal, connection: &ConnectionId) -> anyhow::Result<()> {
    for webhook in system(desk, connection).await?.webhooks().await? {
        let state = if webhook.is_active { "active" } else { "switched off at the PSA" };
        terminal.say(format!("{}\t{}\t{}\t{state}", webhook.id, webhook.watches, webhook.target))?;
    }
    Ok(())
}

pub(super) async fn remove(desk: &Desk, terminal: &mut Terminal, connection: &ConnectionId) -> anyhow::Result<()> {
    let system = system(desk, connection).await?;
    terminal
        .confirm(format_args!("{connection} will ring no more: new requests are not heard until: webhook sync."))?;
    // Ours are known by host and path; the secret only makes the address whole.
    let secret = path_secret(desk, connection).await?.unwrap_or_else(random::token);
    let removed = system.remove_webhooks(&address(desk, connection, &secret)).await?;
    desk.record(Code::WebhookRemoved, json!({ "connection": connection, "removed": removed })).await?;
    terminal.say(format!("{removed} removed."))?;
    Ok(())
}

async fn system(desk: &Desk, connection: &ConnectionId) -> anyhow::Result<Arc<dyn TicketSystem>> {
    desk.connection(connection).await?;
    Ok(desk.live().await?.known().registry.ticket_system(connection)?)
}

async fn boards(desk: &Desk, connection: &ConnectionId) -> anyhow::Result<Vec<BoardId>> {
    let rules = desk.store.rules().await?;
    let mappings = rules.rulebook.mappings.iter().filter(|mapping| mapping.connection == *connection);
    let boards: BTreeSet<BoardId> = mappings.flat_map(|mapping| mapping.boards.iter().cloned()).collect();
    Ok(boards.into_iter().collect())
}

async fn path_secret(desk: &Desk, connection: &ConnectionId) -> anyhow::Result<Option<Secret<String>>> {
    let name = SecretName::new(connection.clone(), SecretKind::HookSecret).to_string();
    match desk.store.sealed_named(&name).await? {
        Some(row) => Ok(Some(desk.seal().await?.open_text(&row)?)),
        None => Ok(None),
    }
}

fn address(desk: &Desk, connection: &ConnectionId, secret: &Secret<String>) -> Url {
    desk.config.public(&format!("/hooks/{connection}/{}", secret.expose()))
}
