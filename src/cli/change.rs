//! A change of the records by command: one revision, or nothing.

use anyhow::{anyhow, bail};
use latchkey_contract::{CustomerId, PersonId};

use super::{Desk, Terminal};
use crate::{
    access::Grant,
    rulebook::{Customer, Hold, HoldCause, HoldOn, Person, Records, Rules},
};

/// What came of it.
pub(super) struct Changed {
    pub(super) rules: Rules,
    revision: Option<i64>,
}

impl Changed {
    /// The result's line.
    pub(super) fn say(&self, terminal: &mut Terminal, what: impl std::fmt::Display) -> anyhow::Result<()> {
        match self.revision {
            Some(revision) => terminal.say(format!("Revision {revision} is in force: {what}.")),
            None => terminal.say("That is how it is already; nothing was changed."),
        }
    }
}

/// Changes the records, judges the whole of them, and saves them.
pub(super) async fn records(
    desk: &Desk,
    reason: &str,
    change: impl FnOnce(&mut Records) -> anyhow::Result<()>,
) -> anyhow::Result<Changed> {
    let before = desk.store.rules().await?;
    let mut records = before.records.clone();
    change(&mut records)?;
    save(desk, &before, records, reason).await
}

/// Saves records that were made from `before`. Whoever saved meanwhile wins, and this is refused.
pub(super) async fn save(desk: &Desk, before: &Rules, records: Records, reason: &str) -> anyhow::Result<Changed> {
    records.check().map_err(|faults| anyhow!("that cannot be; nothing was changed:\n{faults}"))?;
    let rules = before.next(before.rulebook.clone(), records, desk.clock.now());
    let rules = rules.map_err(|why| anyhow!("{why}; nothing was changed"))?;
    if rules.records == before.records {
        return Ok(Changed { rules, revision: None });
    }
    let revision = desk.save(&rules, reason).await?;
    Ok(Changed { rules, revision: Some(revision) })
}

/// A person of the records.
pub(super) fn person<'a>(records: &'a Records, id: &PersonId) -> anyhow::Result<&'a Person> {
    records.person(id).ok_or_else(|| {
        anyhow!("there is no person {id}; add them with: latchkey person add, or latchkey records load FILE")
    })
}

/// A customer of the records.
pub(super) fn customer<'a>(records: &'a Records, id: &CustomerId) -> anyhow::Result<&'a Customer> {
    records
        .customer(id)
        .ok_or_else(|| anyhow!("there is no customer {id}; those that there are: latchkey customer list"))
}

/// Grants as they are named in a refusal: the first few by id and ticket.
pub(super) fn name(grants: &[Grant]) -> String {
    let named: Vec<String> =
        grants.iter().take(5).map(|grant| format!("{} (ticket {})", grant.id, grant.ticket)).collect();
    let more = grants.len().saturating_sub(named.len());
    if more > 0 { format!("{} and {more} more", named.join(", ")) } else { named.join(", ") }
}

/// Sets a hold. What stands under it is taken away at once.
pub(super) async fn hold(desk: &Desk, on: HoldOn, cause: HoldCause, reason: &str) -> anyhow::Result<i64> {
    let hold = Hold { on, cause, since: desk.clock.now(), by: desk.by().to_string(), reason: text(reason)? };
    desk.store.set_hold(&hold).await.map_err(super::desk::explain)
}

/// Lifts a hold of one's own making; a panic lock takes an owner.
pub(super) async fn lift(desk: &Desk, on: &HoldOn, up_to: HoldCause, reason: &str) -> anyhow::Result<()> {
    let lifted = desk.store.lift_hold(on, up_to, &desk.by().to_string(), &text(reason)?, desk.clock.now()).await;
    if lifted.map_err(super::desk::explain)? {
        return Ok(());
    }
    match desk.store.rules().await?.hold(on) {
        Some(hold) => bail!(
            "{}, since {} by {}: only an owner lifts that, with: latchkey lock lift {on} --as OWNER",
            hold.sentence(),
            hold.since.for_people(),
            hold.by
        ),
        None => bail!("{on} is not held; nothing was changed"),
    }
}

fn text(reason: &str) -> anyhow::Result<String> {
    let reason = latchkey_contract::text::one_line(reason.trim(), 200);
    if reason.is_empty() {
        bail!("say why, with --reason; nothing was changed");
    }
    Ok(reason)
}
