//! `latchkey webhook sync | list | remove`.

use std::sync::Arc;

use anyhow::{Context, bail};
use latchkey_contract::{ConnectionId, Secret, TicketSystem, ticket::WantedHooks};
use serde_json::json;
use url::Url;

use super::{Desk, Terminal};
use crate::{
    audit::Code,
    doctor, random,
    registry::{HookPath, Renewed, SecretKind, SecretName, end_formers, without_end},
};

/// What [`sync`] does besides.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Wanted {
    pub(super) new_path: bool,
    /// An admin has set at the PSA what the webhooks show.
    pub(super) credential_is_set: bool,
}

pub(super) async fn sync(
    desk: &Desk,
    terminal: &mut Terminal,
    connection: ConnectionId,
    Wanted { new_path, credential_is_set }: Wanted,
) -> anyhow::Result<()> {
    let is_by_hand = desk.connection(&connection).await?.kind.sets_hooks_by_hand();
    if credential_is_set && !is_by_hand {
        bail!("what the webhooks of {connection} need is set by this command itself; leave out --credential-is-set");
    }
    let system = system(desk, &connection).await?;
    let want = doctor::wanted_of_psa(&desk.store.rules().await?, &connection);
    if want.boards.is_empty() {
        bail!(
            "no mapping watches a {} of {connection}; put a rulebook with one in force: latchkey rulebook import FILE",
            system.board_noun()
        );
    }
    let seal = desk.seal().await?;
    let path = HookPath::new(&*desk.store, &seal, &connection);
    if new_path || path.secret().await?.is_none() {
        let name = SecretName::new(connection.clone(), SecretKind::HookSecret);
        match path.renew(&desk.by(), desk.clock.now()).await? {
            Renewed::First => terminal.hint(format!("{name} is new."))?,
            Renewed::Another => terminal.hint(format!("{name} is new; the former one is accepted as well."))?,
            Renewed::UnderWay => {
                terminal.hint(format!("{name} is new since an earlier run, which is gone on with."))?
            }
        }
    }
    let secret = path.secret().await?.context("the path secret was removed meanwhile; run again")?;
    let hooks = WantedHooks { url: address(desk, &connection, &secret), boards: want.boards, fields: want.fields };
    let done = system.sync_webhooks(&hooks).await.with_context(|| {
        format!(
            "the webhooks could not be made right; until they are, former paths are accepted. Run again: \
             latchkey webhook sync {connection}"
        )
    })?;
    let detail = json!({
        "connection": connection, "created": done.created, "repaired": done.repaired, "removed": done.removed,
    });
    desk.record(Code::WebhookSynced, detail).await?;
    terminal.say(format!(
        "{} created, {} repaired, {} removed, {} right as they were.",
        done.created, done.repaired, done.removed, done.kept
    ))?;
    let (has_new, now) = (credential_is_set || !is_by_hand, desk.clock.now());
    if let Some(until) = end_formers(&*desk.store, &seal, &connection, has_new, &desk.by(), now).await? {
        terminal.hint(format!(
            "Deliveries that are under way to the former path are accepted until {}.",
            until.for_people()
        ))?;
    }
    if !has_new && !without_end(&*desk.store, &seal, &connection).await?.is_empty() {
        let name = SecretName::new(connection.clone(), SecretKind::HookPassword);
        terminal
            .hint(format!("This does not set {name}, and a former one is accepted. {}", bring(&connection, true)))?;
    }
    Ok(())
}

/// How the PSA gets what its webhooks are to show.
pub(super) fn bring(connection: &ConnectionId, is_by_hand: bool) -> String {
    if is_by_hand {
        format!("Set the new one at the PSA by hand; then run: latchkey webhook sync {connection} --credential-is-set")
    } else {
        format!("Bring the new one to the PSA with: latchkey webhook sync {connection}")
    }
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
    terminal.confirm(format_args!(
        "{connection} will ring no more: new requests are heard late, by the poll alone, until you run \
         latchkey webhook sync {connection}."
    ))?;
    // Ours are known by host and path; the secret only makes the address whole.
    let seal = desk.seal().await?;
    let secret = HookPath::new(&*desk.store, &seal, connection).secret().await?.unwrap_or_else(random::token);
    let removed = system.remove_webhooks(&address(desk, connection, &secret)).await?;
    desk.record(Code::WebhookRemoved, json!({ "connection": connection, "removed": removed })).await?;
    terminal.say(format!("{removed} removed."))?;
    Ok(())
}

async fn system(desk: &Desk, connection: &ConnectionId) -> anyhow::Result<Arc<dyn TicketSystem>> {
    desk.connection(connection).await?;
    Ok(desk.live().await?.known().registry.ticket_system(connection)?)
}

fn address(desk: &Desk, connection: &ConnectionId, secret: &Secret<String>) -> Url {
    desk.config.public(&format!("/hooks/{connection}/{}", secret.expose()))
}
