//! The domain of a customer's accounts: one that its tenant has.

use anyhow::bail;
use latchkey_contract::{ConnectionId, directory::Domain, text::one_line};

use super::super::{Desk, Terminal, connection::to_do};

/// What was typed, if the tenant has it; the domain that the tenant was made with, if nothing was: it cannot be lost.
pub(super) async fn domain(
    desk: &Desk,
    terminal: &mut Terminal,
    directory: &ConnectionId,
    typed: Option<&str>,
) -> anyhow::Result<String> {
    let typed = typed.map(|domain| domain.trim().trim_start_matches('@').to_ascii_lowercase());
    match (typed, known(desk, directory).await) {
        (Some(typed), Ok(known)) => {
            if known.iter().any(|domain| domain.name == typed) {
                return Ok(typed);
            }
            bail!("the tenant of {directory} has no domain {typed}; it has: {}. Nothing was changed", names(&known))
        }
        (Some(typed), Err(why)) => {
            terminal.hint(format!("{directory} could not be asked whether it has {typed}: {why}"))?;
            Ok(typed)
        }
        (None, Ok(known)) => suggest(terminal, directory, &known),
        (None, Err(why)) => bail!(
            "{directory} could not be asked for its domains: {why}\nNothing was changed; name one with --domain, such as \
             contoso.onmicrosoft.com"
        ),
    }
}

fn suggest(terminal: &mut Terminal, directory: &ConnectionId, known: &[Domain]) -> anyhow::Result<String> {
    let Some(suggested) = known.iter().find(|domain| domain.is_initial).or_else(|| known.first()) else {
        bail!("{directory} names no domain; nothing was changed");
    };
    let suggested = suggested.name.clone();
    if !terminal.is_interactive() {
        terminal.hint(format!("Accounts are made as …@{suggested}; the tenant has: {}.", names(known)))?;
        return Ok(suggested);
    }
    terminal.hint(format!("The tenant of {directory} has: {}.", names(known)))?;
    let typed = terminal.ask(&format!("Domain for accounts [{suggested}]"))?;
    match typed.expose().trim().to_ascii_lowercase().as_str() {
        "" => Ok(suggested),
        typed if known.iter().any(|domain| domain.name == typed) => Ok(typed.to_owned()),
        typed => bail!("the tenant has no domain {}; nothing was changed", one_line(typed, 80)),
    }
}

async fn known(desk: &Desk, directory: &ConnectionId) -> Result<Vec<Domain>, String> {
    let live = desk.live().await.map_err(|error| format!("{error:#}"))?.known();
    let directory = live.registry.directory(directory).map_err(|error| error.to_string())?;
    let mut domains = directory.domains().await.map_err(|error| to_do(&error))?;
    domains.iter_mut().for_each(|domain| domain.name.make_ascii_lowercase());
    Ok(domains)
}

fn names(known: &[Domain]) -> String {
    let names: Vec<String> = known.iter().take(20).map(|domain| one_line(&domain.name, 80)).collect();
    names.join(", ")
}
