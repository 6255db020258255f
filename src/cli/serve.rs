//! `latchkey serve`.

use std::{path::Path, sync::Arc};

use anyhow::{Context, anyhow};
use tokio::signal::unix::{SignalKind, signal};

use crate::{
    app::{self, Parts},
    clock::SystemClock,
    config::Config,
    telemetry,
};

pub(super) async fn run(config: &Path) -> anyhow::Result<()> {
    let config = Config::load(config)?;
    config.make_data_dir()?;
    telemetry::log_to_stderr(config.log_format, config.log_level).map_err(|e| anyhow!(e))?;
    let metrics = telemetry::metrics().context("metrics cannot be kept")?;
    let parts = Parts { metrics: Some(metrics), ..Parts::new(Arc::new(SystemClock::new())) };
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
