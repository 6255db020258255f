//! The last chapter: a ticket asks, but the callback about it is forged. Nothing may come of it, until
//! the PSA itself speaks.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use latchkey_simulators::{connectwise, graph::What};

use super::{LENGTH, account, browser::Browser, request_access, teller::Teller, told};
use crate::sandbox::Sandbox;

/// How much of the sandbox's time passes before "nothing came of it" is said.
const LONG_ENOUGH: Duration = Duration::from_secs(120);

/// What the outside world looks like: everything that the service could have changed.
#[derive(Debug, PartialEq)]
struct Outside {
    notes: usize,
    status: Option<i64>,
    changes: usize,
}

pub(super) async fn play(teller: &mut Teller<'_>, sandbox: &Sandbox, pages: &mut Browser) -> anyhow::Result<()> {
    let psa = &sandbox.vendors.connectwise;
    let fresh = |id: &i64| psa.msp.notes(*id).is_empty() && psa.board_of(*id).is_some_and(|b| b.id == psa.help_desk.id);
    let ticket = psa.msp.ticket_ids().into_iter().find(fresh).context("there is an untouched ticket")?;
    psa.sim.set_delivery(|rules| rules.signature = connectwise::Signature::Wrong);
    teller
        .step("a callback signed by nobody's key is answered 401", async {
            let already = psa.sim.deliveries().len();
            request_access(pages, ticket, "").await?;
            psa.sim.settled().await;
            let sent = psa.sim.deliveries().split_off(already);
            ensure!(!sent.is_empty(), "no callback was sent");
            ensure!(sent.iter().all(|d| d.status == Some(401)), "the answers are {:?}", statuses(&sent));
            Ok(((), format!("{} callbacks about ticket {ticket}, each 401", sent.len())))
        })
        .await?;
    teller
        .step("and changes nothing", async {
            let before = outside(sandbox, ticket);
            for _ in 0..LONG_ENOUGH.as_secs() / 5 {
                sandbox.service.advance(Duration::from_secs(5)).await?;
                sandbox.service.ready().await?;
            }
            let after = outside(sandbox, ticket);
            ensure!(before == after && after.notes == 0, "it was {before:?} and is {after:?}");
            ensure!(after.status == Some(psa.help_desk.requested), "the status has changed");
            Ok(((), format!("no note, no status, no account in {} s", LONG_ENOUGH.as_secs())))
        })
        .await?;
    psa.sim.reset_delivery();
    heard(teller, sandbox, ticket).await?;
    over(teller, sandbox, ticket).await
}

/// Shows that it was the signature alone that kept the ticket from being heard.
async fn heard(teller: &mut Teller<'_>, sandbox: &Sandbox, ticket: i64) -> anyhow::Result<()> {
    let (psa, directory) = (&sandbox.vendors.connectwise, &sandbox.vendors.directory);
    teller
        .step("the same ticket, saved again and truly signed, is granted", async {
            psa.msp.acting(psa.jane.identifier).touch(ticket)?;
            let status = || (psa.status_of(ticket) == Some(psa.help_desk.active)).then_some(());
            Teller::until(sandbox, "the status JIT Active", status).await?;
            let (received, granted) = (told(psa, ticket, "request received"), told(psa, ticket, "access granted"));
            ensure!(received.len() == 1 && granted.len() == 1, "the ticket was told more than once");
            ensure!(account(directory).is_some_and(|a| a.is_enabled), "the account is not enabled");
            Ok(((), "received once, granted once".to_owned()))
        })
        .await
}

async fn over(teller: &mut Teller<'_>, sandbox: &Sandbox, ticket: i64) -> anyhow::Result<()> {
    let (psa, directory) = (&sandbox.vendors.connectwise, &sandbox.vendors.directory);
    teller
        .step("its time passes, and it is proven off", async {
            sandbox.service.advance(LENGTH).await?;
            let ended = || told(psa, ticket, "access has ended, proven off").pop();
            Teller::until_at_the_end(sandbox, "the note with the proof", ended).await?;
            let now = account(directory).context("the account is there")?;
            ensure!(!now.is_enabled && now.roles.is_empty(), "the account is {now:?}");
            Ok(((), "disabled, stripped, proven off".to_owned()))
        })
        .await
}

fn outside(sandbox: &Sandbox, ticket: i64) -> Outside {
    let (psa, directory) = (&sandbox.vendors.connectwise, &sandbox.vendors.directory);
    Outside {
        notes: psa.msp.notes(ticket).len(),
        status: psa.status_of(ticket),
        changes: directory.sim.events().iter().filter(|e| e.what != What::TokenIssued).count(),
    }
}

fn statuses(sent: &[connectwise::Delivery]) -> Vec<Option<u16>> {
    sent.iter().map(|d| d.status).collect()
}
