//! `latchkey reconcile`: an older copy of the database, and what the directories say.

use anyhow::{Context, bail};
use latchkey_contract::{ConnectionId, directory::Marked, text::one_line};

use super::{Desk, Terminal};
use crate::{
    generation::Counter,
    random::SystemRandom,
    reconcile::{Accepted, Comparison, compare, settle},
    store::{Comparing, LaterHolds, StoreError},
};

const LONGEST: usize = 120;

pub(super) async fn run(
    desk: &Desk,
    terminal: &mut Terminal,
    accept: bool,
    without: &[ConnectionId],
) -> anyhow::Result<()> {
    let restored = desk.store.generation().await?.comparing;
    let now = desk.clock.now();
    let world = desk.live().await?.known();
    let comparing = restored.unwrap_or(Comparing {
        since: now,
        knows_until: None,
        later_holds: LaterHolds::Unknown,
        noted_at: None,
    });
    let comparison = compare(&*desk.store, &world, &comparing, now).await?;
    show(terminal, &comparison, restored.is_some())?;
    if !accept || (restored.is_none() && comparison.missing(&[]).is_none()) {
        return terminal.hint(outlook(&comparison, restored.is_some()));
    }
    if let Some(until) = comparing.calls_until().filter(|until| now < *until) {
        bail!(
            "calls that were under way as the database changed hands may take effect until {until}; nothing was changed, \
             run this again then"
        );
    }
    if let Some(reached) = without.iter().find(|id| !comparison.unreached().any(|unreached| unreached == *id)) {
        bail!(
            "{reached} is no directory that could not be compared; leave --without {reached} off. Nothing was changed"
        );
    }
    let lost: Vec<String> =
        comparison.unreached().filter(|id| !without.contains(id)).map(|id| format!("--without {id}")).collect();
    if !lost.is_empty() {
        bail!(
            "not every directory could be compared, and nothing was changed. Bring them back, or do without them by name: {}",
            lost.join(" ")
        );
    }
    terminal.confirm(question(&comparison, restored.is_some()))?;
    let accepted = Accepted { by: desk.by(), without, restored };
    let counter = Counter::at(&desk.config.generation_file);
    let settled = match settle(&*desk.store, &comparison, &accepted, &counter, &SystemRandom, now).await {
        Err(StoreError::Conflict) => {
            bail!("the database has changed since it was compared; nothing was accepted, run the command again")
        }
        settled => settled.context("whether it was accepted is not known; run the command again")?,
    };
    terminal.say(format!(
        "Accepted. Accounts to be taken away: {}; to be looked at: {}; grants that end: {}.",
        settled.adopted, settled.different, settled.ended
    ))?;
    terminal.hint("A service that runs goes on within a second.")
}

fn show(terminal: &mut Terminal, comparison: &Comparison, is_restored: bool) -> anyhow::Result<()> {
    for place in &comparison.places {
        match &place.found {
            Err(why) => terminal.say(format!("{}\tNOT COMPARED\t{}", place.directory, one_line(why, 300)))?,
            Ok(found) => terminal.say(format!(
                "{}\tcompared\t{} as expected, {} different, {} unknown",
                place.directory,
                found.as_expected,
                found.different.len(),
                found.unknown.len()
            ))?,
        }
    }
    for (place, found) in comparison.found() {
        let line = |what: &str, one: &Marked| {
            let state = if one.is_enabled { "enabled" } else { "disabled" };
            let mark = one.mark.as_ref().map_or("no mark of ours", |mark| mark.as_str());
            let name = one_line(&one.name, LONGEST);
            format!("{what}\t{}\t{}\t{name}\t{state}\t{mark}", place.directory, one.object)
        };
        for one in found.different.iter().filter(|_| is_restored) {
            let (id, name) = (&one.account.id, one_line(&one.account.name, LONGEST));
            terminal.say(format!("different\t{}\t{id}\t{name}\t{}", place.directory, one_line(&one.what, 300)))?;
        }
        for one in &found.unknown {
            terminal.say(line("unknown", one))?;
        }
        for one in &found.strange {
            terminal.say(line("strange", one))?;
        }
    }
    Ok(())
}

fn outlook(comparison: &Comparison, is_restored: bool) -> String {
    match (comparison.missing(&[]), is_restored) {
        (None, true) => "Nothing is missing: a service that runs goes on by itself.".to_owned(),
        (None, false) => "This database is the one in use, and nothing is missing.".to_owned(),
        (Some(missing), true) => {
            format!(
                "An older copy of the database: {missing}. Nothing is given or ended before: latchkey reconcile --accept"
            )
        }
        (Some(missing), false) => format!("{missing}. To take unknown accounts away: latchkey reconcile --accept"),
    }
}

fn question(comparison: &Comparison, is_restored: bool) -> String {
    let unknown: usize = comparison.found().map(|(_, found)| found.unknown.len()).sum();
    let mut parts = Vec::new();
    if unknown > 0 {
        parts.push(format!(
            "{unknown} unknown accounts, listed above by name, are DELETED in their directories. If one of them is not Latchkey's, \
             clear the mark on it first, and run this again."
        ));
    }
    if is_restored && comparison.later_holds != LaterHolds::Kept {
        parts.push(
            "Holds that were set after the backup (blocked people, paused customers, locks) are lost with it: set them \
             again first."
                .to_owned(),
        );
    }
    if is_restored {
        parts.push(
            "Access that a directory does not show as this database gave it ends. Directories that were connected after the \
             backup are not known here. From then on the service gives and ends again."
                .to_owned(),
        );
    }
    let unreached: Vec<&str> = comparison.unreached().map(ConnectionId::as_str).collect();
    if !unreached.is_empty() {
        parts.push(format!(
            "Not compared: {}. What this database takes for living there ends; accounts that were made there after the backup \
             stay until this command finds them.",
            unreached.join(", ")
        ));
    }
    parts.join(" ")
}
