//! The chapters of the PSAs beside ConnectWise: asked in each vendor's own way, ended on time, and by a note; and access
//! that ends because its ticket was completed.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use latchkey_contract::Clock as _;
use latchkey_simulators::graph::Refused;

use super::{
    Account, LENGTH, Secrets, account,
    browser::Browser,
    clicks::{Click, by_button, by_field, by_status},
    line_of, press,
    said::{END, STATUS, say},
    teller::Teller,
    told,
};
use crate::{
    psas::Standing,
    sandbox::Sandbox,
    tenant::{EXCHANGE_ADMINISTRATOR, TENANT, USER_ADMINISTRATOR},
};

/// From the note to the end, where a mapping says nothing else.
const GRACE: Duration = Duration::from_secs(5 * 60);

struct Handed {
    upn: String,
    password: String,
    /// When the tenant last saw it set.
    password_changed: String,
}

pub(super) async fn play(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    secrets: &mut Secrets,
) -> anyhow::Result<()> {
    teller.title("Autotask PSA: a user-defined field asks, and the access ends on time")?;
    on_time(teller, sandbox, pages, secrets, &by_field(sandbox)?).await?;
    teller.title("HaloPSA: an action's button asks, and a note ends the access")?;
    by_note(teller, sandbox, pages, secrets, &by_button(sandbox)?).await?;
    teller.title("Autotask PSA: a status asks, and the access ends because the ticket was completed")?;
    with_its_ticket(teller, sandbox, pages, &by_status(sandbox)?).await
}

async fn on_time(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    secrets: &mut Secrets,
    click: &Click<'_>,
) -> anyhow::Result<()> {
    let handed = has(teller, sandbox, pages, secrets, click).await?;
    teller
        .step("time moves to the end", async {
            sandbox.service.advance(LENGTH).await?;
            Ok(((), "5 minutes later".to_owned()))
        })
        .await?;
    gone(teller, sandbox, click, &handed, "its time was over").await
}

/// F18: asked how it stands, and ended, by notes of the ticket.
async fn by_note(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    secrets: &mut Secrets,
    click: &Click<'_>,
) -> anyhow::Result<()> {
    let handed = has(teller, sandbox, pages, secrets, click).await?;
    say(teller, sandbox, pages, (click.psa, click.ticket), STATUS).await?;
    say(teller, sandbox, pages, (click.psa, click.ticket), END).await?;
    gone(teller, sandbox, click, &handed, "ended by the technician").await
}

/// She asks, and is given it in the ticket.
async fn has(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    secrets: &mut Secrets,
    click: &Click<'_>,
) -> anyhow::Result<Handed> {
    ask(teller, sandbox, pages, click).await?;
    made(teller, sandbox, &[USER_ADMINISTRATOR], "User Administrator, Migration Tools").await?;
    let handed = handed_over(teller, sandbox, click).await?;
    secrets.0.push(handed.password.clone());
    works(teller, sandbox, &handed).await?;
    Ok(handed)
}

/// It is over: in the tenant, and in the ticket, which says why.
async fn gone(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    click: &Click<'_>,
    handed: &Handed,
    why: &str,
) -> anyhow::Result<()> {
    off(teller, sandbox, &handed.password_changed).await?;
    teller
        .step("the old password is refused", async {
            let refused = sandbox.vendors.directory.sim.sign_in(TENANT, &handed.upn, &handed.password);
            ensure!(refused == Err(Refused::Disabled), "the tenant answers {refused:?}");
            Ok(((), "the account is disabled".to_owned()))
        })
        .await?;
    proven(teller, sandbox, click, why).await?;
    let psa = click.psa;
    teller
        .step("the credentials are gone from the ticket, and its status is set", async {
            let is_clean = || psa.told(click.ticket).iter().all(|note| !note.text.contains(&handed.password));
            Teller::until_at_the_end(sandbox, "the overwritten note", || is_clean().then_some(())).await?;
            let is_done = || (psa.standing(click.ticket) == Some(Standing::Done)).then_some(());
            Teller::until_at_the_end(sandbox, "the status of the end", is_done).await?;
            ensure!(psa.told(click.ticket).iter().all(|note| note.is_internal), "a customer sees one of the notes");
            Ok(((), "the note is overwritten; JIT Done; the customer saw none of it".to_owned()))
        })
        .await
}

async fn ask(teller: &mut Teller<'_>, sandbox: &Sandbox, pages: &mut Browser, click: &Click<'_>) -> anyhow::Result<()> {
    let Click { psa, ticket, says, button, form, is_so } = click;
    teller
        .step(says, async {
            let form: Vec<(&str, &str)> = form.iter().map(|(name, value)| (*name, value.as_str())).collect();
            press(pages, &format!("/{}/tickets/{ticket}/{button}", psa.names().kind), &form).await?;
            ensure!(is_so(), "the ticket is not as she left it");
            Ok(((), format!("ticket {ticket}")))
        })
        .await?;
    teller
        .step("the PSA's message is proven, and answered 202", async {
            let answered = Teller::until(sandbox, "an answered message", || psa.answered(*ticket)).await?;
            ensure!(answered.status == 202, "the service answered {}", answered.status);
            let proof = answered.proof.context("the message was not proven as it should be")?;
            Ok(((), format!("{proof}, 202")))
        })
        .await?;
    teller
        .step("the ticket says that the request was received", async {
            let note = Teller::until(sandbox, "the note", || told(*psa, *ticket, "request received").pop()).await?;
            ensure!(note.is_internal, "the note is not internal");
            Ok(((), "internal note".to_owned()))
        })
        .await
}

async fn made(teller: &mut Teller<'_>, sandbox: &Sandbox, roles: &[&str], what: &str) -> anyhow::Result<()> {
    let directory = &sandbox.vendors.directory;
    teller
        .step("the account is enabled, and has what the policy gives", async {
            let ready = |a: &Account| a.is_enabled && a.roles == roles;
            let made = || account(directory).filter(ready);
            let made = Teller::until(sandbox, "an enabled account with its role", made).await?;
            Ok(((), format!("{}: {what}", made.upn)))
        })
        .await
}

async fn handed_over(teller: &mut Teller<'_>, sandbox: &Sandbox, click: &Click<'_>) -> anyhow::Result<Handed> {
    let (psa, ticket) = (click.psa, click.ticket);
    teller
        .step("the credentials stand in an internal note, and its status is set", async {
            let note = Teller::until(sandbox, "the note", || told(psa, ticket, "access granted").pop()).await?;
            let is_active = || (psa.standing(ticket) == Some(Standing::Active)).then_some(());
            Teller::until(sandbox, "the status JIT Active", is_active).await?;
            ensure!(note.is_internal, "the note is not internal");
            let line = |label| line_of(&note, label).with_context(|| format!("the note has no {label}"));
            let password_changed =
                account(&sandbox.vendors.directory).context("the account is there")?.password_changed;
            let handed = Handed { upn: line("User name:")?, password: line("Password:")?, password_changed };
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

async fn off(teller: &mut Teller<'_>, sandbox: &Sandbox, password_before: &str) -> anyhow::Result<()> {
    let directory = &sandbox.vendors.directory;
    teller
        .step("the account is disabled, stripped, and has a new password", async {
            let is_off = |a: &Account| {
                !a.is_enabled && a.roles.is_empty() && a.groups.is_empty() && a.password_changed != password_before
            };
            let off = || account(directory).filter(is_off);
            let off = Teller::until_at_the_end(sandbox, "an account that is off", off).await?;
            Ok(((), format!("no role, no group, password changed {}", off.password_changed)))
        })
        .await
}

async fn proven(teller: &mut Teller<'_>, sandbox: &Sandbox, click: &Click<'_>, why: &str) -> anyhow::Result<()> {
    let (psa, ticket) = (click.psa, click.ticket);
    teller
        .step("the ticket says that it has ended, why, and with what proof", async {
            let ended = || told(psa, ticket, "access has ended, proven off").pop();
            let note = Teller::until_at_the_end(sandbox, "the note with the proof", ended).await?;
            let given = line_of(&note, "Why:").context("the note gives no reason")?;
            ensure!(given.contains(why), "the note gives another reason: {given}");
            let facts = note.text.lines().filter(|line| line.starts_with("- ")).count();
            ensure!(facts > 0 && note.is_internal, "the note has no proof, or customers see it");
            Ok(((), format!("internal note with {facts} facts: {given}")))
        })
        .await
}

/// F11: completed after a minute of eight hours.
async fn with_its_ticket(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    click: &Click<'_>,
) -> anyhow::Result<()> {
    let (psa, ticket) = (click.psa, click.ticket);
    ask(teller, sandbox, pages, click).await?;
    made(teller, sandbox, &[EXCHANGE_ADMINISTRATOR], "Exchange Administrator").await?;
    teller
        .step("the ticket has the note with the claim link, and its status", async {
            let note = Teller::until(sandbox, "the note", || told(psa, ticket, "access granted").pop()).await?;
            let is_active = || (psa.standing(ticket) == Some(Standing::Active)).then_some(());
            Teller::until(sandbox, "the status JIT Active", is_active).await?;
            ensure!(note.is_internal && note.text.contains("for 8 hours"), "the note names another length");
            Ok(((), "for 8 hours, JIT Active".to_owned()))
        })
        .await?;
    say(teller, sandbox, pages, (psa, ticket), STATUS).await?;
    let before = account(&sandbox.vendors.directory).context("the account is there")?.password_changed;
    let completed = sandbox.clock.now();
    teller
        .step("Jane presses Complete, and is told that the access ends soon", async {
            press(pages, &format!("/{}/tickets/{ticket}/complete", psa.names().kind), &[]).await?;
            let soon = || told(psa, ticket, "access ends soon").pop();
            let note = Teller::until(sandbox, "the note", soon).await?;
            ensure!(note.is_internal && note.text.contains("because the ticket was closed"), "it gives another reason");
            ensure!(account(&sandbox.vendors.directory).is_some_and(|a| a.is_enabled), "it has ended already");
            Ok(((), "in five minutes, because the ticket was closed".to_owned()))
        })
        .await?;
    teller
        .step("the grace passes", async {
            sandbox.service.advance(GRACE).await?;
            Ok(((), "5 minutes later".to_owned()))
        })
        .await?;
    off(teller, sandbox, &before).await?;
    proven(teller, sandbox, click, "the ticket was closed").await?;
    teller
        .step("and that was hours before its time", async {
            let passed = sandbox.clock.now().since(completed);
            ensure!(passed < Duration::from_secs(3600), "{} minutes have passed", passed.as_secs() / 60);
            Ok(((), format!("{} minutes after the click on Complete", passed.as_secs() / 60)))
        })
        .await
}
