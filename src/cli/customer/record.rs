//! Adding a customer, and changing one.

use anyhow::bail;
use latchkey_contract::{CompanyId, CustomerId, text::one_line};

use super::{
    super::{
        Desk, Terminal,
        at::{At, is_psa},
        change,
    },
    Record, Switch, domain,
};
use crate::rulebook::{Companies, Customer, Records, Rules};

/// What is taken away.
pub(super) struct Unset {
    pub(super) companies: Vec<At<CompanyId>>,
    pub(super) directory: bool,
}

pub(super) async fn add(
    desk: &Desk,
    terminal: &mut Terminal,
    id: CustomerId,
    name: &str,
    record: Record,
) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    if before.records.customer(&id).is_some() {
        bail!("there is a customer {id} already; to change it: latchkey customer set {id} …");
    }
    let empty = Customer {
        id: id.clone(),
        name: self::name(name)?,
        jit: false,
        companies: vec![],
        directory: None,
        domain: None,
    };
    let customer = with(desk, terminal, &before, empty, &record).await?;
    let is_on = customer.jit;
    let mut records = before.records.clone();
    records.customers.push(customer);
    let changed = change::save(desk, &before, records, &format!("customer {id} added")).await?;
    changed.say(terminal, format_args!("customer {id} is added, with JIT {}", if is_on { "on" } else { "off" }))?;
    if !is_on {
        terminal.hint(format!("No access is given there until: latchkey customer set {id} --jit on"))?;
    }
    Ok(())
}

pub(super) async fn set(
    desk: &Desk,
    terminal: &mut Terminal,
    id: &CustomerId,
    name: Option<&str>,
    record: Record,
    unset: &Unset,
) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    let mut customer = change::customer(&before.records, id)?.clone();
    if let Some(name) = name {
        customer.name = self::name(name)?;
    }
    for company in &unset.companies {
        unbind(&mut customer, company)?;
    }
    if unset.directory {
        (customer.directory, customer.domain) = (None, None);
    }
    let customer = with(desk, terminal, &before, customer, &record).await?;
    let mut records = before.records.clone();
    records.customers.iter_mut().filter(|c| c.id == *id).for_each(|c| *c = customer.clone());
    let changed = change::save(desk, &before, records, &format!("customer {id} changed")).await?;
    changed.say(terminal, format_args!("customer {id} is changed"))
}

/// The customer with what was typed.
async fn with(
    desk: &Desk,
    terminal: &mut Terminal,
    before: &Rules,
    mut customer: Customer,
    record: &Record,
) -> anyhow::Result<Customer> {
    for company in &record.company {
        is_psa(&before.records, &company.connection)?;
        match before.records.customer_of(&company.connection, &company.id) {
            Some(other) if other.id != customer.id => bail!(
                "{company} is customer {0} already; unbind it first: latchkey customer set {0} --without-company {company}. \
                 Nothing was changed",
                other.id
            ),
            Some(_) => bind(&mut customer, company),
            None => {
                exists(desk, terminal, company).await?;
                bind(&mut customer, company);
            }
        }
    }
    if let Some(jit) = record.jit {
        customer.jit = jit == Switch::On;
    }
    if record.directory.is_some() {
        customer.directory.clone_from(&record.directory);
    }
    match (&customer.directory, &record.directory, &record.domain) {
        (Some(directory), new, typed) if new.is_some() || typed.is_some() => {
            is_directory(&before.records, directory)?;
            customer.domain = Some(domain::domain(desk, terminal, directory, typed.as_deref()).await?);
        }
        (None, _, Some(_)) => bail!("--domain is a directory's; name that too, with --directory. Nothing was changed"),
        _ => {}
    }
    Ok(customer)
}

/// What the PSA calls it. One that is not there is refused; a PSA that cannot be asked is not.
async fn exists(desk: &Desk, terminal: &mut Terminal, company: &At<CompanyId>) -> anyhow::Result<()> {
    let listed = match desk.live().await?.known().registry.ticket_system(&company.connection) {
        Ok(system) => system.catalogue().await.map_err(|error| error.to_string()),
        Err(error) => Err(error.to_string()),
    };
    match listed {
        Ok(listed) => match listed.companies.iter().find(|listed| listed.id == company.id) {
            Some(found) => terminal.hint(format!("{company} is {} at the PSA.", one_line(&found.name, 60))),
            None => bail!(
                "the PSA has no company {company}; those that it has: latchkey customer import {}. Nothing was changed",
                company.connection
            ),
        },
        Err(why) => terminal.hint(format!("The PSA could not be asked what {company} is: {}", one_line(&why, 300))),
    }
}

fn is_directory(records: &Records, id: &latchkey_contract::ConnectionId) -> anyhow::Result<()> {
    match records.connection(id) {
        Some(connection) if !connection.kind.is_psa() => Ok(()),
        Some(_) => bail!("{id} is a PSA, not a directory; nothing was changed"),
        None => bail!("there is no connection {id}; those that there are: latchkey connection list"),
    }
}

pub(super) fn bind(customer: &mut Customer, company: &At<CompanyId>) {
    match customer.companies.iter_mut().find(|bound| bound.connection == company.connection) {
        Some(bound) if bound.ids.contains(&company.id) => {}
        Some(bound) => bound.ids.push(company.id.clone()),
        None => {
            customer.companies.push(Companies { connection: company.connection.clone(), ids: vec![company.id.clone()] })
        }
    }
}

fn unbind(customer: &mut Customer, company: &At<CompanyId>) -> anyhow::Result<()> {
    let mut was_bound = false;
    for bound in customer.companies.iter_mut().filter(|bound| bound.connection == company.connection) {
        was_bound |= bound.ids.contains(&company.id);
        bound.ids.retain(|id| *id != company.id);
    }
    if !was_bound {
        bail!("{company} is not bound to {}; nothing was changed", customer.id);
    }
    customer.companies.retain(|bound| !bound.ids.is_empty());
    Ok(())
}

fn name(typed: &str) -> anyhow::Result<String> {
    let name = one_line(typed, 120).trim().to_owned();
    if name.is_empty() {
        bail!("the name is empty; nothing was changed");
    }
    Ok(name)
}
