//! `latchkey secret set | rotate | list`.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use latchkey_contract::{ConnectionId, Secret, text::one_line};

use super::{Desk, Terminal, webhook};
use crate::{
    jobs::chain,
    registry::{Change, NotAccepted, SecretKind, SecretName, kept_beside},
    rulebook::{Connection, ConnectionKind},
};

pub(super) async fn set(desk: &Desk, terminal: &mut Terminal, name: SecretName, at_once: bool) -> anyhow::Result<()> {
    let mut is_by_hand = false;
    if let SecretName::Connection { connection, kind } = &name {
        if !kind.is_set_by_hand() {
            bail!("{}", made_by_itself(connection, *kind));
        }
        let record = desk.connection(connection).await?;
        is_by_hand = record.kind.sets_hooks_by_hand();
        if !kind.belongs_to(&record.kind) {
            let takes =
                SecretKind::ALL.into_iter().filter(|kind| kind.belongs_to(&record.kind) && kind.is_set_by_hand());
            let takes: Vec<String> = takes.map(|kind| SecretName::new(connection.clone(), kind).to_string()).collect();
            bail!(
                "{connection} has no use for a {}; nothing was changed. It takes {}",
                kind.as_str(),
                takes.join(", ")
            );
        }
    }
    let former = former(&name);
    if at_once && former.is_none() {
        bail!("no former {name} is ever accepted: a new one is in force at once. Leave out --at-once");
    }
    let mut secrets = vec![(name.clone(), value(terminal, &name, "set")?)];
    let mut forget = Vec::new();
    match (&name, former) {
        (_, Some(former)) if at_once => {
            let is_there = desk.store.sealed_named(&former.to_string()).await?.is_some();
            forget.extend(is_there.then_some(former));
        }
        (SecretName::Connection { connection, kind }, Some(_)) => {
            let (seal, now) = (desk.seal().await?, desk.clock.now());
            secrets.extend(kept_beside(&*desk.store, &seal, connection, *kind, now).await?);
        }
        _ => {}
    }
    let change = Change { secrets: &secrets, forget: &forget, reason: &format!("set {name}") };
    desk.change(change, |_| ()).await?;
    terminal.say(format!("{name} is set."))?;
    if let SecretName::Connection { connection, .. } = &name {
        let bring = webhook::bring(connection, is_by_hand);
        if at_once {
            terminal.hint(format!(
                "No former one is accepted, and what the PSA sends until it has this one is refused. {bring}"
            ))?;
        } else if secrets.len() > 1 {
            terminal.hint(format!("The former one is accepted as well. {bring}"))?;
        }
    }
    match &name {
        SecretName::Connection { connection, .. } => say_what_is_missing(desk, terminal, connection).await,
        SecretName::MailPassword => say_if_unused(desk, terminal),
    }
}

/// Where the one before this is kept.
fn former(name: &SecretName) -> Option<SecretName> {
    match name {
        SecretName::Connection { connection, kind } => {
            kind.former().map(|kept| SecretName::new(connection.clone(), kept))
        }
        SecretName::MailPassword => None,
    }
}

fn made_by_itself(connection: &ConnectionId, kind: SecretKind) -> String {
    match kind {
        SecretKind::FormerWebhookKey => {
            format!(
                "former keys are kept by Latchkey itself; run: latchkey secret rotate {connection}/webhook-key, or, to accept \
                 none of them any more: latchkey secret set {connection}/webhook-key --at-once"
            )
        }
        SecretKind::FormerHookPassword => {
            format!(
                "former passwords are kept by Latchkey itself; run: latchkey secret set {connection}/hook-password, with \
                 --at-once to accept none of them any more"
            )
        }
        _ => format!("path secrets are made by Latchkey itself; run: latchkey secret rotate {connection}/hook-secret"),
    }
}

/// Nothing is changed before the vendor has accepted the new value.
pub(super) async fn rotate(
    desk: &Desk,
    terminal: &mut Terminal,
    name: SecretName,
    public_key: Option<String>,
) -> anyhow::Result<()> {
    let SecretName::Connection { connection, kind } = &name else {
        bail!("{name} is not tried before it is used; set it with: latchkey secret set {name}");
    };
    let connection = desk.connection(connection).await?;
    if public_key.is_some() && *kind != SecretKind::PrivateKey {
        bail!("a public key goes with a private key alone; nothing was changed");
    }
    match *kind {
        SecretKind::HookSecret | SecretKind::FormerHookSecret => {
            let wanted = webhook::Wanted { new_path: true, ..Default::default() };
            webhook::sync(desk, terminal, connection.id, wanted).await
        }
        // Nothing but the webhook itself can try it.
        SecretKind::HookPassword => bail!(
            "{name} is not tried before it is used; set it with: latchkey secret set {name}. {}",
            webhook::bring(&connection.id, connection.kind.sets_hooks_by_hand())
        ),
        SecretKind::Certificate
        | SecretKind::CertificateKey
        | SecretKind::NextCertificate
        | SecretKind::NextCertificateKey => certificate(desk, terminal, &connection).await,
        SecretKind::WebhookKey => webhook_key(desk, terminal, &connection).await,
        kind @ (SecretKind::FormerWebhookKey | SecretKind::FormerHookPassword) => {
            bail!("{}", made_by_itself(&connection.id, kind))
        }
        SecretKind::CalloutPassword => {
            bail!("{name} is not tried before it is used; set it with: latchkey secret set {name}")
        }
        kind @ (SecretKind::PrivateKey | SecretKind::ApiSecret | SecretKind::ClientSecret) => {
            let value = value(terminal, &name, "rotate")?;
            let connection = match public_key {
                Some(public_key) => with_public_key(connection, public_key),
                None => connection,
            };
            one(desk, &connection, kind, value).await?;
            terminal.say(format!("{name} was accepted by the vendor and is in force."))?;
            terminal.hint("The former one is used no more; remove it at the vendor.")
        }
    }
}

/// The webhook is registered with the new key; what is under way by the former one is believed beside it.
async fn webhook_key(desk: &Desk, terminal: &mut Terminal, connection: &Connection) -> anyhow::Result<()> {
    let name = SecretName::new(connection.id.clone(), SecretKind::WebhookKey);
    if desk.store.sealed_named(&name.to_string()).await?.is_none() {
        bail!("{name} is not set; run: latchkey secret set {name}");
    }
    let value = value(terminal, &name, "rotate")?;
    let instead = BTreeMap::from([(SecretKind::WebhookKey, value.clone())]);
    desk.vendors().await?.try_out(connection, instead).await.map_err(|error| not_accepted(&name, &error))?;
    let mut secrets = vec![(name.clone(), value)];
    let (seal, now) = (desk.seal().await?, desk.clock.now());
    secrets.extend(kept_beside(&*desk.store, &seal, &connection.id, SecretKind::WebhookKey, now).await?);
    let change = Change { secrets: &secrets, forget: &[], reason: &format!("rotated {name}") };
    desk.change(change, |_| ()).await?;
    terminal.say(format!("{name} is in force, and the former one is accepted as well."))?;
    webhook::sync(desk, terminal, connection.id.clone(), webhook::Wanted::default()).await
}

async fn one(desk: &Desk, connection: &Connection, kind: SecretKind, value: Secret<String>) -> anyhow::Result<()> {
    let vendors = desk.vendors().await?;
    let name = SecretName::new(connection.id.clone(), kind);
    let instead = BTreeMap::from([(kind, value.clone())]);
    vendors.try_out(connection, instead).await.map_err(|error| not_accepted(&name, &error))?;
    let change = Change { secrets: &[(name.clone(), value)], forget: &[], reason: &format!("rotated {name}") };
    desk.change(change, |rules| {
        let records = &mut rules.records.connections;
        let now = records.iter_mut().find(|record| record.id == connection.id).map(|record| &mut record.kind);
        if let (Some(ConnectionKind::ConnectWise(now)), ConnectionKind::ConnectWise(tried)) = (now, &connection.kind) {
            now.public_key.clone_from(&tried.public_key);
        }
    })
    .await
}

/// The pair that `certificate make --next` made, or that was set by hand.
async fn certificate(desk: &Desk, terminal: &mut Terminal, connection: &Connection) -> anyhow::Result<()> {
    let named = |kind| SecretName::new(connection.id.clone(), kind);
    let kinds = [SecretKind::CertificateKey, SecretKind::Certificate];
    let [key_name, name] = kinds.map(named);
    let staged = [SecretKind::NextCertificateKey, SecretKind::NextCertificate].map(named);
    let (key, certificate) = (next(desk, connection, &staged[0]).await?, next(desk, connection, &staged[1]).await?);
    let instead = kinds.into_iter().zip([key.clone(), certificate.clone()]).collect();
    let vendors = desk.vendors().await?;
    vendors.try_out(connection, instead).await.map_err(|error| not_accepted(&name, &error))?;
    let secrets = [(key_name, key), (name.clone(), certificate)];
    let change = Change { secrets: &secrets, forget: &staged, reason: &format!("rotated {name}") };
    desk.change(change, |_| ()).await?;
    terminal.say(format!("{name} was accepted by the vendor and is in force, with its key."))?;
    terminal.hint("The former certificate is used no more; remove it from the app registration.")
}

async fn next(desk: &Desk, connection: &Connection, name: &SecretName) -> anyhow::Result<Secret<String>> {
    let row = desk.store.sealed_named(&name.to_string()).await?;
    let make = || format!("{name} is not set; make a pair first: latchkey certificate make {} --next", connection.id);
    Ok(desk.seal().await?.open_text(&row.with_context(make)?)?)
}

fn with_public_key(mut connection: Connection, public_key: String) -> Connection {
    if let ConnectionKind::ConnectWise(settings) = &mut connection.kind {
        settings.public_key = public_key;
    }
    connection
}

fn value(terminal: &mut Terminal, name: &SecretName, verb: &str) -> anyhow::Result<Secret<String>> {
    let value = terminal.value(&format!("Value of {name}"))?;
    if value.expose().trim().is_empty() {
        bail!("the value is empty; nothing was changed. Pipe it in: latchkey secret {verb} {name} < FILE");
    }
    Ok(value)
}

fn not_accepted(name: &SecretName, error: &NotAccepted) -> anyhow::Error {
    let said = one_line(&chain(error), 300);
    anyhow::anyhow!("{name} was not accepted, and nothing was changed: the former one stays in force. {said}")
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
