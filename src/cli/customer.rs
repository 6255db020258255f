//! `latchkey customer add | set | list | remove | pause | resume | import`.

mod domain;
mod import;
mod record;

use anyhow::bail;
use clap::{Args, Subcommand, ValueEnum};
use latchkey_contract::{CompanyId, ConnectionId, CustomerId, text::one_line};

use super::{Desk, Terminal, at::At, change, choose::Choice, revoke};
use crate::{
    rulebook::{Customers, HoldCause, HoldOn},
    store::Scope,
};

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Add a customer.
    Add {
        /// Chosen once.
        id: CustomerId,
        /// For people.
        #[arg(long)]
        name: String,
        #[command(flatten)]
        record: Record,
    },
    /// Change a customer. What is left out stays as it is.
    Set {
        /// As in the records.
        id: CustomerId,
        /// For people.
        #[arg(long)]
        name: Option<String>,
        #[command(flatten)]
        record: Record,
        /// Unbind a PSA company.
        #[arg(long, value_name = "CONNECTION/ID")]
        without_company: Vec<At<CompanyId>>,
        /// Its accounts live nowhere any more.
        #[arg(long, conflicts_with = "directory")]
        without_directory: bool,
    },
    /// List them: id, name, JIT, companies, directory and domain.
    List,
    /// Remove a customer. Refused while access there is not over, or a person's customers name it.
    Remove {
        /// As in the records.
        id: CustomerId,
    },
    /// End all access at a customer at once, and give none until it is resumed.
    Pause {
        /// As in the records.
        id: CustomerId,
        /// Why; it stands in the audit.
        #[arg(long)]
        reason: String,
    },
    /// Lift a pause.
    Resume {
        /// As in the records.
        id: CustomerId,
        /// Why; it stands in the audit.
        #[arg(long, default_value = "resumed")]
        reason: String,
    },
    /// Show the PSA's companies, with the customers that they may be, and take those that are chosen.
    Import {
        /// Which PSA.
        connection: ConnectionId,
        #[command(flatten)]
        choice: Choice,
        /// Whether JIT is on for those that are new.
        #[arg(long, value_enum, default_value_t = Switch::Off)]
        jit: Switch,
    },
}

#[derive(Debug, Args)]
pub(super) struct Record {
    /// A PSA company that is this customer, such as cw/250; may be given several times. Added to those that are bound.
    #[arg(long, value_name = "CONNECTION/ID")]
    company: Vec<At<CompanyId>>,
    /// Where its accounts live.
    #[arg(long)]
    directory: Option<ConnectionId>,
    /// The domain of its accounts; when it is left out, the directory is asked and its own one is suggested.
    #[arg(long)]
    domain: Option<String>,
    /// Whether access is given there at all. A new customer begins with off.
    #[arg(long, value_enum)]
    jit: Option<Switch>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Switch {
    On,
    Off,
}

pub(super) async fn run(command: Command, desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    match command {
        Command::Add { id, name, record } => record::add(desk, terminal, id, &name, record).await,
        Command::Set { id, name, record, without_company, without_directory } => {
            let unset = record::Unset { companies: without_company, directory: without_directory };
            record::set(desk, terminal, &id, name.as_deref(), record, &unset).await
        }
        Command::List => list(desk, terminal).await,
        Command::Remove { id } => remove(desk, terminal, &id).await,
        Command::Pause { id, reason } => pause(desk, terminal, id, &reason).await,
        Command::Resume { id, reason } => resume(desk, terminal, id, &reason).await,
        Command::Import { connection, choice, jit } => import::import(desk, terminal, &connection, &choice, jit).await,
    }
}

async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    for customer in &rules.records.customers {
        let companies: Vec<String> = customer
            .companies
            .iter()
            .flat_map(|bound| bound.ids.iter().map(|id| format!("{}/{id}", bound.connection)))
            .collect();
        let jit = match rules.hold(&HoldOn::Customer(customer.id.clone())) {
            Some(hold) if hold.cause == HoldCause::Panic => "LOCKED",
            Some(_) => "PAUSED",
            None if customer.jit => "jit on",
            None => "jit off",
        };
        let accounts = match (&customer.directory, &customer.domain) {
            (Some(directory), Some(domain)) => format!("accounts in {directory} as …@{domain}"),
            _ => "no directory".to_owned(),
        };
        let companies = if companies.is_empty() { "no company".to_owned() } else { companies.join(",") };
        let name = one_line(&customer.name, 80);
        terminal.say(format!("{}\t{name}\t{jit}\t{companies}\t{accounts}", customer.id))?;
    }
    Ok(())
}

async fn remove(desk: &Desk, terminal: &mut Terminal, id: &CustomerId) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    change::customer(&before.records, id)?;
    let named = before.records.people.iter().filter(|p| matches!(&p.customers, Customers::Only(l) if l.contains(id)));
    let named: Vec<&str> = named.map(|person| person.id.as_str()).collect();
    if !named.is_empty() {
        bail!("{id} is among the customers of {}; take it out of theirs first. Nothing was changed", named.join(", "));
    }
    let open = revoke::open(desk, &Scope::Customer(id.clone())).await?;
    if !open.is_empty() {
        bail!(
            "access at {id} is not over: {}. End it first: latchkey customer pause {id} --reason … Nothing was changed",
            change::name(&open)
        );
    }
    let groups = before.rulebook.customer_groups.iter().filter(|group| group.customers.contains(id));
    for group in groups {
        terminal.hint(format!("customer_group.{}: names {id}, which will mean nobody", group.id))?;
    }
    terminal.confirm(format_args!("Customer {id} goes from the records."))?;
    let mut records = before.records.clone();
    records.customers.retain(|customer| customer.id != *id);
    let changed = change::save(desk, &before, records, &format!("customer {id} removed")).await?;
    changed.say(terminal, format_args!("customer {id} is removed"))
}

async fn pause(desk: &Desk, terminal: &mut Terminal, id: CustomerId, reason: &str) -> anyhow::Result<()> {
    change::customer(&desk.store.rules().await?.records, &id)?;
    let open = revoke::open(desk, &Scope::Customer(id.clone())).await?;
    if !open.is_empty() {
        terminal.confirm(format_args!("This ends what was given at {id}: {}.", change::name(&open)))?;
    }
    let revision = change::hold(desk, HoldOn::Customer(id.clone()), HoldCause::Paused, reason).await?;
    terminal
        .say(format!("Revision {revision} is in force: customer {id} is paused. Grants that end: {}.", open.len()))?;
    terminal.hint(format!("To go on: latchkey customer resume {id}"))
}

async fn resume(desk: &Desk, terminal: &mut Terminal, id: CustomerId, reason: &str) -> anyhow::Result<()> {
    change::customer(&desk.store.rules().await?.records, &id)?;
    change::lift(desk, &HoldOn::Customer(id.clone()), HoldCause::Paused, reason).await?;
    terminal.say(format!("Customer {id} is paused no longer. What has ended stays ended."))
}
