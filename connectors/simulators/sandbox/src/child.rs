//! The real service, as the sandbox's child process runs it: the library that the shipped binary is
//! made of, with a clock that the parent moves.
//!
//! The conversation with the parent is described in `service`.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use clap::Args;
use latchkey::{
    app::{self, Parts},
    config::Config,
    telemetry,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::clock::MovableClock;

#[derive(Debug, Args)]
pub(crate) struct ChildOptions {
    /// The service's configuration
    #[arg(long)]
    config: PathBuf,
    /// How far ahead of real time the clock starts, in milliseconds
    #[arg(long)]
    clock_ms: u64,
}

/// Runs the service until standard input ends, which says that the parent wants the end or is gone.
pub(crate) async fn run(options: &ChildOptions) -> anyhow::Result<()> {
    let config = Config::load(&options.config)?;
    telemetry::log_to_stderr(config.log_format, config.log_level).map_err(anyhow::Error::from_boxed)?;
    let clock = MovableClock::new(Duration::from_millis(options.clock_ms));
    let stop = obey(clock.clone());
    app::run(config, Parts::new(Arc::new(clock)), stop).await
}

/// Moves the clock as the parent says; returns when there is nothing more to obey.
async fn obey(clock: MovableClock) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let Some(ms) = line.strip_prefix("advance ").and_then(|ms| ms.parse().ok()) else {
            tracing::warn!("the parent said something that is not understood");
            continue;
        };
        let offset = clock.advance(Duration::from_millis(ms));
        // The parent waits for this line; when it cannot be told, it is gone.
        let mut out = io::stdout();
        if writeln!(out, "moved {}", offset.as_millis()).and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
