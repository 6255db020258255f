//! `latchkey backup | restore` as an operator types them.

use super::*;
use crate::{
    lock::Lock,
    store::sqlite::{Options as StoreOptions, Sqlite},
};

async fn installed() -> Place {
    let place = Place::new();
    let records = place.write("records.toml", RECORDS);
    place.type_in(&["records", "load", &records], io::empty()).await.ok();
    place.type_in(&["secret", "set", "entra-contoso/client-secret"], Cursor::new("canary\n")).await.ok();
    place
}

/// F177: one command each; putting back is asked for, and what was there is kept.
#[tokio::test]
async fn a_backup_is_made_and_put_back_by_one_command_each() {
    let place = installed().await;
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    let made = place.type_in(&["backup", &file], io::empty()).await.ok();
    assert!(made.output.contains("holds the database as it was on"), "{made:?}");
    assert!(made.hints.contains("keys/master.key"), "{made:?}");
    let again = place.type_in(&["backup", &file], io::empty()).await.refused();
    assert!(again.contains("is there already, and is not overwritten"), "{again}");

    place.type_in(&["certificate", "make", "entra-contoso"], io::empty()).await.ok();
    let unasked = place.type_in(&["restore", &file], io::empty()).await;
    assert!(unasked.hints.contains("Blocked people and paused customers stay held"), "{unasked:?}");
    assert!(unasked.refused().contains("--yes"));
    let after = place.type_in(&["secret", "list"], io::empty()).await.ok().output;
    assert!(after.contains("entra-contoso/certificate"), "nothing was changed: {after}");

    let restored = place.type_in(&["restore", &file, "--yes"], io::empty()).await.ok();
    assert!(restored.output.contains("is kept as") && restored.hints.contains("latchkey reconcile"), "{restored:?}");
    let back = place.type_in(&["secret", "list"], io::empty()).await.ok().output;
    assert_eq!(back, "entra-contoso/client-secret\n");
}

/// F177: while somebody works on the database, it is not replaced under them.
#[tokio::test]
async fn nothing_is_put_back_under_a_service_that_runs() {
    let place = installed().await;
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    place.type_in(&["backup", &file], io::empty()).await.ok();
    let service = Lock::for_service(&place.0.path().join("data")).await.unwrap();
    let refused = place.type_in(&["restore", &file, "--yes"], io::empty()).await.refused();
    assert!(refused.contains("is in use") && refused.contains("systemctl stop latchkey"), "{refused}");
    place.type_in(&["backup", &format!("{file}.beside")], io::empty()).await.ok();
    drop(service);
    // Somebody who knows no lock has it open.
    let other = Sqlite::open(&place.0.path().join("data/latchkey.db"), StoreOptions::default()).await.unwrap();
    let refused = place.type_in(&["restore", &file, "--yes"], io::empty()).await.refused();
    assert!(refused.contains("is in use"), "{refused}");
    other.close().await;
}

/// F177: where nothing is, nothing is made by asking for a copy of it.
#[tokio::test]
async fn there_is_no_backup_of_nothing() {
    let place = Place::new();
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    let refused = place.type_in(&["backup", &file], io::empty()).await.refused();
    assert!(refused.contains("nothing to copy"), "{refused}");
    assert!(!place.0.path().join("keys").exists() && !place.0.path().join("data/latchkey.db").exists());
}

/// F177: root's nightly copy where the service is down and everything is another user's: it is made, and nothing of
/// root's is left among what the service needs.
#[tokio::test]
async fn root_copies_what_is_another_users_and_leaves_nothing_of_its_own() {
    use std::os::unix::fs::{MetadataExt, chown};
    if !nix::unistd::Uid::effective().is_root() {
        return;
    }
    const SERVICE: u32 = 64_999;
    let place = installed().await;
    let theirs = || -> Vec<_> {
        let dirs = ["data", "keys"].map(|name| place.0.path().join(name));
        let within = dirs.iter().flat_map(|dir| std::fs::read_dir(dir).unwrap()).map(|entry| entry.unwrap().path());
        dirs.iter().cloned().chain(within).collect()
    };
    theirs().iter().for_each(|path| chown(path, Some(SERVICE), Some(SERVICE)).unwrap());
    let before = theirs();
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    place.say(&["backup", &file]).await.ok();
    let foreign: Vec<_> = theirs().into_iter().filter(|path| path.metadata().unwrap().uid() != SERVICE).collect();
    assert!(foreign.is_empty(), "{foreign:?}");
    let new: Vec<_> = theirs().into_iter().filter(|path| !before.contains(path)).collect();
    assert!(new.iter().all(|path| path.ends_with("master.key.generation")), "{new:?}");
    assert_eq!(std::fs::metadata(&file).unwrap().uid(), 0, "the copy is root's");
    let refused = place.say(&["secret", "list"]).await.refused();
    assert!(refused.contains("run this as that user"), "{refused}");
}

/// F177: before an upgrade the new program copies the former release's database, and leaves it the former release's.
#[tokio::test]
async fn a_backup_brings_nothing_up_to_date() {
    use sqlx::Connection as _;
    let place = installed().await;
    let path = place.0.path().join("data/latchkey.db");
    let newest = async |path: &std::path::Path| -> i64 {
        let mut conn = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
        let sql = "SELECT max(version) FROM _sqlx_migrations";
        let newest = sqlx::query_scalar(sql).fetch_one(&mut conn).await.unwrap();
        conn.close().await.unwrap();
        newest
    };
    let now = newest(&path).await;
    let mut conn = sqlx::SqliteConnection::connect(&format!("sqlite://{}", path.display())).await.unwrap();
    for sql in [
        "DROP INDEX grants_with_access",
        "DROP INDEX tasks_pending",
        "CREATE INDEX tasks_pending ON tasks (priority, run_at, id) WHERE state = 'pending'",
        "ALTER TABLE tasks DROP COLUMN risk",
        "ALTER TABLE grants DROP COLUMN risk",
        "DELETE FROM _sqlx_migrations WHERE version > 10",
    ] {
        sqlx::query(sql).execute(&mut conn).await.unwrap();
    }
    conn.close().await.unwrap();
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    place.say(&["backup", &file]).await.ok();
    assert_eq!((now, newest(&path).await), (12, 10));
    place.say(&["--yes", "restore", &file]).await.ok();
    place.say(&["secret", "list"]).await.ok();
    assert_eq!(newest(&path).await, now, "what is put back is brought up to date");
}

/// F177: where the key is a credential, the line to type is told, whole.
#[tokio::test]
async fn where_the_key_is_a_credential_the_line_for_systemd_is_told() {
    let place = installed().await;
    let config = place.0.path().join("latchkey.toml");
    let text = std::fs::read_to_string(&config).unwrap();
    let own = text.lines().find(|line| line.starts_with("key_file")).unwrap();
    let credential = "key_file = \"credential:latchkey.key\"\ngeneration_file = \"generation\"";
    std::fs::write(&config, text.replace(own, credential)).unwrap();
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    for (act, user) in [("backup", false), ("restore", true)] {
        let refused = place.say(&[act, &file]).await.refused();
        let typed = refused.lines().last().unwrap();
        assert!(typed.contains("systemd-run ") && typed.contains("s/^LoadCredential/-p &/p"), "{refused}");
        assert!(typed.ends_with(&format!("{act} '{file}'")), "{refused}");
        assert_eq!(typed.contains("s/^User=/"), user, "{refused}");
    }
}

/// F177: a restore sets nobody free, and says who is held.
#[tokio::test]
async fn a_restore_lists_who_is_still_held() {
    let place = installed().await;
    let file = place.0.path().join("backup.tar").to_str().unwrap().to_owned();
    place.say(&["backup", &file]).await.ok();
    place.say(&["customer", "pause", "contoso", "--reason", "audit", "--yes"]).await.ok();
    place.say(&["--yes", "revoke", "--all", "--reason", "stolen laptop"]).await.ok();
    let before = place.say(&["lock", "list"]).await.ok().output;
    let restored = place.say(&["--yes", "restore", &file]).await.ok();
    assert!(restored.output.contains("still held: all access is locked\n"), "{restored:?}");
    assert!(restored.output.contains("still held: customer contoso is paused\n"), "{restored:?}");
    assert_eq!(place.say(&["lock", "list"]).await.ok().output, before);
    assert!(before.contains("\tby operator ") && !before.contains("operator operator"), "{before}");
    let log = place.say(&["audit", "export", "--format", "csv"]).await.ok().output;
    assert!(log.contains("hold.set") && log.contains("operator ") && !log.contains("operator operator"), "{log}");
    place.say(&["audit", "verify"]).await.ok();

    let kept = restored.output.lines().find_map(|line| line.strip_prefix("The database that was there is kept as "));
    std::fs::remove_file(kept.unwrap().trim_end_matches('.')).unwrap();
    std::fs::write(place.0.path().join("data/latchkey.db"), "no database").unwrap();
    let unasked = place.say(&["restore", &file]).await;
    assert!(unasked.hints.contains("tells no holds"), "{unasked:?}");
    let lost = place.say(&["--yes", "restore", &file]).await.ok();
    assert!(!lost.output.contains("still held") && lost.hints.contains("Set it again"), "{lost:?}");
}
