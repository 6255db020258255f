//! Where no service runs: the command looks by itself, whether or not the database opens.

use std::{fs, time::Duration};

use latchkey::clock::SystemClock;
use latchkey_contract::Clock;

use super::{
    super::harness::{TestApp, stranger::is_on_postgres},
    Seen, installed, look,
};

/// As if a later release had been there.
pub(super) const LATER: &str =
    "UPDATE _sqlx_migrations SET version = 9999 WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
pub(super) const NEWEST: &str = "SELECT max(version) FROM _sqlx_migrations";

/// What is a fault, and nothing else is but the clocks of vendors who live in another time.
fn faults(seen: &Seen) -> Vec<&str> {
    let is_fault = |(name, (word, _)): &(&String, &(String, String))| word == "fault" && !name.ends_with(": clock");
    seen.iter().filter(is_fault).map(|(name, _)| name.as_str()).collect()
}

pub(super) async fn sees(app: &TestApp, expected: &[&str], to_do: &str) {
    let (seen, failed, text) = look(app).await;
    assert_eq!(faults(&seen), expected, "{text}");
    if let Some(first) = expected.first() {
        assert!(failed && seen[*first].1.contains(to_do), "{first} does not say {to_do:?} in:\n{text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_service_it_looks_by_itself() {
    let mut app = installed(&[], |_| ()).await;
    app.up().await;
    app.register_webhooks().await;
    app.run().await;
    app.down().await;
    let (seen, failed, text) = look(&app).await;
    assert!(failed && faults(&seen) == ["queue: oldest due task"], "{text}");
    assert!(seen["queue: oldest due task"].1.contains("no service works here: start it"), "{text}");
    assert_eq!((seen["service: running"].0.as_str(), seen["key: file"].0.as_str()), ("note", "ok"), "{text}");
    assert_eq!(seen["connection acme-entra: token"].0, "ok", "{text}");

    app.open_store().await;
    app.store().heartbeat(SystemClock::new().now() + Duration::from_secs(3600)).await.unwrap();
    app.close_store().await;
    sees(&app, &["clock: last seen", "queue: oldest due task"], "timedatectl").await;
    fs::remove_file(app.config().key_file.path()).unwrap();
    sees(&app, &["clock: last seen", "key: file", "queue: oldest due task"], "timedatectl").await;
    let (seen, ..) = look(&app).await;
    assert_eq!(seen["connections: secrets"].0, "note");
}

/// F177: a database that does not open is told with what to do, and what can be seen without it is seen.
#[tokio::test(flavor = "multi_thread")]
async fn a_database_that_does_not_open_is_the_one_fault() {
    if is_on_postgres() {
        return;
    }
    let app = installed(&[], |_| ()).await;
    let file = app.data_dir().join("latchkey.db");
    let mut other = app.stranger().await;
    let newest = other.number(NEWEST).await;
    other.on_both(LATER).await;
    sees(&app, &["database: schema"], "run that release").await;
    other.on_both("DELETE FROM _sqlx_migrations WHERE version = 9999").await;
    sees(&app, &["database: schema"], "make a backup with that release").await;
    assert!(other.number(NEWEST).await < newest, "looking brings nothing up");
    other.close().await;

    let (seen, ..) = look(&app).await;
    for (name, word) in [("database: disk", "ok"), ("key: place", "ok"), ("key: file", "note"), ("mail: all", "note")] {
        assert_eq!(seen[name].0, word, "{name} in {seen:?}");
    }
    for beside in ["latchkey.db-wal", "latchkey.db-shm"] {
        let _ = fs::remove_file(app.data_dir().join(beside));
    }
    fs::write(&file, "rubbish, and long enough to be taken for a database".repeat(100)).unwrap();
    sees(&app, &["database: file"], "restore a backup").await;
    fs::remove_file(&file).unwrap();
    sees(&app, &["database: file"], "put the file back, or restore a backup").await;
    fs::remove_file(app.config().key_file.path()).unwrap();
    sees(&app, &["database: file", "key: file"], "put the file back").await;
    assert!(!file.exists(), "looking makes nothing");
}
