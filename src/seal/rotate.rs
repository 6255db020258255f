//! Another master key: made, put first, every data key wrapped by it, the former one retired.
//!
//! The order makes every break harmless. The file has the new key before any row needs it, and loses the old one only
//! when no row needs it and none can come to need it. In between the ring holds both, and opens everything.

use latchkey_contract::SecretId;

use super::{KeyFile, KeyFileError, MasterKey, Seal, SealError};
use crate::store::{Store, StoreError};

/// How many rows one transaction wraps anew: the writer has others to serve.
const AT_ONCE: u32 = 200;

/// Why a rotation stopped. What was done until then stays, and the next run goes on from there.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// The key file.
    #[error(transparent)]
    KeyFile(#[from] KeyFileError),
    /// A row does not open.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The database.
    #[error("the database failed; what was done until then stays, run the command again")]
    Store(#[from] StoreError),
    /// Rows still need a key that is to go.
    #[error("{rows} secrets still need master key {key_id}; run: latchkey key rotate")]
    Needed {
        /// Which key.
        key_id: String,
        /// How many.
        rows: u64,
    },
}

/// How many rows each key wraps.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// The keys of the file, the one that seals first, each with its rows.
    pub keys: Vec<(String, u64)>,
    /// Keys that rows need and that are not in the file.
    pub missing: Vec<(String, u64)>,
}

impl Tally {
    /// Rows that are not under the key that seals.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.keys.iter().skip(1).chain(&self.missing).map(|(_, rows)| rows).sum()
    }
}

/// Counts the rows of each key.
///
/// # Errors
/// When the database fails.
pub async fn tally(seal: &Seal, store: &dyn Store) -> Result<Tally, StoreError> {
    let keys = seal.ring().ids().map(|id| (id.to_owned(), 0)).collect();
    let mut tally = Tally { keys, missing: Vec::new() };
    let mut after = None;
    loop {
        let page = store.sealed_page(after.as_ref(), AT_ONCE).await?;
        let Some(last) = page.last() else { return Ok(tally) };
        after = Some(last.id.clone());
        for row in &page {
            match tally.keys.iter_mut().chain(&mut tally.missing).find(|(id, _)| *id == row.key_id) {
                Some((_, rows)) => *rows += 1,
                None => tally.missing.push((row.key_id.clone(), 1)),
            }
        }
    }
}

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotated {
    /// The key that seals now.
    pub key_id: String,
    /// It was made by this run; else an earlier one, or somebody by hand, had put it first.
    pub is_new: bool,
    /// How many rows were wrapped anew.
    pub rows: u64,
}

/// Makes a new master key and wraps every data key by it. Where rows are found that are not under the first key, a
/// rotation was begun before: that one is gone on with, and no other key is made.
///
/// # Errors
/// [`RotateError`]; [`KeyFileError::ReadOnly`] when a new key is wanted and the file is a credential.
pub async fn rotate(file: &KeyFile, seal: &Seal, store: &dyn Store) -> Result<Rotated, RotateError> {
    let is_new = tally(seal, store).await?.behind() == 0;
    if is_new {
        file.add(&MasterKey::generate(), seal.ring().first().id())?;
    }
    let rows = rewrap_all(seal, store).await?;
    Ok(Rotated { key_id: seal.ring().first().id().to_owned(), is_new, rows })
}

/// Wraps what is not under the first key, until a whole pass finds nothing: a service that had not seen the new key may
/// have sealed under the old one meanwhile.
///
/// # Errors
/// [`RotateError`].
pub async fn rewrap_all(seal: &Seal, store: &dyn Store) -> Result<u64, RotateError> {
    let mut all = 0;
    loop {
        let (mut after, mut changed) = (None, 0);
        while let Some((last, rows)) = rewrap_some(seal, store, after.as_ref(), AT_ONCE).await? {
            changed += rows;
            after = Some(last);
        }
        all += changed;
        if changed == 0 {
            return Ok(all);
        }
    }
}

/// One transaction's worth of rows, from `after` on: the last row that was looked at, and how many were wrapped anew.
/// `None` at the end.
///
/// # Errors
/// [`RotateError`].
pub async fn rewrap_some(
    seal: &Seal,
    store: &dyn Store,
    after: Option<&SecretId>,
    limit: u32,
) -> Result<Option<(SecretId, u64)>, RotateError> {
    let page = store.sealed_page(after, limit).await?;
    let Some(last) = page.last().map(|row| row.id.clone()) else { return Ok(None) };
    let ring = seal.ring();
    let mut rows = Vec::new();
    for row in &page {
        rows.extend(ring.rewrap(row)?);
    }
    let changed = if rows.is_empty() { 0 } else { store.rewrap(rows).await? };
    Ok(Some((last, changed)))
}

/// Takes every key but the first out of the file. The database comes first: from then on it takes no row under such a
/// key, so that a process which still seals by it loses its write, and not its secret. Answers the keys that went.
///
/// # Errors
/// [`RotateError::Needed`] when rows still need one of them: then nothing is taken out.
pub async fn retire(file: &KeyFile, seal: &Seal, store: &dyn Store) -> Result<Vec<String>, RotateError> {
    let ring = seal.ring();
    let former: Vec<String> = ring.ids().skip(1).map(str::to_owned).collect();
    for key_id in &former {
        match store.retire_key(key_id).await? {
            0 => {}
            rows => return Err(RotateError::Needed { key_id: key_id.clone(), rows }),
        }
    }
    if !former.is_empty() {
        file.remove(&former, ring.first().id())?;
    }
    Ok(former)
}

#[cfg(test)]
mod tests {
    use latchkey_contract::{Secret, Timestamp};

    use super::*;
    use crate::{
        seal::{ROOT_NAME, unlock},
        store::{
            CommitName, Transition,
            sqlite::{Options, Sqlite},
        },
    };

    const NOW: Timestamp = Timestamp::from_millis(1_790_000_000_000);

    struct Place {
        store: Sqlite,
        file: KeyFile,
        dir: tempfile::TempDir,
    }

    impl Place {
        /// With the root secret, and five of the kind that grants have.
        async fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let store = Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap();
            let place = Self { store, file: KeyFile::Own(dir.path().join("master.key")), dir };
            let seal = place.seal().await;
            for n in 0..5 {
                place.put(&seal, n).await.unwrap();
            }
            place
        }

        /// As a process that starts now has it.
        async fn seal(&self) -> Seal {
            unlock(&self.file, &self.store, NOW).await.unwrap()
        }

        async fn put(&self, seal: &Seal, n: usize) -> Result<(), StoreError> {
            let row = seal.seal(id(n), None, "account-password", &Secret::new(format!("secret {n}")));
            self.store.commit(Transition { seal: vec![row], ..Transition::new(CommitName::Command, NOW) }).await
        }

        /// A process that starts now opens everything.
        async fn everything_opens(&self) {
            let seal = self.seal().await;
            assert!(self.store.sealed_named(ROOT_NAME).await.unwrap().is_some());
            for n in 0..5 {
                let row = self.store.sealed(&id(n)).await.unwrap().unwrap();
                assert_eq!(seal.open_text(&row).unwrap().expose(), &format!("secret {n}"));
            }
        }
    }

    fn id(n: usize) -> SecretId {
        SecretId::parse(format!("s{n}")).unwrap()
    }

    /// F178: broken off after any step, everything opens, and the next run finishes with the same key.
    #[tokio::test]
    async fn a_rotation_that_breaks_anywhere_opens_everything_and_is_gone_on_with() {
        for transactions in 0..=3 {
            let place = Place::new().await;
            let seal = place.seal().await;
            let old = seal.ring().first().id().to_owned();
            let new = MasterKey::generate();
            place.file.add(&new, &old).unwrap();
            let mut after = None;
            for _ in 0..transactions {
                let (last, rows) = rewrap_some(&seal, &place.store, after.as_ref(), 2).await.unwrap().unwrap();
                assert_eq!(rows, 2);
                after = Some(last);
            }
            drop(seal);
            place.everything_opens().await;
            let seal = place.seal().await;
            let done = rotate(&place.file, &seal, &place.store).await.unwrap();
            let left = 6 - 2 * transactions;
            let expected = Rotated { key_id: new.id().to_owned(), is_new: false, rows: left };
            if left > 0 {
                assert_eq!(done, expected);
            } else {
                assert!(done.is_new, "all was done: this is the next rotation");
            }
            assert_eq!(tally(&seal, &place.store).await.unwrap().behind(), 0);
            place.everything_opens().await;
        }
    }

    /// F178: broken off between database and file, the retired key is still there, nothing seals by it, and the next run
    /// takes it out.
    #[tokio::test]
    async fn a_key_goes_only_when_no_row_needs_it_and_none_can_come_to_need_it() {
        let place = Place::new().await;
        let (seal, slow) = (place.seal().await, place.seal().await);
        let old = seal.ring().first().id().to_owned();
        place.file.add(&MasterKey::generate(), &old).unwrap();
        let needed = retire(&place.file, &seal, &place.store).await.unwrap_err();
        assert!(matches!(&needed, RotateError::Needed { rows: 6, key_id } if *key_id == old), "{needed}");
        // A process that had sealed before the new key came, and writes only now.
        let late = slow.ring.known().seal(id(9), None, "account-password", b"late");
        rewrap_all(&seal, &place.store).await.unwrap();
        assert_eq!(place.store.retire_key(&old).await.unwrap(), 0);
        place.everything_opens().await;
        let late = Transition { seal: vec![late], ..Transition::new(CommitName::Command, NOW) };
        assert!(matches!(place.store.commit(late).await, Err(StoreError::Conflict)));
        place.put(&slow, 9).await.unwrap();
        assert_eq!(retire(&place.file, &seal, &place.store).await.unwrap(), [old]);
        assert_eq!(place.seal().await.ring().ids().count(), 1);
        place.everything_opens().await;
    }

    /// F178: the service that runs seals by the new key at once, and opens what others sealed by it.
    #[tokio::test]
    async fn every_process_that_runs_follows_the_key_file() {
        let place = Place::new().await;
        let service = place.seal().await;
        let clone = service.clone();
        let old = service.ring().first().id().to_owned();
        let command = place.seal().await;
        let done = rotate(&place.file, &command, &place.store).await.unwrap();
        assert!(done.is_new && done.rows == 6 && done.key_id != old);
        let row = place.store.sealed(&id(0)).await.unwrap().unwrap();
        assert_eq!(clone.open_text(&row).unwrap().expose(), "secret 0");
        assert_eq!(service.seal(id(7), None, "p", &Secret::new("x".to_owned())).key_id, done.key_id);
        // A file that is broken meanwhile takes nothing from who runs.
        std::fs::write(place.dir.path().join("master.key"), "nonsense").unwrap();
        assert_eq!(service.seal(id(8), None, "p", &Secret::new("x".to_owned())).key_id, done.key_id);
        assert!(service.open(&row).is_ok());
    }

    /// F178: the value's ciphertext stays; only its data key is wrapped anew.
    #[tokio::test]
    async fn a_row_that_was_destroyed_meanwhile_stays_destroyed() {
        let place = Place::new().await;
        let seal = place.seal().await;
        let before = place.store.sealed(&id(1)).await.unwrap().unwrap();
        let new = MasterKey::generate();
        place.file.add(&new, seal.ring().first().id()).unwrap();
        let wrapped = seal.ring().rewrap(&place.store.sealed(&id(0)).await.unwrap().unwrap()).unwrap().unwrap();
        let gone = Transition { destroy: vec![id(0)], ..Transition::new(CommitName::Command, NOW) };
        place.store.commit(gone).await.unwrap();
        assert_eq!(place.store.rewrap(vec![wrapped]).await.unwrap(), 0);
        assert!(place.store.sealed(&id(0)).await.unwrap().is_none());
        rewrap_all(&seal, &place.store).await.unwrap();
        let after = place.store.sealed(&id(1)).await.unwrap().unwrap();
        assert_eq!((&after.sealed, after.key_id.as_str()), (&before.sealed, new.id()));
        assert_ne!(after.wrapped_key, before.wrapped_key);
    }
}
