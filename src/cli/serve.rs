//! `latchkey serve`.

use std::{path::Path, sync::Arc};

use anyhow::{Context, anyhow};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};

use super::Told;
use crate::{
    app::{self, Duties, Parts},
    clock::SystemClock,
    config::Config,
    telemetry,
};

/// Which half of the service, where several processes share a PostgreSQL database.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct Serve {
    /// Pages and webhooks only; at least one worker has to run elsewhere.
    #[arg(long, conflicts_with = "worker")]
    web: bool,
    /// The work only: what is due is done here, and nothing is listened on but metrics_listen.
    #[arg(long)]
    worker: bool,
}

impl Serve {
    const fn duties(self) -> Duties {
        match (self.web, self.worker) {
            (true, _) => Duties::Web,
            (_, true) => Duties::Work,
            _ => Duties::All,
        }
    }
}

pub(super) async fn run(config: &Path, wanted: Serve) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    config.make_data_dir()?;
    let log = telemetry::log_to_stderr(config.log_format, config.log_level).map_err(|e| anyhow!(e))?;
    until_told_to_stop(config, wanted).await.map_err(|error| {
        // Not by whoever writes to standard error itself: nobody may read there.
        log.say(&format!("latchkey: {error:#}"));
        Told.into()
    })
}

async fn until_told_to_stop(config: Config, wanted: Serve) -> anyhow::Result<()> {
    let metrics = telemetry::metrics().context("metrics cannot be kept")?;
    let duties = wanted.duties();
    let parts = Parts { metrics: Some(metrics), duties, ..Parts::new(Arc::new(SystemClock::new())) };
    let (reload, mut hang_up) =
        (Arc::clone(&parts.reload), signal(SignalKind::hangup()).context("SIGHUP cannot be waited for")?);
    tokio::spawn(async move {
        while hang_up.recv().await.is_some() {
            reload.notify_one();
        }
    });
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be waited for")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT cannot be waited for")?;
    let stop = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("stopping");
    };
    app::run(config, parts, stop).await
}
