//! `--as PERSON`: somebody at the terminal shows that they are who they say, by a fresh one-time code.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{anyhow, bail};
use latchkey_contract::PersonId;

use super::{Desk, Terminal, change};
use crate::{
    people::{CodeError, People},
    rulebook::{HoldOn, Role, Rules},
};

/// Failures at the terminal are counted under no address of the network.
const TERMINAL: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

/// Asks for the code, once it is known that this person may do `what`.
pub(super) async fn owner(
    desk: &Desk,
    terminal: &mut Terminal,
    rules: &Rules,
    id: &PersonId,
    what: &str,
) -> anyhow::Result<()> {
    if change::person(&rules.records, id)?.role != Role::Owner {
        bail!("only an owner may {what}, and {id} is none; nothing was changed");
    }
    if let Some(hold) = rules.hold(&HoldOn::Person(id.clone())) {
        bail!("{}, so they may not {what}; nothing was changed", hold.sentence());
    }
    if desk.store.factors(id).await?.is_none() {
        bail!("{id} has no one-time code yet; enrol them with: latchkey person enroll {id}");
    }
    let code = terminal.ask(&format!("A fresh one-time code of {id}"))?;
    let people = People::new(desk.store.clone(), desk.clock.clone(), desk.seal().await?, desk.live().await?);
    people.check_code(id, code.expose(), TERMINAL).await.map_err(|error| match error {
        CodeError::Refused => {
            anyhow!("the code does not fit; take a fresh one that was not used yet. Nothing was changed")
        }
        CodeError::Throttled => {
            anyhow!("too many codes of {id} did not fit; wait a quarter of an hour. Nothing was changed")
        }
        CodeError::Store(error) => anyhow::Error::new(error).context("the code could not be checked"),
    })
}
