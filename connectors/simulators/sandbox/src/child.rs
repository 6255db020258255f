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

use clap::{Args, ValueEnum};
use latchkey::{
    app::{self, Parts},
    config::Config,
    telemetry,
};
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::{
    clock::MovableClock,
    counted::{Calls, Counted},
};

#[derive(Debug, Args)]
pub(crate) struct ChildOptions {
    /// The service's configuration
    #[arg(long)]
    config: PathBuf,
    /// How far ahead of real time the clock starts, in milliseconds
    #[arg(long)]
    clock_ms: u64,
    /// What lies between the service and its store
    #[arg(long, value_enum, default_value_t = Between::Nothing)]
    between: Between,
}

/// What lies between the service and its store: where the sandbox measures, somebody who counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub(crate) enum Between {
    /// Nothing.
    #[default]
    Nothing,
    /// Somebody who counts the calls.
    Counting,
    /// Somebody who says of every delivery that it was recorded, and records none: the same door without the database.
    Forgetting,
}

/// Runs the service until standard input ends, which says that the parent wants the end or is gone.
pub(crate) async fn run(options: &ChildOptions) -> anyhow::Result<()> {
    let config = Config::load(&options.config)?;
    let _log = telemetry::log_to_stderr(config.log_format, config.log_level).map_err(anyhow::Error::from_boxed)?;
    let clock = MovableClock::new(Duration::from_millis(options.clock_ms));
    let calls = Arc::new(Calls::default());
    let stop = obey(clock.clone(), Arc::clone(&calls));
    let mut parts = Parts::new(Arc::new(clock));
    if config.metrics_listen.is_some() {
        parts.metrics = Some(telemetry::metrics()?);
    }
    if options.between != Between::Nothing {
        let forgets = options.between == Between::Forgetting;
        parts.wrap_store = Some(Box::new(move |store| Arc::new(Counted::new(store, calls, forgets))));
    }
    app::run(config, parts, stop).await
}

/// Moves the clock, and tells what was counted, as the parent says; returns when there is nothing more to obey.
async fn obey(clock: MovableClock, calls: Arc<Calls>) {
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        let answer = if line == "calls" {
            format!("calls {}", calls.json())
        } else if let Some(ms) = line.strip_prefix("advance ").and_then(|ms| ms.parse().ok()) {
            format!("moved {}", clock.advance(Duration::from_millis(ms)).as_millis())
        } else {
            tracing::warn!("the parent said something that is not understood");
            continue;
        };
        // The parent waits for this line; when it cannot be told, it is gone.
        let mut out = io::stdout();
        if writeln!(out, "{answer}").and_then(|()| out.flush()).is_err() {
            return;
        }
    }
}
