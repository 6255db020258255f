//! The common story, and what only this engine has to prove.

mod audit;

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

story::tell!(fresh:
    a_delivery_is_recorded_once_with_its_task,
    rules_are_saved_one_revision_after_another,
    records_and_rulebook_have_histories_of_their_own,
    a_record_does_not_go_while_access_needs_it,
    a_hold_is_undone_by_its_own_word_alone,
    a_hold_looks_again_at_what_it_is_about,
    a_brake_is_counted_again_where_it_is_written,
    an_account_is_found_by_its_name,
    a_transition_is_written_whole_and_read_back,
    a_version_that_moved_changes_nothing,
    two_requests_cannot_make_two_standard_accounts,
    accounts_are_listed_page_by_page,
    a_destroyed_secret_is_gone_and_its_name_free,
    data_keys_are_wrapped_anew_and_a_retired_key_takes_no_more,
    sightings_and_notices_are_replaced,
    notices_stay_in_the_order_of_their_commits,
    the_audit_is_one_chain,
    audit_entries_are_found_by_what_they_are_about,
    what_is_pruned_leaves_a_checkpoint,
    a_claim_takes_what_is_due_removals_first,
    one_key_has_one_hand,
    a_connection_at_its_limit_is_skipped_but_not_by_removals,
    a_lease_that_ran_out_is_lost_to_who_comes_next,
    a_lease_does_not_fit_a_later_task_of_its_slot,
    a_waiting_task_is_moved_and_the_more_urgent_priority_stays,
    what_is_asked_for_again_while_it_runs_runs_again,
    retries_count_and_the_dead_are_visible_until_asked_for,
    a_removal_is_never_given_up,
    the_sweep_makes_what_is_missing_once,
    the_sweep_wakes_a_dead_removal_and_lets_a_dead_delivery_lie,
    many_workers_never_hold_the_same_task,
    a_one_time_code_works_once,
    an_invitation_enrols_once,
    who_is_removed_takes_their_factors_along,
    every_binding_is_audited,
    failures_are_counted_per_key_and_time,
    a_session_ends_by_its_end_by_idling_by_closing_and_by_enrolment,
    the_last_wall_time_is_remembered,
    trouble_begins_once_and_ends_once,
    a_save_that_nobody_saw_is_found,
    who_is_held_is_not_here,
    the_sweep_makes_who_watches,
);

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

/// Many writes at once share transactions, and a bad one among them fails alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bad_write_never_fails_its_neighbours() {
    let (_place, store) = fresh().await;
    store.commit(Transition { grants: vec![grant("taken", "a1", "1", granting())], ..transition() }).await.unwrap();
    let all = (0..200).map(|n| {
        let id = if n % 10 == 3 { "taken".to_owned() } else { format!("g{n}") };
        let t = Transition { grants: vec![grant(&id, "a1", "1", granting())], audit: vec![entry("x")], ..transition() };
        store.commit(t)
    });
    let results = futures::future::join_all(all).await;
    for (n, result) in results.iter().enumerate() {
        match n % 10 {
            3 => assert!(matches!(result, Err(StoreError::Conflict)), "{n}"),
            _ => assert!(result.is_ok(), "{n}: {result:?}"),
        }
    }
    let audit = store.audit(0, 500).await.unwrap();
    assert_eq!(audit.len(), 180);
    assert!(crate::store::verify_chain((0, ""), &audit).is_ok());
}

/// A full writer says so at once, and removals have a channel of their own. A database that another
/// program holds is busy within two seconds, and everything goes on when it lets go.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_locked_database_is_busy_and_then_goes_on() {
    let (place, store) = fresh().await;
    let mut holder = stranger(&place.db()).await;
    execute(&mut holder, "BEGIN IMMEDIATE").await;
    let started = Instant::now();
    assert!(matches!(store.heartbeat(START).await, Err(StoreError::Busy)));
    assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());

    let writes = futures::future::join_all((0..1500).map(|_| store.heartbeat(START)));
    let removal = store.commit(Transition { is_removal: true, ..transition() });
    let (writes, removal) = tokio::join!(writes, removal);
    assert!(writes.iter().all(|result| matches!(result, Err(StoreError::Busy))));
    assert!(matches!(removal, Err(StoreError::Busy)));
    assert!(started.elapsed() < Duration::from_secs(9), "{:?}", started.elapsed());
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
