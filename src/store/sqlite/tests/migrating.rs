//! A migration in the middle of which the process is killed.

use super::*;

const CHILD: &str = "LATCHKEY_TEST_CHILD_MIGRATES";

/// So often in a row, a twentieth of a second apart, nobody else can write: what a start writes otherwise takes no such time.
const IN_THE_MIDDLE: usize = 20;

/// The other half of the next test, in a process of its own; by itself it does nothing.
#[tokio::test]
async fn child_of_the_migration_test() {
    let Ok(path) = std::env::var(CHILD) else { return };
    let _ = Sqlite::open(Path::new(&path), small()).await;
}

/// Migrations that were run, and how many tables have the column that the first of the others adds.
async fn standing(conn: &mut SqliteConnection) -> (Vec<i64>, i64) {
    let run = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version");
    let columns = "SELECT count(*) FROM sqlite_master AS m, pragma_table_info(m.name) AS c
                   WHERE m.type = 'table' AND c.name = 'risk'";
    let run = run.fetch_all(&mut *conn).await.unwrap();
    (run, sqlx::query_scalar(columns).fetch_one(conn).await.unwrap())
}

/// K16: of a migration whose process is killed in the middle nothing stands, and the next start goes through it.
#[tokio::test]
async fn a_migration_that_is_broken_off_leaves_nothing_and_is_run_again() {
    let place = Place::new();
    let options = SqliteConnectOptions::new().filename(place.db()).create_if_missing(true);
    let mut conn = options.connect().await.unwrap();
    crate::store::sqlite::open::migrator_up_to(10).run(&mut conn).await.unwrap();
    // Whoever brings it up to date never comes to an end: after the migration's statements, before its transaction ends.
    execute(
        &mut conn,
        "CREATE VIEW endless AS WITH RECURSIVE c(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM c) SELECT n FROM c",
    )
    .await;
    let still = "CREATE TRIGGER still BEFORE INSERT ON _sqlx_migrations BEGIN SELECT max(n) FROM endless; END";
    execute(&mut conn, still).await;
    let before = standing(&mut conn).await;
    assert_eq!((before.0.last(), before.1), (Some(&10), 0));
    conn.close().await.unwrap();

    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["child_of_the_migration_test", "--test-threads=1"])
        .env(CHILD, place.db())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let is_in_the_middle = is_written_for_long(&place).await;
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    assert!(is_in_the_middle && !ended.success(), "it did not die in the middle: {ended}");

    let mut conn = stranger(&place.db()).await;
    assert_eq!(standing(&mut conn).await, before, "nothing half done");
    execute(&mut conn, "DROP TRIGGER still").await;
    execute(&mut conn, "DROP VIEW endless").await;
    let store = place.open().await;
    let (run, columns) = standing(&mut conn).await;
    assert_eq!((run.last(), columns), (Some(&crate::store::sqlite::newest_migration()), 2));
    store.heartbeat(START).await.unwrap();
    store.close().await;
}

/// Whether somebody is in a transaction that writes, and stays in it.
async fn is_written_for_long(place: &Place) -> bool {
    let impatient = SqliteConnectOptions::new().filename(place.db()).busy_timeout(Duration::ZERO);
    let mut conn = impatient.connect().await.unwrap();
    let (mut in_a_row, give_up) = (0, Instant::now() + Duration::from_secs(60));
    while in_a_row < IN_THE_MIDDLE && Instant::now() < give_up {
        tokio::time::sleep(Duration::from_millis(50)).await;
        if sqlx::query("BEGIN IMMEDIATE").execute(&mut conn).await.is_ok() {
            execute(&mut conn, "ROLLBACK").await;
            in_a_row = 0;
        } else {
            in_a_row += 1;
        }
    }
    conn.close().await.unwrap();
    in_a_row == IN_THE_MIDDLE
}
