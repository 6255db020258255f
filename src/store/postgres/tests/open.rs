//! What is not opened, what is not written, and what is in force on the connections.

use latchkey_contract::Secret;

use super::{super::open::Durability, *};

async fn refused(database: &Database) -> OpenError {
    Postgres::open(&server(database)).await.expect_err("it must not be opened")
}

#[tokio::test]
async fn the_settings_that_durability_rests_on_are_in_force() {
    let Some((database, store)) = fresh().await else { return };
    let mut writer = sqlx::ConnectOptions::connect(&server(&database).writing()).await.unwrap();
    for (setting, wanted) in [
        ("synchronous_commit", "on"),
        ("statement_timeout", "10s"),
        ("lock_timeout", "5s"),
        ("idle_in_transaction_session_timeout", "5s"),
    ] {
        let found: String =
            sqlx::query_scalar("SELECT current_setting($1)").bind(setting).fetch_one(&mut writer).await.unwrap();
        assert_eq!(found, wanted, "{setting}");
    }
    let refused = sqlx::query("DELETE FROM tasks").execute(&store.readers).await;
    assert!(refused.is_err(), "readers cannot write");
}

/// What is told of them is what holds where it is written, and not what a stranger's session has.
#[tokio::test]
async fn what_durability_rests_on_is_read_on_a_connection_that_writes() {
    let Some((database, store)) = fresh().await else { return };
    let (_, name) = database.url.rsplit_once('/').unwrap();
    let mut other = stranger(&database).await;
    let alter = format!("ALTER DATABASE {name} SET synchronous_commit = off");
    sqlx::raw_sql(sqlx::AssertSqlSafe(alter)).execute(&mut other).await.unwrap();
    let found = Durability::on(&mut stranger(&database).await).await.unwrap();
    assert_eq!((found.fsync.as_str(), found.synchronous_commit.as_str()), ("on", "off"));
    let mut writer = sqlx::ConnectOptions::connect(&server(&database).writing()).await.unwrap();
    let found = Durability::on(&mut writer).await.unwrap();
    assert_eq!((found.fsync.as_str(), found.synchronous_commit.as_str()), ("on", "on"));
    assert_eq!(found.full_page_writes, "off", "the tests' own server has it off");
    store.close().await;
}

#[tokio::test]
async fn what_was_answered_is_there_after_a_close() {
    let Some((database, store)) = fresh().await else { return };
    before_the_end(&store).await;
    store.close().await;
    assert!(matches!(store.heartbeat(START).await, Err(StoreError::Engine(_))), "closed");
    assert!(store.record_delivery(delivery("d9", "m9", None)).await.is_err(), "closed");
    after_the_end(&open(&database).await).await;
}

const CHILD: &str = "LATCHKEY_TEST_CHILD_DATABASE_URL";

/// The other half of the next test, in a process of its own; by itself it does nothing.
#[tokio::test]
async fn child_of_the_kill_test() {
    let Ok(url) = std::env::var(CHILD) else { return };
    let store = open(&Database { url }).await;
    before_the_end(&store).await;
    for n in 0.. {
        let _ = store.record_delivery(delivery(&format!("x{n}"), &format!("x{n}"), None)).await;
    }
}

/// `kill -9` loses nothing that was answered.
#[tokio::test]
async fn what_was_answered_is_there_after_a_kill() {
    let Some(database) = database(SUITE) else { return };
    let mut child = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["store::postgres::tests::open::child_of_the_kill_test", "--exact", "--test-threads=1"])
        .env(CHILD, &database.url)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut conn = stranger(&database).await;
    let give_up = Instant::now() + Duration::from_secs(60);
    let found = loop {
        let found = sqlx::query_scalar("SELECT count(*) FROM deliveries WHERE id LIKE 'x%'").fetch_one(&mut conn).await;
        match found {
            Ok(n @ 1_i64..) => break n,
            _ if Instant::now() > give_up => break 0,
            _ => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    };
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(found > 0, "the child never answered");
    execute(&mut conn, "DELETE FROM tasks WHERE slot LIKE 'intake:x%'").await;
    after_the_end(&open(&database).await).await;
}

#[tokio::test]
async fn a_strangers_a_newer_and_another_database_are_refused() {
    let Some(database) = database(SUITE) else { return };
    let mut conn = stranger(&database).await;
    execute(&mut conn, "CREATE TABLE theirs (x int)").await;
    assert!(matches!(refused(&database).await, OpenError::Foreign(_)));
    execute(&mut conn, "DROP TABLE theirs").await;
    let dir = tempfile::tempdir().unwrap();
    let marked = || server(&database).marked_by(dir.path().join("id"));
    Postgres::open(&marked()).await.unwrap().close().await;
    execute(
        &mut conn,
        "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time)
         VALUES (9999, 'later', true, ''::bytea, 0)",
    )
    .await;
    let error = refused(&database).await;
    assert!(matches!(error, OpenError::Newer { migration: 9999, .. }), "{error:?}");
    for (word, opens) in [("9999 10000", false), ("9998 1", false), ("nonsense", false), ("9999 1", true)] {
        let said = format!("COMMENT ON TABLE meta IS 'works-from {word}'");
        sqlx::query(sqlx::AssertSqlSafe(said)).execute(&mut conn).await.unwrap();
        match Postgres::open(&marked()).await {
            Ok(store) => {
                assert!(opens, "{word}");
                store.close().await;
            }
            Err(error) => {
                assert!(!opens && matches!(error, OpenError::Newer { migration: 9999, .. }), "{word}: {error}");
            }
        }
    }
    execute(&mut conn, "DELETE FROM _sqlx_migrations WHERE version = 9999; COMMENT ON TABLE meta IS NULL").await;
    Postgres::open(&marked()).await.unwrap().close().await;
    execute(&mut conn, "UPDATE meta SET value = 'another' WHERE name = 'id'").await;
    let error = Postgres::open(&marked()).await.unwrap_err();
    assert!(error.to_string().contains("is not the one that was used here before"), "{error}");
}

/// What was acknowledged is there after the server's crash; and nothing is begun on one that would forget it when the power
/// fails. Who looks may look.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_does_not_sync_is_refused() {
    let Some(binaries) = latchkey_simulators::postgres::binaries() else { return };
    let started = latchkey_simulators::postgres::Server::start(&binaries);
    let database = started.database("forgets");
    let store = open(&database).await;
    before_the_end(&store).await;
    store.close().await;
    let started = tokio::task::block_in_place(|| {
        let mut started = started;
        started.restart();
        started
    });
    after_the_end(&open(&database).await).await;
    started.set("fsync", "off");
    let error = refused(&database).await;
    assert!(matches!(error, OpenError::Setting { setting: "fsync", .. }), "{error:?}");
    assert!(
        error.to_string().ends_with("fsync is off, and must be on: what was acknowledged is lost otherwise"),
        "{error}"
    );
    Look::at(&server(&database), &crate::clock::SystemClock::new()).await.unwrap();
}

/// What the driver would take from the environment besides is refused: by this program with each of them set.
#[test]
fn nothing_but_the_configuration_says_how_a_server_is_reached() {
    for name in ["PGSSLROOTCERT", "PGSSLCERT", "PGSSLKEY", "PGOPTIONS"] {
        let said = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["store::postgres::tests::open::a_url_says_where_and_never_how_safely", "--exact", "--nocapture"])
            .env(name, "-c synchronous_commit=off")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&said.stderr).into_owned();
        assert!(!said.status.success() && text.contains(&format!("{name} in the environment is not to add")), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_without_its_password() {
    let url = "postgres://latchkey@127.0.0.1:1/latchkey".parse().unwrap();
    let server = Server::parse(&url, Some(&Secret::new("canary".to_owned())), None).unwrap();
    let error = Postgres::open(&server).await.unwrap_err();
    let said = format!("{error} {error:?} {server:?}");
    assert!(said.contains("latchkey on 127.0.0.1:1") && !said.contains("canary"), "{said}");
}

/// TLS with a name that fits wherever the way leaves this machine; no password in the URL.
#[test]
fn a_url_says_where_and_never_how_safely() {
    let parse = |url: &str, ca: Option<&str>| Server::parse(&url.parse().unwrap(), None, ca.map(std::path::Path::new));
    let mode = |url: &str, ca| format!("{:?}", parse(url, ca).unwrap().writing().get_ssl_mode());
    assert_eq!(mode("postgres://l@db.example.com/latchkey", None), "VerifyFull");
    assert_eq!(mode("postgres://l@192.0.2.1/latchkey", None), "VerifyFull");
    assert_eq!(mode("postgres://l@[2001:db8::1]:5433/latchkey", None), "VerifyFull");
    assert_eq!(mode("postgres://l@localhost.example.com/latchkey", None), "VerifyFull");
    assert_eq!(mode("postgres://l@127.0.0.1/latchkey", Some("ca.pem")), "VerifyFull");
    assert_eq!(mode("postgres://l@localhost/latchkey", None), "Prefer");
    assert_eq!(mode("postgres://l@[::1]/latchkey", None), "Prefer");
    assert_eq!(mode("postgresql://l@%2Frun%2Fpostgresql/latchkey", None), "Disable");
    for (url, ca, why) in [
        ("mysql://l@db/latchkey", None, "postgres://"),
        ("postgres://l:secret@db/latchkey", None, "password_file"),
        ("postgres://l@db/latchkey?sslmode=disable", None, "must end with the database's name"),
        ("postgres://db/latchkey", None, "must name user, host and database"),
        ("postgres://l@db", None, "must name user, host and database"),
        ("postgres:///latchkey", None, "must name user, host and database"),
        ("postgres://l@%2Frun%2Fpostgresql/latchkey", Some("ca.pem"), "Unix socket"),
    ] {
        let said = parse(url, ca).unwrap_err();
        assert!(said.contains(why) && !said.contains("secret@"), "{url}: {said}");
    }
}
