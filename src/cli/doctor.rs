//! `latchkey doctor`: prints what [`Doctor`] sees, in columns; or, where there is no desk to look from, why, and what can
//! be seen all the same.

use std::{path::Path, sync::Arc};

use anyhow::bail;

use super::{Desk, Terminal};
use crate::{
    clock::SystemClock,
    config::Config,
    doctor::{Doctor, Report, Shut, TestMail, without_database},
    mail::MailAddress,
    socket::{self, Knock},
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
    say(&Box::pin(doctor.look()).await, terminal)
}

pub(super) fn say(report: &Report, terminal: &mut Terminal) -> anyhow::Result<()> {
    report.print().iter().try_for_each(|line| terminal.say(line))?;
    terminal.say(format_args!("\n{}", report.summary()))?;
    match report.red() {
        0 => Ok(()),
        1 => bail!("there is a fault; its line says what to do"),
        _ => bail!("there are faults; each line says what to do"),
    }
}

/// The report where opening the database would change it: opening makes one that is not there, and brings up an older
/// one. `None` where a service runs, or nothing speaks against opening it.
pub(super) async fn before(path: &Path) -> Option<Report> {
    let data_dir = Config::data_dir(path).ok()?;
    if let Ok(Knock::Answered(_)) = socket::knock(&data_dir).await {
        return None;
    }
    let config = Config::load(path).ok()?;
    let clock = Arc::new(SystemClock::new());
    let shut = Shut::before(&config, &*clock).await?;
    Some(without_database(&config, clock, shut).await)
}

/// The report where the way to a desk ended.
pub(super) async fn without_desk(path: &Path, why: &anyhow::Error) -> Report {
    match Config::load(path) {
        Ok(config) => without_database(&config, Arc::new(SystemClock::new()), Shut::by(why)).await,
        Err(error) => Report::without_configuration(&error),
    }
}
