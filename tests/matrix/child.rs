//! The service as a process of its own: the real one, on a clock that its parent moves line by line.

use std::{
    fs::File,
    io::Write as _,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use latchkey::{
    app::{App, Parts},
    random::SystemRandom,
    store::{Store, StoreError},
    telemetry::{Log, LogFormat, LogLevel, log_to_stderr, subscriber},
};
use latchkey_contract::{Clock as _, Timestamp};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt as _, BufReader},
    signal::unix::{SignalKind, signal},
};

use crate::{
    commands::Command,
    harness::{TestClock, config},
    point::Point,
    watched::Watched,
};

/// The environment variable that makes a child of this program.
pub(crate) const ORDERS: &str = "LATCHKEY_CRASH_ORDERS";

/// The marker of answers among what the test runner prints.
pub(crate) const MARK: &str = "@ ";

/// What a child is told at its start.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Orders {
    pub(crate) dir: PathBuf,
    pub(crate) port: u16,
    /// Since the time at which every test clock starts.
    pub(crate) elapsed_ms: u64,
    /// By so much the wall clock was set back since.
    pub(crate) behind_ms: u64,
    /// The commit around which it kills itself.
    pub(crate) kill: Option<Point>,
    /// It logs as the shipped program does, into a pipe that is full.
    pub(crate) unread: bool,
    /// Not the service but a command.
    pub(crate) command: Option<Command>,
}

/// Where the lines about commits are, and where the log is.
pub(crate) const TRACE: &str = "trace";
pub(crate) const LOG: &str = "log";

/// More than the allocator keeps for itself.
const LARGE: usize = 64 << 20;

/// What is left of memory to a process that is squeezed.
const LEFT: u64 = 256 << 10;

/// No more memory than there is in use, and no picture of it in a file should the process die of that.
fn squeeze() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix("VmSize:")).expect("Linux says it");
    let kib: u64 = size.trim().trim_end_matches("kB").trim().parse().unwrap();
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) }).unwrap();
    setrlimit(Resource::As, Rlimit { current: Some(kib * 1024 + LEFT), ..getrlimit(Resource::As) }).unwrap();
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // A parent that is gone hears nothing; the end of its lines ends this process too.
    let _ = out.write_all(format!("{MARK}{line}\n").as_bytes()).and_then(|()| out.flush());
}

/// When something is due that moves a story. What only watches is due twice a minute: it is done whenever time is moved
/// past it, and no story waits for it.
async fn due(store: &Watched) -> Result<Option<Timestamp>, StoreError> {
    let kinds = ["presence:", "poll:", "look:", "unheard:", "webhooks:"];
    let watches = |slot: &str| kinds.iter().any(|kind| slot.starts_with(kind));
    let tasks = store.tasks(u32::MAX).await?;
    Ok(tasks.iter().filter(|task| task.state != "dead" && !watches(&task.slot)).map(|task| task.at).min())
}

/// Whether it is at rest, and when something is due; given a moment to come to rest.
pub(crate) async fn rest(store: &Watched) -> String {
    for _ in 0..20 {
        if store.is_quiet()
            && let Ok(due) = due(store).await
        {
            return format!("quiet {}", due.map_or_else(|| "-".to_owned(), |due| due.millis().to_string()));
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    "busy -".to_owned()
}

fn log(orders: &Orders) -> Option<Log> {
    let (format, level) = (LogFormat::Json, LogLevel::Debug);
    if orders.unread {
        return Some(log_to_stderr(format, level).unwrap());
    }
    let log = File::options().create(true).append(true).open(orders.dir.join(LOG)).unwrap();
    tracing::subscriber::set_global_default(subscriber(format, level, Mutex::new(log))).unwrap();
    None
}

/// Runs the service until told to stop.
pub(crate) async fn serve(orders: &Orders) {
    let _log = log(orders);
    latchkey_simulators::authority::use_ring();
    let clock = TestClock::new();
    clock.pass(Duration::from_millis(orders.elapsed_ms));
    clock.set_wall(-i64::try_from(orders.behind_ms / 1000).unwrap());
    let (trace, kill) = (orders.dir.join(TRACE), orders.kill.clone());
    let watched: Arc<OnceLock<Arc<Watched>>> = Arc::default();
    let keep = Arc::clone(&watched);
    let wrap = move |inner: Arc<dyn Store>| -> Arc<dyn Store> {
        let store = Arc::new(Watched::new(inner, &trace, kill));
        keep.set(Arc::clone(&store)).unwrap();
        store
    };
    if let Some(command) = &orders.command {
        let done = command.is_done(&config(&orders.dir, orders.port), clock.now(), wrap).await;
        return say(if done { "stopped" } else { "failed" });
    }
    let parts = Parts {
        random: Arc::new(SystemRandom),
        wrap_store: Some(Box::new(wrap)),
        ..Parts::new(Arc::new(clock.clone()))
    };
    let app = match App::start(&config(&orders.dir, orders.port), parts).await {
        Ok(app) => app,
        Err(error) => return say(&format!("failed {error:#}").replace('\n', " ")),
    };
    let store: &Watched = watched.get().expect("App::start wraps the store");
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let mut fed = None;
    say("ready");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    loop {
        let line = tokio::select! {
            Ok(Some(line)) = lines.next_line() => line,
            // What the shipped program does then; who is stopped says nothing.
            _ = terminate.recv() => return app.stop().await,
            else => break,
        };
        match line.split_once(' ').unwrap_or((&line, "")) {
            ("pass", ms) => {
                clock.pass(Duration::from_millis(ms.parse().unwrap()));
                store.moved(clock.now());
                say("passed");
            }
            ("rest", _) => say(&rest(store).await),
            ("starve", _) => {
                fed = Some(getrlimit(Resource::Nofile));
                setrlimit(Resource::Nofile, Rlimit { current: Some(3), ..getrlimit(Resource::Nofile) }).unwrap();
                say(if File::open("/dev/null").is_err() { "starved" } else { "fed" });
            }
            ("feed", _) => {
                setrlimit(Resource::Nofile, fed.take().expect("it was starved")).unwrap();
                say("fed");
            }
            ("squeeze", _) => {
                squeeze();
                let mut large = Vec::<u8>::new();
                let got = std::hint::black_box(&mut large).try_reserve_exact(LARGE);
                say(if got.is_err() { "squeezed" } else { "there is room" });
            }
            _ => break,
        }
    }
    app.stop().await;
    say("stopped");
}
