//! `latchkey grants` and `latchkey why`: what was given, where it stands, and by which rule.

use anyhow::{Context, bail};
use clap::Args;
use latchkey_contract::{CustomerId, GrantId, PersonId, TicketRef, Timestamp, text::one_line};
use serde_json::Value;

use super::{Desk, Terminal, audit::ticket};
use crate::{
    access::{Grant, State},
    audit::{AuditEntry, AuditFilter, Code},
    store::Scope,
};

/// Decisions about one grant: the request, and what approvers said.
const ENTRIES: u32 = 500;

#[derive(Debug, Args)]
pub(super) struct Wanted {
    /// Only what is not over.
    #[arg(long)]
    open: bool,
    /// Only this customer's.
    #[arg(long, conflicts_with_all = ["person", "ticket"])]
    customer: Option<CustomerId>,
    /// Only this person's.
    #[arg(long, conflicts_with = "ticket")]
    person: Option<PersonId>,
    /// Only this ticket's: CONNECTION/NUMBER.
    #[arg(long, value_parser = ticket)]
    ticket: Option<TicketRef>,
    /// At most so many.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
}

pub(super) async fn list(desk: &Desk, terminal: &mut Terminal, wanted: Wanted) -> anyhow::Result<()> {
    let limit = wanted.limit;
    let scope = match (wanted.customer, wanted.person) {
        (Some(id), _) => Scope::Customer(id),
        (None, Some(id)) => Scope::Person(id),
        (None, None) => Scope::Everything,
    };
    let mut grants = match &wanted.ticket {
        Some(ticket) => desk.store.grants_of_ticket(ticket).await?,
        None if wanted.open => {
            let mut open = desk.store.open_grants_in(&scope, None, limit).await?;
            open.reverse();
            open
        }
        None => desk.store.newest_grants(&scope, limit).await?,
    };
    grants.retain(|grant| !(wanted.open && grant.state.is_final()));
    grants.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    // What is in the records nowhere and got nothing ever is more likely a mistyped name.
    if grants.is_empty() && wanted.ticket.is_none() && !is_known(desk, &scope).await? {
        bail!("{} is neither in the records nor has it any grant", named(&scope));
    }
    for grant in &grants {
        terminal.say(line(grant))?;
    }
    if grants.len() == usize::try_from(limit).unwrap_or(usize::MAX) {
        terminal.hint(format!("There may be more than these {limit}; ask for more with --limit."))?;
    }
    Ok(())
}

/// In the records, or in any grant.
pub(super) async fn is_known(desk: &Desk, scope: &Scope) -> anyhow::Result<bool> {
    let records = desk.store.rules().await?.records;
    let is_there = match scope {
        Scope::Everything => true,
        Scope::Customer(id) => records.customer(id).is_some(),
        Scope::Person(id) => records.person(id).is_some(),
    };
    Ok(is_there || !desk.store.newest_grants(scope, 1).await?.is_empty())
}

fn named(scope: &Scope) -> String {
    match scope {
        Scope::Everything => "everything".to_owned(),
        Scope::Customer(id) => format!("customer {id}"),
        Scope::Person(id) => format!("person {id}"),
    }
}

/// `GRANT  state  when  person  customer  policy  ticket`, divided by tabs.
pub(super) fn line(grant: &Grant) -> String {
    let when = match &grant.state {
        State::Ending { since, .. } => format!("since {since}"),
        State::Ended { proof, .. } => format!("off {}", proof.seen_at()),
        State::Held { until, .. } => format!("lapses {until}"),
        State::Refused { at, .. } | State::Denied { at, .. } | State::Lapsed { at } => format!("at {at}"),
        living => living.end().map_or_else(String::new, |end| format!("until {end}")),
    };
    let Grant { id, person, customer, policy, ticket, .. } = grant;
    format!("{id}\t{}\t{when}\t{person}\t{customer}\t{}\t{ticket}", grant.state.name(), policy.id)
}

pub(super) async fn why(desk: &Desk, terminal: &mut Terminal, id: GrantId) -> anyhow::Result<()> {
    let filter = AuditFilter { grant: Some(id.clone()), ..AuditFilter::default() };
    let rows = desk.store.audit_rows(&filter, 0, ENTRIES).await?;
    let entries: Vec<AuditEntry> = rows.iter().map(|row| row.entry()).collect::<Result<_, _>>()?;
    let decision = entries
        .iter()
        .find(|entry| [Code::RequestGranted, Code::RequestWaiting, Code::RequestRefused].contains(&entry.code));
    let grant = desk.store.grant(&id).await?;
    let decision = decision.with_context(|| match &grant {
        Some(_) => format!("the audit log has no decision about {id} any more; it was pruned"),
        None => format!("there is no grant {id}; latchkey grants lists them"),
    })?;
    let decided = match decision.code {
        Code::RequestGranted => "granted",
        Code::RequestWaiting => "to wait for approvers",
        _ => "refused",
    };
    terminal.say(format!("{id} was decided {}: {decided}.", decision.at))?;
    if let Some(grant) = &grant {
        terminal.say(format!(
            "  policy {} by mapping {}, at revision {} of the rulebook",
            grant.policy.id, grant.mapping, grant.revision
        ))?;
        terminal.say(format!("  for {}, which now is {}", grant.length, grant.state.name()))?;
    }
    if let Some(refusal) = decision.detail.get("refusal").filter(|refusal| !refusal.is_null()) {
        terminal.say("refused by:")?;
        said(terminal, refusal)?;
    }
    terminal.say("from what the ticket said:")?;
    said(terminal, decision.detail.get("request").unwrap_or(&Value::Null))?;
    if let Some(living) = decision.detail.get("living").filter(|living| !living.is_null()) {
        terminal.say("and what lived then:")?;
        said(terminal, living)?;
    }
    terminal.say("afterwards:")?;
    for entry in entries.iter().filter(|entry| entry.code != decision.code) {
        let by = entry.by.as_ref().map_or_else(String::new, |by| format!(" by {by}"));
        terminal.say(format!("  {} {}{by}: {}", entry.at, entry.code.as_str(), entry.code.says()))?;
    }
    Ok(())
}

/// One line for each thing that was known, whatever shape its release gave it.
fn said(terminal: &mut Terminal, value: &Value) -> anyhow::Result<()> {
    let Value::Object(fields) = value else { return terminal.say(format!("  {}", plain(value))) };
    for (name, value) in fields.iter().filter(|(_, value)| !value.is_null()) {
        let value = match value.as_i64() {
            Some(millis) if name.ends_with("_at") => Timestamp::from_millis(millis).to_string(),
            _ => plain(value),
        };
        terminal.say(format!("  {}: {value}", name.replace('_', " ")))?;
    }
    Ok(())
}

/// A value in words: `person jane, member 176` for an object. What could be known or not is stored under `Ok` or `Err`.
fn plain(value: &Value) -> String {
    let words = match value {
        Value::String(text) => text.clone(),
        Value::Array(items) if items.is_empty() => "none".to_owned(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(", "),
        Value::Object(fields) if fields.is_empty() => "none".to_owned(),
        Value::Object(fields) => match (fields.get("Ok"), fields.get("Err")) {
            (Some(known), _) => plain(known),
            (_, Some(why)) => format!("not known: {}", plain(why)),
            _ => fields
                .iter()
                .map(|(name, value)| format!("{} {}", name.replace('_', " "), plain(value)))
                .collect::<Vec<_>>()
                .join(", "),
        },
        Value::Bool(true) => "yes".to_owned(),
        Value::Bool(false) => "no".to_owned(),
        Value::Null => "nothing".to_owned(),
        Value::Number(number) => number.to_string(),
    };
    one_line(&words, 300)
}
