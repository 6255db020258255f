//! Blocking a person, and lifting it.

use latchkey_contract::PersonId;

use super::super::{Desk, Terminal, change, revoke};
use crate::{
    rulebook::{HoldCause, HoldOn, Rules},
    store::Scope,
};

pub(super) async fn block(desk: &Desk, terminal: &mut Terminal, id: PersonId, reason: &str) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    change::person(&rules.records, &id)?;
    let open = revoke::open(desk, &Scope::Person(id.clone())).await?;
    if is_last_owner(&rules, &id) {
        terminal.hint(format!(
            "{id} is the last owner who is not blocked: until {id} is unblocked, or another owner is named, nobody can \
             lift a lock or confirm a binding."
        ))?;
    }
    if !open.is_empty() {
        terminal.confirm(format_args!("This ends what {id} has: {}.", change::name(&open)))?;
    }
    let revision = change::hold(desk, HoldOn::Person(id.clone()), HoldCause::Blocked, reason).await?;
    terminal.say(format!("Revision {revision} is in force: {id} is blocked. Grants that end: {}.", open.len()))?;
    terminal.hint(format!("To let them in again: latchkey person unblock {id}"))
}

pub(super) async fn unblock(desk: &Desk, terminal: &mut Terminal, id: PersonId, reason: &str) -> anyhow::Result<()> {
    change::person(&desk.store.rules().await?.records, &id)?;
    change::lift(desk, &HoldOn::Person(id.clone()), HoldCause::Left, reason).await?;
    terminal.say(format!("{id} is blocked no longer. What has ended stays ended."))
}

fn is_last_owner(rules: &Rules, id: &PersonId) -> bool {
    let free: Vec<&PersonId> = rules.free_owners().map(|owner| &owner.id).collect();
    free == [id]
}
