//! `--story`: the main job played unattended on the movable clock, with every step looked at from
//! outside: at the PSA, in the tenant, and through the service's own pages.
//!
//! Nothing here sleeps for a fixed time: a step waits until it is seen, or says that it was not.

mod browser;
mod claimed;
mod delivered;
mod forged;
mod teller;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use serde_json::Value;

use crate::{
    pages::{self, Site},
    psa::Psa,
    sandbox::{Plan, Sandbox},
    tenant::{Directory, TENANT},
};
use browser::Browser;
use teller::Teller;

/// How long the policies give access when the ticket names no length.
const LENGTH: Duration = Duration::from_secs(5 * 60);

/// What the chapters leave behind for the last look.
#[derive(Debug, Default)]
struct Secrets(Vec<String>);

/// Plays the whole story; the error names the first step that did not happen.
pub(crate) async fn play(data: Option<&Path>) -> anyhow::Result<()> {
    let sandbox = Arc::new(Sandbox::set_up(data, &Plan::default()).await?);
    let pages = pages::serve(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)), Site::Whole(sandbox.clone())).await?;
    let mut psa_pages = Browser::new(&format!("http://{}", pages.addr))?;
    let mut teller = Teller::new(&sandbox);
    let mut secrets = Secrets::default();
    teller.title("An account by claim link, with a kill -9 in the middle")?;
    open_the_doors(&mut teller, &sandbox).await?;
    claimed::play(&mut teller, &sandbox, &mut psa_pages, &mut secrets).await?;
    teller.title("An account in the ticket, ended by its person")?;
    delivered::play(&mut teller, &sandbox, &mut psa_pages, &mut secrets).await?;
    teller.title("A callback that the PSA never signed")?;
    forged::play(&mut teller, &sandbox, &mut psa_pages).await?;
    close_the_doors(&mut teller, &sandbox, &secrets).await?;
    teller.end()
}

async fn open_the_doors(teller: &mut Teller<'_>, sandbox: &Sandbox) -> anyhow::Result<()> {
    teller
        .step("the service starts, its webhooks are registered at the PSA", async {
            sandbox.service.start().await?;
            sandbox.service.ready().await?;
            // The PSA's audit trail counts whole seconds: what is asked in the very second in which the
            // mappings came into force would be older than they are.
            sandbox.service.advance(Duration::from_secs(2)).await?;
            let callbacks = sandbox.vendors.psa.msp.callbacks();
            let ours = format!("{}/hooks/", sandbox.service.url());
            let active = callbacks.iter().filter(|c| c["inactiveFlag"] == false);
            let boards: Vec<_> = active
                .filter(|c| c["url"].as_str().is_some_and(|url| url.starts_with(&ours)))
                .map(|c| c["objectId"].as_i64().unwrap_or_default())
                .collect();
            let psa = &sandbox.vendors.psa;
            ensure!(boards == [psa.help_desk.id, psa.projects.id], "the callbacks are {callbacks:?}");
            Ok(((), format!("/livez answers; callbacks for boards {boards:?}")))
        })
        .await
}

async fn close_the_doors(teller: &mut Teller<'_>, sandbox: &Sandbox, secrets: &Secrets) -> anyhow::Result<()> {
    teller
        .step("the service drains and ends well", async {
            sandbox.service.stop().await?;
            Ok(((), "exit status 0".to_owned()))
        })
        .await?;
    teller
        .step("no secret stands in its log", async {
            let log = std::fs::read_to_string(sandbox.service.log()).context("the log cannot be read")?;
            let hooks = sandbox.vendors.psa.msp.callbacks();
            let paths = hooks.iter().filter_map(|c| c["url"].as_str()?.rsplit('/').next()?.split('?').next());
            for secret in secrets.0.iter().map(String::as_str).chain(paths) {
                ensure!(!log.contains(secret), "a secret of {} characters stands in the log", secret.len());
            }
            Ok(((), format!("{} lines searched for {} passwords", log.lines().count(), secrets.0.len())))
        })
        .await
}

/// Presses *Request access* on the PSA's page, as Jane would.
async fn request_access(pages: &mut Browser, ticket: i64, length: &str) -> anyhow::Result<()> {
    let pressed = pages.post(&format!("/psa/tickets/{ticket}/request"), &[("length", length)]).await?;
    ensure!(pressed.status == 303, "the page answered {}", pressed.status);
    Ok(())
}

/// The texts of a ticket's notes that begin with `Latchkey: ` and `opening`, oldest first.
fn told(psa: &Psa, ticket: i64, opening: &str) -> Vec<Value> {
    let opening = format!("Latchkey: {opening}");
    let notes = psa.msp.notes(ticket).into_iter();
    notes.filter(|n| n["text"].as_str().is_some_and(|text| text.starts_with(&opening))).collect()
}

/// The rest of the first line of a note that begins with `label`.
fn line_of(note: &Value, label: &str) -> Option<String> {
    let text = note["text"].as_str()?;
    text.lines().find_map(|line| line.strip_prefix(label)).map(|rest| rest.trim().to_owned())
}

/// The first page address in a note.
fn link_of(note: &Value) -> Option<String> {
    let text = note["text"].as_str()?;
    text.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
}

/// Jane's account in the tenant as it is now.
#[derive(Debug)]
struct Account {
    upn: String,
    is_enabled: bool,
    roles: Vec<String>,
    groups: Vec<String>,
    password_changed: String,
}

/// The one account that the service has made; `None` when there is none.
fn account(directory: &Directory) -> Option<Account> {
    let users = directory.sim.users(TENANT);
    let user = users.iter().find(|u| u["userPrincipalName"].as_str().is_some_and(|upn| upn.starts_with("jit-")))?;
    let text = |name: &str| user[name].as_str().unwrap_or_default().to_owned();
    let held = directory.sim.assignments(TENANT, &text("id"));
    Some(Account {
        upn: text("userPrincipalName"),
        is_enabled: user["accountEnabled"] == true,
        roles: held.iter().filter_map(|r| r["roleDefinitionId"].as_str()).map(str::to_owned).collect(),
        groups: directory.sim.groups_of(TENANT, &text("id")),
        password_changed: text("lastPasswordChangeDateTime"),
    })
}
