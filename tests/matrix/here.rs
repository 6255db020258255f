//! The service in this very process, for what it lives through; what all such runs log goes to one file.

use std::{
    fs::File,
    sync::{Arc, Mutex, OnceLock},
};

use latchkey::{
    store::Store,
    telemetry::{LogFormat, LogLevel, subscriber},
};

use crate::{child::TRACE, harness::TestApp, watched::Watched, wrong::Obstacle};

/// The log; it goes with the process.
fn log() -> &'static Mutex<File> {
    static LOG: OnceLock<Mutex<File>> = OnceLock::new();
    LOG.get_or_init(|| {
        let file = tempfile::tempfile().unwrap();
        let writer = Mutex::new(file.try_clone().unwrap());
        tracing::subscriber::set_global_default(subscriber(LogFormat::Json, LogLevel::Debug, writer)).unwrap();
        Mutex::new(file)
    })
}

pub(crate) fn log_length() -> u64 {
    log().lock().unwrap().metadata().unwrap().len()
}

pub(crate) fn log_since(from: u64) -> Vec<u8> {
    use std::os::unix::fs::FileExt as _;
    let file = log().lock().unwrap();
    let length = usize::try_from(file.metadata().unwrap().len().saturating_sub(from)).unwrap();
    let mut bytes = vec![0; length];
    file.read_exact_at(&mut bytes, from).unwrap();
    bytes
}

/// Starts the service with somebody between it and its store; it may not be able to.
pub(crate) async fn up(app: &mut TestApp, obstacle: Option<Arc<Obstacle>>) -> anyhow::Result<Arc<Watched>> {
    let trace = app.place().0.join(TRACE);
    let watched: Arc<OnceLock<Arc<Watched>>> = Arc::default();
    let keep = Arc::clone(&watched);
    let wrap = move |inner: Arc<dyn Store>| -> Arc<dyn Store> {
        let store = Arc::new(Watched::new(inner, &trace, None).hindered(obstacle));
        keep.set(Arc::clone(&store)).unwrap();
        store
    };
    app.try_up_with(|parts| parts.wrap_store = Some(Box::new(wrap))).await?;
    Ok(Arc::clone(watched.get().expect("App::start wraps the store")))
}
