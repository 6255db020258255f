//! Whether the database is the one that was used last, or an older copy of it.
//!
//! One number stands in the database and in a small file that lies with the master key, apart from the data. Both are
//! raised at each start of the service and with each backup, *the database first*:
//!
//! - Whatever breaks off, the number in the database in use is never below the file's, so that it is never taken for an
//!   older copy.
//! - A backup is published only after the file was raised above the number in it, and a start raises the file before
//!   anything is given. So what was copied before, whether by command or with the service stopped, is below the file
//!   from the first moment at which there is something that it does not know.
//!
//! The other order would be safe as well, but every break between the two would send the service to compare for nothing.

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    durable,
    jobs::chain,
    store::{Comparing, Store, StoreError},
};

/// The file with the number.
#[derive(Debug, Clone)]
pub struct Counter {
    path: PathBuf,
    /// Why the number could not be raised in the file, when that was tried last; one for all copies of this.
    unraised: Arc<Mutex<Option<String>>>,
}

/// Which copy of the database this is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// The one that was used last.
    Current,
    /// An older one, or one of which that cannot be told; the sentence says why.
    Older(String),
}

/// Why the number is not raised in the file. In the database it is.
#[derive(Debug, thiserror::Error)]
pub enum CounterError {
    /// The file cannot be replaced.
    #[error(
        "the generation file {path} cannot be written: its directory must belong to the service's user, and stand in \
         ReadWritePaths= of the systemd unit; until it is, a restored database may pass for the present one"
    )]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The database.
    #[error("the generation cannot be raised in the database")]
    Store(#[from] StoreError),
}

impl Counter {
    /// In this file, which need not be there yet.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self { path: path.to_owned(), unraised: Arc::default() }
    }

    /// Why the file stands still: a restored database may pass for the present one until it does not.
    #[must_use]
    pub fn unraised(&self) -> Option<String> {
        self.unraised.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn note(&self, unraised: Option<String>) {
        *self.unraised.lock().unwrap_or_else(PoisonError::into_inner) = unraised;
    }

    /// Compares the database with the file; changes nothing.
    ///
    /// # Errors
    /// When the database fails. A file that cannot be read is no error: nothing is known then, which counts as older.
    pub async fn standing(&self, store: &dyn Store) -> Result<Standing, StoreError> {
        let generation = store.generation().await?;
        let path = self.path.display();
        let older = |why: String| Ok(Standing::Older(why));
        if generation.comparing.is_some() {
            return older("the database was restored from a backup".to_owned());
        }
        match (generation.number, self.read()) {
            (None, Ok(None)) => Ok(Standing::Current),
            (Some(here), Ok(Some(there))) if here >= there => Ok(Standing::Current),
            (Some(here), Ok(Some(there))) => older(format!(
                "the database is of generation {here}, and {path} says that there was generation {there}"
            )),
            (None, Ok(Some(there))) => older(format!(
                "the database counts no generations yet, and {path} says that there was generation {there}"
            )),
            (Some(here), Ok(None)) => older(format!("the database is of generation {here}, but {path} is missing")),
            (_, Err(error)) => older(format!("{path} cannot be read ({error})")),
        }
    }

    /// The same for a process that `joins` others on a server, and has no past of its own: what they know of the database's
    /// age holds for it too.
    ///
    /// # Errors
    /// As [`Counter::standing`].
    pub async fn standing_beside(&self, store: &dyn Store, joins: bool) -> Result<Standing, StoreError> {
        match self.standing(store).await? {
            Standing::Older(_) if joins && store.generation().await?.comparing.is_none() => Ok(Standing::Current),
            standing => Ok(standing),
        }
    }

    /// Why the database is below the file, if it is; a file that is missing or cannot be read tells nothing here.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn is_above(&self, store: &dyn Store) -> Result<Option<String>, StoreError> {
        let here = store.generation().await?.number.unwrap_or(0);
        let there = self.read().ok().flatten().unwrap_or(0);
        Ok((here < there).then(|| {
            format!(
                "the database is of generation {here}, and {} says that there was generation {there}",
                self.path.display()
            )
        }))
    }

    /// Raises the number in the database, and then in the file. Answers it.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn raise(&self, store: &dyn Store) -> Result<i64, CounterError> {
        self.follow(store.raise_generation(self.seen()).await?).await
    }

    /// The same, with which a comparison is over.
    ///
    /// # Errors
    /// [`CounterError`].
    pub async fn raise_compared(&self, store: &dyn Store, settled: Comparing) -> Result<i64, CounterError> {
        self.follow(store.end_comparing(self.seen(), settled).await?).await
    }

    /// A file that cannot be read counts for nothing here: it is replaced.
    fn seen(&self) -> i64 {
        self.read().ok().flatten().unwrap_or(0)
    }

    /// Writes the database's number into the file.
    async fn follow(&self, number: i64) -> Result<i64, CounterError> {
        let unwritable = |source| CounterError::Unwritable { path: self.path.clone(), source };
        let counter = self.clone();
        let written = tokio::task::spawn_blocking(move || counter.write(number)).await;
        let written = written.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(unwritable);
        self.note(written.as_ref().err().map(|error| chain(error)));
        written.map(|()| number)
    }

    /// Whether the file can be read just now, if there is one.
    ///
    /// # Errors
    /// Why not.
    pub fn legible(&self) -> io::Result<()> {
        let read = self.read().map(drop);
        if let Err(error) = &read {
            self.note(Some(format!("{} cannot be read ({error})", self.path.display())));
        }
        read
    }

    fn read(&self) -> io::Result<Option<i64>> {
        match fs::read_to_string(&self.path) {
            Ok(text) => {
                let number = text.trim().parse();
                number.map(Some).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it does not hold a number"))
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Never lowers it: a start and a backup may raise it at the same moment.
    fn write(&self, number: i64) -> io::Result<()> {
        let _alone = durable::lock_directory_of(&self.path)?;
        if self.read().is_ok_and(|there| there.is_some_and(|there| there >= number)) {
            return Ok(());
        }
        durable::replace(&self.path, format!("{number}\n").as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use latchkey_contract::Timestamp;

    use super::*;
    use crate::store::{
        LaterHolds,
        sqlite::{Options, Sqlite},
    };

    struct Place {
        dir: tempfile::TempDir,
        counter: Counter,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let counter = Counter::at(&dir.path().join("master.key.generation"));
            Self { dir, counter }
        }

        fn path(&self, name: &str) -> PathBuf {
            self.dir.path().join(name)
        }

        async fn open(&self, name: &str) -> Sqlite {
            Sqlite::open(&self.path(name), Options::default()).await.unwrap()
        }

        /// The database as it is now, copied with the service stopped.
        async fn copy(&self, store: Sqlite, name: &str) -> Sqlite {
            store.close().await;
            fs::copy(self.path("latchkey.db"), self.path(name)).unwrap();
            self.open("latchkey.db").await
        }

        async fn is_older(&self, store: &Sqlite) -> bool {
            self.counter.standing(store).await.unwrap() != Standing::Current
        }
    }

    /// F177: a copy from before the last start or backup is noticed, the database in use never passes for one.
    #[tokio::test]
    async fn an_older_copy_is_noticed_and_the_database_in_use_is_not_taken_for_one() {
        let place = Place::new();
        let mut store = place.open("latchkey.db").await;
        assert!(!place.is_older(&store).await, "a new installation");
        for _ in 0..3 {
            assert!(!place.is_older(&store).await);
            place.counter.raise(&store).await.unwrap();
            store = place.copy(store, "copy.db").await;
        }
        let copy = place.open("copy.db").await;
        assert!(!place.is_older(&copy).await, "nothing has happened since it was made");
        place.counter.raise(&store).await.unwrap();
        assert!(place.is_older(&copy).await && !place.is_older(&store).await);
    }

    /// F177: broken off between database and file. On one side nothing is taken for older that is not; on the other side
    /// nothing passes for the present one that is older.
    #[tokio::test]
    async fn a_break_between_database_and_file_is_harmless() {
        let place = Place::new();
        let store = place.open("latchkey.db").await;
        place.counter.raise(&store).await.unwrap();
        let store = place.copy(store, "before.db").await;
        store.raise_generation(1).await.unwrap();
        let store = place.copy(store, "between.db").await;
        assert!(!place.is_older(&store).await, "the database in use after the break");
        // The next start finishes it, before anything is given.
        assert_eq!(place.counter.raise(&store).await.unwrap(), 3);
        for copy in ["before.db", "between.db"] {
            let copy = place.open(copy).await;
            assert!(place.is_older(&copy).await);
        }
        assert!(!place.is_older(&store).await);
    }

    #[tokio::test]
    async fn where_nothing_can_be_told_it_counts_as_older_until_it_was_compared() {
        let place = Place::new();
        let store = place.open("latchkey.db").await;
        place.counter.raise(&store).await.unwrap();
        for lost in ["", "nonsense"] {
            fs::write(&place.counter.path, lost).unwrap();
            assert!(place.is_older(&store).await, "{lost:?}");
        }
        fs::remove_file(&place.counter.path).unwrap();
        assert!(place.is_older(&store).await, "another machine");
        place.counter.raise(&store).await.unwrap();
        assert!(!place.is_older(&store).await);

        let comparing = Comparing {
            since: Timestamp::from_millis(5),
            knows_until: None,
            later_holds: LaterHolds::Unknown,
            noted_at: None,
        };
        assert_eq!(store.compare_first(comparing).await.unwrap(), comparing);
        let later = Comparing { since: Timestamp::from_millis(9), ..comparing };
        assert_eq!(store.compare_first(later).await.unwrap(), comparing, "the first note stays");
        assert!(place.is_older(&store).await);
        let number = store.generation().await.unwrap().number.unwrap();
        let raised = place.counter.raise(&store).await.unwrap();
        assert!(raised > number && place.is_older(&store).await, "a backup meanwhile ends no comparison");
        let other = place.counter.raise_compared(&store, later).await;
        assert!(matches!(other, Err(CounterError::Store(StoreError::Conflict))) && place.is_older(&store).await);
        assert!(place.counter.raise_compared(&store, comparing).await.unwrap() > raised);
        assert!(!place.is_older(&store).await && store.generation().await.unwrap().comparing.is_none());
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_written_is_named_with_what_to_do() {
        let place = Place::new();
        let store = place.open("latchkey.db").await;
        let counter = Counter::at(&place.path("nowhere/generation"));
        let error = counter.raise(&store).await.unwrap_err();
        assert!(error.to_string().contains("ReadWritePaths="), "{error}");
    }
}
