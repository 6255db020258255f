//! From a file to a real server, and all that must not be.

use latchkey_contract::directory::Mode;
use latchkey_simulators::postgres::{Database, database};
use sqlx::{Connection as _, PgConnection};

use super::*;
use crate::{
    audit::{Chain, Checkpoint},
    jobs::task::Priority,
    rulebook::{Hold, HoldCause, HoldOn, Rules},
    store::{
        Finish, NoticeState, Store, Transition,
        postgres::Postgres,
        sqlite::{Options, Sqlite},
        story::*,
    },
};

const SUITE: &str = "moving to PostgreSQL";

fn server(database: &Database) -> Server {
    Server::parse(&database.url.parse().unwrap(), None, None).unwrap()
}

async fn file(dir: &tempfile::TempDir) -> Sqlite {
    Sqlite::open(&dir.path().join("latchkey.db"), Options { reserve_bytes: 0, max_bytes: None }).await.unwrap()
}

/// A database with something of everything, among it a pruned audit log and numbers that must not be given again.
async fn filled(dir: &tempfile::TempDir) -> Sqlite {
    let store = file(dir).await;
    for n in 1..=4 {
        let audit = vec![crate::audit::AuditEntry { at: after(n), grant: None, ..entry("x") }];
        store.commit(Transition { audit, ..transition() }).await.unwrap();
    }
    let gone = store.audit_prunable(after(4)).await.unwrap().unwrap();
    let pruned = crate::audit::AuditEntry { grant: None, ..entry("pruned") };
    store.audit_prune(&Checkpoint { gone, signature: "signed".into() }, pruned).await.unwrap();
    before_the_end(&store).await;
    store.save_rules(&Rules::default(), "jdoe", "why „ä“", START).await.unwrap();
    let hold =
        Hold { on: HoldOn::Everything, cause: HoldCause::Blocked, since: START, by: "j".into(), reason: "w".into() };
    store.set_hold(&hold).await.unwrap();
    store.count_failure("jdoe", START, START).await.unwrap();
    store.count_failure("jdoe", START, START).await.unwrap();
    store.raise_generation(6).await.unwrap();
    let t = Transition {
        accounts: vec![account("a2", Mode::Standard), account("a1", Mode::Burner)],
        grants: vec![grant("g9", "a2", "4711", granting()), grant("g3", "a2", "4711", refused())],
        seal: vec![sealed("s1", Some("cw/private-key")), sealed("s2", None)],
        notices: ["n5", "n9", "n2"].map(|id| notice(id, "4711", "g1", NoticeState::Open)).to_vec(),
        tasks: (0..1200).map(|n| task(tell_work(&n.to_string()), after(9999), Priority::Telling)).collect(),
        ..transition()
    };
    store.commit(t).await.unwrap();
    add(&store, vec![task(tell_work("done"), START, Priority::Removal)]).await;
    let newest = claim(&store, START).await.into_iter().find(|task| task.work == tell_work("done")).unwrap();
    store.finish(&newest.lease, Finish::Done).await.unwrap();
    store
}

async fn tables(database: &Database) -> Vec<(String, i64)> {
    let mut conn = PgConnection::connect(&database.url).await.unwrap();
    let sql = "SELECT 'grants', count(*) FROM grants UNION ALL SELECT 'tasks', count(*) FROM tasks
        UNION ALL SELECT 'audit', count(*) FROM audit UNION ALL SELECT 'meta', count(*) FROM meta WHERE name <> 'id'";
    sqlx::query_as(sql).fetch_all(&mut conn).await.unwrap()
}

/// Everything arrives, in its order, and goes on: rules, generation, chain, checkpoints, leases, the next number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_there_and_goes_on() {
    let Some(database) = database(SUITE) else { return };
    let dir = tempfile::tempdir().unwrap();
    let store = filled(&dir).await;
    let before = (store.rules().await.unwrap(), store.audit_head().await.unwrap(), store.generation().await.unwrap());
    let (tasks, notices) = (store.tasks(2000).await.unwrap(), store.notices_of(&"g1".parse().unwrap()).await.unwrap());
    let of_ticket = store.grants_of_ticket(&ticket("4711")).await.unwrap();
    store.close().await;
    let bytes = std::fs::read(dir.path().join("latchkey.db")).unwrap();
    let moved = to_postgres(&dir.path().join("latchkey.db"), &server(&database)).await.unwrap();
    assert!(moved.iter().any(|table| table.table == "tasks" && table.rows > 1200), "{moved:?}");
    assert!(moved.iter().any(|table| table.table == "failures" && table.rows == 2), "{moved:?}");
    assert!(bytes == std::fs::read(dir.path().join("latchkey.db")).unwrap(), "the file is as it was");

    let store = Postgres::open(&server(&database)).await.unwrap();
    let now = (store.rules().await.unwrap(), store.audit_head().await.unwrap(), store.generation().await.unwrap());
    assert_eq!(now, before);
    assert_eq!(store.tasks(2000).await.unwrap(), tasks);
    assert_eq!(store.notices_of(&"g1".parse().unwrap()).await.unwrap(), notices);
    assert_eq!(store.grants_of_ticket(&ticket("4711")).await.unwrap(), of_ticket);
    assert_eq!(store.sealed_named("cw/private-key").await.unwrap().unwrap(), sealed("s1", Some("cw/private-key")));
    let checkpoints = store.audit_checkpoints().await.unwrap();
    let mut chain = Chain::after(&checkpoints, vec![]).unwrap();
    store.commit(Transition { audit: vec![entry("later")], ..transition() }).await.unwrap();
    let rows = store.audit_rows(&crate::audit::AuditFilter::default(), 0, 100).await.unwrap();
    rows.iter().for_each(|row| chain.take(row).unwrap());
    assert_eq!(chain.head(), store.audit_head().await.unwrap());
    let newest: i64 = tasks_newest(&database).await;
    add(&store, vec![task(tell_work("new"), START, Priority::Removal)]).await;
    let leased = claim(&store, after(1)).await.into_iter().find(|task| task.work == tell_work("new")).unwrap();
    assert!(
        leased.lease.task.parse::<i64>().unwrap() > newest + 1,
        "the number of a task that is gone is not given again"
    );
    let mut conn = PgConnection::connect(&database.url).await.unwrap();
    let refused = sqlx::query("UPDATE audit_checkpoints SET seq = 3").execute(&mut conn).await.unwrap_err();
    assert!(refused.to_string().contains("checkpoints stay"), "{refused}");
}

async fn tasks_newest(database: &Database) -> i64 {
    let mut conn = PgConnection::connect(&database.url).await.unwrap();
    sqlx::query_scalar("SELECT max(id) FROM tasks").fetch_one(&mut conn).await.unwrap()
}

/// A target that holds something, and a source that is used, missing, or an earlier release's, are let be.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_moved_over_what_is_there_nor_under_who_works() {
    let Some(used) = database(SUITE) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("latchkey.db");
    let refused = async |to: &Database| to_postgres(&path, &server(to)).await.unwrap_err();
    assert!(matches!(refused(&used).await, TransferError::NoSource(_)));
    let store = filled(&dir).await;
    assert!(matches!(refused(&used).await, TransferError::InUse(_)));
    store.close().await;
    let other = Postgres::open(&server(&used)).await.unwrap();
    other.heartbeat(START).await.unwrap();
    let error = refused(&used).await;
    assert!(matches!(&error, TransferError::NotEmpty(table) if table == "meta"), "{error:?}");
    assert_eq!(other.last_seen().await.unwrap(), Some(START), "it is as it was");

    use sqlx::ConnectOptions as _;
    let mut conn = sqlx::sqlite::SqliteConnectOptions::new().filename(&path).connect().await.unwrap();
    sqlx::query("DELETE FROM _sqlx_migrations WHERE version = $1")
        .bind(sqlite::newest_migration())
        .execute(&mut conn)
        .await
        .unwrap();
    conn.close().await.unwrap();
    assert!(matches!(refused(&used).await, TransferError::Outdated { .. }));
}

/// What fails in the middle, or does not read back as it was read, leaves nothing behind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_of_it_or_nothing() {
    let dir = tempfile::tempdir().unwrap();
    filled(&dir).await.close().await;
    let path = dir.path().join("latchkey.db");
    for (breaks, what) in [
        ("RAISE EXCEPTION 'no'", "cannot be written"),
        ("NEW.last_error := 'changed'; RETURN NEW", "does not read back"),
        ("RETURN NULL", "does not read back"),
    ] {
        let Some(database) = database(SUITE) else { return };
        Postgres::open(&server(&database)).await.unwrap().close().await;
        let mut conn = PgConnection::connect(&database.url).await.unwrap();
        let sql = format!(
            "CREATE FUNCTION no() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {breaks}; END $$;
             CREATE TRIGGER stranger BEFORE INSERT ON tasks FOR EACH ROW EXECUTE FUNCTION no()"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut conn).await.unwrap();
        let error = to_postgres(&path, &server(&database)).await.unwrap_err();
        assert!(error.to_string().contains(what) && error.to_string().contains("tasks"), "{error:?}");
        assert!(tables(&database).await.iter().all(|(_, rows)| *rows == 0), "{:?}", tables(&database).await);
        let there = Postgres::open(&server(&database)).await.unwrap();
        assert!(there.rules().await.unwrap().revision == 0, "it can be used, and is empty");
        sqlx::raw_sql("DROP TRIGGER stranger ON tasks").execute(&mut conn).await.unwrap();
        there.close().await;
        to_postgres(&path, &server(&database)).await.unwrap();
    }
}

/// The two engines have the same tables and columns, and their migrations the same numbers and names.
#[tokio::test]
async fn migrations_are_pairs() {
    let Some(database) = database(SUITE) else { return };
    let dir = tempfile::tempdir().unwrap();
    file(&dir).await.close().await;
    let mut alone = copy::Alone::with(&dir.path().join("latchkey.db")).await.unwrap();
    let source = Source(alone.conn().unwrap()).tables().await.unwrap();
    let target = Target::open(&server(&database)).await.unwrap().tables().await.unwrap();
    assert_eq!(difference(&source, &target), None);
    assert!(source.len() > 15, "{source:?}");
    let names = |folder: &str| {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("migrations").join(folder);
        let files = std::fs::read_dir(path).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = files.filter(|name| name.as_str() >= "0010").collect();
        names.sort();
        names
    };
    assert_eq!(names("sqlite"), names("postgres"));
    assert!(names("sqlite").last().unwrap().starts_with(&format!("{:04}", sqlite::newest_migration())));
}
