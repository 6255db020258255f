//! A migration that is broken off, and one that two processes come by at once.

use sqlx::migrate::Migrator;

use super::*;
use crate::store::postgres::open::migrator;

/// Migrations that were run, and how many columns the first of the others adds.
type Standing = (Vec<i64>, i64);

/// As the release before left it. Whoever brings it up to date stands still for a moment in the middle of each migration: after
/// its statements, and before its transaction ends.
async fn of_the_release_before(database: &Database) -> PgConnection {
    let known = migrator().iter().filter(|migration| migration.version <= 10).cloned().collect();
    let mut conn = stranger(database).await;
    Migrator::with_migrations(known).run(&mut conn).await.unwrap();
    execute(
        &mut conn,
        "CREATE FUNCTION stand_still() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$;
         CREATE TRIGGER still BEFORE INSERT ON _sqlx_migrations FOR EACH ROW EXECUTE FUNCTION stand_still()",
    )
    .await;
    conn
}

async fn standing(conn: &mut PgConnection) -> Standing {
    let run = sqlx::query_scalar("SELECT version FROM _sqlx_migrations ORDER BY version");
    let columns = "SELECT count(*) FROM information_schema.columns
                   WHERE table_schema = current_schema() AND column_name = 'risk'";
    let run = run.fetch_all(&mut *conn).await.unwrap();
    (run, sqlx::query_scalar(columns).fetch_one(conn).await.unwrap())
}

/// Waits until this many stand still in the middle of a migration, and so many wait for them.
async fn are_at_it(conn: &mut PgConnection, in_the_middle: i64, waiting: i64) {
    let asked = "SELECT count(*) FILTER (WHERE wait_event = 'PgSleep'), count(*) FILTER (WHERE wait_event = 'advisory')
                 FROM pg_stat_activity WHERE datname = current_database()";
    let give_up = Instant::now() + Duration::from_secs(60);
    loop {
        let found: (i64, i64) = sqlx::query_as(asked).fetch_one(&mut *conn).await.unwrap();
        if found == (in_the_middle, waiting) {
            return;
        }
        assert!(Instant::now() < give_up, "nobody is in the middle of a migration: {found:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// K16: of a migration whose process dies in the middle nothing stands, and the next start goes through it.
#[tokio::test]
async fn a_migration_that_is_broken_off_leaves_nothing_and_is_run_again() {
    let Some(database) = database(SUITE) else { return };
    let mut conn = of_the_release_before(&database).await;
    let before = standing(&mut conn).await;
    assert_eq!(before, (vec![10], 0));
    let server = server(&database);
    let mut dying = Box::pin(Postgres::open(&server));
    tokio::select! {
        opened = &mut dying => panic!("it was opened: {opened:?}"),
        () = are_at_it(&mut conn, 1, 0) => {}
    }
    // What a process has of the server when it dies is its connection.
    drop(dying);
    // Waits until the server has noticed.
    execute(&mut conn, "DROP TRIGGER still ON _sqlx_migrations").await;
    assert_eq!(standing(&mut conn).await, before, "nothing half done");
    let store = open(&database).await;
    assert_eq!(standing(&mut conn).await, (vec![10, 11, 12], 2));
    store.heartbeat(START).await.unwrap();
    store.close().await;
}

/// K16: of two replicas that start on an older database at once one brings it up to date, and the other waits for it.
#[tokio::test]
async fn two_that_migrate_at_once_do_it_once() {
    let Some(database) = database(SUITE) else { return };
    let mut conn = of_the_release_before(&database).await;
    let (one, other, ()) = tokio::join!(open(&database), open(&database), are_at_it(&mut conn, 1, 1));
    assert_eq!(standing(&mut conn).await, (vec![10, 11, 12], 2));
    for store in [one, other] {
        store.heartbeat(START).await.unwrap();
        store.close().await;
    }
}
