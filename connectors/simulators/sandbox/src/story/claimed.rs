//! The first chapter: the Help Desk board, credentials by claim link, a kill in the middle, and the end on time.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use latchkey_contract::Clock as _;
use latchkey_simulators::{
    connectwise::SIGNATURE_HEADER,
    fault::{Act, Fault},
    graph::{EffectiveRoles, Refused},
};
use serde_json::Value;

use super::{Account, LENGTH, Secrets, account, browser::Browser, link_of, request_access, teller::Teller, told};
use crate::{
    sandbox::{DemoPerson, Sandbox},
    tenant::{EXCHANGE_ADMINISTRATOR, TENANT},
};

/// Where notes are made.
const POST_NOTE: &str = "POST /service/tickets/{id}/notes";

/// How long the PSA sits on the note that the service is killed over: longer than the story waits,
/// shorter than the service does.
const SITS_ON_IT: u64 = 12_000;

/// A code is good once; the next one comes after this.
const NEXT_CODE: Duration = Duration::from_secs(30);

pub(super) async fn play(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    pages: &mut Browser,
    secrets: &mut Secrets,
) -> anyhow::Result<()> {
    let ticket = sandbox.vendors.connectwise.msp.ticket_ids().into_iter().next().context("the PSA has a ticket")?;
    ask(teller, sandbox, pages, ticket).await?;
    kill_in_the_middle(teller, sandbox, ticket).await?;
    let link = granted(teller, sandbox, ticket).await?;
    let page = link.strip_prefix(&sandbox.service.url()).context("the link leads to the service")?;
    let found = claim(teller, sandbox, page).await?;
    secrets.0.push(found.password.clone());
    nobody_else(teller, sandbox, page, &found).await?;
    let session = worth(teller, sandbox, &found).await?;
    ends_on_time(teller, sandbox, ticket, &found, &session).await
}

struct Credentials {
    upn: String,
    password: String,
}

async fn ask(teller: &mut Teller<'_>, sandbox: &Sandbox, pages: &mut Browser, ticket: i64) -> anyhow::Result<()> {
    let (psa, directory) = (&sandbox.vendors.connectwise, &sandbox.vendors.directory);
    let told_late = |body: &Value| body["text"].as_str().is_some_and(|text| text.contains("access granted"));
    psa.sim.faults().add(Fault::when(
        move |call| call.op == POST_NOTE && call.body_json.as_ref().is_some_and(told_late),
        Act::Delay(SITS_ON_IT),
    ));
    teller
        .step("Jane sets a Help Desk ticket to JIT Requested", async {
            request_access(pages, ticket, "").await?;
            ensure!(psa.status_of(ticket) == Some(psa.help_desk.requested), "the status has not changed");
            Ok(((), format!("ticket {ticket} is in JIT Requested")))
        })
        .await?;
    teller
        .step("the PSA's signed callback is answered 202", async {
            let sent = || psa.sim.deliveries().into_iter().rfind(|d| d.ticket == ticket && d.status.is_some());
            let sent = Teller::until(sandbox, "an answered callback", sent).await?;
            ensure!(sent.status == Some(202), "the service answered {:?}", sent.status);
            let signature = sent.signature.context("the callback carries no signature")?;
            ensure!(signature == psa.msp.sign(&sent.body), "the signature is not the PSA's");
            Ok(((), format!("{SIGNATURE_HEADER} verifies with the PSA's key, 202")))
        })
        .await?;
    teller
        .step("the ticket says that the request was received", async {
            let note = Teller::until(sandbox, "the note", || told(psa, ticket, "request received").pop()).await?;
            ensure!(note.is_internal, "the note is not internal");
            Ok(((), "internal note".to_owned()))
        })
        .await?;
    teller
        .step("the account is made, enabled, and has its role", async {
            let ready = |a: &Account| a.is_enabled && a.roles == [EXCHANGE_ADMINISTRATOR];
            let made = || account(directory).filter(ready);
            let made = Teller::until(sandbox, "an enabled account with the role", made).await?;
            Ok(((), format!("{}: Exchange Administrator", made.upn)))
        })
        .await
}

async fn kill_in_the_middle(teller: &mut Teller<'_>, sandbox: &Sandbox, ticket: i64) -> anyhow::Result<()> {
    let psa = &sandbox.vendors.connectwise;
    teller
        .step("kill -9, while the note with the link is on its way", async {
            let on_its_way = || {
                let calls = psa.sim.faults().calls();
                let told_twice = calls.iter().filter(|call| call.op == POST_NOTE).count() == 2;
                let waits = calls.iter().any(|call| call.op == POST_NOTE && call.status.is_none());
                (told_twice && waits).then_some(())
            };
            Teller::until(sandbox, "the call that makes the note", on_its_way).await?;
            sandbox.service.kill().await?;
            ensure!(!sandbox.service.is_running().await, "the service lives");
            ensure!(told(psa, ticket, "access granted").is_empty(), "the ticket was told already");
            psa.sim.faults().clear();
            Ok(((), "the account stands, the ticket does not know, nobody is there".to_owned()))
        })
        .await?;
    teller
        .step("the service is started again", async {
            sandbox.service.start().await?;
            sandbox.service.ready().await?;
            Ok(((), "/livez answers".to_owned()))
        })
        .await
}

async fn granted(teller: &mut Teller<'_>, sandbox: &Sandbox, ticket: i64) -> anyhow::Result<String> {
    let psa = &sandbox.vendors.connectwise;
    teller
        .step("the ticket has the note with the claim link, and its status", async {
            let note = Teller::until(sandbox, "the note", || told(psa, ticket, "access granted").pop()).await?;
            let status = || (psa.status_of(ticket) == Some(psa.help_desk.active)).then_some(());
            Teller::until(sandbox, "the status JIT Active", status).await?;
            ensure!(note.is_internal, "the note is not internal");
            ensure!(told(psa, ticket, "access granted").len() == 1, "the ticket was told twice");
            let link = link_of(&note).context("the note has no link")?;
            ensure!(link.starts_with(&format!("{}/claim/", sandbox.service.url())), "the link is {link}");
            let seen = format!("one note with {link}, JIT Active");
            Ok((link, seen))
        })
        .await
}

async fn claim(teller: &mut Teller<'_>, sandbox: &Sandbox, page: &str) -> anyhow::Result<Credentials> {
    let (jane, mut browser) = (&sandbox.jane, Browser::new(&sandbox.service.url())?);
    let (code, before) = teller
        .step("Jane opens the link, signs in with a code, and sees no secret yet", async {
            let shut = browser.get(page).await?;
            let to_sign_in = shut.location.is_some_and(|to| to.starts_with("/sign-in"));
            ensure!(shut.status == 303 && to_sign_in, "the page is open to everybody");
            let code = jane.code(sandbox.clock.now());
            signed_in(&mut browser, jane, &code, page).await?;
            let shown = browser.get(page).await?;
            ensure!(shown.status == 200, "the claim page answered {}", shown.status);
            ensure!(shown.outputs().is_empty(), "GET shows something secret");
            Ok(((code, shown), "the page, without credentials".to_owned()))
        })
        .await?;
    let token = before.input("form_token").context("the claim page has no form")?;
    let reveal = format!("{page}/reveal");
    teller
        .step("the code she signed in with reveals nothing", async {
            let shown = browser.post(&reveal, &[("form_token", &token), ("code", &code)]).await?;
            ensure!(shown.outputs().is_empty(), "a used code reveals the credentials");
            Ok(((), format!("{}, no credentials", shown.status)))
        })
        .await?;
    sandbox.service.advance(NEXT_CODE).await?;
    teller
        .step("a fresh code reveals the credentials", async {
            let code = jane.code(sandbox.clock.now());
            let shown = browser.post(&reveal, &[("form_token", &token), ("code", &code)]).await?;
            let outputs: [String; 2] = shown.outputs().try_into().ok().context("no credentials on the page")?;
            let [upn, password] = outputs;
            ensure!(!before.html.contains(&password), "the password stood on the page before");
            let seen = format!("{upn} and a password of {} characters", password.chars().count());
            Ok((Credentials { upn, password }, seen))
        })
        .await
}

async fn signed_in(browser: &mut Browser, who: &DemoPerson, code: &str, next: &str) -> anyhow::Result<()> {
    let entered = browser.sign_in(who, code, next).await?;
    ensure!(entered.status == 303, "{} was not signed in: {}", who.id(), entered.status);
    ensure!(entered.location.as_deref() == Some(next), "after signing in one goes to {:?}", entered.location);
    Ok(())
}

async fn nobody_else(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    page: &str,
    found: &Credentials,
) -> anyhow::Result<()> {
    teller
        .step("Max Smith, signed in with the same link, sees nothing", async {
            let (max, mut browser) = (&sandbox.max, Browser::new(&sandbox.service.url())?);
            signed_in(&mut browser, max, &max.code(sandbox.clock.now()), page).await?;
            let shown = browser.get(page).await?;
            ensure!(shown.status == 404, "the claim page answered {}", shown.status);
            let own = browser.get("/").await?;
            let id = page.rsplit('/').next().unwrap_or(page);
            ensure!(!shown.html.contains(&found.upn) && !own.html.contains(id), "Max sees Jane's access");
            let token = own.input("form_token").context("Max's page has no form")?;
            sandbox.service.advance(NEXT_CODE).await?;
            let code = max.code(sandbox.clock.now());
            let reveal = browser.post(&format!("{page}/reveal"), &[("form_token", &token), ("code", &code)]).await?;
            ensure!(reveal.status == 404 && reveal.outputs().is_empty(), "revealing answered {}", reveal.status);
            Ok(((), "404 to looking and to revealing, not in his list".to_owned()))
        })
        .await
}

async fn worth(teller: &mut Teller<'_>, sandbox: &Sandbox, found: &Credentials) -> anyhow::Result<EffectiveRoles> {
    let directory = &sandbox.vendors.directory;
    teller
        .step("the credentials open the tenant, with exactly the role", async {
            let may = directory.sim.sign_in(TENANT, &found.upn, &found.password);
            let may = may.map_err(|why| anyhow::anyhow!("the tenant refuses them: {why:?}"))?;
            ensure!(
                may.roles == [(EXCHANGE_ADMINISTRATOR.to_owned(), "/".to_owned())],
                "the roles are {:?}",
                may.roles
            );
            ensure!(may.groups.is_empty(), "the groups are {:?}", may.groups);
            ensure!(!may.must_change_password, "a new password is asked for");
            Ok((may, "Exchange Administrator and nothing else".to_owned()))
        })
        .await
}

async fn ends_on_time(
    teller: &mut Teller<'_>,
    sandbox: &Sandbox,
    ticket: i64,
    found: &Credentials,
    session: &EffectiveRoles,
) -> anyhow::Result<()> {
    let (psa, directory) = (&sandbox.vendors.connectwise, &sandbox.vendors.directory);
    let before = account(directory).context("the account is there")?.password_changed;
    teller
        .step("time moves to the end", async {
            sandbox.service.advance(LENGTH).await?;
            Ok(((), "5 minutes later".to_owned()))
        })
        .await?;
    teller
        .step("the account is disabled, stripped, and has a new password", async {
            let is_off = |a: &Account| {
                !a.is_enabled && a.roles.is_empty() && a.groups.is_empty() && a.password_changed != before
            };
            let off = || account(directory).filter(is_off);
            let off = Teller::until_at_the_end(sandbox, "an account that is off", off).await?;
            Ok(((), format!("no role, no group, password changed {}", off.password_changed)))
        })
        .await?;
    teller
        .step("neither the password nor the open session is let in", async {
            let refused = directory.sim.sign_in(TENANT, &found.upn, &found.password);
            ensure!(refused == Err(Refused::Disabled), "the tenant answers {refused:?}");
            let session = directory.sim.use_session(&session.session);
            ensure!(session == Err(Refused::Disabled), "the session is answered {session:?}");
            Ok(((), "both refused".to_owned()))
        })
        .await?;
    teller
        .step("the ticket says that it has ended, with proof, and its status is set", async {
            let ended = || told(psa, ticket, "access has ended, proven off").pop();
            let note = Teller::until_at_the_end(sandbox, "the note with the proof", ended).await?;
            let status = || (psa.status_of(ticket) == Some(psa.help_desk.done)).then_some(());
            Teller::until_at_the_end(sandbox, "the status JIT Done", status).await?;
            let facts = note.text.lines().filter(|l| l.starts_with("- ")).count();
            ensure!(facts > 0, "the note has no proof");
            Ok(((), format!("internal note with {facts} facts, JIT Done")))
        })
        .await
}
