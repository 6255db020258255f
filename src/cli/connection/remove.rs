//! `latchkey connection remove`: only where nothing of ours is left behind, or where it is said that it is.

use anyhow::{Context, bail};
use latchkey_contract::{AccountId, ConnectionId, directory::Mode, outside::Urgency, text::one_line};

use super::super::{Desk, Terminal, change, revoke};
use crate::{
    access::{Account, Grant},
    registry::SecretName,
    rulebook::Records,
    store::{CommitName, Scope, Transition},
};

const PAGE: u32 = 500;

pub(super) async fn remove(
    desk: &Desk,
    terminal: &mut Terminal,
    id: &ConnectionId,
    leave_accounts: bool,
) -> anyhow::Result<()> {
    let before = desk.store.rules().await?;
    if before.records.connection(id).is_none() {
        return leftovers(desk, terminal, id).await;
    }
    named_nowhere(&before.records, id)?;
    no_grants(desk, id).await?;
    let stay = staying(desk, id).await?;
    if !stay.is_empty() && !leave_accounts {
        bail!(
            "accounts of ours are in {id}; nothing was changed. Delete them there and run this again, or leave them \
             there, with --leave-accounts:\n{}",
            stay.join("\n")
        );
    }
    let mappings = before.rulebook.mappings.iter().filter(|mapping| mapping.connection == *id);
    for mapping in mappings {
        terminal.hint(format!("mapping.{}: will do nothing any more", mapping.id))?;
    }
    stay.iter().try_for_each(|line| terminal.hint(format!("stays there: {line}")))?;
    terminal.confirm(format_args!(
        "Connection {id} goes, and its secrets are destroyed. Webhooks of ours that it has at the PSA are removed \
         before, with: latchkey webhook remove {id}"
    ))?;
    let mut records = before.records.clone();
    records.connections.retain(|connection| connection.id != *id);
    let changed = change::save(desk, &before, records, &format!("connection {id} removed")).await?;
    let gone = destroy(desk, id).await?;
    changed.say(terminal, format_args!("connection {id} is removed, and {gone} secrets of it are destroyed"))
}

/// Secrets of a connection that went by another way.
async fn leftovers(desk: &Desk, terminal: &mut Terminal, id: &ConnectionId) -> anyhow::Result<()> {
    match destroy(desk, id).await? {
        0 => bail!("there is no connection {id}; those that there are: latchkey connection list"),
        gone => terminal.say(format!("There was no connection {id}; {gone} secrets of it are destroyed.")),
    }
}

fn named_nowhere(records: &Records, id: &ConnectionId) -> anyhow::Result<()> {
    let customers = records.customers.iter();
    let customers = customers
        .filter(|c| c.directory.as_ref() == Some(id) || c.companies.iter().any(|b| b.connection == *id))
        .map(|c| format!("customer {}", c.id));
    let people = records.people.iter().filter(|p| p.members.iter().any(|b| b.connection == *id));
    let named: Vec<String> = customers.chain(people.map(|p| format!("person {}", p.id))).collect();
    if named.is_empty() {
        return Ok(());
    }
    bail!("{id} is named by {}; change or remove them first. Nothing was changed", named.join(", "))
}

async fn no_grants(desk: &Desk, id: &ConnectionId) -> anyhow::Result<()> {
    let all = revoke::open(desk, &Scope::Everything).await?;
    let is_there = |grant: &Grant| grant.directory == *id || grant.ticket.connection == *id;
    let there: Vec<Grant> = all.into_iter().filter(is_there).collect();
    if there.is_empty() {
        return Ok(());
    }
    bail!("access that goes through {id} is not over: {}. Nothing was changed", change::name(&there))
}

/// Accounts of ours that are there, one line each: the directory is asked, and where it does not answer, what was seen
/// last counts.
async fn staying(desk: &Desk, id: &ConnectionId) -> anyhow::Result<Vec<String>> {
    let live = desk.live().await?.known();
    let mut lines = Vec::new();
    let mut after: Option<AccountId> = None;
    loop {
        let page = desk.store.accounts_in(id, after.as_ref(), PAGE).await?;
        let Some(last) = page.last() else { return Ok(lines) };
        after = Some(last.id.clone());
        for account in &page {
            let seen = match live.registry.directory(id) {
                Ok(directory) => directory.observe(&account.reference(), Urgency::Ordinary).await.ok(),
                Err(_) => None,
            };
            let name = one_line(&account.name, 120);
            match seen.map(|seen| seen.account) {
                Some(None) => {}
                Some(Some(there)) if there.is_enabled => lines.push(format!("{name}, which can sign in")),
                Some(Some(_)) => lines.push(format!("{name}, disabled")),
                None if is_gone(account) => {}
                None => lines.push(format!("{name}, which could not be looked at now")),
            }
        }
    }
}

/// A burner whose end was proven is deleted; whether a standard account is, only its directory tells.
fn is_gone(account: &Account) -> bool {
    account.mode == Mode::Burner && account.off_since.is_some()
}

async fn destroy(desk: &Desk, id: &ConnectionId) -> anyhow::Result<usize> {
    let names = desk.store.sealed_names().await?;
    let ours = names
        .iter()
        .filter(|name| matches!(name.parse(), Ok(SecretName::Connection { connection, .. }) if connection == *id));
    let mut transition = Transition::new(CommitName::Command, desk.clock.now());
    for name in ours {
        transition.destroy.extend(desk.store.sealed_named(name).await?.map(|row| row.id));
    }
    let count = transition.destroy.len();
    let destroyed = desk.store.commit(transition).await;
    destroyed.with_context(|| format!("its secrets are still there; run: latchkey connection remove {id}"))?;
    Ok(count)
}
