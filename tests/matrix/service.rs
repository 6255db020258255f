//! The parent's hold on the child.

use std::{
    io::{BufRead as _, BufReader, PipeReader, Read as _, Write as _},
    process::{Child, ChildStdin, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex},
};

use rustix::process::{Pid, Signal, kill_process};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::{
    child::{MARK, ORDERS, Orders},
    harness::unread::{FILL, full_pipe},
};

/// A child process, killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Service {
    process: Process,
    stdin: ChildStdin,
    lines: mpsc::UnboundedReceiver<String>,
    /// Its log, where nobody reads it.
    unread: Option<PipeReader>,
}

/// What may kill the child: clones are the same process.
#[derive(Debug, Clone)]
pub(crate) struct Process(Arc<Mutex<Child>>);

impl Process {
    /// SIGKILL; returns when the process is gone.
    pub(crate) fn kill(&self) {
        let mut child = self.0.lock().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM; it ends when it has done what it has to.
    pub(crate) fn terminate(&self) {
        let child = self.0.lock().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    }

    fn exit(&self) -> ExitStatus {
        self.0.lock().unwrap().wait().unwrap()
    }
}

/// What the child said about itself.
#[derive(Debug)]
pub(crate) enum Said {
    Line(String),
    /// It is gone, and this is how it ended.
    Gone(ExitStatus),
}

impl Service {
    /// Starts it; its first line is still to be heard.
    pub(crate) fn spawn(orders: &Orders) -> Self {
        let (unread, log) = orders.unread.then(full_pipe).unzip();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "service", "--nocapture"])
            .env(ORDERS, serde_json::to_string(orders).unwrap())
            // What one thread has freed is there for the others: a process that is squeezed has no room of which nobody knows.
            .env("MALLOC_ARENA_MAX", "1")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(log.map_or_else(Stdio::null, Stdio::from))
            .spawn()
            .unwrap();
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (send, lines) = mpsc::unbounded_channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(at) = line.find(MARK)
                    && send.send(line[at + MARK.len()..].to_owned()).is_err()
                {
                    break;
                }
            }
        });
        Self { process: Process(Arc::new(Mutex::new(child))), stdin, lines, unread }
    }

    pub(crate) fn process(&self) -> Process {
        self.process.clone()
    }

    pub(crate) async fn hear(&mut self) -> Said {
        match self.lines.recv().await {
            Some(line) => Said::Line(line),
            None => Said::Gone(self.process.exit()),
        }
    }

    /// Reads what nobody read: all of its log up to its end.
    pub(crate) fn read_at_last(&mut self) -> Option<JoinHandle<Vec<u8>>> {
        let mut unread = self.unread.take()?;
        Some(tokio::task::spawn_blocking(move || {
            let mut log = Vec::new();
            unread.read_to_end(&mut log).unwrap();
            log.retain(|byte| *byte != FILL);
            log
        }))
    }

    pub(crate) async fn ask(&mut self, question: &str) -> Said {
        // What cannot be written is answered by the end of its lines.
        let _ = self.stdin.write_all(format!("{question}\n").as_bytes());
        self.hear().await
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let mut child = self.process.0.lock().unwrap();
        let _ = child.kill();
        let _ = child.wait();
    }
}
