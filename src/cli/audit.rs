//! `latchkey audit verify | export | prune | head`.

mod export;
mod prune;
pub(super) mod verify;

use std::path::PathBuf;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use latchkey_contract::{CustomerId, GrantId, PersonId, TicketRef, Timestamp};

use super::{Desk, Terminal};
use crate::audit::{AuditFilter, Head, Signer};

/// Entries that are read at once: a log of any length is checked and exported in little memory.
const PAGE: u32 = 500;

#[derive(Debug, Subcommand)]
pub(super) enum Audit {
    /// Check that no entry was changed, removed or put in. Of a FILE, this works anywhere, without configuration or key.
    Verify {
        /// A whole export in JSON lines; without it, the database.
        file: Option<PathBuf>,
        /// A head that was kept elsewhere (from a note, or `audit head`): NUMBER:HASH. May be given several times.
        #[arg(long)]
        head: Vec<Head>,
    },
    /// Write the log, or a selection of it, to the terminal or a file.
    Export(Export),
    /// Let old entries go, leaving a signed checkpoint. What open grants need stays.
    Prune {
        /// A day (2026-06-09, from its beginning in UTC) or a time (2026-06-09T21:59:47Z): entries before it go.
        #[arg(long, value_parser = instant)]
        before: Timestamp,
    },
    /// Print the log's head, signed: keep it where whoever could change the log cannot reach it.
    Head,
}

#[derive(Debug, Args)]
pub(super) struct Export {
    /// JSON lines, which can be verified when nothing is left out, or CSV, for spreadsheets.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// Entries of this day (2026-06-09, in UTC) or time and later.
    #[arg(long, value_parser = instant)]
    from: Option<Timestamp>,
    /// Entries before this day or time.
    #[arg(long, value_parser = instant)]
    to: Option<Timestamp>,
    /// Entries about this grant.
    #[arg(long)]
    grant: Option<GrantId>,
    /// Entries about this ticket: CONNECTION/NUMBER.
    #[arg(long, value_parser = ticket)]
    ticket: Option<TicketRef>,
    /// Entries about this person's access, or about what they did.
    #[arg(long)]
    person: Option<PersonId>,
    /// Entries about access at this customer.
    #[arg(long)]
    customer: Option<CustomerId>,
    /// Entries with a code that begins so: grant. or secret.revealed
    #[arg(long)]
    code: Option<String>,
    /// A file that is not there yet, for its owner alone.
    #[arg(long)]
    out: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

impl Export {
    fn filter(&self) -> AuditFilter {
        AuditFilter {
            from: self.from,
            to: self.to,
            grant: self.grant.clone(),
            ticket: self.ticket.clone(),
            person: self.person.clone(),
            customer: self.customer.clone(),
            code: self.code.clone(),
        }
    }
}

pub(super) async fn run(command: Audit, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        // A desk may be another process's: it opens no file that somebody names to it.
        Audit::Verify { file: Some(_), .. } => bail!("an export is verified where it lies, not at the service"),
        Audit::Verify { file: None, head } => verify::database(desk, head, terminal).await,
        Audit::Export(wanted) => export::run(&wanted, desk, terminal).await,
        Audit::Prune { before } => prune::run(before, desk, terminal).await,
        Audit::Head => head(desk, terminal).await,
    }
}

async fn head(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let Some(head) = desk.store.audit_head().await? else { bail!("there are no entries yet, so there is no head") };
    terminal.say(Signer::new(&*desk.seal().await?).head(head))?;
    Ok(())
}

pub(super) fn instant(text: &str) -> Result<Timestamp, String> {
    let day = || Timestamp::parse(&format!("{text}T00:00:00Z"));
    Timestamp::parse(text)
        .or_else(day)
        .ok_or_else(|| "write a day such as 2026-06-09 or a time such as 2026-06-09T21:59:47Z".to_owned())
}

pub(super) fn ticket(text: &str) -> Result<TicketRef, String> {
    let parsed = text.split_once('/').and_then(|(connection, ticket)| {
        Some(TicketRef { connection: connection.parse().ok()?, ticket: ticket.parse().ok()? })
    });
    parsed.ok_or_else(|| "write CONNECTION/NUMBER, such as cw/4711".to_owned())
}
