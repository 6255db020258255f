//! Putting a backup back: looked at and put in order beside the database, then put in its place in one act.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use latchkey_contract::{Secret, Timestamp};

use super::{BackupError, Begun, Manifest, archive, make::blocking, proof};
use crate::{
    app::database,
    audit::By,
    config::Config,
    durable,
    rulebook::Hold,
    seal::{ROOT_NAME, Seal},
    store::{
        Comparing, LaterHolds,
        sqlite::{OpenError, copy},
    },
};

/// A backup that was found whole and ours, and waits beside the database. Dropped, it is gone, and nothing was changed.
#[derive(Debug)]
pub struct Ready {
    /// What it says of itself.
    pub manifest: Manifest,
    /// What the present database holds, and will be held; `None` where it cannot tell.
    pub still_held: Option<Vec<Hold>>,
    database: PathBuf,
    unpacked: Begun,
    alone: copy::Alone,
    now: Timestamp,
}

/// A backup that is in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restored {
    /// The database that was there, if there was one.
    pub kept: Option<PathBuf>,
}

/// Looks at a backup as hard as can be, and puts a copy of its database in order beside the present one. Nobody else can
/// use the present one until the answer is dropped. What is held in the present one will be held in the copy, by `by`.
///
/// # Errors
/// [`BackupError`]; nothing was changed.
pub async fn prepare(config: &Config, file: &Path, by: &By, now: Timestamp) -> Result<Ready, BackupError> {
    let database = database(config);
    let mut alone = copy::Alone::with(&database).await.map_err(|error| match error {
        OpenError::Locked(path) => BackupError::InUse(path),
        other => other.into(),
    })?;
    let holds = alone.holds().await;
    let present = Present { path: &database, holds, by };
    match unpack(config, file, present, now).await {
        Ok((manifest, still_held, unpacked)) => Ok(Ready { manifest, still_held, database, unpacked, alone, now }),
        Err(error) => {
            alone.done().await;
            Err(error)
        }
    }
}

/// The database that is replaced.
struct Present<'a> {
    path: &'a Path,
    /// Its id, what is held in it, and what became of holds before.
    holds: Option<(String, Vec<Hold>, LaterHolds)>,
    /// Who replaces it.
    by: &'a By,
}

async fn unpack(
    config: &Config,
    file: &Path,
    present: Present<'_>,
    now: Timestamp,
) -> Result<(Manifest, Option<Vec<Hold>>, Begun), BackupError> {
    let unpacked = durable::beside(present.path, "restoring");
    durable::remove_if_there(&unpacked).map_err(|source| BackupError::Io { path: unpacked.clone(), source })?;
    let unpacked = Begun::at(unpacked);
    let (from, to) = (file.to_owned(), unpacked.path().to_owned());
    let head = blocking(move || archive::read(&from, Some(&to))).await?;
    let facts = copy::examine(unpacked.path()).await.map_err(|error| match error {
        OpenError::Newer { .. } => BackupError::Newer { path: file.to_owned(), version: head.manifest.version.clone() },
        other => BackupError::NotWhole { path: file.to_owned(), what: other.to_string() },
    })?;
    let seal = unlock(config, file, unpacked.path()).await?;
    let is_proven = Secret::new(proof(&seal, &head.bytes)).matches(head.proof.trim().as_bytes());
    if !is_proven || !head.manifest.is_of(&facts) {
        return Err(BackupError::Altered(file.to_owned()));
    }
    // Another installation's database knows nothing of what was held in this one's.
    let known = present.holds.filter(|(id, ..)| *id == head.manifest.database);
    let (still_held, later_holds) = match known {
        Some((_, holds, LaterHolds::Lost)) => (Some(holds), LaterHolds::Lost),
        Some((_, holds, _)) => (Some(holds), LaterHolds::Kept),
        None => (None, LaterHolds::Lost),
    };
    let comparing = Comparing { since: now, knows_until: Some(head.manifest.made_at), later_holds, noted_at: None };
    copy::put_in_order(unpacked.path(), comparing, still_held.as_deref().unwrap_or_default(), present.by).await?;
    Ok((head.manifest, still_held, unpacked))
}

/// The seal of the backup's own secrets.
async fn unlock(config: &Config, file: &Path, unpacked: &Path) -> Result<Seal, BackupError> {
    let missing = || BackupError::NotWhole { path: file.to_owned(), what: "it holds no sealed secrets".to_owned() };
    let root = copy::sealed_row(unpacked, ROOT_NAME).await?.ok_or_else(missing)?;
    let ring = config.key_file.load(true)?;
    let key_file = config.key_file.path().to_owned();
    let locked = Seal::new(ring.clone(), Secret::new(Vec::new()));
    let opened = locked.open(&root);
    let root = opened.map_err(|source| BackupError::ForeignKey { path: file.to_owned(), key_file, source })?;
    Ok(Seal::new(ring, root))
}

impl Ready {
    /// Puts it in place. The database that was there is kept beside it, under a name that tells the time.
    ///
    /// Whenever this breaks off, there is either the one database or the other, whole.
    ///
    /// # Errors
    /// [`BackupError`].
    pub async fn put_in_place(self) -> Result<Restored, BackupError> {
        let Self { manifest, database, unpacked, mut alone, now, .. } = self;
        let placed = match alone.gather().await {
            Ok(()) => blocking(move || place(&manifest, &database, unpacked, now)).await,
            Err(error) => Err(error.into()),
        };
        alone.done().await;
        placed
    }

    /// Changes nothing after all.
    pub async fn let_be(self) {
        drop(self.unpacked);
        self.alone.done().await;
    }
}

fn place(manifest: &Manifest, database: &Path, unpacked: Begun, now: Timestamp) -> Result<Restored, BackupError> {
    let failed = |source| BackupError::Io { path: database.to_owned(), source };
    let kept = keep(database, now)?;
    forget_marker(database, &manifest.database).map_err(failed)?;
    fs::rename(unpacked.path(), database).map_err(failed)?;
    unpacked.keep();
    durable::sync_directory_of(database).map_err(failed)?;
    Ok(Restored { kept })
}

/// Gives the present database a second name. What the engine keeps beside a damaged one goes with it: beside the new
/// database it would be taken for the new one's.
fn keep(database: &Path, now: Timestamp) -> Result<Option<PathBuf>, BackupError> {
    let time = now.to_string().replace(':', "-");
    let kept = durable::beside(database, &format!("before-restore-{time}"));
    let failed = |source| BackupError::Io { path: kept.clone(), source };
    let is_there = match fs::hard_link(database, &kept) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::NotFound => false,
        Err(error) => return Err(failed(error)),
    };
    for (from, to) in copy::beside(database).iter().zip(copy::beside(&kept)) {
        match fs::rename(from, to) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
            _ => {}
        }
    }
    Ok(is_there.then_some(kept))
}

/// The marker names the database that is expected here. The next start writes it anew; until then, without one, either
/// database is taken.
fn forget_marker(database: &Path, id: &str) -> io::Result<()> {
    let marker = copy::marker(database);
    match fs::read_to_string(&marker) {
        Ok(named) if named.trim() == id => Ok(()),
        _ => durable::remove_if_there(&marker),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_engine_kept_beside_a_damaged_database_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let database = dir.path().join("latchkey.db");
        for (file, text) in [database.clone()].iter().chain(&copy::beside(&database)).zip(["damaged", "log", "index"]) {
            fs::write(file, text).unwrap();
        }
        let kept = keep(&database, Timestamp::from_millis(1_790_000_000_000)).unwrap().unwrap();
        assert!(database.exists(), "at no moment is there none");
        assert!(copy::beside(&database).iter().all(|file| !file.exists()));
        let [log, index] = copy::beside(&kept);
        let read = |path: &Path| fs::read_to_string(path).unwrap();
        assert_eq!([read(&kept), read(&log), read(&index)], ["damaged", "log", "index"]);
    }
}
