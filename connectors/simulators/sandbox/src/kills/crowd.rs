//! The load: technicians who ask, close their tickets and want no more; operators who type commands; time that goes by.

use std::time::Duration;

use anyhow::Context as _;
use rand::{RngExt as _, rngs::StdRng};
use tokio::{runtime::Handle, task::JoinHandle};

use super::count;
use crate::{
    install::typed,
    psas::{Board, LENGTHS},
    sandbox::Sandbox,
};

/// The lengths that a ticket may ask for here: the others would outlast the run.
const SHORT: usize = 3;

/// How long an operator waits, in real time, for a command whose service was killed under it.
const PATIENCE: Duration = Duration::from_secs(20);

/// One request, as it was made at the PSA.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) ticket: i64,
    pub(super) by: String,
    /// For an account of its own.
    pub(super) is_burner: bool,
}

/// Everybody at once.
#[derive(Debug)]
pub(super) struct Crowd<'s> {
    sandbox: &'s Sandbox,
    dice: StdRng,
    config: String,
    pub(super) asked: Vec<Asked>,
    pub(super) closed: usize,
    typing: Vec<JoinHandle<anyhow::Result<String>>>,
    pub(super) commands: usize,
    pub(super) cut_off: usize,
}

impl<'s> Crowd<'s> {
    pub(super) fn new(sandbox: &'s Sandbox, dice: StdRng) -> Self {
        let config = sandbox.config().display().to_string();
        Self { sandbox, dice, config, asked: Vec::new(), closed: 0, typing: Vec::new(), commands: 0, cut_off: 0 }
    }

    /// One thing, whatever the dice say.
    pub(super) async fn act(&mut self) -> anyhow::Result<()> {
        match self.dice.random_range(0..100) {
            0..14 => self.ask(),
            14..18 => self.close(),
            18..23 => {
                self.type_one();
                Ok(())
            }
            23..50 => {
                let time = self.dice.random_range(Duration::ZERO..Duration::from_secs(12));
                self.sandbox.service.skip(time).await
            }
            _ => Ok(()),
        }
    }

    /// Somebody opens a ticket and asks.
    fn ask(&mut self) -> anyhow::Result<()> {
        let psa = &self.sandbox.vendors.connectwise;
        let by = &psa.crowd[self.dice.random_range(0..psa.crowd.len())].identifier;
        let is_burner = self.dice.random_range(0..3) == 0;
        let board: Board = if is_burner { psa.projects } else { psa.help_desk };
        let ticket = psa.open_ticket("Something is broken", board, psa.acme, psa.jane)?;
        let technician = psa.msp.acting(by);
        let length = self.dice.random_range(0..SHORT);
        // In real time nobody waits for the longer ones.
        let length = if self.sandbox.service.is_shipped() { LENGTHS[0] } else { LENGTHS[length] };
        technician.set_field(ticket, psa.length_field, length)?;
        technician.set_status(ticket, board.requested)?;
        self.asked.push(Asked { ticket, by: by.clone(), is_burner });
        Ok(())
    }

    /// Somebody closes a ticket that has access.
    fn close(&mut self) -> anyhow::Result<()> {
        let psa = &self.sandbox.vendors.connectwise;
        let has_access = |asked: &&Asked| psa.status_of(asked.ticket) == Some(board(self.sandbox, asked).active);
        let Some(asked) = self.asked.iter().rev().take(10).find(has_access) else { return Ok(()) };
        psa.msp.acting(&asked.by).close(asked.ticket)?;
        self.closed += 1;
        Ok(())
    }

    /// An operator types something. Whoever kills the service does not ask whether they are done.
    fn type_one(&mut self) {
        let config = self.config.clone();
        let (pick, is_pause) = (self.dice.random_range(0..1000_usize), self.dice.random_range(0..10) == 0);
        self.commands += 1;
        let runtime = Handle::current();
        self.typing.push(tokio::task::spawn_blocking(move || {
            let command = async { tokio::time::timeout(PATIENCE, operate(&config, pick, is_pause)).await? };
            runtime.block_on(command)
        }));
    }

    /// Waits until nobody types any more.
    pub(super) async fn hang_up(&mut self) {
        for typing in self.typing.drain(..) {
            self.cut_off += usize::from(!matches!(typing.await, Ok(Ok(_))));
        }
    }

    /// Nobody asks, and what an operator had stopped goes on.
    pub(super) async fn go_home(&mut self) -> anyhow::Result<()> {
        self.hang_up().await;
        if typed(&self.config, &["customer", "list"], "").await?.contains("PAUSED") {
            resume(&self.config).await.context("what was paused in a drill could not be resumed")?;
        }
        Ok(())
    }

    /// An operator takes away everything at once. What is left of it is counted.
    pub(super) async fn end_all(&self) {
        let words = ["revoke", "--all", "--yes", "--wait", "1", "--reason", "the day is over"];
        let _ = typed(&self.config, &words, "").await;
    }
}

/// Ends one of the grants that there are; or stops everything for a moment.
async fn operate(config: &str, pick: usize, is_pause: bool) -> anyhow::Result<String> {
    // The service may have been killed between an earlier pause and its end; mostly nothing is paused.
    let _ = resume(config).await;
    if is_pause {
        typed(config, &["customer", "pause", "acme", "--reason", "a drill", "--yes"], "").await?;
        return resume(config).await;
    }
    let open = typed(config, &["grants", "--open"], "").await?;
    let grants: Vec<&str> = open.lines().filter_map(|line| line.split('\t').next()).collect();
    let Some(grant) = grants.get(pick % grants.len().max(1)) else { return Ok(open) };
    typed(config, &["end", grant, "--reason", "not needed any more", "--yes"], "").await
}

async fn resume(config: &str) -> anyhow::Result<String> {
    typed(config, &["customer", "resume", "acme", "--yes"], "").await
}

fn board(sandbox: &Sandbox, asked: &Asked) -> Board {
    count::board(&sandbox.vendors, asked)
}
