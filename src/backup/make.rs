//! Making a backup, while the service runs.

use std::{
    fs::{self, OpenOptions},
    io,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use latchkey_contract::Timestamp;

use super::{BackupError, Begun, FORM, Manifest, archive, proof};
use crate::{
    durable,
    generation::{Counter, CounterError, Standing},
    seal::Seal,
    store::{Store, sqlite::copy},
};

/// A backup that was made.
#[derive(Debug)]
pub struct Made {
    /// What it says of itself.
    pub manifest: Manifest,
    /// The generation could not be raised in its file: a copy that is put back by hand may not be noticed.
    pub unraised: Option<CounterError>,
}

/// Makes a backup of `database`, which `store` serves, at `target`.
///
/// It appears there whole, after it was read back, and after the generation was raised above its own.
///
/// # Errors
/// [`BackupError`]; then there is none.
pub async fn make(
    database: &Path,
    store: &dyn Store,
    seal: &Seal,
    counter: &Counter,
    target: &Path,
    now: Timestamp,
) -> Result<Made, BackupError> {
    if target.symlink_metadata().is_ok() {
        return Err(BackupError::There(target.to_owned()));
    }
    let (copied, archived) = (begin(target, "unfinished.db")?, begin(target, "unfinished")?);
    copy::snapshot(database, copied.path()).await?;
    let facts = copy::examine(copied.path()).await?;
    let (from, to, seal) = (copied.path().to_owned(), archived.path().to_owned(), seal.clone());
    let manifest = blocking(move || {
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| BackupError::Io { path, source }
        };
        let (bytes, sha256) = archive::measure(&from).map_err(io(&from))?;
        let manifest = Manifest {
            form: FORM,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            made_at: now,
            database: facts.id,
            migration: facts.migration,
            generation: facts.generation,
            audit: facts.audit,
            bytes,
            sha256,
        };
        let text = serde_json::to_vec_pretty(&manifest).map_err(|error| BackupError::Unsound(error.to_string()))?;
        let made_s = u64::try_from(now.seconds()).unwrap_or(0);
        archive::write(&to, &text, &proof(&seal, &text), &from, made_s).map_err(io(&to))?;
        let back = archive::read(&to, None).map_err(|error| BackupError::Unsound(error.to_string()))?;
        if back.manifest != manifest {
            return Err(BackupError::Unsound("its manifest is another one".to_owned()));
        }
        Ok(manifest)
    })
    .await?;
    let unraised = raise(store, counter).await?;
    publish(archived, target).map_err(|source| match source.kind() {
        io::ErrorKind::AlreadyExists => BackupError::There(target.to_owned()),
        _ => BackupError::Io { path: target.to_owned(), source },
    })?;
    Ok(Made { manifest, unraised })
}

/// What is copied now must be below the generation in use before anybody can have it. An older copy that was not compared
/// yet stays what it is, and is below already.
async fn raise(store: &dyn Store, counter: &Counter) -> Result<Option<CounterError>, BackupError> {
    if counter.standing(store).await? != Standing::Current {
        return Ok(None);
    }
    match counter.raise(store).await {
        Ok(_) => Ok(None),
        Err(error @ CounterError::Unwritable { .. }) => Ok(Some(error)),
        Err(error) => Err(error.into()),
    }
}

/// What an earlier run that was killed left there is in the way of nobody.
fn begin(target: &Path, what: &str) -> Result<Begun, BackupError> {
    let path = durable::beside(target, what);
    durable::remove_if_there(&path).map_err(|source| BackupError::Io { path: path.clone(), source })?;
    Ok(Begun::at(path))
}

/// The name is taken first, so that of two backups to one name the second one is refused.
fn publish(archived: Begun, target: &Path) -> io::Result<()> {
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(target)?;
    let taken = Begun::at(target.to_owned());
    fs::rename(archived.path(), target)?;
    taken.keep();
    archived.keep();
    durable::sync_directory_of(target)
}

pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, BackupError> + Send + 'static,
) -> Result<T, BackupError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(BackupError::Io { path: PathBuf::new(), source: io::Error::other(error) }))
}
