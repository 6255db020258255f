//! A replica's clock beside the server's, and its generation file beside the database.

use std::fs;

use latchkey_simulators::postgres::database;

use super::*;
use crate::{
    clock::SystemClock,
    clock_guard::{Doubt, Trust},
    store::{
        postgres::Server,
        sqlite::{Options, Sqlite},
    },
};

/// The machine's clock, wrong by this many seconds.
#[derive(Debug)]
struct Wrong(SystemClock, i64);

#[async_trait::async_trait]
impl Clock for Wrong {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.now().millis() + self.1 * 1000)
    }
    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }
    async fn sleep_until(&self, _at: Timestamp) {}
}

const HOUR: i64 = 3600;
const YEAR: i64 = 8760 * HOUR;

/// A start, with what other replicas have written: `last` and `counted` are seconds from the true time. Answers by how many
/// seconds the time that counts then differs from the true one, and what is in doubt.
async fn start(off: i64, last: Option<i64>, counted: Option<i64>) -> (i64, Option<Doubt>) {
    let database = database("a replica's clock").expect("asked before");
    let server = Postgres::open(&Server::parse(&database.url.parse().unwrap(), None, None).unwrap()).await.unwrap();
    let truth = SystemClock::new();
    let at = |seconds: i64| Timestamp::from_millis(truth.now().millis() + seconds * 1000);
    let clock = GuardedClock::new(Wrong(SystemClock::new(), off));
    hold(&server, &clock, last.map(at), counted.map(at)).await.unwrap();
    let found = ((clock.now().millis() - truth.now().millis() + 500).div_euclid(1000), clock.doubt());
    server.close().await;
    found
}

/// F117, F171: what one replica believed is nothing to start below for another one whose clock is as good.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_goes_by_the_servers_clock() {
    if database("a replica's clock").is_none() {
        return;
    }
    assert_eq!(start(0, None, None).await, (0, None));
    assert_eq!(start(-4, Some(4), None).await, (-4, None), "both are in order");
    assert_eq!(
        start(-HOUR, Some(-600), None).await,
        (0, Some(Doubt::StartedBelow)),
        "nor is the time since then hidden"
    );
    assert_eq!(start(-HOUR, Some(0), Some(YEAR)).await, (0, Some(Doubt::StartedBelow)), "nobody else's doubt counts");
    assert_eq!(start(HOUR, Some(0), None).await, (HOUR, Some(Doubt::OffDatabase)));
    let behind = start(0, Some(HOUR), Some(2 * HOUR)).await;
    assert_eq!(behind, (2 * HOUR, Some(Doubt::OffDatabase)), "all clocks were set back: what counted since goes on");
}

struct Place {
    dir: tempfile::TempDir,
    counter: Counter,
    store: Sqlite,
}

impl Place {
    async fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let counter = Counter::at(&dir.path().join("generation"));
        let store = Sqlite::open(&dir.path().join("latchkey.db"), Options::default()).await.unwrap();
        Self { dir, counter, store }
    }

    fn file(&self) -> std::path::PathBuf {
        self.dir.path().join("generation")
    }

    /// The number in the file, the one in the database, and whether it is noted that the database is to be compared.
    async fn counted(&self) -> (Option<i64>, i64, bool) {
        count(&self.counter, &self.store, Timestamp::from_millis(7)).await;
        let there = fs::read_to_string(self.file()).ok().and_then(|text| text.trim().parse().ok());
        let generation = self.store.generation().await.unwrap();
        (there, generation.number.unwrap(), generation.comparing.is_some())
    }
}

/// F177: a replica that runs knows its database: a file of its own that is gone, or cannot be read, halts nobody.
#[tokio::test]
async fn only_a_database_below_its_file_is_noted_as_an_older_copy() {
    let place = Place::new().await;
    for expected in [1, 2] {
        assert_eq!(place.counted().await, (Some(expected), expected, false));
    }
    fs::remove_file(place.file()).unwrap();
    assert_eq!(place.counted().await, (Some(3), 3, false), "made anew");
    fs::write(place.file(), "nonsense").unwrap();
    assert_eq!(place.counted().await, (None, 3, false), "left alone, and not raised");
    fs::write(place.file(), "4").unwrap();
    assert_eq!(place.counted().await, (Some(4), 3, true), "a copy was put in its place");
    assert_eq!(place.counted().await, (Some(4), 3, true));
}
