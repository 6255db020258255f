//! The service's own door for operators: a Unix socket in the data directory.
//!
//! A client sends the words that were typed. The service runs the command at its own desk, and talks back through the
//! client's terminal, one JSON line at a time: say this, ask that, read or write a file where the operator is. The client
//! decides nothing and opens no file that was not named in its words.
//!
//! In here is no command and no vendor: whoever runs the words is handed in as [`Obey`].

mod client;
mod remote;
mod session;
mod wire;

use std::{
    collections::BTreeMap,
    fs, io,
    net::Shutdown,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream as BlockingStream,
    },
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use anyhow::{Context, bail};
use nix::unistd::Uid;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinHandle,
};

use crate::{
    app::GRACE,
    cli::{Operator, Terminal},
};
pub(crate) use client::{Knock, ask, knock};
use wire::Order;

/// Its name in the data directory.
const NAME: &str = "latchkey.sock";

/// What bounds the sessions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// How many at a time.
    pub(crate) sessions: u32,
    /// How long a client may take for its words.
    pub(crate) words: Duration,
    /// How long an operator may take for an answer, or a screen to take a line.
    pub(crate) idle: Duration,
    /// How long commands under way may take when the service stops.
    pub(crate) grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sessions: 8, words: Duration::from_secs(5), idle: Duration::from_secs(600), grace: GRACE }
    }
}

/// Runs what an operator typed.
#[async_trait::async_trait(?Send)]
pub(crate) trait Obey: Send + Sync {
    /// One command, to its end. The words are without the program's name.
    async fn obey(&self, words: &[String], operator: Operator, terminal: &mut Terminal) -> anyhow::Result<()>;
}

/// The open door. Dropping it shuts it.
#[derive(Debug)]
pub(crate) struct Door {
    path: PathBuf,
    accepting: JoinHandle<()>,
    sessions: Arc<Sessions>,
}

impl Door {
    /// Listens. The caller holds the data directory's lock, so a socket that lies there is a dead service's.
    ///
    /// # Errors
    /// With what to do.
    pub(crate) fn open(data_dir: &Path, desk: Arc<dyn Obey>, limits: Limits) -> anyhow::Result<Self> {
        let path = path(data_dir);
        make_way(&path)?;
        let listener = UnixListener::bind(&path).with_context(|| {
            format!("{} cannot be listened on; the whole name may have 107 bytes at most", path.display())
        })?;
        // Until now the peer's credentials alone kept others out; they go on doing so.
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600))
            .with_context(|| format!("{} cannot be made ours alone", path.display()))?;
        let sessions = Arc::new(Sessions::new(limits));
        let accepting = tokio::spawn(Arc::clone(&sessions).accept(listener, desk));
        Ok(Self { path, accepting, sessions })
    }

    /// Lets nobody in any more, ends whoever waits for an operator, and gives the others the time to finish.
    pub(crate) async fn shut(self) {
        self.accepting.abort();
        self.sessions.shut().await;
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        self.accepting.abort();
        if let Err(error) = fs::remove_file(&self.path) {
            tracing::warn!(%error, "the socket could not be removed; the next start replaces it");
        }
    }
}

pub(crate) fn path(data_dir: &Path) -> PathBuf {
    data_dir.join(NAME)
}

/// Removes what a dead service left; never anything else.
fn make_way(path: &Path) -> anyhow::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error).with_context(|| format!("{} cannot be looked at", path.display())),
    };
    if !found.file_type().is_socket() {
        bail!("{} is no socket of ours; move it away", path.display());
    }
    if BlockingStream::connect(path).is_ok() {
        bail!("somebody answers at {} already; stop that one first", path.display());
    }
    fs::remove_file(path).with_context(|| format!("{} of a dead service cannot be removed", path.display()))
}

/// Root, and the user that the service itself is.
fn is_welcome(uid: u32) -> bool {
    uid == 0 || uid == Uid::effective().as_raw()
}

#[derive(Debug)]
struct Sessions {
    limits: Limits,
    free: Arc<Semaphore>,
    open: Mutex<BTreeMap<u64, BlockingStream>>,
    stop: watch::Sender<bool>,
}

impl Sessions {
    fn new(limits: Limits) -> Self {
        let free = Arc::new(Semaphore::new(limits.sessions as usize));
        Self { limits, free, open: Mutex::default(), stop: watch::Sender::new(false) }
    }

    async fn accept(self: Arc<Self>, listener: UnixListener, desk: Arc<dyn Obey>) {
        for number in 0.. {
            match listener.accept().await {
                Ok((stream, _)) => self.receive(number, stream, &desk),
                Err(error) => {
                    // Out of files, most likely: whoever knocks is heard when there are some again.
                    tracing::warn!(%error, "an operator could not be let in");
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
            }
        }
    }

    fn receive(self: &Arc<Self>, number: u64, stream: UnixStream, desk: &Arc<dyn Obey>) {
        match self.admit(&stream) {
            Err(why) => turn_away(&stream, &why),
            Ok((operator, permit)) => match self.enter(number, stream) {
                Err(error) => tracing::warn!(%error, "an operator could not be let in"),
                Ok(stream) => {
                    let (sessions, desk) = (Arc::clone(self), Arc::clone(desk));
                    let runtime = tokio::runtime::Handle::current();
                    tokio::task::spawn_blocking(move || {
                        session::hold(stream, &*desk, operator, &sessions, &runtime);
                        sessions.lock().remove(&number);
                        drop(permit);
                    });
                }
            },
        }
    }

    fn admit(&self, stream: &UnixStream) -> Result<(Operator, OwnedSemaphorePermit), String> {
        let peer = stream.peer_cred().map_err(|error| format!("who you are cannot be told: {error}"))?;
        if !is_welcome(peer.uid()) {
            tracing::warn!(uid = peer.uid(), "refused at the socket: neither root nor the service's own user");
            return Err("only root and the user that Latchkey runs as may do this; use sudo".to_owned());
        }
        let permit = Arc::clone(&self.free).try_acquire_owned().map_err(|_| {
            format!("{} commands are at work already; wait for one, and run this one again", self.limits.sessions)
        })?;
        Ok((Operator::of_peer(peer.uid(), peer.pid()), permit))
    }

    fn enter(&self, number: u64, stream: UnixStream) -> io::Result<BlockingStream> {
        let stream = stream.into_std()?;
        stream.set_nonblocking(false)?;
        stream.set_read_timeout(Some(self.limits.words))?;
        stream.set_write_timeout(Some(self.limits.idle))?;
        self.lock().insert(number, stream.try_clone()?);
        Ok(stream)
    }

    async fn shut(&self) {
        self.hang_up(Shutdown::Read);
        if tokio::time::timeout(self.limits.grace, self.empty()).await.is_err() {
            self.stop.send_replace(true);
            self.hang_up(Shutdown::Both);
            if tokio::time::timeout(Duration::from_secs(1), self.empty()).await.is_err() {
                tracing::warn!("a command did not stop in time");
            }
        }
    }

    async fn empty(&self) {
        // Fails only when it was closed, which nobody does.
        drop(self.free.acquire_many(self.limits.sessions).await);
    }

    fn hang_up(&self, how: Shutdown) {
        for stream in self.lock().values() {
            // Gone already is what is wanted.
            let _ = stream.shutdown(how);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, BlockingStream>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One short line into an empty socket: it fits, or the client is gone.
fn turn_away(stream: &UnixStream, why: &str) {
    if let Ok(line) = wire::line(&Order::Failed, why.as_bytes()) {
        let _ = stream.try_write(&line);
    }
}

#[cfg(test)]
mod tests;
