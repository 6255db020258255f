//! `latchkey doctor`: prints what [`Doctor`] sees, a line each, columns apart by tabs.

use std::sync::Arc;

use anyhow::bail;

use super::{Desk, Terminal};
use crate::{
    doctor::{Doctor, TestMail},
    mail::MailAddress,
};

pub(super) async fn look(
    desk: &Desk,
    terminal: &mut Terminal,
    mail_to: Option<MailAddress>,
    no_mail: bool,
) -> anyhow::Result<()> {
    let test_mail = match mail_to {
        Some(address) => TestMail::To(address),
        None if no_mail => TestMail::Not,
        None => TestMail::Owners,
    };
    let doctor = Doctor {
        config: desk.config.clone(),
        store: Arc::clone(&desk.store),
        clock: Arc::clone(&desk.clock),
        jobs: desk.jobs().cloned(),
        test_mail,
        by: desk.operator.to_string(),
    };
    let report = Box::pin(doctor.look()).await;
    for line in &report.lines {
        terminal.say(line)?;
    }
    match report.red() {
        0 => Ok(()),
        1 => bail!("one line is FAILED; it says above what to do"),
        many => bail!("{many} lines are FAILED; each says above what to do"),
    }
}
