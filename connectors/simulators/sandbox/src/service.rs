//! The real service as a child process of our own binary, from the parent's side: started, killed,
//! started again, drained, and told when time moves. Or the shipped program, of which nobody moves the time.
//!
//! What the child does is in `child`; the two talk in lines: `advance <ms>` on its standard input,
//! `moved <ms>` (the new offset) on its standard output once the move took effect; `calls`, answered
//! by `calls <json>`. The end of its standard input tells it to drain.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{ExitStatus, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal, kill_process};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    process::{Child, ChildStdin, ChildStdout, Command},
    sync::{Mutex, watch},
};

use crate::{child::Between, clock::MovableClock, install::CONFIG};

/// How long the child may take, in real time, to answer a move.
const ANSWER_WITHIN: Duration = Duration::from_secs(10);

/// How long the child may take, in real time, to answer requests after its start.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// How often it is asked.
const LOOK_AGAIN: Duration = Duration::from_millis(25);

/// How long the child may take to drain before it is killed.
const DRAIN_WITHIN: Duration = Duration::from_secs(15);

/// The service, whether it runs or not.
#[derive(Debug)]
pub(crate) struct Service {
    config: PathBuf,
    log: PathBuf,
    listen: SocketAddr,
    clock: MovableClock,
    /// The shipped program, where that is run.
    binary: Option<PathBuf>,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    /// The shipped program is not talked to.
    talk: Option<Talk>,
}

#[derive(Debug)]
struct Talk {
    input: ChildStdin,
    moved: watch::Receiver<Duration>,
    calls: watch::Receiver<String>,
}

impl Service {
    /// Installed in `data`, with `listen` in its configuration. Nothing is started yet.
    pub(crate) fn new(data: &Path, listen: SocketAddr, clock: MovableClock, binary: Option<PathBuf>) -> Self {
        let (config, log) = (data.join(CONFIG), data.join("service.log"));
        Self { config, log, listen, clock, binary, running: Mutex::default() }
    }

    /// Whether it is the shipped program, which lives in real time.
    pub(crate) const fn is_shipped(&self) -> bool {
        self.binary.is_some()
    }

    /// Its pages: an origin without a slash at the end.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.listen)
    }

    pub(crate) fn log(&self) -> &Path {
        &self.log
    }

    /// Starts it, unless it runs. It is not ready yet when this returns.
    pub(crate) async fn start(&self) -> anyhow::Result<()> {
        self.start_with(Between::Nothing).await
    }

    /// The same, with something between it and its store.
    pub(crate) async fn start_with(&self, between: Between) -> anyhow::Result<()> {
        let mut running = self.running.lock().await;
        if running.as_mut().is_some_and(Running::is_alive) {
            return Ok(());
        }
        *running = Some(self.spawn(between)?);
        Ok(())
    }

    /// Where it answers.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.listen
    }

    /// Its process.
    pub(crate) async fn pid(&self) -> anyhow::Result<u32> {
        let running = self.running.lock().await;
        running.as_ref().and_then(|r| r.child.id()).context("the service does not run")
    }

    /// How often its store was asked for what, by verb; nothing is counted unless it was started so.
    pub(crate) async fn calls(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let mut running = self.running.lock().await;
        let talk = running.as_mut().and_then(|running| running.talk.as_mut()).context("the service does not run")?;
        talk.calls.mark_unchanged();
        talk.input.write_all(b"calls\n").await?;
        let answered = tokio::time::timeout(ANSWER_WITHIN, talk.calls.changed()).await;
        answered.context("the service did not answer what it has counted")??;
        Ok(serde_json::from_str(&talk.calls.borrow())?)
    }

    /// Waits until it answers.
    pub(crate) async fn ready(&self) -> anyhow::Result<()> {
        let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(2)).build()?;
        let (url, started) = (format!("{}/livez", self.url()), Instant::now());
        loop {
            if client.get(&url).send().await.is_ok_and(|answer| answer.status().is_success()) {
                return Ok(());
            }
            if !self.is_running().await {
                bail!("the service ended by itself; see {}", self.log.display());
            }
            if started.elapsed() > READY_WITHIN {
                bail!("the service does not answer at {url}; see {}", self.log.display());
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// `kill -9`: no warning, no clean-up. Nothing happens when it does not run.
    pub(crate) async fn kill(&self) -> anyhow::Result<()> {
        if let Some(mut gone) = self.running.lock().await.take() {
            gone.child.kill().await.context("the service could not be killed")?;
        }
        Ok(())
    }

    /// Lets it drain and waits for its end. Nothing happens when it does not run.
    pub(crate) async fn stop(&self) -> anyhow::Result<()> {
        let Some(Running { mut child, talk }) = self.running.lock().await.take() else { return Ok(()) };
        match talk {
            Some(talk) => drop(talk),
            None => terminate(&child),
        }
        let log = self.log.display();
        match tokio::time::timeout(DRAIN_WITHIN, child.wait()).await {
            Ok(ended) if ended.as_ref().is_ok_and(ExitStatus::success) => Ok(()),
            Ok(ended) => bail!("the service did not end well ({}); see {log}", ended?),
            Err(_) => {
                child.kill().await?;
                bail!("the service did not finish within {} s and was killed; see {log}", DRAIN_WITHIN.as_secs())
            }
        }
    }

    pub(crate) async fn is_running(&self) -> bool {
        self.running.lock().await.as_mut().is_some_and(Running::is_alive)
    }

    /// Moves the time of the whole sandbox, where it can be moved.
    pub(crate) async fn skip(&self, by: Duration) -> anyhow::Result<()> {
        if self.is_shipped() { Ok(()) } else { self.advance(by).await }
    }

    /// Moves the time of the whole sandbox, and returns when the service, if it runs, lives in it. With the shipped program it is
    /// waited for.
    pub(crate) async fn advance(&self, by: Duration) -> anyhow::Result<()> {
        if self.is_shipped() {
            tokio::time::sleep(by).await;
            return Ok(());
        }
        // The two talk in milliseconds, and must come to the same time.
        let by = Duration::from_millis(u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        let mut running = self.running.lock().await;
        // The vendors live in this process. They go first: a service that is ahead of them could ask
        // for what has not happened there yet.
        let offset = self.clock.advance(by);
        let Some(running) = running.as_mut().filter(|r| r.child.id().is_some()) else { return Ok(()) };
        if !running.is_alive() {
            return Ok(());
        }
        let Some(talk) = running.talk.as_mut() else { return Ok(()) };
        talk.input.write_all(format!("advance {}\n", by.as_millis()).as_bytes()).await?;
        let answered = talk.moved.wait_for(|seen| *seen >= offset);
        match tokio::time::timeout(ANSWER_WITHIN, answered).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => bail!("the service ended while its clock was moved; see {}", self.log.display()),
            Err(_) => bail!("the service did not answer that its clock has moved; see {}", self.log.display()),
        }
    }

    fn spawn(&self, between: Between) -> anyhow::Result<Running> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log);
        let log = log.with_context(|| format!("{} cannot be written", self.log.display()))?;
        if let Some(binary) = &self.binary {
            let child = Command::new(binary)
                .args(["serve", "--config"])
                .arg(&self.config)
                .process_group(0)
                .stdin(Stdio::null())
                .stdout(log.try_clone()?)
                .stderr(log)
                .kill_on_drop(true)
                .spawn()
                .with_context(|| format!("{} could not be started", binary.display()))?;
            return Ok(Running { child, talk: None });
        }
        let offset = self.clock.offset();
        let mut child = Command::new(std::env::current_exe()?)
            .arg("service")
            .arg("--config")
            .arg(&self.config)
            .arg("--clock-ms")
            .arg(offset.as_millis().to_string())
            .arg("--between")
            .arg(format!("{between:?}").to_lowercase())
            // A Ctrl-C in the terminal is for us alone; the child drains when we say so.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.try_clone()?)
            .kill_on_drop(true)
            .spawn()
            .context("the service could not be started")?;
        let input = child.stdin.take().context("a piped input is there")?;
        let output = child.stdout.take().context("a piped output is there")?;
        let (moves, moved) = watch::channel(offset);
        let (counts, calls) = watch::channel(String::new());
        tokio::spawn(listen(BufReader::new(output), log, moves, counts));
        Ok(Running { child, talk: Some(Talk { input, moved, calls }) })
    }
}

/// As an operator ends it. One that has ended already is found by who waits for it.
fn terminate(child: &Child) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        let _ = kill_process(pid, Signal::TERM);
    }
}

impl Running {
    fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

/// Reads the child's answers until it ends; anything else it says goes to the log.
async fn listen(
    output: BufReader<ChildStdout>,
    mut log: File,
    moves: watch::Sender<Duration>,
    counts: watch::Sender<String>,
) {
    use std::io::Write as _;
    let mut lines = output.lines();
    while let Ok(Some(line)) = lines.next_line().await {
        if let Some(json) = line.strip_prefix("calls ") {
            counts.send_replace(json.to_owned());
            continue;
        }
        match line.strip_prefix("moved ").and_then(|ms| ms.parse().ok()) {
            Some(ms) => drop(moves.send_replace(Duration::from_millis(ms))),
            // A full disk must not stop the clock.
            None => drop(writeln!(log, "{line}")),
        }
    }
}
