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
