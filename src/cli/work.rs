//! `latchkey tasks`, `deliveries` and `mails`: what is being worked on, what came in, what goes out.

use super::{Desk, Terminal};
use crate::{jobs::audit_head::REMEMBERED, store::MailState};

pub(super) async fn tasks(desk: &Desk, terminal: &mut Terminal, limit: u32) -> anyhow::Result<()> {
    for task in desk.store.tasks(limit).await? {
        let kind = match task.priority {
            0 => "takes away",
            1 => "gives",
            _ => "tells",
        };
        let error = task.last_error.unwrap_or_default();
        terminal
            .say(format!("{}\t{}\t{kind}\t{}\t{} tries\t{error}", task.slot, task.state, task.at, task.attempts))?;
    }
    let state = desk.store.queue(desk.clock.now()).await?;
    if state.dead > 0 {
        let dead = state.dead;
        terminal.hint(format!("{dead} dead: they are not tried again by themselves, but for removals. Each line says what stands in the way."))?;
    }
    let given_up = desk.store.mails_given_up(desk.clock.now() - REMEMBERED).await?;
    if desk.config.mail.is_some() && given_up > 0 {
        terminal
            .hint(format!("Mails of the last seven days that reached nobody: {given_up}. latchkey mails says why."))?;
    }
    Ok(())
}

pub(super) async fn deliveries(desk: &Desk, terminal: &mut Terminal, open: bool, limit: u32) -> anyhow::Result<()> {
    for delivery in desk.store.deliveries(open, limit).await? {
        let outcome = delivery.outcome.unwrap_or_else(|| "not worked off yet".to_owned());
        let ticket = delivery.event.ticket.as_ref().map_or_else(|| "no ticket".to_owned(), ToString::to_string);
        terminal
            .say(format!("{}\t{}\t{}\t{ticket}\t{outcome}", delivery.id, delivery.received_at, delivery.connection))?;
    }
    Ok(())
}

pub(super) async fn mails(desk: &Desk, terminal: &mut Terminal, limit: u32) -> anyhow::Result<()> {
    for mail in desk.store.mails(limit).await? {
        let state = match mail.state {
            MailState::Open { .. } => "owed".to_owned(),
            MailState::Sent { at } => format!("sent {at}"),
            MailState::GivenUp { why } => format!("given up: {why}"),
        };
        terminal.say(format!("{}\t{}\t{}\t{}\t{state}", mail.id, mail.at, mail.to, mail.words.write().subject))?;
    }
    Ok(())
}
