//! `latchkey certificate make`.

use anyhow::{Context, bail};
use latchkey_contract::{ConnectionId, Secret};

use super::{Desk, Terminal};
use crate::{
    registry::{SecretKind, SecretName},
    rulebook::ConnectionKind,
};

pub(super) async fn make(
    desk: &Desk,
    terminal: &mut Terminal,
    connection: ConnectionId,
    days: u32,
) -> anyhow::Result<()> {
    if !matches!(desk.connection(&connection).await?.kind, ConnectionKind::Entra(_)) {
        bail!("{connection} is not a directory that signs in by certificate");
    }
    let (subject, now) = (format!("Latchkey {connection}"), desk.clock.now());
    let made = tokio::task::spawn_blocking(move || latchkey_entra::make_certificate(&subject, days, now));
    let (key, certificate) = made.await.context("making the key was broken off")??;
    let named = |kind| SecretName::new(connection.clone(), kind);
    desk.set(&[
        (named(SecretKind::CertificateKey), key),
        (named(SecretKind::Certificate), Secret::new(certificate.clone())),
    ])
    .await?;
    terminal.say(certificate.trim_end())?;
    terminal.hint(format!(
        "The key is sealed here and good for {days} days. Upload this certificate to the app registration \
         (Certificates & secrets), and set credential = \"certificate\" on connection {connection}.\n\
         Where that is set already, the new key is in force from now on: the tenant refuses every call of this \
         connection, removals included, until the certificate is uploaded. Do it now, then run: \
         latchkey connection test {connection}"
    ))?;
    Ok(())
}
