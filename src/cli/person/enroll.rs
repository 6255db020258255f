//! `latchkey person enroll`.

use anyhow::bail;
use latchkey_contract::{PersonId, text::one_line};

use super::super::{Desk, Terminal, change};
use crate::{
    people::{EnrollError, Enrolment},
    rulebook::HoldOn,
};

const TRIES: usize = 3;

pub(super) async fn enroll(desk: &Desk, terminal: &mut Terminal, id: PersonId) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    let person = change::person(&rules.records, &id)?;
    if let Some(hold) = rules.hold(&HoldOn::Person(id.clone())) {
        bail!("{}, so they cannot be enrolled; first: latchkey person unblock {id}", hold.sentence());
    }
    let seal = desk.seal().await?;
    terminal.hint(format!(
        "Enrolling {} ({id}). Choose a password of at least 15 characters.",
        one_line(&person.name, 80)
    ))?;
    let password = terminal.ask_hidden("Password", true)?;
    let enrolment = Enrolment::begin(id.clone(), password)?;
    terminal.hint("Add this to an authenticator app. It is shown once and never again:")?;
    terminal.say(enrolment.one_time().uri().expose())?;
    terminal.say(format!("secret: {}", enrolment.one_time().base32().expose()))?;
    for left in (0..TRIES).rev() {
        let code = terminal.ask("The code that the app shows now")?;
        match enrolment.finish(code.expose(), desk.by(), &*desk.store, &seal, desk.clock.now()).await {
            Ok(()) => break,
            Err(error @ EnrollError::Code) if left > 0 => terminal.hint(error)?,
            Err(error) => return Err(error.into()),
        }
    }
    terminal.say(format!("{id} is enrolled."))?;
    Ok(())
}
