//! Small files that must be whole whenever the power fails: replaced in one act, synced, for us alone.

use std::{
    fs::{self, File, OpenOptions, Permissions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, fchown},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use nix::unistd::Uid;

/// How long a directory's lock is waited for. Whoever has it writes one small file.
const LOCKED_FOR: Duration = Duration::from_secs(5);

/// Replaces a file by one with this text, or makes it, mode 0600. A file that was there keeps its mode and its owner, and
/// one that root makes belongs to whom its directory belongs: an administrator's command must not take it away from the
/// service.
///
/// # Errors
/// The system's. The file is then as it was.
pub(crate) fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    let before = match fs::metadata(path) {
        Ok(found) => Some(found),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let unfinished = beside(path, "unfinished");
    remove_if_there(&unfinished)?;
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        file.write_all(text)?;
        let example = match &before {
            Some(before) => Some(before.clone()),
            None if Uid::effective().is_root() => Some(fs::metadata(directory_of(path))?),
            None => None,
        };
        let made = file.metadata()?;
        if let Some(example) = example.filter(|example| (example.uid(), example.gid()) != (made.uid(), made.gid())) {
            fchown(&file, Some(example.uid()), Some(example.gid()))?;
        }
        if let Some(before) = &before {
            file.set_permissions(Permissions::from_mode(before.mode() & 0o7777))?;
        }
        file.sync_all()?;
        fs::rename(&unfinished, path)?;
        sync_directory_of(path)
    })();
    if written.is_err() {
        // It may hold a key; that it cannot be removed either says nothing new.
        let _ = fs::remove_file(&unfinished);
    }
    written
}

/// Makes what was renamed, linked or removed in a file's directory outlive a power failure.
///
/// # Errors
/// The system's.
pub(crate) fn sync_directory_of(path: &Path) -> io::Result<()> {
    File::open(directory_of(path))?.sync_all()
}

/// Keeps other processes of ours from changing files in this file's directory, until the guard is dropped.
///
/// # Errors
/// The system's, or that somebody kept the lock for seconds.
pub(crate) fn lock_directory_of(path: &Path) -> io::Result<File> {
    let directory = File::open(directory_of(path))?;
    let started = Instant::now();
    loop {
        match directory.try_lock() {
            Ok(()) => return Ok(directory),
            Err(TryLockError::WouldBlock) if started.elapsed() < LOCKED_FOR => {
                thread::sleep(Duration::from_millis(20));
            }
            Err(TryLockError::WouldBlock) => {
                return Err(io::Error::new(io::ErrorKind::WouldBlock, "another command is changing it"));
            }
            Err(TryLockError::Error(error)) => return Err(error),
        }
    }
}

/// A file beside another: `master.key` → `master.key.generation`.
pub(crate) fn beside(path: &Path, what: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(what);
    PathBuf::from(name)
}

/// Removes a file; that there is none is as good.
///
/// # Errors
/// The system's.
pub(crate) fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_whole_and_keeps_its_mode() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counter");
        replace(&path, b"1").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        fs::set_permissions(&path, Permissions::from_mode(0o640)).unwrap();
        // What a run that was killed left behind is in nobody's way.
        fs::write(beside(&path, "unfinished"), "half").unwrap();
        replace(&path, b"2").unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"2");
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert!(!beside(&path, "unfinished").exists());
    }

    #[test]
    fn what_cannot_be_written_stays_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counter");
        replace(&path, b"1").unwrap();
        fs::create_dir(beside(&path, "unfinished")).unwrap();
        assert!(replace(&path, b"2").is_err());
        assert_eq!(fs::read(&path).unwrap(), b"1");
    }

    #[test]
    fn one_directory_has_one_hand() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("counter");
        let held = lock_directory_of(&path).unwrap();
        let other = File::open(dir.path()).unwrap();
        assert!(matches!(other.try_lock(), Err(TryLockError::WouldBlock)));
        drop(held);
        assert!(other.try_lock().is_ok());
    }
}
