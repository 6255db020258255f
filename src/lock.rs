//! One process at a time works on a data directory: the service for its life, or a command while it runs.
//!
//! The lock is the kernel's, on a file that says who holds it; it is gone with its holder, however that ends.

use std::{
    fs::{File, OpenOptions, TryLockError},
    io::{self, Read},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

/// How long somebody waits for a command to be done.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// How long a service that starts waits for one that is stopping.
const HANDING_OVER: Duration = Duration::from_secs(1);

const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// What holds, or wants, a data directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// `latchkey serve`.
    Service,
    /// Any other command, where no service runs.
    Command,
}

impl Role {
    const fn word(self) -> &'static str {
        match self {
            Self::Service => "service",
            Self::Command => "command",
        }
    }
}

/// Who holds it, as the file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// As what.
    pub role: Role,
    /// Its process id, as it sees it itself.
    pub pid: Option<u32>,
}

impl Holder {
    fn process(&self) -> String {
        self.pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
    }
}

/// Why the data directory cannot be had. Each says what to do.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// A service runs.
    #[error("Latchkey is running on {0} already{process}; stop that one first", process = .1.process())]
    Running(PathBuf, Holder),
    /// A command takes its time.
    #[error("another command works on {0}{process} and is not done; wait for it, and run this one again", process = .1.process())]
    AtWork(PathBuf, Holder),
    /// The system refused.
    #[error("the lock {0} cannot be used; run this as root or as the user that Latchkey runs as")]
    Io(PathBuf, #[source] io::Error),
}

/// Held until it is dropped.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Takes a data directory for a service.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn for_service(data_dir: &Path) -> Result<Self, LockError> {
        Self::wait(data_dir, Role::Service, HANDING_OVER, PATIENCE).await
    }

    /// Takes a data directory for a command. A service that has it is told of at once: it can be asked instead.
    ///
    /// # Errors
    /// [`LockError`].
    pub async fn for_command(data_dir: &Path) -> Result<Self, LockError> {
        Self::wait(data_dir, Role::Command, Duration::ZERO, PATIENCE).await
    }

    async fn wait(data_dir: &Path, role: Role, service: Duration, command: Duration) -> Result<Self, LockError> {
        let began = Instant::now();
        loop {
            let holder = match Self::attempt(data_dir, role)? {
                Ok(lock) => return Ok(lock),
                Err(holder) => holder,
            };
            match holder.role {
                Role::Service if began.elapsed() >= service => {
                    return Err(LockError::Running(data_dir.to_owned(), holder));
                }
                Role::Command if began.elapsed() >= command => {
                    return Err(LockError::AtWork(data_dir.to_owned(), holder));
                }
                Role::Service | Role::Command => tokio::time::sleep(LOOK_AGAIN).await,
            }
        }
    }

    /// Takes it if it is free; answers who has it if not.
    fn attempt(data_dir: &Path, role: Role) -> Result<Result<Self, Holder>, LockError> {
        let path = data_dir.join("latchkey.lock");
        let fault = |error| LockError::Io(path.clone(), error);
        let opened = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
        let file = opened.map_err(fault)?;
        match file.try_lock() {
            Ok(()) => {
                let lock = Self(file);
                lock.sign(&format!("{} {}", role.word(), std::process::id()));
                Ok(Ok(lock))
            }
            Err(TryLockError::WouldBlock) => holder(&file).map(Err).map_err(fault),
            Err(TryLockError::Error(error)) => Err(fault(error)),
        }
    }

    /// Only for the others' words, so a full disk stops nobody; always as long as before, so it needs no room but once.
    fn sign(&self, name: &str) {
        if let Err(error) = self.0.write_all_at(format!("{name:<31}\n").as_bytes(), 0) {
            tracing::warn!(%error, "the lock cannot be signed; others will not learn who holds it");
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // A name that stays would be believed by somebody who finds it locked again and not yet signed.
        self.sign("");
        // Closing it comes next, and unlocks it too.
        let _ = self.0.unlock();
    }
}

/// A file that is not signed yet is a command's for the moment: whoever waits looks again.
fn holder(file: &File) -> io::Result<Holder> {
    let mut text = String::new();
    file.take(64).read_to_string(&mut text)?;
    let (word, pid) = text.trim().split_once(' ').unwrap_or((text.trim(), ""));
    let role = if word == Role::Service.word() { Role::Service } else { Role::Command };
    Ok(Holder { role, pid: pid.parse().ok() })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    const SHORT: Duration = Duration::from_millis(120);

    #[tokio::test]
    async fn a_second_service_is_told_which_process_runs_already() {
        let place = tempfile::tempdir().unwrap();
        let first = Lock::for_service(place.path()).await.unwrap();
        let second = Lock::for_service(place.path()).await.unwrap_err().to_string();
        assert!(second.contains(&format!("(process {})", std::process::id())) && second.contains("stop"), "{second}");
        let mode = std::fs::metadata(place.path().join("latchkey.lock")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        drop(first);
        Lock::for_service(place.path()).await.unwrap();
    }

    #[tokio::test]
    async fn a_command_is_told_of_a_service_at_once() {
        let place = tempfile::tempdir().unwrap();
        let _service = Lock::for_service(place.path()).await.unwrap();
        let began = Instant::now();
        let told = Lock::for_command(place.path()).await.unwrap_err();
        assert!(matches!(told, LockError::Running(_, Holder { role: Role::Service, .. })), "{told}");
        assert!(began.elapsed() < HANDING_OVER);
    }

    #[tokio::test]
    async fn a_command_waits_for_another_and_has_its_turn() {
        let place = tempfile::tempdir().unwrap();
        let first = Lock::for_command(place.path()).await.unwrap();
        let (second, ()) = tokio::join!(Lock::for_command(place.path()), async {
            tokio::task::yield_now().await;
            drop(first);
        });
        drop(second.unwrap());
    }

    #[tokio::test]
    async fn nobody_waits_for_ever() {
        let place = tempfile::tempdir().unwrap();
        let _first = Lock::for_command(place.path()).await.unwrap();
        for role in [Role::Command, Role::Service] {
            let told = Lock::wait(place.path(), role, SHORT, SHORT).await.unwrap_err();
            assert!(matches!(told, LockError::AtWork(..)) && told.to_string().contains("run this one again"), "{told}");
        }
    }

    #[tokio::test]
    async fn what_a_killed_holder_left_in_the_file_holds_nobody_up() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("latchkey.lock"), "service 1\n").unwrap();
        Lock::for_command(place.path()).await.unwrap();
    }
}
