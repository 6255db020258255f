//! `latchkey migrate` as an operator types it, and the commands on the other engine.

use latchkey_simulators::postgres::database;

use super::*;
use crate::lock::Lock;

const MOVE: [&str; 6] = ["migrate", "--from", "sqlite", "--to", "postgres", "--yes"];

/// The same installation, on a server from here on.
fn on_a_server(place: &Place, url: &str) {
    let before = std::fs::read_to_string(place.0.path().join("latchkey.toml")).unwrap();
    place.write("latchkey.toml", &format!("{before}[database]\nurl = \"{url}\"\n"));
}

/// One command moves everything, says what, and verifies the audit log; then every command works there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_installation_is_moved_to_a_server_by_one_command() {
    let Some(database) = database("the command line on PostgreSQL") else { return };
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.say(&["records", "load", &records]).await.ok();
    place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("canary\n")).await.ok();
    let nowhere = place.say(&MOVE).await.refused();
    assert!(nowhere.contains("[database]"), "{nowhere}");
    on_a_server(&place, &database.url);
    let empty = place.say(&["secret", "list"]).await.ok().output;
    assert_eq!(empty, "", "nothing is there yet");
    let unasked = place.say(&MOVE[..5]).await.refused();
    assert!(unasked.contains("--yes"), "{unasked}");
    let service = Lock::for_service(&place.0.path().join("data")).await.unwrap();
    assert!(place.say(&MOVE).await.result.is_err(), "a service holds the lock");
    drop(service);
    let moved = place.say(&MOVE).await.ok();
    assert!(moved.output.contains("the same on both sides"), "{moved:?}");
    assert!(moved.output.contains("Whole: entries 1 to 2"), "{moved:?}");
    assert_eq!(place.say(&["secret", "list"]).await.ok().output, "entra-contoso/client-secret\n");
    assert!(place.say(&["audit", "verify"]).await.result.is_ok());
    let backup = place.say(&["backup", "backup.tar"]).await.refused();
    assert!(backup.contains("pg_dump") && backup.contains("master.key"), "{backup}");
    let restore = place.say(&["restore", "backup.tar", "--yes"]).await.refused();
    assert!(restore.contains("pg_restore"), "{restore}");
    let unasked = place.say(&["key", "rotate"]).await;
    assert!(unasked.hints.contains("Services of other machines") && unasked.refused().contains("--yes"));
    let rotated = place.say(&["--yes", "key", "rotate"]).await.ok();
    assert!(rotated.hints.contains("Copy it now to every other machine"), "{rotated:?}");
    let revoked = place.say(&["--yes", "revoke", "--all", "--reason", "breach"]).await.ok();
    assert!(revoked.output.contains("Locked: all."), "{revoked:?}");
    let twice = place.say(&MOVE).await.refused();
    assert!(twice.contains("is not empty"), "{twice}");
}
