//! The composition root: the one file that knows every concrete type. Production and tests start here.

use std::{
    fmt,
    io::ErrorKind,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use latchkey_contract::{Clock, Timestamp};
use metrics_exporter_prometheus::PrometheusHandle;
use tokio::{sync::Notify, task::JoinHandle};

use crate::{
    cli::ServiceDesk,
    clock_guard::{Doubt, GuardedClock, Trust},
    config::{Config, DATABASE_FILE},
    generation::{Counter, CounterError, Standing},
    http::{self, Entrance, Health, HealthCheck, Web},
    jobs::{
        Jobs, Post,
        queue::{Queue, Run, Settings},
        sweep::Sweep,
    },
    lock::Lock,
    random::{Random, SystemRandom},
    reconcile::Reconcile,
    registry::{Live, Vendors},
    replicas::{self, Replica},
    seal,
    socket::{Door, Limits},
    store::{Comparing, Engine, LaterHolds, Store, StoreError, sqlite::Options},
    tls::Tls,
};

/// How long everything under way may take to finish, side by side, when the service is told to stop. With a second until it is
/// noticed that it did not, and [`CLOSING`], a stop takes ten seconds at most.
pub(crate) const GRACE: Duration = Duration::from_secs(7);

/// How long a server that keeps the database is waited for at the end.
const CLOSING: Duration = Duration::from_secs(2);

/// What is due and lies for so long is done by nobody.
const LEFT_LYING: Duration = Duration::from_secs(60);

/// How long `/readyz` waits for the database to write.
const PATIENCE: Duration = Duration::from_secs(3);

/// The database's file within the data directory, where it is a file.
#[must_use]
pub fn database(config: &Config) -> PathBuf {
    config.data_dir.join(DATABASE_FILE)
}

/// Puts something between the service and its store.
pub type WrapStore = Box<dyn FnOnce(Arc<dyn Store>) -> Arc<dyn Store> + Send>;

/// What a process does. On a PostgreSQL server several may share it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Duties {
    /// Everything.
    #[default]
    All,
    /// Pages, webhooks and the socket; the work is left to others.
    Web,
    /// The work: nobody reaches it but through the socket, and its metrics.
    Work,
}

/// What differs between the shipped program and a test or the sandbox.
pub struct Parts {
    /// Time.
    pub clock: Arc<dyn Clock>,
    /// Randomness.
    pub random: Arc<dyn Random>,
    /// How large the database's file may become, and what is kept of the disk for removals.
    pub storage: Options,
    /// Lies between the service and its store, where somebody wants to look or to break off.
    pub wrap_store: Option<WrapStore>,
    /// Renders `/metrics`, if a recorder is installed.
    pub metrics: Option<PrometheusHandle>,
    /// Notified when the operator wants files to be looked at again.
    pub reload: Arc<Notify>,
    /// What it does.
    pub duties: Duties,
}

impl Parts {
    /// The shipped program's.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            random: Arc::new(SystemRandom),
            storage: Options::default(),
            wrap_store: None,
            metrics: None,
            reload: Arc::default(),
            duties: Duties::All,
        }
    }
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").field("clock", &self.clock).finish_non_exhaustive()
    }
}

/// The running service.
#[derive(Debug)]
pub struct App {
    lock: Lock,
    engine: Engine,
    counter: Counter,
    clock: Arc<dyn Clock>,
    store: Arc<dyn Store>,
    queue: Option<Arc<Queue>>,
    address: SocketAddr,
    metrics_address: Option<SocketAddr>,
    servers: Vec<actix_web::dev::ServerHandle>,
    background: Vec<JoinHandle<()>>,
    door: Option<Door>,
}

impl App {
    /// Starts everything and answers requests.
    ///
    /// # Errors
    /// Whatever stops the start, with what to do about it: nothing runs half.
    pub async fn start(config: &Config, parts: Parts) -> anyhow::Result<Self> {
        let duties = parts.duties;
        let lock = Lock::for_service(&config.data_dir).await?;
        let database = config.database.clone().timed_by(&parts.clock);
        let engine = Engine::open(&database, parts.storage).await?;
        ensure!(
            duties == Duties::All || matches!(engine, Engine::Postgres(_)),
            "one process does everything where the database is a file: leave --web and --worker out, or name a PostgreSQL \
             server under [database]"
        );
        let mut store = engine.store();
        if let Some(wrap) = parts.wrap_store {
            store = wrap(store);
        }
        let wall = Arc::clone(&parts.clock);
        let tls = config.tls.clone().map(|files| Tls::open(files, Arc::clone(&wall))).transpose()?;
        let (guard, last) =
            guarded(parts.clock, &engine, store.as_ref()).await.context("the database cannot be read")?;
        let clock: Arc<dyn Clock> = Arc::<GuardedClock<_>>::clone(&guard);
        let counter = Counter::at(&config.generation_file);
        let comparing = begin_with_copy(&counter, &engine, store.as_ref(), last, clock.now());
        let comparing = comparing.await.context("the database failed")?;
        let seal = Arc::new(seal::unlock(&config.key_file, store.as_ref(), clock.now()).await?);
        // Tokens, certificates and one-time codes are judged by other people's clocks: they get the wall's time as it is.
        let vendors = Arc::new(Vendors::new(Arc::clone(&store), Arc::clone(&seal), Arc::clone(&wall)));
        let live = Arc::new(Live::start(Arc::clone(&store), vendors).await.context("the rules cannot be loaded")?);
        let random = parts.random;
        let jobs = Arc::new(Jobs {
            store: Arc::clone(&store),
            live: Arc::clone(&live),
            clock: Arc::clone(&clock),
            trust: Arc::new(Sound { clock: Arc::<GuardedClock<_>>::clone(&guard), engine: engine.clone() }),
            random: Arc::clone(&random),
            seal: Arc::clone(&seal),
            public_url: config.public_url.clone(),
            post: Arc::new(Post::new(config.mail.clone(), config.public_url.clone(), Arc::clone(&wall))),
        });
        let run: Arc<dyn Run> = Arc::<Jobs>::clone(&jobs);
        let trust: Arc<dyn Trust> = Arc::<GuardedClock<_>>::clone(&guard);
        let settings = Settings { random: Arc::clone(&random), trust, ..Settings::default() };
        let queue = (duties != Duties::Web)
            .then(|| Arc::new(Queue::start(Arc::clone(&store), Arc::clone(&clock), run, settings)));
        let trust: Arc<dyn Trust> = Arc::<GuardedClock<_>>::clone(&guard);
        let sweep = queue.is_some().then(|| Arc::new(Sweep::new(Arc::clone(&store), Arc::clone(&clock), trust)));
        let reconcile = {
            let (store, live, clock) = (Arc::clone(&store), Arc::clone(&live), Arc::clone(&clock));
            Arc::new(Reconcile::new(store, live, clock, Arc::clone(&random), counter.clone(), comparing.as_ref()))
        };
        let health: Arc<dyn Health> = Arc::new(Pulse {
            engine: engine.clone(),
            store: Arc::clone(&store),
            clock: Arc::clone(&clock),
            trust: Arc::<GuardedClock<_>>::clone(&guard),
            queue: queue.clone(),
            sweep: sweep.clone(),
            reconcile: Arc::clone(&reconcile),
            counter: counter.clone(),
        });
        let mut app = Self {
            lock,
            engine,
            counter,
            clock,
            store: Arc::clone(&store),
            queue,
            address: config.listen,
            metrics_address: None,
            servers: Vec::new(),
            background: Vec::new(),
            door: None,
        };
        app.begin(sweep, reconcile, guard);
        let desk = Arc::new(ServiceDesk::new(config.clone(), Arc::clone(&wall), Arc::clone(&jobs)));
        let web = Arc::new(Web::new(config, store, wall, seal, live, jobs, Arc::clone(&health)));
        if duties != Duties::Work {
            let entrance = app.entrance(config, tls, parts.reload)?;
            app.serve(config, entrance, web)?;
        }
        app.serve_metrics(config, health, parts.metrics)?;
        app.door = Some(Door::open(&config.data_dir, desk, Limits::default())?);
        tracing::info!(address = %app.address, version = env!("CARGO_PKG_VERSION"), "ready");
        Ok(app)
    }

    /// What goes on in the background for ever.
    fn begin(
        &mut self,
        sweep: Option<Arc<Sweep>>,
        reconcile: Arc<Reconcile>,
        clock: Arc<GuardedClock<Arc<dyn Clock>>>,
    ) {
        let works = self.queue.is_some();
        if let (Some(sweep), Some(waking)) = (sweep, self.queue.clone()) {
            self.background.push(tokio::spawn(async move { sweep.run(move || waking.wake()).await }));
        }
        match &self.engine {
            Engine::Sqlite(_) => self.background.push(tokio::spawn(async move { reconcile.run().await })),
            Engine::Postgres(server) => {
                let (server, store, counter) = (Arc::clone(server), Arc::clone(&self.store), self.counter.clone());
                self.background.extend(Replica { server, store, counter, clock, reconcile }.begin(works));
            }
        }
    }

    fn entrance(&mut self, config: &Config, tls: Option<Arc<Tls>>, reload: Arc<Notify>) -> anyhow::Result<Entrance> {
        let Some(tls) = tls else {
            let is_loopback = config.listen.ip().to_canonical().is_loopback();
            return Ok(if is_loopback {
                Entrance::Loopback
            } else {
                Entrance::Proxies(config.trusted_proxies.clone())
            });
        };
        let entrance = Entrance::Tls(Arc::new(tls.server_config().context("TLS cannot be set up")?));
        self.background.push(tokio::spawn(tls.watch(reload)));
        Ok(entrance)
    }

    fn serve(&mut self, config: &Config, entrance: Entrance, web: Arc<Web>) -> anyhow::Result<()> {
        let listener = listen(config.listen)?;
        self.address = listener.local_addr()?;
        let server = http::serve(web, listener, entrance)?;
        self.servers.push(server.handle());
        self.background.push(tokio::spawn(async move { drop(server.await) }));
        Ok(())
    }

    fn serve_metrics(
        &mut self,
        config: &Config,
        health: Arc<dyn Health>,
        metrics: Option<PrometheusHandle>,
    ) -> anyhow::Result<()> {
        if let (Some(address), Some(metrics)) = (config.metrics_listen, metrics) {
            let listener = listen(address)?;
            self.metrics_address = Some(listener.local_addr()?);
            let server = http::serve_metrics(metrics, health, listener)?;
            self.servers.push(server.handle());
            self.background.push(tokio::spawn(async move { drop(server.await) }));
        }
        Ok(())
    }

    /// Where pages and hooks are.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where metrics are, if anywhere.
    #[must_use]
    pub const fn metrics_address(&self) -> Option<SocketAddr> {
        self.metrics_address
    }

    /// What is remembered.
    #[must_use]
    pub fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// True when nothing runs and nothing is due, here or in another process.
    pub async fn is_idle(&self) -> bool {
        let Some(queue) = &self.queue else {
            let state = self.store.queue(self.clock.now()).await;
            return state.is_ok_and(|state| state.ready == 0 && state.leased == 0);
        };
        queue.idle().await
    }

    /// Stops taking requests and work, lets what is under way finish, breaks off what does not, and closes the database: within
    /// ten seconds in all.
    pub async fn stop(self) {
        let Self { lock, engine, counter, clock, store, queue, servers, background, door, .. } = self;
        let requests = futures::future::join_all(servers.iter().map(|server| server.stop(true)));
        let typed = async {
            if let Some(door) = door {
                door.shut().await;
            }
        };
        let work = async {
            if let Some(queue) = &queue {
                queue.stop(GRACE).await;
            }
        };
        tokio::join!(requests, typed, work);
        for task in background {
            task.abort();
        }
        match &engine {
            Engine::Sqlite(_) => engine.close().await,
            Engine::Postgres(_) => {
                let closing = async {
                    replicas::count(&counter, store.as_ref(), clock.now()).await;
                    engine.close().await;
                };
                if tokio::time::timeout(CLOSING, closing).await.is_err() {
                    tracing::warn!(
                        "the database's server does not answer and is not waited for; nothing that was committed is lost"
                    );
                }
            }
        }
        drop(lock);
        tracing::info!("stopped");
    }
}

fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).map_err(|error| {
        let to_do = match error.kind() {
            ErrorKind::PermissionDenied => {
                "a port below 1024 takes AmbientCapabilities=CAP_NET_BIND_SERVICE and the same in \
                 CapabilityBoundingSet= of the unit, or a reverse proxy"
            }
            ErrorKind::AddrNotAvailable => "this machine has no such address; name one of its own in listen",
            _ => "is another one running?",
        };
        anyhow::Error::new(error).context(format!("{address} cannot be listened on; {to_do}"))
    })
}

/// The wall's time, held against what the database saw last, and against its server's.
async fn guarded(wall: Arc<dyn Clock>, engine: &Engine, store: &dyn Store) -> Result<Guarded, StoreError> {
    let guard = Arc::new(GuardedClock::new(wall));
    let (last, counted) = (store.last_seen().await?, store.counted_since().await?);
    match (engine, last) {
        (Engine::Postgres(server), last) => replicas::hold(server, &guard, last, counted).await?,
        (Engine::Sqlite(_), Some(last)) => guard.seen_before(last, counted),
        (Engine::Sqlite(_), None) => {}
    }
    Ok((guard, last))
}

/// The clock, and when the database was last written to.
type Guarded = (Arc<GuardedClock<Arc<dyn Clock>>>, Option<Timestamp>);

/// The service's work for a command that is alone with the database: the same parts, without pages, hooks and sweep.
pub(crate) async fn jobs_alone(
    config: &Config,
    engine: &Engine,
    wall: Arc<dyn Clock>,
    seal: Arc<seal::Seal>,
    live: Arc<Live>,
) -> anyhow::Result<Arc<Jobs>> {
    let store = engine.store();
    let (guard, _) = guarded(Arc::clone(&wall), engine, store.as_ref()).await.context("the database cannot be read")?;
    Ok(Arc::new(Jobs {
        store,
        live,
        clock: Arc::<GuardedClock<_>>::clone(&guard),
        trust: guard,
        random: Arc::new(SystemRandom),
        seal,
        public_url: config.public_url.clone(),
        post: Arc::new(Post::new(config.mail.clone(), config.public_url.clone(), wall)),
    }))
}

/// Runs until `stop` is done.
///
/// # Errors
/// As [`App::start`].
pub async fn run(config: Config, parts: Parts, stop: impl Future<Output = ()>) -> anyhow::Result<()> {
    let app = App::start(&config, parts).await?;
    stop.await;
    app.stop().await;
    Ok(())
}

/// Raises the generation; or notes that this is an older copy, which is compared before it acts: before anything else is
/// written to it.
async fn begin_with_copy(
    counter: &Counter,
    engine: &Engine,
    store: &dyn Store,
    knows_until: Option<Timestamp>,
    now: Timestamp,
) -> Result<Option<Comparing>, StoreError> {
    if let Standing::Older(why) = counter.standing_beside(store, engine.joins()).await? {
        tracing::error!(why, "an older copy of the database: nothing is given or ended before it was compared");
        let comparing = Comparing { since: now, knows_until, later_holds: LaterHolds::Unknown, noted_at: None };
        return store.compare_first(comparing).await.map(Some);
    }
    match counter.raise(store).await {
        Ok(_) => {}
        Err(CounterError::Store(error)) => return Err(error),
        Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the generation could not be raised"),
    }
    Ok(None)
}

/// What is given by: a clock that is trusted, and a database that is not damaged.
#[derive(Debug)]
struct Sound {
    clock: Arc<dyn Trust>,
    engine: Engine,
}

impl Trust for Sound {
    fn doubt(&self) -> Option<Doubt> {
        self.engine.damage().map_or_else(|| self.clock.doubt(), |_| Some(Doubt::Damaged))
    }

    fn as_others_see(&self, at: Timestamp) -> Timestamp {
        self.clock.as_others_see(at)
    }
}

/// What `/readyz` looks at.
#[derive(Debug)]
struct Pulse {
    engine: Engine,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    trust: Arc<dyn Trust>,
    queue: Option<Arc<Queue>>,
    sweep: Option<Arc<Sweep>>,
    reconcile: Arc<Reconcile>,
    counter: Counter,
}

impl Pulse {
    /// Shows that writing works. A time in doubt is not written down.
    async fn beat(&self) -> Result<(), StoreError> {
        match self.trust.doubt() {
            Some(_) => self.store.queue(self.clock.now()).await.map(drop),
            None => self.store.heartbeat(self.clock.now()).await,
        }
    }
}

impl Pulse {
    /// On a server it is raised again and again; with a file, nobody does so before the next start or backup.
    async fn raised(&self) -> Result<(), String> {
        if self.counter.unraised().is_some() && matches!(self.engine, Engine::Sqlite(_)) {
            let _ = tokio::time::timeout(PATIENCE, self.counter.raise(self.store.as_ref())).await;
        }
        self.counter.unraised().map_or(Ok(()), Err)
    }

    /// Of the work that is done here, or of what waits while it is left to others.
    async fn work(&self) -> Vec<HealthCheck> {
        let said = |is_well: bool, why: &str| if is_well { Ok(()) } else { Err(why.to_owned()) };
        let (Some(queue), Some(sweep)) = (&self.queue, &self.sweep) else {
            let now = self.clock.now();
            let state = self.store.queue(now).await;
            let is_done = state.is_ok_and(|state| state.oldest_due.is_none_or(|since| now.since(since) < LEFT_LYING));
            let why = "no worker takes up what is due: start one with latchkey serve --worker";
            return vec![HealthCheck { name: "worker", result: said(is_done, why) }];
        };
        vec![
            HealthCheck {
                name: "worker",
                result: said(queue.is_alive(), "the worker is dead: nothing is granted or ended"),
            },
            HealthCheck { name: "sweep", result: said(sweep.is_alive(), "the sweep has not run for three minutes") },
        ]
    }
}

#[async_trait::async_trait]
impl Health for Pulse {
    async fn checks(&self) -> Vec<HealthCheck> {
        let database = match tokio::time::timeout(PATIENCE, self.beat()).await {
            Ok(Ok(())) => self.engine.damage().map_or(Ok(()), |found| {
                Err(format!(
                    "the database is damaged ({found}): stop the service, keep a copy of the file, restore a backup"
                ))
            }),
            Ok(Err(error)) => Err(error.to_string()),
            Err(_) => Err("the database did not answer within 3 s".to_owned()),
        };
        let clock = self.trust.doubt().map_or(Ok(()), |doubt| Err(doubt.sentence().to_owned()));
        let mut checks = vec![HealthCheck { name: "database", result: database }];
        checks.extend(self.work().await);
        checks.extend([
            HealthCheck { name: "clock", result: clock },
            HealthCheck { name: "reconcile", result: self.reconcile.waits().map_or(Ok(()), Err) },
            HealthCheck { name: "generation", result: self.raised().await },
        ]);
        checks
    }
}
