//! Where is measured: a sandbox whose service counts, with a tenant that has no PIM, and technicians enough.

use std::time::Duration;

use anyhow::Context as _;
use latchkey::{config::Config, store};
use latchkey_simulators::graph::Licence;

use super::engine::Engine;
use crate::{
    child::Between,
    sandbox::{Plan, Psas, Sandbox, free_port},
};

/// Technicians who ask.
const TECHNICIANS: usize = 20;

/// More of them, and it is the simulated PSA that is measured, which goes through all of them for each list.
const TICKETS: usize = 10_000;

/// PSAs count in whole seconds.
const A_SECOND: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Place {
    pub(super) sandbox: Sandbox,
    pub(super) engine: Engine,
    pub(super) config: Config,
    /// Tickets that were there before the service was.
    pub(super) tickets: Vec<i64>,
    metrics: String,
    client: reqwest::Client,
}

impl Place {
    /// Installed with ConnectWise alone, and not started.
    pub(super) async fn new(engine: Engine) -> anyhow::Result<Self> {
        Self::connected(engine, Psas::ConnectWise).await
    }

    /// Installed with these PSAs, and not started.
    pub(super) async fn connected(engine: Engine, psas: Psas) -> anyhow::Result<Self> {
        let metrics = free_port()?;
        let plan = Plan {
            // PIM takes no role in its first five minutes, and nobody measures that.
            licence: Licence::Free,
            crowd: TECHNICIANS,
            mode: "burner",
            psas,
            // Deliveries from many sources come through a proxy.
            settings: format!("metrics_listen = \"{metrics}\"\ntrusted_proxies = [\"127.0.0.1\"]\n{}", engine.fresh()?),
            ..Plan::default()
        };
        let sandbox = Sandbox::set_up(None, &plan).await?;
        let config = Config::load(&sandbox.config())?;
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build()?;
        let metrics = format!("http://{metrics}/metrics");
        Ok(Self { sandbox, engine, config, tickets: Vec::new(), metrics, client })
    }

    /// Started, and ready.
    pub(super) async fn up(engine: Engine) -> anyhow::Result<Self> {
        Self::up_among(engine, 0).await
    }

    /// Started, and ready, where there have been tickets for long, one for each of so many grants; one at least, and
    /// [`TICKETS`] at most.
    pub(super) async fn up_among(engine: Engine, grants: usize) -> anyhow::Result<Self> {
        let mut place = Self::new(engine).await?;
        let psa = &place.sandbox.vendors.connectwise;
        place.tickets = (0..grants.clamp(1, TICKETS))
            .map(|_| psa.open_unheard("A printer prints backwards"))
            .collect::<Result<_, _>>()?;
        // The first poll begins with its own second: none of them stands in it, or all would be looked at meanwhile.
        tokio::time::sleep(A_SECOND).await;
        place.start(Between::Nothing).await?;
        // The PSA's audit trail counts whole seconds: nothing is asked in the second in which the mappings came into force.
        place.sandbox.service.advance(Duration::from_secs(2)).await?;
        Ok(place)
    }

    pub(super) async fn start(&self, between: Between) -> anyhow::Result<()> {
        self.sandbox.service.start_with(between).await?;
        self.sandbox.service.ready().await
    }

    /// The ticket of the `n`th grant of many.
    pub(super) fn ticket(&self, n: usize) -> anyhow::Result<i64> {
        self.tickets.get(n % self.tickets.len().max(1)).copied().context("there is a ticket")
    }

    /// Opens the store; the service is down.
    pub(super) async fn open(&self) -> anyhow::Result<store::Engine> {
        Engine::open(&self.config).await
    }

    /// A counter of the service, or the sum or count of a histogram; 0 before it was first counted.
    pub(super) async fn metric(&self, name: &str) -> anyhow::Result<f64> {
        let answer = self.client.get(&self.metrics).send().await.context("the service shows no metrics")?;
        let text = answer.error_for_status()?.text().await?;
        let values = text.lines().filter_map(|line| line.split_once(' ').filter(|(found, _)| *found == name));
        Ok(values.filter_map(|(_, value)| value.parse::<f64>().ok()).sum())
    }

    /// Bytes in the database's files.
    pub(super) fn stored(&self) -> anyhow::Result<u64> {
        Engine::stored(&self.config)
    }

    /// A number that grows with what is written to the database; see [`Engine::written`].
    pub(super) fn written(&self) -> anyhow::Result<u64> {
        Engine::written(&self.config)
    }

    /// Transactions by the engine's own count; see [`Engine::transactions`].
    pub(super) fn transactions(&self) -> anyhow::Result<u64> {
        Engine::transactions(&self.config)
    }

    /// What the service has logged.
    pub(super) fn log(&self) -> anyhow::Result<String> {
        Ok(std::fs::read_to_string(self.sandbox.service.log())?)
    }
}
