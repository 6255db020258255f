//! The last chapter: a ticket asks, but the callback about it is forged. Nothing may come of it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use latchkey_simulators::{connectwise, graph::What};

use super::{browser::Browser, request_access, teller::Teller};
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
    let psa = &sandbox.vendors.psa;
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
            }
            sandbox.service.ready().await?;
            let after = outside(sandbox, ticket);
            ensure!(before == after && after.notes == 0, "it was {before:?} and is {after:?}");
            ensure!(after.status == Some(psa.help_desk.requested), "the status has changed");
            Ok(((), format!("no note, no status, no account in {} s", LONG_ENOUGH.as_secs())))
        })
        .await?;
    psa.sim.reset_delivery();
    Ok(())
}

fn outside(sandbox: &Sandbox, ticket: i64) -> Outside {
    let (psa, directory) = (&sandbox.vendors.psa, &sandbox.vendors.directory);
    Outside {
        notes: psa.msp.notes(ticket).len(),
        status: psa.status_of(ticket),
        changes: directory.sim.events().iter().filter(|e| e.what != What::TokenIssued).count(),
    }
}

fn statuses(sent: &[connectwise::Delivery]) -> Vec<Option<u16>> {
    sent.iter().map(|d| d.status).collect()
}
