//! Logs and metrics. What is logged is decided where it is logged; here is how it looks and where it goes.
//!
//! Lines of other crates are kept only from `warn` on: at lower levels some of them print requests whole.

mod lines;

use std::{
    backtrace::{Backtrace, BacktraceStatus},
    io,
    sync::Arc,
    thread,
    time::Duration,
};

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt, registry::Registry, util::SubscriberInitExt,
};

use lines::Lines;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// One JSON object per line.
    #[default]
    Json,
    /// For people.
    Text,
}

/// How much is logged of what this program itself does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// One line per transition.
    #[default]
    Info,
    /// Outside calls too.
    Debug,
}

/// Upper bounds of every duration's histogram: 5 ms to 1 h.
pub const BUCKETS_S: [f64; 17] =
    [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 600.0, 1800.0, 3600.0];

/// Upper bounds of the number of rows in one write: up to the largest batch of the store.
const BUCKETS_ROWS: [f64; 9] = [1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 256.0];

/// How long the last lines may take at the end where nobody reads them.
const LAST_LINES: Duration = Duration::from_secs(1);

/// The same for the line of a panic, with which the process may end.
const PANIC: Duration = Duration::from_millis(100);

/// The log of this process. When it is dropped, the last lines are waited for, a second at most.
#[derive(Debug)]
#[must_use = "the last lines are waited for when it is dropped"]
pub struct Log(Arc<Lines>);

impl Log {
    /// Says what is not a log line, after those before it.
    pub fn say(&self, line: &str) {
        self.0.put(format!("{line}\n").as_bytes());
    }
}

impl Drop for Log {
    fn drop(&mut self) {
        self.0.flush(LAST_LINES);
    }
}

/// Sends this process's log lines to standard error, and what is said of a panic. Nobody waits until they are taken:
/// thousands wait themselves, and the others are lost.
///
/// # Errors
/// When somebody has set a subscriber before, or there can be no more threads.
pub fn log_to_stderr(format: LogFormat, level: LogLevel) -> Result<Log, Box<dyn std::error::Error + Send + Sync>> {
    let lines = Lines::start(io::stderr(), format, level)?;
    subscriber(format, level, Arc::clone(&lines)).try_init()?;
    tell_of_panics(Arc::clone(&lines));
    Ok(Log(lines))
}

/// In the words of the standard library, whose own hook would wait until somebody reads.
fn tell_of_panics(lines: Arc<Lines>) {
    std::panic::set_hook(Box::new(move |panic| {
        let (thread, trace) = (thread::current(), Backtrace::capture());
        let trace = match trace.status() {
            BacktraceStatus::Captured => format!("stack backtrace:\n{trace}\n"),
            _ => String::new(),
        };
        let name = thread.name().unwrap_or("<unnamed>");
        lines.put(format!("\nthread '{name}' {panic}\n{trace}").as_bytes());
        lines.flush(PANIC);
    }));
}

/// A subscriber over any writer.
pub fn subscriber<W>(format: LogFormat, level: LogLevel, writer: W) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let layer = tracing_subscriber::fmt::layer().with_writer(writer).with_target(false);
    match format {
        LogFormat::Json => {
            let json = layer.json().flatten_event(true).with_current_span(true).with_span_list(false);
            Box::new(Registry::default().with(filter(level)).with(json))
        }
        LogFormat::Text => Box::new(Registry::default().with(filter(level)).with(layer)),
    }
}

/// Installs the process's metrics recorder; its handle renders Prometheus' text form.
///
/// # Errors
/// When there is one already.
pub fn metrics() -> Result<PrometheusHandle, BuildError> {
    with_buckets()?.install_recorder()
}

fn with_buckets() -> Result<PrometheusBuilder, BuildError> {
    PrometheusBuilder::new()
        .set_buckets(&BUCKETS_S)?
        .set_buckets_for_metric(Matcher::Full("db_batch_rows".to_owned()), &BUCKETS_ROWS)
}

/// A target of a directive is a prefix: `latchkey` means every crate of ours.
fn filter(level: LogLevel) -> EnvFilter {
    match level {
        LogLevel::Info => EnvFilter::new("warn,latchkey=info"),
        LogLevel::Debug => EnvFilter::new("warn,latchkey=debug"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn rows_are_counted_and_times_measured_in_buckets_of_their_own() {
        let recorder = with_buckets().unwrap().build_recorder();
        metrics::with_local_recorder(&recorder, || {
            metrics::histogram!("db_batch_rows").record(100.0);
            metrics::histogram!("db_commit_seconds").record(0.01);
        });
        let text = recorder.handle().render();
        assert!(text.contains("db_batch_rows_bucket{le=\"50\"} 0"), "{text}");
        assert!(text.contains("db_batch_rows_bucket{le=\"100\"} 1"), "{text}");
        assert!(text.contains("db_batch_rows_bucket{le=\"256\"} 1"), "{text}");
        assert!(text.contains("db_commit_seconds_bucket{le=\"3600\"} 1"), "{text}");
    }

    /// A child of this test panics, and ends before anything else can be waited for.
    #[test]
    fn a_panics_words_come_out_after_the_lines_before_it() {
        const UNLUCKY: &str = "LATCHKEY_TEST_UNLUCKY";
        if std::env::var_os(UNLUCKY).is_some() {
            std::mem::forget(log_to_stderr(LogFormat::Json, LogLevel::Info).unwrap());
            tracing::info!("a line before it");
            let unlucky = thread::Builder::new().name("unlucky".to_owned()).spawn(|| panic!("out of luck"));
            assert!(unlucky.unwrap().join().is_err());
            std::process::exit(0);
        }
        let output = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "telemetry::tests::a_panics_words_come_out_after_the_lines_before_it", "--nocapture"])
            .env(UNLUCKY, "1")
            .output()
            .unwrap();
        let log = String::from_utf8(output.stderr).unwrap();
        let at = |words: &str| log.find(words).unwrap_or_else(|| panic!("{words}: {log}"));
        assert!(at("a line before it") < at("thread 'unlucky' panicked at src/telemetry.rs"), "{log}");
        at("out of luck");
    }

    #[test]
    fn a_line_is_one_json_object_with_its_fields_beside_the_message() {
        let lines = Lines::default();
        let writer = lines.clone();
        tracing::subscriber::with_default(subscriber(LogFormat::Json, LogLevel::Info, move || writer.clone()), || {
            tracing::info!(grant.id = "g1", duration_ms = 7, "grant active");
            tracing::debug!("not at this level");
            tracing::info!(target: "hyper", "not ours");
            tracing::info!(target: "latchkey_entra::graph", "ours too");
        });
        let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
        let line: serde_json::Value = serde_json::from_str(text.lines().next().unwrap()).unwrap();
        assert_eq!(text.lines().count(), 2);
        assert_eq!(line["message"], "grant active");
        assert_eq!(line["grant.id"], "g1");
        assert_eq!(line["duration_ms"], 7);
        assert!(line["timestamp"].as_str().unwrap().ends_with('Z'));
    }
}
