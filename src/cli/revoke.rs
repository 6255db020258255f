//! `latchkey end`, `revoke` and `lock`: taking away now, and nothing new until an owner says so.

pub(super) mod lock;

use std::{collections::BTreeMap, time::Duration};

use anyhow::{Context, bail};
use clap::Args;
use latchkey_contract::{ConnectionId, CustomerId, GrantId, PersonId, text::one_line};

use super::{Desk, Terminal, desk::explain, grants};
use crate::{
    access::{Grant, State},
    rulebook::{Hold, HoldCause, HoldOn},
    store::{Scope, StoreError},
};

/// Between two looks at what is left.
const LOOK: Duration = Duration::from_millis(250);

/// How often what is left is said, while nothing of it moves.
const STILL: Duration = Duration::from_secs(15);

/// How many grants are looked at in one page.
const PAGE: u32 = 1000;

/// Grants that are shown by name while they are waited for.
const SHOWN: usize = 20;

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Target {
    /// Everything.
    #[arg(long)]
    all: bool,
    /// All access at this customer.
    #[arg(long)]
    customer: Option<CustomerId>,
    /// All access of this person.
    #[arg(long)]
    person: Option<PersonId>,
    /// This grant alone. Nothing is locked: the same ticket can ask again.
    #[arg(long)]
    grant: Option<GrantId>,
}

pub(super) async fn end(desk: &Desk, terminal: &mut Terminal, id: &GrantId, reason: &str) -> anyhow::Result<()> {
    found(desk, id).await?;
    let work = desk.work().await?;
    let by = desk.operator.to_string();
    let ended = work.jobs.end_by_operator(id, &by, reason).await;
    ended.with_context(|| format!("grant {id} was not ended"))?;
    terminal.say(format!("{id} is being taken away; its ticket is told when it is seen to be off."))?;
    desk.hint_at_rest(terminal)
}

pub(super) async fn revoke(
    desk: &Desk,
    terminal: &mut Terminal,
    target: Target,
    reason: &str,
    minutes: u32,
) -> anyhow::Result<()> {
    let on = match target {
        Target { grant: Some(id), .. } => return one(desk, terminal, id, reason, minutes).await,
        Target { customer: Some(id), .. } => HoldOn::Customer(id),
        Target { person: Some(id), .. } => HoldOn::Person(id),
        Target { all: true, .. } => HoldOn::Everything,
        Target { .. } => bail!("say what to revoke: --all, --customer, --person or --grant"),
    };
    let scope = scope(desk, &on).await?;
    terminal.confirm(format!(
        "All access ({on}) is taken away now, and nothing is given there until an owner lifts the lock."
    ))?;
    lock(desk, &on, reason).await?;
    terminal.say(format!("Locked: {on}. Nothing new is given there."))?;
    gone(desk, terminal, &scope, minutes).await?;
    let lift = on.to_string();
    terminal.hint(format!("The lock stays. An owner lifts it with: latchkey lock lift {lift} --as PERSON"))
}

/// What is not in the records has nothing, and is more likely a mistyped name.
async fn scope(desk: &Desk, on: &HoldOn) -> anyhow::Result<Scope> {
    let scope = match on {
        HoldOn::Everything => Scope::Everything,
        HoldOn::Customer(id) => Scope::Customer(id.clone()),
        HoldOn::Person(id) => Scope::Person(id.clone()),
    };
    if !grants::is_known(desk, &scope).await? {
        bail!("{on} is neither in the records nor has it any grant; nothing was changed");
    }
    Ok(scope)
}

async fn lock(desk: &Desk, on: &HoldOn, reason: &str) -> anyhow::Result<()> {
    let hold = Hold {
        on: on.clone(),
        cause: HoldCause::Panic,
        since: desk.clock.now(),
        by: desk.by().to_string(),
        reason: one_line(reason, 200),
    };
    desk.store.set_hold(&hold).await.map_err(explain)?;
    // Whoever decides from a copy of the rules takes the new ones now; the database refuses the others.
    if let Some(jobs) = desk.jobs() {
        jobs.live.current().await;
    }
    Ok(())
}

async fn one(desk: &Desk, terminal: &mut Terminal, id: GrantId, reason: &str, minutes: u32) -> anyhow::Result<()> {
    let grant = found(desk, &id).await?;
    if grant.state.is_final() {
        return terminal.say(grants::line(&grant));
    }
    let work = desk.work().await?;
    if !matches!(grant.state, State::Ending { .. }) {
        let by = desk.operator.to_string();
        work.jobs.end_by_operator(&id, &by, reason).await.with_context(|| format!("grant {id} was not ended"))?;
    }
    work.begin()?;
    let mut watch = Watch::new(desk, terminal, minutes);
    let done = watch
        .until(async || Ok(desk.store.grant(&id).await?.into_iter().filter(|grant| !grant.state.is_final()).collect()));
    let done = done.await;
    work.rest().await;
    done
}

async fn found(desk: &Desk, id: &GrantId) -> anyhow::Result<Grant> {
    desk.store.grant(id).await?.with_context(|| format!("there is no grant {id}; latchkey grants lists them"))
}

/// Waits until nothing of a scope is open, and says of each grant when it is.
async fn gone(desk: &Desk, terminal: &mut Terminal, scope: &Scope, minutes: u32) -> anyhow::Result<()> {
    let work = desk.work().await?;
    work.begin()?;
    let mut watch = Watch::new(desk, terminal, minutes);
    let done = watch.until(async || {
        // What the hold stops and is not being taken away yet gets its task; a sweep does a part at a time.
        if desk.store.sweep(desk.clock.now()).await? > 0 {
            desk.store.changed().notify_one();
        }
        open(desk, scope).await
    });
    let done = done.await;
    work.rest().await;
    done
}

/// The grants of a scope that are not over.
pub(super) async fn open(desk: &Desk, scope: &Scope) -> anyhow::Result<Vec<Grant>> {
    let mut all: Vec<Grant> = Vec::new();
    loop {
        let after = all.last().map(|grant| grant.id.clone());
        let page = desk.store.open_grants_in(scope, after.as_ref(), PAGE).await?;
        let is_last = page.len() < usize::try_from(PAGE).unwrap_or(usize::MAX);
        all.extend(page);
        if is_last {
            return Ok(all);
        }
    }
}

/// The live list.
struct Watch<'a> {
    desk: &'a Desk,
    terminal: &'a mut Terminal,
    /// Without any end for this long, the command ends; the work does not.
    patience: Duration,
    open: Option<BTreeMap<GrantId, Grant>>,
    quiet: Duration,
    off: usize,
}

impl<'a> Watch<'a> {
    fn new(desk: &'a Desk, terminal: &'a mut Terminal, minutes: u32) -> Self {
        Self {
            desk,
            terminal,
            patience: Duration::from_secs(u64::from(minutes) * 60),
            open: None,
            quiet: Duration::ZERO,
            off: 0,
        }
    }

    async fn until(&mut self, left: impl AsyncFn() -> anyhow::Result<Vec<Grant>>) -> anyhow::Result<()> {
        loop {
            let left = match left().await {
                // Whoever takes away keeps the database from answering: that is no reason to go.
                Err(error) if is_busy(&error) && self.quiet < self.patience.max(STILL) => {
                    tokio::time::sleep(LOOK).await;
                    self.quiet += LOOK;
                    continue;
                }
                left => left?,
            };
            if self.seen(left).await? {
                return Ok(());
            }
        }
    }

    /// Says what is off since the last look. `true` when nothing is left.
    async fn seen(&mut self, left: Vec<Grant>) -> anyhow::Result<bool> {
        let left: BTreeMap<GrantId, Grant> = left.into_iter().map(|grant| (grant.id.clone(), grant)).collect();
        match self.open.take() {
            None => self.terminal.say(format!("{} to take away.", left.len()))?,
            Some(before) => {
                for id in before.keys().filter(|id| !left.contains_key(*id)) {
                    self.quiet = Duration::ZERO;
                    self.off += 1;
                    match self.desk.store.grant(id).await {
                        Ok(Some(grant)) => self.terminal.say(grants::line(&grant))?,
                        _ => self.terminal.say(format!("{id}\toff"))?,
                    }
                }
            }
        }
        if left.is_empty() {
            self.terminal
                .say(format!("Nothing is left. {} taken away, each seen to be off or never given.", self.off))?;
            return Ok(true);
        }
        if self.quiet >= self.patience {
            self.list(&left)?;
            let worked_on = match self.desk.jobs() {
                Some(_) => "the service goes on taking them away",
                None => "no service runs: start it, or run this again, or they stay",
            };
            bail!(
                "{} of them are not off yet; {worked_on}. They are in {}; latchkey tasks says what stands in the way",
                left.len(),
                places(left.values())
            );
        }
        let before = self.quiet.as_secs() / STILL.as_secs();
        tokio::time::sleep(LOOK).await;
        self.quiet += LOOK;
        if self.quiet.as_secs() / STILL.as_secs() > before {
            self.list(&left)?;
        }
        self.open = Some(left);
        Ok(false)
    }

    fn list(&mut self, left: &BTreeMap<GrantId, Grant>) -> anyhow::Result<()> {
        self.terminal.hint(format!("Still to be seen off: {}, in {}", left.len(), places(left.values())))?;
        for grant in left.values().take(SHOWN) {
            self.terminal.hint(grants::line(grant))?;
        }
        Ok(())
    }
}

fn is_busy(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(StoreError::Busy))
}

/// The directories where they are, each with how many, most first: one that is dead shows.
fn places<'a>(grants: impl Iterator<Item = &'a Grant>) -> String {
    let mut counts: BTreeMap<&ConnectionId, usize> = BTreeMap::new();
    grants.for_each(|grant| *counts.entry(&grant.directory).or_default() += 1);
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let shown: Vec<String> = counts.iter().take(SHOWN).map(|(place, count)| format!("{place} ({count})")).collect();
    let more = counts.len().saturating_sub(SHOWN);
    if more > 0 { format!("{} and {more} more", shown.join(", ")) } else { shown.join(", ") }
}
