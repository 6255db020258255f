//! The second chapter: the Projects board, credentials in the ticket, more time by a note, ended by the person.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use latchkey_contract::Clock as _;
use latchkey_simulators::graph::Refused;

use super::{
    Account, Secrets, account,
    browser::Browser,
    line_of, request_access,
    said::{EXTEND, STATUS, say},
    teller::Teller,
    told,
};
use crate::{
    sandbox::Sandbox,
    tenant::{TENANT, USER_ADMINISTRATOR},
};

struct Handed {
    note: i64,
    grant: String,
    upn: String,
    password: String,
}

pub(super) async fn play(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    secrets: &mut Secrets,
) -> anyhow::Result<()> {
    let psa = &sandbox.vendors.connectwise;
    let on_projects = |id: &i64| psa.board_of(*id).is_some_and(|board| board.id == psa.projects.id);
    let ticket = psa.msp.ticket_ids().into_iter().find(on_projects).context("there is a ticket on Projects")?;
    let handed = delivered(teller, sandbox, pages, ticket).await?;
    secrets.0.push(handed.password.clone());
    works(teller, sandbox, &handed).await?;
    say(teller, sandbox, pages, (psa, ticket), STATUS).await?;
    longer(teller, sandbox, pages, ticket).await?;
    end_now(teller, sandbox, &handed).await?;
    over(teller, sandbox, ticket, &handed).await
}

async fn delivered(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    ticket: i64,
) -> anyhow::Result<Handed> {
    let psa = &sandbox.vendors.connectwise;
    teller
        .step("Jane sets a Projects ticket to JIT Requested, for an hour", async {
            request_access(pages, ticket, "1 hour").await?;
            Ok(((), format!("ticket {ticket}, JIT Duration 1 hour")))
        })
        .await?;
    teller
        .step("the credentials stand in an internal note, for an hour", async {
            let note = Teller::until(sandbox, "the note", || told(psa, ticket, "access granted").pop()).await?;
            let status = || (psa.status_of(ticket) == Some(psa.projects.active)).then_some(());
            Teller::until(sandbox, "the status JIT Active", status).await?;
            ensure!(note.is_internal, "the note is not internal");
            let line = |label| line_of(&note, label).with_context(|| format!("the note has no {label}"));
            ensure!(note.text.contains("for 1 hour"), "the note names another length");
            let grant = line("Grant ")?.split_whitespace().next().unwrap_or_default().to_owned();
            let handed = Handed { note: note.id, grant, upn: line("User name:")?, password: line("Password:")? };
            let seen = format!("{} and a password, JIT Active", handed.upn);
            Ok((handed, seen))
        })
        .await
}

async fn works(teller: &mut Teller<'_>, sandbox: &Sandbox, handed: &Handed) -> anyhow::Result<()> {
    let directory = &sandbox.vendors.directory;
    teller
        .step("they open the tenant, with exactly the role and the group", async {
            let may = directory.sim.sign_in(TENANT, &handed.upn, &handed.password);
            let may = may.map_err(|why| anyhow::anyhow!("the tenant refuses them: {why:?}"))?;
            ensure!(may.roles == [(USER_ADMINISTRATOR.to_owned(), "/".to_owned())], "the roles are {:?}", may.roles);
            ensure!(may.groups == [directory.group.clone()], "the groups are {:?}", may.groups);
            Ok(((), "User Administrator, Migration Tools".to_owned()))
        })
        .await
}

/// F121: for another half hour, once the tenant has that end.
async fn longer(teller: &mut Teller<'_>, sandbox: &Sandbox, pages: &mut Browser, ticket: i64) -> anyhow::Result<()> {
    let psa = &sandbox.vendors.connectwise;
    let before = role_ends(sandbox).context("the role has an end in the tenant")?;
    say(teller, sandbox, pages, (psa, ticket), EXTEND).await?;
    teller
        .step("the tenant has the later end, and a note says so", async {
            let extended = || told(psa, ticket, "access was extended").pop();
            let note = Teller::until(sandbox, "the note", extended).await?;
            let line = note.text.lines().find(|line| line.contains(" ends at ")).context("the note has no end")?;
            let after = role_ends(sandbox).context("the role has an end in the tenant")?;
            ensure!(note.is_internal && after > before, "the tenant's end was {before} and is {after}");
            Ok(((), line.to_owned()))
        })
        .await
}

/// When the tenant itself takes Jane's role away.
fn role_ends(sandbox: &Sandbox) -> Option<i64> {
    let directory = &sandbox.vendors.directory;
    let held = directory.sim.assignments(TENANT, &account(directory)?.upn);
    held.iter().find(|role| role["roleDefinitionId"] == USER_ADMINISTRATOR)?["end_ms"].as_i64()
}

async fn end_now(teller: &mut Teller<'_>, sandbox: &Sandbox, handed: &Handed) -> anyhow::Result<()> {
    // The code of her last sign-in is used up.
    sandbox.service.advance(Duration::from_secs(30)).await?;
    teller
        .step("Jane presses End now on its page", async {
            let (jane, mut browser) = (&sandbox.jane, Browser::new(&sandbox.service.url())?);
            let page = format!("/claim/{}", handed.grant);
            let entered = browser.sign_in(jane, &jane.code(sandbox.clock.now()), &page).await?;
            ensure!(entered.status == 303, "Jane was not signed in: {}", entered.status);
            let token = browser.get(&page).await?.input("form_token").context("the page has no form")?;
            let pressed = browser.post(&format!("{page}/end"), &[("form_token", &token)]).await?;
            ensure!(pressed.status == 303, "the page answered {}", pressed.status);
            Ok(((), "accepted".to_owned()))
        })
        .await
}

async fn over(teller: &mut Teller<'_>, sandbox: &Sandbox, ticket: i64, handed: &Handed) -> anyhow::Result<()> {
    let (psa, directory) = (&sandbox.vendors.connectwise, &sandbox.vendors.directory);
    teller
        .step("the old password is refused, the account is off", async {
            let is_off = |a: &Account| !a.is_enabled && a.roles.is_empty() && a.groups.is_empty();
            Teller::until_at_the_end(sandbox, "an account that is off", || account(directory).filter(is_off)).await?;
            let refused = directory.sim.sign_in(TENANT, &handed.upn, &handed.password);
            ensure!(refused == Err(Refused::Disabled), "the tenant answers {refused:?}");
            Ok(((), "disabled, stripped, refused".to_owned()))
        })
        .await?;
    teller
        .step("the ticket says why and with what proof, and the credentials are gone from it", async {
            let ended = || told(psa, ticket, "access has ended, proven off").pop();
            let note = Teller::until_at_the_end(sandbox, "the note with the proof", ended).await?;
            ensure!(note.text.contains("ended by the technician"), "the note gives another reason");
            let clean = || {
                let notes = psa.msp.notes(ticket);
                let has_it = notes.iter().any(|n| n["text"].as_str().is_some_and(|t| t.contains(&handed.password)));
                (!has_it && notes.iter().any(|n| n["id"] == handed.note)).then_some(())
            };
            Teller::until_at_the_end(sandbox, "the overwritten note", clean).await?;
            let status = || (psa.status_of(ticket) == Some(psa.projects.done)).then_some(());
            Teller::until_at_the_end(sandbox, "the status JIT Done", status).await?;
            Ok(((), "ended by the technician; the note is overwritten; JIT Done".to_owned()))
        })
        .await
}
