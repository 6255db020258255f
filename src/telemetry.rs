//! Logs and metrics. What is logged is decided where it is logged; here is how it looks and where it goes.
//!
//! Lines of other crates are kept only from `warn` on: at lower levels some of them print requests whole.

use std::io;

use metrics_exporter_prometheus::{BuildError, Matcher, PrometheusBuilder, PrometheusHandle};
use serde::Deserialize;
use tracing::Subscriber;
use tracing_subscriber::{
    EnvFilter, fmt::MakeWriter, layer::SubscriberExt, registry::Registry, util::SubscriberInitExt,
};

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

/// Sends this process's log lines to standard error.
///
/// # Errors
/// When somebody has set a subscriber before.
pub fn log_to_stderr(format: LogFormat, level: LogLevel) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    Ok(subscriber(format, level, io::stderr).try_init()?)
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
