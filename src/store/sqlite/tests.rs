//! The common story, and what only this engine has to prove.

mod audit;
mod migrating;

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use sqlx::{ConnectOptions as _, Connection as _, SqliteConnection, sqlite::SqliteConnectOptions};

use super::{OpenError, Options, Sqlite};
use crate::{
    jobs::task::Priority,
    rulebook::HoldCause,
    store::{Finish, Recorded, Scope, Store, StoreError, Transition, row, story, story::*},
};

/// A directory of its own for each test, gone at its end.
#[derive(Debug)]
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn db(&self) -> PathBuf {
        self.0.path().join("latchkey.db")
    }

    async fn open(&self) -> Sqlite {
        Sqlite::open(&self.db(), small()).await.unwrap()
    }
}

fn small() -> Options {
    Options { reserve_bytes: 256 * 1024, max_bytes: None }
}

async fn fresh() -> (Place, Sqlite) {
    let place = Place::new();
    let store = place.open().await;
    (place, store)
}

/// A connection like a stranger's: another program that has the file open.
async fn stranger(path: &Path) -> SqliteConnection {
    SqliteConnectOptions::new().filename(path).busy_timeout(Duration::from_secs(5)).connect().await.unwrap()
}

async fn execute(conn: &mut SqliteConnection, sql: &'static str) {
    sqlx::query(sql).execute(conn).await.unwrap();
}

async fn told() -> Option<(Place, Sqlite)> {
    Some(fresh().await)
}

story::tell_all!(told);

#[tokio::test]
async fn what_was_answered_is_there_after_a_close() {
    let place = Place::new();
    let store = place.open().await;
    before_the_end(&store).await;
    store.close().await;
    assert!(matches!(store.heartbeat(START).await, Err(StoreError::Engine(_))), "closed");
    after_the_end(&place.open().await).await;
}

const CHILD: &str = "LATCHKEY_TEST_CHILD_DATABASE";

/// The other half of the next test, in a process of its own; by itself it does nothing.
#[tokio::test]
async fn child_of_the_kill_test() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let store = Sqlite::open(Path::new(&path), small()).await.unwrap();
    before_the_end(&store).await;
    // Once the first further write is answered the parent may kill. Uncommitted work goes on meanwhile.
    for n in 0.. {
        let _ = store.record_delivery(delivery(&format!("x{n}"), &format!("x{n}"), None)).await;
        if n == 0 {
            std::fs::write(format!("{path}.answered"), "").unwrap();
        }
    }
}

/// `kill -9` loses nothing that was answered.
#[tokio::test]
async fn what_was_answered_is_there_after_a_kill() {
    let place = Place::new();
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["child_of_the_kill_test", "--test-threads=1"])
        .env(CHILD, place.db())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let answered = place.0.path().join("latchkey.db.answered");
    let give_up = Instant::now() + Duration::from_secs(60);
    while !answered.exists() && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(answered.exists(), "the child never answered");
    let store = place.open().await;
    let found: i64 = sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE id LIKE 'x%'")
        .fetch_one(&store.readers)
        .await
        .unwrap();
    let mut conn = stranger(&place.db()).await;
    execute(&mut conn, "DELETE FROM tasks WHERE slot LIKE 'intake:x%'").await;
    after_the_end(&store).await;
    assert!(found > 0, "the kill came before any further write");
}

#[tokio::test]
async fn the_settings_that_durability_rests_on_are_in_force() {
    let (place, store) = fresh().await;
    let mut writer = super::open::Opener::new(&place.db(), &small()).connect().await.unwrap();
    let synchronous: i64 = sqlx::query_scalar("PRAGMA synchronous").fetch_one(&mut writer).await.unwrap();
    let journal: String = sqlx::query_scalar("PRAGMA journal_mode").fetch_one(&mut writer).await.unwrap();
    let erased: i64 = sqlx::query_scalar("PRAGMA secure_delete").fetch_one(&mut writer).await.unwrap();
    assert_eq!((synchronous, journal.as_str(), erased), (2, "wal", 1));
    let refused = sqlx::query("DELETE FROM tasks").execute(&store.readers).await;
    assert!(refused.is_err(), "readers cannot write");
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(place.db()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

/// A full writer says so at once, and removals have a channel of their own. A database that another
/// program holds is busy, and everything goes on when it lets go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_is_busy_and_then_goes_on() {
    let (place, store) = fresh().await;
    let mut holder = stranger(&place.db()).await;
    execute(&mut holder, "BEGIN IMMEDIATE").await;
    let started = Instant::now();
    assert!(matches!(store.heartbeat(START).await, Err(StoreError::Busy)));
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());

    let writes = futures::future::join_all((0..1500).map(|_| store.heartbeat(START)));
    let removal = store.commit(Transition { is_removal: true, ..transition() });
    let (writes, removal) = tokio::join!(writes, removal);
    assert!(writes.iter().all(|result| matches!(result, Err(StoreError::Busy))));
    assert!(matches!(removal, Err(StoreError::Busy)));
    assert!(started.elapsed() < Duration::from_secs(60), "{:?}", started.elapsed());
    assert!(store.last_seen().await.unwrap().is_none(), "reading goes on");

    execute(&mut holder, "ROLLBACK").await;
    store.heartbeat(after(1)).await.unwrap();
    assert_eq!(store.last_seen().await.unwrap(), Some(after(1)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_refuses_everything_but_removals_until_there_is_room() {
    let place = Place::new();
    let options = Options { reserve_bytes: 512 * 1024, max_bytes: Some(512 * 1024) };
    let store = Sqlite::open(&place.db(), options).await.unwrap();
    let reserve = place.0.path().join("latchkey.db.reserve");
    assert_eq!(std::fs::metadata(&reserve).unwrap().len(), 512 * 1024);
    add(&store, vec![task(converge("a1", "acme-entra"), START, Priority::Removal)]).await;
    add(&store, vec![task(converge("a2", "acme-entra"), START, Priority::Giving)]).await;

    let mut n = 0;
    let full = loop {
        n += 1;
        let mut big = delivery(&format!("d{n}"), &format!("m{n}"), None);
        big.body_hash = "x".repeat(8000);
        if let Err(error) = store.record_delivery(big).await {
            break error;
        }
    };
    assert!(matches!(full, StoreError::Full), "{full:?}");
    assert!(reserve.exists(), "what is reserved is not for deliveries");
    let mut padded = entry("removed");
    padded.detail = serde_json::json!({"padding": "x".repeat(20_000)});
    let removal = || Transition { is_removal: true, audit: vec![padded.clone()], ..transition() };
    for _ in 0..5 {
        store.commit(removal()).await.unwrap();
    }
    assert!(!reserve.exists(), "given up to removals");
    assert!(matches!(store.heartbeat(START).await, Err(StoreError::Full)));
    assert!(matches!(store.commit(transition()).await, Err(StoreError::Full)));
    let tasks = claim(&store, START).await;
    assert_eq!(tasks.iter().map(|t| t.work.slot()).collect::<Vec<_>>(), ["converge:a1"], "removals alone");
    assert!(store.renew(&tasks[0].lease, after(90)).await.unwrap());
    assert!(store.finish(&tasks[0].lease, Finish::Done).await.unwrap());

    let mut conn = stranger(&place.db()).await;
    execute(&mut conn, "DELETE FROM deliveries").await;
    let give_up = Instant::now() + Duration::from_secs(10);
    while store.heartbeat(after(1)).await.is_err() && Instant::now() < give_up {
        tokio::task::yield_now().await;
    }
    assert_eq!(store.last_seen().await.unwrap(), Some(after(1)), "there is room again");
    assert!(reserve.exists(), "and it is reserved first");
    assert_eq!(store.record_delivery(delivery("d", "m", None)).await.unwrap(), Recorded::New);
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_stops_nobody_else() {
    let (place, store) = fresh().await;
    let grants = vec![grant("g1", "a1", "1", granting()), grant("g2", "a2", "2", granting())];
    store.commit(Transition { grants, ..transition() }).await.unwrap();
    add(&store, vec![task(converge("a1", "acme-entra"), START, Priority::Giving)]).await;
    add(&store, vec![task(converge("a2", "acme-entra"), START, Priority::Giving)]).await;
    let mut conn = stranger(&place.db()).await;
    execute(&mut conn, "UPDATE grants SET doc = '{' WHERE id = 'g1'").await;
    execute(&mut conn, "UPDATE tasks SET work = '{\"kind\":\"unknown\"}' WHERE slot = 'converge:a1'").await;
    let corrupt = store.grant(&"g1".parse().unwrap()).await.unwrap_err();
    assert_eq!(corrupt.to_string(), "row g1 of grants cannot be read");
    assert!(store.grant(&"g2".parse().unwrap()).await.unwrap().is_some());
    assert_eq!(claim(&store, START).await.len(), 1);
    assert_eq!(store.queue(START).await.unwrap().dead, 1);
}

async fn refused(place: &Place) -> OpenError {
    Sqlite::open(&place.db(), small()).await.expect_err("it must not be opened")
}

async fn filled(place: &Place) -> PathBuf {
    let store = place.open().await;
    before_the_end(&store).await;
    store.close().await;
    place.db()
}

#[tokio::test]
async fn a_damaged_database_is_refused() {
    let place = Place::new();
    let path = filled(&place).await;
    let whole = std::fs::read(&path).unwrap();
    let mut bytes = whole.clone();
    bytes[..16].copy_from_slice(b"not a database!!");
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(refused(&place).await, OpenError::Corrupt { .. }));
    let mut bytes = whole;
    bytes[4096..].iter_mut().for_each(|byte| *byte = 0xEE);
    std::fs::write(&path, &bytes).unwrap();
    let error = refused(&place).await;
    assert!(matches!(error, OpenError::Corrupt { .. }), "{error:?}");
    assert!(error.to_string().contains("restore a backup"), "{error}");
}

/// A start takes no longer the more is stored: a large file is looked through while it is served.
#[tokio::test]
async fn a_large_damaged_database_is_noticed_while_it_is_served() {
    let place = Place::new();
    let path = filled(&place).await;
    let mut conn = stranger(&path).await;
    execute(&mut conn, "CREATE TABLE many (x BLOB)").await;
    execute(
        &mut conn,
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
         INSERT INTO many SELECT randomblob(1000) FROM n",
    )
    .await;
    let root: i64 = sqlx::query_scalar("SELECT rootpage FROM sqlite_master WHERE name = 'many'")
        .fetch_one(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    let opener = super::open::Opener::new(&path, &small());
    let damage = super::look::Damage::default();
    super::look::through(&opener, &damage).await;
    assert_eq!(damage.get(), None, "it is large, and whole");
    let mut bytes = std::fs::read(&path).unwrap();
    assert!(bytes.len() > 16 * 1024 * 1024);
    let from = usize::try_from(root - 1).unwrap() * 4096;
    bytes[from..from + 4096].iter_mut().for_each(|byte| *byte = 0xEE);
    std::fs::write(&path, bytes).unwrap();
    let store = place.open().await;
    assert_eq!(store.damage(), None, "nobody has looked yet");
    super::look::through(&opener, &store.damage).await;
    assert!(store.damage().is_some());
    after_the_end(&store).await;
}

#[tokio::test]
async fn a_database_that_is_gone_empty_or_another_is_noticed() {
    let place = Place::new();
    let path = filled(&place).await;
    let kept = std::fs::read(&path).unwrap();
    std::fs::remove_file(&path).unwrap();
    assert!(matches!(refused(&place).await, OpenError::Gone { .. }));
    std::fs::write(&path, "").unwrap();
    assert!(matches!(refused(&place).await, OpenError::Gone { .. }));
    let elsewhere = Place::new();
    std::fs::copy(filled(&elsewhere).await, &path).unwrap();
    assert!(matches!(refused(&place).await, OpenError::Other { .. }));
    std::fs::write(&path, kept).unwrap();
    after_the_end(&place.open().await).await;
}

#[tokio::test]
async fn a_strangers_a_newer_and_a_read_only_database_are_refused() {
    let place = Place::new();
    let options = SqliteConnectOptions::new().filename(place.db()).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    execute(&mut conn, "CREATE TABLE theirs (x)").await;
    conn.close().await.unwrap();
    assert!(matches!(refused(&place).await, OpenError::Foreign(_)));

    let place = Place::new();
    let path = filled(&place).await;
    let mut conn = stranger(&path).await;
    execute(
        &mut conn,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', true, x'00', 0)",
    )
    .await;
    let error = refused(&place).await;
    assert!(matches!(error, OpenError::Newer { migration: 9999, .. }), "{error:?}");
    execute(&mut conn, "DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    execute(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)").await;
    conn.close().await.unwrap();

    // A write version above 2 makes the engine treat the file as read-only, also for root.
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[18] = 9;
    std::fs::write(&path, bytes).unwrap();
    let error = refused(&place).await;
    assert!(matches!(error, OpenError::ReadOnly(_)), "{error:?}");
}

#[tokio::test]
async fn a_database_held_by_another_program_is_not_opened_blindly() {
    let place = Place::new();
    let mut holder = stranger(&filled(&place).await).await;
    execute(&mut holder, "BEGIN IMMEDIATE").await;
    assert!(matches!(refused(&place).await, OpenError::Locked(_)));
    execute(&mut holder, "ROLLBACK").await;
    after_the_end(&place.open().await).await;
}

/// A database of the release before: its rules become rows, who was blocked in the records is blocked by a hold.
#[tokio::test]
async fn rules_of_an_earlier_release_are_carried_over() {
    let place = Place::new();
    let options = SqliteConnectOptions::new().filename(place.db()).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    super::open::migrator_up_to(4).run(&mut conn).await.unwrap();
    let records = r#"{"connection":[],"customer":[{"id":"acme","name":"ACME","jit":true}],"person":[
        {"id":"ann","name":"Ann","customers":"all","blocked":true},{"id":"bob","name":"Bob","customers":["acme"]}]}"#;
    let sql = "INSERT INTO rules (revision, author, reason, saved_at, rulebook, records) VALUES ($1, 'jdoe', 'why', 7, $2, $3)";
    for (revision, records) in [(1, r#"{"connection":[],"customer":[],"person":[]}"#), (2, records)] {
        let rulebook = r#"{"policy":[],"mapping":[]}"#;
        sqlx::query(sql).bind(revision).bind(rulebook).bind(records).execute(&mut conn).await.unwrap();
    }
    let doc = row::encode(&grant("g1", "a1", "4711", granting())).unwrap();
    let sql = "INSERT INTO grants (id, version, ticket, account, person, state, is_open, doc)
        VALUES ('g1', 1, 'cw/4711', 'a1', 'jdoe', 'granting', 1, $1)";
    sqlx::query(sql).bind(doc).execute(&mut conn).await.unwrap();
    conn.close().await.unwrap();

    let store = place.open().await;
    let rules = store.rules().await.unwrap();
    assert_eq!((rules.revision, rules.records.people.len(), rules.records.customers.len()), (2, 2, 1));
    let held: Vec<_> = rules.holds.iter().map(|h| (h.on.to_string(), h.cause)).collect();
    assert_eq!(held, [("person/ann".to_owned(), HoldCause::Blocked)]);
    assert_eq!(store.history(10).await.unwrap().len(), 2);
    assert_eq!(store.count_grants(&Scope::Customer("acme".parse().unwrap()), "", None).await.unwrap(), 1);
    assert_eq!(store.save_rules(&rules, "jdoe", "goes on", START).await.unwrap(), 3);
}
