//! Who does the work that a command asks for: the running service, or this process for as long as the command lasts.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::bail;

use super::{Desk, Terminal, desk::Place};
use crate::{
    app::jobs_alone,
    generation::{Counter, Standing},
    jobs::{
        Jobs,
        queue::{Queue, Run, Settings},
    },
    store::Database,
};

/// How long a call that is under way may take to end, once the command has what it wanted.
const GRACE: Duration = Duration::from_secs(10);

/// The work, and where none of a service runs, who does it.
pub(super) struct Hands {
    pub(super) jobs: Arc<Jobs>,
    is_ours: bool,
    /// An older copy of the database, which is compared before it acts.
    is_older: bool,
    queue: Mutex<Option<Queue>>,
}

impl fmt::Debug for Hands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hands").field("is_ours", &self.is_ours).finish_non_exhaustive()
    }
}

impl Hands {
    /// Takes away whatever is to be taken away, until [`Hands::rest`]; a running service does already. What is owed of that
    /// is never too much, whoever it is for. Nothing else is begun: a command that was asked to take away decides no
    /// request, gives nothing and tells nobody.
    pub(super) fn begin(&self) -> anyhow::Result<()> {
        if self.is_older {
            bail!(
                "it is written down, and done later: this is an older copy of the database, and nothing is given or ended \
                 before it was compared. Look at: latchkey reconcile"
            );
        }
        if self.is_ours {
            let Jobs { store, clock, random, trust, .. } = &*self.jobs;
            let (random, trust) = (Arc::clone(random), Arc::clone(trust));
            let defaults = Settings::default();
            let settings = Settings { for_removals: defaults.slots, random, trust, ..defaults };
            let run: Arc<dyn Run> = Arc::<Jobs>::clone(&self.jobs);
            let queue = Queue::start(Arc::clone(store), Arc::clone(clock), run, settings);
            *self.queue.lock().unwrap_or_else(PoisonError::into_inner) = Some(queue);
        }
        Ok(())
    }

    pub(super) async fn rest(&self) {
        let queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(queue) = queue {
            queue.stop(GRACE).await;
        }
    }
}

impl Desk {
    pub(super) async fn work(&self) -> anyhow::Result<Hands> {
        let jobs = match &self.place {
            Place::Service(jobs) => Arc::clone(jobs),
            Place::Alone { engine, .. } => {
                let clock = Arc::clone(&self.clock);
                jobs_alone(&self.config, engine, clock, self.seal().await?, self.live().await?).await?
            }
        };
        let is_ours = self.jobs().is_none();
        let counter = Counter::at(&self.config.generation_file);
        let is_older = is_ours && counter.standing(&*self.store).await? != Standing::Current;
        Ok(Hands { jobs, is_ours, is_older, queue: Mutex::default() })
    }

    /// What was asked for is written down; somebody has to do it.
    pub(super) fn hint_at_rest(&self, terminal: &mut Terminal) -> anyhow::Result<()> {
        match (self.jobs(), &self.config.database) {
            (Some(_), _) => Ok(()),
            (None, Database::Sqlite(_)) => terminal.hint("No service runs: it is done as soon as one does."),
            (None, Database::Postgres(_)) => terminal.hint(
                "No service runs here: it is done by one elsewhere on the same database, or as soon as one runs.",
            ),
        }
    }
}
