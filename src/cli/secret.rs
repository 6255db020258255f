//! `latchkey secret set | rotate | list`.

use std::collections::BTreeMap;

use anyhow::{Context, bail};
use latchkey_contract::{Secret, text::one_line};

use super::{Desk, Terminal, webhook};
use crate::{
    jobs::chain,
    registry::{Change, NotAccepted, SecretKind, SecretName},
    rulebook::{Connection, ConnectionKind},
    store::Store,
};

pub(super) async fn set(desk: &Desk, terminal: &mut Terminal, name: SecretName) -> anyhow::Result<()> {
    if matches!(name.kind, SecretKind::HookSecret | SecretKind::FormerHookSecret) {
        let connection = &name.connection;
        bail!("path secrets are made by Latchkey itself; run: latchkey secret rotate {connection}/hook-secret");
    }
    desk.connection(&name.connection).await?;
    let value = value(terminal, &name, "set")?;
    desk.set(&[(name.clone(), value)]).await?;
    terminal.say(format!("{name} is set."))?;
    say_what_is_missing(desk, terminal, &name).await
}

/// Nothing is changed before the vendor has accepted the new value.
pub(super) async fn rotate(
    desk: &Desk,
    terminal: &mut Terminal,
    name: SecretName,
    public_key: Option<String>,
) -> anyhow::Result<()> {
    let connection = desk.connection(&name.connection).await?;
    if public_key.is_some() && name.kind != SecretKind::PrivateKey {
        bail!("a public key goes with a private key alone; nothing was changed");
    }
    match name.kind {
        SecretKind::HookSecret | SecretKind::FormerHookSecret => {
            webhook::sync(desk, terminal, name.connection, true).await
        }
        SecretKind::Certificate
        | SecretKind::CertificateKey
        | SecretKind::NextCertificate
        | SecretKind::NextCertificateKey => certificate(desk, terminal, &connection).await,
        SecretKind::PrivateKey | SecretKind::ClientSecret => {
            let value = value(terminal, &name, "rotate")?;
            let connection = match public_key {
                Some(public_key) => with_public_key(connection, public_key),
                None => connection,
            };
            one(desk, &connection, &name, value).await?;
            terminal.say(format!("{name} was accepted by the vendor and is in force."))?;
            Ok(terminal.hint("The former one is used no more; remove it at the vendor.")?)
        }
    }
}

async fn one(desk: &Desk, connection: &Connection, name: &SecretName, value: Secret<String>) -> anyhow::Result<()> {
    let vendors = desk.vendors().await?;
    let instead = BTreeMap::from([(name.kind, value.clone())]);
    vendors.try_out(connection, instead).await.map_err(|error| not_accepted(name, &error))?;
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
    let [key_name, name] = [SecretKind::CertificateKey, SecretKind::Certificate].map(named);
    let staged = [SecretKind::NextCertificateKey, SecretKind::NextCertificate].map(named);
    let (key, certificate) = (next(desk, &staged[0]).await?, next(desk, &staged[1]).await?);
    let instead = BTreeMap::from([(key_name.kind, key.clone()), (name.kind, certificate.clone())]);
    let vendors = desk.vendors().await?;
    vendors.try_out(connection, instead).await.map_err(|error| not_accepted(&name, &error))?;
    let secrets = [(key_name, key), (name.clone(), certificate)];
    let change = Change { secrets: &secrets, forget: &staged, reason: &format!("rotated {name}") };
    desk.change(change, |_| ()).await?;
    terminal.say(format!("{name} was accepted by the vendor and is in force, with its key."))?;
    Ok(terminal.hint("The former certificate is used no more; remove it from the app registration.")?)
}

async fn next(desk: &Desk, name: &SecretName) -> anyhow::Result<Secret<String>> {
    let row = desk.store.sealed_named(&name.to_string()).await?;
    let make = || format!("{name} is not set; make a pair first: latchkey certificate make {} --next", name.connection);
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

async fn say_what_is_missing(desk: &Desk, terminal: &mut Terminal, name: &SecretName) -> anyhow::Result<()> {
    let live = desk.live().await?.known();
    for (_, why) in live.registry.broken().filter(|(id, _)| **id == name.connection) {
        terminal.hint(format!("connection {} cannot be used yet: {why}", name.connection))?;
    }
    Ok(())
}
