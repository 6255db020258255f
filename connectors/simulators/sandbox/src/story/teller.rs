//! Tells the story as it happens: one line for each step, with the sandbox's time, what was seen,
//! and how long it took; and waits for what is to be seen.

use std::{
    future::Future,
    io::{self, Write as _},
    time::{Duration, Instant},
};

use anyhow::{anyhow, bail};
use latchkey_contract::Clock as _;

use crate::sandbox::Sandbox;

/// No step may take longer, in real time.
const BOUND: Duration = Duration::from_secs(20);

/// How often is looked, in real time.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// While nothing is seen, the sandbox's time is helped on by this much at each look: vendors want to
/// be asked again after seconds, and a dead process's leases end after a minute.
const NUDGE: Duration = Duration::from_secs(2);

/// Not before this, in real time: most things are seen at once.
const PATIENCE: Duration = Duration::from_millis(300);

/// And no further than this, so that no access ends by waiting for something else.
const LARGEST_NUDGE: Duration = Duration::from_secs(150);

/// Where nothing can end any more: PIM takes no role away that is younger than five minutes.
const LARGEST_NUDGE_AT_THE_END: Duration = Duration::from_secs(600);

#[derive(Debug)]
pub(super) struct Teller<'s> {
    sandbox: &'s Sandbox,
    started: Instant,
    steps: usize,
}

impl<'s> Teller<'s> {
    pub(super) fn new(sandbox: &'s Sandbox) -> Self {
        Self { sandbox, started: Instant::now(), steps: 0 }
    }

    pub(super) fn title(&self, text: &str) -> anyhow::Result<()> {
        writeln!(io::stdout(), "\n{text}")?;
        Ok(())
    }

    /// One step: does or waits for something, and says what was seen.
    ///
    /// # Errors
    /// Naming the step, when it does not happen within the bound.
    pub(super) async fn step<T>(
        &mut self,
        what: &str,
        happens: impl Future<Output = anyhow::Result<(T, String)>>,
    ) -> anyhow::Result<T> {
        self.steps += 1;
        let started = Instant::now();
        let outcome = tokio::time::timeout(BOUND, Box::pin(happens)).await;
        let outcome = outcome.unwrap_or_else(|_| Err(anyhow!("it took longer than {} s", BOUND.as_secs())));
        let (sign, seen) = match &outcome {
            Ok((_, seen)) => ("✓", seen.clone()),
            Err(error) => ("✗", format!("{error:#}")),
        };
        let took = started.elapsed().as_millis();
        let now = self.sandbox.clock.now().rfc3339();
        let time = now.get(11..19).unwrap_or_default();
        writeln!(io::stdout(), "  {time}  {sign} {what}\n                {seen} ({took} ms)")?;
        match outcome {
            Ok((value, _)) => Ok(value),
            Err(error) => {
                self.show_log()?;
                Err(error.context(format!("step {} of the story did not happen: {what}", self.steps)))
            }
        }
    }

    /// Looks until something is seen, helping time on meanwhile.
    ///
    /// # Errors
    /// With `what` was waited for, when it is not seen within the bound.
    pub(super) async fn until<T>(sandbox: &Sandbox, what: &str, look: impl FnMut() -> Option<T>) -> anyhow::Result<T> {
        wait(sandbox, what, LARGEST_NUDGE, look).await
    }

    /// The same, for what comes after an end: minutes may pass.
    ///
    /// # Errors
    /// As [`Teller::until`].
    pub(super) async fn until_at_the_end<T>(
        sandbox: &Sandbox,
        what: &str,
        look: impl FnMut() -> Option<T>,
    ) -> anyhow::Result<T> {
        wait(sandbox, what, LARGEST_NUDGE_AT_THE_END, look).await
    }

    pub(super) fn end(&self) -> anyhow::Result<()> {
        let (steps, took) = (self.steps, self.started.elapsed().as_secs_f32());
        let lived = self.sandbox.clock.offset().as_secs() / 60;
        writeln!(
            io::stdout(),
            "\n  All {steps} steps happened: {lived} minutes of the sandbox's time in {took:.1} s.\n"
        )?;
        Ok(())
    }

    /// What the service said last, for whoever wants to know why.
    fn show_log(&self) -> anyhow::Result<()> {
        let log = std::fs::read_to_string(self.sandbox.service.log()).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let mut out = io::stdout();
        writeln!(out, "\n  The service's last words:")?;
        for line in &lines[lines.len().saturating_sub(15)..] {
            writeln!(out, "  {line}")?;
        }
        Ok(())
    }
}

async fn wait<T>(
    sandbox: &Sandbox,
    what: &str,
    largest_nudge: Duration,
    mut look: impl FnMut() -> Option<T>,
) -> anyhow::Result<T> {
    let started = Instant::now();
    let mut helped = Duration::ZERO;
    loop {
        if let Some(seen) = look() {
            return Ok(seen);
        }
        // A little less than the step's own bound, whose message would say less.
        if started.elapsed() + PATIENCE > BOUND {
            bail!("not seen: {what}");
        }
        if started.elapsed() > PATIENCE && helped < largest_nudge {
            sandbox.service.advance(NUDGE).await?;
            helped += NUDGE;
        }
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}
