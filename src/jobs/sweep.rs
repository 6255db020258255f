//! The safety net under the queue: rows are the truth, and a task that a row needs and that is missing is made again.
//! Also the pulse: once a minute the wall time is written down, which shows that writing works and what time was seen.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use latchkey_contract::Clock;

use crate::{
    clock_guard::{Doubt, Trust},
    store::Store,
};

/// Between two beats.
const BEAT: Duration = Duration::from_secs(60);

/// A sweep with every so many beats.
const BEATS_PER_SWEEP: u64 = 5;

/// Without a beat for this long the service is not ready.
const DEAD_AFTER: Duration = Duration::from_secs(180);

/// The sweep, and when it last went well.
#[derive(Debug)]
pub struct Sweep {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    trust: Arc<dyn Trust>,
    beat_ms: AtomicU64,
    /// Audit entries were owed when last looked at: then every beat looks, and otherwise every sweep.
    owes: AtomicBool,
}

impl Sweep {
    /// Not running yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, trust: Arc<dyn Trust>) -> Self {
        let beat_ms = AtomicU64::new(millis(clock.monotonic()));
        Self { store, clock, trust, beat_ms, owes: AtomicBool::new(false) }
    }

    /// Beats and sweeps for ever; the caller drops the future to stop it. `wake` is called when tasks were made.
    pub async fn run(&self, wake: impl Fn() + Send + Sync) {
        let mut is_owed = true;
        for beat in 0_u64.. {
            let now = self.clock.now();
            is_owed |= beat.is_multiple_of(BEATS_PER_SWEEP);
            match self.beat(is_owed).await {
                Ok(made) => {
                    is_owed = false;
                    self.beat_ms.store(millis(self.clock.monotonic()), Ordering::Relaxed);
                    if made > 0 {
                        tracing::warn!(made, "the sweep made tasks that were missing");
                        wake();
                    }
                }
                Err(error) => tracing::error!(error = &error as &dyn std::error::Error, "the sweep failed"),
            }
            while self.clock.now() < now + BEAT {
                self.clock.sleep_until(now + BEAT).await;
            }
        }
    }

    /// True while beats come.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        let since = millis(self.clock.monotonic()).saturating_sub(self.beat_ms.load(Ordering::Relaxed));
        since < millis(DEAD_AFTER)
    }

    async fn beat(&self, sweeps: bool) -> Result<u64, crate::store::StoreError> {
        let now = self.clock.now();
        match self.trust.doubt() {
            None => self.store.heartbeat(now).await?,
            // Not written down: it would outlive the doubt.
            Some(Doubt::JumpedForward | Doubt::OffDatabase | Doubt::NotCompared | Doubt::Damaged) => {}
            // It goes on from a time that was believed, and a restart must not begin there once more.
            Some(Doubt::SetBack | Doubt::StartedBelow) => self.store.heartbeat_in_doubt(now).await?,
        }
        if sweeps || self.owes.load(Ordering::Relaxed) {
            self.chain_owed().await;
        }
        if sweeps { self.store.sweep(now).await } else { Ok(0) }
    }

    /// A chain that takes no entries holds up neither beat nor sweep: removal goes on without it.
    async fn chain_owed(&self) {
        let chained = self.store.chain_owed().await;
        let owed = match self.store.audit_owed().await {
            Ok(owed) => owed,
            Err(error) => {
                return tracing::error!(error = &error as &dyn std::error::Error, "the audit log cannot be read");
            }
        };
        self.owes.store(owed > 0, Ordering::Relaxed);
        metrics::gauge!("audit_owed").set(f64::from(u32::try_from(owed).unwrap_or(u32::MAX)));
        if let Err(error) = chained {
            tracing::error!(
                owed,
                error = &error as &dyn std::error::Error,
                "audit entries are owed and cannot be chained: nothing is given until they are; look at the database"
            );
        }
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::{io, sync::Mutex};

    use sqlx::{Connection as _, SqliteConnection};

    use super::*;
    use crate::{
        clock::SystemClock,
        store::{
            Transition,
            sqlite::{Options, Sqlite},
            story::{entry, transition},
        },
        telemetry::{self, LogFormat, LogLevel},
    };

    #[derive(Debug)]
    struct Sure;

    impl Trust for Sure {
        fn doubt(&self) -> Option<Doubt> {
            None
        }
    }

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

    /// F143: that entries are owed is measured and said with each beat, once it was seen, until they are chained; the beat
    /// goes on.
    #[tokio::test]
    async fn what_is_owed_is_said_until_it_is_chained() {
        let lines = Lines::default();
        let writer = lines.clone();
        let everything = telemetry::subscriber(LogFormat::Json, LogLevel::Info, move || writer.clone());
        let _logging = tracing::subscriber::set_default(everything);
        // With a single subscriber in the process, a line first reached by another test's thread is switched off for all.
        let _second = tracing::Dispatch::new(tracing_subscriber::fmt().with_writer(io::sink).finish());
        let recorder = metrics_exporter_prometheus::PrometheusBuilder::new().build_recorder();
        let _measuring = metrics::set_default_local_recorder(&recorder);
        let measured = || recorder.handle().render();
        let said = || String::from_utf8(std::mem::take(&mut *lines.0.lock().unwrap())).unwrap();

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("latchkey.db");
        let store = Arc::new(Sqlite::open(&path, Options { reserve_bytes: 0, max_bytes: None }).await.unwrap());
        let sweep = Sweep::new(Arc::<Sqlite>::clone(&store), Arc::new(SystemClock::new()), Arc::new(Sure));
        let mut stranger = SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let broken = "CREATE TRIGGER stranger BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END";
        sqlx::query(broken).execute(&mut stranger).await.unwrap();
        let removal = Transition { is_removal: true, audit: vec![entry("a"), entry("b")], ..transition() };
        store.commit(removal).await.unwrap();
        assert!(measured().contains("audit_owed_total 2"), "{}", measured());
        let line = said();
        assert!(line.contains("\"level\":\"ERROR\"") && line.contains("\"entries\":2"), "{line}");
        for sweeps in [true, false] {
            sweep.beat(sweeps).await.unwrap();
            let line = said();
            assert!(line.contains("\"level\":\"ERROR\"") && line.contains("\"owed\":2"), "{line}");
            assert!(measured().contains("audit_owed 2"), "{}", measured());
        }
        sqlx::query("DROP TRIGGER stranger").execute(&mut stranger).await.unwrap();
        sweep.beat(false).await.unwrap();
        let line = said();
        assert!(!line.contains("ERROR") && line.contains("that were owed are chained"), "{line}");
        assert!(measured().contains("audit_owed 0"), "{}", measured());
        store.close().await;
    }
}
