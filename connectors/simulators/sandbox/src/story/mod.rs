//! `--story`: the main job played unattended on the movable clock, with every step looked at from
//! outside: at the PSA, in the tenant, and through the service's own pages.
//!
//! Nothing here sleeps for a fixed time: a step waits until it is seen, or says that it was not.

mod beside;
mod browser;
mod claimed;
mod clicks;
mod delivered;
mod forged;
mod said;
mod teller;

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    sync::Arc,
    time::Duration,
};

use crate::{
    pages::{self, Site},
    psas::{Psa, Told, connectwise},
    sandbox::{Plan, Sandbox},
    tenant::{Directory, TENANT},
};
use anyhow::{Context as _, ensure};
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
    let mut psas = Browser::new(&format!("http://{}", pages.addr))?;
    let mut teller = Teller::new(&sandbox);
    let mut secrets = Secrets::default();
    teller.title("ConnectWise PSA: an account by claim link, with a kill -9 in the middle")?;
    open_the_doors(&mut teller, &sandbox).await?;
    claimed::play(&mut teller, &sandbox, &mut psas, &mut secrets).await?;
    teller.title("ConnectWise PSA: an account in the ticket, asked to last longer, ended by its person")?;
    delivered::play(&mut teller, &sandbox, &mut psas, &mut secrets).await?;
    teller.title("ConnectWise PSA: a callback that it never signed")?;
    forged::play(&mut teller, &sandbox, &mut psas).await?;
    beside::play(&mut teller, &sandbox, &mut psas, &mut secrets).await?;
    close_the_doors(&mut teller, &sandbox, &secrets).await?;
    teller.end()
}

async fn open_the_doors(teller: &mut Teller<'_>, sandbox: &Sandbox) -> anyhow::Result<()> {
    teller
        .step("the service starts, its webhooks are registered at all three PSAs", async {
            sandbox.service.start().await?;
            sandbox.service.ready().await?;
            // The PSA's audit trail counts whole seconds: what is asked in the very second in which the
            // mappings came into force would be older than they are.
            sandbox.service.advance(Duration::from_secs(2)).await?;
            let mut seen = Vec::new();
            for psa in sandbox.psas() {
                let (names, hooks) = (psa.names(), psa.hooks());
                let ours = format!("{}/hooks/{}/", sandbox.service.url(), names.connection);
                // ConnectWise tells of one board by one callback.
                let needed = if names.kind == "connectwise" { 2 } else { 1 };
                let is_right = hooks.len() == needed && hooks.iter().all(|hook| hook.starts_with(&ours));
                ensure!(is_right, "{} of them at {}", hooks.len(), names.product);
                seen.push(format!("{needed} at {}", names.product));
            }
            Ok(((), format!("/livez answers; {}", seen.join(", "))))
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
            let hooks: Vec<String> = sandbox.psas().into_iter().flat_map(Psa::hooks).collect();
            let paths = hooks.iter().filter_map(|hook| hook.rsplit('/').next()?.split('?').next());
            let set: Vec<_> = sandbox.psas().into_iter().flat_map(|psa| psa.connected().secrets).collect();
            let set = set.iter().map(|(_, value)| value.as_str());
            for secret in secrets.0.iter().map(String::as_str).chain(paths).chain(set) {
                ensure!(!log.contains(secret), "a secret of {} characters stands in the log", secret.len());
            }
            Ok(((), format!("{} lines searched for {} passwords", log.lines().count(), secrets.0.len())))
        })
        .await
}

/// Saves a ticket on the PSA's page with the length and the status that asks, as Jane would.
async fn request_access(pages: &mut Browser, ticket: i64, length: &str) -> anyhow::Result<()> {
    let form = [("length", length), ("status", connectwise::REQUESTED)];
    press(pages, &format!("/connectwise/tickets/{ticket}/save"), &form).await
}

/// Presses a button of a PSA's page.
async fn press(pages: &mut Browser, button: &str, form: &[(&str, &str)]) -> anyhow::Result<()> {
    let pressed = pages.post(button, form).await?;
    ensure!(pressed.status == 303, "the page answered {}", pressed.status);
    Ok(())
}

/// A ticket's notes that begin with `Latchkey: ` and `opening`, oldest first.
fn told(psa: &dyn Psa, ticket: i64, opening: &str) -> Vec<Told> {
    let opening = format!("Latchkey: {opening}");
    psa.told(ticket).into_iter().filter(|note| note.text.starts_with(&opening)).collect()
}

/// The rest of the first line of a note that begins with `label`.
fn line_of(note: &Told, label: &str) -> Option<String> {
    note.text.lines().find_map(|line| line.strip_prefix(label)).map(|rest| rest.trim().to_owned())
}

/// The first page address in a note.
fn link_of(note: &Told) -> Option<String> {
    note.text.split_whitespace().find(|word| word.starts_with("http://")).map(str::to_owned)
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
