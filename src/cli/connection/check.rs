//! `latchkey connection test`: does a connection work, and which ids does its vendor know? Changes nothing.
//!
//! First the lines that `latchkey doctor` has for it. Then one line per thing, its id first, columns apart by tabs: the ids
//! are what records and rulebook are written with.
//! Whatever a vendor calls a thing is free text of somebody else, and is made harmless for the terminal.

use std::{fmt::Display, sync::Arc};

use anyhow::bail;
use latchkey_contract::{
    CallError, ConnectionId, Directory, TicketSystem,
    check::to_do,
    directory::Marked,
    text::one_line,
    ticket::{Board, Catalogue, Member},
};

use super::super::{Desk, Terminal};
use crate::{
    doctor::{self, Connections},
    registry::Connector,
};

const LONGEST_NAME: usize = 120;

pub(super) async fn check(desk: &Desk, terminal: &mut Terminal, connection: &ConnectionId) -> anyhow::Result<()> {
    desk.connection(connection).await?;
    let live = desk.live().await?.known();
    let connector = live.registry.connector(connection)?;
    let (config, store) = (desk.config.clone(), Arc::clone(&desk.store));
    let connections = Connections { config, store, seal: desk.seal().await?, live: Arc::clone(&live) };
    let lines = Box::pin(connections.connection(connection)).await?;
    let checked = doctor::Report { lines };
    checked.print().iter().try_for_each(|line| terminal.say(line))?;
    let mut report = Report { terminal, red: checked.red() };
    match connector {
        Connector::TicketSystem(system) => ticket_system(&mut report, &**system).await?,
        Connector::Directory(directory) => a_directory(&mut report, desk, &**directory).await?,
    }
    match report.red {
        0 => Ok(()),
        1 => bail!("one check of {connection} failed; it says above what to do"),
        many => bail!("{many} checks of {connection} failed; each says above what to do"),
    }
}

struct Report<'a> {
    terminal: &'a mut Terminal,
    red: usize,
}

impl Report<'_> {
    /// A list that could not be read; why, where no check said so already.
    fn unread(&mut self, what: &str, error: &CallError) -> anyhow::Result<()> {
        if self.red > 0 {
            return self.terminal.hint(format!("Not listed: {what}. See what failed above"));
        }
        self.red += 1;
        self.terminal.say(format!("\nfault: {what}: {}", to_do(error)))
    }

    fn title(&mut self, title: &str) -> anyhow::Result<()> {
        self.terminal.say(format!("\n{title}"))
    }

    fn row(&mut self, id: impl Display, columns: &[&str]) -> anyhow::Result<()> {
        let columns = columns.iter().filter(|column| !column.is_empty());
        let columns: Vec<String> = columns.map(|column| one_line(column, LONGEST_NAME)).collect();
        self.terminal.say(format!("{id}\t{}", columns.join("\t")))
    }
}

async fn ticket_system(report: &mut Report<'_>, system: &dyn TicketSystem) -> anyhow::Result<()> {
    match system.catalogue().await {
        Ok(catalogue) => list(report, &catalogue),
        Err(error) => report.unread("what the PSA has", &error),
    }
}

fn list(report: &mut Report<'_>, catalogue: &Catalogue) -> anyhow::Result<()> {
    for board in &catalogue.boards {
        list_board(report, board, &catalogue.board_noun)?;
    }
    report.title("ticket fields: id, name, choices (length_field of a mapping)")?;
    for field in &catalogue.fields {
        report.row(&field.id, &[&field.name, &field.options.join(", ")])?;
    }
    report.title("companies: id, name (companies of a customer)")?;
    for company in &catalogue.companies {
        report.row(&company.id, &[&company.name])?;
    }
    report.title("members: id, sign-in name, full name (members of a person)")?;
    for member in &catalogue.members {
        report.row(&member.id, &[&member.name, &member.full_name, what_kind(member)])?;
    }
    Ok(())
}

fn list_board(report: &mut Report<'_>, board: &Board, noun: &str) -> anyhow::Result<()> {
    let state = if board.is_active { "" } else { "inactive" };
    report.title(&format!("{noun}: id, name (boards of a mapping); then its statuses: id, name"))?;
    report.row(&board.id, &[&board.name, state])?;
    for status in &board.statuses {
        let closing = if status.is_closing { "closes the ticket" } else { "" };
        let state = if status.is_active { "" } else { "inactive" };
        report.row(format_args!("  {}", status.id), &[&status.name, closing, state])?;
    }
    Ok(())
}

const fn what_kind(member: &Member) -> &'static str {
    match (member.is_human, member.is_active) {
        (true, true) => "person",
        (true, false) => "person, inactive",
        (false, _) => "no person: may not ask for access",
    }
}

async fn a_directory(report: &mut Report<'_>, desk: &Desk, directory: &dyn Directory) -> anyhow::Result<()> {
    match directory.catalogue().await {
        Err(error) => report.unread("roles and groups", &error)?,
        Ok(entitlements) => {
            report.title("roles and groups: id, name (entitlements of a policy)")?;
            for entitlement in entitlements {
                let mark = if entitlement.is_privileged { "privileged" } else { "" };
                report.row(&entitlement.id, &[&entitlement.name, mark])?;
            }
        }
    }
    match directory.protected().await {
        Err(error) => report.unread("emergency access accounts", &error)?,
        Ok(accounts) => {
            report.title("emergency access accounts, never touched: object id, sign-in name, why")?;
            for account in accounts {
                report.row(&account.object, &[&account.name, &account.why])?;
            }
        }
    }
    match directory.find_marked().await {
        Err(error) => report.unread("accounts with our mark", &error),
        Ok(accounts) => list_marked(report, desk, &accounts).await,
    }
}

/// An account that carries a mark of ours and is not in this database was left by another installation, or marked by
/// somebody else: a person has to look at it.
async fn list_marked(report: &mut Report<'_>, desk: &Desk, accounts: &[Marked]) -> anyhow::Result<()> {
    report.title("accounts with our mark: object id, sign-in name")?;
    for Marked { mark, object, name, is_enabled } in accounts {
        let is_known = match mark {
            Some(id) => desk.store.account(id).await?.is_some(),
            None => false,
        };
        let state = if *is_enabled { "enabled" } else { "disabled" };
        report.row(object, &[name, state, if is_known { "" } else { "not in this database" }])?;
    }
    Ok(())
}
