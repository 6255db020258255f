//! What every command works with: configuration, database, clock, and the seal where it is needed.
//!
//! A desk stands in the service, and shares what the service has; or it is alone with the database, and makes the rest
//! when it is asked for.

use std::{os::unix::fs::MetadataExt, path::Path, sync::Arc};

use anyhow::{Context, bail};
use clap::{CommandFactory, FromArgMatches};
use latchkey_contract::{Clock, ConnectionId, Secret};
use nix::unistd::Uid;

use super::{
    Cli, Terminal, at_the_desk,
    operator::{self, Operator},
};
use crate::{
    audit::{AuditEntry, By, Code},
    clock::SystemClock,
    config::Config,
    generation::Counter,
    jobs::Jobs,
    lock::Lock,
    registry::{Change, Live, NotSet, SecretName, Vendors, set_secrets},
    rulebook::{Connection, Rules},
    seal::{Seal, unlock},
    socket::Obey,
    store::{CommitName, Database, Engine, Store, StoreError, Transition, sqlite::Options},
};

#[derive(Debug)]
pub(super) struct Desk {
    pub(super) config: Config,
    pub(super) store: Arc<dyn Store>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) operator: Operator,
    pub(super) place: Place,
}

#[derive(Debug)]
pub(super) enum Place {
    Alone { engine: Engine, lock: Option<Lock> },
    Service(Arc<Jobs>),
}

impl Desk {
    /// Where no service runs: alone with the database, until it is closed.
    pub(super) async fn open(config: &Path) -> anyhow::Result<Self> {
        Self::alone(Config::load(config)?).await
    }

    pub(super) async fn alone(config: Config) -> anyhow::Result<Self> {
        config.make_data_dir()?;
        refuse_others(&config.data_dir)?;
        let lock = Lock::for_command(&config.data_dir).await?;
        let engine = Engine::open(&config.database, Options::default()).await?;
        if let Database::Postgres(server) = &config.database
            && engine.joins()
            && let Err(error) = join(&config, &engine).await
        {
            server.forget()?;
            engine.close().await;
            return Err(error);
        }
        Ok(Self::at(config, engine, Some(lock)))
    }

    /// For who only looks: nothing is made, brought up to date or remembered.
    pub(super) async fn to_look(config: &Path) -> anyhow::Result<Self> {
        let config = Config::load(config)?;
        // There may be none where the database is on a server and nobody has used it from here.
        let lock = if config.data_dir.exists() {
            refuse_others(&config.data_dir)?;
            Some(Lock::for_command(&config.data_dir).await?)
        } else {
            None
        };
        let engine = Engine::as_it_is(&config.database, &SystemClock::new()).await?;
        Ok(Self::at(config, engine, lock))
    }

    fn at(config: Config, engine: Engine, lock: Option<Lock>) -> Self {
        let (store, place) = (engine.store(), Place::Alone { engine, lock });
        Self { config, store, clock: Arc::new(SystemClock::new()), operator: Operator::here(), place }
    }

    pub(super) async fn close(self) {
        if let Place::Alone { engine, lock } = self.place {
            engine.close().await;
            drop(lock);
        }
    }

    /// The service's own work, where one runs.
    pub(super) fn jobs(&self) -> Option<&Arc<Jobs>> {
        match &self.place {
            Place::Alone { .. } => None,
            Place::Service(jobs) => Some(jobs),
        }
    }

    pub(super) async fn seal(&self) -> anyhow::Result<Arc<Seal>> {
        match self.jobs() {
            Some(jobs) => Ok(Arc::clone(&jobs.seal)),
            None => Ok(Arc::new(unlock(&self.config.key_file, &*self.store, self.clock.now()).await?)),
        }
    }

    /// The connectors as they are in force now.
    pub(super) async fn live(&self) -> anyhow::Result<Arc<Live>> {
        if let Some(jobs) = self.jobs() {
            jobs.live.current().await;
            return Ok(Arc::clone(&jobs.live));
        }
        let live = Live::start(Arc::clone(&self.store), Arc::new(self.vendors().await?)).await;
        Ok(Arc::new(live.context("the connections cannot be loaded")?))
    }

    /// What builds connectors.
    pub(super) async fn vendors(&self) -> anyhow::Result<Vendors> {
        Ok(Vendors::new(Arc::clone(&self.store), self.seal().await?, Arc::clone(&self.clock)))
    }

    /// Saves rules as the next revision; answers its number.
    pub(super) async fn save(&self, rules: &Rules, reason: &str) -> anyhow::Result<i64> {
        self.store.save_rules(rules, &self.by().to_string(), reason, self.clock.now()).await.map_err(explain)
    }

    pub(super) async fn set(&self, secrets: &[(SecretName, Secret<String>)]) -> anyhow::Result<()> {
        let seal = self.seal().await?;
        set_secrets(&*self.store, &seal, &self.by(), secrets, self.clock.now()).await.map_err(not_set)
    }

    /// Puts secrets in force together with what `edit` makes of the rules.
    pub(super) async fn change(&self, change: Change<'_>, edit: impl Fn(&mut Rules)) -> anyhow::Result<()> {
        let seal = self.seal().await?;
        change.put_in_force(&*self.store, &seal, &self.by(), self.clock.now(), edit).await.map_err(not_set)
    }

    /// Who is at the command line.
    pub(super) fn by(&self) -> By {
        By::operator(&self.operator.to_string())
    }

    /// Writes into the audit log what was done by this command.
    pub(super) async fn record(&self, code: Code, detail: serde_json::Value) -> anyhow::Result<()> {
        let now = self.clock.now();
        let audit = vec![AuditEntry::new(code, now, self.by(), detail)];
        let done = self.store.commit(Transition { audit, ..Transition::new(CommitName::Command, now) }).await;
        done.context("it is done, but could not be written into the audit log")
    }

    /// A connection of the records.
    pub(super) async fn connection(&self, id: &ConnectionId) -> anyhow::Result<Connection> {
        let rules = self.store.rules().await?;
        let known: Vec<&str> = rules.records.connections.iter().map(|c| c.id.as_str()).collect();
        let found = rules.records.connection(id).cloned();
        found.with_context(|| match known.as_slice() {
            [] => "there are no connections yet; add one: latchkey connection add ID KIND KEY=VALUE…".to_owned(),
            known => format!("there is no connection {id}; there are: {}", known.join(", ")),
        })
    }
}

/// The first command of a machine on a database that others are using: its service is not to take it for an older copy.
async fn join(config: &Config, engine: &Engine) -> anyhow::Result<()> {
    let store = engine.store();
    if store.generation().await?.comparing.is_none() {
        Counter::at(&config.generation_file).raise(&*store).await?;
    }
    Ok(())
}

/// What root makes in somebody else's directory, a service that runs as that user could not use.
pub(super) fn refuse_others(data_dir: &Path) -> anyhow::Result<()> {
    let owner = std::fs::metadata(data_dir).with_context(|| format!("{} cannot be read", data_dir.display()))?.uid();
    if Uid::effective().is_root() && owner != 0 {
        let (owner, dir) = (operator::name(owner), data_dir.display());
        bail!("no service runs, and {dir} belongs to {owner}: run this as that user, with sudo -u {owner}");
    }
    Ok(())
}

pub(super) fn explain(error: StoreError) -> anyhow::Error {
    let hint = match &error {
        StoreError::Conflict => "somebody else saved at the same moment; nothing was changed, run the command again",
        StoreError::Busy => "the database is busy; nothing was changed, run the command again",
        StoreError::StillUsed { .. } => "end that access first, as latchkey revoke or end does; nothing was changed",
        StoreError::Full => "the disk is full; nothing was changed, make room and run the command again",
        _ => "whether anything was changed is not known; look at the cause, and run the command again",
    };
    anyhow::Error::new(error).context(hint)
}

fn not_set(error: NotSet) -> anyhow::Error {
    match error {
        NotSet::Save(error) => explain(error),
        NotSet::Tell(_) => anyhow::Error::new(error)
            .context("a running service goes on with the old value; run the command again, or restart the service"),
    }
}

/// The desk in the running service: a new one for each command, over the service's own parts.
#[derive(Debug)]
pub(crate) struct ServiceDesk {
    config: Config,
    clock: Arc<dyn Clock>,
    jobs: Arc<Jobs>,
}

impl ServiceDesk {
    /// `clock` is the wall's, as people's codes and vendors' certificates are judged by it.
    pub(crate) const fn new(config: Config, clock: Arc<dyn Clock>, jobs: Arc<Jobs>) -> Self {
        Self { config, clock, jobs }
    }
}

#[async_trait::async_trait(?Send)]
impl Obey for ServiceDesk {
    async fn obey(&self, words: &[String], operator: Operator, terminal: &mut Terminal) -> anyhow::Result<()> {
        let program = std::iter::once("latchkey");
        let matches = Cli::command().try_get_matches_from(program.chain(words.iter().map(String::as_str)))?;
        let (cli, command, by) = (Cli::from_arg_matches(&matches)?, name(&matches), operator.to_string());
        let words: Vec<_> = words.iter().map(Into::into).collect();
        terminal.obey(&words, cli.yes);
        let desk = Desk {
            config: self.config.clone(),
            store: Arc::clone(&self.jobs.store),
            clock: Arc::clone(&self.clock),
            operator,
            place: Place::Service(Arc::clone(&self.jobs)),
        };
        tracing::info!(command, by, "a command began");
        let done = at_the_desk(cli.command, &desk, terminal).await;
        let outcome = if done.is_ok() { "done" } else { "failed" };
        tracing::info!(command, by, outcome, "a command ended");
        done
    }
}

/// The command's words alone: nothing of what it was given.
fn name(matches: &clap::ArgMatches) -> String {
    let mut name = Vec::new();
    let mut at = matches;
    while let Some((word, inner)) = at.subcommand() {
        name.push(word);
        at = inner;
    }
    name.join(" ")
}
