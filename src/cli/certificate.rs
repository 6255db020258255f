//! `latchkey certificate make`.

use anyhow::{Context, bail};
use latchkey_contract::{ConnectionId, Secret};
use latchkey_entra::CredentialKind;

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
    next: bool,
) -> anyhow::Result<()> {
    let ConnectionKind::Entra(settings) = desk.connection(&connection).await?.kind else {
        bail!("{connection} is not a directory that signs in by certificate");
    };
    let is_in_force = settings.credential == CredentialKind::Certificate;
    let named = |kind| SecretName::new(connection.clone(), kind);
    let (key_name, certificate_name) = if next {
        (named(SecretKind::NextCertificateKey), named(SecretKind::NextCertificate))
    } else {
        (named(SecretKind::CertificateKey), named(SecretKind::Certificate))
    };
    if !next && desk.store.sealed_named(&certificate_name.to_string()).await?.is_some() {
        if !is_in_force {
            bail!(
                "{certificate_name} was made already, and is not in force: {connection} signs in by its client secret. Once \
                 the certificate is uploaded: latchkey connection set {connection} credential=certificate"
            );
        }
        bail!(
            "{certificate_name} is in force; another one put in its place would be refused by the tenant until it is uploaded. \
             Make one for later: latchkey certificate make {connection} --next"
        );
    }
    let (subject, now) = (format!("Latchkey {connection}"), desk.clock.now());
    let made = tokio::task::spawn_blocking(move || latchkey_entra::make_certificate(&subject, days, now));
    let (key, certificate) = made.await.context("making the key was broken off")??;
    desk.set(&[(key_name, key), (certificate_name, Secret::new(certificate.clone()))]).await?;
    terminal.say(certificate.trim_end())?;
    terminal.hint(format!(
        "The key is sealed here and good for {days} days. Upload this certificate to the app registration (Certificates & secrets)."
    ))?;
    terminal.hint(if next {
        format!(
            "The pair in force stays in force. Some minutes after the upload, run: latchkey secret rotate {connection}/certificate"
        )
    } else if is_in_force {
        format!("After the upload, run: latchkey connection test {connection}")
    } else {
        format!(
            "After the upload, run: latchkey connection set {connection} credential=certificate, and latchkey connection test {connection}"
        )
    })?;
    Ok(())
}
