//! `latchkey customer import`: the PSA's companies as customers. Bound by id; names suggest, and people choose.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::anyhow;
use latchkey_contract::{CompanyId, ConnectionId, CustomerId, text::one_line, ticket::Company};

use super::{
    super::{
        Desk, Terminal,
        at::{At, is_psa},
        change,
        choose::{Choice, Row, Suggestion, choose},
        connection::to_do,
        names,
    },
    Switch, record,
};
use crate::rulebook::{Customer, Records};

pub(super) async fn import(
    desk: &Desk,
    terminal: &mut Terminal,
    connection: &ConnectionId,
    choice: &Choice,
    jit: Switch,
) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    is_psa(&before.records, connection)?;
    let system = desk.live().await?.known().registry.ticket_system(connection)?;
    let companies = system.catalogue().await.map_err(|e| anyhow!("the companies could not be read: {}", to_do(&e)))?;
    let rows = suggest(&before.records, connection, &companies.companies);
    let chosen = choose(terminal, rows, choice)?;
    if chosen.is_empty() {
        return terminal.say("Nothing was taken; nothing was changed.");
    }
    let mut records = before.records.clone();
    for row in &chosen {
        take(&mut records, connection, row, jit)?;
    }
    let count = chosen.len();
    let changed = change::save(desk, &before, records, &format!("{count} companies of {connection} imported")).await?;
    changed.say(terminal, format_args!("companies that were bound: {count}"))?;
    if jit == Switch::Off && chosen.iter().any(|row| matches!(row.suggestion, Suggestion::New(_))) {
        terminal.hint("No access is given at the new ones until: latchkey customer set ID --jit on")?;
    }
    Ok(())
}

/// A name suggests a customer only where it means one company and one customer, and that customer has no company at
/// this PSA yet: whoever can name a company must not come into another one's tenant by it.
fn suggest(records: &Records, connection: &ConnectionId, companies: &[Company]) -> Vec<Row<CustomerId>> {
    let mut namesakes: BTreeMap<String, usize> = BTreeMap::new();
    for company in companies {
        *namesakes.entry(names::company(&company.name)).or_default() += 1;
    }
    let mut taken: BTreeSet<String> = records.customers.iter().map(|c| c.id.to_string()).collect();
    let mut rows: Vec<Row<CustomerId>> = Vec::new();
    for company in companies {
        let name = names::company(&company.name);
        let alike: Vec<&Customer> =
            records.customers.iter().filter(|c| !name.is_empty() && names::company(&c.name) == name).collect();
        let suggestion = match (records.customer_of(connection, &company.id), alike.as_slice()) {
            (Some(bound), _) => Suggestion::Bound(bound.id.clone()),
            (None, []) => new(company, &mut taken),
            (None, [one]) if namesakes[&name] == 1 && one.companies.iter().all(|b| b.connection != *connection) => {
                Suggestion::Matches(one.id.clone(), "name")
            }
            (None, alike) => {
                let ids: Vec<&str> = alike.iter().map(|c| c.id.as_str()).collect();
                let id = ids.first().copied().unwrap_or_default();
                Suggestion::Unclear(format!(
                    "named like {}; bind it by hand: latchkey customer set {id} --company {connection}/{}",
                    ids.join(", "),
                    company.id
                ))
            }
        };
        rows.push(Row {
            id: company.id.to_string(),
            columns: vec![company.name.clone()],
            suggestion,
            wants_an_answer: false,
        });
    }
    rows
}

fn new(company: &Company, taken: &mut BTreeSet<String>) -> Suggestion<CustomerId> {
    let number: String = company.id.as_str().to_ascii_lowercase().chars().filter(char::is_ascii_alphanumeric).collect();
    let fallback: String = format!("company-{number}").chars().take(40).collect();
    let id = names::unique(&names::company_id(&company.name, &fallback), |id| taken.contains(id));
    match CustomerId::parse(&*id) {
        Ok(made) => {
            taken.insert(id);
            Suggestion::New(made)
        }
        Err(error) => Suggestion::Unclear(error.to_string()),
    }
}

fn take(records: &mut Records, connection: &ConnectionId, row: &Row<CustomerId>, jit: Switch) -> anyhow::Result<()> {
    let company = At { connection: connection.clone(), id: CompanyId::parse(&*row.id)? };
    let id = match &row.suggestion {
        Suggestion::New(id) => {
            let name = one_line(row.columns.first().map_or("", String::as_str), 120).trim().to_owned();
            records.customers.push(Customer {
                id: id.clone(),
                name: if name.is_empty() { id.to_string() } else { name },
                jit: jit == Switch::On,
                companies: vec![],
                directory: None,
                domain: None,
            });
            id
        }
        Suggestion::Matches(id, _) => id,
        Suggestion::Bound(_) | Suggestion::Unclear(_) => return Ok(()),
    };
    records.customers.iter_mut().filter(|c| c.id == *id).for_each(|c| record::bind(c, &company));
    Ok(())
}
