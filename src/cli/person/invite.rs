//! `latchkey person invite`: the link goes to the person's own address, and nobody else sees it.

use anyhow::{Context, bail};
use latchkey_contract::{PersonId, Secret, text::one_line};

use super::{
    super::{Desk, Terminal, change, desk::explain},
    by_mail,
};
use crate::{
    people::{Letter, invitation},
    rulebook::HoldOn,
};

pub(super) async fn invite(desk: &Desk, terminal: &mut Terminal, id: &PersonId) -> anyhow::Result<()> {
    let rules = desk.store.rules().await?;
    let person = change::person(&rules.records, id)?;
    if let Some(hold) = rules.hold(&HoldOn::Person(id.clone())) {
        bail!("{}, so they cannot be invited; first: latchkey person unblock {id}", hold.sentence());
    }
    let to = person.mail.clone().with_context(|| {
        format!("{id} has no mail address; name it: latchkey person set {id} --mail ADDRESS. Nothing was changed")
    })?;
    let Some(invitations) = by_mail::of(desk).await? else {
        bail!(
            "no mail is configured, and the link goes to nobody but {id}: write a [mail] table into the configuration, or \
             enrol them with them at this terminal: latchkey person enroll {id}"
        );
    };
    let (now, before) = (desk.clock.now(), desk.store.factors(id).await?);
    if before.is_some() {
        terminal
            .confirm(format_args!("{id} is enrolled; password and one-time code change when they use the link."))?;
    }
    let (token, made) = invitation(id.clone(), before.as_ref(), now);
    let link = Secret::new(desk.config.public(&format!("/enroll/{}", token.expose())).to_string());
    let letter = Letter {
        to: to.clone(),
        person: id.clone(),
        name: one_line(&person.name, 80),
        by: desk.by().to_string(),
        link,
        until: made.until,
    };
    desk.store.invite(&made, &desk.by(), now).await.map_err(explain)?;
    if let Err(why) = invitations.send(&letter).await {
        desk.store.uninvite(id).await.map_err(explain)?;
        bail!("the invitation was not sent and is void, as is an earlier one: {why}");
    }
    terminal.say(format!("An invitation is on its way to {to}, good until {}.", made.until.for_people()))?;
    terminal.hint("An earlier one is void. Only the person sees the link; it is not shown here.")
}
