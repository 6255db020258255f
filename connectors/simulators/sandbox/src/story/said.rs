//! What Jane writes to the service in a ticket's notes, and how it is answered there.

use std::time::Duration;

use anyhow::ensure;

use super::{browser::Browser, press, teller::Teller, told};
use crate::{
    psas::{Psa, Told, connectwise},
    sandbox::Sandbox,
};

/// ConnectWise calls back for a note; at the other PSAs it is found by the poll, which comes this often.
const POLLED: Duration = Duration::from_secs(5 * 60);

/// A command, how its answer begins, and what stands in it.
pub(super) type Command = (&'static str, &'static str, &'static str);

pub(super) const STATUS: Command = ("/jit status", "access of this ticket", "is active, and ends at ");
pub(super) const EXTEND: Command = ("/jit extend 30m", "access is being extended", "is to end at ");
pub(super) const END: Command = ("/jit end", "access ends now", "as Jane Doe said");

pub(super) async fn say(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    (psa, ticket): (&dyn Psa, i64),
    (command, opening, holds): Command,
) -> anyhow::Result<()> {
    teller
        .step(&format!("Jane writes {command} in an internal note, and is answered in one"), async {
            let kind = psa.names().kind;
            press(pages, &format!("/{kind}/tickets/{ticket}/note"), &[("text", command)]).await?;
            if kind != connectwise::NAMES.kind {
                sandbox.service.advance(POLLED).await?;
            }
            let Told { text, is_internal, .. } =
                Teller::until(sandbox, "the answer", || told(psa, ticket, opening).pop()).await?;
            ensure!(is_internal && text.contains(holds), "the answer is another, or customers see it: {text}");
            let seen = text.lines().find(|line| line.contains(holds)).unwrap_or_default();
            Ok(((), seen.trim_start_matches("- ").to_owned()))
        })
        .await
}
