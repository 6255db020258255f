//! `latchkey lock list | lift`.

use std::str::FromStr;

use anyhow::anyhow;
use latchkey_contract::{CustomerId, PersonId, text::one_line};

use super::super::{Desk, Terminal, answer, desk::explain};
use crate::rulebook::{Hold, HoldCause, HoldOn};

/// `all`, `customer/ID` or `person/ID`.
#[derive(Debug, Clone)]
pub(in crate::cli) struct LockOn(HoldOn);

impl FromStr for LockOn {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let bad =
            || format!("{text:?} is no lock: write all, customer/ID or person/ID, as latchkey lock list shows them");
        let on = match text.split_once('/') {
            None if text == "all" => HoldOn::Everything,
            Some(("customer", id)) => HoldOn::Customer(CustomerId::parse(id).map_err(|_| bad())?),
            Some(("person", id)) => HoldOn::Person(PersonId::parse(id).map_err(|_| bad())?),
            _ => return Err(bad()),
        };
        Ok(Self(on))
    }
}

pub(in crate::cli) async fn list(desk: &Desk, terminal: &mut Terminal) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    for hold in &rules.holds {
        let Hold { on, since, by, reason, .. } = hold;
        terminal.say(format!("{on}\t{}\tsince {since}\tby {by}\t{reason}", hold.sentence()))?;
    }
    if rules.holds.is_empty() {
        terminal.hint("Nothing is locked.")?;
    }
    Ok(())
}

pub(in crate::cli) async fn lift(
    desk: &Desk,
    terminal: &mut Terminal,
    on: LockOn,
    by: &PersonId,
    reason: &str,
) -> anyhow::Result<()> {
    let LockOn(on) = on;
    let unlocked = || anyhow!("nothing is locked by {on}; latchkey lock list shows what is");
    // Before anybody uses up a code in vain.
    if desk.store.rules().await?.hold(&on).is_none() {
        return Err(unlocked());
    }
    answer::owner(desk, terminal, by).await?;
    let who = format!("{by} at the command line of {}", desk.operator);
    let (reason, now) = (one_line(reason, 200), desk.clock.now());
    if !desk.store.lift_hold(&on, HoldCause::Panic, &who, &reason, now).await.map_err(explain)? {
        return Err(unlocked());
    }
    terminal.say(format!("{on} is free again. What was taken away stays away; it is asked for anew."))
}
