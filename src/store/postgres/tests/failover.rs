//! What the server's failover, a restored copy, and another replica's arrival mean.

use std::sync::Arc;

use latchkey_contract::{Clock, Timestamp};
use latchkey_simulators::postgres::{Server as Started, binaries, is_required};
use sqlx::{
    SqlSafeStr as _,
    migrate::{Migration, MigrationType, Migrator},
};

use super::*;
use crate::{
    jobs::task::{Priority, Task},
    store::{
        Claim, Comparing, Finish,
        postgres::{Found, open::migrator},
    },
};

/// A server of its own, with a database in use, and what is remembered of it.
struct Site {
    started: Option<Started>,
    database: Database,
    dir: tempfile::TempDir,
}

impl Site {
    fn new() -> Option<Self> {
        let found = binaries();
        assert!(found.is_some() || !is_required(), "{SUITE}: PostgreSQL is required and not in /usr/lib/postgresql");
        let started = Started::start(&found?);
        let database = started.database("used");
        Some(Self { started: Some(started), database, dir: tempfile::tempdir().unwrap() })
    }

    async fn open(&self, process: &str) -> Postgres {
        Postgres::open(&server(&self.database).marked_by(self.dir.path().join(process))).await.unwrap()
    }

    async fn server(&mut self, order: fn(&mut Started)) {
        let mut started = self.started.take().unwrap();
        self.started = Some(
            tokio::task::spawn_blocking(move || {
                order(&mut started);
                started
            })
            .await
            .unwrap(),
        );
    }
}

async fn noted(store: &Postgres) -> Option<Comparing> {
    store.generation().await.ok()?.comparing
}

/// Something that is due, and something that was said to be committed.
async fn due(store: &Postgres) {
    store.heartbeat(START).await.unwrap();
    add(store, vec![task(converge("a1", "acme-entra"), START, Priority::Giving)]).await;
}

async fn promise(store: &Postgres) {
    let grants = vec![grant("g1", "a1", "4711", granting())];
    store.commit(Transition { grants, audit: vec![entry("promised")], ..transition() }).await.unwrap();
}

/// Until the server is found again.
async fn claimed(store: &Postgres) -> usize {
    let began = Instant::now();
    loop {
        match store.claim(&Claim { free: 3, ..claim_at(after(1)) }).await {
            Ok(tasks) => return tasks.len(),
            Err(error) => assert!(began.elapsed() < Duration::from_secs(20), "{error:?}"),
        }
    }
}

/// I13, F171: a standby that lagged behind takes over. Whoever was told of a commit that it has not finds that out before
/// anything is claimed, by any process, and the next start knows it as well.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_lost_with_the_primary_is_noticed_before_anything_is_claimed() {
    let Some(mut site) = Site::new() else { return };
    let (store, other) = (site.open("one").await, site.open("other").await);
    due(&store).await;
    site.server(Started::copy).await;
    promise(&store).await;
    site.server(Started::fail_over).await;

    assert_eq!(claimed(&store).await, 0);
    assert!(store.grant(&"g1".parse().unwrap()).await.unwrap().is_none(), "it is lost indeed");
    let note = noted(&store).await.unwrap();
    assert_eq!(note.knows_until, Some(START));
    let now = store.clock().await.unwrap();
    assert!(
        note.since <= now && now.since(note.since) < Duration::from_secs(60),
        "what was asked for before is not taken up"
    );
    assert_eq!(claimed(&other).await, 0, "who has lost nothing heeds it too");
    assert_eq!(noted(&store).await, Some(note), "and does not note it once more");
    store.end_comparing(0, note).await.unwrap();
    assert_eq!(claimed(&other).await, 1);
    store.close().await;
    assert_eq!(site.open("one").await.found(), Found::Usual, "it was compared");
}

/// A standby that had everything takes over. A process that died with the primary may have been told more, so it is compared;
/// but what was asked for is taken up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_that_loses_nothing_is_compared_and_takes_up_what_was_asked_for() {
    let Some(mut site) = Site::new() else { return };
    let store = site.open("one").await;
    due(&store).await;
    promise(&store).await;
    site.server(Started::copy).await;
    site.server(Started::fail_over).await;
    assert_eq!(claimed(&store).await, 0);
    let note = noted(&store).await.unwrap();
    assert_eq!((note.since, note.knows_until), (START, Some(START)));
    store.end_comparing(0, note).await.unwrap();
    assert_eq!(claimed(&store).await, 1);
    assert_eq!(store.grant(&"g1".parse().unwrap()).await.unwrap().unwrap().version, 1);
    store.close().await;
    let again = site.open("one").await;
    assert_eq!((again.found(), noted(&again).await), (Found::Usual, None));
}

/// No access is shorter than two minutes: what was asked for since a copy as fresh as that is taken up, and nothing that an
/// older one does not know of.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_a_fresh_standby_forgot_is_taken_up_again() {
    for (age, since) in [(119, START), (120, after(120))] {
        let Some(mut site) = Site::new() else { return };
        let clock = Arc::new(ByHand(after(age)));
        let by_hand = server(&site.database).marked_by(site.dir.path().join("one")).timed_by(clock);
        let store = Postgres::open(&by_hand).await.unwrap();
        due(&store).await;
        site.server(Started::copy).await;
        promise(&store).await;
        site.server(Started::fail_over).await;
        assert_eq!(claimed(&store).await, 0);
        assert_eq!(noted(&store).await.map(|note| note.since), Some(since));
    }
}

#[derive(Debug)]
struct ByHand(Timestamp);

#[async_trait::async_trait]
impl Clock for ByHand {
    fn now(&self) -> Timestamp {
        self.0
    }
    fn monotonic(&self) -> Duration {
        Duration::ZERO
    }
    async fn sleep_until(&self, _: Timestamp) {}
    fn is_moved_by_hand(&self) -> bool {
        true
    }
}

/// Whoever was told of it died with the primary, and who is left has nothing to write.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_history_is_noticed_by_who_only_listens() {
    let Some(mut site) = Site::new() else { return };
    let (store, dies) = (site.open("one").await, site.open("dies").await);
    due(&store).await;
    site.server(Started::copy).await;
    promise(&dies).await;
    drop(dies);
    site.server(Started::fail_over).await;
    let began = Instant::now();
    while noted(&store).await.is_none() {
        assert!(began.elapsed() < Duration::from_secs(30), "nobody has noticed");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Who did not run meanwhile finds in the database that it was compared: by who ran, or by who came first.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_others_have_compared_holds_for_who_starts_late() {
    let Some(mut site) = Site::new() else { return };
    let (store, late) = (site.open("one").await, site.open("late").await);
    due(&store).await;
    late.close().await;
    site.server(Started::copy).await;
    site.server(Started::fail_over).await;
    assert_eq!(claimed(&store).await, 0);
    let note = noted(&store).await.unwrap();
    let late = site.open("late").await;
    assert_eq!((late.found(), noted(&late).await), (Found::Usual, Some(note)), "it is under way");
    late.close().await;
    store.end_comparing(0, note).await.unwrap();
    let late = site.open("late").await;
    assert_eq!((late.found(), noted(&late).await), (Found::Usual, None), "it is over");

    // A machine that knows nothing comes first, and takes it for an older copy by its generation.
    site.server(Started::copy).await;
    late.close().await;
    store.close().await;
    site.server(Started::fail_over).await;
    let new = site.open("new").await;
    let note = new.compare_first(note).await.unwrap();
    new.end_comparing(0, note).await.unwrap();
    let late = site.open("late").await;
    assert_eq!((late.found(), noted(&late).await), (Found::Usual, None));
}

/// F171, I3: a claim that went with the primary is nobody's. Whoever believes in it is refused, though the standby has given the very
/// same task to somebody else since.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_went_with_the_primary_is_nobodys() {
    let Some(mut site) = Site::new() else { return };
    let (store, other) = (site.open("one").await, site.open("other").await);
    due(&store).await;
    site.server(Started::copy).await;
    let lost = claim(&store, after(1)).await.remove(0);
    site.server(Started::fail_over).await;
    assert_eq!((claimed(&other).await, claimed(&store).await), (0, 0));
    let note = noted(&other).await.unwrap();
    other.end_comparing(0, note).await.unwrap();
    let has = claim(&other, after(1)).await.remove(0);
    assert_eq!(lost.lease.task, has.lease.task, "it is the same one");
    assert!(!store.renew(&lost.lease, after(999)).await.unwrap());
    assert!(!store.finish(&lost.lease, Finish::Done).await.unwrap());
    let late = Transition { lease: Some((lost.lease, Finish::Done)), audit: vec![entry("late")], ..transition() };
    assert!(matches!(store.commit(late).await, Err(StoreError::LeaseLost)));
    assert!(other.renew(&has.lease, after(120)).await.unwrap());
}

/// A second failover while the first is compared: what was found so far does not end the comparison.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_failover_is_not_settled_with_the_first() {
    let Some(mut site) = Site::new() else { return };
    let store = site.open("one").await;
    due(&store).await;
    let mut notes = Vec::new();
    for _ in 0..2 {
        site.server(Started::copy).await;
        site.server(Started::fail_over).await;
        assert_eq!(claimed(&store).await, 0);
        notes.extend(noted(&store).await);
    }
    assert!(notes[0].since < notes[1].since && notes[0].knows_until == notes[1].knows_until, "{notes:?}");
    assert!(matches!(store.end_comparing(0, notes[0]).await, Err(StoreError::Conflict)));
    assert_eq!(claimed(&store).await, 0);
    store.end_comparing(0, notes[1]).await.unwrap();
    assert_eq!(claimed(&store).await, 1);
}

/// Who did not run during the failover cannot know what is missing: it is compared.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_starts_after_a_failover_compares_first() {
    let Some(mut site) = Site::new() else { return };
    let store = site.open("one").await;
    due(&store).await;
    site.server(Started::copy).await;
    promise(&store).await;
    store.close().await;
    site.server(Started::fail_over).await;
    let store = site.open("one").await;
    assert_eq!((store.found(), claimed(&store).await), (Found::Elsewhere, 0));
    let (note, now) = (noted(&store).await.unwrap(), store.clock().await.unwrap());
    assert!(now.since(note.since) < Duration::from_secs(60) && note.knows_until == Some(START), "{note:?}");
}

/// F171: one replica after the other is replaced. While a newer one brings the database up, this one goes on with statements
/// that it prepared before, and with new ones.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_goes_on_while_columns_are_added_to_every_table() {
    let Some((database, store)) = fresh().await else { return };
    before_the_end(&store).await;
    due(&store).await;
    let mut newer = stranger(&database).await;
    let tables: Vec<String> = sqlx::query_scalar(
        "SELECT CAST(tablename AS TEXT) FROM pg_tables WHERE schemaname = current_schema() AND tablename NOT LIKE '\\_sqlx%'",
    )
    .fetch_all(&mut newer)
    .await
    .unwrap();
    assert!(tables.len() > 10, "{tables:?}");
    for table in tables {
        let sql = format!("ALTER TABLE {table} ADD COLUMN later BIGINT NOT NULL DEFAULT 7");
        sqlx::query(sqlx::AssertSqlSafe(sql)).execute(&mut newer).await.unwrap();
    }
    let grants = vec![grant("g8", "a8", "4718", granting())];
    store.commit(Transition { grants, audit: vec![entry("later")], ..transition() }).await.unwrap();
    assert!(claimed(&store).await > 0);
    assert_eq!(store.record_delivery(delivery("d77", "m77", None)).await.unwrap(), Recorded::New);
    assert_eq!(store.grant(&"g8".parse().unwrap()).await.unwrap().unwrap().version, 1);
    store.sweep(after(5)).await.unwrap();
    assert!(store.audit(0, 100).await.is_ok() && store.rules().await.is_ok() && store.tasks(100).await.is_ok());
}

/// What the next release may add: columns, and a table.
const TOMORROW: &str = "ALTER TABLE grants ADD COLUMN colour BIGINT NOT NULL DEFAULT 7;
     ALTER TABLE tasks ADD COLUMN colour BIGINT NOT NULL DEFAULT 7;
     CREATE TABLE colours (id TEXT PRIMARY KEY);
     COMMENT ON TABLE meta IS 'works-from 9999 12'";

/// And a kind of work, here before anything else about that account.
const WORK_OF_TOMORROW: &str =
    "INSERT INTO tasks (slot, key, kind, work, priority, state, run_at, created_at, risk, colour)
     VALUES ('paint:a2', 'account:a2', 'paint', '{\"kind\":\"paint\",\"account\":\"a2\"}', 0, 'pending', $1, $1, 0, 8)";

/// F171: one replica after the other is replaced. While the next release brings the database up, this one goes on with what it
/// prepared before; it takes up what the other has written, but for work of a kind that it does not know, which is left as it
/// is; and it may be started once more.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn this_release_goes_on_over_the_next_ones_migration() {
    let Some(database) = database(SUITE) else { return };
    let store = open(&database).await;
    let removal = |account: &str| task(converge(account, "acme-entra"), START, Priority::Removal);
    let slots = |tasks: Vec<Task>| tasks.iter().map(|task| task.work.slot()).collect::<Vec<_>>();
    add(&store, vec![removal("a1")]).await;
    assert_eq!(slots(claim(&store, START).await), ["converge:a1"]);

    let mut newer = stranger(&database).await;
    let tomorrow = Migration::new(9999, "tomorrow".into(), MigrationType::Simple, TOMORROW.into_sql_str(), false);
    let all = migrator().iter().cloned().chain([tomorrow]).collect();
    Migrator::with_migrations(all).run(&mut newer).await.unwrap();
    sqlx::query(WORK_OF_TOMORROW).bind(START.millis()).execute(&mut newer).await.unwrap();
    let grants = vec![grant("g1", "of-g1", "4711", granting())];
    store.commit(Transition { grants, tasks: vec![removal("a2")], ..transition() }).await.unwrap();
    assert_eq!(slots(claim(&store, after(1)).await), ["converge:a2"]);
    store.close().await;

    let store = open(&database).await;
    assert_eq!(store.grant(&"g1".parse().unwrap()).await.unwrap().unwrap().version, 1);
    add(&store, vec![removal("a3")]).await;
    assert_eq!(slots(claim(&store, after(2)).await), ["converge:a3"]);
    let theirs: (String, i64, i64) =
        sqlx::query_as("SELECT state, attempts, colour FROM tasks WHERE slot = 'paint:a2'")
            .fetch_one(&mut newer)
            .await
            .unwrap();
    assert_eq!(theirs, ("pending".to_owned(), 0, 8), "it is the next release's");
    store.close().await;
}

/// F171: what a migration with which older programs go on (`works-from`) really says: it adds columns that have a value where
/// nobody names one, tables, and indexes that forbid nothing; and puts another index in the place of one of the same name.
#[test]
fn a_migration_that_says_so_only_adds() {
    let ours = migrator();
    let said: Vec<_> = ours.iter().filter(|migration| migration.sql.as_str().contains("works-from")).collect();
    assert!(!said.is_empty(), "there is one");
    for migration in said {
        let lines = migration.sql.as_str().lines().filter(|line| !line.trim_start().starts_with("--"));
        let text = lines.collect::<Vec<_>>().join(" ");
        let statements: Vec<Vec<&str>> = text
            .split(';')
            .map(|said| said.split_whitespace().collect())
            .filter(|words: &Vec<_>| !words.is_empty())
            .collect();
        for words in &statements {
            let only_adds = match words.as_slice() {
                ["ALTER", "TABLE", _, "ADD", "COLUMN", _, rest @ ..] => {
                    !rest.iter().any(|word| ["UNIQUE", "PRIMARY", "REFERENCES", "DROP", "ALTER"].contains(word))
                        && (rest.contains(&"DEFAULT") || !rest.contains(&"NOT"))
                }
                ["CREATE", "TABLE" | "INDEX", ..] | ["COMMENT", "ON", "TABLE", "meta", ..] => true,
                ["DROP", "INDEX", dropped] => {
                    statements.iter().any(|words| words.starts_with(&["CREATE", "INDEX", dropped]))
                }
                _ => false,
            };
            assert!(only_adds, "{}: {}", migration.version, words.join(" "));
        }
    }
}

/// A dump that was put back is the same installation, and not the same history.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_database_with_the_same_contents_is_another_history() {
    let Some(site) = Site::new() else { return };
    let started = site.started.as_ref().unwrap();
    let store = site.open("one").await;
    due(&store).await;
    store.close().await;
    started.ask("postgres", "ALTER DATABASE used RENAME TO template");
    started.ask("postgres", "CREATE DATABASE used TEMPLATE template");
    let store = site.open("one").await;
    assert_eq!((store.found(), claimed(&store).await), (Found::Elsewhere, 0));
}

/// A replica that is new here joins those who use the database; alone it is as with any other database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_replica_is_told_from_a_first_start() {
    let Some(site) = Site::new() else { return };
    let store = site.open("one").await;
    assert_eq!(store.found(), Found::Usual);
    assert_eq!(site.open("another").await.found(), Found::Usual, "nobody has written anything");
    due(&store).await;
    assert_eq!(site.open("third").await.found(), Found::InUse);
    assert_eq!(site.open("another").await.found(), Found::Usual, "it was here before");
    let mut conn = stranger(&site.database).await;
    execute(&mut conn, "UPDATE writers SET at = at - 200000").await;
    assert_eq!(site.open("fourth").await.found(), Found::Usual, "nobody uses it");
}
